package redishub_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/redishub"
)

// TestQuietFor: for longer than messages are kept nothing is published, and then
// something. Who has all that was before misses nothing, and who lacks some of
// that is told.
func TestQuietFor(t *testing.T) {
	s := startServer(t)
	f := &node{t: t, news: make(chan struct{})}
	e := open(t, redishub.Config{URL: s.url()})
	if err := e.Join(t.Context(), peer{f}, nil); err != nil {
		t.Fatal(err)
	}
	l, err := e.Open(t.Context(), "/q", &hub.Memory{Window: 2 * time.Second, MaxBytes: 1 << 20}, f)
	if err != nil {
		t.Fatal(err)
	}
	publish := func(text string) hub.Position {
		t.Helper()
		m := &hub.SharedMessage{Rooms: []string{"r"}, Body: []byte(text)}
		l.Commit(t.Context(), &hub.SharedBatch{Messages: []*hub.SharedMessage{m}})
		if m.Err != nil {
			t.Fatal(m.Err)
		}
		return m.Position
	}
	before, last := publish("1"), publish("2")
	<-time.After(2600 * time.Millisecond) // more than messages are kept
	publish("later")
	if _, err := l.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if floor := l.State().Floor; floor > last {
		t.Errorf("the log begins at %d, and nothing was lost since %d", floor, last)
	}
	list, _, err := l.Read(t.Context(), []string{"r"}, last, 10)
	if err != nil || len(list) != 1 || string(list[0].Body) != "later" {
		t.Errorf("Read: %v, %v", list, err)
	}
	if _, _, err := l.Read(t.Context(), []string{"r"}, before, 10); !errors.Is(err, hub.ErrTrimmed) {
		t.Errorf("Read after what is trimmed: %v", err)
	}
}
