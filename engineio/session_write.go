package engineio

import "errors"

// Send sends frames, in order and with nothing between them. It never waits, but writes at once what the peer takes at
// once. It returns [ErrClosed] if the session is closing or closed, and [ErrTooSlow] if the peer is too slow, in which
// case the session is now closed.
func (s *Session) Send(frames ...*Frame) error { return s.sendBy(false, frames) }

// Post is Send for what goes to many sessions: it leaves the writing to other goroutines, which join what is posted
// until they come round.
func (s *Session) Post(frames ...*Frame) error { return s.sendBy(true, frames) }

func (s *Session) sendBy(later bool, frames []*Frame) error {
	s.mu.Lock()
	if s.state > open {
		s.mu.Unlock()
		return ErrClosed
	}
	err := s.sendLocked(frames, later)
	t := s.transport
	s.mu.Unlock()
	switch {
	case err != nil:
		s.tell()
	case !later:
		t.flush()
	}
	return err
}

// SendVolatile sends frames if they can leave now, and reports whether it did. What is sent while the peer is not
// ready to take it is dropped.
func (s *Session) SendVolatile(frames ...*Frame) bool {
	s.mu.Lock()
	if s.state > open || !s.transport.ready() {
		s.mu.Unlock()
		return false
	}
	err := s.sendLocked(frames, true)
	s.mu.Unlock()
	if err != nil {
		s.tell()
	}
	return err == nil
}

// Backlog returns how many bytes were sent and have not left yet: over polling, those that no GET has taken.
func (s *Session) Backlog() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state > open {
		return 0
	}
	return s.transport.backlog()
}

// OnDrained has f called once when everything that was sent has left; at once, if it has. f must not wait. It is called
// on any goroutine that holds none of our locks, and possibly when the session ends before, or not. It replaces the f of an earlier call that is still to come. It
// is for who sends in pieces what is too much to be queued.
func (s *Session) OnDrained(f func()) {
	s.mu.Lock()
	if s.state > open {
		s.mu.Unlock()
		return
	}
	s.drained = f
	wait := s.transport.whenDrained()
	s.mu.Unlock()
	if !wait {
		s.fireDrained()
	}
}

// fireDrained calls what waits for it.
func (s *Session) fireDrained() {
	s.mu.Lock()
	f := s.drained
	s.drained = nil
	s.mu.Unlock()
	if f != nil {
		f()
	}
}

// sendLocked hands frames to the transport one by one: the lock keeps others from between them, and no slice has to
// live on the heap. After an error the caller must unlock and call tell.
func (s *Session) sendLocked(frames []*Frame, later bool) error {
	for _, f := range frames {
		if err := s.passLocked(f, later); err != nil {
			return err
		}
	}
	s.srv.trace.sent(frames)
	return nil
}

// passLocked hands f to the transport.
func (s *Session) passLocked(f *Frame, later bool) error {
	err := s.transport.send(f, later)
	if errors.Is(err, ErrTooSlow) {
		s.srv.trace.limit("MaxQueue", s.peer)
		s.failLocked(&fault{ReasonTransportError, ErrTooSlow}, endCut)
	}
	return err
}

// controlLocked sends a packet of the session itself.
func (s *Session) controlLocked(f *Frame) {
	one := [1]*Frame{f}
	_ = s.sendLocked(one[:], true) // a failure has ended the session
}
