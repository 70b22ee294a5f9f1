package door

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// decode reads one JSON object into v, and nothing but that: valid UTF-8, names
// as they are written here and each at most once, nothing after it. The error
// is in words for the client.
func decode[T any](text []byte, v *T) error {
	if jsontext.Value(text).Kind() != '{' {
		return errors.New("want a JSON object")
	}
	err := json.Unmarshal(text, v, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	var syntax *jsontext.SyntacticError
	var meaning *json.SemanticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		return fmt.Errorf("the name %q is there twice", pointer(syntax.JSONPointer))
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON: byte %d", syntax.ByteOffset)
	case errors.Is(err, json.ErrUnknownName) && errors.As(err, &meaning):
		return fmt.Errorf("%q is not known here", pointer(meaning.JSONPointer))
	case errors.As(err, &meaning):
		return fmt.Errorf("%q is of the wrong kind", pointer(meaning.JSONPointer))
	}
	return errors.New("not JSON")
}

// pointer returns the first steps of a way into a client's JSON, which may be
// of any length.
func pointer(p jsontext.Pointer) string {
	const most = 64
	text := string(p)
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}

// A given is a member of an object that may be missing but not null: who writes
// "room":null meant some room, and no room would mean everyone.
type given[T any] struct {
	value T
	is    bool
}

// UnmarshalJSONFrom reads the value.
func (g *given[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == 'n' {
		return errNull
	}
	g.is = true
	return json.UnmarshalDecode(dec, &g.value)
}

var errNull = errors.New("null is no value here")
