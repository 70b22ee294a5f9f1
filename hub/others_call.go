package hub

import (
	"context"
	"encoding/binary"
)

// What a part of the answer to a call begins with.
const (
	partAsked  = 'n' // how many members the node has asked
	partAnswer = 'a' // what one of them has answered
)

// callElsewhere puts a call to the members of an address on other nodes. The
// call goes on until they have answered, are gone, or it is closed.
func (sp *Space) callElsewhere(m *Message, to Address) error {
	n := sp.hub.node
	if n == nil || to.Local {
		return nil
	}
	q, err := sp.question(askCall, to, m.Event, m.Args)
	if err != nil {
		return err
	}
	ctx := m.Call.elsewhere(n.ctx)
	// Started by a call, ended with its last answer or by Call.Close, waited for
	// by Hub.Close.
	n.hub.pumps.Go(func() {
		m.Call.collect(ctx, q)
		if q.unsaid() > 0 {
			_ = n.engine.Tell("", binary.AppendUvarint([]byte{tellForget}, q.id))
		}
		q.close()
	})
	return nil
}

// collect takes in what other nodes have to say to a call.
func (c *Call) collect(ctx context.Context, q *question) {
	counted := 0 // members that were asked, and have neither answered nor are lost
	for a, err := range q.all(ctx) {
		if err != nil {
			break
		}
		r := recordReader{rest: a.body}
		switch r.byte() {
		case partAsked:
			more := int(min(r.uvarint(), maxAsked))
			counted += more
			c.ask(more)
		case partAnswer:
			if m, err := readRecord(r.rest); err == nil && counted > 0 {
				counted--
				c.Answer(m.Args)
			}
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
