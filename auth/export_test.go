package auth

import "time"

// Kept returns how many answers are kept.
func (s *Sessions) Kept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.answers)
}

// Suspend has the register's clock on the wall go on as if the machine had slept.
func (r *Register) Suspend(slept time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock.wall = func() time.Time { return wall().Add(slept) }
}
