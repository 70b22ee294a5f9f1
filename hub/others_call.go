package hub

import (
	"context"
	"encoding/binary"
	"time"
)

// What a part of the answer to a call begins with.
const (
	partAsked  = 'n' // how many members the node has asked
	partAnswer = 'a' // what one of them has answered
)

// callPause is how long a node waits for members before it says that it does. If
// nobody waits for them there, it is told so, perhaps again.
const callPause = 30 * time.Second

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
	started := n.hub.pumps.Go(func() {
		m.Call.collect(ctx, q)
		if q.unsaid() > 0 {
			_ = n.engine.Tell("", binary.AppendUvarint([]byte{tellForget}, q.id))
		}
		q.close()
	})
	if !started {
		m.Call.settled(0, ErrClosed)
		q.close()
	}
	return nil
}

// collect takes in what other nodes have to say to a call.
func (c *Call) collect(ctx context.Context, q *question) {
	counted := 0 // members that were asked, and have neither answered nor are lost
	var missed error
	for a, err := range q.all(ctx) {
		if err != nil {
			missed = err
			break
		}
		r := recordReader{rest: a.body}
		switch r.byte() {
		case partAsked:
			more := int(min(r.uvarint(), maxAsked))
			counted += more
			c.ask(more)
		case partAnswer:
			m, err := readRecord(r.rest)
			if err != nil || counted == 0 {
				continue
			}
			if !c.answerFar(m.Args, len(a.body)) {
				missed = errTooMuch
				break
			}
			counted--
		}
		if missed != nil {
			break
		}
	}
	c.settled(counted, missed)
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
func (x *answering) begin(who askedBy, op byte, cancel context.CancelFunc) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if op != askCall {
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
func (x *answering) end(who askedBy, op byte) {
	if op == askCall {
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
