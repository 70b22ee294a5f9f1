package websocket_test

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/internal/websocket"
)

// FuzzReader feeds any bytes in one piece and in random pieces: both must mean
// the same, nothing may panic, and no message may break a limit.
func FuzzReader(f *testing.F) {
	for _, seed := range [][]byte{
		frame(fin|text, "hello"),
		join(frame(text, "a"), frame(fin|ping, "p"), frame(cont, ""), frame(fin|cont, "b"), frame(fin|bin, "\xff")),
		join(frame(fin|clos, closePayload(1000, "bye")), frame(fin|text, "x")),
		frame(fin|rsv1|text, deflated(strings.Repeat("all together ", 20))),
		frame(fin|rsv1|bin, deflated(strings.Repeat("\x00", 10_000))),
		join(frame(rsv1|text, "\xf2\x48"), frame(fin|cont, "\xcd\xc9\xc9\x07\x00")),
		declared(1 << 62), declared(1 << 63), frame(fin|bin, strings.Repeat("x", 300)),
		{fin | text, 0}, {fin | text, 0xfe, 0, 1, 0, 0, 0, 0, 'a'},
	} {
		f.Add(seed, uint64(1), true)
		f.Add(seed, uint64(2), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, deflate bool) {
		o := websocket.Options{MaxMessage: 1000, MaxFragments: 8}
		if deflate {
			o.Deflate = &websocket.Deflate{}
		}
		whole := feed(t, slices.Values([][]byte{slices.Clone(data)}), o)
		pieces := feed(t, chunks(slices.Clone(data), seed), o)
		if whole != pieces {
			t.Errorf("in one piece:\n%s\nin pieces:\n%s", whole, pieces)
		}
	})
}

// feed returns all that came of the chunks.
func feed(t *testing.T, chunks iter.Seq[[]byte], o websocket.Options) string {
	var b strings.Builder
	err := websocket.Feed(chunks, o, func(data []byte, binary bool) error {
		if o.MaxMessage > 0 && int64(len(data)) > o.MaxMessage {
			t.Errorf("a message of %d bytes", len(data))
		}
		fmt.Fprintf(&b, "%v %s\n", binary, data)
		return nil
	})
	fmt.Fprint(&b, err)
	return b.String()
}

// chunks cuts data at random, with every piece in memory of its own, as short
// as it looks.
func chunks(data []byte, seed uint64) iter.Seq[[]byte] {
	random := rand.New(rand.NewPCG(seed, 0))
	return func(yield func([]byte) bool) {
		for len(data) > 0 {
			n := 1 + random.IntN(min(len(data), 1<<random.IntN(10)))
			if !yield(slices.Clip(slices.Clone(data[:n]))) {
				return
			}
			data = data[n:]
		}
	}
}

// Random conversations, cut at random, are understood as they were meant.
func TestRandomConversations(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		var sent []byte
		var want strings.Builder
		for range 20 {
			size := random.IntN(1 << random.IntN(17))
			payload := strings.Repeat(string(rune('a'+random.IntN(26))), size)
			binary := random.IntN(2) == 0
			fmt.Fprintf(&want, "%v %s\n", binary, payload)
			first := byte(text)
			if binary {
				first = bin
			}
			for pieces := random.IntN(4); pieces > 0; pieces-- {
				n := random.IntN(len(payload) + 1)
				sent = appendClientFrame(sent, first, payload[:n])
				first, payload = cont, payload[n:]
				if random.IntN(2) == 0 {
					sent = appendClientFrame(sent, fin|ping, "between")
				}
			}
			sent = appendClientFrame(sent, fin|first, payload)
		}
		want.WriteString("<nil>")
		got := feed(t, chunks(sent, seed), websocket.Options{MaxMessage: 1 << 20})
		if got != want.String() {
			t.Fatalf("seed %d: the conversation was misunderstood", seed)
		}
	}
}

// A declared length costs nothing until the bytes come, and then twice as much
// at most.
func TestDeclaredLengthIsNotBelieved(t *testing.T) {
	for name, sent := range map[string][]byte{
		"header only":     declared(900_000),
		"and one byte":    append(declared(900_000), 'x'),
		"many fragments":  join(frame(text, "x"), repeat(frame(cont, "x"), 1000)),
		"many small ones": repeat(frame(fin|bin, strings.Repeat("x", 100)), 1000),
	} {
		n := allocated(func() { feed(t, slices.Values([][]byte{slices.Clone(sent)}), websocket.Options{}) })
		// The clone, what the test writes down, and the connection are counted too.
		if n > uint64(20*len(sent)+16_000) {
			t.Errorf("%s: %d bytes allocated for %d received", name, n, len(sent))
		}
	}
}

// allocated returns how many bytes f allocates, and whoever runs beside it.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
