package serial

import (
	"slices"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/internal/turn"
)

// A Crew is what many mailboxes share: their limit, and goroutines that have
// been at work and wait for more. One that has grown its stack for a handler
// need not grow it again for the next. The zero value keeps no goroutine; a
// Crew must not be copied. All methods may be called by any goroutine.
type Crew struct {
	// Limit is how many bytes may be waiting or running in a mailbox, each
	// function counting for its size and Overhead. 0 is DefaultLimit, negative
	// is no limit. It is set before the first Put and not changed after.
	Limit int
	// Resting is how many goroutines may wait for work, of all mailboxes
	// together. Those that were not needed for a while go. It is set before the
	// first Put. Who sets it calls Close.
	Resting int

	line turn.Line // of mailboxes with much to do

	mu      sync.Mutex
	resting []*hand // who rested last is woken first: it is warm still
	least   int     // the fewest that rested since the last look
	look    *time.Timer
	closed  bool
}

// between is the time between two looks at who has not been needed: a burst may
// leave goroutines for the next, and must not leave them for ever.
const between = 5 * time.Second

// hand is a goroutine of a crew when it has no work.
type hand struct{ next chan *work }

// Close ends the goroutines that rest, and others when they have nothing to do.
// It does not wait. Mailboxes work as before, with goroutines that do not rest.
func (c *Crew) Close() {
	c.mu.Lock()
	resting := c.resting
	c.resting, c.closed = nil, true
	if c.look != nil {
		c.look.Stop()
	}
	c.mu.Unlock()
	for _, h := range resting {
		close(h.next)
	}
	c.line.Close()
}

// take returns one who rests, or nil.
func (c *Crew) take() *hand {
	if c == nil || c.Resting == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.resting) - 1
	if last < 0 {
		return nil
	}
	h := c.resting[last]
	c.resting[last] = nil
	c.resting = c.resting[:last]
	c.least = min(c.least, last)
	return h
}

// rest lets h rest, if it may.
func (c *Crew) rest(h *hand) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.resting) >= c.Resting {
		return false
	}
	c.resting = append(c.resting, h)
	if len(c.resting) == 1 && c.look == nil {
		c.look = time.AfterFunc(between, c.dismiss)
	}
	return true
}

// dismiss ends those that have rested since the last look.
func (c *Crew) dismiss() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	gone := slices.Clone(c.resting[:c.least])
	c.resting = slices.Delete(c.resting, 0, c.least)
	if c.least = len(c.resting); c.least > 0 {
		c.look.Reset(between)
	} else {
		c.look = nil
	}
	c.mu.Unlock()
	for _, h := range gone {
		close(h.next)
	}
}

// serve does w, and what comes while it may rest.
func (c *Crew) serve(w *work) {
	w.run()
	if c == nil || c.Resting == 0 {
		return
	}
	h := &hand{make(chan *work, 1)}
	for c.rest(h) {
		if w = <-h.next; w == nil {
			return
		}
		w.run()
	}
}
