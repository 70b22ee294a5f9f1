package hub

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// A Member is whoever a room holds. Deliver is called for one message of a
// space at a time, in the space's order. It must not wait, must not call the
// space or any seat of it but for [Seat.Close], and must bound what it queues.
type Member interface {
	Deliver(m *Message)
}

// An Address says who a message is for: the members of any of Rooms, or
// everyone in the namespace if there are none, but for the members of any room
// of Except.
type Address struct {
	Rooms  []string
	Except []string
	// Local keeps the message on this node.
	Local bool
}

// A Receipt says what became of a published message.
type Receipt struct {
	Offset  Offset
	Members int // how many members it was handed to at once
	// Repeated says that it was published before, under the same ID; nobody
	// was handed anything now.
	Repeated bool
}

// A Space is a namespace's members and rooms, and the order in which they see
// what happens. It is safe for concurrent use.
type Space struct {
	hub       *Hub
	namespace string
	calls     atomic.Uint64

	// Of a space with memory.
	memory *Memory // nil: it has none
	tape   *tape
	err    error // why the memory could not be opened: the space refuses all

	order order
	// Everything below is touched by the operations of order only.
	seats []*Seat
	rooms map[string]*room
	head  Position // of the last message that was handed out
	walk  uint64   // of the last walk over seats, see each

	sessions sessions
	presence presence
}

// A room is the seats that joined it, in no order, so that leaving is quick.
type room struct {
	name  string
	seats []*Seat
}

// open gives the space its memory, if it is to have one.
func (sp *Space) open() error {
	cfg := &sp.hub.cfg
	if cfg.Memory == nil {
		return nil
	}
	memory := cfg.Memory(sp.namespace)
	if memory == nil {
		return nil
	}
	var err error
	if sp.memory, err = memory.withDefaults(); err != nil {
		return err
	}
	log, err := cfg.Store.Open(sp.namespace)
	if err != nil {
		return fmt.Errorf("open memory of %s: %w", sp.namespace, err)
	}
	if sp.tape, err = openTape(sp.namespace, log, sp.memory, sp.follow, cfg.Trace); err != nil {
		return fmt.Errorf("open memory of %s: %w", sp.namespace, err)
	}
	sp.head = sp.tape.last
	return sp.loadSessions()
}

// Err returns why the space's memory could not be opened, nil if it was or has
// none. Such a space refuses everything.
func (sp *Space) Err() error { return sp.err }

// Remembers says whether the space has a memory.
func (sp *Space) Remembers() bool { return sp.memory != nil }

// Head returns the offset of the last message that was handed out: where one
// continues who has seen all. It is "" in a space without memory.
func (sp *Space) Head() Offset {
	if sp.tape == nil {
		return ""
	}
	var o Offset
	sp.order.do(func() { o = newOffset(sp.tape.epoch, sp.head) })
	return o
}

// Namespace returns the name of the namespace.
func (sp *Space) Namespace() string { return sp.namespace }

// NextCall returns an id for a call that is not published but put to one
// member directly.
func (sp *Space) NextCall() uint64 { return sp.calls.Add(1) - 1 }

// Publish gives m its place in the order of the space and returns when every
// member it is for has been handed it, or will read it from the tape. In a
// space with memory it is by then as durable as its rooms demand, and an error
// is [ErrFailed], or [ErrUnknown] if the context ended too early; volatile
// messages and calls go to whoever is there and have no place of their own. In
// a space without memory the only error is that of a context which ended before
// m's turn came, and m is then not published.
func (sp *Space) Publish(ctx context.Context, m *Message, to Address) (Receipt, error) {
	trace := sp.hub.cfg.Trace
	if trace.Took == nil && trace.Publishing == nil {
		return sp.publish(ctx, m, to)
	}
	began := time.Now()
	if trace.Publishing != nil {
		m.Namespace, m.Rooms = sp.namespace, to.Rooms
		m.Traced = trace.Publishing(ctx, m)
	}
	r, err := sp.publish(ctx, m, to)
	if err == nil && trace.Took != nil {
		trace.Took(m, time.Since(began))
	}
	if m.Traced != nil && trace.Done != nil {
		trace.Done(m, r, err)
	}
	return r, err
}

func (sp *Space) publish(ctx context.Context, m *Message, to Address) (Receipt, error) {
	if sp.err != nil {
		return Receipt{}, sp.err
	}
	m.Namespace, m.Rooms, m.Except = sp.namespace, to.Rooms, to.Except
	if m.Call != nil {
		m.Call.ID = sp.NextCall()
	}
	if sp.tape == nil || m.Volatile || m.Call != nil {
		return sp.forward(ctx, m)
	}
	position, repeated, err := sp.tape.append(ctx, m)
	switch {
	case err != nil:
		return Receipt{}, err
	case repeated:
		return Receipt{Offset: newOffset(sp.tape.epoch, position), Repeated: true}, nil
	}
	return Receipt{Offset: m.Offset(), Members: m.members}, nil
}

// forward hands on a message that is not kept.
func (sp *Space) forward(ctx context.Context, m *Message) (Receipt, error) {
	var err error
	sp.order.do(func() {
		if err = ctx.Err(); err != nil {
			return
		}
		if sp.tape == nil {
			sp.head++
			m.epoch, m.position = sp.hub.epoch, sp.head
		} else {
			m.remembered, m.epoch, m.since = true, sp.tape.epoch, sp.head
		}
		sp.hand(m)
	})
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{Offset: m.Offset(), Members: m.members}, nil
}

// follow hands out what the tape has written.
func (sp *Space) follow(batch []*Message) {
	sp.order.do(func() {
		for _, m := range batch {
			m.since = sp.head
			sp.hand(m)
			sp.head = m.position
		}
	})
}

// hand gives a message to every member it is for, but for those that read it
// from the tape.
func (sp *Space) hand(m *Message) {
	kept, to := m.Kept(), Address{Rooms: m.Rooms, Except: m.Except}
	m.Crowd = sp.crowded(to)
	if m.Traced != nil && sp.hub.cfg.Trace.Handed != nil {
		began := time.Now()
		defer func() { sp.hub.cfg.Trace.Handed(m, m.members, began) }()
	}
	sp.each(to, func(s *Seat) {
		switch {
		case s.behind || kept && s.cursor.Load() >= uint64(m.position):
			return
		case kept && s.reader != nil && !s.reader.Ready():
			s.fallBehind(m.since)
			return
		}
		if kept {
			s.handed.Store(uint64(m.position))
		}
		m.members++
		s.member.Deliver(m)
	})
	if sp.hub.cfg.Trace.Published != nil {
		sp.hub.cfg.Trace.Published(m, m.members)
	}
}

// Members returns the members that a message to that address would reach now.
func (sp *Space) Members(to Address) []Member {
	var members []Member
	sp.order.do(func() {
		sp.each(to, func(s *Seat) { members = append(members, s.member) })
	})
	return members
}

// Count returns how many members a room holds.
func (sp *Space) Count(name string) int {
	var n int
	sp.order.do(func() {
		if r := sp.rooms[name]; r != nil {
			n = len(r.seats)
		}
	})
	return n
}

// Rooms returns the names of the rooms that hold a member, in no order.
func (sp *Space) Rooms() []string {
	var names []string
	sp.order.do(func() {
		names = make([]string, 0, len(sp.rooms))
		for name := range sp.rooms {
			names = append(names, name)
		}
	})
	return names
}

// An Occupancy is a room and how many members it holds.
type Occupancy struct {
	Room    string
	Members int
	// Alone is the member of a room that holds one, else nil: so that the room of
	// a member's own can be told from others.
	Alone Member
}

// Census returns all rooms that hold a member, in no order. It takes one turn
// that grows with the number of rooms, some 10 ms for 100,000: it is for people
// who look, not for programs that ask all the time.
func (sp *Space) Census() []Occupancy {
	var rooms []Occupancy
	sp.order.do(func() {
		rooms = make([]Occupancy, 0, len(sp.rooms))
		for name, r := range sp.rooms {
			o := Occupancy{Room: name, Members: len(r.seats)}
			if o.Members == 1 {
				o.Alone = r.seats[0].member
			}
			rooms = append(rooms, o)
		}
	})
	return rooms
}

// Size returns how many members the space has.
func (sp *Space) Size() int {
	var n int
	sp.order.do(func() { n = len(sp.seats) })
	return n
}

// Join lets every member of an address join rooms. Members that may not be in
// so many rooms stay as they were, and the error says so; the others join, with
// what [Seat.Join] promises.
func (sp *Space) Join(to Address, rooms ...string) error {
	if err := sp.hub.checkRooms(rooms); err != nil {
		return err
	}
	return sp.move(func() []*Seat { return sp.collect(to) }, func(s *Seat) error { return s.join(rooms) })
}

// Leave lets every member of an address leave rooms.
func (sp *Space) Leave(to Address, rooms ...string) {
	// An error is the tape's, which tells everybody.
	_ = sp.move(func() []*Seat { return sp.collect(to) }, func(s *Seat) error { s.leave(rooms); return nil })
}

// move changes the rooms of seats. It returns when those that come back do so to
// the rooms they are in now, also after a loss of power: in a room less, a client
// would take silence for peace.
func (sp *Space) move(who func() []*Seat, change func(*Seat) error) error {
	var (
		saved *group
		err   error
	)
	sp.order.do(func() {
		var moved []*Seat
		for _, s := range who() {
			before := len(s.places)
			if e := change(s); e != nil {
				err = e
			}
			if s.session != nil && len(s.places) != before {
				moved = append(moved, s)
			}
		}
		saved = sp.save(true, moved...)
	})
	if saved == nil {
		return err
	}
	return errors.Join(err, saved.wait(context.Background()))
}

// collect copies the seats of an address, for operations that change the rooms
// which each walks over.
func (sp *Space) collect(to Address) []*Seat {
	var seats []*Seat
	sp.each(to, func(s *Seat) { seats = append(seats, s) })
	return seats
}

// each calls f once for every seat of an address. Seats are marked with the
// number of the walk instead of being collected in a set, so that a message to
// several rooms allocates nothing per member.
func (sp *Space) each(to Address, f func(*Seat)) {
	sp.walk++
	for _, name := range to.Except {
		if r := sp.rooms[name]; r != nil {
			for _, s := range r.seats {
				s.walk = sp.walk
			}
		}
	}
	if len(to.Rooms) == 0 {
		sp.visit(sp.seats, f)
		return
	}
	for _, name := range to.Rooms {
		if r := sp.rooms[name]; r != nil {
			sp.visit(r.seats, f)
		}
	}
}

// crowded says whether a message to that address is for several members. It
// may be wrong for members that are excepted, or in several of the rooms.
func (sp *Space) crowded(to Address) bool {
	n := 0
	if len(to.Rooms) == 0 {
		n = len(sp.seats)
	}
	for _, name := range to.Rooms {
		if r := sp.rooms[name]; r != nil {
			n += len(r.seats)
		}
	}
	return n > 1
}

func (sp *Space) visit(seats []*Seat, f func(*Seat)) {
	for _, s := range seats {
		if s.walk != sp.walk {
			s.walk = sp.walk
			f(s)
		}
	}
}
