package hubtest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// put writes a session's record, which is to succeed.
func (x *ensemble) put(l *line, id string, generation uint64, body string) {
	x.t.Helper()
	if err := x.record(l, id, generation, []byte(body), time.Minute); err != nil {
		x.t.Errorf("session %q, generation %d: %v", id, generation, err)
	}
}

// record writes a session's record.
func (x *ensemble) record(l *line, id string, generation uint64, body []byte, keep time.Duration) error {
	s := &hub.SharedSession{ID: id, Generation: generation, Body: body, Keep: keep}
	l.Commit(x.ctx, &hub.SharedBatch{Sessions: []*hub.SharedSession{s}})
	return s.Err
}

// want says whether a session is as it should be; generation 0: it is not there.
func (x *ensemble) want(l *line, id string, generation uint64, body string) {
	x.t.Helper()
	s, err := l.Session(x.ctx, id)
	switch {
	case err != nil:
		x.t.Errorf("Session(%q): %v", id, err)
	case s == nil && generation == 0:
	case s == nil || s.ID != id || s.Generation != generation || string(s.Body) != body:
		x.t.Errorf("Session(%q) = %+v, want generation %d, %q", id, s, generation, body)
	}
}

func testRecords(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	x.want(a, "s", 0, "")
	x.put(a, "s", 1, "one")
	x.want(b, "s", 1, "one")
	x.put(a, "s", 1, "two")
	x.want(a, "s", 1, "two")
	x.want(b, "s", 1, "two")
	long := strings.Repeat("x\x00\xff", 20_000)
	x.put(b, "s", 2, long)
	x.want(a, "s", 2, long)
	x.want(a, "S", 0, "")
	if err := x.record(b, "s", 2, nil, 0); err != nil {
		t.Errorf("remove: %v", err)
	}
	x.want(a, "s", 0, "")
	if err := x.record(b, "s", 2, nil, 0); err != nil {
		t.Errorf("remove what is not there: %v", err)
	}
	x.put(a, "s", 1, "a new one") // nothing is there that fences it
	x.want(b, "s", 1, "a new one")

	// Many in a batch, with messages, each for itself.
	batch := new(hub.SharedBatch)
	for i := range 100 {
		batch.Sessions = append(batch.Sessions, &hub.SharedSession{ID: fmt.Sprint("m", i), Generation: 1, Body: fmt.Append(nil, i), Keep: time.Minute})
	}
	m := letter("with them", "r")
	batch.Messages = append(batch.Messages, m)
	batch.Sessions = append(batch.Sessions, &hub.SharedSession{ID: "s", Generation: 1, Body: []byte("fenced"), Keep: time.Minute})
	b.Commit(x.ctx, batch)
	for i, s := range batch.Sessions {
		if fenced := i == 100; errors.Is(s.Err, hub.ErrFenced) != fenced || !fenced && s.Err != nil {
			t.Errorf("session %q: %v", s.ID, s.Err)
		}
	}
	if m.Err != nil {
		t.Errorf("the message: %v", m.Err)
	}
	x.want(a, "m0", 1, "0")
	x.want(a, "m99", 1, "99")
	x.want(a, "s", 1, "a new one")
	other := x.nodes[0].open("/other", memory())
	x.want(other, "m0", 0, "")
}

func testFencing(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	x.put(a, "s", 1, "a1")
	fenced := func(l *line, generation uint64, body []byte) {
		t.Helper()
		if err := x.record(l, "s", generation, body, time.Minute); !errors.Is(err, hub.ErrFenced) {
			t.Errorf("generation %d: %v, want ErrFenced", generation, err)
		}
	}
	fenced(b, 1, []byte("b1"))
	fenced(b, 1, nil)
	x.want(b, "s", 1, "a1")
	x.put(b, "s", 2, "b2")
	fenced(a, 1, []byte("a1 again"))
	fenced(a, 2, []byte("a2"))
	fenced(a, 1, nil)
	x.want(a, "s", 2, "b2")
	x.put(b, "s", 2, "b2 again")
	x.put(a, "s", 7, "a7")
	fenced(b, 6, []byte("b6"))
	x.want(b, "s", 7, "a7")

	// A node that begins a new life is another.
	name := x.nodes[0].engine.Node()
	a.Close()
	if err := x.nodes[0].engine.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	c := x.line()
	if x.nodes[2].engine.Node() == name {
		t.Error("a node's name was given again")
	}
	fenced(c, 7, []byte("c7"))

	for generation := uint64(8); generation < 28; generation++ { // who is first has it
		lines := []*line{b, c, b, c}
		errs := make([]error, len(lines))
		var wg sync.WaitGroup
		for i, l := range lines[:2] {
			wg.Go(func() { errs[i] = x.record(l, "s", generation, fmt.Append(nil, i), time.Minute) })
		}
		wg.Wait()
		if won := errs[0] == nil; won == (errs[1] == nil) {
			t.Fatalf("both wrote generation %d: %v, %v", generation, errs[0], errs[1])
		} else if won {
			x.want(c, "s", generation, "0")
		} else {
			x.want(b, "s", generation, "1")
		}
	}
}

func testForgotten(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	if err := x.record(a, "short", 1, []byte("x"), 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	x.put(a, "long", 1, "x")
	if err := x.record(a, "prolonged", 1, []byte("x"), 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	x.put(a, "prolonged", 1, "y")
	eventually(t, "a session to be forgotten", func() bool {
		s, err := b.Session(x.ctx, "short")
		if err != nil {
			t.Fatalf("Session: %v", err)
		}
		return s == nil
	})
	x.want(b, "long", 1, "x")
	x.want(b, "prolonged", 1, "y")
	x.put(b, "short", 1, "again")
	x.want(a, "short", 1, "again")
}
