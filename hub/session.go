package hub

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
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
	// [ErrTrimmed] if what it is owed is not kept any more. It must not wait.
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
	generation uint64
	seat       *Seat // nil while it is gone

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

// A parting is when a session's member went. It may be back since.
type parting struct {
	session    *session
	at         time.Time
	generation uint64 // of the session then
}

// stale says whether the member has come back since, and may have gone again.
func (p parting) stale() bool {
	return p.session.seat != nil || p.session.generation != p.generation
}

// EnterSession gives a member a seat that it can come back to. The session is
// written before Welcome is called.
func (sp *Space) EnterSession(ctx context.Context, r Reader, a Arrival) (*Seat, error) {
	if sp.err != nil {
		return nil, sp.err
	}
	rooms := append([]string{a.Name}, a.Rooms...)
	if err := sp.hub.checkRooms(rooms); err != nil {
		return nil, err
	}
	s := &Seat{space: sp, member: r, reader: r, behind: true, pumping: true}
	var (
		saved  *group
		ticket Ticket
		err    error
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
		saved = sp.save(false, s) // lost with the power, its client is told
		ticket = s.session.ticket()
		sp.expireSessions()
	})
	if err != nil {
		return nil, err
	}
	if err = sp.greet(ctx, s, saved, func() { a.welcome(ticket) }); err != nil {
		s.End() // nobody knows how to come back to it
		return nil, err
	}
	return s, nil
}

// ResumeSession gives a returning member the seat of its session: in the rooms
// it was in, and with everything that it is owed since an offset before what
// comes now. Whoever has that seat at the moment loses it. An empty offset means
// that the member has received nothing yet. Rooms of the arrival are joined
// besides; its Name is not used.
//
// It fails with [ErrNoSession], [ErrNotOwner], [ErrOffset] or [ErrTrimmed], and
// then nothing has changed.
func (sp *Space) ResumeSession(ctx context.Context, r Reader, id string, offset Offset, a Arrival) (*Seat, error) {
	if sp.err != nil {
		return nil, sp.err
	}
	if err := sp.hub.checkRooms(a.Rooms); err != nil {
		return nil, err
	}
	s := &Seat{space: sp, member: r, reader: r, behind: true, pumping: true}
	var (
		saved   *group
		ticket  Ticket
		fenced  *Seat
		removed []string
		err     error
	)
	sp.order.do(func() {
		sp.expireSessions()
		var old *session
		if old, err = sp.sessions.find(id, a.Owner); err != nil {
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
		} else {
			sp.sessions.away--
		}
		old.generation++
		old.seat = s
		s.session = old
		s.sit()
		removed = s.reenter(standings, a)
		s.join(a.Rooms) // at most fails for too many rooms, which is no reason to lose the session
		saved = sp.save(false, s)
		ticket = old.ticket()
	})
	if sp.hub.cfg.Trace.Returned != nil {
		sp.hub.cfg.Trace.Returned(sp.namespace, err)
	}
	if err != nil {
		return nil, err
	}
	if fenced != nil {
		sp.evicted(fenced, ErrFenced)
	}
	if a.Removed != nil {
		a.Removed(removed)
	}
	if err = sp.greet(ctx, s, saved, func() { a.welcome(ticket) }); err != nil {
		s.Close() // cut off again: it may come back yet
		return nil, err
	}
	return s, nil
}

// reenter puts a returning member into the rooms it was in, and returns those in
// which it may not be any more.
func (s *Seat) reenter(standings []standing, a Arrival) (removed []string) {
	for _, st := range standings {
		if a.Checked && st.Asked && !slices.Contains(a.Allowed, st.Room) {
			removed = append(removed, st.Room)
			continue
		}
		s.addSince(st.Room, st.Since)
		s.places[len(s.places)-1].asked = st.Asked
	}
	return removed
}

// SessionAsked returns the rooms of a session that its member asked for itself,
// for who is to say in which it still may be. It fails with [ErrNoSession] or
// [ErrNotOwner].
func (sp *Space) SessionAsked(id, owner string) (rooms []string, err error) {
	if sp.tape == nil {
		return nil, ErrNoSession
	}
	sp.order.do(func() {
		var old *session
		if old, err = sp.sessions.find(id, owner); err == nil {
			rooms = asked(old.standings())
		}
	})
	return rooms, err
}

// greet waits until the session is written, welcomes the member, and lets the
// seat catch up. Somebody else may have returned to the session meanwhile.
func (sp *Space) greet(ctx context.Context, s *Seat, saved *group, welcome func()) error {
	if err := saved.wait(ctx); err != nil {
		return err
	}
	welcome()
	sp.order.do(func() {
		s.pumping = false
		s.catchUp()
	})
	return nil
}

// resumeAt returns what a returning member has received, and after which
// position it continues.
func (sp *Space) resumeAt(old *session, offset Offset) (has, at Position, err error) {
	p := old.start
	if offset != "" {
		if p, err = sp.positionOf(offset); err != nil {
			return 0, 0, err
		}
	}
	handed, level := old.handed, old.level
	if old.seat != nil {
		level = old.seat.reached() // before handed, see Seat
		handed = Position(old.seat.handed.Load())
	}
	at = p
	if handed <= p && level > p {
		// It has received all that was ever handed to it, and was owed nothing
		// up to where it went: quiet members can come back after any time.
		at = level
	}
	if !sp.tape.covers(at) {
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

// save has the records of those seats' sessions written that have one, and
// returns the group to wait for, nil if none has.
func (sp *Space) save(sync bool, seats ...*Seat) *group {
	var records []StoredSession
	for _, s := range seats {
		if x := s.session; x != nil {
			rec := sessionRecord{Name: x.name, Owner: x.owner, Start: x.start, Generation: x.generation, Rooms: s.standings()}
			records = append(records, StoredSession{ID: x.id, Body: rec.append(nil)})
		}
	}
	if len(records) == 0 {
		return nil
	}
	return sp.tape.enqueue(sync, records)
}

func (x *sessions) find(id, owner string) (*session, error) {
	s := x.byID[id]
	switch {
	case s == nil:
		return nil, ErrNoSession
	case s.owner != owner:
		return nil, ErrNotOwner
	}
	return s, nil
}

// leave notes that a session's member has gone.
func (x *sessions) leave(s *session, now time.Time) {
	s.rooms, s.level = s.seat.standings(), s.seat.reached() // before handed, see Seat
	s.handed = Position(s.seat.handed.Load())
	s.seat = nil
	if len(x.gone) >= leastTidy && len(x.gone) > 2*x.away {
		x.gone = slices.DeleteFunc(x.gone, parting.stale)
	}
	x.gone = append(x.gone, parting{s, now, s.generation})
	x.away++
}

// leastTidy is from how many partings on it is worth looking for those that mean
// nothing any more.
const leastTidy = 1024

// expireSessions forgets those that have been gone for too long, and those that
// went first if too many are gone. It runs when
// others come and go, so an idle space does nothing.
func (sp *Space) expireSessions() {
	limit := time.Now().Add(-sp.memory.Window)
	n := 0
	var removed []StoredSession
	for ; n < len(sp.sessions.gone); n++ {
		late, full := sp.sessions.gone[n].at.Before(limit), sp.sessions.away > sp.memory.MaxGone
		if !late && !full {
			break
		}
		// Who came back is left in the list, for finding it would take as long as
		// the list is.
		if p := sp.sessions.gone[n]; !p.stale() {
			delete(sp.sessions.byID, p.session.id)
			sp.sessions.away--
			removed = append(removed, StoredSession{ID: p.session.id})
			if !late {
				sp.hub.limitHit("sessions")
			}
		}
	}
	clear(sp.sessions.gone[:n])
	sp.sessions.gone = sp.sessions.gone[n:]
	if len(removed) > 0 {
		sp.kept(-len(removed))
		sp.tape.enqueue(false, removed)
	}
}

// loadSessions takes over the sessions of before. They count as gone from now
// on: nobody knows since when they are.
func (sp *Space) loadSessions() error {
	sp.sessions.byID = make(map[string]*session)
	for stored, err := range sp.tape.log.Sessions() {
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
			// Which messages it was handed is not known: it must be owed all.
			handed: sp.head,
		}
		sp.sessions.byID[s.id] = s
		sp.sessions.gone = append(sp.sessions.gone, parting{s, time.Now(), s.generation})
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
	switch {
	case sp.err != nil:
		return nil, sp.err
	case sp.tape == nil:
		return nil, ErrOffset
	}
	if err := sp.hub.checkRooms(rooms); err != nil {
		return nil, err
	}
	p, err := sp.positionOf(offset)
	if err != nil {
		return nil, err
	}
	if !sp.tape.covers(p) {
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
