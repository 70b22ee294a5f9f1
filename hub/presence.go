package hub

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tutti-rt/tutti/packet"
)

// PresenceEvent is the name of the event that tells the differences of who is
// in a room to those who watch it. Its argument is a [Difference].
const PresenceEvent = "presence"

// Errors of presence.
var (
	// ErrNotMember means that the seat is not in the room, or not as a person.
	ErrNotMember = errors.New("hub: not a member of the room")
	// ErrState means that a state is no JSON object, has binary data, or is
	// longer than [PresenceConfig.MaxState].
	ErrState = errors.New("hub: bad state")
)

// PresenceConfig says how rooms tell who is in them. Zero values mean the
// defaults.
type PresenceConfig struct {
	// Grace is for how long somebody whose connection was lost still counts as
	// present: who comes back in time has never been away. Default 10 s in a
	// space with memory, where a stock client comes back within that after
	// three tries, and not more than its window; none in others, where who
	// comes back is somebody else. Negative: none. With an engine five ticks are
	// added, in which nodes tell each other.
	Grace time.Duration
	// Tick is how long differences are collected before they are told. Default
	// 100 ms.
	Tick time.Duration
	// MaxState is how many bytes the state of a member may have. Default 1,024;
	// negative: no limit.
	MaxState int
}

const (
	defaultGrace    = 10 * time.Second
	defaultTick     = 100 * time.Millisecond
	defaultMaxState = 1024
)

// withDefaults fills c in for a space, whose memory is nil if it has none.
func (c PresenceConfig) withDefaults(m *Memory) PresenceConfig {
	if c.Grace == 0 && m != nil {
		c.Grace = min(defaultGrace, m.Window)
	}
	if c.Tick <= 0 {
		c.Tick = defaultTick
	}
	if c.MaxState == 0 {
		c.MaxState = defaultMaxState
	}
	return c
}

// A Participant is a member that stands for a person in the presence of rooms;
// others are not seen there.
type Participant interface {
	Member
	// Person returns the id by which others know the person: members with the
	// same one are one person. It is asked once, when the member takes its seat.
	// "" is the name of the member's session, or nobody if it has none.
	Person() string
}

// A Person is somebody who is present in a room.
type Person struct {
	ID string `json:"id"`
	// State is what the person said last of itself in this room, a JSON object.
	State *packet.Arg `json:"state,omitzero"`
}

// An Attendance is a page of who is present in a room.
type Attendance struct {
	// Version grows by one with every [Difference] that is told, so that who
	// has all of them can tell. It means nothing in another room.
	Version uint64 `json:"version"`
	// Count is how many persons are present.
	Count int `json:"count"`
	// Members are they, or a page of them, in the order in which they came.
	Members []Person `json:"members"`
	// Next is where the next page begins, "" after the last.
	Next string `json:"next,omitzero"`
	// Partial says that not every node of the cluster has told yet who is there:
	// those who are on it are not counted. Who watches is told of them later.
	Partial bool `json:"partial,omitzero"`
}

// A Difference is what changed since the version before. It may repeat what an
// [Attendance] of that version had already.
type Difference struct {
	Room string `json:"room"`
	// Version is that of the difference before and one more. Who is told version
	// 8 after 6 has missed one, and must ask for the attendance anew.
	Version uint64 `json:"version"`
	// Missed says that what changed is not told: it was too much for one
	// difference, or the member was too slow. It must ask anew.
	Missed bool `json:"missed,omitzero"`
	// Count is how many persons are present.
	Count   int      `json:"count"`
	Joined  []Person `json:"joined,omitzero"`
	Changed []Person `json:"changed,omitzero"`
	Left    []string `json:"left,omitzero"`
}

// A PresenceQuery asks for a page of who is present: from the beginning, or
// where a page before ended. Limit 0 is 100, and at most [MaxPage].
type PresenceQuery struct {
	After string
	Limit int
}

const presencePage = 100

// Presence returns who is present in a room. Its pages may be of different
// versions: who was there all the time is on exactly one of them. It fails with
// [ErrOffset] for a Next that is none. The first question about a room costs as
// much as the room has members, for presence is kept only where somebody asks.
//
// With an engine it is who is present on all nodes. The first question about a
// room waits until the others have answered, for [Config.EnginePatience] at most;
// without some of them the page is partial. Any node can be asked for the next
// page, which the one that began it has.
func (sp *Space) Presence(room string, q PresenceQuery) (Attendance, error) {
	if err := sp.refuses(room); err != nil {
		return Attendance{}, err
	}
	number, at, elsewhere := strings.Cut(q.After, pageNode)
	if elsewhere && at != sp.hub.Node() {
		return sp.pageOf(at, room, q)
	}
	after, err := cursor(number)
	if err != nil {
		return Attendance{}, err
	}
	defer sp.presence.near.attend(room)()
	var page Attendance
	sp.order.do(func() {
		if a := sp.presence.find(room); a != nil {
			page = a.page(after, q.limit())
			return
		}
		page = Attendance{Version: sp.presence.newVersion(), Members: []Person{}}
	})
	return sp.onward(page), nil
}

// pageNode is between where a page begins and the node that says so: each has an
// order of its own.
const pageNode = "@"

// onward completes where the next page begins.
func (sp *Space) onward(page Attendance) Attendance {
	if page.Next != "" && sp.hub.node != nil {
		page.Next += pageNode + sp.hub.Node()
	}
	return page
}

func (sp *Space) refuses(room string) error {
	if err := sp.usable(); err != nil {
		return err
	}
	return sp.hub.checkRoom(room)
}

func cursor(after string) (uint64, error) {
	if after == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(after, 36, 64)
	if err != nil {
		return 0, ErrOffset
	}
	return n, nil
}

func (q PresenceQuery) limit() int {
	if q.Limit <= 0 {
		return presencePage
	}
	return min(q.Limit, MaxPage)
}

// In says whether the seat is in a room.
func (s *Seat) In(room string) bool {
	in := false
	s.space.order.do(func() { in = s.find(room) >= 0 })
	return in
}

// Person returns the id by which others know who sits here, "" if nobody does.
func (s *Seat) Person() string {
	var id string
	s.space.order.do(func() { id = s.person })
	return id
}

// Watch returns the first page of who is present in a room, and has the
// member told every difference from then on: until it leaves the room, leaves
// the space or calls [Seat.Unwatch]. With an engine it waits as [Space.Presence]
// does. It need not be in the room. A member that
// comes back to its session watches nothing. It fails with [ErrTooManyRooms]
// if it watches as many as it may be in.
func (s *Seat) Watch(room string, limit int) (Attendance, error) {
	sp := s.space
	if err := sp.refuses(room); err != nil {
		return Attendance{}, err
	}
	defer sp.presence.near.attend(room)()
	var (
		page Attendance
		err  error
	)
	sp.order.do(func() {
		most := sp.hub.cfg.MaxRooms
		a := sp.presence.find(room)
		switch {
		case s.index < 0:
			err = ErrLeft
			return
		case a != nil && slices.Contains(s.watching, a):
		case most >= 0 && len(s.watching) >= most:
			sp.hub.limitHit("rooms")
			err = fmt.Errorf("%w: the limit is %d", ErrTooManyRooms, most)
			return
		default:
			if a == nil {
				a = sp.presence.open(room)
			}
			s.watching = append(s.watching, a)
		}
		a.watchers[s] = a.version
		page = a.page(0, PresenceQuery{Limit: limit}.limit())
	})
	return sp.onward(page), err
}

// Unwatch ends what [Seat.Watch] began.
func (s *Seat) Unwatch(room string) {
	s.space.order.do(func() { s.unwatch(room) })
}

func (s *Seat) unwatch(room string) {
	i := slices.IndexFunc(s.watching, func(a *attendance) bool { return a.room == room })
	if i < 0 {
		return
	}
	a := s.watching[i]
	s.watching = slices.Delete(s.watching, i, i+1)
	delete(a.watchers, s)
	s.space.presence.tidy(a)
}

// SetState says something about the person who sits here to the others in a
// room: a JSON object, or null for nothing. It is gone when the person leaves
// the room. Of the members of one person the last word counts. It fails with
// [ErrNotMember] or [ErrState].
func (s *Seat) SetState(room string, state packet.Arg) error {
	sp := s.space
	text := state.JSON()
	if limit := sp.presence.cfg.MaxState; limit >= 0 && len(text) > limit {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrState, len(text), limit)
	}
	null := string(text) == "null"
	if !null && text[0] != '{' || state.HasBinary() {
		return fmt.Errorf("%w: want a JSON object without binary data", ErrState)
	}
	var err error
	sp.order.do(func() {
		if s.person == "" || s.find(room) < 0 {
			err = ErrNotMember
			return
		}
		a := sp.presence.find(room)
		sp.presence.say(a, a.people[s.person], text, state)
	})
	return err
}

// say notes what a person that is here says of itself.
func (x *presence) say(a *attendance, p *present, text []byte, state packet.Arg) {
	was := p.State
	switch {
	case x.near != nil: // others may know something else
		p.stamp, p.by = max(p.stamp+1, uint64(time.Now().UnixMicro())), x.near.me
		x.near.moved(a, p.ID, false)
	case sameState(was, text):
		return
	}
	if p.State = &state; string(text) == "null" {
		p.State = nil
	}
	if !sameState(was, text) {
		x.touch(a, p.ID, true)
	}
}

// sameState says whether a state is said again.
func sameState(was *packet.Arg, text []byte) bool {
	if was == nil {
		return string(text) == "null"
	}
	return string(was.JSON()) == string(text)
}

// whom returns the id of the person that takes the seat.
func (s *Seat) whom() string {
	p, ok := s.member.(Participant)
	if !ok {
		return ""
	}
	if id := p.Person(); id != "" || s.session == nil {
		return id
	}
	return s.session.name
}
