package pebblehub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tutti-rt/tutti/hub"
)

// clocked opens a store whose clock the test sets, and which sweeps only when
// it is told.
func clocked(t *testing.T) (*Store, *Log, *atomic.Int64) {
	t.Helper()
	var now atomic.Int64
	now.Store(1e9)
	h := host{
		fs: vfs.NewMem(), boot: func() (string, error) { return "one", nil },
		now: func() time.Time { return time.Unix(now.Load(), 0) },
	}
	s, err := open("/data", Config{SweepEvery: -1, HotRooms: 8, Log: slog.New(slog.DiscardHandler)}, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	l, err := s.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	return s, l.(*Log), &now
}

func (s *Store) keys(t *testing.T, kind byte) int {
	t.Helper()
	n := 0
	if err := s.scan([]byte{kind}, func(_, _ []byte) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSweep: rooms nobody writes to lose what is too old, and then themselves.
func TestSweep(t *testing.T) {
	s, l, now := clocked(t)
	const rooms = 3000
	p := hub.Position(0)
	for i := range rooms {
		var b hub.Batch
		for j := range 3 {
			p++
			b.Messages = append(b.Messages, hub.NewMessage{
				Position: p, Time: time.Unix(1e9+int64(j)*100, 0), Body: []byte("x"),
				Histories: []hub.RoomHistory{{Room: fmt.Sprint("r", i), Limit: hub.HistoryLimit{Age: time.Duration(i%2) * time.Minute}}},
			})
		}
		if err := l.Commit(&b); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		at              int64
		rooms, messages int
	}{
		{50, rooms, rooms * 3},
		{61, rooms, rooms/2*3 + rooms/2*2},
		{161, rooms, rooms/2*3 + rooms/2},
		{300, rooms / 2, rooms / 2 * 3},
	} {
		now.Store(1e9 + step.at)
		if err := s.sweepRooms(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.keys(t, kindHistory); got != step.messages {
			t.Errorf("after %d s: %d messages, want %d", step.at, got, step.messages)
		}
		if got := s.keys(t, kindRoom); got != step.rooms {
			t.Errorf("after %d s: %d rooms, want %d", step.at, got, step.rooms)
		}
	}
	if n := len(l.rooms.young) + len(l.rooms.old); n > 8+2 {
		t.Errorf("%d rooms are hot, want 8 about", n)
	}
}

// TestLongRoom: a room is swept in steps, and they end.
func TestLongRoom(t *testing.T) {
	s, l, now := clocked(t)
	n := maxEnforce*2 + 100
	b := &hub.Batch{}
	for i := range n {
		b.Messages = append(b.Messages, hub.NewMessage{
			Position: hub.Position(i + 1), Time: time.Unix(1e9, 0), Body: []byte("x"),
			Histories: []hub.RoomHistory{{Room: "r", Limit: hub.HistoryLimit{Age: time.Minute}}},
		})
	}
	if err := l.Commit(b); err != nil {
		t.Fatal(err)
	}
	now.Add(3600)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.sweepRooms(ctx); err != nil {
		t.Fatal(err)
	}
	if got := s.keys(t, kindHistory); got != n-maxEnforce {
		t.Errorf("%d messages after one step, want %d", got, n-maxEnforce)
	}
	if err := s.sweepRooms(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.keys(t, kindHistory) + s.keys(t, kindRoom); got != 0 {
		t.Errorf("%d keys left", got)
	}
}

// TestBounds: what exceeds a limit is on the disk for a while only.
func TestBounds(t *testing.T) {
	s, l, _ := clocked(t)
	for p := range hub.Position(5000) {
		err := l.Commit(&hub.Batch{Messages: []hub.NewMessage{{
			Position: p + 1, Time: time.Unix(1e9, 0), Body: []byte("x"),
			Histories: []hub.RoomHistory{{Room: "r", Limit: hub.HistoryLimit{Count: 100}}},
		}}, Trim: max(p, 10) - 10})
		if err != nil {
			t.Fatal(err)
		}
		if p%500 == 499 {
			if got := s.keys(t, kindHistory); got > 100+17 {
				t.Fatalf("%d messages of a room that keeps 100", got)
			}
		}
	}
}

// TestErasedIsGone: what was erased is not in any table when it was swept.
func TestErasedIsGone(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Config{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := s.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	secret := "a secret that must go"
	for p := range hub.Position(20) {
		body := "harmless"
		if p == 10 {
			body = secret
		}
		if err := l.Commit(&hub.Batch{Messages: []hub.NewMessage{{Position: p + 1, Time: time.Now(), Body: []byte(body), Histories: []hub.RoomHistory{{Room: "r"}}}}}); err != nil {
			t.Fatal(err)
		}
	}
	s.rotate()
	if !inTables(t, dir, secret) {
		t.Fatal("the secret was never in a table")
	}
	if err := l.Commit(&hub.Batch{Erase: []hub.Erasure{{Room: "r", Position: 11}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.removeErased(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // waits until obsolete tables are removed
		t.Fatal(err)
	}
	if inTables(t, dir, secret) {
		t.Error("the secret is in a table yet")
	}
}

// inTables looks for a text in the tables.
func inTables(t *testing.T, dir, text string) bool {
	t.Helper()
	s, err := filepath.Glob(filepath.Join(dir, logFolder, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range s {
		data, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if strings.Contains(string(data), text) {
			return true
		}
	}
	return false
}
