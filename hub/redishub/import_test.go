package redishub_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/redishub"
)

func openImport(t *testing.T, s *server, id string) *redishub.Importer {
	t.Helper()
	im, err := redishub.OpenImport(t.Context(), redishub.Config{URL: s.url()}, id)
	if err != nil {
		t.Fatalf("OpenImport: %v", err)
	}
	t.Cleanup(func() { im.Close() })
	return im
}

// fill imports two messages of a room, at 10 and 20, with a history.
func fill(t *testing.T, im *redishub.Importer, bodies ...string) hub.ImportSpace {
	t.Helper()
	s, err := im.Space(t.Context(), "/", time.Minute)
	if err != nil {
		t.Fatalf("Space: %v", err)
	}
	for i, body := range bodies {
		p := hub.Position(10 * (i + 1))
		s.Place(p, time.Now(), true)
		histories := []hub.RoomHistory{{Room: "a"}}
		m := &hub.SharedMessage{Publisher: "p", ID: body, Rooms: []string{"a"}, Body: []byte(body), Position: p, Histories: histories}
		if err := s.Write(t.Context(), []hub.MovedMessage{{SharedMessage: m, Tape: true, To: histories}}); err != nil {
			t.Fatalf("Write: %v", err)
		}
	}
	return s
}

func finish(t *testing.T, im *redishub.Importer, s hub.ImportSpace, last hub.Position) {
	t.Helper()
	e := hub.MoveEnding{State: hub.LogState{Epoch: "old", Last: last, Floor: 5}, First: 10, Newest: last, Epoch: "new"}
	if err := s.Finish(t.Context(), e); err != nil {
		t.Fatalf("Finish: %v", err)
	}
	if err := im.Complete(t.Context()); err != nil {
		t.Fatalf("Complete: %v", err)
	}
}

func TestImport(t *testing.T) {
	s := startServer(t)
	im := openImport(t, s, "one")
	finish(t, im, fill(t, im, "x", "y"), 20)

	n := join(t, redishub.Config{URL: s.url()}, "a")
	moved := n.Line.(hub.Mover)
	at := func(old hub.Position) hub.Position {
		p, ok := moved.Moved("old", old)
		if !ok {
			t.Fatalf("Moved(%d) is unknown", old)
		}
		return p
	}
	for _, test := range []struct {
		after hub.Position
		want  []string
	}{{5, []string{"x", "y"}}, {10, []string{"y"}}, {15, []string{"y"}}, {20, nil}} {
		list, _, err := n.Read(t.Context(), []string{"a"}, at(test.after), 10)
		if err != nil || len(list) != len(test.want) {
			t.Fatalf("Read after %d: %d messages, %v, want %q", test.after, len(list), err, test.want)
		}
		for i, m := range list {
			if string(m.Body) != test.want[i] {
				t.Errorf("Read after %d: %q, want %q", test.after, m.Body, test.want[i])
			}
		}
	}
	if _, _, err := n.Read(t.Context(), []string{"a"}, at(4), 10); !errors.Is(err, hub.ErrTrimmed) {
		t.Errorf("Read after what was trimmed before: %v", err)
	}
	for _, epoch := range []string{"new", "other"} {
		if _, ok := moved.Moved(epoch, 10); ok {
			t.Errorf("an offset of %q was moved", epoch)
		}
	}
	if _, ok := moved.Moved("old", 22); ok {
		t.Error("a position that was not given out was moved")
	}
	if list, err := n.History(t.Context(), "a", hub.HistoryQuery{Limit: 10}); err != nil || len(list) != 2 || list[0].Position != at(10) {
		t.Errorf("History: %v, %v", list, err)
	}
	again := &hub.SharedMessage{Publisher: "p", ID: "y", Rooms: []string{"a"}, Body: []byte("y")}
	next := &hub.SharedMessage{Publisher: "p", ID: "z", Rooms: []string{"a"}, Body: []byte("z")}
	n.Commit(t.Context(), &hub.SharedBatch{Messages: []*hub.SharedMessage{again, next}})
	if !again.Repeated || again.Position != at(20) {
		t.Errorf("what is published again: %+v, want position %d", again, at(20))
	}
	if next.Err != nil || next.Position <= moved.Quiet(at(20)) {
		t.Errorf("the next message has %d, %v: want it after %d", next.Position, next.Err, moved.Quiet(at(20)))
	}
}

// An import that was not completed keeps nodes and other imports away, and one of
// its id begins anew.
func TestImportBegunAgain(t *testing.T) {
	s := startServer(t)
	fill(t, openImport(t, s, "one"), "x", "y", "z")

	var refused *redishub.RefusedError
	if _, err := redishub.Open(t.Context(), redishub.Config{URL: s.url()}); !errors.As(err, &refused) || refused.Setting != "import" {
		t.Errorf("a node: %v, want it refused", err)
	}
	if _, err := redishub.OpenImport(t.Context(), redishub.Config{URL: s.url()}, "two"); !errors.Is(err, redishub.ErrTaken) {
		t.Errorf("another import: %v, want %v", err, redishub.ErrTaken)
	}
	im := openImport(t, s, "one")
	finish(t, im, fill(t, im, "x"), 10)
	n := join(t, redishub.Config{URL: s.url()}, "a")
	if list, err := n.History(t.Context(), "a", hub.HistoryQuery{Limit: 10}); err != nil || len(list) != 1 {
		t.Errorf("History: %v, %v, want only what was imported the second time", list, err)
	}
}

func TestImportRefused(t *testing.T) {
	s := startServer(t)
	n := join(t, redishub.Config{URL: s.url()}, "a")
	if _, err := redishub.OpenImport(t.Context(), redishub.Config{URL: s.url()}, "one"); !errors.Is(err, redishub.ErrTaken) {
		t.Errorf("with a node there: %v, want %v", err, redishub.ErrTaken)
	}
	n.say("a", "x")
	if err := n.engine.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := openImport(t, s, "one").Space(t.Context(), "/", time.Minute); !errors.Is(err, redishub.ErrTaken) {
		t.Errorf("with messages there: %v, want %v", err, redishub.ErrTaken)
	}
	join(t, redishub.Config{URL: s.url()}, "a") // it is left as it was
}

// A server that was started again may have lost what it was told last.
func TestImportOfTwoLives(t *testing.T) {
	s := startServer(t)
	im := openImport(t, s, "one")
	fill(t, im, "x")
	s.kill()
	s.start()
	if err := im.Complete(t.Context()); err == nil {
		t.Error("an import of two lives of the server was completed")
	}
}

// A cluster whose nodes are of a later version is refused by name.
func TestFormat(t *testing.T) {
	s := startServer(t)
	for format, refused := range map[string]bool{"1": false, "2": true, "x": true} {
		s.say("SET", "{tutti:tutti}:format", format)
		e, err := redishub.Open(t.Context(), redishub.Config{URL: s.url()})
		if err == nil {
			e.Close()
		}
		var is *redishub.RefusedError
		if errors.As(err, &is) != refused {
			t.Errorf("format %s: %v", format, err)
		}
	}
}
