package hub

import "errors"

// chunk is how many messages a seat that catches up takes from the tape at a
// time. It bounds how long it holds up the space, which decides for each of
// them whether the seat is owed it.
const chunk = 128

// fallBehind stops handing messages to a seat: what it is owed after a
// position it will read from the tape.
func (s *Seat) fallBehind(after Position) {
	s.behind = true
	s.cursor.Store(uint64(after))
}

// Resume says that the member is ready again. It does not wait, and may be
// called at any time.
func (s *Seat) Resume() { s.space.order.post(s.catchUp) }

// catchUp starts to read the tape for a seat that is behind, unless that is
// under way. It is an operation of the space's order.
func (s *Seat) catchUp() {
	if !s.behind || s.pumping || s.index < 0 {
		return
	}
	if s.at() >= s.space.head {
		s.behind = false
		return
	}
	s.pumping = true
	p := part{head: s.space.head, rooms: s.names()}
	// Started here, ended when the seat is level, not ready or closed, waited
	// for by Hub.Close.
	s.space.hub.pumps.Go(func() { s.pump(p) })
}

// A part is what a seat that catches up reads at a time.
type part struct {
	// head is where the space was before the tape is read: all of the tape up to
	// there can be read. What is written but not handed out yet can be read, too,
	// and is left alone: who joins a room before it is, hears it.
	head  Position
	rooms []string // that the seat was in then
	list  []*Message
	upTo  Position // list is all there is up to here
}

// pump hands a seat what it is owed until it is level with the space or cannot
// take more.
func (s *Seat) pump(p part) {
	for {
		err := s.read(&p)
		if errors.Is(err, ErrUnavailable) && s.space.hub.node.away() {
			continue
		}
		if err != nil {
			s.space.order.do(func() { s.pumping = false })
			s.End()
			s.space.evicted(s, err)
			return
		}
		owed, upTo, more := s.pick(&p)
		if !more || !s.hand(owed, upTo) {
			return
		}
	}
}

func (s *Seat) read(p *part) (err error) {
	ctx, cancel := s.space.hub.node.patient()
	defer cancel()
	p.list, p.upTo, err = s.space.tape.after(ctx, p.rooms, s.at(), chunk)
	return err
}

// pick returns those messages that the seat is owed, the position of the last
// that was looked at, and whether there is more to do. p is then the next part.
func (s *Seat) pick(p *part) (owed []*Message, upTo Position, more bool) {
	s.space.order.do(func() {
		if s.index < 0 {
			s.pumping = false
			return
		}
		list := p.list
		for len(list) > 0 && list[len(list)-1].position > p.head {
			list = list[:len(list)-1]
		}
		if end := min(p.head, p.upTo); len(list) == 0 && s.at() < end {
			// Positions that no message has, or none of the seat's rooms: it was
			// erased, or they were reserved by a process that died.
			s.cursor.Store(uint64(end))
		}
		if len(list) == 0 && s.at() >= s.space.head {
			s.pumping, s.behind = false, false
			return
		}
		upTo, more = s.at(), true
		p.head, p.rooms = s.space.head, s.names()
		for _, m := range list {
			upTo = m.position
			if s.owes(m) {
				owed = append(owed, m)
			}
		}
	})
	return owed, upTo, more
}

// hand delivers messages as long as the member is ready, and says whether all
// of them were. Then the seat has what it was owed up to a position.
func (s *Seat) hand(owed []*Message, upTo Position) bool {
	n := 0
	defer func() {
		if trace := s.space.hub.cfg.Trace.Replayed; trace != nil && n > 0 {
			trace(s.space.namespace, n)
		}
	}()
	for _, m := range owed {
		if !s.reader.Ready() && s.pause() {
			return false
		}
		n++
		s.handed.Store(uint64(m.position))
		s.reader.Deliver(m)
		s.cursor.Store(uint64(m.position))
	}
	s.cursor.Store(uint64(upTo))
	return true
}

// evicted tells a member that it has lost its seat.
func (sp *Space) evicted(s *Seat, err error) {
	if trace := sp.hub.cfg.Trace.Evicted; trace != nil {
		trace(sp.namespace, err)
	}
	s.reader.Evicted(err)
}

// pause ends the pump, unless the member is ready by then: a Resume that came
// while the pump was on was not heeded.
func (s *Seat) pause() bool {
	paused := true
	s.space.order.do(func() {
		paused = s.index < 0 || !s.reader.Ready()
		s.pumping = !paused
	})
	return paused
}

// owes says whether the seat is to receive a message of the tape. A room that it
// has joined after the message does not count, neither for nor against it.
func (s *Seat) owes(m *Message) bool {
	for _, name := range m.Except {
		if i := s.find(name); i >= 0 && s.places[i].since < m.position {
			return false
		}
	}
	if len(m.Rooms) == 0 {
		return true
	}
	for _, name := range m.Rooms {
		if i := s.find(name); i >= 0 && s.places[i].since < m.position {
			return true
		}
	}
	return false
}

// reached returns the position up to which the seat was handed all it is owed.
func (s *Seat) reached() Position {
	if s.behind {
		return s.at()
	}
	return s.space.head
}

// at returns where a seat that is behind stands.
func (s *Seat) at() Position { return Position(s.cursor.Load()) }
