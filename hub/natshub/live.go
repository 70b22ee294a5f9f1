package natshub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
)

const (
	retryPause    = 20 * time.Millisecond
	retryPauseMax = time.Second
)

func isNobody(err error) bool { return errors.Is(err, errNobody) }

// live keeps a connection until the context ends.
func (e *Engine) live(ctx context.Context, p hub.Peer) {
	wait := retryPause
	for ctx.Err() == nil {
		l, err := e.connect(ctx, p)
		if err == nil {
			wait = retryPause
			e.setUp(p, l, nil)
			select {
			case <-l.ctx.Done():
			case <-ctx.Done():
			}
		}
		if l != nil {
			l.end(cmp.Or(err, hub.ErrClosed))
			err = l.failure() // why it was ended, if it was from here
			for _, line := range e.openLines() {
				line.detach(l)
			}
		}
		if ctx.Err() == nil {
			e.setUp(p, nil, err)
		}
		if !pause(ctx, wait) {
			return
		}
		wait = min(2*wait, retryPauseMax)
	}
}

// connect opens a connection on which all lines take part.
func (e *Engine) connect(ctx context.Context, p hub.Peer) (*link, error) {
	l, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { l.fail(hub.ErrClosed) })
	defer stop()
	e.wg.Go(func() { e.read(l, p) }) // ends with the connection; Close waits
	if err := e.check(ctx, l, false); err != nil {
		return l, err
	}
	for _, subject := range []string{e.names.all(), e.names.node(token(e.node))} {
		if _, err := l.listen(subject, target{}); err != nil {
			return l, err
		}
	}
	for _, line := range e.openLines() {
		if err := line.attach(ctx, l); err != nil && !errors.Is(err, hub.ErrClosed) {
			return l, fmt.Errorf("enter %s: %w", line.name, err)
		}
	}
	e.mu.Lock()
	e.heard = e.said // what did not come back on another is not waited for
	e.mu.Unlock()
	return l, e.beat(l, "")
}

// read looks at what comes until the connection ends.
func (e *Engine) read(l *link, p hub.Peer) {
	for {
		select {
		case m := <-l.in:
			if len(l.in) >= cap(l.in)-1 {
				l.fail(errSlow) // something may have been dropped behind this
				return
			}
			e.hear(l, p, m)
		case <-l.ctx.Done():
			return
		}
	}
}

// hear does what a message asks for.
func (e *Engine) hear(l *link, p hub.Peer, m *nats.Msg) {
	if m.Sub == l.replies {
		l.replied(m)
		return
	}
	l.mu.Lock()
	t, is := l.targets[m.Sub]
	l.mu.Unlock()
	if !is {
		return
	}
	ok := true
	switch {
	case t.batch != nil:
		t.batch.answer(0, m)
	case t.line != nil:
		ok = t.line.hear(l, t, m)
	default:
		ok = e.told(l, p, m.Data)
	}
	if !ok {
		call(e.cfg.Trace.Ignored)
	}
}

// told does what a node says to others.
func (e *Engine) told(l *link, p hub.Peer, payload []byte) bool {
	kind, node, rest, ok := cutSaid(payload)
	if !ok {
		return false
	}
	switch kind {
	case kindTell:
		if node != e.node && !e.news.full() { // at most once
			e.news.put(func() { p.Told(node, rest) }, len(payload))
		}
		return true
	case kindBeat:
		number, about, ok := cutNumber(rest)
		if ok {
			e.met(l, p, node, number, about)
		}
		return ok
	case kindLeft:
		e.mu.Lock()
		_, known := e.nodes[node]
		delete(e.nodes, node)
		e.mu.Unlock()
		if known {
			e.news.put(func() { p.Left(node) }, 1)
		}
		return true
	}
	return false
}

// met takes note of a beat. A node that was not known gets to know this one.
func (e *Engine) met(l *link, p hub.Peer, node string, number uint64, about []byte) {
	e.mu.Lock()
	if node == e.node {
		e.heard = max(e.heard, number)
		e.mu.Unlock()
		return
	}
	n := e.nodes[node]
	fresh := n == nil
	if fresh {
		n = &neighbour{about: slices.Clone(about)}
		e.nodes[node] = n
	}
	n.heard = time.Now()
	e.mu.Unlock()
	if fresh {
		e.news.put(func() { p.Came(node, slices.Clone(about)) }, 1)
		_ = e.beat(l, node) // if it fails, the connection ends
	}
}

// beat says that this node is there, to a node or to all.
func (e *Engine) beat(l *link, node string) error {
	subject := e.names.all()
	var number uint64
	if node != "" {
		subject = e.names.node(token(node))
	} else {
		e.mu.Lock()
		e.said++
		number = e.said
		e.mu.Unlock()
	}
	payload := appendSaid(kindBeat, e.node, len(e.about)+10)
	return l.say(subject, append(appendNumber(payload, number), e.about...))
}

// beats renews the lease until the context ends, and ends that of others.
func (e *Engine) beats(ctx context.Context, p hub.Peer) {
	tick := time.NewTicker(e.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		e.mu.Lock()
		l, silent := e.up, e.heard < e.said
		e.wakeLocked()
		e.mu.Unlock()
		switch {
		case l == nil:
			continue
		case silent:
			l.fail(errSilent)
			continue
		}
		_ = e.beat(l, "")
		e.bury(p)
		for _, line := range e.openLines() {
			line.tick(l)
		}
	}
}

// wakeLocked notices that this node itself was paused: what others have said
// meanwhile has not been looked at yet, so that nobody was silent.
func (e *Engine) wakeLocked() {
	now := time.Now()
	if now.Sub(e.awake) > e.cfg.Lease*2/3 {
		e.spareLocked(now)
	}
	e.awake = now
}

// spareLocked begins the leases of all others anew.
func (e *Engine) spareLocked(now time.Time) {
	for _, n := range e.nodes {
		n.heard = now
	}
}

// bury ends the leases of nodes that were not heard for as long as that.
func (e *Engine) bury(p hub.Peer) {
	var gone []string
	e.mu.Lock()
	for node, n := range e.nodes {
		if time.Since(n.heard) > e.cfg.Lease {
			gone = append(gone, node)
			delete(e.nodes, node)
		}
	}
	e.mu.Unlock()
	for _, node := range gone {
		e.news.put(func() { p.Left(node) }, 1)
		for _, line := range e.openLines() {
			line.settle(node)
		}
	}
}
