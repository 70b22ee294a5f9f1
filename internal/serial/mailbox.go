// Package serial runs functions one at a time.
//
// A [Mailbox] keeps what one owner has to do in the order it was put in. It has
// a goroutine only while it has work, so what is idle costs a few words of
// memory and nothing else: a hundred thousand quiet sockets own no goroutine.
//
// Order: functions run in the order in which their Puts returned, never two at
// a time. Slow functions make the queue longer, and a queue that reaches its
// limit refuses: nothing here ever waits for room.
//
// Fairness: a mailbox that works through a backlog, or was given much to do of
// late, lets the others of its crew go first in between. See package turn.
//
// May import: internal/turn.
package serial

import (
	"errors"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/internal/turn"
)

// DefaultLimit is what a [Mailbox] may hold whose [Crew] has no Limit, in bytes.
const DefaultLimit = 1 << 20

// Overhead is what every function counts for besides the size given to Put: its
// closure and its place in the queue. It bounds how many functions of size 0
// can wait.
const Overhead = 64

var (
	// ErrFull is returned by Put when the mailbox holds all it may.
	ErrFull = errors.New("serial: mailbox full")

	// ErrClosed is returned by Put after Close.
	ErrClosed = errors.New("serial: mailbox closed")
)

// A Mailbox runs the functions put into it one at a time, in order. It has a
// goroutine only while it has work. The zero value is ready to use; a Mailbox
// must not be copied after its first use. All methods may be called by any
// goroutine, also from within a function that the mailbox runs, except that
// such a function must not Wait.
//
// A function that panics ends the program, as on any other goroutine, and one
// that calls runtime.Goexit leaves the mailbox stuck: who puts functions in
// recovers in them.
type Mailbox struct {
	// Crew is what the mailbox shares with others; nil is a Crew with nothing
	// set. It is set before the first Put and not changed after.
	Crew *Crew

	mu     sync.Mutex
	work   *work // nil while there is nothing to do: then there is no goroutine
	closed bool
	debt   turn.Debt // of what was put in; only who runs it changes it
}

// work is what a mailbox needs only while it has a goroutine.
type work struct {
	owner *Mailbox
	start func()        // w.begin, kept so that starting the goroutine allocates nothing
	tasks []task        // waiting, in order, from head on
	head  int           // index of the next task
	size  int           // bytes waiting and running
	last  func()        // given to Close
	idle  chan struct{} // made by the first Wait, closed when the goroutine ends
}

type task struct {
	f    func()
	size int
}

// keep is the longest queue whose memory is kept for the next mailbox that
// wakes; longer ones, left by a burst, go to the collector.
const keep = 64

var works sync.Pool // of *work

// Put has f run after everything put before it. size is how many bytes f keeps
// alive; they count against the limit until f has returned. Put never waits and
// never runs f itself. It returns ErrFull when f does not fit, and ErrClosed
// after Close; f then never runs.
func (m *Mailbox) Put(size int, f func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	size = max(size, 0) + Overhead
	if limit := m.limit(); limit >= 0 && (size > limit || m.work != nil && m.work.size > limit-size) {
		return ErrFull
	}
	w := m.wakeLocked()
	w.size += size
	w.push(task{f, size})
	return nil
}

// Close refuses what comes from now on: Put returns ErrClosed. What is waiting
// still runs, and after it last (which may be nil), on the mailbox's goroutine.
// A peer that says something and leaves at once has still said it. Close does
// not wait, so the mailbox's own functions may call it. Only the first Close
// counts: the last of a later one never runs.
func (m *Mailbox) Close(last func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	m.closed = true
	if m.work == nil && last == nil {
		return
	}
	w := m.wakeLocked()
	w.last = last
}

// Wait returns when the mailbox has no goroutine: everything put in has run
// and, after Close, its last function too. It is meant for after Close; before
// it, other goroutines may give the mailbox work as fast as it does it.
func (m *Mailbox) Wait() {
	m.mu.Lock()
	if m.work == nil {
		m.mu.Unlock()
		return
	}
	if m.work.idle == nil {
		m.work.idle = make(chan struct{})
	}
	idle := m.work.idle
	m.mu.Unlock()
	<-idle
}

// Busy says whether something that was put in has not run yet.
func (m *Mailbox) Busy() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.work != nil
}

// Behind says whether more waits than what runs now.
func (m *Mailbox) Behind() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.work != nil && m.work.head < len(m.work.tasks)
}

func (m *Mailbox) limit() int {
	if m.Crew == nil || m.Crew.Limit == 0 {
		return DefaultLimit
	}
	return m.Crew.Limit
}

// wakeLocked returns the mailbox's work and sees to it that there is a
// goroutine for it.
func (m *Mailbox) wakeLocked() *work {
	if m.work == nil {
		w, _ := works.Get().(*work)
		if w == nil {
			w = new(work)
			w.start = w.begin
		}
		w.owner, m.work = m, w
		if h := m.Crew.take(); h != nil {
			h.next <- w // it rests: there is room
			return w
		}
		// Started by whoever finds the mailbox idle and nobody who rests. The
		// first look that finds nothing more to do ends it, or lets it rest
		// until Crew.Close; Wait waits for the former. It is not a
		// WaitGroup's, which would cost every mailbox 16 bytes at rest and
		// may not be waited for while it starts again.
		go w.start()
	}
	return m.work
}

// begin is a goroutine of the crew's.
func (w *work) begin() { w.owner.Crew.serve(w) }

// run does what is to be done.
func (w *work) run() {
	m := w.owner
	ran := 0
	now := time.Now()
	began := now
	for first := true; ; first = false {
		m.mu.Lock()
		w.size -= ran
		f, size := w.nextLocked()
		if f == nil {
			m.work = nil
			m.mu.Unlock()
			w.release()
			return
		}
		more := w.head < len(w.tasks)
		m.mu.Unlock()
		if now.Sub(began) > turn.Slice || first && m.debt.Heavy(now) {
			now = m.giveWay(!more)
			began = now
		}
		f()
		then := time.Now()
		m.debt.Add(then, then.Sub(now))
		now, ran = then, size
	}
}

// giveWay lets those go first who have less to do, and returns the time.
func (m *Mailbox) giveWay(little bool) time.Time {
	switch {
	case m.Crew == nil:
	case little:
		m.Crew.line.WaitLittle()
	default:
		m.Crew.line.Wait()
	}
	return time.Now()
}

// nextLocked takes out what runs next; nil means that nothing is left.
func (w *work) nextLocked() (f func(), size int) {
	if w.head < len(w.tasks) {
		t := w.tasks[w.head]
		w.tasks[w.head] = task{}
		w.head++
		if w.head == len(w.tasks) {
			w.tasks, w.head = w.tasks[:0], 0
		}
		return t.f, t.size
	}
	f, w.last = w.last, nil
	return f, 0
}

// push appends t. It moves what waits to the front instead of growing when half
// of the queue is behind head, so a mailbox that is never idle doesn't grow
// for ever.
func (w *work) push(t task) {
	if len(w.tasks) == cap(w.tasks) && w.head > 0 && w.head >= len(w.tasks)/2 {
		n := copy(w.tasks, w.tasks[w.head:])
		clear(w.tasks[n:])
		w.tasks, w.head = w.tasks[:n], 0
	}
	w.tasks = append(w.tasks, t)
}

// release tells who waits and gives w back. The mailbox no longer refers to it.
func (w *work) release() {
	if w.idle != nil {
		close(w.idle)
	}
	if cap(w.tasks) > keep {
		w.tasks = nil
	}
	w.owner, w.idle, w.head, w.size = nil, nil, 0, 0
	works.Put(w)
}
