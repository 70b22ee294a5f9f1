package engineio

import (
	"net/http"
	"time"

	"github.com/tutti-rt/tutti/quota"
)

// Trace is told what happens in a [Server]. Any field may be nil. The functions may be called from several goroutines
// at the same time; they must not wait and must not call methods of a session that change it.
type Trace struct {
	// SessionOpened runs after a handshake, before the acceptor is asked.
	SessionOpened func(s *Session)
	// SessionUpgraded runs when a session has moved from polling to WebSocket.
	SessionUpgraded func(s *Session)
	// SessionClosed runs before [Receiver.Closed].
	SessionClosed func(s *Session, reason Reason, err error)
	// Refused runs for every request that is refused.
	Refused func(r *http.Request, code Code)
	// LimitHit runs when a limit of the [Config] was reached; limit is the name of its field.
	LimitHit func(limit string)
	// PacketReceived and PacketSent run for every packet: its type, and its size in bytes without framing.
	PacketReceived func(kind byte, size int)
	PacketSent     func(kind byte, size int)
	// Pong runs for a pong that answers a ping, with the time since the ping was sent. Peers of revision 3 are not asked.
	Pong func(s *Session, took time.Duration)
	// UnsolicitedPong runs for a pong that answers no ping. It is ignored otherwise.
	UnsolicitedPong func(s *Session)
}

func (t *Trace) opened(s *Session) {
	if t.SessionOpened != nil {
		t.SessionOpened(s)
	}
}

func (t *Trace) upgraded(s *Session) {
	if t.SessionUpgraded != nil {
		t.SessionUpgraded(s)
	}
}

func (t *Trace) closed(s *Session, reason Reason, err error) {
	if t.SessionClosed != nil {
		t.SessionClosed(s, reason, err)
	}
}

func (t *Trace) refused(r *http.Request, code Code) {
	if t.Refused != nil {
		t.Refused(r, code)
	}
}

// limit tells that a peer reached a limit, and who it was.
func (t *Trace) limit(name string, p *quota.Peer) {
	if t.LimitHit != nil {
		t.LimitHit(name)
	}
	p.Reached("engine", name)
}

func (t *Trace) received(kind byte, size int) {
	if t.PacketReceived != nil {
		t.PacketReceived(kind, size)
	}
}

func (t *Trace) sent(frames []*Frame) {
	if t.PacketSent == nil {
		return
	}
	for _, f := range frames {
		t.PacketSent(f.kind(), f.Len())
	}
}

func (t *Trace) answered(s *Session, took time.Duration) {
	if t.Pong != nil {
		t.Pong(s, took)
	}
}

func (t *Trace) pong(s *Session) {
	if t.UnsolicitedPong != nil {
		t.UnsolicitedPong(s)
	}
}
