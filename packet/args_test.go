package packet_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/packet"
)

type named []byte

type colour int

// MarshalText makes colour a string in JSON.
func (c colour) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "#%06x", int(c)), nil }

type picture struct {
	Name  string         `json:"name"`
	Data  []byte         `json:"data"`
	Extra map[string]any `json:"extra,omitempty"`
}

const ph0, ph1, ph2 = `{"_placeholder":true,"num":0}`, `{"_placeholder":true,"num":1}`, `{"_placeholder":true,"num":2}`

func TestMarshal(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)
	var noBytes []byte
	var noPointer *picture
	tests := []struct {
		name        string
		in          []any
		want        string
		attachments int
	}{
		{"nothing", nil, ``, 0},
		{
			"nil",
			[]any{nil, noBytes, noPointer, json.RawMessage(nil), packet.Arg{}},
			`null,null,null,null,null`,
			0,
		},
		{
			"scalars",
			[]any{"é<&>", true, false, 1, int8(-2), int64(math.MinInt64), uint64(math.MaxUint64), uint32(7), int32(-7), uint16(3)},
			`"é<&>",true,false,1,-2,-9223372036854775808,18446744073709551615,7,-7,3`,
			0,
		},
		{
			"floats",
			[]any{1.0, 0.1, float32(0.1), 1e21, 1e-7, -1e-9, math.Copysign(0, -1), 1e20, 123456789.5},
			`1,0.1,0.1,1e+21,1e-7,-1e-9,0,100000000000000000000,123456789.5`,
			0,
		},
		{
			"not a number",
			[]any{math.NaN(), math.Inf(1), math.Inf(-1), float32(math.Inf(1))},
			`null,null,null,null`,
			0,
		},
		{
			"not a number within",
			[]any{[]float64{1, math.NaN()}, map[string]any{"x": math.Inf(1)}, struct{ F *float64 }{new(math.NaN())}},
			`[1,null],{"x":null},{"F":null}`,
			0,
		},
		{
			"not a number beside bytes",
			[]any{[]any{[]byte{1}, math.NaN(), []byte{2}}},
			`[` + ph0 + `,null,` + ph1 + `]`,
			2,
		},
		{"time", []any{now}, `"2026-01-02T03:04:05.006Z"`, 0},
		{"not UTF-8", []any{"a\xff", []string{"a\xff"}}, "\"a\uFFFD\",[\"a\uFFFD\"]", 0},
		{"line separators", []any{"\u2028", []string{"\u2028<"}}, "\"\u2028\",[\"\u2028<\"]", 0},
		{"raw", []any{json.RawMessage(" {\n\"a\" : [ 1 ] } ")}, `{"a":[1]}`, 0},
		{"raw within", []any{[]json.RawMessage{json.RawMessage("[ 1,\n2 ]")}}, `[[1,2]]`, 0},
		{
			"text marshaler",
			[]any{colour(255), map[colour]int{1: 2}, net.IPv4(1, 2, 3, 4)},
			`"#0000ff",{"#000001":2},"1.2.3.4"`,
			0,
		},
		{"sorted map", []any{map[string]int{"b": 1, "a": 2}}, `{"a":2,"b":1}`, 0},
		{"bytes", []any{[]byte{1, 2}}, ph0, 1},
		{"empty bytes", []any{[]byte{}}, ph0, 1},
		{
			"bytes within",
			[]any{picture{Name: "a", Data: []byte{1}, Extra: map[string]any{"t": []byte{2}, "u": [][]byte{{3}}}}},
			`{"name":"a","data":` + ph0 + `,"extra":{"t":` + ph1 + `,"u":[` + ph2 + `]}}`,
			3,
		},
		{
			"bytes behind a pointer",
			[]any{&picture{Data: []byte{1}}, new([]byte{2})},
			`{"name":"","data":` + ph0 + `},` + ph1,
			2,
		},
		{"bytes that are null", []any{picture{}}, `{"name":"","data":null}`, 0},
		{"named bytes and arrays are not meant", []any{named{1}, [2]byte{1, 2}}, `"AQ==",[1,2]`, 0},
		{
			"argument",
			[]any{[]byte{9}, marshal(t, "x", []byte{1}).At(1), marshal(t, 5).At(0)},
			ph0 + `,` + ph1 + `,5`,
			2,
		},
		{
			"argument within",
			[]any{[]byte{9}, map[string]packet.Arg{"a": marshal(t, []any{[]byte{1}, []byte{2}}).At(0)}},
			ph0 + `,{"a":[` + ph1 + `,` + ph2 + `]}`,
			3,
		},
		{
			"arguments",
			[]any{marshal(t, 1, []byte{1}), []packet.Args{marshal(t, []byte{2}), {}}},
			`[1,` + ph0 + `],[[` + ph1 + `],[]]`,
			2,
		},
		{"looks like a placeholder", []any{json.RawMessage(ph0)}, ph0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, err := packet.Marshal(test.in...)
			if err != nil {
				t.Fatal(err)
			}
			if got := packet.Elements(a); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
			if a.Len() != len(test.in) || a.HasBinary() != (test.attachments > 0) {
				t.Errorf("length %d, binary %v", a.Len(), a.HasBinary())
			}
			frames, err := packet.JSON.Encode(&packet.Packet{Type: packet.Ack, Args: a})
			if err != nil || len(frames) != 1+test.attachments {
				t.Errorf("%d frames, error %v; want %d attachments", len(frames), err, test.attachments)
			}
		})
	}
}

func TestMarshalErrors(t *testing.T) {
	for name, v := range map[string]any{
		"function":     func() {},
		"channel":      make(chan int),
		"raw":          json.RawMessage(`{"a"`),
		"raw UTF-8":    json.RawMessage("\"\xff\""),
		"raw empty":    json.RawMessage{},
		"raw within":   []json.RawMessage{json.RawMessage(`{"a"`)},
		"no number":    []json.Number{"{}"},
		"NaN as a key": map[float64]int{math.NaN(): 1},
	} {
		_, err := packet.Marshal("x", v)
		if err == nil || !strings.HasPrefix(err.Error(), "argument 1: ") {
			t.Errorf("%s: error %v, want one that names argument 1", name, err)
		}
	}
}

// An object that a peer wrote must not become an attachment because somebody
// else's bytes travel with it.
func TestMarshalRefusesForgedPlaceholders(t *testing.T) {
	forged := func(s string) packet.Arg {
		p, err := feed(packet.Limits{}, text(`2["x",`+s+`]`))
		if err != nil {
			t.Fatal(err)
		}
		return p.Args.At(0)
	}
	for _, s := range []string{ph0, ph1, `{"_placeholder":true,"num":"push"}`, `{"_placeholder":true}`, `{"a":[{"\u005fplaceholder":true,"num":0}]}`} {
		var decoded any
		if err := forged(s).Scan(&decoded); err != nil {
			t.Fatal(err)
		}
		for name, values := range map[string][]any{
			"before":  {forged(s), []byte{1}},
			"after":   {[]byte{1}, forged(s)},
			"raw":     {[]byte{1}, json.RawMessage(s)},
			"decoded": {[]byte{1}, map[string]any{"from peer": decoded}},
			"around": {struct {
				P bool   `json:"_placeholder"`
				N int    `json:"num"`
				B []byte `json:"b"`
			}{true, 0, []byte{1}}},
		} {
			if _, err := packet.Marshal(values...); !errors.Is(err, packet.ErrForged) {
				t.Errorf("%s, %s: error %v, want ErrForged", s, name, err)
			}
		}
		if _, err := marshal(t, forged(s)).Append([]byte{1}); !errors.Is(err, packet.ErrForged) {
			t.Errorf("%s, appended to: error %v, want ErrForged", s, err)
		}
		if _, err := packet.Marshal(forged(s)); err != nil {
			t.Errorf("%s alone: %v", s, err)
		}
	}
}

func TestMarshalCopies(t *testing.T) {
	data, raw := []byte{1, 2}, json.RawMessage(`"raw"`)
	a := marshal(t, data, raw, picture{Data: data})
	data[0], raw[1] = 'x', 'x'
	if got, want := string(a.AppendText(nil)), `{"$binary":"AQI="},"raw",{"name":"","data":{"$binary":"AQI="}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAppend(t *testing.T) {
	base := marshal(t, "a", []byte{1})
	one, err1 := base.Append([]byte{2}, 5)
	two, err2 := base.Append("offset")
	same, err3 := base.Append()
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args packet.Args
		want string
	}{
		{base, `"a",{"$binary":"AQ=="}`},
		{one, `"a",{"$binary":"AQ=="},{"$binary":"Ag=="},5`},
		{two, `"a",{"$binary":"AQ=="},"offset"`},
		{same, `"a",{"$binary":"AQ=="}`},
	} {
		if got := string(test.args.AppendText(nil)); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
	if _, err := base.Append(func() {}); err == nil || !strings.Contains(err.Error(), "argument 2") {
		t.Errorf("error %v, want one that names argument 2", err)
	}
}

func TestParseArgs(t *testing.T) {
	a, err := packet.ParseArgs([]byte(` [ "a" , {"k" : [ 1 ]} ] `))
	if err != nil || packet.Elements(a) != `"a",{"k":[1]}` || a.Len() != 2 {
		t.Errorf("got %s, %v", packet.Elements(a), err)
	}
	if a, err = packet.ParseArgs([]byte(`[ ]`)); err != nil || a.Len() != 0 || a.Size() != 0 {
		t.Errorf("empty array: %v, %v", a, err)
	}
	for in, want := range map[string]string{
		``: "invalid JSON", `{}`: "invalid JSON", `[1`: "invalid JSON", `[1]x`: "invalid JSON", `[,]`: "invalid JSON", `[]]`: "invalid JSON", "[\"\xff\"]": "invalid UTF-8",
		strings.Repeat("[", 513) + strings.Repeat("]", 513): "nested too deep",
	} {
		if _, err := packet.ParseArgs([]byte(in)); reason(t, err) != want {
			t.Errorf("%.20s: error %v, want %s", in, err, want)
		}
	}
}

func TestArgsAccess(t *testing.T) {
	values := []any{"a,]", []byte{1}, map[string]any{"k": []any{[]byte{2}, []byte{3}}}, 4, nil, []byte{5}}
	texts := []string{`"a,]"`, ph0, `{"k":[` + ph0 + `,` + ph1 + `]}`, `4`, `null`, ph0}
	a := marshal(t, values...)
	if want := len(packet.Elements(a)) + 4; a.Size() != want {
		t.Errorf("size %d, want %d", a.Size(), want)
	}
	for i, arg := range a.All() {
		if got := string(arg.JSON()); got != texts[i] {
			t.Errorf("All: argument %d is %s, want %s", i, got, texts[i])
		}
		if got := string(a.At(i).JSON()); got != texts[i] {
			t.Errorf("At: argument %d is %s, want %s", i, got, texts[i])
		}
		if arg.HasBinary() != strings.Contains(texts[i], "_placeholder") {
			t.Errorf("argument %d: HasBinary is %v", i, arg.HasBinary())
		}
	}
	for i := range len(values) + 1 {
		for j := i; j <= len(values); j++ {
			s := a.Slice(i, j)
			if got, want := string(s.AppendText(nil)), string(marshal(t, values[i:j]...).AppendText(nil)); got != want || s.Len() != j-i {
				t.Errorf("Slice(%d, %d): %d arguments %s, want %s", i, j, s.Len(), got, want)
			}
			if got, want := packet.Elements(s), packet.Elements(marshal(t, values[i:j]...)); got != want {
				t.Errorf("Slice(%d, %d): text %s, want %s", i, j, got, want)
			}
		}
	}
	for i := range a.All() { // stopping early is allowed
		if i == 1 {
			break
		}
	}
}

func TestArgsPanics(t *testing.T) {
	a := marshal(t, 1, 2)
	for name, f := range map[string]func(){
		"At(-1)": func() { a.At(-1) }, "At(2)": func() { a.At(2) }, "Slice(-1,1)": func() { a.Slice(-1, 1) },
		"Slice(2,1)": func() { a.Slice(2, 1) }, "Slice(0,3)": func() { a.Slice(0, 3) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not panic", name)
				}
			}()
			f()
		}()
	}
}

func TestArgKinds(t *testing.T) {
	a := marshal(t, "é\n", []byte{1, 2}, []any{[]byte{3}}, 1, nil)
	if s, ok := a.At(0).String(); !ok || s != "é\n" {
		t.Errorf("String: %q, %v", s, ok)
	}
	if _, ok := a.At(3).String(); ok {
		t.Error("a number is a string")
	}
	if b, ok := a.At(1).Bytes(); !ok || string(b) != "\x01\x02" {
		t.Errorf("Bytes: %v, %v", b, ok)
	}
	for _, i := range []int{0, 2, 3, 4} {
		if _, ok := a.At(i).Bytes(); ok {
			t.Errorf("argument %d is bytes", i)
		}
	}
	var zero packet.Arg
	if _, ok := zero.String(); ok || string(zero.JSON()) != "null" || string(zero.AppendText(nil)) != "null" {
		t.Error("the zero Arg is not null")
	}
}

// For logs and for storage without attachments, they are JSON values.
func TestArgsAsJSON(t *testing.T) {
	type both struct {
		All packet.Args
		One packet.Arg
	}
	a := marshal(t, "x", []byte{1})
	out, err := json.Marshal(both{a, a.At(1)})
	if want := `{"All":["x",{"$binary":"AQ=="}],"One":{"$binary":"AQ=="}}`; err != nil || string(out) != want {
		t.Errorf("got %s, %v; want %s", out, err, want)
	}
	var in both
	if err := json.Unmarshal([]byte(`{"All":[1, {"a":2}],"One": [ 3 ]}`), &in); err != nil {
		t.Fatal(err)
	}
	if got, want := wire(t, &packet.Packet{Type: packet.Ack, Args: marshal(t, in.All, in.One)}), `3[[1,{"a":2}],[3]]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if in.One.UnmarshalJSON([]byte("{")) == nil || in.All.UnmarshalJSON([]byte("1")) == nil {
		t.Error("invalid JSON was taken")
	}
}

func TestForwardingKeepsArguments(t *testing.T) {
	p, err := feed(packet.Limits{}, text(`52-["x",{"_placeholder":true,"num":1},7,[{"_placeholder":true,"num":0}]]`), bin(1), bin(2))
	if err != nil {
		t.Fatal(err)
	}
	out := packet.Packet{Type: packet.Event, Event: "y", Args: p.Args.Slice(1, 3)}
	if got, want := wire(t, &out), `51-["y",7,[`+ph0+`]] #01`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !reflect.DeepEqual(p.Args.Slice(0, 3), p.Args) {
		t.Error("the slice of everything differs")
	}
}
