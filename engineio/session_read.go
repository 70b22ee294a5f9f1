package engineio

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/tutti-rt/tutti/quota"
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
	return s.idle() // open, upgrade and noop say nothing here
}

// idle counts a packet that says nothing, of which there may be no more than of those that do.
func (s *Session) idle() error {
	if err := s.peer.Take(quota.Event, ""); err != nil {
		s.CloseFor(ReasonForcedServerClose, err)
		return errOver
	}
	return nil
}

// deliver gives m to the receiver, after the message before.
func (s *Session) deliver(t transport, m Message) error {
	if !s.beginReceive(t) {
		return errOver
	}
	defer s.endReceive()
	s.receiver.Receive(m)
	return nil
}

// beginReceive reports whether a message that came over t may be received. Then nobody else is inside the receiver: a
// transport reads one message at a time, and an upgrade waits for the POST that is being read.
func (s *Session) beginReceive(t transport) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != open || s.transport != t {
		return false
	}
	s.receiving = true
	return true
}

// endReceive ends a call of Receive. Who receives may have panicked: then the session ends, and the process goes on.
func (s *Session) endReceive() {
	if v := recover(); v != nil {
		s.srv.cfg.Log.Error("receiver panicked", "err", v, "stack", string(debug.Stack()))
		s.mu.Lock()
		s.failLocked(&fault{ReasonTransportError, fmt.Errorf("receiver panicked: %v", v)}, endTell)
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.receiving = false
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

// mayTell reports, once, that it is time for Receiver.Closed. While somebody is inside Receive it is not:
// endReceive asks again.
func (s *Session) mayTell() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state <= open || s.receiver == nil || s.receiving || s.told {
		return false
	}
	s.told = true
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
