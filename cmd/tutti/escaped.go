package main

import (
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// escaped writes lines of a log with all that cannot be seen escaped, as "\u202e"
// is, which turns the direction of what follows it: peers choose names and
// addresses of pages, and a line must not read as something else in a terminal.
// What it escapes stands in quotes, in JSON as in text, where an escape says the
// same. The text handler of the standard library escapes it already, the JSON one
// leaves most of it.
type escaped struct{ w io.Writer }

// Write implements [io.Writer]. The lines of a log come whole.
func (v escaped) Write(line []byte) (int, error) {
	clean := 0
	for clean < len(line) && (line[clean] < 0x7f) {
		clean++
	}
	if clean == len(line) { // nearly always
		return v.w.Write(line)
	}
	out := append(make([]byte, 0, len(line)+64), line[:clean]...)
	for i := clean; i < len(line); {
		r, size := utf8.DecodeRune(line[i:])
		switch {
		case r < 0x7f || strconv.IsPrint(r) && r != utf8.RuneError:
			out = append(out, line[i:i+size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += size
	}
	if _, err := v.w.Write(out); err != nil {
		return 0, err
	}
	return len(line), nil
}
