package tutti

import (
	"encoding/json"
	"errors"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
)

// readWindow is how many bytes may wait for a peer before it is read to from
// the tape instead: enough to keep a connection busy, and little for each of
// many that do not read.
const readWindow = 64 << 10

// readCredit is how much of that goes by without asking the session how much
// waits. To ask takes its lock and its connection's, which was a fifth of what it
// cost to hand out messages of 100 bytes.
const readCredit = 4 << 10

// Identify says whose socket this is. A guard calls it: only the same owner may
// come back to the socket's session, so that who learns a private id cannot
// receive what is not his, and the limits of a user in the [quota.Quota] of the
// engine's Config are those of all his sockets together. Sockets that nobody
// identified have the owner "".
func (s *Socket) Identify(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changePartyLocked().owner = owner
	s.party.barred = s.registerLocked() != nil
}

// turnedAway says whether the user whom a guard found may not come in.
func (s *Socket) turnedAway() error {
	s.mu.Lock()
	barred := s.partyLocked().barred
	s.mu.Unlock()
	if barred {
		return s.authRefusal(auth.Refuse(auth.Revoked, "the token has been revoked"))
	}
	return nil
}

// user is the owner, for the limits of users.
func (s *Socket) user() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partyLocked().owner
}

// Recovered says whether the socket came back to a session: it has the id and
// rooms it had before, and receives all that it missed. Guards and connect
// handlers run for it as for any other.
func (s *Socket) Recovered() bool { return s.recovered }

// A claim is what a client that was here before says about itself in its
// CONNECT packet.
type claim struct {
	PID    string     `json:"pid"`
	Offset hub.Offset `json:"offset"`
}

// sitAgain takes the seat that the client had, or a new one with which it can
// come back.
func (s *Socket) sitAgain(early []string) (*hub.Seat, error) {
	s.mu.Lock()
	arrival := hub.Arrival{Name: s.id, Owner: s.partyLocked().owner, Rooms: early, Welcome: s.welcome}
	s.returns = true
	s.mu.Unlock()

	var c claim
	if s.greeting != nil && json.Unmarshal(s.greeting.auth, &c) != nil {
		c = claim{} // the application's auth may have anything under these names
	}
	if c.PID == "" {
		return s.ns.space.EnterSession(s.ctx, s, arrival)
	}
	s.recovered = true
	var removed []string
	arrival.Removed = func(rooms []string) { removed = rooms }
	allow := func() error { s.stillAllowed(c.PID, &arrival); return nil }
	if err := s.protect("permissions", allow); err != nil {
		return nil, err
	}
	seat, err := s.ns.space.ResumeSession(s.ctx, s, c.PID, c.Offset, arrival)
	if err == nil {
		s.sayLost(lost{rooms: removed})
	}
	if err == nil || !isUnrecoverable(err) {
		return seat, err
	}
	s.recovered = false
	seat, err = s.ns.space.EnterSession(s.ctx, s, arrival)
	if err == nil {
		s.sayUnrecovered()
	}
	return seat, err
}

func isUnrecoverable(err error) bool {
	return errors.Is(err, hub.ErrNoSession) || errors.Is(err, hub.ErrNotOwner) ||
		errors.Is(err, hub.ErrOffset) || errors.Is(err, hub.ErrTrimmed)
}

// welcome replies to CONNECT.
func (s *Socket) welcome(t hub.Ticket) {
	s.mu.Lock()
	s.id, s.welcomed = t.Name, true
	s.told = s.left == ""
	s.mu.Unlock()
	s.sendPacket(connectReply(s.link.session.Protocol(), t.Name, t.Session))
}

// UnrecoveredEvent is the event that tells a client which came back too late
// that it has missed messages. Its argument says what the history of its rooms
// must be read before: everything after it is received.
const UnrecoveredEvent Event[Unrecovered] = "unrecovered"

// Unrecovered is the argument of [UnrecoveredEvent].
type Unrecovered struct {
	Before Offset `json:"before"`
}

func (s *Socket) sayUnrecovered() {
	m, err := s.link.server.newMessage(string(UnrecoveredEvent), []any{Unrecovered{Before: s.ns.space.Next()}})
	if err == nil {
		s.deliver(m) // an error means that it is gone again
	}
}

// Ready implements [hub.Reader].
func (s *Socket) Ready() bool {
	if s.credit.Load() > 0 {
		return true
	}
	if s.link.session.Backlog() < readWindow {
		s.credit.Store(readCredit)
		return true
	}
	s.link.session.OnDrained(s.resume)
	return false
}

func (s *Socket) resume() {
	s.mu.Lock()
	seat := s.seat
	s.mu.Unlock()
	if seat != nil {
		seat.Resume()
	}
}

// Evicted implements [hub.Reader]. The client returned over another session, or
// was too slow for the window: it comes back and is told.
func (s *Socket) Evicted(err error) {
	s.link.server.log.Debug("evicted", keySocket, s, keyErr, err)
	s.leave(engineio.ReasonTransportClose)
	s.link.session.Abort(engineio.ReasonTransportClose)
}

var _ hub.Reader = (*Socket)(nil)
