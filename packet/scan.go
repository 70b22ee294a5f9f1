package packet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// ErrMissing is the error for a target of Scan that has no argument.
var ErrMissing = errors.New("packet: argument missing")

// ScanError tells which argument did not fit its target.
type ScanError struct {
	Index int // of the argument, from 0
	Err   error
}

// Error names the argument and what is wrong with it.
func (e *ScanError) Error() string { return fmt.Sprintf("argument %d: %v", e.Index, e.Err) }

// Unwrap returns what is wrong: [ErrMissing], or an error of encoding/json.
func (e *ScanError) Unwrap() error { return e.Err }

// Scan decodes the arguments in order into targets, which are pointers, each
// as by [Arg.Scan]. A nil target skips an argument, and arguments beyond the
// targets are left alone, as JavaScript leaves them. Fewer arguments than
// targets is an error before any target is written to. Every error is a
// [*ScanError]; the targets before it hold their values.
func (a Args) Scan(targets ...any) error {
	if len(targets) > a.count {
		return &ScanError{Index: a.count, Err: ErrMissing}
	}
	for i, arg := range a.All() {
		if i == len(targets) {
			break
		}
		if targets[i] == nil {
			continue
		}
		if err := arg.Scan(targets[i]); err != nil {
			return &ScanError{Index: i, Err: err}
		}
	}
	return nil
}

// Scan decodes the argument into what target points to, as encoding/json does,
// with one addition: a []byte, wherever it is inside the target, takes an
// attachment, and a value of type any takes one as []byte. Such bytes are a
// copy. (A []byte takes a JSON string too, as base64.) An [Arg], as target or
// within it, takes any value as it is.
func (a Arg) Scan(target any) error {
	if done := a.scanFast(target); done {
		return nil
	}
	if !a.HasBinary() {
		return jsonv2.Unmarshal(a.JSON(), target, plainOptions)
	}
	d := decoders.Get().(*attachmentDecoder)
	defer d.release()
	d.attachments = a.attachments
	return jsonv2.Unmarshal(a.JSON(), target, d.options)
}

// scanFast does the targets most used, if the value is of their kind. What it
// leaves undone the long way does, or has the right error for.
func (a Arg) scanFast(target any) bool {
	switch t := target.(type) {
	case *Arg:
		if t != nil {
			*t = a
			return true
		}
	case *string:
		if s, ok := a.String(); ok && t != nil {
			*t = s
			return true
		}
	case *int:
		if n, err := strconv.Atoi(string(a.json)); err == nil && t != nil {
			*t = n
			return true
		}
	case *bool:
		if t != nil && (string(a.json) == "true" || string(a.json) == "false") {
			*t = a.json[0] == 't'
			return true
		}
	case *[]byte:
		if data, ok := a.Bytes(); ok && t != nil {
			*t = append([]byte{}, data...)
			return true
		}
	case *json.RawMessage:
		if t != nil {
			*t = bytes.Clone(a.JSON())
			return true
		}
	}
	return false
}

// plainOptions are those of encoding/json.
var plainOptions = jsonv2.JoinOptions(jsonv1.DefaultOptionsV1(), jsonv2.WithUnmarshalers(numberUnmarshaler))

// numberUnmarshaler knows the json.Number of the standard library, which the
// package we use takes for any other string.
var numberUnmarshaler = jsonv2.UnmarshalFromFunc(func(dec *jsontext.Decoder, target *json.Number) error {
	kind := dec.PeekKind()
	if kind != '0' && kind != '"' {
		return errors.ErrUnsupported // null, or an error
	}
	text, err := dec.ReadValue()
	if err != nil {
		return err
	}
	n := string(text)
	if kind == '"' {
		n = unquote(text)
		if s := (scanner{text: []byte(n)}); !s.number() || s.pos < len(n) {
			return fmt.Errorf("invalid number literal %q", n)
		}
	}
	*target = json.Number(n)
	return nil
})

// attachmentDecoder is a set of encoding/json options whose functions know the
// attachments of the argument at work. It is pooled as [encoder] is.
type attachmentDecoder struct {
	attachments [][]byte
	options     jsonv2.Options
}

var decoders = sync.Pool{New: func() any { return newAttachmentDecoder() }}

func newAttachmentDecoder() *attachmentDecoder {
	d := &attachmentDecoder{}
	d.options = jsonv2.JoinOptions(plainOptions, jsonv2.WithUnmarshalers(jsonv2.JoinUnmarshalers(
		jsonv2.UnmarshalFromFunc(d.bytes),
		jsonv2.UnmarshalFromFunc(d.arg),
		jsonv2.UnmarshalFromFunc(d.args),
		jsonv2.UnmarshalFromFunc(d.any),
		numberUnmarshaler,
	)))
	return d
}

func (d *attachmentDecoder) release() {
	d.attachments = nil
	decoders.Put(d)
}

func (d *attachmentDecoder) bytes(dec *jsontext.Decoder, target *[]byte) error {
	if dec.PeekKind() != '{' {
		return errors.ErrUnsupported // a string or null: the usual way
	}
	text, err := dec.ReadValue()
	if err != nil {
		return err
	}
	data, ok := d.find(text).Bytes()
	if !ok {
		return errors.New("object where binary data is wanted")
	}
	*target = append([]byte{}, data...)
	return nil
}

func (d *attachmentDecoder) arg(dec *jsontext.Decoder, target *Arg) error {
	text, err := dec.ReadValue()
	if err != nil {
		return err
	}
	*target = d.find(bytes.Clone(text))
	return nil
}

func (d *attachmentDecoder) args(dec *jsontext.Decoder, target *Args) error {
	text, err := dec.ReadValue()
	if err != nil {
		return err
	}
	whole := d.find(bytes.Clone(text))
	if *target, err = ParseArgs(whole.json); err == nil {
		target.attachments = whole.attachments
	}
	return err
}

// find makes an argument of a part of the text, which holds a run of the
// attachments.
func (d *attachmentDecoder) find(text []byte) Arg {
	from, to, ok := nextPlaceholder(text)
	if !ok {
		return Arg{json: text}
	}
	first, _ := parseInt(text[from+len(marker) : to-1])
	return newArg(text, d.attachments[first:])
}

// any decodes as encoding/json does into any, but a placeholder becomes bytes.
// The package reads the values inside by calling any again.
func (d *attachmentDecoder) any(dec *jsontext.Decoder, target *any) error {
	switch kind := dec.PeekKind(); kind {
	case '{':
		return d.object(dec, target)
	case '[':
		list := []any{}
		if err := jsonv2.UnmarshalDecode(dec, &list); err != nil {
			return err
		}
		*target = list
		return nil
	case '"', '0', 't', 'f', 'n':
		*target = nil // a value that was there is replaced, not merged into
	}
	return errors.ErrUnsupported
}

func (d *attachmentDecoder) object(dec *jsontext.Decoder, target *any) error {
	members := map[string]any{}
	if err := jsonv2.UnmarshalDecode(dec, &members); err != nil {
		return err
	}
	*target = members
	num, isNumber := members["num"].(float64)
	if members["_placeholder"] == true && isNumber && len(members) == 2 {
		*target = append([]byte{}, d.attachments[int(num)]...)
	}
	return nil
}
