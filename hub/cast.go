package hub

import "context"

// What the nodes of a namespace say to each other begins with its kind. What a
// node does not know, a later one says, and means nothing to it.
const (
	castMessage = 'M' // a message that is not kept: its record
	castErased  = 'E' // erasures
)

// heard is what a space follows: its tape, and what other nodes cast.
type heard struct {
	*sharedTape
	space *Space
}

var _ Follower = heard{}

func (h heard) Heard(_ string, body []byte) {
	if len(body) == 0 {
		return
	}
	switch body[0] {
	case castMessage:
		h.space.hear(body[1:])
	case castErased:
		if list, ok := readErasures(body[1:]); ok {
			h.forget(list)
		}
	}
}

// heardOnly is what a space without memory follows.
type heardOnly struct{ space *Space }

var _ Follower = heardOnly{}

func (h heardOnly) Follow([]Stored, Position) {}

func (h heardOnly) Lost(error, Position) {}

func (h heardOnly) Heard(_ string, body []byte) {
	if len(body) > 0 && body[0] == castMessage {
		h.space.hear(body[1:])
	}
}

// Cast implements [Others]: it says a message that is not kept to the other
// nodes that have members it is for.
func (x nodeOthers) Cast(m *Message) {
	body, err := appendRecord([]byte{castMessage}, m)
	if err != nil {
		return // no client could have been sent it either
	}
	_ = x.space.line.Cast(m.Rooms, body)
}

// hear hands out what another node has cast.
func (sp *Space) hear(record []byte) {
	m, err := readRecord(record)
	if err != nil {
		return // of a later version, perhaps: it is not promised
	}
	m.Namespace = sp.namespace
	_ = sp.handNow(context.Background(), m) // only a context could end it
}

// erased takes erased messages out of the memory of this node and of others.
func (t *sharedTape) erased(list []Erasure) {
	t.forget(list)
	body := []byte{castErased}
	for _, e := range list {
		body = appendErasure(body, e)
	}
	// Who does not hear it hands out what it has in memory for a window at most.
	_ = t.line.Cast(nil, body)
}

func (t *sharedTape) forget(list []Erasure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range list {
		t.recent.erase(func(m *Message) bool { return t.memory.erases(e, m) })
	}
}
