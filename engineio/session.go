package engineio

import (
	"net/http"
	"sync"

	"github.com/tutti-rt/tutti/internal/wheel"
	"github.com/tutti-rt/tutti/quota"
)

// Acceptor is told about new sessions.
type Acceptor interface {
	// Accept is called once for every session, before its first message, and returns who receives its messages, which
	// must not be nil. What it sends follows the handshake. It must not wait. It may be called for several sessions
	// at the same time.
	Accept(s *Session) Receiver
}

// Receiver takes what a session's peer sends. The methods are never called concurrently, and no lock is held.
type Receiver interface {
	// Receive takes the next message. Its Data is valid only during the call. It must not wait: the session reads
	// nothing else meanwhile.
	Receive(m Message)
	// Closed says that the session takes no more messages in either direction. It is called exactly once, last, after
	// the final Receive has returned, and never from within a method of the session. err is the cause where there is
	// one to tell. What was sent before [Session.Close] may still be on its way.
	Closed(reason Reason, err error)
}

// Session is one peer's connection, whatever transport carries it. All methods are safe for concurrent use, also from
// within the Receiver.
type Session struct {
	srv      *Server
	id       string
	request  *RequestInfo
	peer     *quota.Peer
	protocol int8
	onlyText bool // the peer cannot take binary frames

	// mu is never held while the Receiver is called. After it may be taken: Server.mu, and the locks of the wheel and of
	// the WebSocket connection.
	mu        sync.Mutex
	state     state
	receiving bool     // somebody is inside Receiver.Receive
	told      bool     // Receiver.Closed was called, or is about to be
	receiver  Receiver // set when the session has been accepted
	transport transport
	upgrade   *upgrade     // while a WebSocket is probed
	confirm   *wheel.Timer // until Confirm
	heartbeat heartbeat
	closing   *closing
	drained   func() // see OnDrained
}

// state is where a session is in its life.
type state uint8

const (
	opening state = iota // the acceptor has not returned yet
	open
	flushing // no more messages in either direction; what was sent may still leave
	closed
)

// newSession returns a session that nobody can find yet.
func newSession(srv *Server, id string, protocol int, r *http.Request) *Session {
	s := &struct {
		Session
		request RequestInfo // it lives as long, mostly
	}{}
	s.srv, s.protocol, s.Session.request = srv, int8(protocol), &s.request
	s.id = s.request.init(r, id, srv.cfg.Secret)
	srv.wheel.Init(&s.heartbeat.timer, s.onTimer)
	return &s.Session
}

// start makes the session live: the peer is told of it by opened, then the acceptor. It reports false if the session has
// ended before.
func (s *Session) start(t transport, opened *Frame) bool {
	s.mu.Lock()
	s.transport = t
	if s.state == closed {
		t.end(endCut)
		s.mu.Unlock()
		return false
	}
	if opened != nil {
		_ = t.send(opened, false) // the connection may have ended already: its reader will tell
	}
	s.heartbeat.start(s)
	if d := s.srv.cfg.ConfirmTimeout; d > 0 {
		s.confirm = s.srv.wheel.After(d, s.unconfirmed)
	}
	s.mu.Unlock()

	s.srv.trace.opened(s)
	s.srv.tasks.enter() // until Closed has returned
	accepted := false
	defer func() {
		if !accepted { // the acceptor panicked: the request's goroutine reports it, nobody else needs this session
			s.srv.tasks.leave()
			s.mu.Lock()
			s.goneLocked()
			s.mu.Unlock()
			t.end(endCut)
		}
	}()
	receiver := s.srv.acceptor.Accept(s)
	accepted = true

	s.mu.Lock()
	s.receiver = receiver
	if s.state == opening {
		s.state = open
	}
	s.mu.Unlock()
	s.tell()
	return true
}

// ID returns the id of the session. It is a secret: who knows it can act as the peer.
func (s *Session) ID() string { return s.id }

// Protocol returns the revision of the protocol that the peer speaks, 3 or 4.
func (s *Session) Protocol() int { return int(s.protocol) }

// Transport returns the name of the transport in use, "polling" or "websocket".
func (s *Session) Transport() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transport.name()
}

// Request returns what is known of the request that opened the session.
func (s *Session) Request() *RequestInfo { return s.request }

// Peer returns what the session counts as in [Config.Quota], nil without one.
func (s *Session) Peer() *quota.Peer { return s.peer }

// Confirm tells that the layer above wants the session; without it the session ends after [Config.ConfirmTimeout].
func (s *Session) Confirm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopConfirmLocked()
}

func (s *Session) stopConfirmLocked() {
	if s.confirm != nil {
		s.confirm.Stop()
		s.confirm = nil
	}
}

// unconfirmed runs when the time for Confirm is over.
func (s *Session) unconfirmed() {
	s.mu.Lock()
	late := s.confirm != nil && s.confirm.Fired()
	s.mu.Unlock()
	if late {
		s.srv.trace.limit("ConfirmTimeout", s.peer)
		s.Close(ReasonForcedServerClose)
	}
}
