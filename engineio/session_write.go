package engineio

import "errors"

// Send sends frames, in order and with nothing between them. It never waits. It returns [ErrClosed] if the session is
// closing or closed, and [ErrTooSlow] if the peer is too slow, in which case the session is now closed.
func (s *Session) Send(frames ...*Frame) error {
	s.mu.Lock()
	if s.state > open {
		s.mu.Unlock()
		return ErrClosed
	}
	err := s.sendLocked(frames)
	s.mu.Unlock()
	if err != nil {
		s.tell()
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
	err := s.sendLocked(frames)
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
// on any goroutine, and not if the session ends before. It replaces the f of an earlier call that is still to come. It
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
func (s *Session) sendLocked(frames []*Frame) error {
	for _, f := range frames {
		if err := s.passLocked(f); err != nil {
			return err
		}
	}
	s.srv.trace.sent(frames)
	return nil
}

// passLocked hands f to the transport.
func (s *Session) passLocked(f *Frame) error {
	err := s.transport.send(f)
	if errors.Is(err, ErrTooSlow) {
		s.srv.trace.limit("MaxQueue")
		s.failLocked(&fault{ReasonTransportError, ErrTooSlow}, endCut)
	}
	return err
}

// controlLocked sends a packet of the session itself.
func (s *Session) controlLocked(f *Frame) {
	one := [1]*Frame{f}
	_ = s.sendLocked(one[:]) // a failure has ended the session
}
