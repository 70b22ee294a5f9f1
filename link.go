package tutti

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/quota"
)

// A link is a session with the sockets that it carries, one per namespace. It
// takes the session's messages apart into packets and hands each to the socket
// it is for.
type link struct {
	server  *Server
	session *engineio.Session

	// Used by Receive, which is never called twice at a time, and Closed.
	decoder packet.Decoder
	overdue *time.Timer // runs while attachments are due
	parts   int         // bytes of attachments that the budget counts

	debt atomic.Pointer[debt] // nil until there is one

	mu      sync.Mutex
	sockets []*Socket // mostly one
	leaving int       // sockets that have left and whose handlers still run
	closed  Reason    // why the session ended, "" while it lives
}

// errAuth is what a peer hears whose credentials are longer than any token.
var errAuth = &Refusal{Message: "Auth too large"}

// Accept implements [engineio.Acceptor].
func (srv *Server) Accept(s *engineio.Session) engineio.Receiver {
	l := &link{server: srv, session: s, decoder: *srv.decoders.New()}
	if s.Protocol() == 3 {
		// "/" is joined without being asked for, as Socket.IO 2 clients expect.
		l.join(&packet.Packet{Type: packet.Connect, Namespace: "/"})
	}
	return l
}

// Receive implements [engineio.Receiver].
func (l *link) Receive(m engineio.Message) {
	if err := l.session.Peer().TakeBytes(len(m.Data)); err != nil {
		l.endFor(err)
		return
	}
	p, err := l.decoder.Add(packet.Frame(m))
	l.awaitAttachments(len(m.Data))
	if err != nil {
		l.violation("decode packet", err)
		return
	}
	if p == nil {
		return // attachments follow
	}
	s := l.socket(p.Namespace)
	switch {
	case p.Type == packet.Connect && s == nil:
		if err := l.session.Peer().Take(quota.Event, ""); err != nil {
			l.tooMany(p, err)
			return
		}
		l.join(p)
	case p.Type == packet.Event && s != nil:
		if err := l.session.Peer().Take(quota.Event, s.user()); err != nil {
			l.tooMany(p, err)
			return
		}
		s.receive(p)
	case p.Type == packet.Ack && s != nil:
		if !s.resolve(p.ID, p.Args) {
			l.idle(s.user()) // too late, or for nothing
		}
	case p.Type == packet.Disconnect && s != nil:
		s.leave(ReasonClientDisconnect)
	case p.Type == packet.Connect && l.session.Protocol() == 3 && p.Namespace == "/":
		l.idle("") // some Socket.IO 2 clients do ask for "/" besides
	case p.Type == packet.Disconnect:
		l.idle("") // it crossed a disconnect of ours
	default:
		l.violation("unexpected packet", errUnexpected)
	}
}

// tooMany refuses a packet that came too soon: in an answer, if there is one. A
// peer that can't be told so of a single event, or that goes on in spite of the
// answers, is told by the end of its session: it must not believe that what was
// dropped has arrived.
func (l *link) tooMany(p *packet.Packet, err error) {
	e, ok := errors.AsType[*quota.Exceeded](err)
	answers := ok && (p.HasID || p.Type == packet.Connect) && l.session.Peer().Patience()
	switch {
	case !answers:
		l.endFor(err)
	case p.Type == packet.Connect:
		l.refuse(p.Namespace, refusalFor(e))
	default:
		args, err := packet.Marshal(overload{e.Text, quota.Code, e.Milliseconds()})
		if err != nil { // two strings and a number
			return
		}
		a := &packet.Packet{Type: packet.Ack, Namespace: p.Namespace, HasID: true, ID: p.ID, Args: args}
		l.session.Send(prepare(l.decoder.Format(), a, false)...) // an error means that nobody waits for it
	}
}

// idle counts a packet that does nothing. What costs its peer nothing and asks
// for no answer must not be free: one connection could keep a core busy with it.
func (l *link) idle(user string) {
	if err := l.session.Peer().Take(quota.Event, user); err != nil {
		l.endFor(err)
	}
}

// limitHit tells that the peer ran into a limit, and who it was.
func (l *link) limitHit(limit string) {
	if hit := l.server.cfg.Trace.LimitHit; hit != nil {
		hit(limit)
	}
	l.session.Peer().Reached("server", limit)
}

// endFor ends the session for a limit, and says which.
func (l *link) endFor(err error) {
	l.server.log.Info("session closed: "+err.Error(), keySession, shownID(l.session))
	l.session.CloseFor(engineio.ReasonForcedServerClose, err)
}

// Spend counts what the socket's peer does for the limits that connections share,
// besides the event that it sent: [quota.Publish], for a handler that hands on to
// others what peers send. Its error is a [*Refusal] for the handler to return,
// nil if there is no quota.
func (s *Socket) Spend(k quota.Kind) error {
	err := s.link.session.Peer().Take(k, s.user())
	if e, ok := errors.AsType[*quota.Exceeded](err); ok {
		return refusalFor(e)
	}
	return err
}

// overload is what a peer is told that does too much: in the acknowledgement of
// an event, and without the message in the data of a connect_error.
type overload struct {
	Error string `json:"error,omitempty"`
	Code  string `json:"code"`
	Retry int64  `json:"retry,omitempty"` // milliseconds
}

// refusalFor tells a peer about a limit.
func refusalFor(e *quota.Exceeded) *Refusal {
	return &Refusal{Message: e.Text, Data: overload{Code: quota.Code, Retry: e.Milliseconds()}}
}

// awaitAttachments gives a packet whose attachments are still to come a time to
// be complete: a peer that announces some and never sends them would keep what
// has arrived in memory as long as it likes.
func (l *link) awaitAttachments(size int) {
	pending := l.decoder.Pending()
	if pending {
		l.arrive(size)
	} else {
		l.arrive(-l.parts)
	}
	switch {
	case pending && l.overdue == nil:
		l.overdue = time.AfterFunc(l.server.cfg.AttachmentTimeout, func() {
			l.limitHit("attachment timeout")
			l.session.Close(engineio.ReasonParseError)
		})
	case !pending && l.overdue != nil:
		l.overdue.Stop()
		l.overdue = nil
	}
}

// violation ends a session whose client breaks the protocol.
func (l *link) violation(what string, err error) {
	l.server.log.Debug(what, keySession, shownID(l.session), keyErr, err)
	l.session.Close(engineio.ReasonParseError)
}

// Closed implements [engineio.Receiver].
func (l *link) Closed(reason engineio.Reason, err error) {
	if l.overdue != nil {
		l.overdue.Stop()
	}
	l.arrive(-l.parts)
	l.mu.Lock()
	l.closed = reason
	sockets := slices.Clone(l.sockets)
	l.mu.Unlock()
	for _, s := range sockets {
		s.leave(reason)
	}
}

// Busy implements [engineio.Busy]: handlers run, or the peer owes an answer.
func (l *link) Busy() bool {
	l.mu.Lock()
	sockets := slices.Clone(l.sockets)
	l.mu.Unlock()
	return slices.ContainsFunc(sockets, func(s *Socket) bool {
		s.mu.Lock()
		owed := len(s.calls)
		s.mu.Unlock()
		return owed > 0 || s.mailbox.Busy()
	})
}

// join begins to connect a socket: in its mailbox, since guards may wait.
func (l *link) join(p *packet.Packet) {
	cfg := &l.server.cfg
	if len(p.Data)+len(p.Query) > cfg.MaxAuth {
		l.limitHit("auth")
		l.refuse(p.Namespace, errAuth)
		return
	}
	s := newSocket(l, p)
	l.mu.Lock()
	// Who leaves and comes back while handlers still run must not have more and
	// more of them.
	full := len(l.sockets) >= cfg.MaxNamespaces || l.leaving >= cfg.MaxNamespaces
	closed := l.closed != ""
	if !full && !closed {
		l.sockets = append(l.sockets, s)
		l.server.running.Add(1) // until its last function has run, see Socket.leave
	}
	l.mu.Unlock()
	switch {
	case closed:
	case full:
		l.limitHit("namespaces")
		l.violation("too many namespaces", errUnexpected)
	default:
		l.session.Confirm()
		if err := s.mailbox.Put(packetSize(p), s.connect); err != nil {
			s.leave(engineio.ReasonParseError) // one CONNECT larger than the inbox
		}
	}
}

// refuse answers a CONNECT without making a socket.
func (l *link) refuse(namespace string, r *Refusal) {
	if trace := l.server.cfg.Trace.SocketRefused; trace != nil {
		trace(namespace, r)
	}
	p := connectError(l.session.Protocol(), r)
	p.Namespace = namespace
	l.session.Send(prepare(l.decoder.Format(), p, false)...) // an error means that nobody waits for it
}

func (l *link) socket(namespace string) *Socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sockets {
		if s.name == namespace {
			return s
		}
	}
	return nil
}

func (l *link) list() []*Socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.sockets)
}

// remove takes out a socket that has left.
func (l *link) remove(s *Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.sockets, s); i >= 0 {
		l.sockets = slices.Delete(l.sockets, i, i+1)
		l.leaving++
	}
}

// forget says that nothing of a socket that was removed runs any more.
func (l *link) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaving--
}
