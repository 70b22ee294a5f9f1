package schema

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/tutti-rt/tutti/verb"
)

// compiled is a schema made ready. The library's schemas can't be stopped, and
// one with a "$ref" to itself in two alternatives takes time that doubles with
// each level of the data. So each has a counter of steps inside, and belongs to
// one check at a time.
type compiled struct {
	steps int
	load  func() (*counted, error)
	free  sync.Pool // of *counted
}

// counted is one copy of a schema.
type counted struct {
	schema *jsonschema.Schema
	left   int // steps; negative from the start: no limit
}

// errSteps is what a check panics with that takes too many steps.
var errSteps = errors.New("schema: too many steps")

// compile reads a rule's schema.
func compile(r Rule, steps int) (*compiled, error) {
	if (r.File == "") == (r.Text == "") {
		return nil, errors.New("want either a file or a schema")
	}
	name, doc, err := read(r)
	if err != nil {
		return nil, err
	}
	c := &compiled{steps: steps, load: func() (*counted, error) { return newCounted(name, doc) }}
	first, err := c.load() // the others are like it
	if err != nil {
		return nil, explain(err)
	}
	c.free.Put(first)
	return c, nil
}

// maxFile is more than a schema for people has.
const maxFile = 1 << 20

func read(r Rule) (name string, doc any, err error) {
	if r.Text != "" {
		doc, err = jsonschema.UnmarshalJSON(strings.NewReader(r.Text))
		if err != nil {
			return "", nil, fmt.Errorf("the schema is not JSON: %w", err)
		}
		return "file:///inline.json", doc, nil
	}
	path, err := filepath.Abs(r.File)
	if err != nil {
		return "", nil, err
	}
	name = (&url.URL{Scheme: "file", Path: path}).String()
	doc, err = files{}.Load(name)
	return name, doc, err
}

// newCounted compiles a schema and puts its counter in.
func newCounted(name string, doc any) (*counted, error) {
	c := &counted{left: -1}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.UseLoader(files{})
	compiler.RegisterVocabulary(&jsonschema.Vocabulary{
		URL: "urn:tutti:steps",
		Compile: func(*jsonschema.CompilerContext, map[string]any) (jsonschema.SchemaExt, error) {
			return c, nil
		},
	})
	compiler.AssertVocabs()
	if err := compiler.AddResource(name, doc); err != nil {
		return nil, err
	}
	var err error
	c.schema, err = compiler.Compile(name)
	return c, err
}

// Validate implements the library's extension of a schema: it runs for each
// value and subschema, and counts.
func (c *counted) Validate(*jsonschema.ValidatorContext, any) {
	if c.left--; c.left == 0 {
		panic(errSteps)
	}
}

// files loads schemas that others refer to.
type files struct{}

// Load implements the library's loader.
func (files) Load(name string) (any, error) {
	u, err := url.Parse(name)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "file" {
		return nil, fmt.Errorf("%s is not loaded, because it is not a file: keep a copy beside the schema and refer to that", name)
	}
	f, err := os.Open(u.Path)
	if err != nil {
		if pathError := (*fs.PathError)(nil); errors.As(err, &pathError) {
			return nil, fmt.Errorf("%s can't be read: %w", u.Path, pathError.Err)
		}
		return nil, err
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("%s is not JSON, or longer than %d bytes: %w", u.Path, maxFile, err)
	}
	return doc, nil
}

// explain says in one line what is wrong with a schema.
func explain(err error) error {
	var invalid *jsonschema.SchemaValidationError
	var details *jsonschema.ValidationError
	var load *jsonschema.LoadURLError
	switch {
	case errors.As(err, &invalid) && errors.As(invalid.Err, &details):
		at, text := worst(details)
		return fmt.Errorf("the schema is wrong at %s: %s", cmp.Or(at, "/"), text)
	case errors.As(err, &load):
		return load.Err
	}
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}

// check holds a value to the schema.
func (c *compiled) check(text []byte) *verb.Refusal {
	tooMuch := &verb.Refusal{Code: verb.TooLarge, Message: "the data is too large or too deep to be checked"}
	values := count(text)
	if c.steps > 0 && values > c.steps {
		return tooMuch
	}
	v, err := decode(text)
	if err != nil {
		return &verb.Refusal{Code: verb.BadData, Message: err.Error()}
	}
	one, _ := c.free.Get().(*counted)
	if one == nil {
		if one, err = c.load(); err != nil { // a file was changed meanwhile
			return &verb.Refusal{Code: verb.Internal, Message: "internal error", Err: err}
		}
	}
	defer c.free.Put(one)
	one.left = c.steps
	err = one.validate(v)
	var details *jsonschema.ValidationError
	switch {
	case errors.Is(err, errSteps):
		return tooMuch
	case errors.As(err, &details):
		at, words := worst(details)
		return &verb.Refusal{Code: verb.BadData, At: at, Message: fmt.Sprintf("the data is wrong%s: %s", place(at), words)}
	}
	return nil
}

func place(at string) string {
	if at == "" {
		return ""
	}
	return " at " + at
}

// validate runs the library, until it is enough.
func (c *counted) validate(v any) (err error) {
	defer func() {
		if p := recover(); p == errSteps {
			err = errSteps
		} else if p != nil {
			panic(p)
		}
	}()
	return c.schema.Validate(v)
}

// count is about how many values a JSON text has, and at least a half of that.
func count(text []byte) int {
	n, quoted := 1, false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case !quoted && (b == ',' || b == '[' || b == '{'):
			n++
		}
	}
	return n
}

// decode reads a value. Numbers become what the library can compare without
// writing them out: of 1e999999 it would make a million digits.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, errors.New("the data is not JSON")
	}
	return plain(v)
}

func plain(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil || math.IsInf(f, 0) {
			return nil, errors.New("a number in the data is out of range")
		}
		return f, nil
	case []any:
		for i := range v {
			var err error
			if v[i], err = plain(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			var err error
			if v[k], err = plain(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// longestWords bounds what a refusal quotes.
const longestWords = 300

// worst is what is wrong first, by its place in the data, and in words. What
// fits none of several alternatives is wrong as a whole.
func worst(e *jsonschema.ValidationError) (at, words string) {
	first := leaf(e)
	words = first.ErrorKind.LocalizedString(message.NewPrinter(language.English))
	switch first.ErrorKind.(type) {
	case *kind.AnyOf:
		words = "it fits none of the alternatives"
	case *kind.OneOf:
		words = "it fits none of the alternatives, or more than one"
	case *kind.Not:
		words = "it is what it must not be"
	case *kind.FalseSchema:
		words = "nothing may be here"
	}
	return cut(pointer(first.InstanceLocation)), cut(words)
}

func cut(s string) string {
	if len(s) <= longestWords {
		return s
	}
	return strings.ToValidUTF8(s[:longestWords], "") + "…"
}

func leaf(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		return e
	}
	var first *jsonschema.ValidationError
	for _, cause := range e.Causes {
		if l := leaf(cause); first == nil || pointer(l.InstanceLocation) < pointer(first.InstanceLocation) {
			first = l
		}
	}
	if first == nil {
		return e
	}
	return first
}

// pointer writes a place as a JSON pointer; "" is the whole.
func pointer(path []string) string {
	var b strings.Builder
	for _, part := range path {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	return b.String()
}
