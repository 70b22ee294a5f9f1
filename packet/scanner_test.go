package packet_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/packet"
)

func TestScanner(t *testing.T) {
	const bad, utf8, deep = "invalid JSON", "invalid UTF-8", "nested too deep"
	tests := []struct{ in, fault string }{
		{`null`, ""},
		{`true`, ""},
		{`false`, ""},
		{`nul`, bad},
		{`nulll`, bad},
		{`True`, bad},
		{``, bad},
		{` `, bad},
		{`0`, ""},
		{`-0`, ""},
		{`-`, bad},
		{`01`, bad},
		{`-01`, bad},
		{`1.`, bad},
		{`.5`, bad},
		{`1.5`, ""},
		{`1.05e+10`, ""},
		{`1e`, bad},
		{`1e+`, bad},
		{`1E-5`, ""},
		{`0e0`, ""},
		{`+1`, bad},
		{`1e400`, ""},
		{`Infinity`, bad},
		{`NaN`, bad},
		{`0x10`, bad},
		{`1 2`, bad},
		{`""`, ""},
		{`"`, bad},
		{`"\"`, bad},
		{`"\`, bad},
		{`"\a"`, bad},
		{`"\/\\\"\b\f\n\r\t"`, ""},
		{`"\u00e9"`, ""},
		{`"\u00E9"`, ""},
		{`"\u00g0"`, bad},
		{`"\u00`, bad},
		{`"\ud800"`, ""},
		{`"\udfff\ud800"`, ""},
		{"\"\x1f\"", bad},
		{"\"\x7f\"", ""},
		{"\"\n\"", bad},
		{"\"\xff\"", utf8},
		{"\"\xc3\x28\"", utf8},
		{"\"\xed\xa0\x80\"", utf8},
		{"\"\xf4\x90\x80\x80\"", utf8},
		{"\"\xf0\x9f\x98\x80\"", ""},
		{"\"\xe2\x82\"", utf8},
		{`[]`, ""},
		{`[ ]`, ""},
		{`[1]`, ""},
		{`[1,]`, bad},
		{`[,1]`, bad},
		{`[1 2]`, bad},
		{`[`, bad},
		{`]`, bad},
		{`[1`, bad},
		{`[1}`, bad},
		{`{}`, ""},
		{`{ }`, ""},
		{`{"a":1}`, ""},
		{`{"a":1,}`, bad},
		{`{"a"}`, bad},
		{`{"a":}`, bad},
		{`{a:1}`, bad},
		{`{1:1}`, bad},
		{`{"a":1]`, bad},
		{`{"a":1 "b":2}`, bad},
		{`{"a":1,"b":2}`, ""},
		{`{`, bad},
		{`{"a`, bad},
		{`{"a":`, bad},
		{`{,}`, bad},
		{" \t\r\n[ \t\r\n1 \t\r\n] \t\r\n", ""},
		{"[1]\v", bad},
		{"\u00a0[1]", bad},
		{"\ufeff[1]", bad},
		{"[1]\x00", bad},
		{"/**/1", bad},
		{strings.Repeat("[", 20) + strings.Repeat("]", 20), ""},
		{strings.Repeat("[", 21) + strings.Repeat("]", 21), deep},
		{strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20), ""},
		{strings.Repeat(`{"a":`, 21), deep},
	}
	for _, test := range tests {
		if got := packet.Scan([]byte(test.in), 20); got != test.fault {
			t.Errorf("%q: fault %q, want %q", test.in, got, test.fault)
		}
		if test.fault != utf8 && test.fault != deep && json.Valid([]byte(test.in)) != (test.fault == "") {
			t.Errorf("%q: the test itself disagrees with encoding/json", test.in)
		}
	}
}

// Time is linear whatever the text: a hundred thousand of anything that opens,
// escapes or continues.
func TestScannerDoesNotAllocate(t *testing.T) {
	for _, text := range []string{
		`["chat message",{"room":"general","n":[1,2.5e3,true,null]},"é\n"]`,
		strings.Repeat("[", 500) + strings.Repeat("]", 500),
		strings.Repeat("[", 100_000),
		`"` + strings.Repeat(`\u0041`, 100_000) + `"`,
		strings.Repeat(" ", 100_000) + "1",
	} {
		in := []byte(text)
		if n := testing.AllocsPerRun(10, func() { packet.Scan(in, 512) }); n != 0 {
			t.Errorf("%.40s: %v allocations, want none", text, n)
		}
	}
}

func TestCompact(t *testing.T) {
	for in, want := range map[string]string{
		`1`:                                     `1`,
		" [ 1 , \"a b\\\" c\" ]\n":              `[1,"a b\" c"]`,
		"{\t\"k \" :\r\n{ } }":                  `{"k ":{}}`,
		`"\\"` + " ":                            `"\\"`,
		" \"\u2028\" ":                          "\"\u2028\"",
		`[ "\\" , "\\\" ]" , "]" , [ ] ]`:       `["\\","\\\" ]","]",[]]`,
		`{ "a" : [ 1 , 2 ] , "b" : [ 3 , 4 ] }`: `{"a":[1,2],"b":[3,4]}`,
	} {
		if got := packet.Compact([]byte(in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", `""`},
		{"plain", `"plain"`},
		{"<a href='x'>&</a>", `"<a href='x'>&</a>"`},
		{"\"\\/", `"\"\\/"`},
		{"\b\f\n\r\t\x00\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\""},
		{"é€😀\u2028", "\"é€😀\u2028\""},
		{"a\xffb\xc3", "\"a\uFFFDb\uFFFD\""},
		{"\xed\xa0\x80", "\"\uFFFD\uFFFD\uFFFD\""},
		{"\uFFFD", "\"\uFFFD\""},
	}
	for _, test := range tests {
		if got := packet.Quote(test.in); got != test.want {
			t.Errorf("%q: got %s, want %s", test.in, got, test.want)
		}
	}
}

func TestUnquote(t *testing.T) {
	tests := []struct{ in, want string }{
		{`""`, ""},
		{`"a\"\\\/\b\f\n\r\tz"`, "a\"\\/\b\f\n\r\tz"},
		{`"\u0041\u00e9\u20AC"`, "Aé€"},
		{`"\ud83d\ude00!"`, "😀!"},
		{`"\ud83d"`, "\uFFFD"},
		{`"\ud83dx"`, "\uFFFDx"},
		{`"\ud83d\u0041"`, "\uFFFDA"},
		{`"\ude00\ud83d"`, "\uFFFD\uFFFD"},
		{`"\ud83d\n"`, "\uFFFD\n"},
	}
	for _, test := range tests {
		if got := packet.Unquote(test.in); got != test.want {
			t.Errorf("%s: got %q, want %q", test.in, got, test.want)
		}
	}
}

// TestScannerWords puts every byte at every place of a long string, next to
// those that a word at a time could mistake: the verdict is that of the byte.
func TestScannerWords(t *testing.T) {
	for c := range 256 {
		var want string
		switch {
		case c < 0x20, c == '"', c == '\\': // a quote ends it early
			want = "invalid JSON"
		case c >= 0x80:
			want = "invalid UTF-8"
		}
		for at := range 24 {
			for _, beside := range "x !#[]\x7f" {
				text := []byte(`"` + strings.Repeat(string(beside), 24) + `"`)
				text[1+at] = byte(c)
				if got := packet.Scan(text, 1); got != want {
					t.Fatalf("%q: %q, want %q", text, got, want)
				}
			}
		}
	}
}

func BenchmarkScanLongString(b *testing.B) {
	text := []byte(`"` + strings.Repeat("what a person says ", 50_000) + `"`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if packet.Scan(text, 1) != "" {
			b.Fatal("refused")
		}
	}
}
