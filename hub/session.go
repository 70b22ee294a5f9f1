package hub

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// Errors of coming back to a session.
var (
	// ErrNoSession means that there is no such session, or that it has been
	// gone for longer than the window.
	ErrNoSession = errors.New("hub: no such session")
	// ErrNotOwner means that the session is somebody else's.
	ErrNotOwner = errors.New("hub: session of another owner")
	// ErrOffset means that the offset is not one of this tape.
	ErrOffset = errors.New("hub: unknown offset")
	// ErrFenced means that the member came back over another connection, which
	// receives everything from now on.
	ErrFenced = errors.New("hub: returned elsewhere")
)

// A Reader is a member that can fall behind and catch up, in a space with
// memory: while it is not ready it is handed nothing, and what it is owed is
// read from the tape later. Deliver is then also called by the goroutine that
// catches up, but still for one message at a time.
type Reader interface {
	Member
	// Ready says whether the reader can take more now. It must not wait. A
	// reader that was asked and was not ready calls [Seat.Resume] when it is.
	Ready() bool
	// Evicted says that the reader has lost its seat: [ErrFenced], or
	// [ErrTrimmed] if what it is owed is not kept any more. It must not wait, and
	// may be called again. Whoever has returned is welcomed after the first call.
	Evicted(err error)
}

// An Arrival describes a member that enters a space with memory and may come
// back.
type Arrival struct {
	// Name is the room of the member's own.
	Name string
	// Owner is whose session it is, "" if nobody's: only the same owner may
	// have it back.
	Owner string
	// Rooms are the rooms it is in from the beginning.
	Rooms []string
	// Checked says that a member which comes back may be in those rooms only of
	// the ones it had asked for itself that are in Allowed. It is taken out of
	// the others, and is owed nothing of them.
	Checked bool
	Allowed []string
	// Removed, if set, is told which these were, before Welcome. It must not
	// wait.
	Removed func(rooms []string)
	// Welcome is called before anything is delivered. It must not wait.
	Welcome func(Ticket)
}

// A Ticket is what a member needs to come back.
type Ticket struct {
	// Session is the private id: a secret, for who has it and is the owner can
	// take the session over.
	Session string
	// Name is the room of the member's own, the one it had before.
	Name string
}

func (a *Arrival) welcome(t Ticket) {
	if a.Welcome != nil {
		a.Welcome(t)
	}
}

// A session is what a space knows of a member that may come back. It is touched
// by the operations of the space's order only.
type session struct {
	id         string
	name       string
	owner      string
	start      Position
	generation uint64 // of its record
	committed  uint64 // up to which generation that was written, where nodes share it
	seat       *Seat  // nil while it is gone
	ousted     *Seat  // had it last, and may not have heard that it lost it; nil once the next is welcome
	gone       time.Time

	// Set when it goes.
	rooms  []standing
	handed Position // the last message that was handed to it
	level  Position // everything up to here that it was owed was handed to it
}

// sessions are those of a space, with those that are gone in the order in which
// they went.
type sessions struct {
	byID map[string]*session
	gone []parting // those included that came back since
	away int       // how many are gone
}

// EnterSession gives a member a seat that it can come back to. The session is
// written before Welcome is called.
func (sp *Space) EnterSession(ctx context.Context, r Reader, a Arrival) (*Seat, error) {
	if err := sp.usable(); err != nil {
		return nil, err
	}
	rooms := append([]string{a.Name}, a.Rooms...)
	err := sp.hub.checkRooms(rooms)
	if err != nil {
		return nil, err
	}
	if err := sp.ears.hold(ctx, rooms); err != nil {
		return nil, err
	}
	defer sp.ears.release(rooms)
	s := &Seat{space: sp, member: r, reader: r, behind: true, pumping: true, claims: true}
	var (
		saved  *pending
		ticket Ticket
	)
	sp.order.do(func() {
		if err = s.fits(len(rooms)); err != nil {
			return
		}
		s.cursor.Store(uint64(sp.head))
		s.session = &session{id: newSessionID(), name: a.Name, owner: a.Owner, start: sp.head, generation: 1, seat: s}
		s.sit()
		err = s.join(rooms)
		sp.sessions.byID[s.session.id] = s.session
		sp.kept(1)
		sp.keeper.sat(s.session)
		saved = sp.save(false, s) // lost with the power, its client is told
		ticket = s.session.ticket()
		sp.expireSessions()
	})
	if err != nil {
		return nil, err
	}
	if err = saved.wait(ctx); err != nil {
		s.End() // nobody knows how to come back to it
		return nil, err
	}
	sp.greet(s, ticket, a)
	return s, nil
}

// ResumeSession gives a returning member the seat of its session: in the rooms
// it was in, and with everything that it is owed since an offset before what
// comes now. Whoever has that seat at the moment loses it. An empty offset means
// that the member has received nothing yet. Rooms of the arrival are joined
// besides; its Name is not used.
//
// It fails with [ErrNoSession], [ErrNotOwner], [ErrOffset] or [ErrTrimmed], and
// then nothing has changed; or with [ErrUnavailable] or [ErrUnknown], and then
// it may be tried again.
func (sp *Space) ResumeSession(ctx context.Context, r Reader, id string, offset Offset, a Arrival) (*Seat, error) {
	if err := sp.usable(); err != nil {
		return nil, err
	}
	if err := sp.hub.checkRooms(a.Rooms); err != nil {
		return nil, err
	}
	const attempts = 4 // others change the session, too: its rooms, or who has it
	for i := 1; ; i++ {
		s, err := sp.resume(ctx, r, id, offset, a)
		if errors.Is(err, ErrFenced) {
			if i < attempts {
				continue
			}
			err = ErrNoSession
		}
		if sp.hub.cfg.Trace.Returned != nil {
			sp.hub.cfg.Trace.Returned(sp.namespace, err)
		}
		return s, err
	}
}

// resume is one attempt at it. It fails with [ErrFenced] if another node has
// changed the session meanwhile.
func (sp *Space) resume(ctx context.Context, r Reader, id string, offset Offset, a Arrival) (*Seat, error) {
	rec, err := sp.keeper.recall(ctx, id)
	if err != nil {
		return nil, err
	}
	rooms := a.Rooms
	if rec != nil {
		rooms = append(rec.rooms(), a.Rooms...)
	}
	if err := sp.ears.hold(ctx, rooms); err != nil {
		return nil, err
	}
	defer sp.ears.release(rooms)
	s := &Seat{space: sp, member: r, reader: r, behind: true, pumping: true, claims: true}
	var (
		saved      *pending
		ticket     Ticket
		generation uint64
		fenced     *Seat
		ousted     *Seat
		removed    []string
	)
	sp.order.do(func() {
		sp.expireSessions()
		var old *session
		if old, err = sp.findSession(id, rec, a.Owner); err != nil {
			return
		}
		var has, at Position
		if has, at, err = sp.resumeAt(old, offset); err != nil {
			return
		}
		s.handed.Store(uint64(has))
		s.cursor.Store(uint64(at))
		standings := old.standings()
		if fenced = old.seat; fenced != nil {
			fenced.session, fenced.lost = nil, true
			fenced.rise()
			if !fenced.claims { // else it finds out instead of being welcomed
				old.ousted = fenced
			}
		}
		ousted = old.ousted
		switch {
		case sp.sessions.byID[id] == nil:
			sp.sessions.byID[id] = old
			sp.kept(1)
		case fenced == nil:
			sp.sessions.away--
		}
		sp.keeper.renew(old)
		old.seat = s
		s.session = old
		s.sit()
		removed = s.reenter(standings, a)
		s.join(a.Rooms) // at most fails for too many rooms, which is no reason to lose the session
		sp.keeper.sat(old)
		saved = sp.save(false, s)
		ticket, generation = old.ticket(), old.generation
	})
	if err != nil {
		return nil, err
	}
	switch {
	case ousted == nil:
	case ousted == fenced:
		sp.evicted(fenced, ErrFenced)
	default: // by somebody who was quicker than us to take the seat, and not to say so
		ousted.reader.Evicted(ErrFenced)
	}
	if a.Removed != nil {
		a.Removed(removed)
	}
	if err = saved.wait(ctx); err != nil {
		s.Close() // cut off again: it may come back yet
		return nil, err
	}
	if rec != nil {
		sp.hub.node.tellFence(rec.Node, sp.namespace, id, generation)
	}
	sp.greet(s, ticket, a)
	return s, nil
}

// greet welcomes a member whose session is written, and lets its seat catch up.
// If somebody else has returned to the session meanwhile the member hears that
// and no welcome: of those who come back to one session, each is welcomed after
// the one before has lost the seat.
func (sp *Space) greet(s *Seat, ticket Ticket, a Arrival) {
	fenced := false
	sp.order.do(func() {
		s.pumping, s.claims = false, false
		if fenced = s.index < 0; !fenced {
			s.session.ousted = nil
			a.welcome(ticket)
			s.catchUp()
		}
	})
	if fenced {
		sp.evicted(s, ErrFenced)
	}
}

// resumeAt returns what a returning member has received, and after which
// position it continues.
func (sp *Space) resumeAt(old *session, offset Offset) (has, at Position, err error) {
	p := old.start
	if offset != "" {
		if p, err = sp.place(offset, 0); err != nil {
			return 0, 0, err
		}
	}
	handed, level := old.progress()
	at = p
	if handed <= p && level > p {
		// It has received all that was ever handed to it, and was owed nothing
		// up to where it went: quiet members can come back after any time.
		at = level
	}
	if at = sp.tape.quiet(at); !sp.tape.covers(at) {
		return 0, 0, ErrTrimmed
	}
	return p, at, nil
}

func newSessionID() string {
	var b [15]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (x *session) ticket() Ticket { return Ticket{Session: x.id, Name: x.name} }

// standings returns the rooms of a session and since when it is in them.
func (x *session) standings() []standing {
	if x.seat == nil {
		return x.rooms
	}
	return x.seat.standings()
}

// progress returns the last message that was handed to a session's member, and
// the position up to which it was handed all it was owed.
func (x *session) progress() (handed, level Position) {
	if x.seat == nil {
		return x.handed, x.level
	}
	level = x.seat.reached() // before handed, see Seat
	return Position(x.seat.handed.Load()), level
}

// save has the records of those seats' sessions written that have one, and
// returns what to wait for, nil if none has.
func (sp *Space) save(sync bool, seats ...*Seat) *pending {
	var records []*SharedSession
	for _, s := range seats {
		if s.session != nil {
			records = append(records, sp.keeper.record(s.session))
		}
	}
	if len(records) == 0 {
		return nil
	}
	return sp.tape.enqueue(sync, records)
}

// findSession returns a session, which may be known from its record only.
func (sp *Space) findSession(id string, rec *sessionRecord, owner string) (*session, error) {
	s := sp.sessions.byID[id]
	if s == nil && rec != nil {
		s = &session{
			id: id, name: rec.Name, owner: rec.Owner, start: rec.Start, rooms: rec.Rooms,
			generation: rec.Generation, committed: rec.Generation, handed: rec.Handed, level: rec.Level,
		}
	}
	switch {
	case s == nil:
		return nil, sp.keeper.unknown()
	case s.owner != owner:
		return nil, ErrNotOwner
	}
	return s, nil
}

// loadSessions takes over the sessions of before. They count as gone from now
// on: nobody knows since when they are.
func (sp *Space) loadSessions(log Log) error {
	for stored, err := range log.Sessions() {
		if err != nil {
			return fmt.Errorf("read sessions: %w", err)
		}
		rec, err := readSession(stored.Body)
		if err != nil {
			return fmt.Errorf("read session: %w", err)
		}
		s := &session{
			id:         stored.ID,
			name:       rec.Name,
			owner:      rec.Owner,
			start:      rec.Start,
			generation: rec.Generation,
			rooms:      rec.Rooms,
			gone:       time.Now(),
			// Which messages it was handed is not known: it must be owed all.
			handed: sp.head,
		}
		sp.sessions.byID[s.id] = s
		sp.sessions.gone = append(sp.sessions.gone, parting{s, s.gone, s.generation})
	}
	sp.sessions.away = len(sp.sessions.byID)
	sp.kept(len(sp.sessions.byID))
	return nil
}

// kept tells the trace of sessions that came or went.
func (sp *Space) kept(more int) {
	if trace := sp.hub.cfg.Trace.Sessions; trace != nil && more != 0 {
		trace(sp.namespace, more)
	}
}

// EnterAt gives a member a seat in rooms as Enter does, and hands it what was
// published to them since an offset before anything else. It is for members
// that keep their offset themselves and have no session. With the offset "" it
// begins with what comes next. It fails with [ErrOffset] or [ErrTrimmed].
func (sp *Space) EnterAt(r Reader, offset Offset, welcome func(), rooms ...string) (*Seat, error) {
	if offset == "" {
		return sp.Enter(r, welcome, rooms...)
	}
	if err := sp.usable(); err != nil {
		return nil, err
	}
	if sp.tape == nil {
		return nil, ErrOffset
	}
	if err := sp.hub.checkRooms(rooms); err != nil {
		return nil, err
	}
	ctx, cancel := sp.hub.node.patient()
	defer cancel()
	if err := sp.ears.hold(ctx, rooms); err != nil {
		return nil, err
	}
	defer sp.ears.release(rooms)
	p, err := sp.place(offset, 0)
	if err != nil {
		return nil, err
	}
	if p = sp.tape.quiet(p); !sp.tape.covers(p) {
		return nil, ErrTrimmed
	}
	s := &Seat{space: sp, member: r, reader: r, behind: true}
	s.cursor.Store(uint64(p))
	sp.order.do(func() {
		if err = s.fits(len(rooms)); err != nil {
			return
		}
		if welcome != nil {
			welcome()
		}
		s.sit()
		for _, name := range rooms {
			if s.find(name) < 0 {
				s.addSince(name, p)
			}
		}
		s.catchUp()
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}
