package hub

import (
	"context"
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
	life := sp.life
	if life == nil {
		life = sp.hub.node.ctx
	}
	ctx, end := m.Call.elsewhere(life)
	answers := sp.others.Ask(ctx, q)
	// Started by a call, ended with its last answer or by Call.Close, waited for
	// by Hub.Close.
	started := sp.hub.pumps.Go(func() { m.Call.collect(answers) })
	if !started {
		end()
		for range answers { // it ends at once
		}
		m.Call.settled(0, ErrClosed)
	}
}

// collect takes in what other nodes have to say to a call.
func (c *Call) collect(answers iter.Seq2[Answer, error]) {
	counted := 0 // members that were asked, and have neither answered nor are lost
	var missed error
	for a, err := range answers {
		if err != nil {
			missed = err
			break
		}
		if a.Count > 0 {
			more := min(a.Count, maxAsked)
			counted += more
			c.ask(more)
		}
		if !a.Replied || counted == 0 {
			continue
		}
		if !c.answerFar(a.Args) {
			missed = errTooMuch
			break
		}
		counted--
	}
	c.settled(counted, missed)
}

// maxAsked is how many members a node is believed to have asked.
const maxAsked = 1 << 30
