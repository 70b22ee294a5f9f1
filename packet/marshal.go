package packet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"sync"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// ErrForged is the error for a value that has an object with the member
// "_placeholder":true and is sent together with binary data. The receiver would
// take that object for an attachment: whoever wrote it (a peer whose text is
// passed on, say) could show one attachment for another, or have the receiver's
// parser refuse the packet and close the connection.
var ErrForged = errors.New("packet: object poses as an attachment")

// Marshal makes Args of Go values, each as encoding/json writes it, with four
// differences that come from JavaScript: a []byte, wherever it is inside a
// value, is binary data and becomes an attachment (a nil one is null, another
// type with bytes beneath is not meant); NaN and the infinities are null, as
// JSON.stringify has them; nothing is escaped for HTML; a byte that is not
// UTF-8 is U+FFFD.
//
// An [Arg] passes as it is, with its attachments; [Args] become an array; a
// json.RawMessage passes if it is valid. Everything is copied: values may be
// modified when Marshal has returned. It is safe for concurrent use as far as
// the values are.
//
// A stock client takes at most 10 attachments in a packet and closes the
// connection when there are more.
func Marshal(values ...any) (Args, error) { return Args{}.Append(values...) }

// Append returns the arguments of a and after them the values, made into
// arguments as by [Marshal]. a itself does not change.
func (a Args) Append(values ...any) (Args, error) {
	if len(values) == 0 {
		return a, nil
	}
	m := marshaler{
		elements:    make([]byte, len(a.elements), len(a.elements)+64*len(values)),
		attachments: slices.Clip(a.attachments),
	}
	copy(m.elements, a.elements)
	for i, v := range values {
		if a.count+i > 0 {
			m.elements = append(m.elements, ',')
		}
		if err := m.value(v); err != nil {
			return Args{}, fmt.Errorf("argument %d: %w", a.count+i, err)
		}
	}
	if err := m.check(); err != nil {
		return Args{}, err
	}
	return Args{elements: m.elements, attachments: m.attachments, count: a.count + len(values)}, nil
}

// marshaler collects the text and the attachments of arguments.
type marshaler struct {
	elements    []byte
	attachments [][]byte
}

// check finds objects that pose as attachments. Without any, the text has one
// placeholder for each attachment, in order, and in the one form: reading it as
// a peer's text changes nothing.
func (m *marshaler) check() error {
	if len(m.attachments) == 0 {
		return nil
	}
	text, nums, fault := bindPlaceholders(m.elements, len(m.attachments))
	if fault != "" || len(nums) != len(m.attachments) || !bytes.Equal(text, m.elements) {
		return ErrForged
	}
	return nil
}

// value appends one value. What applications mostly send goes the short way;
// the long way gives the same text.
func (m *marshaler) value(v any) error {
	switch v := v.(type) {
	case nil:
		m.elements = append(m.elements, "null"...)
	case string:
		m.elements = appendQuoted(m.elements, v)
	case bool:
		m.elements = strconv.AppendBool(m.elements, v)
	case int:
		m.elements = strconv.AppendInt(m.elements, int64(v), 10)
	case int64:
		m.elements = strconv.AppendInt(m.elements, v, 10)
	case int32:
		m.elements = strconv.AppendInt(m.elements, int64(v), 10)
	case uint64:
		m.elements = strconv.AppendUint(m.elements, v, 10)
	case uint32:
		m.elements = strconv.AppendUint(m.elements, uint64(v), 10)
	case float64:
		m.elements = appendNumber(m.elements, v, 64)
	case []byte:
		m.elements = m.binary(m.elements, v)
	case json.RawMessage:
		return m.raw(v)
	case Arg:
		m.elements = m.arg(m.elements, v)
	case Args:
		m.elements = m.args(m.elements, v)
	default:
		return m.reflect(v)
	}
	return nil
}

func (m *marshaler) binary(dst, data []byte) []byte {
	if data == nil {
		return append(dst, "null"...)
	}
	dst = appendPlaceholder(dst, len(m.attachments))
	m.attachments = append(m.attachments, slices.Concat([]byte{}, data))
	return dst
}

func (m *marshaler) raw(text json.RawMessage) error {
	if text == nil {
		m.elements = append(m.elements, "null"...)
		return nil
	}
	s := scanner{text: text, limit: hardDepth}
	if !s.one() {
		return &Error{Reason: s.fault}
	}
	m.elements = compact(m.elements, text)
	return nil
}

func (m *marshaler) arg(dst []byte, a Arg) []byte {
	if !a.HasBinary() {
		return append(dst, a.JSON()...)
	}
	dst = appendRenumbered(dst, a.json, len(m.attachments))
	m.attachments = append(m.attachments, a.attachments...)
	return dst
}

func (m *marshaler) args(dst []byte, a Args) []byte {
	dst = append(dst, '[')
	if a.count > 0 {
		dst = m.arg(dst, Arg{json: a.elements, attachments: a.attachments})
	}
	return append(dst, ']')
}

// reflect appends a value by its Go type. NaN makes the first try fail, and only
// then is the second made, which has to look at every value for floats.
func (m *marshaler) reflect(v any) error {
	text, attachments := len(m.elements), len(m.attachments)
	e := encoders.Get().(*encoder)
	defer e.release()
	if e.encode(m, v, e.options) == nil {
		return nil
	}
	m.elements, m.attachments = m.elements[:text], m.attachments[:attachments]
	return e.encode(m, v, e.lenient)
}

// encoder is a set of encoding/json options whose functions know for which
// marshaler they work. They are pooled because the package caches per set what
// it has found out about types.
type encoder struct {
	m       *marshaler
	options jsonv2.Options
	lenient jsonv2.Options // the same, and NaN is null
}

var encoders = sync.Pool{New: func() any { return newEncoder() }}

func newEncoder() *encoder {
	e := &encoder{}
	exact := jsonv2.JoinMarshalers(
		jsonv2.MarshalToFunc(func(enc *jsontext.Encoder, data []byte) error {
			return enc.WriteValue(e.m.binary(enc.AvailableBuffer(), data))
		}),
		jsonv2.MarshalToFunc(func(enc *jsontext.Encoder, a Arg) error {
			return enc.WriteValue(e.m.arg(enc.AvailableBuffer(), a))
		}),
		jsonv2.MarshalToFunc(func(enc *jsontext.Encoder, a Args) error {
			return enc.WriteValue(e.m.args(enc.AvailableBuffer(), a))
		}),
	)
	exact = jsonv2.JoinMarshalers(exact, jsonv2.MarshalToFunc(marshalNumber))
	common := jsonv2.JoinOptions(jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false), jsontext.EscapeForJS(false))
	e.options = jsonv2.JoinOptions(common, jsonv2.WithMarshalers(exact))
	e.lenient = jsonv2.JoinOptions(common, jsonv2.WithMarshalers(jsonv2.JoinMarshalers(exact, jsonv2.MarshalToFunc(nanAsNull))))
	return e
}

// marshalNumber knows the json.Number of the standard library, as
// numberUnmarshaler does.
func marshalNumber(enc *jsontext.Encoder, n json.Number) error {
	if n == "" {
		n = "0" // the zero value is a number too, as encoding/json has it
	}
	if s := (scanner{text: []byte(n)}); !s.number() || s.pos < len(n) {
		return fmt.Errorf("invalid number literal %q", string(n))
	}
	return enc.WriteValue(append(enc.AvailableBuffer(), n...))
}

// nanAsNull is called for every value there is.
func nanAsNull(enc *jsontext.Encoder, v any) error {
	r := reflect.ValueOf(v)
	for r.Kind() == reflect.Pointer {
		r = r.Elem()
	}
	if r.CanFloat() && (math.IsNaN(r.Float()) || math.IsInf(r.Float(), 0)) {
		return enc.WriteToken(jsontext.Null)
	}
	return errors.ErrUnsupported // go on with the usual way
}

func (e *encoder) encode(m *marshaler, v any, options jsonv2.Options) error {
	e.m = m
	return jsonv2.MarshalWrite((*elementsWriter)(m), v, options)
}

func (e *encoder) release() {
	e.m = nil
	encoders.Put(e)
}

// elementsWriter is the end of a marshaler that encoding/json writes to.
type elementsWriter marshaler

// Write appends text to the elements.
func (w *elementsWriter) Write(text []byte) (int, error) {
	w.elements = append(w.elements, text...)
	return len(text), nil
}
