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

// EngineOpener starts a service for one test, with nothing in it, and sees to
// it that whatever is open at the end of the test is closed. Its engines are to
// have leases of a second or two, and such patience with a connection, for the
// suite waits for them.
type EngineOpener func(t *testing.T) Service

// A Service is what engines of several nodes share, and what may happen to it.
// Its methods are called by one goroutine at a time, and return when what they
// do is done.
type Service interface {
	// Node returns the engine of a node that begins its life. It has not
	// joined.
	Node() hub.Engine
	// Cut ends the connections of a node with the service, and has none begin.
	// Others see it die when it is not mended.
	Cut(e hub.Engine)
	// Mute has what a node sends reach the service, whose answers are lost.
	Mute(e hub.Engine)
	// Mend ends Cut and Mute. What was under way before is lost.
	Mend(e hub.Engine)
	// Restart ends the service without a warning, and starts it with what it
	// has acknowledged.
	Restart()
	// Wipe is Restart with nothing left.
	Wipe()
}

// TestEngine runs the suite.
func TestEngine(t *testing.T, open EngineOpener) {
	tests := []struct {
		name string
		test func(*testing.T, *ensemble)
	}{
		{"a fresh line", testFreshLine},
		{"everybody follows in one order", testFollow},
		{"a node hears what it listens to", testInterest},
		{"listening is a barrier", testBarrier},
		{"any history of listening", testListening},
		{"ids are remembered by all nodes", testRepeated},
		{"a batch whose answer was lost is written once", testLostAnswer},
		{"a batch waits for its connection", testPatience},
		{"without a connection there is an error", testUnavailable},
		{"what was missed is followed", testGap},
		{"a service that was restarted goes on", testRestart},
		{"a service that was wiped begins anew", testWipe},
		{"reading by rooms", testRead},
		{"what is trimmed says so", testLineTrim},
		{"missed for too long", testMissedTrim},
		{"histories are paged both ways", logged(testPages)},
		{"histories honour count", logged(testCount)},
		{"histories honour bytes", logged(testBytes)},
		{"the last message's limits hold", logged(testLastLimit)},
		{"a message may be in several histories", logged(testSeveral)},
		{"rooms of similar names are apart", logged(testNames)},
		{"erasing a message", logged(testErase)},
		{"erasing a room", logged(testEraseRoom)},
		{"histories honour age", testHistoryAge},
		{"namespaces are apart", testLines},
		{"sessions", testRecords},
		{"sessions are fenced", testFencing},
		{"sessions are forgotten", testForgotten},
		{"nodes tell each other", testTell},
		{"casting", testCast},
		{"a line without memory", testForgetful},
		{"nodes come and go", testNodes},
		{"the end of a lease", testLease},
		{"closing", testClose},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := &ensemble{t: t, service: open(t), ctx: t.Context()}
			defer x.sound()
			tt.test(t, x)
		})
	}
}

// patience is how long the suite waits for what must happen before it says that
// it has not. A test that passes waits for none of it.
const patience = 30 * time.Second

// memory is what lines of the suite remember, unless a test is about that.
func memory() *hub.Memory { return &hub.Memory{Window: time.Minute, MaxBytes: 1 << 20} }

// An ensemble is a service and its nodes.
type ensemble struct {
	t       *testing.T
	ctx     context.Context // of the test
	service Service
	nodes   []*node
}

// A node is an engine, with what it was told and the lines it has open.
type node struct {
	t      *testing.T
	ctx    context.Context // of the test
	engine hub.Engine
	lines  []*line
	watched
	told    []said // by other nodes
	came    []string
	left    []string
	reached []error
}

// said is what a node has said.
type said struct{ node, text string }

// A line is a node's line, with what it was handed.
type line struct {
	hub.Line
	node *node
	name string
	watched
	got   []hub.Stored // of the present life of the log
	level hub.Position
	heard []said
	lost  []error
	ended bool
	notes []string // what it was handed, in one order
	wrong []string // what the engine must not have done
}

// watched is a state that others change and the test waits for.
type watched struct {
	mu   sync.Mutex
	news chan struct{} // closed by the next change
}

func (w *watched) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	if w.news != nil {
		close(w.news)
		w.news = nil
	}
}

// until waits for a condition.
func (w *watched) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		w.mu.Lock()
		if holds() {
			w.mu.Unlock()
			return
		}
		if w.news == nil {
			w.news = make(chan struct{})
		}
		news := w.news
		w.mu.Unlock()
		select {
		case <-news:
		case <-timeout.C:
			t.Fatalf("waited for %v: %s", patience, what)
		}
	}
}

// eventually asks again and again.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %v: %s", patience, what)
		}
		<-pause.C
	}
}

// node starts a node and has it join.
func (x *ensemble) node() *node {
	x.t.Helper()
	n := &node{t: x.t, ctx: x.ctx, engine: x.service.Node()}
	if err := n.engine.Join(x.ctx, (*nodePeer)(n), about(n.engine.Node())); err != nil {
		x.t.Fatalf("Join: %v", err)
	}
	x.nodes = append(x.nodes, n)
	return n
}

// about is what a node says of itself.
func about(node string) []byte { return []byte("this is " + node + "\x00") }

// line starts a node with a line.
func (x *ensemble) line() *line { return x.node().open("/", memory()) }

// sound says whether the engines have kept what holds at any time.
func (x *ensemble) sound() {
	for i, n := range x.nodes {
		for _, l := range n.lines {
			l.mu.Lock()
			for _, w := range l.wrong {
				x.t.Errorf("node %d, %s: %s", i, l.name, w)
			}
			l.mu.Unlock()
		}
	}
}

func (n *node) open(namespace string, m *hub.Memory) *line {
	n.t.Helper()
	l := &line{node: n, name: namespace}
	var err error
	if l.Line, err = n.engine.Open(n.ctx, namespace, m, (*lineFollower)(l)); err != nil {
		n.t.Fatalf("Open(%q): %v", namespace, err)
	}
	n.lines = append(n.lines, l)
	return l
}

// A nodePeer is a node as its engine sees it.
type nodePeer node

func (p *nodePeer) Told(node string, body []byte) {
	p.change(func() { p.told = append(p.told, said{node, string(body)}) })
}
func (p *nodePeer) Came(node string, what []byte) {
	p.change(func() {
		p.came = append(p.came, node)
		if string(what) != string(about(node)) {
			p.t.Errorf("%s came and said %q of itself", node, what)
		}
	})
}
func (p *nodePeer) Left(node string) { p.change(func() { p.left = append(p.left, node) }) }
func (p *nodePeer) Reached(err error) {
	p.change(func() { p.reached = append(p.reached, err) })
}

// A lineFollower is a line as its engine sees it.
type lineFollower line

func (f *lineFollower) Follow(messages []hub.Stored, level hub.Position) {
	f.change(func() {
		f.check()
		last := f.level
		for _, m := range messages {
			if m.Position <= last {
				f.wrong = append(f.wrong, fmt.Sprintf("%d was handed on after %d", m.Position, last))
			}
			last = m.Position
			f.notes = append(f.notes, string(m.Body))
		}
		if level < last {
			f.wrong = append(f.wrong, fmt.Sprintf("level %d after a message at %d", level, last))
		}
		f.got, f.level = append(f.got, messages...), level
	})
}

func (f *lineFollower) Heard(node string, body []byte) {
	f.change(func() {
		f.check()
		f.heard = append(f.heard, said{node, string(body)})
		f.notes = append(f.notes, string(body))
	})
}

func (f *lineFollower) Lost(err error, level hub.Position) {
	f.change(func() {
		f.check()
		f.lost = append(f.lost, err)
		if errors.Is(err, hub.ErrEpoch) {
			f.got = nil
		} else if level < f.level {
			f.wrong = append(f.wrong, fmt.Sprintf("lost something up to %d, which is before %d", level, f.level))
		}
		f.level = level
	})
}

func (f *lineFollower) check() {
	if f.ended {
		f.wrong = append(f.wrong, "something was handed on after Close")
	}
}

// write commits messages, which are to succeed.
func (l *line) write(messages ...*hub.SharedMessage) {
	l.node.t.Helper()
	l.Commit(l.node.ctx, &hub.SharedBatch{Messages: messages})
	for _, m := range messages {
		if m.Err != nil {
			l.node.t.Fatalf("Commit of %q: %v", m.Body, m.Err)
		}
		if m.Position == 0 || m.Time.IsZero() {
			l.node.t.Fatalf("Commit of %q: at %d, %v", m.Body, m.Position, m.Time)
		}
	}
}

// say commits one message to rooms and returns it.
func (l *line) say(text string, rooms ...string) *hub.SharedMessage {
	l.node.t.Helper()
	m := letter(text, rooms...)
	l.write(m)
	return m
}

func letter(text string, rooms ...string) *hub.SharedMessage {
	return &hub.SharedMessage{Rooms: rooms, Body: []byte(text)}
}

func (l *line) listen(rooms ...string) hub.Position {
	l.node.t.Helper()
	p, err := l.Listen(l.node.ctx, rooms...)
	if err != nil {
		l.node.t.Fatalf("Listen(%q): %v", rooms, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.level < p {
		l.node.t.Errorf("Listen(%q) = %d, but followed up to %d", rooms, p, l.level)
	}
	return p
}

// wantTexts waits until the line has followed those messages, and listens once
// more to see that there are no others.
func (l *line) wantTexts(want ...string) {
	l.node.t.Helper()
	l.until(l.node.t, fmt.Sprintf("%d messages", len(want)), func() bool { return len(l.got) >= len(want) })
	l.listen()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := texts(l.got); !slices.Equal(got, want) {
		l.node.t.Errorf("followed %q, want %q", got, want)
	}
}

func (l *line) wantHeard(want ...string) {
	l.node.t.Helper()
	l.until(l.node.t, fmt.Sprintf("%q", want), func() bool { return len(l.heard) >= len(want) })
	l.mu.Lock()
	defer l.mu.Unlock()
	var got []string
	for _, h := range l.heard {
		got = append(got, h.text)
	}
	if !slices.Equal(got, want) {
		l.node.t.Errorf("heard %q, want %q", got, want)
	}
}

// wantRead reads rooms to the end, a few messages at a time.
func (l *line) wantRead(after hub.Position, limit int, rooms []string, want ...string) {
	l.node.t.Helper()
	end, err := l.Listen(l.node.ctx)
	if err != nil {
		l.node.t.Fatalf("Listen: %v", err)
	}
	var got []string
	for at := after; at < end; {
		list, upTo, err := l.Read(l.node.ctx, rooms, at, limit)
		if err != nil {
			l.node.t.Fatalf("Read(%q, %d): %v", rooms, at, err)
		}
		if len(list) > limit || upTo <= at {
			l.node.t.Fatalf("Read(%q, %d, %d) = %d messages, up to %d of %d", rooms, at, limit, len(list), upTo, end)
		}
		for _, m := range list {
			if m.Position <= at || m.Position > upTo {
				l.node.t.Errorf("Read(%q, %d) up to %d has %d", rooms, at, upTo, m.Position)
			}
			at = m.Position
			got = append(got, string(m.Body))
		}
		at = upTo
	}
	if !slices.Equal(got, want) {
		l.node.t.Errorf("Read(%q, %d) has %q, want %q", rooms, after, got, want)
	}
}

func texts(list []hub.Stored) []string {
	out := []string{}
	for _, m := range list {
		out = append(out, string(m.Body))
	}
	return out
}
