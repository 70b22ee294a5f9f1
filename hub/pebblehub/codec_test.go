package pebblehub

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tutti-rt/tutti/hub"
)

// TestKeyOrder: keys are ordered as what they stand for, and those of a room
// are exactly those between its first and what after returns.
func TestKeyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 0x7f, 0x80, 0xff}), 0, 200)
		a, b := string(name.Draw(t, "a")), string(name.Draw(t, "b"))
		p, q := hub.Position(rapid.Uint64().Draw(t, "p")), hub.Position(rapid.Uint64().Draw(t, "q"))
		ns := nsID(rapid.Uint32().Draw(t, "ns"))
		k, l := historyKey(ns, a, p), historyKey(ns, a, q)
		if got := bytes.Compare(k, l) < 0; got != (p < q) {
			t.Fatalf("positions %d, %d: order %t", p, q, got)
		}
		if got, err := position(k); err != nil || got != p {
			t.Fatalf("position %d, %v; want %d", got, err, p)
		}
		first, end := historyKey(ns, a, 0), after(historyKey(ns, a, ^hub.Position(0)))
		other := historyKey(ns, b, q)
		inside := bytes.Compare(other, first) >= 0 && bytes.Compare(other, end) < 0
		if inside != (a == b) {
			t.Fatalf("key of room %q among those of %q: %t", b, a, inside)
		}
		if bytes.Compare(tapeKey(ns, p), tapeKey(ns, q)) != bytes.Compare(k, l) {
			t.Fatal("tape and history disagree")
		}
		if all := key(kindTape, ns); bytes.Compare(tapeKey(ns, p), all) < 0 || bytes.Compare(tapeKey(ns, p), after(all)) >= 0 {
			t.Fatal("a key outside its namespace")
		}
	})
}

// TestCodecs: what is written is read.
func TestCodecs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := message{
			time:  time.Unix(rapid.Int64Range(-1e11, 1e11).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")),
			rooms: rapid.SliceOfN(rapid.String(), 0, 5).Draw(t, "rooms"),
			body:  rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		}
		got, err := readMessage(appendMessage(nil, m))
		if err != nil || !got.time.Equal(m.time) || !slices.Equal(got.rooms, m.rooms) || !bytes.Equal(got.body, m.body) {
			t.Fatalf("message %+v became %+v, %v", m, got, err)
		}
		size, when, err := bodySize(appendMessage(nil, m))
		if err != nil || size != int64(len(m.body)) || !when.Equal(m.time) {
			t.Fatalf("size %d, %v, %v", size, when, err)
		}
		n := rapid.Int64Range(0, 1<<62)
		r := room{
			limit: hub.HistoryLimit{Count: int(n.Draw(t, "count")), Bytes: n.Draw(t, "bytes"), Age: time.Duration(n.Draw(t, "age"))},
			count: n.Draw(t, "n"), bytes: n.Draw(t, "b"),
			first: hub.Position(rapid.Uint64().Draw(t, "first")), last: hub.Position(rapid.Uint64().Draw(t, "last")), oldest: m.time,
		}
		if got, err := readRoom(appendRoom(nil, &r)); err != nil || got != r {
			t.Fatalf("room %+v became %+v, %v", r, got, err)
		}
		s := state{epoch: "e" + rapid.String().Draw(t, "epoch"), reserved: r.last, floor: r.first}
		if got, err := readState(appendState(nil, s)); err != nil || got != s {
			t.Fatalf("state %+v became %+v, %v", s, got, err)
		}
		u := unsynced{boot: rapid.String().Draw(t, "boot"), restored: rapid.Bool().Draw(t, "restored"), namespaces: append([]string{}, m.rooms...)}
		lines := append([]string{u.boot, "false", "some"}, u.namespaces...)
		if u.restored {
			lines[1] = "true"
		}
		if got := parseUnsynced(seal(lines)); got.boot != u.boot || got.restored != u.restored || !slices.Equal(got.namespaces, u.namespaces) {
			t.Fatalf("unsynced %+v became %+v", u, got)
		}
	})
}

// FuzzValues: no value makes a reader panic or use much memory, and what a
// reader accepts it would write the same way, but for longer forms of numbers.
func FuzzValues(f *testing.F) {
	f.Add([]byte{kindTape, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9}, appendMessage(nil, message{time: time.Unix(1, 2), rooms: []string{"a", ""}, body: []byte("x")}))
	f.Add([]byte{kindRoom, 0, 0, 0, 1, 'r'}, appendRoom(nil, &room{limit: hub.HistoryLimit{Count: 3}, count: 1, oldest: time.Unix(5, 0)}))
	f.Add([]byte{kindState, 0, 0, 0, 1}, appendState(nil, state{epoch: "e", reserved: 70000}))
	f.Add([]byte{kindNamespace, '/'}, []byte{0, 0, 0, 1})
	f.Add([]byte{kindHistory, 0, 0, 0, 0}, []byte{0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, k, value []byte) {
		_ = verify(k, value)
		if m, err := readMessage(value); err == nil {
			again, err := readMessage(appendMessage(nil, m))
			if err != nil || !again.time.Equal(m.time) || !slices.Equal(again.rooms, m.rooms) || !bytes.Equal(again.body, m.body) {
				t.Errorf("message %+v became %+v, %v", m, again, err)
			}
		}
		if r, err := readRoom(value); err == nil {
			if again, err := readRoom(appendRoom(nil, &r)); err != nil || again != r {
				t.Errorf("room %+v became %+v, %v", r, again, err)
			}
		}
		if s, err := readState(value); err == nil {
			if again, err := readState(appendState(nil, s)); err != nil || again != s {
				t.Errorf("state %+v became %+v, %v", s, again, err)
			}
		}
	})
}

// FuzzUnsynced: whatever the file says, reading it decides for the worst or
// for what was sealed.
func FuzzUnsynced(f *testing.F) {
	f.Add(seal([]string{"boot", "false", "some", "/chat"}))
	f.Add("")
	f.Add("00000000\n")
	f.Fuzz(func(t *testing.T, text string) {
		u := parseUnsynced(text)
		if !u.lost("this boot") && u.boot != "this boot" {
			t.Errorf("%q: nothing lost though the boot was %q", text, u.boot)
		}
	})
}
