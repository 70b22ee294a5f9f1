package hub

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"sync"
	"time"
)

// askPage asks one node for a page of who is present that it began. It is no
// question for [Others]: no other has that page.
const askPage Kind = 'p'

const (
	// partSize is how many bytes of descriptions a part of an answer has before
	// it is sent.
	partSize = 32 << 10
	// mostAnswering is how many questions a node answers at a time, and mostCalls
	// how many calls, which wait for members. More are refused.
	mostAnswering = 1000
	mostCalls     = 10000
	// callPause is how long a node waits for members before it says that it does.
	// If nobody waits for them there, it is told so, perhaps again.
	callPause = 30 * time.Second
)

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
	id, namespace, op := r.uvarint(), string(r.bytes()), Kind(r.byte())
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
		if op == AskCall {
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

func (sp *Space) answerAbout(who askedBy, op Kind, r *recordReader) {
	n := sp.hub.node
	if op == AskEvent {
		n.answer(who, sp.answerEvent(who.node, r.rest), answerLast)
		return
	}
	to := Address{Rooms: r.strings(), Except: r.strings(), Local: true}
	if r.err != nil {
		n.answer(who, nil, answerRefused)
		return
	}
	switch op {
	case AskDescribe:
		sp.answerDescribe(who, to)
	case AskCount:
		n.answer(who, binary.AppendUvarint(nil, uint64(len(sp.Members(to)))), answerLast)
	case AskJoin:
		var refused []byte
		if rooms := r.strings(); r.err != nil || sp.Join(to, rooms...) != nil {
			refused = []byte{1}
		}
		n.answer(who, refused, answerLast)
	case AskLeave:
		if rooms := r.strings(); r.err == nil {
			sp.Leave(to, rooms...)
		}
		n.answer(who, nil, answerLast)
	case AskDismiss:
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
		text, err := json.Marshal(d.Describe())
		if err != nil {
			continue // cannot happen but for Data that is no JSON
		}
		part = appendString(part, string(text))
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
	if err != nil {
		return nil
	}
	ctx, cancel := sp.hub.node.patient()
	defer cancel()
	args, err := sp.takeEvent(ctx, from, m.Event, m.Args)
	if err != nil {
		return nil
	}
	body, err := appendRecord(nil, &Message{Event: m.Event, Args: args})
	if err != nil {
		return nil
	}
	return body
}

// answerCall puts a call of another node to the members of this, and sends
// their answers.
func (sp *Space) answerCall(ctx context.Context, who askedBy, record []byte) {
	n := sp.hub.node
	m, err := readRecord(record)
	if err != nil {
		n.answer(who, nil, answerRefused)
		return
	}
	m.Call = NewCall()
	defer m.Call.Close()
	if _, err := sp.Publish(ctx, m, Address{Rooms: m.Rooms, Except: m.Except, Local: true}); err != nil {
		n.answer(who, nil, answerRefused)
		return
	}
	asked, _ := m.Call.Counts()
	if asked == 0 {
		n.answer(who, nil, answerLast)
		return
	}
	n.answer(who, binary.AppendUvarint([]byte{partAsked}, uint64(asked)), answerMore)
	for {
		some, cancel := context.WithTimeout(ctx, callPause)
		args, ok, _ := m.Call.Next(some)
		silent := !ok && ctx.Err() == nil && some.Err() != nil
		cancel()
		if silent {
			n.answer(who, []byte{partAsked, 0}, answerMore) // is anybody waiting?
			continue
		}
		if !ok {
			n.answer(who, nil, answerLast)
			return
		}
		if body, err := appendRecord([]byte{partAnswer}, &Message{Event: m.Event, Args: args}); err == nil {
			n.answer(who, body, answerMore)
		}
	}
}

// begin notes that a question is being answered, and returns false if that is one
// too many, or one that is there already. cancel ends a call.
func (x *answering) begin(who askedBy, op Kind, cancel context.CancelFunc) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if op != AskCall {
		if x.busy >= mostAnswering {
			return false
		}
		x.busy++
		return true
	}
	if x.calls[who] != nil || len(x.calls) >= mostCalls {
		return false
	}
	if x.calls == nil {
		x.calls = make(map[askedBy]context.CancelFunc)
	}
	x.calls[who] = cancel
	return true
}

// end notes that a question is answered.
func (x *answering) end(who askedBy, op Kind) {
	if op == AskCall {
		x.forget(who)
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.busy--
}

// forget ends a call that nobody waits for any more.
func (x *answering) forget(who askedBy) {
	x.mu.Lock()
	cancel := x.calls[who]
	delete(x.calls, who)
	x.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// left forgets the calls of a node that is gone.
func (x *answering) left(node string) {
	x.mu.Lock()
	var gone []askedBy
	for who := range x.calls {
		if who.node == node {
			gone = append(gone, who)
		}
	}
	x.mu.Unlock()
	for _, who := range gone {
		x.forget(who)
	}
}
