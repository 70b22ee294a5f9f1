package hubtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// testLostAnswer: a batch was written and nobody heard of it. It is tried again
// with the connection, and is not written again.
func testLostAnswer(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	a.listen("r")
	b.listen("r")
	a.say("0", "r")
	for i, id := range []string{"", "id"} {
		a.listen() // it has noticed that it is mended
		x.service.Mute(x.nodes[0].engine)
		m := &hub.SharedMessage{Publisher: "p", ID: id, Rooms: []string{"r"}, Body: fmt.Append(nil, 1+i)}
		s := &hub.SharedSession{ID: "s", Generation: uint64(1 + i), Body: m.Body, Keep: time.Minute}
		var wg sync.WaitGroup
		wg.Go(func() {
			a.Commit(x.ctx, &hub.SharedBatch{Messages: []*hub.SharedMessage{m}, Sessions: []*hub.SharedSession{s}})
		})
		b.until(t, "the message of a node that hears nothing", func() bool { return len(b.got) >= 2+i })
		x.service.Cut(x.nodes[0].engine)
		x.service.Mend(x.nodes[0].engine)
		wg.Wait()
		if m.Err != nil || s.Err != nil || m.Repeated && id == "" {
			t.Fatalf("Commit: %v, %v, repeated: %t", m.Err, s.Err, m.Repeated)
		}
		b.mu.Lock()
		if got := b.got[1+i]; got.Position != m.Position || !got.Time.Equal(m.Time) {
			t.Errorf("followed at %d, %v; acknowledged at %d, %v", got.Position, got.Time, m.Position, m.Time)
		}
		b.mu.Unlock()
	}
	b.say("3", "r")
	a.wantTexts("0", "1", "2", "3")
	b.wantTexts("0", "1", "2", "3")
}

// testPatience: what is committed while the connection is away is committed when
// it is back.
func testPatience(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	b.listen("r")
	x.service.Cut(x.nodes[0].engine)
	// An engine that knows to be cut off may say so at once. It is asked again,
	// as publishers do, with an id.
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			pause := time.NewTicker(10 * time.Millisecond)
			defer pause.Stop()
			for ; ; <-pause.C {
				ctx, cancel := context.WithTimeout(x.ctx, patience)
				m := &hub.SharedMessage{Publisher: "p", ID: fmt.Sprint(i), Rooms: []string{"r"}, Body: fmt.Append(nil, i)}
				a.Commit(ctx, &hub.SharedBatch{Messages: []*hub.SharedMessage{m}})
				cancel()
				switch {
				case m.Err == nil:
					return
				case errors.Is(m.Err, hub.ErrUnavailable), errors.Is(m.Err, hub.ErrUnknown):
				default:
					t.Errorf("Commit: %v", m.Err)
					return
				}
			}
		})
	}
	x.nodes[0].until(t, "to know of the cut", func() bool { return x.nodes[0].away() })
	x.service.Mend(x.nodes[0].engine)
	wg.Wait()
	b.until(t, "three messages", func() bool { return len(b.got) >= 3 })
	b.listen()
	b.mu.Lock()
	if got := texts(b.got); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"0", "1", "2"}) {
		t.Errorf("followed %q", got)
	}
	b.mu.Unlock()
	x.nodes[0].until(t, "to know that it is over", func() bool { return !x.nodes[0].away() })
}

// away says whether the node was told that the engine cannot be reached.
func (n *node) away() bool { return len(n.reached) > 0 && n.reached[len(n.reached)-1] != nil }

// testUnavailable: without a connection, everything ends with its context at
// last, nothing is promised, and what was refused is not there.
func testUnavailable(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	b.listen("r")
	x.service.Cut(x.nodes[0].engine)
	x.nodes[0].until(t, "to know of the cut", func() bool { return x.nodes[0].away() })
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(x.ctx, 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	var refused []string
	for i := range 3 {
		m := letter(fmt.Sprint(i), "r")
		s := &hub.SharedSession{ID: "s", Generation: 1, Body: []byte("x"), Keep: time.Minute}
		batch := &hub.SharedBatch{Messages: []*hub.SharedMessage{m}, Sessions: []*hub.SharedSession{s}, Erase: []hub.Erasure{{Room: "r"}}}
		a.Commit(short(), batch)
		for _, err := range []error{m.Err, s.Err, batch.EraseErr} {
			if !errors.Is(err, hub.ErrUnavailable) && !errors.Is(err, hub.ErrUnknown) {
				t.Errorf("Commit: %v", err)
			}
		}
		if errors.Is(m.Err, hub.ErrUnavailable) && !errors.Is(m.Err, hub.ErrUnknown) {
			refused = append(refused, string(m.Body))
		}
	}
	for what, ask := range map[string]func(context.Context) error{
		"Listen()":  func(ctx context.Context) error { _, err := a.Listen(ctx); return err },
		"Listen(r)": func(ctx context.Context) error { _, err := a.Listen(ctx, "r"); return err },
		"Read":      func(ctx context.Context) error { _, _, err := a.Read(ctx, []string{"r"}, 0, 1); return err },
		"History":   func(ctx context.Context) error { _, err := a.History(ctx, "r", hub.HistoryQuery{Limit: 1}); return err },
		"Session":   func(ctx context.Context) error { _, err := a.Session(ctx, "s"); return err },
	} {
		if err := ask(short()); !errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", what, err)
		}
	}
	x.service.Mend(x.nodes[0].engine)
	x.nodes[0].until(t, "to know that it is over", func() bool { return !x.nodes[0].away() })
	a.say("after", "r")
	b.until(t, "what was committed after", func() bool { return slices.Contains(texts(b.got), "after") })
	b.mu.Lock()
	for _, m := range b.got {
		if slices.Contains(refused, string(m.Body)) {
			t.Errorf("%q is there, which was refused", m.Body)
		}
	}
	b.mu.Unlock()
	a.listen("r")
}

// testGap: whatever happened to the connection, nothing is left out and nothing
// comes twice.
func testGap(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	b.listen("r", "s")
	var want []string
	say := func(n int) {
		for range n {
			text := fmt.Sprint(len(want))
			want = append(want, text)
			a.say(text, [][]string{{"r"}, {"s"}, {"r", "s"}, {}, {"r", "none"}}[len(want)%5]...)
			a.say("not for b", "none")
		}
	}
	say(5)
	for round := range 4 {
		if round%2 == 0 {
			x.service.Cut(x.nodes[1].engine)
		} else {
			x.service.Mute(x.nodes[1].engine)
		}
		say(20)
		x.service.Mend(x.nodes[1].engine)
		say(5)
		b.until(t, "what was missed", func() bool { return len(b.got) >= len(want) })
		b.mu.Lock()
		if got := texts(b.got); !slices.Equal(got, want) {
			t.Fatalf("round %d: followed %q, want %q", round, got, want)
		}
		if len(b.lost) > 0 {
			t.Errorf("lost: %v", b.lost)
		}
		b.mu.Unlock()
	}
	var wg sync.WaitGroup // while others publish
	wg.Go(func() { say(200) })
	for range 5 {
		x.service.Cut(x.nodes[1].engine)
		x.service.Mend(x.nodes[1].engine)
	}
	wg.Wait()
	b.until(t, "what was missed", func() bool { return len(b.got) >= len(want) })
	eventually(t, "a barrier", func() bool { _, err := b.Listen(x.ctx); return err == nil })
	b.wantTexts(want...)
}

// testMissedTrim: what was missed is not kept any more. Then the follower is
// told.
func testMissedTrim(t *testing.T, x *ensemble) {
	m := &hub.Memory{Window: time.Second, MaxBytes: 1 << 20}
	a := x.node().open("/", m)
	b := x.node().open("/", m)
	start := b.listen("r")
	x.service.Cut(x.nodes[1].engine)
	a.say("missed", "r")
	n := 0
	eventually(t, "the log to be trimmed", func() bool {
		n++
		a.say(fmt.Sprint(n), "r")
		_, _, err := a.Read(x.ctx, []string{"r"}, start, 10)
		return errors.Is(err, hub.ErrTrimmed)
	})
	x.service.Mend(x.nodes[1].engine)
	b.until(t, "to be told of the loss", func() bool { return len(b.lost) > 0 })
	a.say("after", "r")
	b.until(t, "what came after", func() bool { return slices.Contains(texts(b.got), "after") })
	b.mu.Lock()
	defer b.mu.Unlock()
	if !errors.Is(b.lost[0], hub.ErrTrimmed) || slices.Contains(texts(b.got), "missed") {
		t.Errorf("lost: %v; got %q", b.lost, texts(b.got))
	}
}

func testRestart(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	a.listen("r")
	b.listen("r")
	epoch := a.State().Epoch
	first := a.say("0", "r")
	x.put(a, "s", 1, "session")
	m := letter("1", "r")
	m.Histories = []hub.RoomHistory{in("r")}
	b.write(m)
	for i := range 2 {
		x.service.Restart()
		eventually(t, "the service", func() bool { _, err := a.Listen(x.ctx); return err == nil })
		eventually(t, "the service", func() bool { _, err := b.Listen(x.ctx); return err == nil })
		if e := a.State().Epoch; e != epoch {
			t.Errorf("epoch %q, was %q", e, epoch)
		}
		if n := b.say(fmt.Sprint(2+i), "r"); n.Position <= m.Position {
			t.Errorf("%d after %d", n.Position, m.Position)
		}
	}
	for _, l := range []*line{a, b} {
		l.wantTexts("0", "1", "2", "3")
		l.mu.Lock()
		if len(l.lost) > 0 {
			t.Errorf("lost: %v", l.lost)
		}
		l.mu.Unlock()
	}
	c := x.line()
	c.wantRead(first.Position-1, 2, []string{"r"}, "0", "1", "2", "3")
	x.want(c, "s", 1, "session")
	if list, err := c.History(x.ctx, "r", all("r")); err != nil || len(list) != 1 || list[0].Position != m.Position {
		t.Errorf("history: %v, %v", list, err)
	}
}

func testWipe(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	a.listen("r")
	b.listen("r")
	epoch := a.State().Epoch
	var old []string
	for i := range 20 {
		old = append(old, fmt.Sprint(i))
		a.say(old[i], "r")
	}
	a.wantTexts(old...)
	b.wantTexts(old...)
	x.put(a, "s", 1, "session")
	x.service.Wipe()
	for _, l := range []*line{a, b} {
		l.until(t, "to be told of the loss", func() bool {
			return slices.ContainsFunc(l.lost, func(err error) bool { return errors.Is(err, hub.ErrEpoch) })
		})
		eventually(t, "the service", func() bool { _, err := l.Listen(x.ctx, "r"); return err == nil })
	}
	if e := a.State().Epoch; e == epoch || e != b.State().Epoch || e == "" {
		t.Errorf("epochs %q and %q, was %q", e, b.State().Epoch, epoch)
	}
	if s, err := a.Session(x.ctx, "s"); s != nil || err != nil {
		t.Errorf("session: %v, %v", s, err)
	}
	a.say("new", "r")
	b.say("life", "r")
	a.wantTexts("new", "life")
	b.wantTexts("new", "life")
	c := x.line()
	if e := c.State().Epoch; e != a.State().Epoch {
		t.Errorf("epoch of a new node %q, want %q", e, a.State().Epoch)
	}
}
