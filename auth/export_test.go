package auth

// Kept returns how many answers are kept.
func (s *Sessions) Kept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.answers)
}
