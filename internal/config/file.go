package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile is more than any settings need; without it a wrong path, to a log or
// a device, would be read to the end.
const maxFile = 1 << 20

// readFile applies the settings of a YAML file.
func (l *loader) readFile(path string, named Place) {
	text, err := readLimited(path)
	if err != nil {
		l.wrong(named, "%v", err)
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return // an empty file says nothing
	case err != nil:
		l.syntax(path, err)
		return
	}
	if err := decoder.Decode(&second); err == nil {
		l.wrong(Place{File: path, Line: second.Line}, "a second document: a settings file has one")
	} else if !errors.Is(err, io.EOF) {
		l.syntax(path, err)
	}
	f := &fileReader{loader: l, path: path}
	f.mapping(doc.Content[0], "")
	l.apply(f.got)
}

func readLimited(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("settings file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("settings file: %w", err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("settings file: %s is larger than %d bytes: is it the right one?", path, maxFile)
	}
	return text, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax reports text that isn't YAML; the parser stops at the first such place.
func (l *loader) syntax(path string, err error) {
	at := Place{File: path}
	message := err.Error()
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		at.Line, _ = strconv.Atoi(m[1])
		message = message[len(m[0]):]
	}
	l.wrong(at, "not YAML: %s", message)
}

// A fileReader walks a document and collects assignments.
type fileReader struct {
	*loader
	path string
	got  []assignment
}

func (f *fileReader) at(n *yaml.Node) Place { return Place{File: f.path, Line: n.Line} }

// mapping reads the keys of n, which is the document or the group prefix.
func (f *fileReader) mapping(n *yaml.Node, prefix string) {
	n = resolve(n)
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // all of it is comments
	}
	if n.Kind != yaml.MappingNode {
		what := "a settings file"
		if prefix != "" {
			what = strings.TrimSuffix(prefix, ".")
		}
		f.wrong(f.at(n), "%s is %s: want keys, such as %s", what, kindName(n), f.example(prefix))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if line, twice := seen[key.Value]; twice {
			f.wrong(f.at(key), "%s is set twice, first in line %d", prefix+key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		if group, rest, dotted := strings.Cut(key.Value, "."); dotted {
			f.wrong(f.at(key), "no setting is called %s: groups are written in lines of their own, as %q with %q below it", key.Value, group+":", rest+": …")
			continue
		}
		f.setting(key, value, prefix+key.Value)
	}
}

// setting reads one key and its value.
func (f *fileReader) setting(key, value *yaml.Node, name string) {
	if slices.ContainsFunc(f.fields, func(known field) bool { return strings.HasPrefix(known.name, name+".") }) {
		f.mapping(value, name+".")
		return
	}
	i := slices.IndexFunc(f.fields, func(known field) bool { return known.name == name })
	if i < 0 {
		f.wrong(f.at(key), "no setting is called %s%s", name, f.suggest(name, func(known field) string { return known.name }))
		return
	}
	field := f.fields[i]
	a := assignment{name: name}
	nodes := []*yaml.Node{resolve(value)}
	if nodes[0].Kind == yaml.SequenceNode && field.isList() {
		nodes = nodes[0].Content
	}
	right := true
	for _, n := range nodes {
		text, err := f.value(field, resolve(n))
		if err != nil {
			f.wrong(f.at(n), "%s %v", name, err)
			right = false
			continue
		}
		a.values = append(a.values, text)
		a.places = append(a.places, f.at(n))
	}
	if right || len(a.values) > 0 {
		f.got = append(f.got, a)
	}
}

// value is the text of a value. One that is written in words may be a mapping.
func (f *fileReader) value(field field, n *yaml.Node) (string, error) {
	if n.Kind != yaml.MappingNode || !field.isWorded() {
		return f.scalar(field, n)
	}
	first, rest := "", ""
	name := reflect.New(field.typ.Elem()).Interface().(worded).first()
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		values := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			values = value.Content
		}
		if key.Value == "schema" && value.Kind == yaml.MappingNode {
			text, err := jsonOf(value)
			if err != nil {
				return "", fmt.Errorf("has a schema that can't be written as JSON: %w", err)
			}
			rest += " schema=" + strconv.Quote(text)
			continue
		}
		for _, v := range values {
			if v = resolve(v); v.Kind != yaml.ScalarNode {
				return "", fmt.Errorf("has %s under %s: want one value", kindName(v), key.Value)
			}
			if key.Value == name {
				first = word(v.Value)
			} else {
				rest += " " + word(key.Value) + "=" + word(v.Value)
			}
		}
	}
	if first == "" {
		return "", errors.New("has an element without " + name)
	}
	return first + rest, nil
}

// jsonOf writes a part of the file as JSON.
func jsonOf(n *yaml.Node) (string, error) {
	var v any
	if err := n.Decode(&v); err != nil {
		return "", err
	}
	text, err := json.Marshal(v)
	return string(text), err
}

// scalar is the text of a value. YAML decides what is a number and what is
// text, so a value of the wrong sort is a mistake and not read as text.
func (f *fileReader) scalar(field field, n *yaml.Node) (string, error) {
	isText := field.typ.Kind() == reflect.String || field.isList()
	switch {
	case n.Kind != yaml.ScalarNode && field.isList():
		return "", fmt.Errorf("has %s in its list: want text", kindName(n))
	case n.Kind != yaml.ScalarNode:
		return "", fmt.Errorf("is %s: want one value", kindName(n))
	case n.Tag == "!!null":
		return "", errors.New("has no value: give one, or leave the line out")
	case isText && n.Tag != "!!str" && field.isSecret():
		return "", fmt.Errorf("is a %s: want %s, in quotes", tagName(n.Tag), field.placeholder)
	case isText && n.Tag != "!!str":
		return "", fmt.Errorf("is %s, which YAML takes for a %s: want %s, in quotes", n.Value, tagName(n.Tag), field.placeholder)
	case field.isSwitch() && n.Tag == "!!str" && n.Style != 0:
		return "", fmt.Errorf("is %q in quotes: want true or false, without", n.Value)
	case field.isSwitch() && n.Tag != "!!bool":
		return "", fmt.Errorf("is %q: want true or false", n.Value)
	case field.isSwitch():
		return strings.ToLower(n.Value), nil
	}
	if field.typ == reflect.TypeFor[Folder]() && !filepath.IsAbs(n.Value) {
		return filepath.Join(filepath.Dir(f.path), n.Value), nil
	}
	return n.Value, nil
}

// example is a line that could stand in the group prefix.
func (f *fileReader) example(prefix string) string {
	for _, known := range f.fields {
		if rest, ok := strings.CutPrefix(known.name, prefix); ok && !known.isList() {
			return fmt.Sprintf("%q", rest+": "+known.texts(&f.Settings)[0])
		}
	}
	return "name: value"
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", n.Value)
}

func tagName(tag string) string {
	switch tag {
	case "!!int", "!!float":
		return "number"
	case "!!bool":
		return "truth value"
	case "!!timestamp":
		return "date"
	}
	return strings.TrimPrefix(tag, "!!")
}
