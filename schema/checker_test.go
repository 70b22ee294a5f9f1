package schema_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/schema"
	"github.com/tutti-rt/tutti/verb"
)

const note = `{"type":"object","required":["text"],"additionalProperties":false,
	"properties":{"text":{"type":"string","maxLength":5},"tags":{"type":"array","items":{"type":"string","pattern":"^[a-z]+$"}},
	"when":{"format":"date-time"},"kind":{"enum":["a","b"]},"n":{"multipleOf":2,"maximum":10},"any":{"anyOf":[{"type":"null"},{"type":"boolean"}]}}}`

func args(t *testing.T, text string) packet.Args {
	t.Helper()
	a, err := packet.ParseArgs([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newChecker(t *testing.T, rules ...schema.Rule) *schema.Checker {
	t.Helper()
	c, err := schema.New(schema.Config{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheck(t *testing.T) {
	c := newChecker(t, schema.Rule{Event: "note", Text: note})
	tests := []struct{ args, at, words string }{ // words "": right
		{`[{"text":"hello"}]`, "", ""},
		{`[{"text":"hello","tags":["a","b"],"when":"2026-01-02T03:04:05Z","kind":"b","n":4,"any":true}]`, "", ""},
		{`[{"text":1}]`, "/text", "the data is wrong at /text: got number, want string"},
		{`[{"text":"too long"}]`, "/text", "maxLength: got 8, want 5"},
		{`[{}]`, "", "the data is wrong: missing property 'text'"},
		{`[{"text":"a","tags":["ok","Not"]}]`, "/tags/1", "does not match pattern"},
		{`[{"text":"a","x/y":1}]`, "", "additional properties 'x/y' not allowed"},
		{`[{"text":"a","when":"soon"}]`, "/when", "is not valid date-time"},
		{`[{"text":"a","kind":"c"}]`, "/kind", "must be one of"},
		{`[{"text":"a","n":3}]`, "/n", "multipleOf"},
		{`[{"text":"a","n":1e400}]`, "", "a number in the data is out of range"},
		{`[{"text":"a","n":1e300}]`, "/n", "maximum"},
		{`[{"text":"a","any":3}]`, "/any", "it fits none of the alternatives"},
		{`["text"]`, "", "got string, want object"},
		{`[]`, "", "the event has 0 arguments: want one"},
		{`[{"text":"a"},2]`, "", "the event has 2 arguments: want one"},
	}
	for _, tt := range tests {
		err := c.Check("/", "note", nil, args(t, tt.args))
		r, _ := errors.AsType[*verb.Refusal](err)
		switch {
		case tt.words == "" && err != nil:
			t.Errorf("%s: got %v, want it to be right", tt.args, err)
		case tt.words != "" && (r == nil || r.Code != verb.BadData || r.At != tt.at || !strings.Contains(r.Message, tt.words)):
			t.Errorf("%s: got %+v, want %q at %q", tt.args, r, tt.words, tt.at)
		}
	}
	if err := c.Check("/", "other", nil, args(t, `[1,2,3]`)); err != nil {
		t.Errorf("an event without a rule: %v", err)
	}
}

// TestFits: which events a rule is for.
func TestFits(t *testing.T) {
	c := newChecker(t,
		schema.Rule{Event: "a", Namespace: "/chat", Text: `{"type":"string"}`},
		schema.Rule{Event: "b", Room: "news:*", Text: `{"type":"string"}`},
		schema.Rule{Event: "c", Args: true, Text: `{"prefixItems":[{"type":"string"},{"type":"number"}],"items":false}`},
		schema.Rule{Event: "d", Text: `{"minimum":1}`}, schema.Rule{Event: "d", Text: `{"maximum":3}`},
		schema.Rule{Event: "e", Text: `{"type":"object","required":["$binary"]}`},
	)
	binary, err := packet.Marshal([]byte{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		namespace, event, rooms string
		args                    packet.Args
		right                   bool
	}{
		{"/", "a", "", args(t, `[1]`), true},
		{"/chat", "a", "", args(t, `[1]`), false},
		{"/", "b", "", args(t, `[1]`), true},
		{"/", "b", "news:x", args(t, `[1]`), false},
		{"/", "b", "other,news:x", args(t, `[1]`), false},
		{"/", "b", "other", args(t, `[1]`), true},
		{"/", "c", "", args(t, `["a",1]`), true},
		{"/", "c", "", args(t, `[]`), true},
		{"/", "c", "", args(t, `["a",1,2]`), false},
		{"/", "d", "", args(t, `[2]`), true},
		{"/", "d", "", args(t, `[0]`), false},
		{"/", "d", "", args(t, `[4]`), false},
		{"/", "e", "", binary, true},
		{"/", "e", "", args(t, `["text"]`), false},
	}
	for _, tt := range tests {
		var rooms []string
		if tt.rooms != "" {
			rooms = strings.Split(tt.rooms, ",")
		}
		if err := c.Check(tt.namespace, tt.event, rooms, tt.args); (err == nil) != tt.right {
			t.Errorf("%s %s to %q: got %v", tt.namespace, tt.event, tt.rooms, err)
		}
	}
}

// TestMistakes: all that is wrong with the rules is said at once.
func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"cut.json": `{"type":`, "remote.json": `{"$ref":"https://example.com/x.json"}`, "beside.json": `{"$ref":"gone.json"}`, "good.json": `{"$ref":"defs.json#/$defs/s"}`, "defs.json": `{"$defs":{"s":{"type":"string"}}}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		rule schema.Rule
		want string // "": right
	}{
		{schema.Rule{Event: "e", File: filepath.Join(dir, "good.json")}, ""},
		{schema.Rule{Event: "e"}, "want either a file or a schema"},
		{schema.Rule{Event: "e", File: "x", Text: "{}"}, "want either a file or a schema"},
		{schema.Rule{Text: "{}"}, "the event is missing"},
		{schema.Rule{Event: "e", Text: "{"}, "the schema is not JSON"},
		{schema.Rule{Event: "e", Text: `{"type":"strin"}`}, "the schema is wrong at /type: it fits none of the alternatives"},
		{schema.Rule{Event: "e", Text: `{"pattern":"(?=x)"}`}, "the schema is wrong at /pattern: "},
		{schema.Rule{Event: "e", Text: `{"minLength":-1}`}, "the schema is wrong at /minLength: "},
		{schema.Rule{Event: "e", Text: `{"$ref":"#/$defs/none"}`}, "none"},
		{schema.Rule{Event: "e", File: filepath.Join(dir, "gone.json")}, "can't be read: no such file"},
		{schema.Rule{Event: "e", File: filepath.Join(dir, "cut.json")}, "cut.json is not JSON"},
		{schema.Rule{Event: "e", File: filepath.Join(dir, "remote.json")}, "https://example.com/x.json is not loaded"},
		{schema.Rule{Event: "e", File: filepath.Join(dir, "beside.json")}, "gone.json can't be read"},
	}
	var rules []schema.Rule
	for _, tt := range tests {
		rules = append(rules, tt.rule)
		_, err := schema.New(schema.Config{Rules: []schema.Rule{tt.rule}})
		if tt.want == "" {
			if err != nil {
				t.Errorf("%+v: %v", tt.rule, err)
			}
			continue
		}
		if one, ok := errors.AsType[*schema.RuleError](err); !ok || one.Index != 0 || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v:\ngot  %v\nwant %s", tt.rule, err, tt.want)
		}
	}
	_, err := schema.New(schema.Config{Rules: rules})
	if n := strings.Count(fmt.Sprint(err), "\n") + 1; n != len(tests)-1 {
		t.Errorf("%d mistakes, want %d:\n%v", n, len(tests)-1, err)
	}
}

// TestBounded: no data makes a check take long. Without the counters these would
// take hours, or a gigabyte.
func TestBounded(t *testing.T) {
	c := newChecker(t,
		schema.Rule{Event: "twice", Text: `{"anyOf":[{"properties":{"a":{"$ref":"#"}},"required":["x"]},{"properties":{"a":{"$ref":"#"}},"required":["y"]}]}`},
		schema.Rule{Event: "list", Text: `{"items":{"type":"string"}}`},
		schema.Rule{Event: "number", Text: `{"multipleOf":0.01}`},
		schema.Rule{Event: "regexp", Text: `{"pattern":"^(a+)+$"}`},
	)
	deep := strings.Repeat(`{"a":`, 400) + "1" + strings.Repeat("}", 400)
	tests := []struct {
		event, args string
		code        verb.Code
	}{
		{"twice", "[" + deep + "]", verb.TooLarge},
		{"list", "[[" + strings.Repeat("1,", 200_000) + "1]]", verb.TooLarge},
		{"number", "[1e308]", ""},
		{"number", "[1e999999]", verb.BadData},
		{"regexp", `["` + strings.Repeat("a", 50_000) + `!"]`, verb.BadData},
	}
	for _, tt := range tests {
		err := c.Check("/", tt.event, nil, args(t, tt.args))
		r, _ := errors.AsType[*verb.Refusal](err)
		if tt.code == "" && err != nil || tt.code != "" && (r == nil || r.Code != tt.code || len(r.Message) > 1000) {
			t.Errorf("%s %.20s: got %.200v, want %q", tt.event, tt.args, err, tt.code)
		}
	}
	free, err := schema.New(schema.Config{MaxSteps: -1, Rules: []schema.Rule{{Event: "list", Text: `{"items":{"type":"number"}}`}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := free.Check("/", "list", nil, args(t, "[["+strings.Repeat("1,", 200_000)+"1]]")); err != nil {
		t.Errorf("without a limit: %.200v", err)
	}
}

// TestReload: rules change at once, or not at all.
func TestReload(t *testing.T) {
	var hits []string
	c, err := schema.New(schema.Config{
		Rules: []schema.Rule{{Event: "a", Text: `{"type":"string"}`}},
		Trace: &schema.Trace{Checked: func(event string, right bool) { hits = append(hits, fmt.Sprint(event, right)) }},
	})
	if err != nil {
		t.Fatal(err)
	}
	number := args(t, "[1]")
	if c.Check("/", "a", nil, number) == nil {
		t.Error("a number is no string")
	}
	if err := c.Reload(schema.Config{Rules: []schema.Rule{{Event: "a", Text: `{"type":"number"}`}, {Event: "b", Text: `{`}}}); err == nil {
		t.Error("the second rule is wrong")
	}
	if c.Check("/", "a", nil, number) == nil {
		t.Error("the rules were changed in spite of a mistake")
	}
	if err := c.Reload(schema.Config{Rules: []schema.Rule{{Event: "a", Text: `{"type":"number"}`}}}); err != nil || c.Check("/", "a", nil, number) != nil {
		t.Errorf("the rules were not changed: %v", err)
	}
	if got := fmt.Sprint(hits); got != "[afalse afalse atrue]" {
		t.Errorf("traced %s", got)
	}
}

func FuzzCheck(f *testing.F) {
	c, err := schema.New(schema.Config{Rules: []schema.Rule{{Event: "note", Text: note}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`[{"text":"a","tags":["x"],"n":4}]`)
	f.Add(`[1e999999]`)
	f.Add(`[{"text":"\ud800","a~b":[[]]}]`)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := packet.ParseArgs([]byte(text))
		if err != nil {
			t.Skip()
		}
		if err := c.Check("/", "note", nil, a); err != nil && verb.RefusalOf(err).Code == verb.Internal {
			t.Error(err)
		}
	})
}
