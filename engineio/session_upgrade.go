package engineio

import (
	"github.com/tutti-rt/tutti/internal/websocket"
	"github.com/tutti-rt/tutti/internal/wheel"
)

// upgrade is the move of a session from polling to a WebSocket, while it lasts. The client opens the WebSocket and
// probes it; the server answers, and sends the client's pending GET home so that polling comes to rest; then the client
// sends an upgrade packet, after which everything goes over the WebSocket in both directions.
//
// Nothing is lost or overtaken: until the upgrade packet all messages to the client are queued for polling, and what no
// GET has fetched by then moves to the WebSocket first. The upgrade packet waits for requests that are still
// reading or writing, so messages of the client cannot overtake those of a POST.
//
// Its fields are guarded by the session's lock.
type upgrade struct {
	conn    *websocket.Conn // nil until the handshake has been answered
	probed  bool
	timeout wheel.Timer
	tick    wheel.Timer
	over    chan struct{} // closed when the upgrade has failed
}

// beginUpgrade reserves the session for one upgrade. There is none if it is on a WebSocket already, or another
// upgrade is under way.
func (s *Session) beginUpgrade() *upgrade {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, polls := s.transport.(*pollTransport); !polls || s.state != open || s.upgrade != nil || !s.srv.cfg.upgrades() {
		return nil
	}
	s.upgrade = &upgrade{over: make(chan struct{})}
	return s.upgrade
}

// probeOn continues u with the WebSocket that the client has opened.
func (s *Session) probeOn(u *upgrade, conn *websocket.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.conn = conn
	if s.upgrade != u { // the session has ended meanwhile
		conn.Close(websocket.CodeNormal, "")
		return
	}
	s.srv.wheel.Init(&u.timeout, func() { s.upgradeTooLate(u) })
	s.srv.wheel.Init(&u.tick, func() { s.sendHome(u) })
	u.timeout.Reset(s.srv.cfg.UpgradeTimeout)
}

func (s *Session) upgradeTooLate(u *upgrade) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.upgrade == u && u.timeout.Fired() {
		s.srv.trace.limit("UpgradeTimeout", s.peer)
		s.cancelUpgradeLocked()
	}
}

// sendHome ends the GET that waits, if one does, and does so again a tick later: the client may have sent another before
// it knew that its probe was answered.
func (s *Session) sendHome(u *upgrade) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.upgrade == u && u.tick.Fired() {
		s.sendHomeLocked(u)
	}
}

func (s *Session) sendHomeLocked(u *upgrade) {
	if t, ok := s.transport.(*pollTransport); ok {
		t.noop()
	}
	u.tick.Reset(probeTick)
}

// probeEnded says that the WebSocket of u has ended before the upgrade was complete. The session goes on polling.
func (s *Session) probeEnded(u *upgrade) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.upgrade == u {
		s.cancelUpgradeLocked()
	}
}

// cancelUpgradeLocked ends the upgrade that is under way, if one is, and closes its WebSocket.
func (s *Session) cancelUpgradeLocked() {
	u := s.upgrade
	if u == nil {
		return
	}
	s.upgrade = nil
	u.timeout.Stop()
	u.tick.Stop()
	close(u.over)
	if u.conn != nil {
		u.conn.Close(websocket.CodeNormal, "")
	}
}

// onProbe takes a packet from a WebSocket that is being probed. What is neither a probe nor an upgrade packet ends the
// attempt, not the session. The error is for [websocket.Receiver].
func (s *Session) onProbe(t *wsTransport, p packet, err error) error {
	u := t.probe
	switch {
	case err == nil && p.kind == packetPing && string(p.data) == "probe":
		s.answerProbe(u)
	case err == nil && p.kind == packetUpgrade:
		if rest := s.completeUpgrade(t); rest != nil {
			// Clients wait for their requests before they complete an upgrade, so this is rare.
			return websocket.Later(func() error { s.awaitUpgrade(t, rest); return nil })
		}
	default:
		s.probeEnded(u)
	}
	return nil
}

func (s *Session) answerProbe(u *upgrade) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.upgrade != u {
		return
	}
	if err := u.conn.Post(frameProbe.webSocket(int(s.protocol), false)); err != nil {
		s.cancelUpgradeLocked()
		return
	}
	if !u.probed {
		u.probed = true
		s.sendHomeLocked(u)
	}
}

// awaitUpgrade completes an upgrade when the requests have come to rest for which it has to wait.
func (s *Session) awaitUpgrade(t *wsTransport, rest <-chan struct{}) {
	u := t.probe
	for rest != nil {
		select {
		case <-rest:
			rest = s.completeUpgrade(t)
		case <-u.over:
			return
		}
	}
}

// completeUpgrade moves the session to t, unless requests are still on their way: then it returns what is closed when
// they are not. It is called by who reads t, so nothing that follows the upgrade packet is read before.
func (s *Session) completeUpgrade(t *wsTransport) (rest <-chan struct{}) {
	u := t.probe
	s.mu.Lock()
	if s.upgrade != u {
		s.mu.Unlock()
		return nil
	}
	old := s.transport.(*pollTransport)
	if rest = old.rest(); rest != nil {
		s.mu.Unlock()
		return rest
	}
	s.moveLocked(old, t, u)
	t.probe = nil
	over := s.state > open
	s.mu.Unlock()
	s.srv.trace.upgraded(s)
	s.fireDrained() // the transport that would have is gone: who waits looks again
	if over {
		s.tellHere()
	}
	return nil
}

func (s *Session) moveLocked(old *pollTransport, t *wsTransport, u *upgrade) {
	s.upgrade = nil
	u.timeout.Stop()
	u.tick.Stop()
	s.transport = t
	for _, f := range old.replace() {
		if f == frameNoop {
			continue // it was for the GET that waited
		}
		if s.passLocked(f, true) != nil {
			return // the session has ended, or is about to
		}
	}
}
