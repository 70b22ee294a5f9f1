package hub

// PresenceEvent is the name of the event that tells who came, changed and went.
const PresenceEvent = "presence"

// In says whether the seat is in a room.
func (s *Seat) In(room string) bool {
	in := false
	s.space.order.do(func() { in = s.find(room) >= 0 })
	return in
}
