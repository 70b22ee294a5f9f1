package engineio

import (
	"errors"
	"time"
)

// closing says why a session ended. It does not change after the state has left open.
type closing struct {
	reason Reason
	err    error
	words  string // for the peer, in the close frame of a WebSocket; "" for none
}

// Close ends the session for reason after what was sent before has left, or after 30 s. It returns at once. The peer
// is not heard any more.
func (s *Session) Close(reason Reason) { s.closeWithin(reason, closeTimeout) }

// CloseFor is Close with the cause, whose text the peer is told if it is on a WebSocket: in the close frame, with the code
// 1008, where stock clients find it in the details of their disconnect event.
func (s *Session) CloseFor(reason Reason, cause error) {
	s.endWithin(closing{reason, cause, cause.Error()}, closeTimeout)
}

// Abort ends the session for reason now. What has not left is dropped.
func (s *Session) Abort(reason Reason) {
	s.mu.Lock()
	s.failLocked(&fault{reason, nil}, endCut)
	s.mu.Unlock()
	s.tell()
}

// closeWithin is Close with a limit on how long a peer that polls may take to come back.
func (s *Session) closeWithin(reason Reason, limit time.Duration) {
	s.endWithin(closing{reason: reason}, limit)
}

func (s *Session) endWithin(why closing, limit time.Duration) {
	s.mu.Lock()
	switch s.transport.(type) {
	case nil: // Shutdown has come between the request and its answer: start will see
		s.failLocked(&fault{why.reason, why.err}, endCut)
	case *wsTransport:
		limit = closeTimeout // a WebSocket has limits of its own
	}
	if s.state <= open {
		s.endLocked(why)
		s.heartbeat.timer.Reset(limit)
		s.transport.end(endFlush)
	} else if s.state == flushing && limit < closeTimeout {
		s.heartbeat.timer.Reset(limit) // it has been closed before, and has less time now
	}
	s.mu.Unlock()
	s.tell()
}

// fail ends the session because of err, on a goroutine that belongs to it. Errors that are no *fault have been dealt
// with before.
func (s *Session) fail(err error) {
	var f *fault
	if !errors.As(err, &f) {
		return
	}
	how := endTell
	if f == errPeerClosed {
		how = endAgree
	}
	s.mu.Lock()
	s.failLocked(f, how)
	s.mu.Unlock()
	s.tellHere()
}

// failLocked ends the session now. The caller must unlock and call tell or tellHere.
func (s *Session) failLocked(f *fault, how ending) {
	if s.state == closed {
		return
	}
	if s.state <= open {
		s.endLocked(closing{reason: f.reason, err: f.err})
	}
	if s.transport == nil {
		s.goneLocked()
		return
	}
	if s.transport.end(how) {
		s.goneLocked()
	}
}

// endLocked stops everything but what is still to leave.
func (s *Session) endLocked(why closing) {
	s.state = flushing
	s.closing = &why
	s.stopConfirmLocked()
	s.heartbeat.timer.Stop()
	s.cancelUpgradeLocked()
}

// flushedLocked says that nothing more is to leave.
func (s *Session) flushedLocked() {
	if s.state == flushing {
		s.goneLocked()
	}
}

// goneLocked makes the session unknown.
func (s *Session) goneLocked() {
	s.state = closed
	s.heartbeat.timer.Stop()
	s.stopConfirmLocked()
	s.srv.forget(s)
}
