package door

import (
	"sync"

	"github.com/tutti-rt/tutti/hub"
)

// maxCalls is how many calls a client may owe an answer for. It is asked no
// more until it has answered some.
const maxCalls = 1000

// jsonTalk is the framing of JSON objects.
type jsonTalk struct {
	*stream

	callMu sync.Mutex
	calls  map[uint64]*hub.Call // that wait for an answer; nil: the client is gone
}

var _ hub.Answerer = (*jsonTalk)(nil)

// Deliver sends the message, and counts the client among those who will answer
// if it is a call.
func (t *jsonTalk) Deliver(m *hub.Message) {
	if !t.hears(m) {
		return
	}
	asked := m.Call != nil && t.expect(m.Call)
	if !t.send(jsonForm.Of(m), m.Volatile) && asked {
		t.settle(m.Call.ID, func(c *hub.Call) { c.Lost() })
	}
}

// expect notes that the client is being asked.
func (t *jsonTalk) expect(c *hub.Call) bool {
	t.callMu.Lock()
	full := len(t.calls) >= maxCalls
	known := t.calls != nil && !full
	if known {
		t.calls[c.ID] = c
	}
	t.callMu.Unlock()
	if known {
		c.Ask(t)
	}
	if full {
		t.door.limitHit("calls", t.peer)
	}
	return known
}

// settle takes a call out and hands it to f. A call that is not known, or not
// any more, is none.
func (t *jsonTalk) settle(id uint64, f func(*hub.Call)) {
	t.callMu.Lock()
	c := t.calls[id]
	delete(t.calls, id)
	t.callMu.Unlock()
	if c != nil {
		f(c)
	}
}

// Forget drops a call that nobody waits for any more.
func (t *jsonTalk) Forget(c *hub.Call) { t.settle(c.ID, func(*hub.Call) {}) }

func (t *jsonTalk) subprotocols() []string { return []string{SubprotocolJSON} }

// gone says of all calls that they will not be answered.
func (t *jsonTalk) gone() {
	t.callMu.Lock()
	calls := t.calls
	t.calls = nil
	t.callMu.Unlock()
	for _, c := range calls {
		c.Lost()
	}
}
