package hub

import (
	"context"
	"encoding/binary"
	"iter"
	"sync"

	"github.com/tutti-rt/tutti/packet"
)

// A Described member is one that others may be told of.
type Described interface {
	Member
	// Describe returns what there is to know about the member, in a form of its
	// own. It must not wait.
	Describe() []byte
}

// A Dismissible member can be made to leave by somebody else.
type Dismissible interface {
	Member
	// Dismiss makes the member leave the space; with whole, whatever else shares
	// its connection leaves too. It must not wait.
	Dismiss(whole bool)
}

// What nodes ask of each other, about a namespace.
const (
	askDescribe = 'd' // the members of an address: their descriptions
	askCount    = 'n' // how many they are
	askJoin     = 'j' // let them join rooms
	askLeave    = 'l' // let them leave rooms
	askDismiss  = 'x' // let them leave the space
	askCall     = 'c' // put a call to them: how many, and their answers
	askEvent    = 'e' // an event for the applications of the nodes
	askPage     = 'p' // a page of who is present, that one node began
)

const (
	// partSize is how many bytes of descriptions a part of an answer has before
	// it is sent.
	partSize = 32 << 10
	// mostAnswering is how many questions a node answers at a time, and mostCalls
	// how many calls, which wait for members. More are refused.
	mostAnswering = 1000
	mostCalls     = 10000
)

// Elsewhere yields the descriptions of the members of an address on other
// nodes. What it yields last is a [*PartialError] if some did not answer in time.
func (sp *Space) Elsewhere(ctx context.Context, to Address) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for a, err := range sp.ask(ctx, askDescribe, to, nil) {
			if err != nil {
				yield(nil, err)
				return
			}
			r := recordReader{rest: a.body}
			for len(r.rest) > 0 && r.err == nil {
				if text := r.bytes(); r.err == nil && !yield(text, nil) {
					return
				}
			}
		}
	}
}

// CountAll returns how many members of all nodes an address has. With a
// [*PartialError] it is how many are known.
func (sp *Space) CountAll(ctx context.Context, to Address) (int, error) {
	n := len(sp.Members(to))
	for a, err := range sp.ask(ctx, askCount, to, nil) {
		if err != nil {
			return n, err
		}
		r := recordReader{rest: a.body}
		n += int(r.uvarint())
	}
	return n, nil
}

// Dismiss makes every member of an address leave, on all nodes; see
// [Dismissible].
func (sp *Space) Dismiss(ctx context.Context, to Address, whole bool) error {
	sp.dismissHere(to, whole)
	var more []byte
	if whole {
		more = []byte{1}
	}
	for _, err := range sp.ask(ctx, askDismiss, to, more) {
		if err != nil {
			return err
		}
	}
	return nil
}

func (sp *Space) dismissHere(to Address, whole bool) {
	for _, m := range sp.Members(to) {
		if d, ok := m.(Dismissible); ok {
			d.Dismiss(whole)
		}
	}
}

// moveElsewhere has the members of an address on other nodes join or leave rooms.
// Its error says whether some could not, or some nodes were not reached.
func (sp *Space) moveElsewhere(op byte, to Address, rooms []string) error {
	ctx, cancel := sp.hub.node.patient()
	defer cancel()
	var refused error
	for a, err := range sp.ask(ctx, op, to, appendStrings(nil, rooms)) {
		if err != nil {
			return err
		}
		if len(a.body) > 0 {
			refused = ErrTooManyRooms // what else was wrong with the rooms is so here as well
		}
	}
	return refused
}

// An EventHandler takes what the application says on another node, and returns
// the answer if one is wanted.
type EventHandler func(ctx context.Context, from string, event string, args packet.Args) (packet.Args, error)

// HandleNodes sets what takes the events that applications of other nodes send
// by [Space.TellNodes] and [Space.AskNodes]. Each runs on a goroutine of its own.
func (sp *Space) HandleNodes(h EventHandler) { sp.events.Store(&h) }

// TellNodes sends an event to the applications of the other nodes: at most once.
func (sp *Space) TellNodes(event string, args packet.Args) error {
	if sp.hub.node == nil {
		return nil
	}
	q, err := sp.question(askEvent, Address{}, event, args)
	if q != nil {
		q.close()
	}
	return err
}

// A NodeAnswer is what the application of a node has answered.
type NodeAnswer struct {
	Node string
	Args packet.Args
}

// AskNodes sends an event to the applications of the other nodes and yields
// their answers. What it yields last is a [*PartialError] if some did not.
func (sp *Space) AskNodes(ctx context.Context, event string, args packet.Args) iter.Seq2[NodeAnswer, error] {
	return func(yield func(NodeAnswer, error) bool) {
		if sp.hub.node == nil {
			return
		}
		q, err := sp.question(askEvent, Address{}, event, args)
		if err != nil {
			yield(NodeAnswer{}, err)
			return
		}
		defer q.close()
		for a, err := range q.all(ctx) {
			if err != nil {
				yield(NodeAnswer{}, err)
				return
			}
			if m, err := readRecord(a.body); err == nil && !yield(NodeAnswer{a.node, m.Args}, nil) {
				return
			}
		}
	}
}

// question puts an event, or a call, to the other nodes.
func (sp *Space) question(op byte, to Address, event string, args packet.Args) (*question, error) {
	record, err := appendRecord(nil, &Message{Event: event, Args: args, Rooms: to.Rooms, Except: to.Except})
	if err != nil {
		return nil, err
	}
	body := append(appendString(nil, sp.namespace), op)
	return sp.hub.node.questions.put("", tellQuestion, append(body, record...)), nil
}

// ask puts a question about the members of an address to the other nodes. There
// are none for a local address, or a hub that is alone.
func (sp *Space) ask(ctx context.Context, op byte, to Address, more []byte) iter.Seq2[answer, error] {
	return func(yield func(answer, error) bool) {
		if sp.hub.node == nil || to.Local {
			return
		}
		body := append(appendString(nil, sp.namespace), op)
		body = appendStrings(appendStrings(body, to.Rooms), to.Except)
		q := sp.hub.node.questions.put("", tellQuestion, append(body, more...))
		defer q.close()
		q.all(ctx)(yield)
	}
}

// all yields the parts of the answers as they come.
func (q *question) all(ctx context.Context) iter.Seq2[answer, error] {
	return func(yield func(answer, error) bool) {
		for {
			a, ok, err := q.next(ctx)
			if !ok {
				if err != nil {
					yield(answer{}, err)
				}
				return
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

// answering is what a node does for the questions of others.
type answering struct {
	mu    sync.Mutex
	busy  int
	calls map[askedBy]context.CancelFunc // what waits for members' answers
}

// askedBy names a question among those of all nodes.
type askedBy struct {
	node string
	id   uint64
}

// questioned answers a question of another node, or has it answered.
func (n *node) questioned(from string, r *recordReader) {
	id, namespace, op := r.uvarint(), string(r.bytes()), r.byte()
	if r.err != nil {
		return
	}
	who := askedBy{from, id}
	sp := n.hub.existing(namespace)
	if sp == nil {
		n.answer(who, nil, answerLast)
		return
	}
	ctx, cancel := context.WithCancel(n.ctx)
	// Now, and not when its goroutine runs: what ends it may be told next.
	if !n.answering.begin(who, op, cancel) {
		cancel()
		n.answer(who, nil, answerRefused)
		return
	}
	// Started by a question, ended with its answer, at the latest with the hub,
	// which waits for it.
	n.hub.pumps.Go(func() {
		defer n.answering.end(who, op)
		if op == askCall {
			sp.answerCall(ctx, who, r.rest)
			return
		}
		sp.answerAbout(who, op, r)
	})
}

// answer sends a part of an answer. One that is lost is missed by who asked.
func (n *node) answer(who askedBy, body []byte, how byte) {
	_ = n.engine.Tell(who.node, append(appendAnswer(tellAnswer, who.id, how), body...))
}

func (sp *Space) answerAbout(who askedBy, op byte, r *recordReader) {
	n := sp.hub.node
	if op == askEvent {
		n.answer(who, sp.answerEvent(who.node, r.rest), answerLast)
		return
	}
	to := Address{Rooms: r.strings(), Except: r.strings(), Local: true}
	if r.err != nil {
		n.answer(who, nil, answerRefused)
		return
	}
	switch op {
	case askDescribe:
		sp.answerDescribe(who, to)
	case askCount:
		n.answer(who, binary.AppendUvarint(nil, uint64(len(sp.Members(to)))), answerLast)
	case askJoin:
		var refused []byte
		if rooms := r.strings(); r.err != nil || sp.Join(to, rooms...) != nil {
			refused = []byte{1}
		}
		n.answer(who, refused, answerLast)
	case askLeave:
		if rooms := r.strings(); r.err == nil {
			sp.Leave(to, rooms...)
		}
		n.answer(who, nil, answerLast)
	case askDismiss:
		sp.dismissHere(to, len(r.rest) > 0)
		n.answer(who, nil, answerLast)
	case askPage:
		sp.answerPage(who, to, r)
	default: // of a later version
		n.answer(who, nil, answerRefused)
	}
}

func (sp *Space) answerDescribe(who askedBy, to Address) {
	var part []byte
	for _, m := range sp.Members(to) {
		d, ok := m.(Described)
		if !ok {
			continue
		}
		part = appendString(part, string(d.Describe()))
		if len(part) >= partSize {
			sp.hub.node.answer(who, part, answerMore)
			part = nil
		}
	}
	sp.hub.node.answer(who, part, answerLast)
}

// answerEvent has the application take an event, and returns its answer's record.
func (sp *Space) answerEvent(from string, record []byte) []byte {
	m, err := readRecord(record)
	h := sp.events.Load()
	if err != nil || h == nil {
		return nil
	}
	ctx, cancel := sp.hub.node.patient()
	defer cancel()
	args, err := (*h)(ctx, from, m.Event, m.Args)
	if err != nil {
		return nil
	}
	body, err := appendRecord(nil, &Message{Event: m.Event, Args: args})
	if err != nil {
		return nil
	}
	return body
}
