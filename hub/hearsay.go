package hub

import (
	"encoding/binary"
	"time"
)

// toldPresence hears what another node has to say of presence.
func (n *node) toldPresence(from string, r *recordReader) {
	namespace, op := string(r.bytes()), r.byte()
	stream, number := r.uvarint(), r.uvarint()
	if r.err != nil {
		return
	}
	sp := n.hub.existing(namespace)
	switch {
	case sp != nil:
		sp.order.post(func() { sp.presence.near.told(from, op, stream, number, r) })
	case op == presenceWant || op == presencePing:
		body := append(appendString([]byte{tellPresence}, namespace), presenceNone)
		body = binary.AppendUvarint(binary.AppendUvarint(body, stream), 0)
		_ = n.engine.Tell(from, body) // or it asks again
	}
}

// hello tells the others that a namespace is used here from now on.
func (n *node) hello(namespace string) {
	body := append(appendString([]byte{tellPresence}, namespace), presenceHello, 0, 0)
	_ = n.engine.Tell("", body) // or they find out with the next beat
}

// told hears what a neighbour has to say.
func (n *neighbours) told(from string, op byte, stream, number uint64, r *recordReader) {
	if n.over {
		return
	}
	switch op {
	case presenceHand:
		n.corrected(r)
	case presenceWant, presenceUnwant, presenceState, presencePing:
		n.askedFor(n.find(from), op, stream, number, r)
	case presenceHello:
		switch nb := n.byName[from]; {
		case len(n.wanted) == 0:
		case nb == nil:
			n.find(from)
		default:
			n.follow(nb)
		}
	case presenceNews, presencePong, presenceReset, presenceNone:
		if nb := n.byName[from]; nb != nil && nb.stream == stream && stream != 0 {
			nb.silent = false
			n.answered(nb, op, number, r)
		} else if op == presenceNews {
			n.say(&neighbour{name: from}, presenceUnwant, stream, 0, nil)
		}
	}
}

// askedFor hears what a neighbour wants to hear.
func (n *neighbours) askedFor(nb *neighbour, op byte, stream, number uint64, r *recordReader) {
	if op == presenceUnwant && number == 0 { // of everything, if it still is that stream
		if stream == nb.its {
			n.forgetAsker(nb)
		}
		return
	}
	first := stream != nb.its && op == presenceWant && number == 1
	if first {
		n.forgetAsker(nb)
		nb.its, nb.asked, nb.told = stream, 0, 0
	}
	want := nb.asked
	if op != presencePing {
		want++
	}
	if stream != nb.its || number != want {
		n.forgetAsker(nb)
		n.say(nb, presenceReset, stream, 0, nil)
		return
	}
	nb.asked = want
	switch op {
	case presencePing:
		n.say(nb, presencePong, nb.its, nb.told, nil)
	case presenceState:
		n.corrected(r)
	case presenceUnwant:
		for len(r.rest) > 0 && r.err == nil {
			if a := n.x.rooms[string(r.bytes())]; a != nil {
				n.dropAsker(nb, a)
			}
		}
	case presenceWant:
		for len(r.rest) > 0 && r.err == nil {
			room := string(r.bytes())
			if r.err != nil {
				return
			}
			a := n.x.rooms[room]
			if a == nil {
				a = n.x.open(room)
			}
			n.tellWhole(nb, a)
		}
	}
}

// answered hears what a neighbour has to tell.
func (n *neighbours) answered(nb *neighbour, op byte, number uint64, r *recordReader) {
	switch {
	case op == presenceReset,
		op == presencePong && number != nb.heard,
		op == presenceNews && number != nb.heard+1:
		n.follow(nb)
	case op == presenceNews:
		nb.heard = number
		n.heardNews(nb, r)
	case op == presenceNone:
		for _, a := range n.wanted {
			if !nb.none || a.abroad.pending[nb] {
				n.keepOnly(a, nb, nil)
				a.abroad.told(nb)
			}
		}
		nb.none = true
	}
}

// heardNews hears of people in a room.
func (n *neighbours) heardNews(nb *neighbour, r *recordReader) {
	name, flags := r.bytes(), r.byte()
	a := n.wanted[string(name)]
	if a == nil || r.err != nil {
		return // not any more
	}
	if flags&newsFirst != 0 {
		a.abroad.begin(nb)
	}
	seen := a.abroad.seen[nb]
	for len(r.rest) > 0 && r.err == nil {
		if e := readEntry(r); r.err == nil {
			if seen != nil && e.kind != entrySaid {
				seen[e.id] = true
			}
			n.apply(a, nb, e)
		}
	}
	if flags&newsLast != 0 {
		delete(a.abroad.seen, nb)
		n.keepOnly(a, nb, seen)
		a.abroad.told(nb)
	}
}

// keepOnly drops those whom a neighbour told of once, and does not any more.
func (n *neighbours) keepOnly(a *attendance, nb *neighbour, seen map[string]bool) {
	for _, p := range a.people {
		if !seen[p.ID] {
			n.withdraw(a, p, nb, false, 0)
		}
	}
}

// apply takes in what a neighbour tells of a person.
func (n *neighbours) apply(a *attendance, nb *neighbour, e entry) {
	p := a.people[e.id]
	switch {
	case p == nil && e.kind != entryHere && (e.kind != entryLost || a.abroad.begun):
		return // who is lost has been so for longer than this node waits for it
	case p == nil:
		p = a.add(e.id)
		n.x.touch(a, p.ID, false)
		if e.kind == entryLost {
			n.x.depart(a, p, e.grace)
		}
	}
	switch e.kind {
	case entryHere:
		p.nodes, p.away = with(p.nodes, nb), 0
		n.merge(a, p, nb, e)
	case entrySaid:
		n.lastWord(a, p, e)
	case entryLost:
		n.lastWord(a, p, e)
		n.withdraw(a, p, nb, true, e.grace)
	case entryGone:
		n.lastWord(a, p, e)
		n.withdraw(a, p, nb, false, 0)
		if a.people[p.ID] == p && !p.here() {
			n.x.gone(a, p) // it was in grace
		}
	}
}

// withdraw notes that a person is not on a node any more.
func (n *neighbours) withdraw(a *attendance, p *present, nb *neighbour, lost bool, grace time.Duration) {
	if rest := without(p.nodes, nb); len(rest) != len(p.nodes) {
		p.nodes = rest
		n.x.parted(a, p, lost, grace)
	}
}

// merge takes in what a person has said on another node. If that node does not
// know the last word, it is told.
func (n *neighbours) merge(a *attendance, p *present, nb *neighbour, e entry) {
	switch {
	case e.after(p):
		n.adopt(a, p, e)
	case p.stamp > e.stamp || p.stamp == e.stamp && p.by > e.by:
		n.correct(a, p, nb)
	}
}

// lastWord takes in what a person had said where it is not any more. Where it
// still is, that may not be known.
func (n *neighbours) lastWord(a *attendance, p *present, e entry) {
	if !e.after(p) {
		return
	}
	n.adopt(a, p, e)
	n.correctAll(a, p)
}

func (n *neighbours) correctAll(a *attendance, p *present) {
	for _, nb := range p.nodes {
		n.correct(a, p, nb)
	}
}

// correct tells a neighbour what a person has said that is there.
func (n *neighbours) correct(a *attendance, p *present, nb *neighbour) {
	n.ask(nb, presenceState, appendEntry(appendString(nil, a.room), entryOf(p, entryHere)))
}

func (n *neighbours) adopt(a *attendance, p *present, e entry) {
	text := []byte("null")
	if e.state != nil {
		text = e.state.JSON()
	}
	same := sameState(p.State, text)
	p.State, p.stamp, p.by = e.state, e.stamp, e.by
	if p.seats > 0 {
		n.moved(a, p.ID, false) // whoever hears it from here needs nobody else
	}
	if !same {
		n.x.touch(a, p.ID, true)
	}
}

// corrected hears what somebody who is here has said elsewhere.
func (n *neighbours) corrected(r *recordReader) {
	room, e := string(r.bytes()), readEntry(r)
	if r.err != nil {
		return
	}
	a := n.x.find(room)
	if a == nil {
		return
	}
	if p := a.people[e.id]; p != nil && p.seats > 0 && e.after(p) {
		n.adopt(a, p, e)
	}
}

// handOver tells the node to which a member went what its person has said, lest
// that is forgotten if nobody has asked who is in its rooms.
func (n *neighbours) handOver(s *Seat, to string) {
	if n == nil || s == nil || s.person == "" {
		return
	}
	for _, p := range s.places {
		a := n.x.rooms[p.room.name]
		if a == nil || a.people[s.person] == nil || a.people[s.person].stamp == 0 {
			continue
		}
		rest := appendEntry(appendString(nil, a.room), entryOf(a.people[s.person], entryHere))
		n.say(&neighbour{name: to}, presenceHand, 0, 0, rest)
	}
}
