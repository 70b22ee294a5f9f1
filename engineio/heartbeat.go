package engineio

import (
	"errors"
	"time"

	"github.com/tutti-rt/tutti/internal/wheel"
)

// heartbeat finds out whether the peer is still there. In revision 4 the server pings: Config.PingInterval after the
// answer to the ping before, so that the period is the interval and a round trip. In revision 3 the client pings.
//
// The timer also ends a session that is closing and whose peer does not come for the rest.
type heartbeat struct {
	timer   wheel.Timer
	waiting bool  // a ping was sent and not answered
	left    bool  // it has been written
	ponged  bool  // a pong has come since it was sent
	sent    int64 // when the ping was sent, in nanoseconds of the server's life
}

var errPingTimeout = &fault{ReasonPingTimeout, errors.New("no heartbeat from the peer in time")}

func (h *heartbeat) start(s *Session) {
	if s.protocol == 3 {
		h.timer.Reset(s.srv.cfg.PingInterval + s.srv.cfg.PingTimeout)
		return
	}
	h.timer.Reset(s.srv.cfg.PingInterval)
}

// onTimer runs when the timer fires.
func (s *Session) onTimer() {
	s.mu.Lock()
	h := &s.heartbeat
	switch {
	case !h.timer.Fired(): // set or stopped meanwhile
	case s.state == flushing:
		s.transport.end(endCut)
		s.goneLocked()
	case s.state > open:
	case s.protocol == 3 || h.waiting:
		s.failLocked(errPingTimeout, endTell)
	default:
		h.waiting, h.left, h.ponged = true, false, false
		h.sent = int64(time.Since(s.srv.born))
		h.timer.Reset(s.srv.cfg.PingTimeout)
		s.controlLocked(framePing)
	}
	over := s.state > open
	s.mu.Unlock()
	if over {
		s.tell()
	}
}

// pingLeft says that a ping has been written.
func (s *Session) pingLeft() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heartbeat.left = true
	s.beatLocked()
}

// onPong takes a pong. One that answers no ping means nothing: it must neither start a timer nor keep alive a peer that
// sends pongs blindly and reads nothing. A pong can overtake our own notice that the ping has been written, so
// what counts is that both have happened, in whatever order.
func (s *Session) onPong(t transport) error {
	if s.protocol == 3 {
		return broken("pong from a client that should ping")
	}
	s.mu.Lock()
	h := &s.heartbeat
	if !h.waiting || h.ponged || s.state != open {
		s.mu.Unlock()
		s.srv.trace.pong(s)
		return s.idle()
	}
	h.ponged = true
	took := time.Since(s.srv.born) - time.Duration(h.sent)
	s.beatLocked()
	s.mu.Unlock()
	s.srv.trace.answered(s, took)
	return nil
}

// beatLocked completes a heartbeat when the ping has been written and answered.
func (s *Session) beatLocked() {
	if h := &s.heartbeat; h.waiting && h.left && h.ponged && s.state == open {
		h.waiting = false
		h.timer.Reset(s.srv.cfg.PingInterval)
	}
}

// onPing answers the ping of a revision 3 client.
func (s *Session) onPing(t transport) error {
	if s.protocol != 3 {
		return broken("ping from a client that should pong")
	}
	s.mu.Lock()
	if s.state == open && s.transport == t {
		s.heartbeat.start(s)
		s.controlLocked(framePong)
	}
	over := s.state > open
	s.mu.Unlock()
	if over {
		s.tellHere()
		return errOver
	}
	return nil
}
