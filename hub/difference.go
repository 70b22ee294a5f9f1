package hub

import (
	"slices"
	"time"

	"github.com/tutti-rt/tutti/packet"
)

// maxDifference is how many bytes a difference may have. When thousands come at
// once, telling each of them of every other would be the square of that: who
// wants to know asks for a page.
const maxDifference = 32 << 10

// schedule has the news told after a while, or earlier if that is to come.
func (x *presence) schedule(d time.Duration) {
	due := time.Now().Add(d)
	switch {
	case x.ended:
	case x.tick == nil:
		x.due, x.armed = due, true
		x.tick = time.AfterFunc(d, func() { x.space.order.do(x.tell) })
	case !x.armed || due.Before(x.due):
		x.due, x.armed = due, true
		x.tick.Reset(d)
	}
}

// tell tells those who watch what is new. Who cannot take more is told later
// that there was something: nothing is dropped in silence, and nothing is queued
// for the slow.
func (x *presence) tell() {
	rooms := x.news
	x.news, x.armed = nil, false
	x.near.tellMoved()
	var late []*attendance
	for _, a := range rooms {
		a.queued = false
		if len(a.watchers) > 0 && !x.tellRoom(a) {
			late = append(late, a)
		}
	}
	for _, a := range late {
		x.queue(a, 10*x.cfg.Tick)
	}
}

// tellRoom says whether everybody was told.
func (x *presence) tellRoom(a *attendance) bool {
	before := a.version
	d := a.take()
	if a.version == before {
		d.Missed = true // only those are told who were not before
	}
	m := x.message(d)
	m.Crowd = len(a.watchers) > 1
	all := true
	for s, told := range a.watchers {
		switch {
		case told == a.version:
		case s.behind || !isReady(s.member):
			all = false
		default:
			s.member.Deliver(m)
			a.watchers[s] = a.version
		}
	}
	return all
}

func isReady(m Member) bool {
	r, ok := m.(Reader)
	return !ok || r.Ready()
}

// message returns the message of a difference, or, if that is too long, one
// which says that something is missing.
func (x *presence) message(d Difference) *Message {
	args, err := packet.Marshal(d)
	if err != nil || args.Size() > maxDifference {
		args, _ = packet.Marshal(Difference{Room: d.Room, Version: d.Version, Count: d.Count, Missed: true})
	}
	m := &Message{Event: PresenceEvent, Args: args, Namespace: x.space.namespace, Rooms: []string{d.Room}}
	if sp := x.space; sp.tape != nil {
		m.remembered, m.epoch, m.since = true, sp.tape.life(), sp.head
	}
	return m
}

// take makes a difference of the news, and a version if there are any.
func (a *attendance) take() Difference {
	d := Difference{Room: a.room}
	for id, was := range a.news {
		switch p := a.people[id]; {
		case p == nil && (was || a.seen):
			d.Left = append(d.Left, id)
		case p == nil:
		case was:
			d.Changed = append(d.Changed, p.Person)
		default:
			d.Joined = append(d.Joined, p.Person)
		}
	}
	a.news, a.seen = nil, false
	if len(d.Joined)+len(d.Changed)+len(d.Left) > 0 {
		a.version++
	}
	byArrival := func(p, q Person) int { return a.people[p.ID].at - a.people[q.ID].at }
	slices.SortFunc(d.Joined, byArrival)
	slices.SortFunc(d.Changed, byArrival)
	slices.Sort(d.Left)
	d.Version, d.Count = a.version, len(a.people)
	return d
}
