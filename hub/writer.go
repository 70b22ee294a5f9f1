package hub

import (
	"context"
	"fmt"
	"runtime"
	"sync"
)

// A writer writes what many have to be written, a group at a time: whoever comes
// while a group is being written joins the next one. It has a goroutine while
// there is something to write.
type writer struct {
	write func(g *group) // by the writer's goroutine, outside locks; it closes g.written

	mu     sync.Mutex
	next   *group // collects what will be written; nil: nothing waits
	active bool   // the goroutine is running
	closed bool
	failed error // why nothing is written any more

	running sync.WaitGroup
}

// A group is what is written at a time.
type group struct {
	messages []*Message
	bodies   [][]byte  // the messages' records, of a tape of the hub's own
	posts    []*posted // the messages, of a tape that is shared
	sessions []*SharedSession
	erase    []Erasure
	sync     bool          // it must survive the machine, whatever the messages demand
	written  chan struct{} // closed when err is set, and what became of the parts
	err      error
	eraseErr error // only the erasures failed
}

// refusalLocked says why nothing can be written.
func (w *writer) refusalLocked() error {
	if w.failed != nil {
		return w.failed
	}
	if w.closed {
		return ErrClosed
	}
	return nil
}

// groupLocked returns the group that will be written next and sees to it that
// somebody does.
func (w *writer) groupLocked() *group {
	if w.next == nil {
		w.next = &group{written: make(chan struct{})}
	}
	if !w.active {
		w.active = true
		// Started by who finds the writer idle, ended when nothing waits, waited
		// for by close.
		w.running.Go(w.run)
	}
	return w.next
}

// run writes group after group until none waits.
func (w *writer) run() {
	for {
		// Whoever else is about to write comes along: a group costs what one message
		// costs, on the disk and on the way to each member.
		runtime.Gosched()
		w.mu.Lock()
		g := w.next
		w.next = nil
		if g == nil {
			w.active = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		w.write(g)
	}
}

// enqueue has session records and erasures written, after what was appended or
// enqueued before. They survive the death of the process when that is written;
// that of the machine then, too, if sync asks for it, else as soon as something
// written later does. It does not wait.
func (w *writer) enqueue(sync bool, sessions []*SharedSession, erase ...Erasure) *pending {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.refusalLocked(); err != nil {
		g := &group{written: make(chan struct{}), err: err}
		close(g.written)
		return &pending{group: g}
	}
	g := w.groupLocked()
	g.sessions = append(g.sessions, sessions...)
	g.erase = append(g.erase, erase...)
	g.sync = g.sync || sync
	return &pending{g, sessions, len(erase) > 0}
}

// close lets what waits be written and returns when it is.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.running.Wait()
}

func (g *group) wait(ctx context.Context) error {
	select {
	case <-g.written:
		return g.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

// A pending write is a part of a group.
type pending struct {
	group    *group
	sessions []*SharedSession
	erases   bool
}

// wait returns when it is written, or why it is not.
func (p *pending) wait(ctx context.Context) error {
	if err := p.group.wait(ctx); err != nil {
		return err
	}
	for _, s := range p.sessions {
		if s.Err != nil {
			return s.Err
		}
	}
	if p.erases {
		return p.group.eraseErr
	}
	return nil
}
