package natshub_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/natshub"
)

func openImport(t *testing.T, s *server, id string) *natshub.Importer {
	t.Helper()
	im, err := natshub.OpenImport(t.Context(), quick(s.url()), id)
	if err != nil {
		t.Fatalf("OpenImport: %v", err)
	}
	t.Cleanup(func() { im.Close() })
	return im
}

// An old is a message of another log.
type old struct {
	at         hub.Position
	room, body string
	tape       bool
}

// fill imports messages, each into the history of its room, too.
func fill(t *testing.T, im *natshub.Importer, list ...old) hub.ImportSpace {
	t.Helper()
	s, err := im.Space(t.Context(), "/", time.Minute)
	if err != nil {
		t.Fatalf("Space: %v", err)
	}
	more(t, s, list...)
	return s
}

func more(t *testing.T, s hub.ImportSpace, list ...old) {
	t.Helper()
	for _, m := range list {
		s.Place(m.at, time.Now(), m.tape)
	}
	message := func(m old) *hub.SharedMessage {
		return &hub.SharedMessage{
			Publisher: "p", ID: m.body, Rooms: []string{m.room}, Body: []byte(m.body), Position: m.at, Time: time.Now(),
			Histories: []hub.RoomHistory{{Room: m.room}},
		}
	}
	var rooms []string
	for _, m := range list {
		if !slices.Contains(rooms, m.room) {
			rooms = append(rooms, m.room)
		}
	}
	var out []hub.MovedMessage
	for _, room := range rooms { // one after another
		for _, m := range list {
			if m.room == room {
				out = append(out, hub.MovedMessage{SharedMessage: message(m), To: []hub.RoomHistory{{Room: room, Limit: hub.HistoryLimit{Age: time.Hour}}}})
			}
		}
	}
	for _, m := range list {
		if m.tape {
			out = append(out, hub.MovedMessage{SharedMessage: message(m), Tape: true})
		}
	}
	if err := s.Write(t.Context(), out); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

func finish(t *testing.T, im *natshub.Importer, s hub.ImportSpace, first, last hub.Position) {
	t.Helper()
	e := hub.MoveEnding{State: hub.LogState{Epoch: "old", Last: last, Floor: min(5, last)}, First: first, Newest: last, Epoch: "new"}
	if err := s.Finish(t.Context(), e); err != nil {
		t.Fatalf("Finish: %v", err)
	}
	if err := im.Complete(t.Context()); err != nil {
		t.Fatalf("Complete: %v", err)
	}
}

func TestImport(t *testing.T) {
	s := startServer(t, "")
	im := openImport(t, s, "one")
	sp := fill(t, im, old{3, "a", "v", false}, old{4, "b", "w", false}, old{10, "a", "x", true}, old{12, "b", "gone", false}, old{20, "a", "y", true})
	more(t, sp, old{21, "a", "z", true}, old{22, "b", "kept", false})
	finish(t, im, sp, 10, 22)
	n := join(t, quick(s.url()), "a")
	moved := n.Line.(hub.Mover)
	at := func(old hub.Position) hub.Position {
		p, ok := moved.Moved("old", old)
		if !ok {
			t.Fatalf("Moved(%d) is unknown", old)
		}
		return p
	}
	for _, tt := range []struct {
		after hub.Position
		want  []string
	}{{5, []string{"x", "y", "z"}}, {10, []string{"y", "z"}}, {11, []string{"y", "z"}}, {15, []string{"y", "z"}}, {20, []string{"z"}}, {22, nil}} {
		list, _, err := n.Read(t.Context(), []string{"a"}, at(tt.after), 10)
		if got := bodies(list); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("Read after %d: %q, %v, want %q", tt.after, got, err, tt.want)
		}
	}
	if p := at(4); p >= n.State().Floor {
		t.Errorf("what was trimmed before is at %d, and the log begins at %d", p, n.State().Floor)
	}
	for _, epoch := range []string{n.State().Epoch, "other"} {
		if _, ok := moved.Moved(epoch, 10); ok {
			t.Errorf("an offset of %q was moved", epoch)
		}
	}
	if _, ok := moved.Moved("old", 24); ok {
		t.Error("a position that was not given out was moved")
	}
	again := &hub.SharedMessage{Publisher: "p", ID: "y", Rooms: []string{"a"}, Body: []byte("y")}
	next := &hub.SharedMessage{Publisher: "p", ID: "next", Rooms: []string{"a"}, Body: []byte("next"), Histories: []hub.RoomHistory{{Room: "a", Limit: hub.HistoryLimit{Age: time.Hour}}}}
	n.Commit(t.Context(), &hub.SharedBatch{Messages: []*hub.SharedMessage{again, next}})
	if !again.Repeated || again.Position != at(20) {
		t.Errorf("what is published again: %+v, want position %d", again, at(20))
	}
	if next.Err != nil || next.Position <= at(22) {
		t.Errorf("the next message has %d, %v: want it after %d", next.Position, next.Err, at(22))
	}
	list, err := n.History(t.Context(), "a", hub.HistoryQuery{Limit: 10})
	if got := bodies(list); err != nil || !slices.Equal(got, []string{"v", "x", "y", "z", "next"}) {
		t.Errorf("History: %q, %v", got, err)
	}
	if len(list) > 2 && list[2].Position != at(20) {
		t.Errorf("y is at %d in its history, and at %d on the tape", list[2].Position, at(20))
	}
}

func bodies(list []hub.Stored) (out []string) {
	for _, m := range list {
		out = append(out, string(m.Body))
	}
	return out
}

// TestImportPages: histories that were written one after another are read page by
// page, from before the import on.
func TestImportPages(t *testing.T) {
	s := startServer(t, "")
	im := openImport(t, s, "one")
	var list []old
	rooms := map[string][]string{}
	for i := range 3000 {
		room := string(rune('a' + i%3))
		list = append(list, old{hub.Position(i + 10), room, fmt.Sprint(i), i >= 2500})
		rooms[room] = append(rooms[room], fmt.Sprint(i))
	}
	finish(t, im, fill(t, im, list...), 2510, 3009)
	n := join(t, quick(s.url()))
	for i := range 30 {
		room := string(rune('a' + i%3))
		text := fmt.Sprint(3000 + i)
		m := &hub.SharedMessage{Rooms: []string{room}, Body: []byte(text), Histories: []hub.RoomHistory{{Room: room, Limit: hub.HistoryLimit{Age: time.Hour}}}}
		n.Commit(t.Context(), &hub.SharedBatch{Messages: []*hub.SharedMessage{m}})
		if m.Err != nil {
			t.Fatal(m.Err)
		}
		rooms[room] = append(rooms[room], text)
	}
	for room, want := range rooms {
		var back, forth []string
		for q := (hub.HistoryQuery{Limit: 130}); ; {
			page, err := n.History(t.Context(), room, q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			back = append(bodies(page), back...)
			q.Before = page[0].Position
		}
		for q := (hub.HistoryQuery{Limit: 130, After: 1}); ; {
			page, err := n.History(t.Context(), room, q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			forth = append(forth, bodies(page)...)
			q.After = page[len(page)-1].Position
		}
		if !slices.Equal(back, want) || !slices.Equal(forth, want) {
			t.Errorf("room %s: %d messages backwards, %d forwards, want %d, or in another order", room, len(back), len(forth), len(want))
		}
	}
}

// An import that was not completed keeps nodes and other imports away, and one of
// its id begins anew.
func TestImportBegunAgain(t *testing.T) {
	s := startServer(t, "")
	first := openImport(t, s, "one")
	fill(t, first, old{10, "a", "x", true}, old{20, "a", "y", true}, old{30, "a", "z", true})
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	var refused *natshub.RefusedError
	if _, err := natshub.Open(t.Context(), quick(s.url())); !errors.As(err, &refused) || refused.Setting != "import" {
		t.Errorf("a node: %v, want it refused", err)
	}
	if _, err := natshub.OpenImport(t.Context(), quick(s.url()), "two"); !errors.Is(err, natshub.ErrTaken) {
		t.Errorf("another import: %v, want %v", err, natshub.ErrTaken)
	}
	im := openImport(t, s, "one")
	sp := fill(t, im, old{10, "a", "x", true}, old{20, "a", "y", true})
	if err := sp.ForgetHistory(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := sp.Forget(t.Context(), []hub.Position{10}); err != nil {
		t.Fatal(err)
	}
	more(t, sp, old{21, "a", "w", true})
	finish(t, im, sp, 20, 21)
	n := join(t, quick(s.url()), "a")
	list, err := n.History(t.Context(), "a", hub.HistoryQuery{Limit: 10})
	if got := bodies(list); err != nil || !slices.Equal(got, []string{"w"}) {
		t.Errorf("History: %q, %v", got, err)
	}
	list, _, err = n.Read(t.Context(), []string{"a"}, n.State().Floor, 10)
	if got := bodies(list); err != nil || !slices.Equal(got, []string{"y", "w"}) {
		t.Errorf("Read: %q, %v", got, err)
	}
}

// A cluster that has nodes, or messages, takes none in, and is left as it was.
func TestImportRefused(t *testing.T) {
	s := startServer(t, "")
	n := join(t, quick(s.url()), "a")
	if _, err := natshub.OpenImport(t.Context(), quick(s.url()), "one"); !errors.Is(err, natshub.ErrTaken) {
		t.Errorf("with a node there: %v, want %v", err, natshub.ErrTaken)
	}
	if err := n.engine.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := openImport(t, s, "one").Space(t.Context(), "/", time.Minute); err != nil {
		t.Errorf("where nothing was published: %v", err)
	}
	s = startServer(t, "")
	n = join(t, quick(s.url()), "a")
	n.say("a", "x")
	if err := n.engine.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := openImport(t, s, "one").Space(t.Context(), "/", time.Minute); !errors.Is(err, natshub.ErrTaken) {
		t.Errorf("with messages there: %v, want %v", err, natshub.ErrTaken)
	}
	n = join(t, quick(s.url()), "a")
	if list, _, err := n.Read(t.Context(), []string{"a"}, n.State().Floor, 10); err != nil || len(list) != 1 {
		t.Errorf("Read: %v, %v", list, err)
	}
}

// A server that was started again may have lost what it was told last.
func TestImportOfTwoLives(t *testing.T) {
	s := startServer(t, "")
	im := openImport(t, s, "one")
	sp := fill(t, im, old{10, "a", "x", true})
	e := hub.MoveEnding{State: hub.LogState{Epoch: "old", Last: 10, Floor: 5}, First: 10, Newest: 10}
	if err := sp.Finish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	s.kill()
	s.start()
	if err := im.Complete(t.Context()); err == nil {
		t.Error("Complete succeeded")
	}
}

// A log without anything on its tape can be moved, too.
func TestImportOfNothing(t *testing.T) {
	s := startServer(t, "")
	im := openImport(t, s, "one")
	finish(t, im, fill(t, im, old{7, "a", "x", false}), 0, 9)
	n := join(t, quick(s.url()), "a")
	if p, ok := n.Line.(hub.Mover).Moved("old", 9); !ok || p < n.State().Floor || p > n.State().Last {
		t.Errorf("the end is at %d, %t: want %+v", p, ok, n.State())
	}
	n.say("a", "y")
	n.wants([]string{"y"})
}
