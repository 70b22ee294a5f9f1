package natshub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/natshub"
)

// memory is what the lines of the tests remember.
func memory() *hub.Memory { return &hub.Memory{Window: time.Minute, MaxBytes: 1 << 20} }

// A node is an engine with a line, and what that was handed.
type node struct {
	hub.Line
	t      *testing.T
	engine *natshub.Engine
	hold   atomic.Pointer[sync.Mutex] // is taken in Follow

	mu    sync.Mutex
	news  chan struct{}
	got   []string
	level hub.Position
	lost  []error
	away  bool
	left  int // times that a node left
	wrong []string
}

func join(t *testing.T, cfg natshub.Config, rooms ...string) *node {
	t.Helper()
	return joinWith(t, cfg, memory(), rooms...)
}

func joinWith(t *testing.T, cfg natshub.Config, m *hub.Memory, rooms ...string) *node {
	t.Helper()
	n := &node{t: t, engine: open(t, cfg), news: make(chan struct{})}
	if err := n.engine.Join(t.Context(), peer{n}, nil); err != nil {
		t.Fatalf("Join: %v", err)
	}
	var err error
	if n.Line, err = n.engine.Open(t.Context(), "/", m, n); err != nil {
		t.Fatalf("Open: %v", err)
	}
	if _, err := n.Listen(t.Context(), rooms...); err != nil {
		t.Fatalf("Listen: %v", err)
	}
	return n
}

func (n *node) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.news)
	n.news = make(chan struct{})
}

func (n *node) Follow(messages []hub.Stored, level hub.Position) {
	if hold := n.hold.Load(); hold != nil {
		hold.Lock()
		defer hold.Unlock()
	}
	n.change(func() {
		for _, m := range messages {
			if m.Position <= n.level {
				n.wrong = append(n.wrong, fmt.Sprintf("%d after %d", m.Position, n.level))
			}
			n.level = m.Position
			n.got = append(n.got, string(m.Body))
		}
		n.level = max(n.level, level)
	})
}

func (n *node) Heard(string, []byte) {}

func (n *node) Lost(err error, level hub.Position) {
	n.change(func() { n.lost, n.level = append(n.lost, err), level })
}

// until waits until something holds.
func (n *node) until(what string, holds func() bool) {
	n.t.Helper()
	timeout := time.NewTimer(30 * time.Second)
	defer timeout.Stop()
	for {
		n.mu.Lock()
		done, news := holds(), n.news
		n.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-timeout.C:
			n.mu.Lock()
			defer n.mu.Unlock()
			n.t.Fatalf("waited for %s: got %d, lost %v, away %t", what, len(n.got), n.lost, n.away)
		}
	}
}

// say publishes texts, each until it is acknowledged.
func (n *node) say(room string, texts ...string) {
	n.t.Helper()
	for _, text := range texts {
		for began := time.Now(); ; {
			m := &hub.SharedMessage{Publisher: "p", ID: text, Rooms: []string{room}, Body: []byte(text)}
			ctx, cancel := context.WithTimeout(n.t.Context(), 20*time.Second)
			n.Commit(ctx, &hub.SharedBatch{Messages: []*hub.SharedMessage{m}})
			cancel()
			if m.Err == nil {
				break
			}
			if time.Since(began) > 60*time.Second || !errors.Is(m.Err, hub.ErrUnavailable) && !errors.Is(m.Err, hub.ErrUnknown) {
				n.t.Fatalf("Commit of %q: %v", text, m.Err)
			}
			<-time.After(20 * time.Millisecond)
		}
	}
}

// wants waits until the node has followed just that, whatever came between.
func (n *node) wants(want []string) {
	n.t.Helper()
	n.until(fmt.Sprint(len(want), " messages"), func() bool { return len(n.got) >= len(want) })
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.got, want) {
		n.t.Errorf("followed %d messages, want %d, or in another order", len(n.got), len(want))
	}
	if len(n.wrong) > 0 || len(n.lost) > 0 {
		n.t.Errorf("wrong: %q, lost: %v", n.wrong, n.lost)
	}
}

// wantsEpoch waits until the node is told of a new epoch.
func (n *node) wantsEpoch() {
	n.t.Helper()
	n.until("a new epoch", func() bool {
		return slices.ContainsFunc(n.lost, func(err error) bool { return errors.Is(err, hub.ErrEpoch) })
	})
}

func numbers(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

// A peer is a node as its engine sees it.
type peer struct{ n *node }

func (p peer) Told(string, []byte) {}
func (p peer) Came(string, []byte) {}
func (p peer) Left(string)         { p.n.change(func() { p.n.left++ }) }
func (p peer) Reached(err error)   { p.n.change(func() { p.n.away = err != nil }) }
