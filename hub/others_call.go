package hub

import (
	"context"
	"encoding/binary"
	"iter"
	"time"
)

// What a part of the answer to a call begins with.
const (
	partAsked  = 'n' // how many members the node has asked
	partAnswer = 'a' // what one of them has answered
)

// callElsewhere puts a call to the members of an address on other nodes. The
// call goes on until they have answered, are gone, or it is closed.
func (sp *Space) callElsewhere(asker context.Context, m *Message, to Address) {
	q := Question{Kind: AskCall, To: to, Event: m.Event, Args: m.Args}
	if end, ok := asker.Deadline(); ok {
		q.Wait = max(time.Until(end), time.Millisecond)
	}
	life := context.Background()
	if sp.hub.node != nil {
		life = sp.hub.node.ctx
	}
	ctx := m.Call.elsewhere(life)
	answers := sp.others.Ask(ctx, q)
	// Started by a call, ended with its last answer or by Call.Close, waited for
	// by Hub.Close.
	sp.hub.pumps.Go(func() { m.Call.collect(answers) })
}

// collect takes in what other nodes have to say to a call.
func (c *Call) collect(answers iter.Seq2[Answer, error]) {
	counted := 0 // members that were asked, and have neither answered nor are lost
	for a, err := range answers {
		if err != nil {
			break
		}
		if a.Count > 0 {
			more := min(a.Count, maxAsked)
			counted += more
			c.ask(more)
		}
		if a.Replied && counted > 0 {
			counted--
			c.Answer(a.Args)
		}
	}
	c.settled(counted)
}

// maxAsked is how many members a node is believed to have asked.
const maxAsked = 1 << 30

// unsaid returns how many nodes have not said all.
func (q *question) unsaid() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.owing)
}

// answerCall puts a call of another node to the members of this, and sends
// their answers.
func (sp *Space) answerCall(who askedBy, record []byte) {
	n := sp.hub.node
	m, err := readRecord(record)
	if err != nil {
		n.answer(who, nil, true)
		return
	}
	ctx, cancel := context.WithCancel(n.ctx)
	n.answering.begin(who, cancel)
	defer n.answering.forget(who)
	m.Call = NewCall()
	defer m.Call.Close()
	if _, err := sp.Publish(ctx, m, Address{Rooms: m.Rooms, Except: m.Except, Local: true}); err != nil {
		n.answer(who, nil, true)
		return
	}
	asked, _ := m.Call.Counts()
	n.answer(who, binary.AppendUvarint([]byte{partAsked}, uint64(asked)), asked == 0)
	if asked == 0 {
		return
	}
	for {
		args, ok, _ := m.Call.Next(ctx)
		if !ok {
			n.answer(who, nil, true)
			return
		}
		if body, err := appendRecord([]byte{partAnswer}, &Message{Event: m.Event, Args: args}); err == nil {
			n.answer(who, body, false)
		}
	}
}

// begin notes that a call waits for answers.
func (x *answering) begin(who askedBy, cancel context.CancelFunc) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.calls == nil {
		x.calls = make(map[askedBy]context.CancelFunc)
	}
	x.calls[who] = cancel
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
