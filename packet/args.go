package packet

import (
	"bytes"
	"fmt"
	"iter"
)

// Args are the arguments of an event or of an ack, in the one form the whole
// system passes on: valid JSON values with commas between them, no white space
// between tokens, and the binary data beside the text as attachments. They are
// decoded only when a handler scans them, and never on the way through.
//
// Args are immutable and may be shared by any number of goroutines. The zero
// value is no arguments.
type Args struct {
	elements    []byte
	attachments [][]byte
	count       int
}

// ParseArgs makes Args of the text of a JSON array without binary data, as an
// HTTP publisher sends it. It copies what it keeps. An error is an [*Error].
func ParseArgs(jsonArray []byte) (Args, error) {
	s := scanner{text: jsonArray, limit: defaultDepth}
	l, ok := s.list()
	if !ok {
		return Args{}, &Error{Reason: s.fault}
	}
	return newArgs(l.all, l.count, s.spaced), nil
}

// newArgs copies elements that a scanner has passed.
func newArgs(elements []byte, count int, spaced bool) Args {
	return Args{elements: clean(elements, spaced), count: count}
}

// clean copies JSON that a scanner has passed, compact. Nothing gives nil.
func clean(text []byte, spaced bool) []byte {
	if len(text) == 0 {
		return nil
	}
	if spaced {
		return compact(make([]byte, 0, len(text)), text)
	}
	return bytes.Clone(text)
}

// Len is the number of arguments.
func (a Args) Len() int { return a.count }

// Size is the number of bytes that a keeps in memory, text and attachments:
// what limits on queues and histories count.
func (a Args) Size() int {
	n := len(a.elements)
	for _, data := range a.attachments {
		n += len(data)
	}
	return n
}

// Attachments is the number of binary values in the arguments.
func (a Args) Attachments() int { return len(a.attachments) }

// HasBinary tells whether an argument is or contains binary data.
func (a Args) HasBinary() bool { return len(a.attachments) > 0 }

// At returns argument i. Like a slice it panics if there is none. It reads
// over the arguments before i: use [Args.All] to go through them.
func (a Args) At(i int) Arg {
	if i < 0 || i >= a.count {
		panic(fmt.Sprintf("packet: argument %d of %d", i, a.count))
	}
	one := a.Slice(i, i+1)
	return Arg{json: one.elements, attachments: one.attachments}
}

// All goes through the arguments in order.
func (a Args) All() iter.Seq2[int, Arg] {
	return func(yield func(int, Arg) bool) {
		rest := a
		for i := range a.count {
			var arg Arg
			arg, rest = rest.next()
			if !yield(i, arg) {
				return
			}
		}
	}
}

// next takes the first argument off. The placeholders of what is left keep
// their numbers, for the next one renumbers its own anyway.
func (a Args) next() (Arg, Args) {
	end := valueEnd(a.elements, 0)
	text := a.elements[:end:end]
	rest := Args{count: a.count - 1}
	if rest.count > 0 {
		rest.elements = a.elements[end+1:]
	}
	arg := newArg(text, a.attachments)
	rest.attachments = a.attachments[len(arg.attachments):]
	return arg, rest
}

// newArg makes an argument of its text and of attachments that begin with its
// own.
func newArg(text []byte, attachments [][]byte) Arg {
	if len(attachments) == 0 {
		return Arg{json: text}
	}
	n := bytes.Count(text, []byte(marker))
	if n == 0 {
		return Arg{json: text}
	}
	return Arg{json: renumbered(text), attachments: attachments[:n:n]}
}

// renumbered returns text with its placeholders numbered from 0: text itself
// if they are already.
func renumbered(text []byte) []byte {
	if from, to, ok := nextPlaceholder(text); !ok || string(text[from+len(marker):to]) == "0}" {
		return text
	}
	return appendRenumbered(make([]byte, 0, len(text)), text, 0)
}

// Slice returns the arguments from i up to but without j, as a slice
// expression does, panics included. It shares the memory of a.
func (a Args) Slice(i, j int) Args {
	if i < 0 || j < i || j > a.count {
		panic(fmt.Sprintf("packet: arguments %d to %d of %d", i, j, a.count))
	}
	if i == j {
		return Args{}
	}
	from := 0
	for range i {
		from = valueEnd(a.elements, from) + 1
	}
	to := from - 1
	for range j - i {
		to = valueEnd(a.elements, to+1)
	}
	s := Args{elements: a.elements[from:to:to], count: j - i}
	if len(a.attachments) > 0 {
		first := bytes.Count(a.elements[:from], []byte(marker))
		n := bytes.Count(s.elements, []byte(marker))
		s.attachments = a.attachments[first : first+n : first+n]
		s.elements = renumbered(s.elements)
	}
	if len(s.attachments) == 0 {
		s.attachments = nil
	}
	return s
}

// AppendText appends the arguments to dst as one JSON text: values with commas
// between them, no brackets, no line feed, every attachment written as
// {"$binary":"<base64>"}. It is for those who cannot take attachments: event
// streams, webhooks, logs. A peer can write such an object itself, so it proves
// nothing about where the bytes came from.
func (a Args) AppendText(dst []byte) []byte {
	return appendInlined(dst, a.elements, a.attachments)
}

// MarshalJSON returns the arguments as a JSON array, with the attachments as
// [Args.AppendText] writes them.
func (a Args) MarshalJSON() ([]byte, error) {
	return append(a.AppendText([]byte{'['}), ']'), nil
}

// UnmarshalJSON sets a to the elements of a JSON array, as [ParseArgs] does.
func (a *Args) UnmarshalJSON(text []byte) (err error) {
	*a, err = ParseArgs(text)
	return err
}

// Arg is one argument: a JSON value and the attachments it refers to. A
// handler that decides later what a value is takes an Arg, as a target of Scan
// or as a field of a struct that is one.
//
// An Arg is immutable and may be shared. The zero value is null.
type Arg struct {
	json        []byte // nil is null
	attachments [][]byte
}

// JSON returns the text of the argument, its binary data as placeholders
// {"_placeholder":true,"num":N} numbered from 0. The text is shared: it must
// not be modified.
func (a Arg) JSON() []byte {
	if a.json == nil {
		return []byte("null")
	}
	return a.json
}

// HasBinary tells whether the argument is or contains binary data.
func (a Arg) HasBinary() bool { return len(a.attachments) > 0 }

// String returns what the argument says if it is a JSON string.
func (a Arg) String() (s string, ok bool) {
	if len(a.json) == 0 || a.json[0] != '"' {
		return "", false
	}
	return unquote(a.json), true
}

// Bytes returns the binary data if the argument is nothing but that. The bytes
// are shared: they must not be modified. [Arg.Scan] gives a copy.
func (a Arg) Bytes() (data []byte, ok bool) {
	if len(a.attachments) != 1 {
		return nil, false
	}
	from, to, found := nextPlaceholder(a.json)
	if !found || from != 0 || to != len(a.json) {
		return nil, false
	}
	return a.attachments[0], true
}

// AppendText appends the argument to dst in the form of [Args.AppendText].
func (a Arg) AppendText(dst []byte) []byte {
	return appendInlined(dst, a.JSON(), a.attachments)
}

// MarshalJSON returns the argument in the form of [Args.AppendText].
func (a Arg) MarshalJSON() ([]byte, error) { return a.AppendText(nil), nil }

// UnmarshalJSON sets a to a JSON value without binary data. It copies text.
func (a *Arg) UnmarshalJSON(text []byte) error {
	s := scanner{text: text, limit: hardDepth}
	if !s.one() {
		return &Error{Reason: s.fault}
	}
	*a = Arg{json: clean(text, s.spaced)}
	return nil
}
