package hub

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/internal/turn"
)

// A writer writes what many have to be written, a group at a time: whoever comes
// while a group is being written joins the next one. It has a goroutine while
// there is something to write.
type writer struct {
	// By the writer's goroutine, outside locks. It closes g.written, and returns how
	// long the disk or the engine took.
	write func(g *group) time.Duration

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

const (
	// slow is how long a write takes that is worth waiting for others.
	slow = 200 * time.Microsecond
	// gathering is how long they are waited for at most, and fruitless how many
	// turns of theirs in a row may bring nothing.
	gathering = 2 * time.Millisecond
	fruitless = 3
)

// run writes group after group until none waits.
func (w *writer) run() {
	var line turn.Line // it waits for nobody else's
	defer line.Close()
	took := time.Duration(0)
	for {
		// Whoever else is about to write comes along: a group costs what one message
		// costs, on the disk and on the way to each member.
		runtime.Gosched()
		if took > slow {
			w.gather(&line)
		}
		w.mu.Lock()
		g := w.next
		w.next = nil
		if g == nil {
			w.active = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		took = w.write(g)
	}
}

// gather lets all others have turns for as long as that brings more to write. A
// writer that waits for its disk keeps its processor for most of that time, and who
// waits in a line goes on only in between: eight at a time, it was, of two hundred
// publishers, into groups of eight.
func (w *writer) gather(line *turn.Line) {
	began, had := time.Now(), 0
	for idle := 0; idle < fruitless && time.Since(began) < gathering; idle++ {
		line.Wait()
		if n := w.waiting(); n > had {
			had, idle = n, 0
		}
	}
}

// waiting returns how much waits to be written.
func (w *writer) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == nil {
		return 0
	}
	g := w.next
	return len(g.messages) + len(g.posts) + len(g.sessions) + len(g.erase)
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
