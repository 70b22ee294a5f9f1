package limit

import (
	"sync"
	"time"
)

// A Group holds many callers to a rate, each for itself. It is safe for
// concurrent use.
//
// A bucket that is full again is the same as none, so the group keeps only
// those that aren't, and at most as many as it was made for. When that many
// callers are busy at once, a caller it does not know is refused: the memory
// holds, and who is known is not thrown out by who comes in numbers.
type Group[K comparable] struct {
	rate Rate
	most int

	mu    sync.Mutex
	full  map[K]time.Time // when the caller's bucket will be full again
	sweep time.Time       // nothing can have become full before
}

// NewGroup returns a group that remembers at most so many callers at a time.
func NewGroup[K comparable](r Rate, most int) *Group[K] {
	return &Group[K]{rate: r, most: most, full: make(map[K]time.Time)}
}

// Take takes a token from the caller's bucket, as [Bucket.Take] does.
func (g *Group[K]) Take(caller K) (wait time.Duration, ok bool) {
	if !g.rate.Limited() {
		return 0, true
	}
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	full, known := g.full[caller]
	if !known && len(g.full) >= g.most {
		if g.sweepLocked(now); len(g.full) >= g.most {
			return g.sweep.Sub(now), false
		}
	}
	full, wait, ok = g.rate.take(full, now)
	g.full[caller] = full
	return wait, ok
}

// sweepLocked forgets the buckets that are full again. It does not look before
// the first of them can be, so that a crowd of strangers costs one look per
// interval and not one each.
func (g *Group[K]) sweepLocked(now time.Time) {
	if now.Before(g.sweep) {
		return
	}
	g.sweep = now.Add(g.rate.interval())
	for caller, full := range g.full {
		if !full.After(now) {
			delete(g.full, caller)
		}
	}
}

// Len returns how many callers the group remembers.
func (g *Group[K]) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.full)
}
