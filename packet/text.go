package packet

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"
)

// The functions of this file read JSON that a scanner has passed and compact
// has tightened, so they check nothing.

// compact appends valid JSON to dst without the white space between tokens.
// What the rest of the system holds is compact, so that a text never contains
// a line feed (event streams and line protocols rely on it) and so that an
// element begins where the comma before it ends.
func compact(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case isSpace(c):
			i++
		case c == '"':
			end := stringEnd(text, i)
			dst = append(dst, text[i:end]...)
			i = end
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

// stringEnd is the index after the string that begins at i.
func stringEnd(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd is the index after the value that begins at i.
func valueEnd(text []byte, i int) int {
	depth := 0
	for i < len(text) {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
			if depth == 0 {
				return i
			}
			continue
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return i // the container around a number or a word ends
			}
			depth--
			if depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends s as a JSON string, escaping what JSON.stringify
// escapes and nothing else. A byte that is not UTF-8 becomes U+FFFD.
func appendQuoted[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, s[from:i]...)
				dst = append(dst, "\uFFFD"...)
				from = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[from:i]...)
		dst = appendEscape(dst, c)
		i++
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// appendUnquoted appends what the JSON string text stands for. Half a
// surrogate pair, which UTF-8 cannot hold, becomes U+FFFD.
func appendUnquoted(dst, text []byte) []byte {
	text = text[1 : len(text)-1]
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(dst, text[:i]...)
		text = text[i:]
		n := 2
		switch c := text[1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			var r rune
			r, n = escapedRune(text)
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
		text = text[n:]
	}
}

// escapedRune reads \uXXXX or a pair of them, and its length.
func escapedRune(text []byte) (rune, int) {
	const highFirst, lowFirst, lowLast = 0xD800, 0xDC00, 0xDFFF
	r, _ := hex4(text[2:])
	if r < highFirst || r > lowLast {
		return r, 6
	}
	if r < lowFirst && len(text) >= 12 && text[6] == '\\' && text[7] == 'u' {
		if low, _ := hex4(text[8:]); lowFirst <= low && low <= lowLast {
			return (r-highFirst)<<10 + (low - lowFirst) + 0x10000, 12
		}
	}
	return utf8.RuneError, 6
}

// unquote returns what the JSON string text stands for.
func unquote(text []byte) string {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1])
	}
	return string(appendUnquoted(make([]byte, 0, len(text)), text))
}

// unquotedIs tells whether the JSON string text stands for s.
func unquotedIs(text []byte, s string) bool {
	if string(text[1:len(text)-1]) == s {
		return true
	}
	return bytes.IndexByte(text, '\\') >= 0 && unquote(text) == s
}

// appendNumber appends f as JavaScript writes numbers, and null for what JSON
// has no number for, as JSON.stringify does.
func appendNumber(dst []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	if f == 0 {
		return append(dst, '0') // JSON.stringify(-0) is "0"
	}
	format := byte('f')
	// ECMAScript, Number::toString: an exponent below 1e-6 and from 1e21 on.
	abs := math.Abs(f)
	if bits == 32 && (float32(abs) < 1e-6 || float32(abs) >= 1e21) || bits == 64 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, bits)
	if n := len(dst); format == 'e' && n >= 4 && (dst[n-4] == 'e') && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // Go writes e-09 where JavaScript writes e-9
		dst = dst[:n-1]
	}
	return dst
}

// propertyName is the text JavaScript has for a number used as a name.
func propertyName(number []byte) string {
	f, err := strconv.ParseFloat(string(number), 64)
	switch {
	case err == nil:
		return string(appendNumber(nil, f, 64))
	case f < 0:
		return "-Infinity"
	}
	return "Infinity"
}
