//go:build !memnet

package poll

import (
	"runtime"
	"time"
)

const (
	// sweep is how long the runtime may be sweeping after a collection, about.
	sweep = 10 * time.Millisecond
	// glance is the time between two looks meanwhile.
	glance = 200 * time.Microsecond
)

// canary is what a collection finds unused. It is a pointer, since the runtime
// sweeps what has pointers and is small among the first.
type canary struct{ _ *byte }

// heed has q look for itself while the runtime sweeps, after each collection until
// it is closed: with one processor the runtime does not look at sockets then, if
// it has nothing else to do. Nobody is answered for up to ten milliseconds.
func (q *queue) heed() { runtime.AddCleanup(new(canary), (*queue).swept, q) }

// swept is called, by a goroutine of the runtime, when the canary is gone.
func (q *queue) swept() {
	now := time.Now()
	q.sweeping.Store(now.Add(sweep).UnixNano())
	if q.file.SetReadDeadline(now) == nil { // or it is closed
		q.heed()
	}
}

// watchful says whether the runtime may not be looking, so that q has to.
func (q *queue) watchful() bool {
	until := q.sweeping.Load()
	return until != 0 && time.Now().UnixNano() < until
}
