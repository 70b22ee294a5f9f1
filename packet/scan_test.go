package packet_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/tutti-rt/tutti/packet"
)

func TestScan(t *testing.T) {
	type inner struct {
		N    int    `json:"n"`
		Data []byte `json:"data"`
	}
	blob := []byte{1, 2}
	tests := []struct {
		name   string
		in     any
		target any // a pointer to what is there before
		want   any
	}{
		{"string", "é\n", new(""), "é\n"},
		{"int", 7, new(0), 7},
		{"int64", 7, new(int64(0)), int64(7)},
		{"uint8", 7, new(uint8(0)), uint8(7)},
		{"bool", true, new(false), true},
		{"bool false", false, new(true), false},
		{"float", 1.5, new(0.0), 1.5},
		{"float of int", 3, new(0.0), 3.0},
		{"null leaves a string", nil, new("before"), "before"},
		{"null leaves an int", nil, new(5), 5},
		{"null clears bytes", nil, new([]byte{5}), []byte(nil)},
		{"null clears any", nil, new(any(5)), nil},
		{"struct", map[string]any{"N": 1, "other": 2}, new(inner{}), inner{N: 1}},
		{"pointer", 5, new((*int)(nil)), new(5)},
		{"slice", []int{1, 2}, new([]int(nil)), []int{1, 2}},
		{
			"any",
			[]any{1, "a", nil, true, map[string]any{"k": 1}},
			new(any(nil)),
			[]any{1.0, "a", nil, true, map[string]any{"k": 1.0}},
		},
		{"any string", "a", new(any(3)), "a"},
		{"raw", []any{1, "a"}, new(json.RawMessage(nil)), json.RawMessage(`[1,"a"]`)},
		{"bytes", blob, new([]byte(nil)), blob},
		{"empty bytes", []byte{}, new([]byte(nil)), []byte{}},
		{"bytes of base64", "AQI=", new([]byte(nil)), blob},
		{"bytes into any", blob, new(any(nil)), any(blob)},
		{"bytes in a struct", inner{1, blob}, new(inner{}), inner{1, blob}},
		{
			"bytes in a map",
			map[string]any{"a": blob, "b": []any{blob, 1, "s", nil}},
			new(map[string]any(nil)),
			map[string]any{"a": blob, "b": []any{blob, 1.0, "s", nil}},
		},
		{
			"bytes in any",
			map[string]any{"a": blob, "b": []any{blob, 1, "s", true, nil}},
			new(any("before")),
			any(map[string]any{"a": blob, "b": []any{blob, 1.0, "s", true, nil}}),
		},
		{"bytes in a slice", []any{blob, "AQI=", nil}, new([][]byte(nil)), [][]byte{blob, blob, nil}},
		{"bytes as raw", []any{blob}, new(json.RawMessage(nil)), json.RawMessage(`[` + ph0 + `]`)},
		{
			"no bytes in any",
			json.RawMessage(ph0),
			new(any(nil)),
			any(map[string]any{"_placeholder": true, "num": 0.0}),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// The first argument has an attachment, so that numbers are not all 0.
			first := any([]byte{99})
			if test.name == "no bytes in any" {
				first = "without attachments there are no placeholders"
			}
			a := marshal(t, first, test.in)
			if err := a.Scan(nil, test.target); err != nil {
				t.Fatal(err)
			}
			if got := reflect.ValueOf(test.target).Elem().Interface(); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %#v, want %#v", got, test.want)
			}
		})
	}
}

func TestScanArg(t *testing.T) {
	a := marshal(t, []byte{1}, map[string]any{"a": []byte{2}, "b": []any{[]byte{3}, []byte{4}}, "c": 5, "d": []any{}})
	var whole packet.Arg
	var parts map[string]packet.Arg
	var lists struct{ B, D packet.Args }
	if err := a.Scan(nil, &whole); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(whole.Scan(&parts), whole.Scan(&lists)); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %s %s %d%s %d", parts["a"].AppendText(nil), parts["b"].AppendText(nil), parts["c"].JSON(),
		lists.B.Len(), lists.B.AppendText(nil), lists.D.Len())
	if want := `{"$binary":"Ag=="} [{"$binary":"Aw=="},{"$binary":"BA=="}] 5 2{"$binary":"Aw=="},{"$binary":"BA=="} 0`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := wire(t, &packet.Packet{Type: packet.Ack, Args: marshal(t, parts["b"])}), `62-[[`+ph0+`,`+ph1+`]] #03 #04`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestScanErrors(t *testing.T) {
	a := marshal(t, "text", 5, []byte{1}, map[string]any{"n": []byte{1}, "o": map[string]any{}})
	var s string
	var n int
	tests := []struct {
		name    string
		args    packet.Args
		targets []any
		index   int
	}{
		{"wrong kind", a, []any{&n}, 0},
		{"wrong kind later", a, []any{&s, &s}, 1},
		{"overflow", marshal(t, 300), []any{new(int8(0))}, 0},
		{"float into int", marshal(t, 1.5), []any{&n}, 0},
		{"1e400 into float", marshal(t, json.RawMessage("1e400")), []any{new(0.0)}, 0},
		{"bytes into string", a, []any{nil, nil, &s}, 2},
		{"bytes into int within", a, []any{nil, nil, nil, new(struct{ N int }{})}, 3},
		{"object into bytes", a, []any{nil, nil, nil, new(struct{ O []byte }{})}, 3},
		{
			"object without attachments into bytes",
			marshal(t, map[string]int{}),
			[]any{new([]byte(nil))},
			0,
		},
		{"object into arguments", a, []any{nil, nil, nil, new(struct{ O packet.Args }{})}, 3},
		{"not a pointer", a, []any{s}, 0},
		{"nil pointer", a, []any{(*string)(nil)}, 0},
		{"nil pointer to Arg", a, []any{(*packet.Arg)(nil)}, 0},
		{"too few", a, []any{&s, &n, nil, nil, &n}, 4},
		{"none", packet.Args{}, []any{&s}, 0},
	}
	for _, test := range tests {
		err := test.args.Scan(test.targets...)
		var e *packet.ScanError
		if !errors.As(err, &e) || e.Index != test.index || e.Error() == "" {
			t.Errorf("%s: error %v, want a *ScanError for argument %d", test.name, err, test.index)
		}
		if short := len(test.targets) > test.args.Len(); errors.Is(err, packet.ErrMissing) != short {
			t.Errorf("%s: error %v, want ErrMissing: %v", test.name, err, short)
		}
	}
	s = "before"
	if err := marshal(t, "after").Scan(&s, &n); err == nil || s != "before" {
		t.Errorf("error %v, target %q; want nothing written when arguments are missing", err, s)
	}
	if err := a.Scan(&s); err != nil || s != "text" {
		t.Errorf("arguments beyond the targets: %v", err)
	}
}

// What a handler scans it may modify: other members share the Args.
func TestScannedBytesAreCopies(t *testing.T) {
	a := marshal(t, []byte{1}, map[string]any{"data": []byte{2}}, json.RawMessage(`"raw"`))
	var direct []byte
	var field struct{ Data []byte }
	var loose map[string]any
	var raw json.RawMessage
	if err := errors.Join(a.Scan(&direct, &field, &raw), a.At(1).Scan(&loose)); err != nil {
		t.Fatal(err)
	}
	direct[0], field.Data[0], loose["data"].([]byte)[0], raw[1] = 9, 9, 9, 'X'
	if got, want := string(a.AppendText(nil)), `{"$binary":"AQ=="},{"data":{"$binary":"Ag=="}},"raw"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
