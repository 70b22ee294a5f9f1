package hub

import (
	"slices"
	"strconv"
	"time"
)

// presence is who is in the rooms of a space. It is kept only for rooms that
// somebody has asked about, so that others cost nothing, and is touched by the
// operations of the space's order only. A change costs the same however many
// are in the room.
type presence struct {
	space *Space
	cfg   PresenceConfig
	rooms map[string]*attendance // nil until somebody asks
	floor uint64                 // the highest version of a room that is gone

	near *neighbours // nil: of a node that is alone

	news  []*attendance // rooms whose watchers are to be told something
	tick  *time.Timer   // runs while there are any, or other nodes are to be told
	armed bool          // it does
	due   time.Time     // when it ends
	after *time.Timer   // runs while somebody is in grace
	away  []departure   // in the order of time
	last  uint64        // number of the last departure
	ended bool
}

// An attendance is who is in a room.
type attendance struct {
	room    string
	version uint64
	people  map[string]*present
	list    []arrival // people by arrival, with gaps, for pages
	gaps    int
	last    uint64 // number of the last arrival

	watchers map[*Seat]uint64 // and the version that each was told last
	news     map[string]bool  // whose presence changed, and whether they were there at this version
	seen     bool             // somebody has seen the changes already that are news
	queued   bool             // it is in presence.news

	abroad *abroad // what other nodes have to do with it; nil: this one is alone
}

// A present is a person in a room.
type present struct {
	Person
	seats int          // members here that stand for it
	nodes []*neighbour // other nodes with such members
	away  uint64       // number of its departure while in grace: it has none anywhere
	at    int          // index in attendance.list

	// When and where the state was said, in a cluster: the last word counts.
	stamp uint64
	by    string
}

// here says whether somebody stands for the person, on any node.
func (p *present) here() bool { return p.seats > 0 || len(p.nodes) > 0 }

// An arrival is a person's place in the order of a room; a gap once it is gone.
type arrival struct {
	number uint64
	who    *present
}

// A departure is when somebody's grace ends.
type departure struct {
	room   *attendance
	who    *present
	number uint64
	at     time.Time
}

// find returns the attendance of a room, nil if nobody is there.
func (x *presence) find(room string) *attendance {
	if a := x.rooms[room]; a != nil {
		return a
	}
	if x.space.rooms[room] == nil {
		return nil
	}
	return x.open(room)
}

// open begins to keep the attendance of a room.
func (x *presence) open(room string) *attendance {
	if x.rooms == nil {
		x.rooms = make(map[string]*attendance)
	}
	a := &attendance{
		room: room, version: x.newVersion(),
		people: make(map[string]*present), watchers: make(map[*Seat]uint64),
	}
	x.rooms[room] = a
	if x.near != nil {
		a.abroad = &abroad{asked: time.Now()}
	}
	if r := x.space.rooms[room]; r != nil {
		for _, s := range r.seats {
			a.seat(s.person)
		}
	}
	return a
}

// newVersion returns a version that no room of that name has had before, in
// this life of the process or, for all we know, in one before: a version would
// have to grow by more than a million in a second to overtake the clock.
func (x *presence) newVersion() uint64 {
	return max(x.floor+1, uint64(time.Now().UnixMicro()))
}

// tidy forgets a room that nobody is in and nobody watches.
func (x *presence) tidy(a *attendance) {
	if len(a.watchers) == 0 {
		a.skip()
	}
	if len(a.people) == 0 && len(a.watchers) == 0 && !a.abroad.needed() && x.rooms[a.room] == a {
		x.floor = max(x.floor, a.version)
		delete(x.rooms, a.room)
	}
}

// skip drops the news, for nobody watches.
func (a *attendance) skip() {
	if len(a.news) > 0 {
		a.version++
	}
	a.news, a.seen = nil, false
}

// seat counts a member in, and says whether the person is new in the room.
func (a *attendance) seat(id string) (fresh bool) {
	if id == "" {
		return false
	}
	if p := a.people[id]; p != nil {
		p.seats++
		p.away = 0
		return false
	}
	a.add(id).seats = 1
	return true
}

// add takes a person into the room.
func (a *attendance) add(id string) *present {
	a.last++
	p := &present{Person: Person{ID: id}, at: len(a.list)}
	a.people[id] = p
	a.list = append(a.list, arrival{a.last, p})
	return p
}

// remove takes a person out of the room.
func (a *attendance) remove(p *present) {
	delete(a.people, p.ID)
	p.away = 0 // whatever grace it had is over
	a.list[p.at].who = nil
	if a.gaps++; a.gaps <= len(a.list)/2 {
		return
	}
	a.list = slices.DeleteFunc(a.list, func(e arrival) bool { return e.who == nil })
	for i, e := range a.list {
		e.who.at = i
	}
	a.gaps = 0
}

// page returns those who came after an arrival.
func (a *attendance) page(after uint64, limit int) Attendance {
	a.seen = true
	page := Attendance{Version: a.version, Count: len(a.people), Members: []Person{}}
	page.Partial = a.abroad != nil && len(a.abroad.pending) > 0
	i, _ := slices.BinarySearchFunc(a.list, after+1, func(e arrival, n uint64) int {
		return int(int64(e.number) - int64(n))
	})
	var last uint64
	for _, e := range a.list[i:] {
		switch {
		case e.who == nil:
		case len(page.Members) == limit:
			page.Next = strconv.FormatUint(last, 36)
			return page
		default:
			page.Members = append(page.Members, e.who.Person)
			last = e.number
		}
	}
	return page
}

// joined notes that a seat has joined a room.
func (x *presence) joined(s *Seat, room string) {
	a := x.rooms[room]
	if a == nil || s.person == "" {
		return
	}
	fresh := a.seat(s.person)
	if fresh {
		x.touch(a, s.person, false)
	}
	if p := a.people[s.person]; x.near != nil && p.seats == 1 {
		if fresh {
			a.abroad.forgetState(p, x.near.me)
		}
		x.near.moved(a, p.ID, false)
	}
}

// left notes that a seat has left a room.
func (x *presence) left(s *Seat, room string) {
	a := x.rooms[room]
	if a == nil {
		return
	}
	s.unwatch(room)
	p := a.people[s.person]
	if p == nil {
		return
	}
	p.seats--
	lost := s.lost && x.cfg.Grace > 0 && !x.ended
	if p.seats == 0 {
		x.near.moved(a, p.ID, lost)
		x.parted(a, p, lost, x.grace())
	}
}

// parted notes that one who stood for a person does not any more. If it was the
// last, the person may come back within its grace if the connection was lost.
func (x *presence) parted(a *attendance, p *present, lost bool, grace time.Duration) {
	switch {
	case p.here():
	case !lost:
		x.gone(a, p)
	case p.away == 0:
		x.depart(a, p, grace)
	}
}

// grace is how long somebody is waited for. In a cluster it is a little longer,
// for that somebody has come back on another node must be told first.
func (x *presence) grace() time.Duration {
	if x.near != nil {
		return x.cfg.Grace + hearsay*x.cfg.Tick
	}
	return x.cfg.Grace
}

func (x *presence) gone(a *attendance, p *present) {
	a.remove(p)
	if x.near != nil && x.near.beats && p.stamp > 0 {
		a.abroad.keepStamp(p)
	}
	x.touch(a, p.ID, true)
	x.tidy(a)
}

// depart begins somebody's grace.
func (x *presence) depart(a *attendance, p *present, grace time.Duration) {
	x.last++
	p.away = x.last
	d := departure{a, p, x.last, time.Now().Add(grace)}
	i := len(x.away) // mostly it is the last to end
	for i > 0 && x.away[i-1].at.After(d.at) {
		i--
	}
	x.away = slices.Insert(x.away, i, d)
	if i == 0 {
		x.wake(grace)
	}
}

// wake has expire called when the first grace ends.
func (x *presence) wake(d time.Duration) {
	if x.after == nil {
		x.after = time.AfterFunc(d, func() { x.space.order.do(x.expire) })
		return
	}
	x.after.Reset(d)
}

// expire ends the grace of those who have not come back.
func (x *presence) expire() {
	now := time.Now()
	n := 0
	for n < len(x.away) && !x.away[n].at.After(now) {
		if d := x.away[n]; d.who.away == d.number {
			x.gone(d.room, d.who)
		}
		n++
	}
	clear(x.away[:n])
	x.away = x.away[n:]
	if len(x.away) > 0 && !x.ended {
		x.wake(x.away[0].at.Sub(now))
	}
}

// end stops the clocks.
func (x *presence) end() {
	x.ended = true
	x.near.end()
	for _, t := range []*time.Timer{x.tick, x.after} {
		if t != nil {
			t.Stop()
		}
	}
}

// touch notes that somebody's presence in a room has changed. was says whether
// the person was there before this change.
func (x *presence) touch(a *attendance, id string, was bool) {
	if len(a.watchers) == 0 {
		a.version++
		return
	}
	if _, known := a.news[id]; !known {
		if a.news == nil {
			a.news = make(map[string]bool)
		}
		a.news[id] = was
	}
	x.queue(a, x.cfg.Tick)
}

// queue has the watchers of a room told after a while, unless that is to come.
func (x *presence) queue(a *attendance, d time.Duration) {
	if a.queued {
		return
	}
	a.queued = true
	x.news = append(x.news, a)
	x.schedule(d)
}
