package limit

import "sync"

// A Tally counts how many of something each owner has at a time, up to a most.
// It remembers who has one, so it is as large as what is counted. It is safe for
// concurrent use.
type Tally[K comparable] struct {
	mu   sync.Mutex
	most int
	have map[K]int
}

// NewTally returns a tally with nothing in it. A most of 0 or less is no limit.
func NewTally[K comparable](most int) *Tally[K] {
	return &Tally[K]{most: most, have: make(map[K]int)}
}

// SetMost changes how many an owner may have. Who has more keeps them.
func (t *Tally[K]) SetMost(most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = most
}

// Take counts one more for the owner, or returns false if it has the most.
func (t *Tally[K]) Take(owner K) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.most > 0 && t.have[owner] >= t.most {
		return false
	}
	t.have[owner]++
	return true
}

// Give gives one back that Take has counted.
func (t *Tally[K]) Give(owner K) {
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
