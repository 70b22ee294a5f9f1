package hub

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"
)

// Ears are what a node listens to of a namespace that it shares with others: the
// rooms that have members here, or are about to. Nil ears, of a node that is
// alone, have nothing to do. They are safe for concurrent use.
type ears struct {
	hub       *Hub
	line      Listener
	remembers bool            // the space has a memory
	changed   func(rooms int) // so many more; negative: fewer

	mu     sync.Mutex
	rooms  map[string]*ear
	idle   []silence // rooms that nobody needed, in the order of time
	timer  *time.Timer
	trying bool // retry is running
	closed bool
}

func newEars(h *Hub, namespace string, remembers bool) *ears {
	x := &ears{hub: h, remembers: remembers, rooms: make(map[string]*ear)}
	x.changed = func(rooms int) {
		if trace := h.cfg.Trace.Listening; trace != nil && rooms != 0 {
			trace(namespace, rooms)
		}
	}
	return x
}

// An ear is for one room.
type ear struct {
	users  int // joins under way, and one if the room has members
	open   bool
	since  Position // everything after it is heard, once open
	last   time.Time
	ending chan struct{} // closed when the room is ignored; nil: it is not about to
}

// A silence is since when nobody needs a room. Somebody may since.
type silence struct {
	room string
	at   time.Time
}

// linger is how long a room is listened to that nobody is in any more: who
// leaves a room often comes back, and a page that is loaded anew does so at
// once.
const linger = 5 * time.Second

// hold listens to rooms until they are released. When it returns, what is
// published to them from now on will be heard, and what was acknowledged before
// has been handed out here. In a space without memory, whose messages nobody is
// promised, it does not fail because the engine is away: they are listened to
// when it is back.
func (x *ears) hold(ctx context.Context, rooms []string) error {
	if x == nil {
		return nil
	}
	deaf, err := x.take(ctx, rooms)
	if err != nil {
		return err
	}
	if !deaf && !x.remembers {
		return nil
	}
	p, err := x.line.Listen(ctx, rooms...)
	if err != nil {
		if !x.remembers && x.hub.node != nil && errors.Is(err, ErrUnavailable) {
			x.tryAgain()
			return nil
		}
		x.release(rooms)
		return err
	}
	x.opened(rooms, p)
	return nil
}

// take counts the caller in, and says whether any of the rooms is not listened
// to.
func (x *ears) take(ctx context.Context, rooms []string) (deaf bool, err error) {
	for i := 0; i < len(rooms); {
		x.mu.Lock()
		e := x.rooms[rooms[i]]
		if e != nil && e.ending != nil {
			x.mu.Unlock()
			select {
			case <-e.ending:
				continue
			case <-ctx.Done():
				x.release(rooms[:i])
				return false, errors.Join(ErrUnavailable, ctx.Err())
			}
		}
		if e == nil {
			e = new(ear)
			x.rooms[rooms[i]] = e
		}
		e.users++
		deaf = deaf || !e.open
		x.mu.Unlock()
		i++
	}
	return deaf, nil
}

// opened notes that rooms are listened to.
func (x *ears) opened(rooms []string, since Position) {
	n := 0
	x.mu.Lock()
	for _, room := range rooms {
		if e := x.rooms[room]; e != nil && !e.open {
			e.open, e.since = true, since
			n++
		}
	}
	x.mu.Unlock()
	x.changed(n)
}

// tryAgain listens to what could not be listened to, when it can.
func (x *ears) tryAgain() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.trying || x.closed {
		return
	}
	x.trying = true
	// Started by who finds the engine away, ended when everything is listened to
	// or with the hub, waited for by Hub.Close.
	x.hub.pumps.Go(func() {
		for x.hub.node.away() && !x.caughtUp() {
		}
	})
}

// caughtUp tries once, and says whether nothing is left to do.
func (x *ears) caughtUp() bool {
	x.mu.Lock()
	var rooms []string
	for room, e := range x.rooms {
		if !e.open && e.ending == nil {
			e.users++
			rooms = append(rooms, room)
		}
	}
	if len(rooms) == 0 {
		x.trying = false
		x.mu.Unlock()
		return true
	}
	x.mu.Unlock()
	defer x.release(rooms)
	ctx, cancel := x.hub.node.patient()
	defer cancel()
	p, err := x.line.Listen(ctx, rooms...)
	if err == nil {
		x.opened(rooms, p)
	}
	return false
}

// occupy notes that a room has members. Somebody holds it.
func (x *ears) occupy(room string) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.rooms[room]
	if e == nil { // of a space that was forgotten
		e = new(ear)
		x.rooms[room] = e
	}
	e.users++
}

// release ends what hold or occupy began.
func (x *ears) release(rooms []string) {
	if x == nil || len(rooms) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	for _, room := range rooms {
		e := x.rooms[room]
		if e.users--; e.users == 0 {
			e.last = now
			x.idle = append(x.idle, silence{room, now})
		}
	}
	if x.timer == nil && len(x.idle) > 0 && !x.closed {
		x.timer = time.AfterFunc(linger, x.sweep)
	}
}

func (x *ears) vacate(room string) { x.release([]string{room}) }

// sweep ignores rooms that nobody needs for a while. It is a timer's.
func (x *ears) sweep() {
	x.mu.Lock()
	limit := time.Now().Add(-linger)
	var gone []string
	n, open := 0, 0
	ended := make(chan struct{})
	for ; n < len(x.idle) && !x.idle[n].at.After(limit); n++ {
		s := x.idle[n]
		if e := x.rooms[s.room]; e != nil && e.users == 0 && e.last.Equal(s.at) && e.ending == nil {
			e.ending = ended
			gone = append(gone, s.room)
			if e.open {
				open++
			}
		}
	}
	x.idle = slices.Delete(x.idle, 0, n)
	x.mu.Unlock()
	if len(gone) > 0 {
		x.line.Ignore(gone...)
	}
	x.mu.Lock()
	for _, room := range gone {
		delete(x.rooms, room)
	}
	close(ended)
	x.timer = nil
	if len(x.idle) > 0 && !x.closed {
		x.timer = time.AfterFunc(time.Until(x.idle[0].at.Add(linger)), x.sweep)
	}
	x.mu.Unlock()
	x.changed(-open)
}

// hear says whether a message for those rooms, or for everyone, is handed on
// here.
func (x *ears) hear(rooms []string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(rooms) == 0 || slices.ContainsFunc(rooms, func(room string) bool { return x.rooms[room] != nil })
}

// since returns the position after which everything for all of the rooms was
// heard.
func (x *ears) since(rooms []string) Position {
	x.mu.Lock()
	defer x.mu.Unlock()
	var p Position
	for _, room := range rooms {
		e := x.rooms[room]
		if e == nil || !e.open {
			return math.MaxUint64
		}
		p = max(p, e.since)
	}
	return p
}

// restart notes that the log lost something up to a position.
func (x *ears) restart(p Position) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.rooms {
		e.since = p
	}
}

// end stops the clock.
func (x *ears) end() {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	if x.timer != nil {
		x.timer.Stop()
	}
}
