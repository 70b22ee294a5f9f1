package limit

import "sync"

// A Tally counts how many of something each owner has at a time, up to a most.
// It remembers who has one, so it is as large as what is counted. It is safe for
// concurrent use.
type Tally[K comparable] struct {
	most int

	mu   sync.Mutex
	have map[K]int
}

// NewTally returns a tally with nothing in it. A most of 0 or less is no limit,
// and then nothing is counted.
func NewTally[K comparable](most int) *Tally[K] {
	return &Tally[K]{most: most, have: make(map[K]int)}
}

// Take counts one more for the owner, or returns false if it has the most.
func (t *Tally[K]) Take(owner K) bool {
	if t.most <= 0 {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.have[owner] >= t.most {
		return false
	}
	t.have[owner]++
	return true
}

// Give gives one back that Take has counted.
func (t *Tally[K]) Give(owner K) {
	if t.most <= 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.have[owner]--; t.have[owner] <= 0 {
		delete(t.have, owner)
	}
}

// Len returns how many owners have something.
func (t *Tally[K]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.have)
}
