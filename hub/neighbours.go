package hub

import (
	"context"
	"encoding/binary"
	"time"
)

// What nodes tell each other of presence, about a namespace.
const (
	// By who wants to know. Each has a stream, and its number in it.
	presenceWant   = 'w' // rooms: tell me who is there, and what changes
	presenceUnwant = 'u' // rooms: no more
	presenceState  = 's' // a room, and what somebody has said there whom you told of
	presencePing   = 'p' // nothing: the number is the last one's
	// By who is asked. The first has its number in the stream.
	presenceNews  = 'd' // a room, flags, people; see abroad.go
	presencePong  = 'o' // the number is the last one's
	presenceReset = 'r' // something of the stream was lost: begin anew
	presenceNone  = 'n' // nobody uses the namespace here
	// By anybody.
	presenceHello = 'h' // now somebody does
	presenceHand  = 'S' // as presenceState, of somebody who went from here to there
)

const (
	// presenceBeat is how often nodes compare how far they have heard, where they
	// want to hear anything.
	presenceBeat = 2 * time.Second
	// presenceIdle is for how long a room's presence is followed that was asked
	// for and is not watched.
	presenceIdle = 30 * time.Second
	// maxSaying is how many bytes of presence may wait to be told. What is more is
	// dropped, which who was to hear it notices.
	maxSaying = 16 << 20
	// hearsay is how many ticks it may take to hear of somebody who has come back
	// on another node.
	hearsay = 5
)

// Neighbours are what the presence of a space has to do with other nodes. Each
// node follows, of every other, the rooms that somebody has asked it about: it
// is told who is there, and from then on what changes, numbered, so that who has
// missed something begins anew. Nil neighbours, of a node that is alone, have
// nothing to do. They are touched by the operations of the space's order only,
// and none of these calls the engine.
type neighbours struct {
	x      *presence
	node   *node
	me     string // this node's name
	byName map[string]*neighbour
	wanted map[string]*attendance // rooms of which this node wants to be told
	beat   *time.Timer            // runs while there are neighbours, or rooms wanted
	beats  bool

	news []*attendance // rooms of which other nodes are to be told something
	out  []saying      // what waits to be told
	size int           // of out
	says bool          // somebody is telling it
	over bool          // it has ended
}

// A saying is something to be told to another node.
type saying struct {
	to   string
	body []byte
}

// A neighbour is another node.
type neighbour struct {
	name string

	// What this node hears from it.
	stream uint64 // 0: nothing
	asks   uint64 // number of what it was asked last
	heard  uint64 // number of what it has told last
	none   bool   // it has no such namespace
	silent bool   // it has not answered in time: it is not waited for

	// What it hears from this node.
	its   uint64 // the stream; 0: nothing
	asked uint64 // number of what it has asked last
	told  uint64 // number of what it was told last
	wants map[*attendance]bool
}

func newNeighbours(x *presence, n *node) *neighbours {
	return &neighbours{
		x: x, node: n, me: n.engine.Node(),
		byName: make(map[string]*neighbour), wanted: make(map[string]*attendance),
	}
}

// attend has the other nodes tell who is in a room, waits until they have for a
// while, and keeps the room until what it returns is called. It is no operation
// of the order.
func (n *neighbours) attend(room string) func() {
	if n == nil {
		return func() {}
	}
	order := &n.x.space.order
	var (
		a     *attendance
		whole chan struct{}
	)
	order.do(func() {
		if a = n.wanted[room]; a != nil {
			a.abroad.holds++
			whole = a.abroad.whole
		}
	})
	if a == nil {
		others := n.node.engine.Nodes()
		order.do(func() {
			if a = n.x.rooms[room]; a == nil {
				a = n.x.open(room)
			}
			a.abroad.holds++
			n.want(a, others)
			whole = a.abroad.whole
		})
	}
	if whole != nil {
		n.await(a, whole)
	}
	return func() {
		order.do(func() {
			a.abroad.holds--
			a.abroad.asked = time.Now()
			if len(a.people) == 0 && a.abroad.idle(a) {
				n.unwant(a) // nobody is there: names are for free, and must not cost anything
			}
		})
	}
}

// await waits until all have told who is in a room. Who has not by then is not
// waited for any more.
func (n *neighbours) await(a *attendance, whole chan struct{}) {
	ctx, cancel := context.WithTimeout(n.node.ctx, n.node.patience)
	defer cancel()
	select {
	case <-whole:
	case <-ctx.Done():
		n.x.space.order.do(func() {
			for nb := range a.abroad.pending {
				nb.silent = true
			}
			a.abroad.settle()
		})
	}
}

// want begins to follow a room.
func (n *neighbours) want(a *attendance, others map[string][]byte) {
	if n.wanted[a.room] == a || n.over {
		return
	}
	for name := range others { // before the room is wanted: who is new is asked once
		n.find(name)
	}
	n.wanted[a.room] = a
	a.abroad.wanted, a.abroad.begun = true, false
	for _, nb := range n.byName {
		if nb.stream == 0 {
			n.follow(nb)
			continue
		}
		a.abroad.await(nb)
		n.ask(nb, presenceWant, appendString(nil, a.room))
	}
	a.abroad.settle()
	n.start()
}

// unwant ends it.
func (n *neighbours) unwant(a *attendance) {
	if n.wanted[a.room] != a {
		return
	}
	delete(n.wanted, a.room)
	for _, nb := range n.byName {
		if nb.stream != 0 {
			n.ask(nb, presenceUnwant, appendString(nil, a.room))
		}
	}
	a.abroad.wanted = false
	for nb := range a.abroad.pending {
		a.abroad.told(nb)
	}
	clear(a.abroad.seen)
	for _, p := range a.people {
		if p.nodes = nil; p.seats == 0 && p.away == 0 {
			a.remove(p)
			a.version++
		}
	}
	n.x.tidy(a)
}

// find returns a neighbour, which may be new.
func (n *neighbours) find(name string) *neighbour {
	nb := n.byName[name]
	if nb == nil {
		nb = &neighbour{name: name, wants: make(map[*attendance]bool)}
		n.byName[name] = nb
		if len(n.wanted) > 0 {
			n.follow(nb)
		}
		n.start()
	}
	return nb
}

// follow begins to hear from a neighbour, or begins anew.
func (n *neighbours) follow(nb *neighbour) {
	nb.stream, nb.asks, nb.heard, nb.none = n.node.streams.Add(1), 0, 0, false
	var list []byte
	for room, a := range n.wanted {
		a.abroad.await(nb)
		if list = appendString(list, room); len(list) >= partSize {
			n.ask(nb, presenceWant, list)
			list = nil
		}
	}
	if len(list) > 0 {
		n.ask(nb, presenceWant, list)
	}
}

// ask tells a neighbour something of what this node wants to hear from it.
func (n *neighbours) ask(nb *neighbour, op byte, rest []byte) {
	nb.asks++
	n.say(nb, op, nb.stream, nb.asks, rest)
}

// say has something told by and by.
func (n *neighbours) say(nb *neighbour, op byte, stream, number uint64, rest []byte) {
	if n.size >= maxSaying || n.over {
		return
	}
	body := append(appendString([]byte{tellPresence}, n.x.space.namespace), op)
	body = binary.AppendUvarint(binary.AppendUvarint(body, stream), number)
	body = append(body, rest...)
	n.out = append(n.out, saying{nb.name, body})
	n.size += len(body)
	if !n.says {
		n.says = true
		// Started by the first who has something to tell, ended when everything is
		// told, waited for by Hub.Close.
		n.node.hub.pumps.Go(n.sayAll)
	}
}

// sayAll tells what waits. What cannot be told is missed by who was to hear it.
func (n *neighbours) sayAll() {
	for {
		var batch []saying
		n.x.space.order.do(func() {
			batch, n.out, n.size = n.out, nil, 0
			n.says = len(batch) > 0
		})
		if len(batch) == 0 {
			return
		}
		for _, s := range batch {
			_ = n.node.engine.Tell(s.to, s.body)
		}
	}
}

// start has the beat begin.
func (n *neighbours) start() {
	switch {
	case n.beats || n.over:
		return
	case n.beat == nil:
		n.beat = time.AfterFunc(presenceBeat, n.compare)
	default:
		n.beat.Reset(presenceBeat)
	}
	n.beats = true
}

// compare is the beat: it asks how far the others are, and drops what nobody
// needs any more.
func (n *neighbours) compare() {
	others := n.node.engine.Nodes()
	n.x.space.order.do(func() {
		n.beats = false
		for _, a := range n.wanted {
			if a.abroad.idle(a) && time.Since(a.abroad.asked) > presenceIdle {
				n.unwant(a)
			}
		}
		if len(n.wanted) > 0 {
			for name := range others {
				n.find(name)
			}
		}
		for _, nb := range n.byName {
			if _, there := others[nb.name]; !there {
				n.dismiss(nb)
			}
			switch {
			case len(n.wanted) == 0 && len(nb.wants) == 0:
				delete(n.byName, nb.name)
			case len(n.wanted) == 0:
				nb.stream = 0
			}
		}
		n.pingAll()
		for _, a := range n.x.rooms {
			a.abroad.age()
		}
		if len(n.byName) > 0 || len(n.wanted) > 0 {
			n.start()
		}
	})
}

func (n *neighbours) pingAll() {
	for _, nb := range n.byName {
		if nb.stream != 0 {
			n.say(nb, presencePing, nb.stream, nb.asks, nil)
		}
	}
}

// reached notes that the engine was away: something may have been missed.
func (n *neighbours) reached() {
	if n != nil {
		n.pingAll()
	}
}

// came notes that a node has joined the cluster.
func (n *neighbours) came(name string) {
	if n != nil && len(n.wanted) > 0 {
		n.find(name)
	}
}

// left notes that a node is gone: its members are as if their connections were
// lost.
func (n *neighbours) left(name string) {
	if n == nil || n.byName[name] == nil {
		return
	}
	nb := n.byName[name]
	delete(n.byName, name)
	n.forgetAsker(nb)
	for _, a := range n.wanted {
		a.abroad.told(nb)
		delete(a.abroad.seen, nb)
		for _, p := range a.people {
			n.withdraw(a, p, nb, n.x.cfg.Grace > 0, n.x.grace())
			if p.by == name { // perhaps only this node was told
				n.correctAll(a, p)
			}
		}
	}
}

// dismiss neither waits for a neighbour nor tells it anything: it is not in the
// cluster. Whoever was there stays until that is certain, see left.
func (n *neighbours) dismiss(nb *neighbour) {
	n.forgetAsker(nb)
	for _, a := range n.wanted {
		a.abroad.told(nb)
	}
}

// forgetAsker tells a neighbour nothing any more.
func (n *neighbours) forgetAsker(nb *neighbour) {
	nb.its = 0
	for a := range nb.wants {
		n.dropAsker(nb, a)
	}
}

func (n *neighbours) dropAsker(nb *neighbour, a *attendance) {
	delete(nb.wants, a)
	delete(a.abroad.askers, nb)
	n.x.tidy(a)
}

// end has nothing told any more.
func (n *neighbours) end() {
	if n == nil {
		return
	}
	n.over = true
	if n.beat != nil {
		n.beat.Stop()
	}
}
