package hubtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// logged asks of a line what is asked of a log.
func logged(test func(*testing.T, *fixture)) func(*testing.T, *ensemble) {
	return func(t *testing.T, x *ensemble) {
		l := &lineLog{ctx: x.ctx, writer: x.line(), reader: x.line()}
		l.places = []hub.Position{l.writer.listen()}
		test(t, &fixture{t: t, log: l})
	}
}

// A lineLog is a line of two nodes in the place of a log: its positions count
// the messages. What is written on one is read on the other.
type lineLog struct {
	ctx            context.Context // of the test
	writer, reader *line
	places         []hub.Position // by a log's position
	rooms          []string
}

func (l *lineLog) State() hub.LogState { return hub.LogState{Last: hub.Position(len(l.places) - 1)} }

func (l *lineLog) Commit(b *hub.Batch) error {
	batch := &hub.SharedBatch{}
	for _, m := range b.Messages {
		s := &hub.SharedMessage{Body: m.Body, Histories: m.Histories, Sync: b.Sync}
		for _, h := range m.Histories {
			s.Rooms = append(s.Rooms, h.Room)
			if !slices.Contains(l.rooms, h.Room) {
				l.rooms = append(l.rooms, h.Room)
			}
		}
		batch.Messages = append(batch.Messages, s)
	}
	if len(batch.Messages) > 0 {
		l.writer.Commit(l.ctx, batch)
	}
	var errs []error
	for _, m := range batch.Messages {
		l.places = append(l.places, m.Position)
		errs = append(errs, m.Err)
	}
	if len(b.Erase) > 0 {
		batch := &hub.SharedBatch{}
		for _, e := range b.Erase {
			if e.Position != 0 {
				e.Position = l.place(e.Position)
			}
			batch.Erase = append(batch.Erase, e)
		}
		l.writer.Commit(l.ctx, batch)
		errs = append(errs, batch.EraseErr)
	}
	return errors.Join(errs...)
}

// place is where the message with that number is, or would be.
func (l *lineLog) place(n hub.Position) hub.Position {
	if n < hub.Position(len(l.places)) {
		return l.places[n]
	}
	return l.places[len(l.places)-1] + n
}

// numbers turns the positions of messages into numbers.
func (l *lineLog) numbers(list []hub.Stored, err error) ([]hub.Stored, error) {
	for i := range list {
		n, found := slices.BinarySearch(l.places, list[i].Position)
		if !found {
			return nil, fmt.Errorf("%q is at %d, where no message is", list[i].Body, list[i].Position)
		}
		list[i].Position = hub.Position(n)
	}
	return list, err
}

func (l *lineLog) Tape(after hub.Position, limit int) ([]hub.Stored, error) {
	list, _, err := l.reader.Read(l.ctx, l.rooms, l.place(after), limit)
	return l.numbers(list, err)
}

func (l *lineLog) History(room string, q hub.HistoryQuery) ([]hub.Stored, error) {
	if q.Before != 0 {
		q.Before = l.place(q.Before)
	}
	if q.After != 0 {
		q.After = l.place(q.After)
	}
	return l.numbers(l.reader.History(l.ctx, room, q))
}

func (l *lineLog) Sessions() iter.Seq2[hub.StoredSession, error] {
	return func(func(hub.StoredSession, error) bool) {}
}

func testHistoryAge(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	limit := hub.HistoryLimit{Age: time.Second}
	m := letter("old", "r", "s")
	m.Histories = []hub.RoomHistory{in("r", limit), in("s")}
	a.write(m)
	page := func(room string) []string {
		list, err := b.History(x.ctx, room, all(room))
		if err != nil {
			t.Fatalf("History: %v", err)
		}
		return texts(list)
	}
	eventually(t, "the message to grow old", func() bool { return len(page("r")) == 0 })
	if got := page("s"); !slices.Equal(got, []string{"old"}) {
		t.Errorf("history of s: %q", got)
	}
}

// testLines: namespaces are apart, whatever their names.
func testLines(t *testing.T, x *ensemble) {
	n, o := x.node(), x.node()
	names := []string{"/", "/a", "/ab", "/a:r", "/a*", "/é", "/a b.>", "/" + strings.Repeat("n", 200)}
	var lines []*line
	for _, name := range names {
		l := o.open(name, memory())
		l.listen("r")
		lines = append(lines, l)
	}
	if _, err := o.engine.Open(x.ctx, "/a", memory(), (*lineFollower)(lines[0])); err == nil {
		t.Error("a namespace was opened twice")
	}
	again := x.node().open("/", memory())
	again.close()
	again = x.nodes[2].open("/", memory())
	defer again.wantTexts("to all of /")
	for _, name := range names {
		l := n.open(name, memory())
		m := letter(name, "r")
		m.Histories = []hub.RoomHistory{in("r")}
		l.write(m, letter("to all of "+name))
	}
	for i, l := range lines {
		l.wantTexts(names[i], "to all of "+names[i])
		if list, err := l.History(x.ctx, "r", all("r")); err != nil || !slices.Equal(texts(list), []string{names[i]}) {
			t.Errorf("%s: history %q, %v", names[i], texts(list), err)
		}
	}
}
