package hub

import (
	"context"
	"sync/atomic"
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
	Members int // how many members it was handed to
}

// A Space is a namespace's members and rooms, and the order in which they see
// what happens. It is safe for concurrent use.
type Space struct {
	hub       *Hub
	namespace string
	calls     atomic.Uint64

	order order
	// Everything below is touched by the operations of order only.
	seats []*Seat
	rooms map[string]*room
	seq   uint64 // of the last message
	pass  uint64 // of the last walk over seats, see each
}

// A room is the seats that joined it, in no order, so that leaving is quick.
type room struct {
	name  string
	seats []*Seat
}

// Namespace returns the name of the namespace.
func (sp *Space) Namespace() string { return sp.namespace }

// NextCall returns an id for a call that is not published but put to one
// member directly.
func (sp *Space) NextCall() uint64 { return sp.calls.Add(1) - 1 }

// Publish gives m its place in the order of the space and returns when every
// member it is for has been handed it. A context that ended before m's turn
// came leaves it unpublished, and is the only cause of an error.
func (sp *Space) Publish(ctx context.Context, m *Message, to Address) (Receipt, error) {
	var (
		members int
		err     error
	)
	m.Namespace, m.Rooms = sp.namespace, to.Rooms
	if m.Call != nil {
		m.Call.ID = sp.NextCall()
	}
	sp.order.do(func() {
		if err = ctx.Err(); err != nil {
			return
		}
		sp.seq++
		m.epoch, m.seq = sp.hub.epoch, sp.seq
		m.Crowd = sp.crowded(to)
		sp.each(to, func(s *Seat) {
			s.member.Deliver(m)
			members++
		})
		if sp.hub.cfg.Trace.Published != nil {
			sp.hub.cfg.Trace.Published(m, members)
		}
	})
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{Offset: m.Offset(), Members: members}, nil
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

// Join lets every member of an address join rooms. Members that may not be in
// so many rooms stay as they were, and the error says so; the others join.
func (sp *Space) Join(to Address, rooms ...string) error {
	if err := sp.hub.checkRooms(rooms); err != nil {
		return err
	}
	var err error
	sp.order.do(func() {
		for _, s := range sp.collect(to) {
			if e := s.join(rooms); e != nil {
				err = e
			}
		}
	})
	return err
}

// Leave lets every member of an address leave rooms.
func (sp *Space) Leave(to Address, rooms ...string) {
	sp.order.do(func() {
		for _, s := range sp.collect(to) {
			s.leave(rooms)
		}
	})
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
	sp.pass++
	for _, name := range to.Except {
		if r := sp.rooms[name]; r != nil {
			for _, s := range r.seats {
				s.pass = sp.pass
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
		if s.pass != sp.pass {
			s.pass = sp.pass
			f(s)
		}
	}
}
