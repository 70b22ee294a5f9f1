package hub_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

func record(t testing.TB, m *hub.Message, values ...any) []byte {
	t.Helper()
	var err error
	if m.Args, err = packet.Marshal(values...); err != nil {
		t.Fatal(err)
	}
	body, err := hub.AppendRecord(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestRecord: what is written is read again, and nothing else is.
func TestRecord(t *testing.T) {
	m := &hub.Message{Event: "e", Uncompressed: true, Rooms: []string{"a", "ü"}, Except: []string{"c"}, ID: "i", Publisher: "p"}
	body := record(t, m, "text", []byte{0, 255}, map[string]any{"deep": []byte("er")})
	back, err := hub.ReadRecord(body)
	if err != nil {
		t.Fatal(err)
	}
	again, err := hub.AppendRecord(nil, back)
	if err != nil || !bytes.Equal(again, body) {
		t.Errorf("written again: %q, %v; want %q", again, err, body)
	}
	for n := range body {
		if _, err := hub.ReadRecord(body[:n]); err == nil {
			t.Errorf("the first %d bytes of %d are taken for a record", n, len(body))
		}
	}
	if _, err := hub.ReadRecord(append(body, 0)); err == nil {
		t.Error("a record with something behind it was read")
	}
	if _, err := hub.ReadRecord(append([]byte{2}, body[1:]...)); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a record of a later version: %v", err)
	}
}

// FuzzRecord: whatever is on the disk, reading it ends with an error or a
// message that is written as it was read.
func FuzzRecord(f *testing.F) {
	f.Add(record(f, &hub.Message{Event: "e", Rooms: []string{"a", "b"}, ID: "i", Publisher: "p"}, "x", []byte{1, 2}))
	f.Add(record(f, &hub.Message{Event: "e"}))
	f.Add([]byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := hub.ReadRecord(body)
		if err != nil {
			return
		}
		first, err := hub.AppendRecord(nil, m)
		if err != nil {
			t.Fatalf("read and not written: %v", err)
		}
		if m, err = hub.ReadRecord(first); err != nil {
			t.Fatalf("written and not read: %v", err)
		}
		if second, err := hub.AppendRecord(nil, m); err != nil || !bytes.Equal(first, second) {
			t.Errorf("written twice: %q and %q, %v", first, second, err)
		}
	})
}

// FuzzSession is the same for sessions.
func FuzzSession(f *testing.F) {
	f.Add(hub.SessionBody("name", "owner", "a", "b"))
	f.Add(hub.SessionBody("", ""))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, body []byte) {
		first, err := hub.RereadSession(body)
		if err != nil {
			return
		}
		second, err := hub.RereadSession(first)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("written twice: %q and %q, %v", first, second, err)
		}
	})
}

// FuzzOffset: whatever a peer presents, what is taken for an offset is one
// position of one epoch.
func FuzzOffset(f *testing.F) {
	for _, o := range []string{"ssjjzy7u-3", "", "-", "a-", "-1", "a--1", "a-zzzzzzzzzzzzz", "a-3w5e11264sgsg", "a-+1", "a-1_0", "ü-Z"} {
		f.Add(o)
	}
	f.Fuzz(func(t *testing.T, text string) {
		epoch, p, ok := hub.ParseOffset(hub.Offset(text))
		if !ok {
			return
		}
		e, q, ok := hub.ParseOffset(hub.NewOffset(epoch, p))
		if !ok || e != epoch || q != p {
			t.Errorf("%q is %q, %d; written again it is %q, %d, %t", text, epoch, p, e, q, ok)
		}
	})
}
