package packet_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/tutti-rt/tutti/packet"
)

// Every text of up to four of these pieces: the scanner says what encoding/json
// says.
func TestScannerExhaustively(t *testing.T) {
	pieces := []string{"[", "]", "{", "}", ",", ":", `"`, `\`, "0", "1", "-", ".", "e", "+", " ", "null", "u00e9", "\x01", "é"}
	var try func(text string, left int)
	try = func(text string, left int) {
		if got, want := packet.Scan([]byte(text), 100) == "", json.Valid([]byte(text)); got != want {
			t.Errorf("%q: valid %v, encoding/json says %v", text, got, want)
		}
		if left == 0 {
			return
		}
		for _, piece := range pieces {
			try(text+piece, left-1)
		}
	}
	try("", 4)
}

// random makes a value as JSON decodes one, with bytes here and there; *blobs
// is how many of those there may still be.
func random(r *rand.Rand, depth int, blobs *int) any {
	kinds := 8
	if depth == 0 {
		kinds = 6
	}
	switch r.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return float64(r.Int64N(1<<40) - 1<<39)
	case 3:
		return r.NormFloat64() * 1e6
	case 4:
		return randomText(r)
	case 5:
		if *blobs == 0 {
			return ""
		}
		*blobs--
		data := make([]byte, r.IntN(20))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		return data
	case 6:
		list := make([]any, r.IntN(20))
		for i := range list {
			list[i] = random(r, depth-1, blobs)
		}
		return list
	}
	members := map[string]any{}
	for range r.IntN(20) {
		members[randomText(r)] = random(r, depth-1, blobs)
	}
	return members
}

func randomText(r *rand.Rand) string {
	letters := []rune("ab\"\\/<&{}[],: \n\x00\u007fé€😀\u2028")
	var b strings.Builder
	for range r.IntN(40) {
		b.WriteRune(letters[r.IntN(len(letters))])
	}
	return b.String()
}

// A value that went through both formats is still that value.
func TestRandomValuesSurvive(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		blobs := 10
		values := make([]any, r.IntN(5))
		for i := range values {
			values[i] = random(r, 3, &blobs)
		}
		p := &packet.Packet{Type: packet.Event, Event: randomText(r), Args: marshal(t, values...)}
		for _, format := range []packet.Format{packet.JSON, packet.MessagePack, packet.JSON} {
			frames, err := format.Encode(p)
			if err != nil {
				t.Fatal(err)
			}
			next, err := feed(packet.Limits{}, frames...)
			if err != nil {
				t.Fatalf("%v: %s: %v", format, show(frames), err)
			}
			if next.Event != p.Event {
				t.Fatalf("event %q became %q", p.Event, next.Event)
			}
			p = next
		}
		for i, want := range values {
			var got any
			if err := p.Args.At(i).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("got %#v, want %#v", got, want)
			}
		}
	}
}

// Every prefix of a good packet, and every packet with one byte changed, is
// refused or is a good packet too.
func TestDamagedPackets(t *testing.T) {
	const upload = `52-/chat,7["upload",{"a":` + ph0 + `,"b":[` + ph1 + `,"\u00e9"]}]`
	whole, err := feed(packet.Limits{}, text(upload), bin(1), bin(2))
	if err != nil {
		t.Fatal(err)
	}
	packed := must(packet.MessagePack.Encode(whole))[0].Data
	try := func(frames ...packet.Frame) {
		p, err := feed(packet.Limits{}, frames...)
		if err == nil && p != nil {
			checkPacket(t, p)
		}
	}
	for _, in := range []string{upload, chat, `0/chat?a=b,{"token":"t"}`, `4/x,{"message":"no"}`, `31["ok",1.5e3]`} {
		for i := range in {
			try(text(in[:i]), bin(1), bin(2))
			for _, c := range []byte("0\"\\,[]{}:-9 \xff") {
				damaged := []byte(in)
				damaged[i] = c
				try(packet.Frame{Data: damaged}, bin(1), bin(2))
			}
		}
	}
	for i := range packed {
		if p, err := feed(packet.Limits{}, bin(packed[:i]...)); err == nil {
			t.Errorf("the first %d bytes of %d are %v", i, len(packed), p)
		}
		for c := range 256 {
			damaged := bytes.Clone(packed)
			damaged[i] = byte(c)
			try(packet.Frame{Data: damaged, Binary: true})
		}
	}
}

// Packets of one session do not disturb each other.
func TestSessionOfManyPackets(t *testing.T) {
	d := packet.NewDecoder(packet.Limits{})
	var got []string
	var kept []*packet.Packet
	for i := range 3 {
		n := byte(i)
		for _, f := range []packet.Frame{
			text(fmt.Sprintf(`2/a,["plain",%d]`, i)),
			text(`52-/b,["two",` + ph1 + `,` + ph0 + `]`), bin(n), bin(n + 1),
			text(fmt.Sprintf(`3%d[]`, i)),
			text(`61-/a,1[` + ph0 + `]`), bin(n),
			text(`1/b,`), text(`0`),
		} {
			p, err := d.Add(f)
			if err != nil {
				t.Fatal(err)
			}
			if p != nil {
				got = append(got, wire(t, p))
				kept = append(kept, p)
			}
		}
	}
	if d.Pending() {
		t.Error("a packet is pending")
	}
	for i, p := range kept {
		if wire(t, p) != got[i] {
			t.Errorf("packet %d was %s and is %s", i, got[i], wire(t, p))
		}
	}
	want := strings.Join([]string{
		`2/a,["plain",2]`, `52-/b,["two",` + ph0 + `,` + ph1 + `] #03 #02`, `32[]`, `61-/a,1[` + ph0 + `] #02`, `1/b,`, `0`,
	}, "\n")
	if tail := strings.Join(got[12:], "\n"); tail != want {
		t.Errorf("got\n%s\nwant\n%s", tail, want)
	}
}

// Arguments are shared by all members of a room, and values are made into
// arguments on many goroutines at a time: the race detector watches.
func TestConcurrentUse(t *testing.T) {
	shared := marshal(t, "x", []byte{1}, map[string]any{"data": []byte{2}})
	want := string(shared.AppendText(nil))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { // ends by itself; waited for below
			for j := range 100 {
				data := bytes.Repeat([]byte{byte(i)}, j)
				own, err := packet.Marshal([]any{data, packet.Arg{}, shared.At(2)})
				if err != nil {
					t.Error(err)
					return
				}
				var back []packet.Arg
				if err := own.Scan(&back); err != nil {
					t.Error(err)
					return
				}
				if b, ok := back[0].Bytes(); !ok || !bytes.Equal(b, data) {
					t.Errorf("goroutine %d: %v came back as %v", i, data, b)
				}
				if _, err := shared.Append(data, j); err != nil {
					t.Error(err)
				}
				var file struct{ Data []byte }
				if err := shared.Slice(2, 3).Scan(&file); err != nil || file.Data[0] != 2 {
					t.Errorf("shared argument: %v, %v", file, err)
				}
				must(packet.JSON.Encode(&packet.Packet{Type: packet.Ack, Args: shared}))
				must(packet.MessagePack.Encode(&packet.Packet{Type: packet.Ack, Args: shared}))
			}
		})
	}
	wg.Wait()
	if got := string(shared.AppendText(nil)); got != want {
		t.Errorf("shared arguments are %s, want %s", got, want)
	}
}

func BenchmarkScannerHostile(b *testing.B) {
	for name, s := range map[string]string{
		"nesting": strings.Repeat("[", 500) + strings.Repeat("]", 500),
		"escapes": `"` + strings.Repeat(`\u00e9`, 1000) + `"`,
		"UTF-8":   `"` + strings.Repeat("é", 1000) + `"`,
		"digits":  strings.Repeat("1", 1000),
	} {
		b.Run(name, func(b *testing.B) {
			in := []byte(s)
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				packet.Scan(in, 512)
			}
		})
	}
}
