package tutti

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/verb"
)

// AuthEvent is the event by which a client shows another token on a connection
// that goes on, in a server with [Config.Auth]:
//
//	socket.emit("auth", {token}, ({expires, removed, unwatched, error, code}) => …)
//
// The server emits it to tell a client what became of its identity.
const AuthEvent Event[AuthNotice] = verb.AuthEvent

// An AuthNotice tells a client what became of its identity.
type AuthNotice struct {
	// Code is why: of [auth.Code], or "rooms_removed" or "presence_removed".
	Code  string `json:"code"`
	Error string `json:"error"` // in words for people
	// Grace is how many milliseconds are left to show another token, before the
	// one that was shown has expired. Without it the connection is over, unless the
	// notice is about rooms.
	Grace int64 `json:"grace,omitempty"`
	// Rooms are those that the client was in, on its own request, and may not be
	// in any more; or whose presence it watched, and may not see any more.
	Rooms []string `json:"rooms,omitempty"`
}

const (
	roomsRemoved    = "rooms_removed"
	presenceRemoved = "presence_removed"
)

// AdmitAnonymous lets in who shows nothing to the namespace's own guards, also
// where [Config.Auth] would not: for namespaces that have credentials of another
// kind. Who shows a token that does not hold is refused here too.
func (ns *Namespace) AdmitAnonymous() {
	ns.rules.change(func(t *table) { t.anonymous = true })
}

// Identity returns who the socket's peer is, by [Config.Auth]; nil if that is not
// set. It may be another after the peer has shown a new token, but of the same
// subject.
func (s *Socket) Identity() *auth.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partyLocked().identity
}

// Users returns the register of the connections of each user: sockets, by the
// owner that [Config.Auth] or [Socket.Identify] says they have, and whatever
// else was given the same [auth.Authority].
func (srv *Server) Users() *auth.Register { return srv.users }

// DisconnectUser disconnects what a user is connected with, in all namespaces and
// on all nodes, and returns how many connections these were. The peers are told a
// reason, in words; "" is one too. Their sessions are not recovered, but nothing
// keeps the user from coming back: see [auth.Register.RevokeEverywhere]. With an
// error, which may be a [*hub.PartialError], other nodes have not all done so.
func (srv *Server) DisconnectUser(ctx context.Context, user, reason string) (int, error) {
	return srv.users.DisconnectEverywhere(ctx, user, reason)
}

// credentials are what the socket's peer showed when it came.
func (s *Socket) credentials() auth.Credentials {
	h := s.Handshake()
	request := s.link.session.Request()
	c := auth.Credentials{Token: h.Token(), Header: h.Header, Remote: h.Remote}
	if c.Token == "" && s.link.session.Protocol() == 3 {
		// Socket.IO 2 has no other place for it in a browser.
		c.Token = request.Secret()
	}
	c.Ambient = s.link.server.origins.Load().Trusted(&http.Request{Header: h.Header, Host: request.Host, TLS: request.TLS})
	return c
}

// tokenName is the parameter of a query by which clients of Socket.IO 2 show who
// they are. With [Config.Auth] no URL and no query that is kept has it.
const tokenName = "token"

// authenticate finds out who the peer is, before guards are asked.
func (s *Socket) authenticate(open bool) error {
	authority := s.link.server.cfg.Auth
	if authority == nil || !authority.Asks() {
		return nil
	}
	id, err := authority.Identify(s.ctx, s.credentials())
	if refused, ok := errors.AsType[*auth.Refusal](err); ok && open && refused.Code == auth.Unauthorized {
		id, err = &auth.Identity{Method: auth.Anonymous}, nil
	}
	if err == nil {
		err = s.become(id)
	}
	if err != nil {
		return s.authRefusal(err)
	}
	s.ctx = auth.NewContext(s.ctx, s.Identity)
	return nil
}

// become makes the socket its peer's.
func (s *Socket) become(id *auth.Identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.changePartyLocked()
	p.identity, p.owner = id, id.Subject
	if id.Subject != "" {
		p.person = id.Subject
	}
	return s.registerLocked()
}

// registerLocked notes whose socket it is, so that it can be found and ended.
func (s *Socket) registerLocked() error {
	if s.left != "" {
		return ErrDisconnected
	}
	id := s.partyLocked().identity
	if id == nil {
		id = &auth.Identity{}
	}
	if id.Subject != s.partyLocked().owner { // a guard knows better
		other := *id
		other.Subject = s.partyLocked().owner
		id = &other
	}
	if s.partyLocked().entry != nil {
		return s.party.entry.Renew(id)
	}
	if id.Subject == "" && id.Expiry.IsZero() {
		return nil
	}
	entry, err := s.link.server.users.Enter((*ward)(s), id)
	s.changePartyLocked().entry = entry
	return err
}

// authRefusal tells the peer what it may know, and the log the rest.
func (s *Socket) authRefusal(err error) error {
	refused, ok := errors.AsType[*auth.Refusal](err)
	if !ok {
		return err
	}
	if refused.Err != nil {
		s.link.server.log.Warn("identify", keySocket, s, keyErr, refused.Err)
	}
	return &Refusal{Message: refused.Message, Data: struct {
		Code auth.Code `json:"code"`
	}{refused.Code}}
}

// A ward is a socket as the register of users sees it.
type ward Socket

var _ auth.Regranted = (*ward)(nil)

// Expiring implements [auth.Connection]. Who is known by a session will be later
// on, perhaps: it is asked for again. Anybody else is asked for another token.
func (w *ward) Expiring(left time.Duration) {
	s := (*Socket)(w)
	id := s.Identity()
	if id != nil && id.Method == auth.BySession && s.mailbox.Put(messageOverhead, s.revalidate) == nil {
		return
	}
	s.notice(AuthNotice{Code: string(auth.Expired), Error: "the token is about to expire", Grace: left.Milliseconds()})
}

// Regrant implements [auth.Regranted]: the socket is taken out of rooms that its
// peer may not be in any more, and told so.
func (w *ward) Regrant(review auth.Review) {
	w.later(func() error { return (*Socket)(w).regrant(review) })
}

// later has f look at what the peer may do, in the mailbox. If that cannot be the
// peer has to connect anew.
func (w *ward) later(f func() error) {
	s := (*Socket)(w)
	changed := auth.Refuse(auth.Disconnected, "what you may do has changed: connect anew")
	err := s.mailbox.Put(messageOverhead, func() {
		err := s.protect("permissions", f)
		if refused, ok := errors.AsType[*auth.Refusal](err); ok {
			w.Expel(refused)
		} else if errors.Is(err, errPanic) {
			w.Expel(changed)
		}
	})
	if err != nil { // its mailbox is full, or it has left
		w.Expel(changed)
	}
}

func (s *Socket) regrant(review auth.Review) error {
	id := s.Identity()
	if id == nil {
		return nil // nobody was asked
	}
	id, _, err := review(id)
	if err != nil {
		return err
	}
	lost, err := s.renew(id)
	s.sayLost(lost)
	return err
}

// Review looks at what sockets on this node may do now, by the desk of
// [Namespace.ServeVerbs]: for when [verb.Desk.Reload] has taken something away.
// They leave rooms that their peers have asked for and may not join any more, and
// are told by [AuthEvent]; rooms that the application has put them in they keep.
// Review does not wait: each is looked at when what its peer asked for before has been
// handled.
func (ns *Namespace) Review() {
	ns.rules.reviews.Add(1) // before: who is just coming in sees it, or is among the sockets
	for _, s := range ns.Everyone().sockets() {
		(*ward)(s).later(s.review)
	}
}

func (s *Socket) review() error {
	s.sayLost(s.loseRights())
	return nil
}

// Expel implements [auth.Connection].
func (w *ward) Expel(why *auth.Refusal) {
	s := (*Socket)(w)
	s.mu.Lock()
	left := s.left != ""
	s.mu.Unlock()
	if left {
		return // and another socket may be in its place
	}
	if !s.Connected() {
		refusal := &Refusal{Message: why.Message, Data: AuthNotice{Code: string(why.Code), Error: why.Message}}
		s.sendPacket(connectError(s.link.session.Protocol(), refusal)) // an error means that it is gone
		s.leave(ReasonServerDisconnect)
		return
	}
	s.notice(AuthNotice{Code: string(why.Code), Error: why.Message})
	s.Disconnect()
}

// notice tells the peer of its identity. It is not for the tape.
func (s *Socket) notice(n AuthNotice) {
	m, err := s.link.server.newMessage(string(AuthEvent), []any{n})
	if err == nil {
		s.deliver(m) // an error means that it is gone
	}
}

// revalidate asks again whose session it is, in the mailbox. If nobody can tell,
// the session lasts for as long as it was said to, and they are asked some more
// times until then.
func (s *Socket) revalidate() {
	c := s.credentials()
	c.Again = true
	err := s.protect("identify", func() error {
		id, err := s.link.server.cfg.Auth.Identify(s.ctx, c)
		if err == nil {
			var lost lost
			lost, err = s.renew(id)
			s.sayLost(lost)
		}
		return err
	})
	if refused, ok := errors.AsType[*auth.Refusal](err); ok && refused.Code == auth.Unavailable {
		s.link.server.log.Warn("identify", keySocket, s, keyErr, refused)
		s.mu.Lock()
		entry := s.partyLocked().entry
		s.mu.Unlock()
		entry.Remind()
		return
	}
	if err != nil {
		(*ward)(s).Expel(&auth.Refusal{Code: auth.Expired, Message: "the session has expired"})
	}
}

// renew puts the socket under another identity of the same user, and takes from it
// what this one may not have.
func (s *Socket) renew(id *auth.Identity) (lost, error) {
	s.mu.Lock()
	old := s.partyLocked().identity
	if id.Subject != old.User() {
		s.mu.Unlock()
		return lost{}, auth.Refuse(auth.WrongUser, "the token is another user's: connect anew")
	}
	s.changePartyLocked().identity = id
	err := s.registerLocked()
	if err != nil {
		s.party.identity = old
	}
	s.mu.Unlock()
	if err != nil {
		return lost{}, err
	}
	return s.loseRights(), nil
}

// lost is what a peer has had on its own request and may not have any more.
type lost struct {
	rooms    []string // in which it was
	presence []string // of rooms that it watched
}

// loseRights takes the socket out of the rooms that its peer may not be in, and
// ends watching those whose presence it may not see.
func (s *Socket) loseRights() (l lost) {
	s.mu.Lock()
	seat := s.seat
	s.mu.Unlock()
	desk := s.ns.rules.load().desk
	if seat == nil || desk == nil {
		return l
	}
	asked, watched := seat.Asked()
	l.rooms = without(asked, s.stillMay(desk, verb.Join, asked))
	watched = without(watched, l.rooms)
	l.presence = without(watched, s.stillMay(desk, verb.Presence, watched))
	// First what waits for nothing: a move waits for the store, if that is away.
	for _, room := range slices.Concat(l.presence, l.rooms) {
		seat.Unwatch(room)
	}
	if len(l.rooms) > 0 {
		seat.Leave(l.rooms...)
	}
	return l
}

// stillMay returns those of the rooms in which the peer may use a verb now.
func (s *Socket) stillMay(desk *verb.Desk, v verb.Verb, rooms []string) []string {
	caller := s.caller()
	return slices.DeleteFunc(slices.Clone(rooms), func(room string) bool {
		return !desk.Permits(s.ctx, caller, v, room)
	})
}

// showToken serves [AuthEvent].
func (s *Socket) showToken(ctx context.Context, m *Message) error {
	var shown struct {
		Token string `json:"token"`
	}
	if m.Args.Scan(&shown) != nil || shown.Token == "" {
		return &Refusal{Message: `"token" is missing`}
	}
	var lost lost
	id, err := s.link.server.cfg.Auth.Identify(ctx, auth.Credentials{Token: shown.Token})
	if err == nil {
		lost, err = s.renew(id)
	}
	if refused, ok := errors.AsType[*auth.Refusal](err); ok {
		if refused.Err != nil {
			s.link.server.log.Warn("identify", keySocket, s, keyErr, refused.Err)
		}
		return m.Reply(AuthNotice{Code: string(refused.Code), Error: refused.Message})
	}
	if err != nil {
		return err
	}
	return m.Reply(struct {
		Expires   int64    `json:"expires,omitempty"` // milliseconds since 1970
		Removed   []string `json:"removed,omitempty"`
		Unwatched []string `json:"unwatched,omitempty"`
	}{millis(id.Expiry), lost.rooms, lost.presence})
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// lapsed answers an event of a peer whose identity has expired.
var lapsed = AuthNotice{Code: string(auth.Expired), Error: "the token has expired"}

// stillAllowed fills in which of the rooms that the client asked for it may come
// back to.
func (s *Socket) stillAllowed(session string, a *hub.Arrival) {
	desk := s.ns.rules.load().desk
	if desk == nil {
		return
	}
	// An error is that of ResumeSession, which tells it.
	asked, _ := s.ns.space.SessionAsked(s.ctx, session, a.Owner)
	a.Checked, a.Allowed = true, s.stillMay(desk, verb.Join, asked)
}

// sayLost tells the peer what it has lost.
func (s *Socket) sayLost(l lost) {
	if len(l.rooms) > 0 {
		s.notice(AuthNotice{Code: roomsRemoved, Error: "you may not be in these rooms any more", Rooms: l.rooms})
	}
	if len(l.presence) > 0 {
		s.notice(AuthNotice{Code: presenceRemoved, Error: "you may not see who is in these rooms any more", Rooms: l.presence})
	}
}
