package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// A SchemaRule holds what clients send to a schema. It is written "event
// file=schema.json room=chat:* namespace=/chat args=true", or in a file as a
// mapping of the same names, where schema may hold the schema itself.
type SchemaRule struct {
	Event, Namespace, Room string
	Args                   bool
	File, Text             string
}

var _ worded = (*SchemaRule)(nil)

func (r *SchemaRule) first() string { return "event" }

func (r *SchemaRule) begin() { *r = SchemaRule{} }

func (r *SchemaRule) set(name, value string) error {
	switch name {
	case "event":
		r.Event = value
	case "namespace":
		r.Namespace = value
	case "room":
		r.Room = value
		return checkPattern(value)
	case "args":
		if value != "true" && value != "false" {
			return errors.New("want true or false")
		}
		r.Args = value == "true"
	case "file":
		r.File = value
	case "schema":
		r.Text = value
	default:
		return errors.New("want file, schema, room, namespace or args")
	}
	return nil
}

func (r *SchemaRule) end() error {
	switch {
	case r.Event == "":
		return errors.New("want the name of an event")
	case (r.File == "") == (r.Text == ""):
		return fmt.Errorf("event %q: want file=, or schema=, and not both", r.Event)
	}
	return nil
}

// UnmarshalText reads a rule.
func (r *SchemaRule) UnmarshalText(text []byte) error { return readWords(string(text), r) }

// MarshalText writes what the rule says.
func (r SchemaRule) MarshalText() ([]byte, error) {
	text := word(r.Event)
	for _, part := range []struct{ name, value string }{{"namespace", r.Namespace}, {"room", r.Room}, {"file", r.File}, {"schema", r.Text}} {
		if part.value != "" {
			text += " " + part.name + "=" + word(part.value)
		}
	}
	if r.Args {
		text += " args=true"
	}
	return []byte(text), nil
}

// checkSchemas makes files in a settings file relative to that, and checks
// what the rules say. What is in the schemas is checked by who compiles them.
func (l *loader) checkSchemas(facts Facts) {
	known := append([]string{"/"}, l.Namespaces...)
	for i := range l.Schemas {
		r, at := &l.Schemas[i], l.placeOf("schema", i)
		if r.File != "" && at.File != "" && !filepath.IsAbs(r.File) {
			r.File = filepath.Join(filepath.Dir(at.File), r.File)
		}
		if facts.Reserved != nil && facts.Reserved(r.Event) {
			l.wrong(at, "schema: the event %q belongs to the protocol: want one of your own", r.Event)
		}
		if r.Namespace != "" && !slices.Contains(known, r.Namespace) {
			l.wrong(at, "schema: namespace=%s: want %s", r.Namespace, alternatives(known))
		}
	}
	if s := l.Limit.Schema; s == 0 {
		l.not("limit.schema", "is 0: want 1 or more, or none")
	}
}
