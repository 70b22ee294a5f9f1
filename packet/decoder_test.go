package packet_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/packet"
)

func TestDecodeFields(t *testing.T) {
	tests := []struct {
		in   string
		want packet.Packet
	}{
		{`0`, packet.Packet{Type: packet.Connect, Namespace: "/"}},
		{`0/`, packet.Packet{Type: packet.Connect, Namespace: "/"}},
		{`0/,{}`, packet.Packet{Type: packet.Connect, Namespace: "/", Data: []byte(`{}`)}},
		{`0/admin`, packet.Packet{Type: packet.Connect, Namespace: "/admin"}},
		{`0/admin,`, packet.Packet{Type: packet.Connect, Namespace: "/admin"}},
		{
			`0/admin,{"token":"t"}`,
			packet.Packet{Type: packet.Connect, Namespace: "/admin", Data: []byte(`{"token":"t"}`)},
		},
		{`0{ "a" : 1 }`, packet.Packet{Type: packet.Connect, Namespace: "/", Data: []byte(`{"a":1}`)}},
		{
			`0/admin?token=t&x=y,`,
			packet.Packet{Type: packet.Connect, Namespace: "/admin", Query: "token=t&x=y"},
		},
		{`0/?a=1`, packet.Packet{Type: packet.Connect, Namespace: "/", Query: "a=1"}},
		{`1/admin?token=t,`, packet.Packet{Type: packet.Disconnect, Namespace: "/admin"}},
		{`0/é`, packet.Packet{Type: packet.Connect, Namespace: "/é"}},
		{`1`, packet.Packet{Type: packet.Disconnect, Namespace: "/"}},
		{`4"no"`, packet.Packet{Type: packet.ConnectError, Namespace: "/", Data: []byte(`"no"`)}},
		{
			`4{"message":"no"}`,
			packet.Packet{Type: packet.ConnectError, Namespace: "/", Data: []byte(`{"message":"no"}`)},
		},
		{`2["x"]`, packet.Packet{Type: packet.Event, Namespace: "/", Event: "x"}},
		{`20["x"]`, packet.Packet{Type: packet.Event, Namespace: "/", HasID: true, Event: "x"}},
		{
			`29007199254740991["x"]`,
			packet.Packet{Type: packet.Event, Namespace: "/", HasID: true, ID: packet.MaxID, Event: "x"},
		},
		{
			`2/a,7["x"]`,
			packet.Packet{Type: packet.Event, Namespace: "/a", HasID: true, ID: 7, Event: "x"},
		},
		{`2["\u00e9\n\ud83d\ude00"]`, packet.Packet{Type: packet.Event, Namespace: "/", Event: "é\n😀"}},
		{`2["\ud800"]`, packet.Packet{Type: packet.Event, Namespace: "/", Event: "\uFFFD"}},
		{`2[1]`, packet.Packet{Type: packet.Event, Namespace: "/", Event: "1"}},
		{`2[-0]`, packet.Packet{Type: packet.Event, Namespace: "/", Event: "0"}},
		{`2[1.50]`, packet.Packet{Type: packet.Event, Namespace: "/", Event: "1.5"}},
		{`2[1e21]`, packet.Packet{Type: packet.Event, Namespace: "/", Event: "1e+21"}},
		{`2[1e400]`, packet.Packet{Type: packet.Event, Namespace: "/", Event: "Infinity"}},
		{`2[-1e400]`, packet.Packet{Type: packet.Event, Namespace: "/", Event: "-Infinity"}},
		{`2["error"]`, packet.Packet{Type: packet.Event, Namespace: "/", Event: "error"}},
		{`3[]`, packet.Packet{Type: packet.Ack, Namespace: "/"}},
		{`312[]`, packet.Packet{Type: packet.Ack, Namespace: "/", HasID: true, ID: 12}},
	}
	for _, test := range tests {
		p, err := feed(packet.Limits{}, text(test.in))
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		if got, want := fmt.Sprintf("%+v", *p), fmt.Sprintf("%+v", test.want); got != want {
			t.Errorf("%s:\n got %s\nwant %s", test.in, got, want)
		}
	}
}

func TestDecodeArgs(t *testing.T) {
	tests := []struct{ in, elements string }{
		{`2["x"]`, ``},
		{`2["x",1]`, `1`},
		{`2["x",1,"a,b",[1,[2]],{"k":"]"}]`, `1,"a,b",[1,[2]],{"k":"]"}`},
		{"2 [ \"x\" , 1 ,\t{ \"k\" :\r\n [ ] } , \" s \" ] ", `1,{"k":[]}," s "`},
		{`3[]`, ``},
		{`3[null]`, `null`},
		{`3[ "\u00e9" ]`, `"\u00e9"`}, // text passes as it was written
	}
	for _, test := range tests {
		p, err := feed(packet.Limits{}, text(test.in))
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
		} else if got := packet.Elements(p.Args); got != test.elements {
			t.Errorf("%s: got %s, want %s", test.in, got, test.elements)
		}
	}
}

func TestDecodeAttachments(t *testing.T) {
	const ph0, ph1 = `{"_placeholder":true,"num":0}`, `{"_placeholder":true,"num":1}`
	tests := []struct {
		name string
		in   []packet.Frame
		want string
	}{
		{"as written", []packet.Frame{text(`51-["x",` + ph0 + `]`), bin(1)}, `51-["x",` + ph0 + `] #01`},
		{"empty", []packet.Frame{text(`51-["x",` + ph0 + `]`), bin()}, `51-["x",` + ph0 + `] #`},
		{
			"out of order",
			[]packet.Frame{text(`52-["x",` + ph1 + `,` + ph0 + `]`), bin(1), bin(2)},
			`52-["x",` + ph0 + `,` + ph1 + `] #02 #01`,
		},
		{
			"nested, spaced, turned round",
			[]packet.Frame{text(`51-["x",{"a":[{ "num" : 0, "_placeholder" : true }]}]`), bin(1)},
			`51-["x",{"a":[` + ph0 + `]}] #01`,
		},
		{
			"escaped name",
			[]packet.Frame{text(`51-["x",{"\u005fplaceholder":true,"n\u0075m":0}]`), bin(1)},
			`51-["x",` + ph0 + `] #01`,
		},
		{
			"last member counts",
			[]packet.Frame{text(`51-["x",{"_placeholder":1,"num":7,"_placeholder":true,"num":0}]`), bin(1)},
			`51-["x",` + ph0 + `] #01`,
		},
		{
			"one within another",
			[]packet.Frame{text(`52-["x",{"_placeholder":true,"num":0,"in":` + ph1 + `}]`), bin(1), bin(2)},
			`51-["x",` + ph0 + `] #01`,
		},
		{
			"one within another of the same number",
			[]packet.Frame{text(`51-["x",{"_placeholder":true,"num":0,"in":` + ph0 + `}]`), bin(1)},
			`51-["x",` + ph0 + `] #01`,
		},
		{
			"unreferenced",
			[]packet.Frame{text(`52-["x",` + ph1 + `]`), bin(1), bin(2)},
			`51-["x",` + ph0 + `] #02`,
		},
		{"none referenced", []packet.Frame{text(`51-["x",1]`), bin(1)}, `2["x",1]`},
		{"no argument", []packet.Frame{text(`51-["x"]`), bin(1)}, `2["x"]`},
		{
			"inside a string",
			[]packet.Frame{text(`51-["x","{\"_placeholder\":true,\"num\":0}",` + ph0 + `]`), bin(1)},
			`51-["x","{\"_placeholder\":true,\"num\":0}",` + ph0 + `] #01`,
		},
		{
			"false and others",
			[]packet.Frame{text(`51-["x",{"_placeholder":false,"num":9},{"num":9},` + ph0 + `]`), bin(1)},
			`51-["x",{"_placeholder":false,"num":9},{"num":9},` + ph0 + `] #01`,
		},
		{"ack", []packet.Frame{text(`61-/a,5[` + ph0 + `]`), bin(1)}, `61-/a,5[` + ph0 + `] #01`},
		{
			"without attachments it is data",
			[]packet.Frame{text(`2["x",{"_placeholder":true,"num":"push"}]`)},
			`2["x",{"_placeholder":true,"num":"push"}]`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := feed(packet.Limits{}, test.in...)
			if err != nil {
				t.Fatal(err)
			}
			if got := wire(t, p); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

// Every way to be wrong that the list of hostile Socket.IO packets has.
func TestDecodeRefuses(t *testing.T) {
	const ph0 = `{"_placeholder":true,"num":0}`
	num := func(n string) []packet.Frame {
		return []packet.Frame{text(`51-["x",{"_placeholder":true,"num":` + n + `}]`), bin(1)}
	}
	one := func(s string) []packet.Frame { return []packet.Frame{text(s)} }
	tests := []struct {
		name   string
		in     []packet.Frame
		reason string
	}{
		{"empty", one(``), "unknown packet type"},
		{"type 7", one(`7`), "unknown packet type"},
		{"type 9", one(`9["x"]`), "unknown packet type"},
		{"type a", one(`a`), "unknown packet type"},
		{"type NUL", one("\x00"), "unknown packet type"},
		{"no attachment count", one(`5-`), "illegal attachments"},
		{"count x", one(`5x-["x"]`), "illegal attachments"},
		{"count 1e9", one(`51e9-["x"]`), "illegal attachments"},
		{"count 0", one(`50-["x"]`), "illegal attachments"},
		{"count -1", one(`5-1-["x"]`), "illegal attachments"},
		{"count without end", one(`5` + strings.Repeat("2", 1_000_000)), "illegal attachments"},
		{
			"count of a million digits",
			one(`5` + strings.Repeat("2", 1_000_000) + `-["x"]`),
			"illegal attachments",
		},
		{"count over the cap", one(`511-["x"]`), "too many attachments"},
		{"count 5999999999", one(`5999999999-["x"]`), "too many attachments"},
		{"num -1", num("-1"), "illegal attachments"},
		{"num 1", num("1"), "illegal attachments"},
		{"num 1.5", num("1.5"), "illegal attachments"},
		{"num string", num(`"0"`), "illegal attachments"},
		{"num push", num(`"push"`), "illegal attachments"},
		{"num 1e9", num("1e9"), "illegal attachments"},
		{"num of a thousand digits", num(strings.Repeat("9", 1000)), "illegal attachments"},
		{"num 2^64", num("18446744073709551616"), "illegal attachments"},
		{"num null", num("null"), "illegal attachments"},
		{"num object", num(ph0), "illegal attachments"},
		{"num missing", []packet.Frame{text(`51-["x",{"_placeholder":true}]`)}, "illegal attachments"},
		{"num twice", []packet.Frame{text(`51-["x",` + ph0 + `,` + ph0 + `]`)}, "illegal attachments"},
		{"placeholder as name", one(`51-[` + ph0 + `]`), "invalid payload"},
		{
			"text while pending",
			[]packet.Frame{text(`51-["x",` + ph0 + `]`), text(`2["y"]`)},
			"text where an attachment is due",
		},
		{
			"binary after the last",
			[]packet.Frame{text(`51-["x",` + ph0 + `]`), bin(1), bin(2)},
			"binary without a packet",
		},
		{
			"binary after a plain packet",
			[]packet.Frame{text(`2["x"]`), bin(1)},
			"binary without a packet",
		},
		{"id 2^53", one(`29007199254740992["x"]`), "illegal ack id"},
		{"id 2^64", one(`218446744073709551616["x"]`), "illegal ack id"},
		{"id of 400 digits", one(`2` + strings.Repeat("1", 400) + `["x"]`), "illegal ack id"},
		{"id negative", one(`2-1["x"]`), "invalid JSON"},
		{"id float", one(`21.5["x"]`), "invalid JSON"},
		{"namespace of 64 kB", one(`0/` + strings.Repeat("n", 65536)), "namespace too long"},
		{"namespace not UTF-8", one("0/\xff,"), "invalid UTF-8"},
		{"query not UTF-8", one("0/a?\xff,"), "invalid UTF-8"},
		{"namespace swallows the payload", one(`2/admin["x"]`), "invalid payload"},
		{"event name null", one(`2[null]`), "invalid payload"},
		{"event name object", one(`2[{}]`), "invalid payload"},
		{"event name array", one(`2[[]]`), "invalid payload"},
		{"event name true", one(`2[true]`), "invalid payload"},
		{"event name of 1 MB", one(`2["` + strings.Repeat("x", 1_000_000) + `"]`), "event name too long"},
		{"event without name", one(`2[]`), "invalid payload"},
		{"event without payload", one(`2`), "invalid payload"},
		{"event object", one(`2{}`), "invalid JSON"},
		{"event string", one(`2"x"`), "invalid JSON"},
		{"ack object", one(`31{}`), "invalid JSON"},
		{"ack without payload", one(`31`), "invalid payload"},
		{"connect array", one(`0[]`), "invalid payload"},
		{"connect string", one(`0"x"`), "invalid payload"},
		{"connect null", one(`0null`), "invalid payload"},
		{"connect true", one(`0/,true`), "invalid payload"},
		{"disconnect payload", one(`1{}`), "invalid payload"},
		{"connect error array", one(`4[]`), "invalid payload"},
		{"connect error number", one(`4/a,-5`), "invalid payload"},
		{"nested 10,000 deep", one(`2["x",` + strings.Repeat("[", 10_000)), "nested too deep"},
		{
			"nested 10,000 deep and closed",
			one(`2["x",` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `]`),
			"nested too deep",
		},
		{"objects 100,000 deep", one(`2["x",` + strings.Repeat(`{"a":`, 100_000)), "nested too deep"},
		{"connect data deep", one(`0` + strings.Repeat(`{"a":`, 600)), "nested too deep"},
		{"raw NUL", one("2[\"x\",\"\x00\"]"), "invalid JSON"},
		{"not UTF-8", one("2[\"x\",\"\xc3\"]"), "invalid UTF-8"},
		{"half a surrogate as UTF-8", one("2[\"x\",\"\xed\xa0\x80\"]"), "invalid UTF-8"},
		{"overlong UTF-8", one("2[\"x\",\"\xc0\xaf\"]"), "invalid UTF-8"},
		{"after the end", one(`2["x"]x`), "invalid JSON"},
	}
	for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
		tests = append(tests, struct {
			name   string
			in     []packet.Frame
			reason string
		}{"reserved " + name, one(`2["` + name + `"]`), "reserved event name"})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := feed(packet.Limits{}, test.in...)
			if got := reason(t, err); got != test.reason {
				t.Errorf("got packet %v, reason %q, want reason %q", p, got, test.reason)
			}
		})
	}
}

// Odd, but every peer may send it.
func TestDecodeTolerates(t *testing.T) {
	for _, in := range []string{
		`2["__proto__"]`, `2["toString"]`, `2["constructor",{"__proto__":{"a":1}}]`, `2["error",{}]`, `2["Connect"]`,
		`2["x",1e400]`, `2["x",{"a":1,"a":2}]`, `2["x","\ud800","\udc00\ud800"]`, `2["x","\u0000"]`,
		`2["x",` + strings.Repeat("[", 511) + strings.Repeat("]", 511) + `]`,
		`2/` + strings.Repeat("n", 1023) + `,["x"]`,
		`2["` + strings.Repeat("x", 4096) + `"]`,
	} {
		if _, err := feed(packet.Limits{}, text(in)); err != nil {
			t.Errorf("%.80s: %v", in, err)
		}
	}
}

func TestLimits(t *testing.T) {
	eleven := []packet.Frame{text(`511-["x"]`), bin(), bin(), bin(), bin(), bin(), bin(), bin(), bin(), bin(), bin(), bin()}
	deep := func(n int) []packet.Frame {
		return []packet.Frame{text(`2["x",` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `]`)}
	}
	big := []packet.Frame{text(`51-["x",{"_placeholder":true,"num":0}]`), bin(make([]byte, 1000)...)}
	tests := []struct {
		name   string
		limits packet.Limits
		in     []packet.Frame
		reason string
	}{
		{"attachments", packet.Limits{MaxAttachments: 11}, eleven, ""},
		{"attachments over", packet.Limits{MaxAttachments: 2}, eleven, "too many attachments"},
		{"attachments, none", packet.Limits{MaxAttachments: -1}, eleven, ""},
		{"depth", packet.Limits{MaxDepth: 3}, deep(3), ""},
		{"depth over", packet.Limits{MaxDepth: 3}, deep(4), "nested too deep"},
		{"depth, default", packet.Limits{}, deep(513), "nested too deep"},
		{"depth, none", packet.Limits{MaxDepth: -1}, deep(10_000), ""},
		{"depth, none is bounded still", packet.Limits{MaxDepth: -1}, deep(10_001), "nested too deep"},
		{
			"depth, no limit of its own is larger",
			packet.Limits{MaxDepth: 1 << 30},
			deep(10_001),
			"nested too deep",
		},
		{
			"namespace",
			packet.Limits{MaxNamespace: 3},
			[]packet.Frame{text(`0/ab?` + strings.Repeat("q", 5000))},
			"",
		},
		{
			"namespace over",
			packet.Limits{MaxNamespace: 3},
			[]packet.Frame{text(`0/abc`)},
			"namespace too long",
		},
		{
			"namespace, none",
			packet.Limits{MaxNamespace: -1},
			[]packet.Frame{text(`0/` + strings.Repeat("n", 5000))},
			"",
		},
		{"event", packet.Limits{MaxEvent: 2}, []packet.Frame{text(`2["ab"]`)}, ""},
		{
			"event over",
			packet.Limits{MaxEvent: 2},
			[]packet.Frame{text(`2["abc"]`)},
			"event name too long",
		},
		{
			"event, none",
			packet.Limits{MaxEvent: -1},
			[]packet.Frame{text(`2["` + strings.Repeat("x", 5000) + `"]`)},
			"",
		},
		{"bytes", packet.Limits{MaxBytes: 1100}, big, ""},
		{"bytes over", packet.Limits{MaxBytes: 1000}, big, "packet too large"},
		{"bytes of text over", packet.Limits{MaxBytes: 30}, big, "packet too large"},
		{"bytes, none", packet.Limits{MaxBytes: -1}, big, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := feed(test.limits, test.in...)
			if got := reason(t, err); got != test.reason {
				t.Errorf("got reason %q, want %q", got, test.reason)
			}
		})
	}
}

func TestDecoderIsDoneAfterAnError(t *testing.T) {
	d := packet.NewDecoder(packet.Limits{})
	if _, err := d.Add(text(`51-["x"]`)); err != nil || !d.Pending() {
		t.Fatalf("error %v, pending %v; want a packet that waits", err, d.Pending())
	}
	_, first := d.Add(text(`2["y"]`))
	if first == nil || d.Pending() {
		t.Fatalf("error %v, pending %v; want an error and nothing kept", first, d.Pending())
	}
	for _, f := range []packet.Frame{text(`2["y"]`), bin(1), text(`0`)} {
		if p, err := d.Add(f); p != nil || err != first {
			t.Errorf("%v: packet %v, error %v; want the first error again", f, p, err)
		}
	}
}

func TestDecoderLearnsTheFormat(t *testing.T) {
	tests := []struct {
		name   string
		frames []packet.Frame
		format packet.Format
		reason string
	}{
		{"nothing yet", nil, packet.JSON, ""},
		{"text first", []packet.Frame{text(`0`)}, packet.JSON, ""},
		{"binary first", []packet.Frame{unhex(t, "82a47479706500a36e7370a12f")}, packet.MessagePack, ""},
		{
			"binary first, then text",
			[]packet.Frame{unhex(t, "82a47479706500a36e7370a12f"), text(`2["x"]`)},
			packet.MessagePack,
			"invalid MessagePack",
		},
		{
			"attachment before its packet",
			[]packet.Frame{bin(1, 2, 3)},
			packet.MessagePack,
			"invalid MessagePack",
		},
	}
	for _, test := range tests {
		d := packet.NewDecoder(packet.Limits{})
		var err error
		for _, f := range test.frames {
			_, err = d.Add(f)
		}
		if d.Format() != test.format || reason(t, err) != test.reason {
			t.Errorf("%s: format %v, error %v; want %v, %q", test.name, d.Format(), err, test.format, test.reason)
		}
	}
}

// A peer that announces attachments and sends none, or empty ones, costs no
// memory to speak of.
func TestPendingIsSmall(t *testing.T) {
	const peers = 1000
	var before, after runtime.MemStats
	decoders := make([]*packet.Decoder, peers)
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range decoders {
		decoders[i] = packet.NewDecoder(packet.Limits{MaxAttachments: -1})
		if _, err := decoders[i].Add(text(`59999999999-["x"]`)); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / peers; each > 2000 {
		t.Errorf("a waiting decoder holds %d bytes, want at most 2000", each)
	}
	runtime.KeepAlive(decoders)

	d := packet.NewDecoder(packet.Limits{MaxAttachments: -1, MaxBytes: 100_000})
	_, err := d.Add(text(`59999999999-["x"]`))
	for i := 0; err == nil; i++ {
		if i > 100_000/24 {
			t.Fatal("empty attachments are not counted")
		}
		_, err = d.Add(bin())
	}
	if reason(t, err) != "packet too large" {
		t.Error(err)
	}
}

func TestTypeAndFormatNames(t *testing.T) {
	got := fmt.Sprint(packet.Connect, packet.Disconnect, packet.Event, packet.Ack, packet.ConnectError, packet.Type(9), packet.JSON, packet.MessagePack)
	if want := "CONNECT DISCONNECT EVENT ACK CONNECT_ERROR Type(9) json msgpack"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
