package websocket

import (
	"runtime"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/internal/poll"
	"github.com/tutti-rt/tutti/internal/turn"
)

// Loop is what many connections share so that none needs a goroutine: workers
// that wait for their sockets, and flushers that write what is posted to them.
// The zero value is ready to use; it must not be copied. Connections that are
// not plain sockets, and all on systems without a poller, have goroutines of
// their own, whether they have a Loop or not.
type Loop struct {
	poller  poll.Poller
	flusher flusher

	mu     sync.Mutex
	limits map[limits]*limits // those in use are few, and connections many
}

// Close lets the workers end with the last connection. It does not wait.
// Connections accepted after it have goroutines of their own.
func (l *Loop) Close() {
	l.poller.Close()
	l.flusher.close()
}

// Wait returns when no worker runs. It is for after Close.
func (l *Loop) Wait() { l.poller.Wait() }

// share returns the one copy of o.
func (l *Loop) share(o limits) *limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	if shared := l.limits[o]; shared != nil {
		return shared
	}
	if l.limits == nil {
		l.limits = make(map[limits]*limits)
	}
	l.limits[o] = &o
	return &o
}

// Task is something else that flushers do: it must not wait.
type Task interface{ Do() }

// Do has t done soon, on a goroutine that holds no lock.
func (l *Loop) Do(t Task) { l.flusher.add(t) }

// posted is a connection that a flusher writes to.
type posted Conn

// Do implements [Task].
func (p *posted) Do() { (*Conn)(p).flush() }

// flushAtOnce is how many connections a flusher takes out of the queue at a
// time, and how many wait before another is started.
const flushAtOnce = 64

// flusher writes what was posted to connections, in the order in which they
// asked. While one message goes to many, the next one can be queued: a
// connection whose turn has not come yet gets both in one write. So the busier
// it is, the less a message costs.
type flusher struct {
	mu      sync.Mutex
	queue   []Task // from head on
	head    int
	running int
	resting int           // goroutines that wait for wake: their stacks have grown
	wake    chan struct{} // holds a token for each that was resting and is running now
	start   func()        // run, bound once so that starting it allocates nothing
	closed  bool
}

// add has t done. If that is a connection the caller has made it writing.
func (f *flusher) add(t Task) {
	f.mu.Lock()
	if f.head > 0 && len(f.queue) == cap(f.queue) {
		n := copy(f.queue, f.queue[f.head:])
		clear(f.queue[n:])
		f.queue, f.head = f.queue[:n], 0
	}
	f.queue = append(f.queue, t)
	start := f.running == 0 || len(f.queue)-f.head > f.running*flushAtOnce && f.running < runtime.GOMAXPROCS(0)
	if start {
		f.running++
		if f.resting > 0 {
			f.resting--
			f.wake <- struct{}{} // there is room for all that rest
			start = false
		} else if f.start == nil {
			f.start = f.run
		}
	}
	f.mu.Unlock()
	if start {
		// Started by who finds too few of them, rests when the queue is empty,
		// and is ended by Loop.Close. Nobody waits for it: it never waits for
		// anything else.
		go f.start()
	}
}

func (f *flusher) run() {
	var some [flushAtOnce]Task
	var line turn.Line // it is everybody's, and waits for no other flusher
	line.Open()
	defer line.Close()
	began := time.Now()
	for {
		n, wake := f.take(some[:])
		if n == 0 {
			if wake == nil {
				return
			}
			if _, more := <-wake; !more {
				return
			}
			began = time.Now()
			continue
		}
		for i, t := range some[:n] {
			some[i] = nil
			t.Do()
			if time.Since(began) > turn.Slice {
				line.Wait()
				began = time.Now()
			}
		}
		// Who reads or publishes comes in between, and adds to what leaves
		// together.
		runtime.Gosched()
	}
}

// take takes out what is next. If that is nothing there is one flusher less,
// which rests until there is a token in wake, or ends if that is nil.
func (f *flusher) take(some []Task) (n int, wake chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n = copy(some, f.queue[f.head:])
	clear(f.queue[f.head : f.head+n])
	if f.head += n; f.head == len(f.queue) {
		f.queue, f.head = f.queue[:0], 0
	}
	if n > 0 {
		return n, nil
	}
	f.running--
	if f.wake == nil {
		f.wake = make(chan struct{}, runtime.GOMAXPROCS(0))
	}
	if f.closed || f.resting == cap(f.wake) {
		return 0, nil
	}
	f.resting++
	return 0, f.wake
}

// close ends those who rest, and the others when they have nothing to do.
func (f *flusher) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed && f.wake != nil {
		close(f.wake)
	}
	f.closed, f.resting = true, 0
}
