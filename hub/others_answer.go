package hub

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"sync"
)

const (
	// partSize is how many bytes of descriptions a part of an answer has before
	// it is sent.
	partSize = 32 << 10
	// mostAnswering is how many questions a node answers at a time, calls apart.
	mostAnswering = 64
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
		n.answer(who, nil, true)
		return
	}
	n.answering.mu.Lock()
	full := n.answering.busy >= mostAnswering && op != AskCall
	if !full && op != AskCall {
		n.answering.busy++
	}
	n.answering.mu.Unlock()
	if full {
		n.answer(who, nil, true)
		return
	}
	// Started by a question, ended with its answer, at the latest with the hub,
	// which waits for it.
	n.hub.pumps.Go(func() {
		if op == AskCall {
			sp.answerCall(who, r.rest)
			return
		}
		sp.answerAbout(who, op, r)
		n.answering.mu.Lock()
		n.answering.busy--
		n.answering.mu.Unlock()
	})
}

// answer sends a part of an answer. One that is lost is missed by who asked.
func (n *node) answer(who askedBy, body []byte, last bool) {
	_ = n.engine.Tell(who.node, append(appendAnswer(tellAnswer, who.id, last), body...))
}

func (sp *Space) answerAbout(who askedBy, op Kind, r *recordReader) {
	n := sp.hub.node
	if op == AskEvent {
		n.answer(who, sp.answerEvent(who.node, r.rest), true)
		return
	}
	to := Address{Rooms: r.strings(), Except: r.strings(), Local: true}
	if r.err != nil {
		n.answer(who, nil, true)
		return
	}
	switch op {
	case AskDescribe:
		sp.answerDescribe(who, to)
	case AskCount:
		n.answer(who, binary.AppendUvarint(nil, uint64(len(sp.Members(to)))), true)
	case AskJoin:
		var refused []byte
		if rooms := r.strings(); r.err != nil || sp.Join(to, rooms...) != nil {
			refused = []byte{1}
		}
		n.answer(who, refused, true)
	case AskLeave:
		if rooms := r.strings(); r.err == nil {
			sp.Leave(to, rooms...)
		}
		n.answer(who, nil, true)
	case AskDismiss:
		sp.dismissHere(to, len(r.rest) > 0)
		n.answer(who, nil, true)
	default: // of a later version
		n.answer(who, nil, true)
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
			sp.hub.node.answer(who, part, false)
			part = nil
		}
	}
	sp.hub.node.answer(who, part, true)
}

// answerEvent has the application take an event, and returns its answer's record.
func (sp *Space) answerEvent(from string, record []byte) []byte {
	m, err := readRecord(record)
	if err != nil {
		return nil
	}
	ctx, cancel := sp.hub.node.patient()
	defer cancel()
	args, err := sp.TakeEvent(ctx, from, m.Event, m.Args)
	if err != nil {
		return nil
	}
	body, err := appendRecord(nil, &Message{Event: m.Event, Args: args})
	if err != nil {
		return nil
	}
	return body
}
