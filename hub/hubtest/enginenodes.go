package hubtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

func (n *node) name() string { return n.engine.Node() }

func (n *node) say(to, text string) {
	n.t.Helper()
	if err := n.engine.Tell(to, []byte(text)); err != nil {
		n.t.Errorf("Tell(%q, %q): %v", to, text, err)
	}
}

// wantTold waits until the node was told that much, and compares what each of
// the others said.
func (n *node) wantTold(want map[string][]string) {
	n.t.Helper()
	total := 0
	for _, list := range want {
		total += len(list)
	}
	n.until(n.t, fmt.Sprintf("to be told %d things", total), func() bool { return len(n.told) >= total })
	n.mu.Lock()
	defer n.mu.Unlock()
	got := make(map[string][]string)
	for _, s := range n.told {
		got[s.node] = append(got[s.node], s.text)
	}
	for who, list := range want {
		if !slices.Equal(got[who], list) {
			n.t.Errorf("was told %q by %s, want %q", got[who], who, list)
		}
	}
	if len(n.told) != total {
		n.t.Errorf("was told %d things, want %d: %q", len(n.told), total, n.told)
	}
}

// knows says whether the node knows of another, and what that said of itself.
func (n *node) knows(o *node) bool {
	what, is := n.engine.Nodes()[o.name()]
	if is && string(what) != string(about(o.name())) {
		n.t.Errorf("%s says %q of itself", o.name(), what)
	}
	return is
}

// acquainted waits until all nodes know each other.
func (x *ensemble) acquainted(nodes ...*node) {
	x.t.Helper()
	for _, n := range nodes {
		for _, o := range nodes {
			eventually(x.t, "nodes to know each other", func() bool {
				return n == o || n.knows(o)
			})
		}
	}
}

func testTell(t *testing.T, x *ensemble) {
	a, b, c := x.node(), x.node(), x.node()
	x.acquainted(a, b, c)
	var toB, toC []string
	for i := range 100 {
		text := fmt.Sprint(i)
		switch i % 3 {
		case 0:
			a.say("", text)
			toB, toC = append(toB, text), append(toC, text)
		case 1:
			a.say(b.name(), text)
			toB = append(toB, text)
		case 2:
			a.say(c.name(), text)
			toC = append(toC, text)
		}
	}
	long := string(make([]byte, 300_000))
	a.say(b.name(), long)
	b.say("", "from b")
	b.wantTold(map[string][]string{a.name(): append(toB, long)})
	c.wantTold(map[string][]string{a.name(): toC, b.name(): {"from b"}})
	a.wantTold(map[string][]string{b.name(): {"from b"}})
}

func testCast(t *testing.T, x *ensemble) {
	a, b, c := x.line(), x.line(), x.line()
	other := x.nodes[2].open("/other", memory())
	other.listen("a", "b")
	a.listen("a")
	b.listen("a", "b")
	c.listen("c")
	cast := func(l *line, text string, rooms ...string) {
		t.Helper()
		if err := l.Cast(rooms, []byte(text)); err != nil {
			t.Errorf("Cast(%q, %q): %v", rooms, text, err)
		}
	}
	cast(a, "1", "a")
	cast(a, "2", "a", "b")
	cast(a, "3", "c", "none")
	cast(a, "4", "none")
	cast(a, "5")
	cast(a, "6", "b", "c")
	b.wantHeard("1", "2", "5", "6")
	c.wantHeard("3", "5", "6")
	cast(b, "to a", "a")
	cast(b, "to all")
	a.wantHeard("to a", "to all") // nothing of its own
	c.wantHeard("3", "5", "6", "to all")
	b.mu.Lock()
	for _, h := range b.heard {
		if h.node != x.nodes[0].name() {
			t.Errorf("%q is from %s", h.text, h.node)
		}
	}
	b.mu.Unlock()

	// What was committed before is followed before.
	b.mu.Lock()
	b.notes = nil
	b.mu.Unlock()
	const n = 50
	for i := range n {
		a.say(fmt.Sprint("commit", i), [][]string{{"a"}, {"b", "c"}, {}}[i%3]...)
		cast(a, fmt.Sprint("cast", i), [][]string{{"a", "b"}, {"b"}, {}}[i/3%3]...)
	}
	b.until(t, "all of it", func() bool { return len(b.notes) >= 2*n })
	b.mu.Lock()
	var commits, casts int
	for _, note := range b.notes {
		switch note {
		case fmt.Sprint("commit", commits):
			commits++
		case fmt.Sprint("cast", casts):
			if casts++; casts > commits {
				t.Fatalf("heard %s before what was committed before it: %q", note, b.notes)
			}
		default:
			t.Fatalf("%q is out of order in %q", note, b.notes)
		}
	}
	b.mu.Unlock()
	other.mu.Lock()
	if len(other.heard) > 0 {
		t.Errorf("another namespace heard %q", other.heard)
	}
	other.mu.Unlock()
}

// testForgetful: a namespace without memory has rooms that are listened to, and
// casts.
func testForgetful(t *testing.T, x *ensemble) {
	a, b := x.node().open("/", nil), x.node().open("/", nil)
	for i := range 20 {
		room := fmt.Sprint("r", i)
		if _, err := b.Listen(x.ctx, room); err != nil {
			t.Fatalf("Listen: %v", err)
		}
		for _, to := range [][]string{{room}, {"none"}, {}} {
			if err := a.Cast(to, fmt.Append(nil, i, to)); err != nil {
				t.Fatalf("Cast: %v", err)
			}
		}
	}
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint(i, []string{fmt.Sprint("r", i)}), fmt.Sprint(i, []string{}))
	}
	b.wantHeard(want...)
	b.Ignore("r0")
	x.service.Cut(x.nodes[1].engine)
	x.service.Mend(x.nodes[1].engine)
	n := 0
	eventually(t, "casts to be heard again", func() bool {
		n++
		a.Cast([]string{"r7"}, fmt.Append(nil, "again", n)) // an error only if nobody listens yet
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.heard) > len(want)
	})
}

func testNodes(t *testing.T, x *ensemble) {
	a := x.node()
	if nodes := a.engine.Nodes(); len(nodes) != 0 {
		t.Errorf("alone, there are %q", nodes)
	}
	b := x.node()
	a.until(t, "b to come", func() bool { return slices.Contains(a.came, b.name()) })
	b.until(t, "to know of a", func() bool { return slices.Contains(b.came, a.name()) || b.knows(a) })
	c := x.node()
	x.acquainted(a, b, c)
	if err := b.engine.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for _, n := range []*node{a, c} {
		n.until(t, "b to leave", func() bool { return slices.Contains(n.left, b.name()) })
		if n.knows(b) {
			t.Error("a node that has left is there")
		}
	}
	d := x.node()
	x.acquainted(a, c, d)
	for _, n := range []*node{a, c} {
		n.mu.Lock()
		if slices.Contains(n.came, n.name()) || slices.Contains(n.left, n.name()) {
			t.Error("a node was told of itself")
		}
		if len(n.left) != 1 || len(slices.Compact(slices.Sorted(slices.Values(n.came)))) != len(n.came) {
			t.Errorf("came %q, left %q", n.came, n.left)
		}
		n.mu.Unlock()
	}
}

// testLease: a node that says nothing more leaves with its lease, once, and
// comes again if it was only cut off.
func testLease(t *testing.T, x *ensemble) {
	a, b, c := x.node(), x.node(), x.node()
	x.acquainted(a, b, c)
	x.service.Cut(b.engine)
	for _, n := range []*node{a, c} {
		n.until(t, "b's lease to end", func() bool { return slices.Contains(n.left, b.name()) })
	}
	b.until(t, "to know of the cut", func() bool { return b.away() })
	x.service.Mend(b.engine)
	x.acquainted(a, b, c)
	for _, n := range []*node{a, c} {
		n.until(t, "b to come again", func() bool { return slices.Index(n.came, b.name()) != lastIndex(n.came, b.name()) })
		n.mu.Lock()
		if len(n.left) != 1 {
			t.Errorf("left: %q", n.left)
		}
		n.mu.Unlock()
	}
	a.say(b.name(), "are you there?")
	b.until(t, "to be told", func() bool { return slices.Contains(b.told, said{a.name(), "are you there?"}) })
}

func lastIndex(list []string, s string) int {
	for i, o := range slices.Backward(list) {
		if o == s {
			return i
		}
	}
	return -1
}

// testClose: nothing is handed on after Close, neither of a line nor of an
// engine, whatever is under way; what is asked is refused.
func testClose(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	c := x.nodes[1].open("/other", memory())
	b.listen("r")
	c.listen("r")
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			a.say(fmt.Sprint(i), "r")
			if err := a.Cast(nil, []byte("cast")); err != nil {
				t.Errorf("Cast: %v", err)
			}
		}
	})
	b.until(t, "a few messages", func() bool { return len(b.got) > 3 })
	b.close()
	b.close() // again
	if err := x.nodes[1].engine.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	c.change(func() { c.ended = true })
	if err := x.nodes[1].engine.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	before := len(a.State().Epoch)
	for range 20 {
		a.say("after", "r")
	}
	close(stop)
	wg.Wait()
	for what, l := range map[string]*line{"closed": b, "of a closed engine": c} {
		m := letter("refused", "r")
		s := &hub.SharedSession{ID: "s", Generation: 1, Body: []byte("x"), Keep: time.Minute}
		l.Commit(x.ctx, &hub.SharedBatch{Messages: []*hub.SharedMessage{m}, Sessions: []*hub.SharedSession{s}})
		if !errors.Is(m.Err, hub.ErrClosed) || !errors.Is(s.Err, hub.ErrClosed) {
			t.Errorf("a line %s: %v, %v, want ErrClosed", what, m.Err, s.Err)
		}
		if _, err := l.Listen(x.ctx, "r"); !errors.Is(err, hub.ErrClosed) {
			t.Errorf("a line %s: Listen: %v, want ErrClosed", what, err)
		}
		if _, _, err := l.Read(x.ctx, []string{"r"}, 0, 1); !errors.Is(err, hub.ErrClosed) {
			t.Errorf("a line %s: Read: %v, want ErrClosed", what, err)
		}
		l.Ignore("r")
	}
	if before != len(a.State().Epoch) {
		t.Error("another's end changed the epoch")
	}
	if err := x.nodes[1].engine.Tell("", []byte("x")); err == nil {
		t.Error("a closed engine has told something")
	}
}

func (l *line) close() {
	l.Line.Close()
	l.change(func() { l.ended = true })
}
