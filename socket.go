package tutti

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/serial"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/quota"
)

// leaveGrace is how long handlers of a socket that has left may go on before
// their context ends: time for what came before the peer left, and no more
// than that for a handler that waits for the context's end.
const leaveGrace = 5 * time.Second

// A Socket is a peer in one namespace. All its methods may be called by any
// goroutine, also after it has left.
type Socket struct {
	name     string // of the namespace
	link     *link
	greeting *greeting // nil if there is nothing to keep
	came     int64     // when it asked for its namespace, in Unix nanoseconds
	mailbox  serial.Mailbox

	// A socket lives as long as a request may, and its handlers get this
	// context from it: the exception to not storing one. It is the socket's life,
	// or what guards made of that.
	ctx context.Context

	format    packet.Format
	returns   bool // the client may come back; set before it is seated
	recovered bool // it has; set before it is seated
	// Set by connect, in the mailbox, and only read there.
	greeted bool // the connect handlers ran, so the disconnect handlers will

	mu       sync.Mutex
	over     bool         // ctx has ended
	told     bool         // it was told that it is in, before it left
	awaited  *awaited     // of ctx, nil until somebody waits
	id       string       // changes once at most: when it turns out that the peer came back
	party    *party       // nil if nobody has said who it is
	ns       *Namespace   // nil until it is found
	seat     *hub.Seat    // nil until it is connected
	early    *[]string    // rooms joined before; nil if none, and later
	welcomed bool         // it may come back, and its id is settled
	credit   atomic.Int32 // bytes that it takes before Ready asks its session again; any goroutine's
	left     Reason       // why it left; "" while it has not
	calls    map[uint64]*hub.Call
}

// A party is whose a socket is. Most sockets of servers without identities have
// none.
type party struct {
	owner    string         // see Identify
	person   string         // who it is to others, "" its id
	barred   bool           // a guard identified somebody who is not let in
	identity *auth.Identity // by Config.Auth; nil without
	entry    *auth.Entry    // in the register of users; nil if nobody's
}

// partyLocked returns whose the socket is, to be read.
func (s *Socket) partyLocked() party {
	if s.party == nil {
		return party{}
	}
	return *s.party
}

// changePartyLocked returns whose the socket is, to be changed.
func (s *Socket) changePartyLocked() *party {
	if s.party == nil {
		s.party = new(party)
	}
	return s.party
}

func newSocket(l *link, p *packet.Packet) *Socket {
	s := &Socket{
		name:     p.Namespace,
		link:     l,
		format:   l.decoder.Format(),
		greeting: greetingOf(p),
		came:     time.Now().UnixNano(),
	}
	s.mailbox.Crew = &l.server.crew
	s.ctx = (*life)(s)
	switch {
	case l.session.Protocol() != 3:
		// Not the session's id, which is a secret: who knows it can post in
		// the session's name.
		s.id = newID()
	case s.name == "/":
		s.id = l.session.ID() // a Socket.IO 2 client takes it for granted
	default:
		s.id = s.name + "#" + l.session.ID()
	}
	return s
}

// newID returns 20 characters that nobody can guess.
func newID() string {
	var b [15]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// ID returns the socket's id, which is also the name of a room of its own. It
// is no secret. In a guard it is not settled yet: a peer that comes back gets
// the id it had.
func (s *Socket) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// Handshake returns what is known of the peer since it connected. It is put
// together anew by every call and the caller's own.
func (s *Socket) Handshake() Handshake {
	h := s.greeting.handshake(s.link.session.Request(), time.Unix(0, s.came))
	if s.link.server.cfg.Auth != nil {
		h.Query.Del(tokenName)
	}
	return h
}

// Since returns when the socket asked for its namespace.
func (s *Socket) Since() time.Time { return time.Unix(0, s.came) }

// Session returns the Engine.IO session that carries the socket.
func (s *Socket) Session() *engineio.Session { return s.link.session }

// Namespace returns the namespace that the socket is in, or nil while that is
// not found yet: never in a guard, handler or callback.
func (s *Socket) Namespace() *Namespace {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ns
}

// Connected says whether the socket is in its namespace: guards have let it in
// and it has not left.
func (s *Socket) Connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told && s.left == ""
}

// Disconnect makes the socket leave its namespace. Its session goes on, and a
// client does not come back by itself. It does not wait: the disconnect
// handlers run after the events that came before.
func (s *Socket) Disconnect() {
	s.leave(ReasonServerDisconnect)                       // first: once its peer knows it may end the session, for another reason
	s.sendPacket(&packet.Packet{Type: packet.Disconnect}) // an error means that it is gone already
}

// DisconnectSession disconnects every socket of the socket's session, and ends
// the session when what was sent before has been written.
func (s *Socket) DisconnectSession() {
	for _, each := range s.link.list() {
		each.Disconnect()
	}
	s.link.session.Close(engineio.ReasonForcedServerClose)
}

// LogValue implements [slog.LogValuer].
func (s *Socket) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", s.ID()), slog.String(keyNamespace, s.name))
}

// connect is the first thing that a socket's mailbox does: find the namespace,
// ask its guards, enter.
func (s *Socket) connect() {
	err := s.enter()
	if err == nil {
		s.link.server.awaitDeparture(s)
		s.greeted = true
		ns := s.Namespace()
		if trace := s.link.server.cfg.Trace.SocketConnected; trace != nil {
			trace(s)
		}
		for _, f := range ns.rules.load().connect {
			s.protect("connect", func() error { f(s.ctx, s); return nil })
		}
		return
	}
	if errors.Is(err, ErrDisconnected) {
		return
	}
	if errors.Is(err, hub.ErrUnavailable) || errors.Is(err, hub.ErrUnknown) {
		s.sendAway(err)
		return
	}
	if trace := s.link.server.cfg.Trace.SocketRefused; trace != nil {
		trace(s.name, err)
	}
	refusal := refusalOf(err)
	if refusal.Message == internalError {
		s.link.server.log.Error("connect socket", keySocket, s, keyErr, err)
	}
	s.sendPacket(connectError(s.link.session.Protocol(), refusal))
	s.leave(ReasonServerDisconnect)
}

// sendAway ends the session of a socket that cannot come in because the engine
// is away. After that a stock client tries again by itself, and finds what it
// missed; after a refusal it never would. Who has left meanwhile is not waited
// for any more, whatever the engine does.
func (s *Socket) sendAway(err error) {
	s.mu.Lock()
	left := s.left != ""
	s.mu.Unlock()
	if left {
		return
	}
	if trace := s.link.server.cfg.Trace.SocketRefused; trace != nil {
		trace(s.name, errAway)
	}
	s.link.server.log.Debug("connect socket", keySocket, s, keyErr, err)
	s.leave(engineio.ReasonTransportClose)
	s.link.session.CloseFor(engineio.ReasonTransportClose, errAway)
}

func (s *Socket) enter() error {
	ns, err := s.link.server.find(s)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.left != "" { // while it was looked for: nobody will release it for us
		s.mu.Unlock()
		s.link.server.release(ns)
		return ErrDisconnected
	}
	s.ns = ns
	s.mu.Unlock()
	if err := s.authenticate(ns.rules.load().anonymous); err != nil {
		return err
	}
	for _, guard := range ns.rules.load().guards {
		err := s.protect("guard", func() error {
			ctx, err := guard(s.ctx, s)
			if err == nil && ctx != nil {
				s.ctx = ctx
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.sit()
}

// sit takes the seat. The reply to CONNECT is sent when the socket's turn has
// come: before it any broadcast, after it all.
func (s *Socket) sit() error {
	if err := s.turnedAway(); err != nil {
		return err
	}
	if err := s.link.session.Peer().Identify(s.user()); err != nil {
		if e, ok := errors.AsType[*quota.Exceeded](err); ok {
			return refusalFor(e)
		}
		return err
	}
	s.mu.Lock()
	early := slices.Clone(s.earlyLocked())
	s.mu.Unlock()
	reviews := s.ns.rules.reviews.Load()
	var (
		seat *hub.Seat
		err  error
	)
	if s.ns.space.Remembers() && s.link.session.Protocol() != 3 {
		seat, err = s.sitAgain(early)
	} else {
		welcome := func() {
			s.letIn()
			s.sendPacket(connectReply(s.link.session.Protocol(), s.ID(), ""))
		}
		seat, err = s.ns.space.Enter(s, welcome, append([]string{s.ID()}, early...)...)
	}
	if err != nil {
		return fmt.Errorf("take a seat: %w", err)
	}
	s.mu.Lock()
	why, told := s.left, s.told
	if why == "" || told {
		s.seat = seat
	}
	// What changed while the seat was taken.
	joined, quit := without(s.earlyLocked(), early), without(early, s.earlyLocked())
	s.early = nil
	s.mu.Unlock()
	if why != "" {
		vacate(seat, why)
		if told {
			return nil // and left at once: the application hears of both
		}
		return ErrDisconnected
	}
	if s.ns.space.Remembers() {
		seat.Resume() // who was drained while the seat was not set could not say so
	}
	if s.recovered && s.ns.rules.reviews.Load() != reviews {
		(*ward)(s).later(s.review) // what it came back to was allowed by what held before
	}
	if len(quit) > 0 {
		seat.Leave(quit...)
	}
	if len(joined) > 0 {
		return seat.Join(joined...)
	}
	return nil
}

// letIn notes that the peer is about to be told that it is in.
func (s *Socket) letIn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = s.left == ""
}

// without returns those of a that are not in b.
func without(a, b []string) []string {
	var rest []string
	for _, x := range a {
		if !slices.Contains(b, x) {
			rest = append(rest, x)
		}
	}
	return rest
}

// vacate gives up a seat. Who left in words does not come back; anybody else
// may have lost the connection.
func vacate(seat *hub.Seat, reason Reason) {
	if reason == ReasonClientDisconnect || reason == ReasonServerDisconnect {
		seat.End()
	} else {
		seat.Close()
	}
}

// connectReply lets a client in. With a private id it may come back.
func connectReply(protocol int, id, private string) *packet.Packet {
	p := &packet.Packet{Type: packet.Connect}
	switch {
	case protocol == 3:
	case private == "":
		p.Data = []byte(`{"sid":"` + id + `"}`)
	default:
		p.Data = []byte(`{"sid":"` + id + `","pid":"` + private + `"}`)
	}
	return p
}

// leave takes the socket out of its namespace, once: the first reason counts.
// It never waits. What came before still runs in the mailbox, then the
// disconnect handlers.
func (s *Socket) leave(reason Reason) {
	s.mu.Lock()
	if s.left != "" {
		s.mu.Unlock()
		return
	}
	s.left = reason
	calls, seat := s.calls, s.seat
	s.calls = nil
	if s.partyLocked().entry != nil {
		s.party.entry.Leave()
	}
	if s.told {
		s.departLocked()
	}
	s.mu.Unlock()

	s.link.remove(s)
	for _, c := range calls {
		c.Lost()
	}
	if seat == nil {
		(*life)(s).end() // guards are running, for nobody
	} else {
		vacate(seat, reason)
	}
	grace := time.AfterFunc(leaveGrace, (*life)(s).end)
	s.mailbox.Close(func() {
		defer s.link.server.running.Done()
		defer s.link.forget()
		grace.Stop()
		(*life)(s).end()
		s.farewell(reason)
	})
}

// farewell is the last thing that a socket's mailbox does.
func (s *Socket) farewell(reason Reason) {
	ns := s.Namespace()
	if ns == nil {
		return
	}
	defer s.link.server.release(ns)
	defer s.link.server.departed(s)
	if !s.greeted {
		return
	}
	if trace := s.link.server.cfg.Trace.SocketDisconnected; trace != nil {
		trace(s, reason)
	}
	for _, f := range ns.rules.load().disconnect {
		s.protect("disconnect", func() error { f(s.ctx, s, reason); return nil })
	}
}

// protect runs a function of the application's: a panic in it ends that
// function and nothing else.
func (s *Socket) protect(what string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.link.server.log.Error("panic in "+what, keySocket, s, "panic", v, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return f()
}
