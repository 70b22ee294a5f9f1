package limit

import (
	"hash/maphash"
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
//
// A group of many is kept in parts with a lock and a share of the places each:
// whether there is room for a stranger is then decided in his part.
type Group[K comparable] struct {
	rate  Rate
	seed  maphash.Seed
	parts []part[K]
}

// part is some of a group's callers.
type part[K comparable] struct {
	most int

	mu    sync.Mutex
	full  map[K]time.Time // when the caller's bucket will be full again
	sweep time.Time       // nothing can have become full before
}

// parts is how many parts a large group has, and partial from how many callers
// on it is large: with 4,096 places each, parts fill up nearly at the same time.
const (
	parts   = 16
	partial = parts * 4096
)

// NewGroup returns a group that remembers at most so many callers at a time.
func NewGroup[K comparable](r Rate, most int) *Group[K] {
	n := 1
	if most >= partial {
		n = parts
	}
	g := &Group[K]{rate: r, seed: maphash.MakeSeed(), parts: make([]part[K], n)}
	for i := range g.parts {
		g.parts[i].most = most / n
		g.parts[i].full = make(map[K]time.Time)
	}
	return g
}

// Take takes a token from the caller's bucket, as [Bucket.Take] does.
func (g *Group[K]) Take(caller K) (wait time.Duration, ok bool) { return g.TakeMany(caller, 1) }

// TakeMany takes tokens, or none.
func (g *Group[K]) TakeMany(caller K, tokens int) (wait time.Duration, ok bool) {
	if !g.rate.Limited() {
		return 0, true
	}
	p := &g.parts[0]
	if len(g.parts) > 1 {
		p = &g.parts[maphash.Comparable(g.seed, caller)%uint64(len(g.parts))]
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	full, known := p.full[caller]
	if !known && len(p.full) >= p.most {
		if p.sweepLocked(now, g.rate.interval()); len(p.full) >= p.most {
			return p.sweep.Sub(now), false
		}
	}
	full, wait, ok = g.rate.take(full, now, tokens)
	p.full[caller] = full
	return wait, ok
}

// sweepLocked forgets the buckets that are full again. It does not look before
// the first of them can be, so that a crowd of strangers costs one look per
// interval and not one each; nor more often than every few milliseconds, which
// a look at very many takes itself.
func (p *part[K]) sweepLocked(now time.Time, interval time.Duration) {
	if now.Before(p.sweep) {
		return
	}
	p.sweep = now.Add(max(interval, leastSweep))
	for caller, full := range p.full {
		if !full.After(now) {
			delete(p.full, caller)
		}
	}
}

const leastSweep = 50 * time.Millisecond

// Len returns how many callers the group remembers.
func (g *Group[K]) Len() int {
	n := 0
	for i := range g.parts {
		p := &g.parts[i]
		p.mu.Lock()
		n += len(p.full)
		p.mu.Unlock()
	}
	return n
}
