package hubtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// A clusterEngine is a node of a [Cluster]. All that it hands on, it does so on
// one goroutine. Its fields are guarded by the cluster's lock.
type clusterEngine struct {
	c    *Cluster
	name string

	peer   hub.Peer // nil: it has not joined
	about  []byte
	lines  []*clusterLine
	known  map[string][]byte
	events []event
	cut    bool
	mute   bool
	closed bool
	lease  *time.Timer // while it is cut
	slow   time.Duration
	rng    *rand.Rand
	news   chan struct{} // closed by the next change

	wake  chan struct{} // holds a token when there is something to hand on
	ended chan struct{}
	pump  sync.WaitGroup
}

// An event is something to hand on besides messages. What others say is lost
// with the connection.
type event struct {
	run  func()
	said bool
}

var _ hub.Engine = (*clusterEngine)(nil)

func (e *clusterEngine) Node() string { return e.name }

func (e *clusterEngine) Join(ctx context.Context, p hub.Peer, about []byte) error {
	return e.read(ctx, func() { // which may be tried again, as what changes nothing
		begin := e.peer == nil
		e.peer, e.about = p, bytes.Clone(about)
		e.c.alive[e.name] = e.about
		e.c.introduceLocked()
		if begin {
			e.pump.Go(e.run)
		}
	})
}

func (e *clusterEngine) Nodes() map[string][]byte {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	return maps.Clone(e.known)
}

func (e *clusterEngine) Tell(node string, body []byte) error {
	return e.toOthers(func(o *clusterEngine) bool { return node == "" || o.name == node }, func(o *clusterEngine) {
		body := bytes.Clone(body)
		o.events = append(o.events, event{func() { o.peer.Told(e.name, body) }, true})
	})
}

// toOthers has something said to the others that are connected.
func (e *clusterEngine) toOthers(who func(*clusterEngine) bool, say func(*clusterEngine)) error {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	switch {
	case e.closed:
		return hub.ErrClosed
	case e.cut:
		return hub.ErrUnavailable
	}
	for _, o := range e.c.nodes {
		if o != e && o.peer != nil && !o.cut && !o.mute && !o.closed && who(o) {
			say(o)
			o.tellLocked()
		}
	}
	return nil
}

func (e *clusterEngine) Open(ctx context.Context, namespace string, m *hub.Memory, f hub.Follower) (hub.Line, error) {
	l := &clusterLine{e: e, namespace: namespace, follower: f, rooms: make(map[string]bool)}
	var twice bool
	err := e.read(ctx, func() {
		if twice = slices.ContainsFunc(e.lines, func(o *clusterLine) bool { return o.namespace == namespace && !o.closed }); twice {
			return
		}
		if m != nil {
			if e.c.spaces[namespace] == nil {
				e.c.spaces[namespace] = e.c.newSpace(namespace, m.Window)
			}
			l.remembers, l.window = true, m.Window
			s := l.spaceLocked()
			l.epoch, l.cursor = s.epoch, s.last
		}
		e.lines = append(e.lines, l)
	})
	if err == nil && twice {
		err = fmt.Errorf("open line of %q: already open", namespace)
	} else if err != nil {
		l.Close()
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (e *clusterEngine) Close() error {
	e.c.mu.Lock()
	if !e.closed {
		e.closed = true
		if e.lease != nil {
			e.lease.Stop()
		}
		if !e.cut { // else its lease ends
			e.c.buryLocked(e)
		}
		close(e.ended)
		e.tellLocked()
	}
	e.c.mu.Unlock()
	e.pump.Wait()
	return nil
}

// disconnectLocked loses what is under way to the node.
func (e *clusterEngine) disconnectLocked() {
	e.events = slices.DeleteFunc(e.events, func(v event) bool { return v.said })
}

func (e *clusterEngine) queueLocked(f func()) {
	if e.peer != nil {
		e.events = append(e.events, event{run: f})
		e.tellLocked()
	}
}

// tellLocked wakes the goroutine that hands on, and who waits for a change.
func (e *clusterEngine) tellLocked() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
	if e.news != nil {
		close(e.news)
		e.news = nil
	}
}

func (e *clusterEngine) newsLocked() chan struct{} {
	if e.news == nil {
		e.news = make(chan struct{})
	}
	return e.news
}

// pause takes a while, if the node is to be slow.
func (e *clusterEngine) pause(done <-chan struct{}) {
	e.c.mu.Lock()
	d := e.slow
	if d > 0 {
		d = time.Duration(e.rng.Int64N(int64(d)))
	}
	e.c.mu.Unlock()
	if d == 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-done:
	case <-e.ended:
	}
}

// ask has something done by the service, once, and returns when the answer is
// there. It is [hub.ErrUnknown] if the question reached the service and the
// answer did not come back.
func (e *clusterEngine) ask(ctx context.Context, do func()) error {
	e.pause(ctx.Done())
	for asked := false; ; {
		e.c.mu.Lock()
		switch {
		case e.closed:
			e.c.mu.Unlock()
			return hub.ErrClosed
		case e.cut && !asked:
			e.c.mu.Unlock()
			return hub.ErrUnavailable
		case ctx.Err() != nil && !asked:
			e.c.mu.Unlock()
			return errors.Join(hub.ErrUnavailable, ctx.Err())
		case !e.cut && !asked:
			do()
			asked = true
		}
		if !e.cut && !e.mute {
			e.c.mu.Unlock()
			e.pause(ctx.Done())
			return nil
		}
		news := e.newsLocked()
		e.c.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return errors.Join(hub.ErrUnknown, ctx.Err())
		}
	}
}

// read is ask for what changes nothing.
func (e *clusterEngine) read(ctx context.Context, do func()) error {
	err := e.ask(ctx, do)
	if errors.Is(err, hub.ErrUnknown) {
		return errors.Join(hub.ErrUnavailable, ctx.Err())
	}
	return err
}

// run hands on what there is, until the end.
func (e *clusterEngine) run() {
	for {
		e.pause(nil)
		e.c.mu.Lock()
		if e.closed {
			e.c.mu.Unlock()
			return
		}
		var todo []func()
		if !e.cut && !e.mute {
			for _, l := range e.lines {
				if f := l.nextLocked(); f != nil {
					todo = append(todo, f)
				}
			}
		}
		if len(e.events) > 0 {
			todo = append(todo, e.events[0].run)
			e.events = e.events[1:]
		}
		e.c.mu.Unlock()
		for _, f := range todo {
			f()
		}
		if len(todo) == 0 {
			select {
			case <-e.wake:
			case <-e.ended:
			}
		}
	}
}
