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
