package packet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/packet"
)

type base struct {
	ID   int `json:"id"`
	Name string
}

type tagged struct {
	base
	Renamed   string            `json:"renamed"`
	Hidden    string            `json:"-"`
	Empty     string            `json:"empty,omitempty"`
	Zero      time.Time         `json:"zero,omitzero"`
	Quoted    int               `json:"quoted,string"`
	Pointer   *int              `json:"pointer"`
	Map       map[string]int    `json:"map"`
	Numbers   map[int]string    `json:"numbers"`
	Any       any               `json:"any"`
	List      []string          `json:"list"`
	Array     [3]int            `json:"array"`
	Raw       json.RawMessage   `json:"raw"`
	Number    json.Number       `json:"number"`
	Duration  time.Duration     `json:"duration"`
	Interface json.Marshaler    `json:"interface"`
	Addr      netip.Addr        `json:"addr"`
	Bools     []bool            `json:"bools"`
	Nested    []map[string]base `json:"nested"`
	unused    int
}

// shout has a MarshalJSON of its own.
type shout string

// MarshalJSON writes s in capitals.
func (s shout) MarshalJSON() ([]byte, error) { return json.Marshal(strings.ToUpper(string(s))) }

// UnmarshalJSON takes any string.
func (s *shout) UnmarshalJSON(text []byte) error {
	var plain string
	if err := json.Unmarshal(text, &plain); err != nil {
		return err
	}
	*s = shout(strings.ToLower(plain))
	return nil
}

// onPointer has its method on the pointer only.
type onPointer struct{ n int }

// MarshalJSON writes a number.
func (p *onPointer) MarshalJSON() ([]byte, error) { return json.Marshal(p.n) }

func goValues() []any {
	full := tagged{
		base: base{1, "n"}, Renamed: "<&>", Hidden: "h", Quoted: 5, Pointer: new(7), Map: map[string]int{"b": 1, "a": 2},
		Numbers: map[int]string{10: "x", 9: "y"}, Any: []any{1, "a", nil}, List: []string{}, Raw: json.RawMessage(`{"a":[1]}`),
		Number: "1.50", Duration: time.Second, Interface: shout("loud"), Addr: netip.MustParseAddr("::1"),
		Bools: []bool{true, false}, Nested: []map[string]base{{"k": {2, "m"}}},
	}
	full.unused = 1
	return []any{
		tagged{},
		full,
		&full,
		[]tagged{full},
		map[string]any{"z": full, "a": nil, "": []int(nil)},
		shout("abc"),
		[]shout{"abc"},
		map[shout]int{"k": 1},
		onPointer{1},
		&onPointer{2},
		[]onPointer{{3}},
		[]*onPointer{{4}, nil},
		time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("", 3600)),
		time.Minute,
		big.NewInt(1 << 40),
		url.URL{Scheme: "s", Host: "h"},
		errors.New("an error has no exported fields"),
		struct{}{},
		struct{ A, B any }{1, "x"},
		[2]string{"a", "b"},
		[0]int{},
		map[string]string(nil),
		[]string(nil),
		int16(-3),
		uint(4),
		uintptr(5),
		float32(1.25),
		float32(1e-7),
		[]float64{0, 1e20, 1e21, 1e-6, 1e-7, 123456789.125},
		json.Number("12"),
		"\u2028 \\ \" / \x00 \x7f é",
	}
}

// But for what its documentation says, Marshal writes what encoding/json writes.
func TestMarshalIsLikeEncodingJSON(t *testing.T) {
	for _, v := range goValues() {
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		line := strings.TrimSuffix(want.String(), "\n")
		line = strings.ReplaceAll(line, `\u2028`, "\u2028") // JSON.stringify leaves them
		a, err := packet.Marshal(v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
		} else if got := packet.Elements(a); got != line {
			t.Errorf("%T:\n got %s\nwant %s", v, got, line)
		}
	}
}

// Scan reads what encoding/json reads, into whatever was there before, and
// refuses what it refuses.
func TestScanIsLikeEncodingJSON(t *testing.T) {
	texts := []string{
		`null`, `true`, `1`, `-1`, `1.5`, `300`, `1e3`, `18446744073709551616`, `"a"`, `""`, `"12"`, `"AQI="`, `"\ud800"`, `[]`, `[1,2,3,4]`, `["a"]`, `[[1],[2]]`, `[null]`,
		`{}`, `{"id":5,"Name":"x"}`, `{"ID":5,"NAME":"x"}`, `{"id":"5"}`, `{"a":1,"b":2,"a":3}`, `{"1":"x"}`, `{"renamed":"r","quoted":"7","pointer":3,"any":{"k":[1]},"raw":{"z":1}}`,
		`{"map":{"a":1},"array":[1,2],"list":null,"number":1.50,"duration":5,"addr":"::2"}`, `{"unknown":{"deep":[1,{"x":2}]},"id":9}`, `"2026-01-02T03:04:05Z"`,
	}
	targets := func() []any {
		return []any{
			new(any), new(any(5)), new(""), new("before"), new(0), new(int8(1)), new(uint16(2)), new(int64(3)), new(0.5), new(float32(1)), new(true),
			new([]int{9, 9}), new([]string(nil)), new([2]int{8, 8}), new([][]int(nil)), new(map[string]int{"before": 1}), new(map[string]any(nil)), new(map[int]string(nil)),
			new(base{7, "before"}), &tagged{Renamed: "before", Pointer: new(1), Map: map[string]int{"before": 1}}, new(&base{7, "before"}), new((*base)(nil)),
			new(json.RawMessage(nil)), new(json.Number("")), new(shout("")), new([]byte("before")), new(time.Time{}), new(time.Duration(0)), new(struct{}{}),
		}
	}
	for _, text := range texts {
		a, err := packet.ParseArgs([]byte("[" + text + "]"))
		if err != nil {
			t.Fatal(err)
		}
		std := targets()
		for i, target := range targets() {
			errOurs, errStd := a.Scan(target), json.Unmarshal([]byte(text), std[i])
			if (errOurs == nil) != (errStd == nil) {
				t.Errorf("%s into %T: error %v, encoding/json says %v", text, target, errOurs, errStd)
			}
			if errStd == nil && !reflect.DeepEqual(target, std[i]) {
				t.Errorf("%s into %T: got %+v, want %+v", text, target, reflect.ValueOf(target).Elem(), reflect.ValueOf(std[i]).Elem())
			}
		}
	}
}

// The same with an attachment in the argument, which takes another way.
func TestScanBesideAttachments(t *testing.T) {
	type upload struct {
		tagged
		Data  []byte
		Loose any
	}
	in := upload{tagged: goValues()[1].(tagged), Data: []byte{1}, Loose: map[string]any{"deep": []any{[]byte{2}, 3.0}}}
	in.Hidden, in.unused = "", 0
	in.Any = []any{1.0, "a", nil}
	in.Interface = nil
	out := upload{Loose: "before"}
	if err := marshal(t, in).Scan(&out); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(out, in) {
		t.Errorf("got  %+v\nwant %+v", out, in)
	}
}

// faulty fails half way through.
type faulty struct{}

var errFaulty = errors.New("faulty")

// MarshalJSON fails.
func (faulty) MarshalJSON() ([]byte, error) { return nil, errFaulty }

// UnmarshalJSON fails.
func (*faulty) UnmarshalJSON([]byte) error { return errFaulty }

// liar writes what is not JSON.
type liar struct{}

// MarshalJSON returns half an object.
func (liar) MarshalJSON() ([]byte, error) { return []byte(`{"a":`), nil }

func TestErrorsOfValuesComeThrough(t *testing.T) {
	if _, err := packet.Marshal([]any{[]byte{1}, faulty{}}); !errors.Is(err, errFaulty) {
		t.Errorf("error %v, want the value's own", err)
	}
	if _, err := packet.Marshal([]any{[]byte{1}, liar{}}); err == nil {
		t.Error("half an object was taken")
	}
	var unsupported *packet.Error
	if _, err := packet.Marshal(json.RawMessage("{")); !errors.As(err, &unsupported) || unsupported.Reason != "invalid JSON" {
		t.Errorf("error %v, want a *packet.Error", err)
	}
	a := marshal(t, 1, []byte{1})
	for i := range 2 {
		targets := []any{nil, nil}
		targets[i] = new(faulty)
		var e *packet.ScanError
		if err := a.Scan(targets...); !errors.Is(err, errFaulty) || !errors.As(err, &e) || e.Index != i {
			t.Errorf("error %v, want the target's own for argument %d", err, i)
		}
	}
	// What failed leaves nothing behind in what is used again.
	if got, want := wire(t, &packet.Packet{Type: packet.Ack, Args: marshal(t, [][]byte{{7}})}), `61-[[`+ph0+`]] #07`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A value whose method panics takes nothing with it.
type explosive struct{}

// MarshalJSON panics.
func (explosive) MarshalJSON() ([]byte, error) { panic("boom") }

func TestMarshalAfterAPanic(t *testing.T) {
	for range 10 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_, _ = packet.Marshal([]any{[]byte{1}, explosive{}})
		}()
		if got, want := wire(t, &packet.Packet{Type: packet.Ack, Args: marshal(t, [][]byte{{7}})}), `61-[[`+ph0+`]] #07`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
