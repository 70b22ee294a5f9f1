package redishub_test

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/redishub"
)

// TestForeign: somebody else says something on our channels. It is counted and
// nothing more, and what is ours goes on.
func TestForeign(t *testing.T) {
	s := startServer(t)
	var ignored atomic.Int64
	cfg := quick(s.url())
	cfg.Trace = &redishub.Trace{Ignored: func() { ignored.Add(1) }}
	a := join(t, cfg, "r")
	all, own, space, room := redishub.Channels("tutti", a.engine.Node(), "/", "r")
	foreign := []string{"", "x", "m", "m1", "m 1", "m99999999999999999999 \x00", "m0 \x00", "mx \x00", "m12 \xff\xff", "m12 \x05\x01",
		"m9007199254740991 \x00x", "e", "ex", "e x", "e 1", "c", "c\x00", "c\x09abc", "c\x03abc", "c\x03abc\x02\x01", "t", "t\xffx", "{\"event\":1}"}
	a.say("r", "0")
	for i, payload := range foreign {
		for _, channel := range []string{all, own, space, room} {
			if s.say("PUBLISH", channel, payload) == "" {
				t.Fatal("cannot publish")
			}
		}
		a.say("r", fmt.Sprint(1+i))
	}
	a.wants(numbers(0, 1+len(foreign)))
	if n := ignored.Load(); n < 60 {
		t.Errorf("%d were ignored", n)
	}
}

func FuzzValue(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "$3\r\nabc\r\n", "*2\r\n:1\r\n_\r\n", ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nmx\r\n", "%1\r\n+a\r\n#t\r\n",
		"-ERR x\r\n", "$-1\r\n", "*-1\r\n", ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", "$536870912\r\nab", "*16777216\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := redishub.ReadValues(b)
		again := redishub.AppendCommand(bytes.Clone(b[:0:0]), string(b), "x")
		if redishub.ReadValues(again) != 1 {
			t.Errorf("%q is not one value", again)
		}
		if n > len(b) {
			t.Errorf("%d values in %d bytes", n, len(b))
		}
	})
}

func FuzzPayload(f *testing.F) {
	f.Add([]byte("12345 "), "a", []byte("body"))
	f.Add([]byte("9007199254740991 \x00"), "", []byte{})
	f.Add([]byte("\x03abc\x01\x01r"), "é\x00", []byte{0xff})
	f.Add([]byte("epoch 17"), "r", []byte(nil))
	f.Fuzz(func(t *testing.T, b []byte, room string, body []byte) {
		if p, rest, ok := redishub.CutMessage(b); ok && (p == 0 || p >= 1<<53 || len(rest) >= len(b)) {
			t.Errorf("position %d, %d of %d bytes", p, len(rest), len(b))
		}
		redishub.CutEpoch(b)
		if node, rest, ok := redishub.CutSender(b); ok && (node == "" || len(node)+1+len(rest) != len(b)) {
			t.Errorf("sender %q and %d of %d bytes", node, len(rest), len(b))
		}
		redishub.CutEntry(b, func([]byte) bool { return false })
		redishub.Settle(string(b), 3, 2)
		redishub.CheckKind(string(b))
		var rooms []string
		entry := redishub.AppendEntry([]string{room, "x"}, body)
		got, interest, ok := redishub.CutEntry(entry, func(r []byte) bool { rooms = append(rooms, string(r)); return string(r) == "x" })
		if !ok || !interest || !bytes.Equal(got, body) || rooms[0] != room {
			t.Errorf("an entry of %q and %q: %q, %q, %t, %t", room, body, rooms, got, interest, ok)
		}
	})
}

var _ hub.Engine = (*redishub.Engine)(nil)
