package engineio

import (
	"errors"
	"fmt"
	"runtime/debug"
)

var (
	errPeerClosed = &fault{ReasonTransportClose, errors.New("peer sent a close packet")}
	errOver       = errors.New("engineio: session over") // ends reading; the session needs nothing else
)

// handle takes a packet that came over t. It is called by who reads t, one packet at a time. An error ends
// reading: a *fault ends the session too.
func (s *Session) handle(t transport, p packet) error {
	s.srv.trace.received(p.kind, len(p.data))
	switch p.kind {
	case packetMessage:
		return s.deliver(t, Message{Data: p.data, Binary: p.binary})
	case packetPing:
		return s.onPing(t)
	case packetPong:
		return s.onPong(t)
	case packetClose:
		return errPeerClosed
	}
	return nil // open, upgrade and noop say nothing here
}

// turn decides who may call the Receiver. Messages come from one reader at a time, but when the transport changes the
// old reader may still be inside the Receiver.
type turn struct {
	taken bool
	free  chan struct{} // made by who waits for the turn, closed when it is free
	told  bool          // Receiver.Closed was called, or is about to be
}

// deliver gives m to the receiver, after the message before.
func (s *Session) deliver(t transport, m Message) error {
	if !s.takeTurn(t) {
		return errOver
	}
	defer s.leaveTurn()
	s.receiver.Receive(m)
	return nil
}

// takeTurn waits until nobody is inside the Receiver. It reports whether a message that came over t may still be
// received; then leaveTurn must be called.
func (s *Session) takeTurn(t transport) bool {
	s.mu.Lock()
	for s.turn.taken && s.state == open {
		if s.turn.free == nil {
			s.turn.free = make(chan struct{})
		}
		free := s.turn.free
		s.mu.Unlock()
		<-free
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if s.state != open || s.transport != t {
		return false
	}
	s.turn.taken = true
	return true
}

// leaveTurn ends a call of Receive. Who receives may have panicked: then the session ends, and the process goes on.
func (s *Session) leaveTurn() {
	if v := recover(); v != nil {
		s.srv.cfg.Log.Error("receiver panicked", "err", v, "stack", string(debug.Stack()))
		s.mu.Lock()
		s.failLocked(&fault{ReasonTransportError, fmt.Errorf("receiver panicked: %v", v)}, endTell)
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.turn.taken = false
	if s.turn.free != nil {
		close(s.turn.free)
		s.turn.free = nil
	}
	over := s.state > open
	s.mu.Unlock()
	if over {
		s.tellHere()
	}
}

// tell calls Receiver.Closed if the session is over and nobody has, on a goroutine of its own: the caller may be the
// application, with locks of its own held.
func (s *Session) tell() {
	if s.mayTell() {
		// Ends when Closed returns; Shutdown waits.
		s.srv.tasks.Go(s.report)
	}
}

// tellHere is tell for goroutines that belong to the session.
func (s *Session) tellHere() {
	if s.mayTell() {
		s.report()
	}
}

// mayTell reports, once, that it is time for Receiver.Closed. While somebody is inside Receive it is not: leaveTurn
// asks again.
func (s *Session) mayTell() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state <= open || s.receiver == nil || s.turn.taken || s.turn.told {
		return false
	}
	s.turn.told = true
	return true
}

func (s *Session) report() {
	defer s.srv.tasks.leave()
	defer func() {
		if v := recover(); v != nil {
			s.srv.cfg.Log.Error("receiver panicked", "err", v, "stack", string(debug.Stack()))
		}
	}()
	s.srv.trace.closed(s, s.closing.reason, s.closing.err)
	s.receiver.Closed(s.closing.reason, s.closing.err)
}
