package packet_test

import (
	"encoding/json"
	"testing"

	"github.com/tutti-rt/tutti/packet"
)

// chat is an event as applications send them, about 150 bytes.
const chat = `2["chat message",{"room":"general","text":"Hello everybody, how are you today?","at":1767225600123,"tags":["a","b"],"draft":false},"second argument",3]`

// Allocations are what a hundred thousand connections feel. The race detector
// adds one here and there: where it does the budget says "+ 1".
func TestAllocationBudgets(t *testing.T) {
	d := packet.NewDecoder(packet.Limits{})
	decode := func(s string) func() {
		f := text(s)
		return func() {
			if _, err := d.Add(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, err := feed(packet.Limits{}, text(chat))
	if err != nil {
		t.Fatal(err)
	}
	encode := func(f packet.Format) func() {
		return func() {
			if _, err := f.Encode(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	packed, packedChat := packet.NewDecoder(packet.Limits{}), must(packet.MessagePack.Encode(p))
	var name string
	var n int
	short := marshal(t, "text", 5)
	tests := []struct {
		name   string
		budget float64
		run    func()
	}{
		{"decode an event: packet, name, arguments", 3, decode(chat)},
		{"decode an event in a namespace: the name of the namespace is kept", 3, decode(`2/chat,["x",1]`)},
		{"decode an ack: packet, arguments", 2, decode(`31["ok"]`)},
		{"decode an empty ack: packet", 1, decode(`31[]`)},
		{"decode a connect: packet", 1, decode(`0`)},
		{"encode an event: frames, text", 2, encode(packet.JSON)},
		{"encode as MessagePack: frames, bytes, counts", 4 + 1, encode(packet.MessagePack)},
		{"decode MessagePack: packet, name, arguments growing once", 6, func() {
			if _, err := packed.Add(packedChat[0]); err != nil {
				t.Fatal(err)
			}
		}},
		{"scan a string and an int: the string", 1, func() {
			if short.Scan(&name, &n) != nil {
				t.Fatal("scan")
			}
		}},
		{"marshal a string and an int: the text", 2, func() {
			if _, err := packet.Marshal("text", 5); err != nil {
				t.Fatal(err)
			}
		}},
		{"go through the arguments", 0, func() {
			for _, arg := range p.Args.All() {
				n += len(arg.JSON())
			}
		}},
		{"take one argument", 0, func() { n += len(p.Args.At(2).JSON()) + p.Args.Slice(1, 3).Len() }},
	}
	for _, test := range tests {
		if got := testing.AllocsPerRun(100, test.run); got > test.budget {
			t.Errorf("%s: %v allocations, want at most %v", test.name, got, test.budget)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	d := packet.NewDecoder(packet.Limits{})
	f := text(chat)
	b.SetBytes(int64(len(chat)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Add(f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeAttachment(b *testing.B) {
	d := packet.NewDecoder(packet.Limits{})
	head, data := text(`51-["upload","name",`+ph0+`]`), bin(make([]byte, 1000)...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Add(head); err != nil {
			b.Fatal(err)
		}
		if p, err := d.Add(data); p == nil || err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeMessagePack(b *testing.B) {
	frames := must(packet.MessagePack.Encode(chatPacket(b)))
	d := packet.NewDecoder(packet.Limits{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Add(frames[0]); err != nil {
			b.Fatal(err)
		}
	}
}

func chatPacket(b *testing.B) *packet.Packet {
	p, err := feed(packet.Limits{}, text(chat))
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func BenchmarkEncode(b *testing.B) {
	p := chatPacket(b)
	for _, format := range []packet.Format{packet.JSON, packet.MessagePack} {
		b.Run(format.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				must(format.Encode(p))
			}
		})
	}
}

// The scanner against the standard library, on the same text.
func BenchmarkSplit(b *testing.B) {
	array := []byte(chat[1:])
	b.Run("scanner", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := packet.ParseArgs(array); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("std", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var args []json.RawMessage
			if err := json.Unmarshal(array, &args); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("std, only valid", func(b *testing.B) {
		for b.Loop() {
			json.Valid(array)
		}
	})
}

type message struct {
	Room  string   `json:"room"`
	Text  string   `json:"text"`
	At    int64    `json:"at"`
	Tags  []string `json:"tags"`
	Draft bool     `json:"draft"`
}

func BenchmarkScan(b *testing.B) {
	p := chatPacket(b)
	b.ReportAllocs()
	for b.Loop() {
		var m message
		var s string
		var n int
		if err := p.Args.Scan(&m, &s, &n); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	m := message{Room: "general", Text: "Hello everybody, how are you today?", At: 1767225600123, Tags: []string{"a", "b"}}
	b.Run("struct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := packet.Marshal(m, "second argument", 3); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("scalars", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := packet.Marshal("first", "second argument", 3, true); err != nil {
				b.Fatal(err)
			}
		}
	})
}
