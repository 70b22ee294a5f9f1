package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	events    atomic.Pointer[EventHandler] // of the application, see HandleNodes
	memory    *Memory                      // nil: it has none

	life    context.Context // of a space that is shared by Config.Share: until it is forgotten, or the hub closed
	endLife context.CancelFunc

	opening sync.Mutex
	opened  atomic.Bool
	tries   atomic.Int64 // how often the engine was away when it was to be opened
	// Written while it is opened.
	away   error  // the last time
	err    error  // why the memory could not be opened: the space refuses all
	line   Line   // nil: of a hub without engine
	others Others // nil: the space is not shared
	ears   *ears  // nil: likewise
	tape   tape   // nil: without memory
	keeper keeper // of a space with memory

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

// newSpace returns a space that is not open yet.
func (h *Hub) newSpace(namespace string) *Space {
	sp := &Space{hub: h, namespace: namespace, rooms: make(map[string]*room)}
	sp.sessions.byID = make(map[string]*session)
	if h.cfg.Memory != nil {
		if memory := h.cfg.Memory(namespace); memory != nil {
			sp.memory, sp.err = memory.withDefaults()
		}
	}
	sp.endLife = func() {}
	if h.shares(sp) {
		sp.life, sp.endLife = context.WithCancel(context.Background())
	}
	if h.node != nil {
		sp.presence.near = newNeighbours(&sp.presence, h.node)
	}
	sp.presence.space, sp.presence.cfg = sp, h.cfg.Presence.withDefaults(sp.memory)
	return sp
}

// usable opens the space unless it is, and says why it cannot be used.
func (sp *Space) usable() error {
	if sp.opened.Load() {
		return sp.err
	}
	tries := sp.tries.Load()
	sp.opening.Lock()
	defer sp.opening.Unlock()
	switch {
	case sp.opened.Load():
		return sp.err
	case sp.tries.Load() != tries:
		return sp.away // who comes while it is tried does not wait for another try
	}
	err := sp.err
	if err == nil {
		err = sp.open()
	}
	if err == nil && sp.hub.node != nil {
		sp.hub.node.hello(sp.namespace)
	}
	if errors.Is(err, ErrUnavailable) {
		sp.away = err
		sp.tries.Add(1)
		return err // the engine may be there the next time
	}
	sp.err = err
	sp.opened.Store(true)
	return err
}

// shut has the space refuse everything that has not been open, and says whether
// it has.
func (sp *Space) shut() (wasOpen bool) {
	sp.opening.Lock()
	defer sp.opening.Unlock()
	if sp.opened.Load() {
		return sp.err == nil
	}
	sp.err = ErrClosed
	sp.opened.Store(true)
	return false
}

// open gives the space what it is to have: a memory, a line to other nodes.
func (sp *Space) open() error {
	switch {
	case sp.hub.node != nil && sp.memory != nil:
		return sp.openShared()
	case sp.hub.shares(sp):
		return sp.share()
	case sp.hub.node != nil:
		x := newEars(sp.hub, sp.namespace, false)
		line, err := sp.hub.node.open(sp.namespace, nil, heardOnly{sp})
		if err != nil {
			return fmt.Errorf("open line of %s: %w", sp.namespace, err)
		}
		x.line = line
		sp.line, sp.ears, sp.others = line, x, nodeOthers{sp}
		return nil
	case sp.memory != nil:
		return sp.openOwn()
	}
	return nil
}

// share opens the space to those of the configuration.
func (sp *Space) share() error {
	ctx, cancel := context.WithTimeout(sp.life, sp.hub.patience())
	defer cancel()
	if sp.life.Err() != nil {
		return ErrClosed
	}
	others, err := sp.hub.cfg.Share(ctx, sp)
	if err != nil {
		return fmt.Errorf("share %s: %w", sp.namespace, err)
	}
	sp.others = others
	if l, ok := others.(Listener); ok {
		sp.ears = newEars(sp.hub, sp.namespace, false)
		sp.ears.line = l
	}
	return nil
}

// openOwn opens a memory that is kept by the store.
func (sp *Space) openOwn() error {
	log, err := sp.hub.cfg.Store.Open(sp.namespace)
	if err != nil {
		return fmt.Errorf("open memory of %s: %w", sp.namespace, err)
	}
	t, err := openTape(sp.namespace, log, sp.memory, sp.follow, sp.hub.cfg.Trace)
	if err != nil {
		return fmt.Errorf("open memory of %s: %w", sp.namespace, err)
	}
	sp.tape, sp.keeper, sp.head = t, &ownSessions{sp}, t.given
	return sp.loadSessions(log)
}

// openShared opens a memory that is kept by the engine.
func (sp *Space) openShared() error {
	x := newEars(sp.hub, sp.namespace, true)
	t, err := sp.openSharedTape(x)
	if err != nil {
		return fmt.Errorf("open memory of %s: %w", sp.namespace, err)
	}
	keeper := &sharedSessions{space: sp, tape: t}
	sp.line, sp.ears, sp.tape, sp.keeper, sp.others = t.line, x, t, keeper, nodeOthers{sp}
	sp.order.do(func() { sp.head = max(sp.head, t.line.State().Last) })
	// Started with the space, ended and waited for by Hub.Close.
	sp.hub.pumps.Go(keeper.tend)
	return nil
}

// Err returns why the space's memory could not be opened, nil if it was or has
// none. Such a space refuses everything. With an engine that is away, it is
// tried again.
func (sp *Space) Err() error { return sp.usable() }

// Remembers says whether the space has a memory.
func (sp *Space) Remembers() bool { return sp.memory != nil }

// Head returns the offset of the last message that was handed out: where one
// continues who has seen all. It is "" in a space without memory.
func (sp *Space) Head() Offset {
	if sp.usable() != nil || sp.tape == nil {
		return ""
	}
	// A node that listens to little has not heard how far the others are. If it
	// cannot ask, where it stands is a little early, and nothing is left out.
	ctx, cancel := sp.hub.node.patient()
	_ = sp.tape.barrier(ctx)
	cancel()
	var o Offset
	sp.order.do(func() { o = newOffset(sp.tape.life(), sp.head) })
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
// is [ErrFailed], or [ErrUnknown] if the context ended too early, or with an
// engine [ErrUnavailable] or, again, [ErrUnknown]; volatile messages, calls and
// what is for this node only go to whoever is there and have no place of their
// own. In a space without memory the only error is that of a context which ended
// before m's turn came, and m is then not published. Members of other nodes
// receive m when their node does.
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
	if err := sp.usable(); err != nil {
		return Receipt{}, err
	}
	m.Namespace, m.Rooms, m.Except = sp.namespace, to.Rooms, to.Except
	if m.Call != nil {
		m.Call.ID = sp.NextCall()
	}
	if sp.tape == nil || m.Volatile || m.Call != nil || to.Local && sp.line != nil {
		return sp.forward(ctx, m, to)
	}
	position, repeated, err := sp.tape.append(ctx, m)
	switch {
	case err != nil:
		return Receipt{}, err
	case repeated:
		return Receipt{Offset: newOffset(sp.tape.life(), position), Repeated: true}, nil
	}
	return Receipt{Offset: m.Offset(), Members: m.members}, nil
}

// forward hands on a message that is not kept: here, and by other nodes.
func (sp *Space) forward(ctx context.Context, m *Message, to Address) (Receipt, error) {
	if err := sp.handNow(ctx, m); err != nil {
		return Receipt{}, err
	}
	r := Receipt{Offset: m.Offset(), Members: m.members}
	switch {
	case sp.others == nil || to.Local:
	case m.Call != nil:
		sp.callElsewhere(ctx, m, to)
	default:
		sp.others.Cast(m)
	}
	return r, nil
}

// handNow gives a message that is not kept to the members that are here.
func (sp *Space) handNow(ctx context.Context, m *Message) error {
	var err error
	sp.order.do(func() {
		if err = ctx.Err(); err != nil {
			return
		}
		if sp.tape == nil {
			sp.head++
			m.epoch, m.position = sp.hub.epoch, sp.head
		} else {
			m.remembered, m.epoch, m.since = true, sp.tape.life(), sp.head
		}
		sp.hand(m)
	})
	return err
}

// follow hands out what the tape has written. With it, everything was handed out
// up to a position.
func (sp *Space) follow(batch []*Message, upTo Position) {
	sp.order.do(func() {
		for _, m := range batch {
			m.since = sp.head
			sp.hand(m)
			sp.head = max(sp.head, m.position)
		}
		sp.head = max(sp.head, upTo)
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
