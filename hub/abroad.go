package hub

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/tutti-rt/tutti/packet"
)

// Abroad is what other nodes have to do with an attendance. All that a nil one,
// of a node that is alone, says is no.
type abroad struct {
	wanted bool      // this node wants to be told
	begun  bool      // and has been once
	holds  int       // callers who look at it
	asked  time.Time // when somebody did last

	pending map[*neighbour]bool            // that have not told all yet
	whole   chan struct{}                  // closed when there is none that is waited for; nil: there is none
	seen    map[*neighbour]map[string]bool // whom one has told of that is telling all

	askers map[*neighbour]bool // that want to be told
	moved  map[string]bool     // who came or went here or said something, and whether its connection was lost
	queued bool                // it is in neighbours.news

	// When those who are gone have said something last: what they said before is
	// void when they come again.
	past, older map[string]uint64
}

// needed says whether the attendance is kept though it is empty.
func (b *abroad) needed() bool { return b != nil && (b.wanted || b.holds > 0 || len(b.askers) > 0) }

// idle says whether nobody here wants to know any more.
func (b *abroad) idle(a *attendance) bool { return b.holds == 0 && len(a.watchers) == 0 }

// await notes that a neighbour is to tell all.
func (b *abroad) await(nb *neighbour) {
	if b.pending == nil {
		b.pending = make(map[*neighbour]bool)
	}
	b.pending[nb] = true
	if b.whole == nil && !nb.silent {
		b.whole = make(chan struct{})
	}
}

// told notes that it has, or never will.
func (b *abroad) told(nb *neighbour) {
	delete(b.pending, nb)
	b.settle()
}

// settle lets those go on who wait.
func (b *abroad) settle() {
	for nb := range b.pending {
		if !nb.silent {
			return
		}
	}
	b.begun = true
	if b.whole != nil {
		close(b.whole)
		b.whole = nil
	}
}

// begin notes that a neighbour begins to tell all.
func (b *abroad) begin(nb *neighbour) {
	if b.seen == nil {
		b.seen = make(map[*neighbour]map[string]bool)
	}
	b.seen[nb] = make(map[string]bool)
}

func (b *abroad) keepStamp(p *present) {
	if b.past == nil {
		b.past = make(map[string]uint64)
	}
	b.past[p.ID] = p.stamp
}

// forgetState makes what somebody said before it left older than nothing.
func (b *abroad) forgetState(p *present, me string) {
	if stamp := max(b.past[p.ID], b.older[p.ID]); stamp > 0 {
		p.stamp, p.by = stamp+1, me
	}
}

// age forgets who has been gone for two beats.
func (b *abroad) age() { b.older, b.past = b.past, nil }

// moved notes that somebody has come or gone here, or has said something.
func (n *neighbours) moved(a *attendance, id string, lost bool) {
	if n == nil || len(a.abroad.askers) == 0 {
		return
	}
	b := a.abroad
	if b.moved == nil {
		b.moved = make(map[string]bool)
	}
	b.moved[id] = lost
	if !b.queued {
		b.queued = true
		n.news = append(n.news, a)
		n.x.schedule(n.x.cfg.Tick)
	}
}

// tellMoved tells the others what has changed since the last tick.
func (n *neighbours) tellMoved() {
	if n == nil {
		return
	}
	news := n.news
	n.news = nil
	for _, a := range news {
		b := a.abroad
		b.queued = false
		w := newsWriter{room: a.room, tell: func(part []byte) {
			for nb := range b.askers {
				n.tell(nb, part)
			}
		}}
		for id, lost := range b.moved {
			w.add(n.entry(a, id, lost))
		}
		b.moved = nil
		w.flush(0)
	}
}

// tell tells a neighbour something that is numbered.
func (n *neighbours) tell(nb *neighbour, part []byte) {
	nb.told++
	n.say(nb, presenceNews, nb.its, nb.told, part)
}

// entry is what there is to tell of somebody.
func (n *neighbours) entry(a *attendance, id string, lost bool) entry {
	switch p := a.people[id]; {
	case p != nil && p.seats > 0:
		return entryOf(p, entryHere)
	case p != nil && lost:
		e := entryOf(p, entryLost)
		e.grace = n.x.grace()
		return e
	case p != nil: // elsewhere: what was said here may be the last word
		return entryOf(p, entryGone)
	}
	return entry{id: id, kind: entryGone}
}

// tellWhole tells a neighbour who is in a room, and has it told what changes.
func (n *neighbours) tellWhole(nb *neighbour, a *attendance) {
	if a.abroad.askers == nil {
		a.abroad.askers = make(map[*neighbour]bool)
	}
	a.abroad.askers[nb] = true
	nb.wants[a] = true
	away := make(map[*present]time.Duration)
	for _, d := range n.x.away {
		if d.room == a && d.who.away == d.number {
			away[d.who] = time.Until(d.at)
		}
	}
	w := newsWriter{room: a.room, flags: newsFirst, tell: func(part []byte) { n.tell(nb, part) }}
	for _, at := range a.list {
		p := at.who
		switch {
		case p == nil:
		case p.seats > 0:
			w.add(entryOf(p, entryHere))
		case p.away != 0 && away[p] > 0:
			e := entryOf(p, entryLost)
			e.grace = away[p]
			w.add(e)
		case p.by == n.me:
			w.add(entryOf(p, entrySaid))
		}
	}
	w.flush(newsLast)
}

// Flags of what is told of a room.
const (
	newsFirst = 1 << iota // it begins to tell all
	newsLast              // it has told all
)

// A newsWriter tells of people in parts.
type newsWriter struct {
	room  string
	flags byte
	part  []byte
	tell  func(part []byte)
}

func (w *newsWriter) add(e entry) {
	if len(w.part) >= partSize {
		w.flush(0)
	}
	if w.part == nil {
		w.part = append(appendString(nil, w.room), w.flags)
		w.flags = 0
	}
	w.part = appendEntry(w.part, e)
}

// flush tells what was added, and that with some flags even if it is nothing.
func (w *newsWriter) flush(flags byte) {
	if w.part == nil && flags == 0 {
		return
	}
	if w.part == nil {
		w.part = append(appendString(nil, w.room), w.flags)
	}
	w.part[len(appendString(nil, w.room))] |= flags
	w.tell(w.part)
	w.part, w.flags = nil, 0
}

// An entry is what a node tells of a person in a room.
type entry struct {
	id    string
	kind  byte
	grace time.Duration // of somebody whose connection was lost
	stamp uint64
	by    string
	state *packet.Arg
}

// Kinds of entries.
const (
	entryHere = 'h'
	entryLost = 'l' // and may come back
	entryGone = 'g'
	entrySaid = 's' // here, and is somewhere else now
)

func entryOf(p *present, kind byte) entry {
	return entry{id: p.ID, kind: kind, stamp: p.stamp, by: p.by, state: p.State}
}

// after says whether the entry has a later word than what is known.
func (e entry) after(p *present) bool {
	return e.stamp > p.stamp || e.stamp == p.stamp && e.by > p.by
}

func appendEntry(dst []byte, e entry) []byte {
	dst = append(appendString(dst, e.id), e.kind)
	dst = binary.AppendUvarint(dst, uint64(max(e.grace, 0).Milliseconds()))
	if dst = binary.AppendUvarint(dst, e.stamp); e.stamp == 0 {
		return dst
	}
	text := ""
	if e.state != nil {
		text = string(e.state.JSON())
	}
	return appendString(appendString(dst, e.by), text)
}

func readEntry(r *recordReader) entry {
	e := entry{id: string(r.bytes()), kind: r.byte()}
	e.grace = time.Duration(r.uvarint()) * time.Millisecond
	if e.stamp = r.uvarint(); e.stamp == 0 {
		return e
	}
	e.by = string(r.bytes())
	if text := r.bytes(); len(text) > 0 {
		args, err := packet.ParseArgs(slices.Concat([]byte("["), text, []byte("]")))
		if err != nil {
			r.err = errRecord
			return e
		}
		state := args.At(0)
		e.state = &state
	}
	return e
}

func with(list []*neighbour, nb *neighbour) []*neighbour {
	if slices.Contains(list, nb) {
		return list
	}
	return append(list, nb)
}

func without(list []*neighbour, nb *neighbour) []*neighbour {
	if i := slices.Index(list, nb); i >= 0 {
		return slices.Concat(list[:i], list[i+1:])
	}
	return list
}
