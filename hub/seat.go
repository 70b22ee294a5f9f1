package hub

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
)

// Errors of joining a room.
var (
	// ErrTooManyRooms means that the seat is in as many rooms as
	// [Config.MaxRooms] allows.
	ErrTooManyRooms = errors.New("hub: too many rooms")
	// ErrRoomName means that a room cannot have that name: it is empty, longer
	// than [Config.MaxRoomName], not UTF-8, or has control characters.
	ErrRoomName = errors.New("hub: bad room name")
	// ErrLeft means that the seat is closed.
	ErrLeft = errors.New("hub: member has left")
)

// A Seat is a member's place in a space: the rooms it is in. It is safe for
// concurrent use.
type Seat struct {
	space  *Space
	member Member

	// Touched by the operations of the space's order only.
	index  int       // in space.seats; -1 once closed
	places []place   // the rooms it is in; mostly one or two
	last   *[]string // the rooms it was in when it was closed
	walk   uint64    // the last walk that met this seat, see Space.each

	person   string        // by which others know who sits here; "": nobody is seen
	watching []*attendance // rooms of whose presence it is told
	lost     bool          // its connection was: its person may come back

	// Of a seat in a space with memory.
	reader  Reader   // nil: a member that cannot fall behind
	session *session // nil: a member that cannot come back, or was fenced
	claims  bool     // its session is being written: it hears by that if it was fenced
	behind  bool     // it reads from the tape what it is owed
	pumping bool     // and somebody is reading for it
	// Written by who hands messages to the seat: an operation of the order, or
	// the pump while there is one. handed is written before its message is
	// delivered and cursor after it, so that who reads cursor first and then
	// handed knows that nothing in between was owed.
	cursor atomic.Uint64 // a Position: up to here it was handed what it is owed; while behind
	handed atomic.Uint64 // the Position of the last message that was handed to it
}

// A place is where a seat is in a room's list.
type place struct {
	room  *room
	index int32
	asked bool     // the member asked for it itself, see Seat.Ask
	since Position // the messages after it are for the seat
}

// Enter gives m a seat in the space, in the given rooms. If welcome is not
// nil it is called when m's turn has come and before any message can reach m:
// what it sends comes first. It must not wait.
func (sp *Space) Enter(m Member, welcome func(), rooms ...string) (*Seat, error) {
	if err := sp.usable(); err != nil {
		return nil, err
	}
	err := sp.hub.checkRooms(rooms)
	if err != nil {
		return nil, err
	}
	ctx, cancel := sp.hub.node.patient()
	defer cancel()
	if err := sp.ears.hold(ctx, rooms); err != nil {
		return nil, err
	}
	defer sp.ears.release(rooms)
	s := &Seat{space: sp, member: m}
	if sp.tape != nil {
		s.reader, _ = m.(Reader)
	}
	sp.order.do(func() {
		if err = s.fits(len(rooms)); err != nil {
			return
		}
		if welcome != nil {
			welcome()
		}
		s.sit()
		err = s.join(rooms)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// sit puts the seat into the space.
func (s *Seat) sit() {
	s.person = s.whom()
	s.index = len(s.space.seats)
	s.space.seats = append(s.space.seats, s)
}

// rise takes it out.
func (s *Seat) rise() {
	names := s.names()
	s.last = &names
	for len(s.places) > 0 {
		s.remove(len(s.places) - 1)
	}
	for len(s.watching) > 0 {
		s.unwatch(s.watching[0].room)
	}
	seats := s.space.seats
	last := len(seats) - 1
	seats[s.index] = seats[last]
	seats[s.index].index = s.index
	seats[last] = nil
	s.space.seats = seats[:last]
	s.index = -1
}

// Join adds the seat to rooms, all or none. A room it is in already is no
// error. In a space with memory it returns when a member that comes back would
// be in them, whatever happens to the process or the machine.
func (s *Seat) Join(rooms ...string) error {
	if err := s.space.hub.checkRooms(rooms); err != nil {
		return err
	}
	return s.space.joinHere(s.alone, rooms, false)
}

// Leave takes the seat out of rooms. A room it is not in is no error.
func (s *Seat) Leave(rooms ...string) {
	// An error is the tape's, which tells everybody.
	_, _ = s.space.move(s.alone, func(s *Seat) error { s.leave(rooms); return nil })
}

func (s *Seat) alone() []*Seat { return []*Seat{s} }

// Rooms returns the rooms the seat is in, in the order of joining unless it
// left some. For a closed seat it returns those that it was in at the end.
func (s *Seat) Rooms() []string {
	var rooms []string
	s.space.order.do(func() {
		if s.index >= 0 {
			rooms = s.names()
		} else if s.last != nil {
			rooms = *s.last
		}
	})
	return rooms
}

// standings returns the rooms it is in and since when.
func (s *Seat) standings() []standing {
	list := make([]standing, len(s.places))
	for i, p := range s.places {
		list[i] = standing{Room: p.room.name, Since: p.since, Asked: p.asked}
	}
	return list
}

func (s *Seat) names() []string {
	names := make([]string, len(s.places))
	for i, p := range s.places {
		names[i] = p.room.name
	}
	return names
}

// Close leaves every room and the space. It does not wait for its turn, so a
// message that is being delivered may still reach the member; it may be called
// from Deliver, and more than once.
func (s *Seat) Close() {
	s.space.order.post(func() {
		if s.index < 0 {
			return
		}
		if s.session != nil {
			x := s.session
			s.space.sessions.leave(x, time.Now())
			s.space.keeper.parted(x)
			s.session = nil
		}
		s.lost = true
		s.rise()
	})
}

// End is Close for a member that will not come back.
func (s *Seat) End() {
	s.space.order.post(func() {
		if s.index < 0 {
			return
		}
		if x := s.session; x != nil {
			s.space.forget(s)
			s.space.tape.enqueue(false, []*SharedSession{{ID: x.id, Generation: x.generation}})
		}
		s.rise()
	})
}

// forget forgets the session of a seat.
func (sp *Space) forget(s *Seat) {
	if x := s.session; x != nil {
		delete(sp.sessions.byID, x.id)
		sp.kept(-1)
		x.seat, s.session = nil, nil
	}
}

// fits says whether the seat may join n rooms more.
func (s *Seat) fits(n int) error {
	limit := s.space.hub.cfg.MaxRooms
	if limit >= 0 && len(s.places)+n > limit {
		s.space.hub.limitHit("rooms")
		return fmt.Errorf("%w: the limit is %d", ErrTooManyRooms, limit)
	}
	return nil
}

func (s *Seat) join(rooms []string) error {
	if s.index < 0 {
		return ErrLeft
	}
	if err := s.fits(len(s.missing(rooms))); err != nil {
		return err
	}
	for _, name := range rooms {
		if i := s.find(name); i < 0 {
			s.add(name)
		} else {
			s.places[i].asked = false // it is in there whatever it asks for
		}
	}
	return nil
}

// missing returns those of the rooms that the seat is not in.
func (s *Seat) missing(rooms []string) []string {
	var missing []string
	for _, name := range rooms {
		if s.find(name) < 0 && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	return missing
}

func (s *Seat) leave(rooms []string) {
	for _, name := range rooms {
		if i := s.find(name); i >= 0 {
			s.remove(i)
		}
	}
}

func (s *Seat) find(name string) int {
	for i := range s.places {
		if s.places[i].room.name == name {
			return i
		}
	}
	return -1
}

func (s *Seat) add(name string) { s.addSince(name, s.space.head) }

func (s *Seat) addSince(name string, since Position) {
	sp, trace := s.space, s.space.hub.cfg.Trace
	r := sp.rooms[name]
	if r == nil {
		r = &room{name: name}
		sp.rooms[name] = r
		sp.ears.occupy(name)
		if trace.RoomCreated != nil {
			trace.RoomCreated(sp.namespace, name)
		}
	}
	s.places = append(s.places, place{room: r, index: int32(len(r.seats)), since: since})
	r.seats = append(r.seats, s)
	sp.presence.joined(s, name)
	if trace.Joined != nil {
		trace.Joined(sp.namespace, name, s.member)
	}
}

// remove takes the seat out of the room of its i-th place. The last seat of
// the room takes the free place in the room's list, so the cost does not grow
// with the room.
func (s *Seat) remove(i int) {
	sp, trace := s.space, s.space.hub.cfg.Trace
	p := s.places[i]
	r := p.room
	last := len(r.seats) - 1
	moved := r.seats[last]
	r.seats[p.index] = moved
	r.seats[last] = nil
	r.seats = r.seats[:last]
	if moved != s {
		moved.places[moved.find(r.name)].index = p.index
	}
	s.places = append(s.places[:i], s.places[i+1:]...)
	sp.presence.left(s, r.name)
	if trace.Left != nil {
		trace.Left(sp.namespace, r.name, s.member)
	}
	if last == 0 {
		delete(sp.rooms, r.name)
		sp.ears.vacate(r.name)
		if trace.RoomDeleted != nil {
			trace.RoomDeleted(sp.namespace, r.name)
		}
	}
}

func (h *Hub) checkRooms(rooms []string) error {
	for _, name := range rooms {
		if err := h.checkRoom(name); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hub) checkRoom(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: empty", ErrRoomName)
	case h.cfg.MaxRoomName >= 0 && len(name) > h.cfg.MaxRoomName:
		h.limitHit("room name")
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrRoomName, len(name), h.cfg.MaxRoomName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: not UTF-8", ErrRoomName)
	}
	for _, c := range name {
		if unicode.IsControl(c) {
			return fmt.Errorf("%w: control character in %q", ErrRoomName, name)
		}
	}
	return nil
}
