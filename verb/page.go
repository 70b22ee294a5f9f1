package verb

import (
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// A Page is a part of a room's history, oldest first.
type Page struct {
	// Epoch names the life of the tape: offsets of another mean nothing.
	Epoch    string    `json:"epoch"`
	Messages []Message `json:"messages"`
	// More says that the history goes on in the direction that was asked for.
	More bool `json:"more"`

	forward bool // the first after an offset
}

// A Message is one of a history.
type Message struct {
	Offset hub.Offset `json:"offset"`
	Event  string     `json:"event"`
	// Data is the message's argument if it has exactly one, else Args has them.
	Data *packet.Arg  `json:"data,omitzero"`
	Args *packet.Args `json:"args,omitzero"`
	// Time is when it was published, in milliseconds since 1970.
	Time int64 `json:"time"`
	// ID is what its publisher called it.
	ID string `json:"id,omitzero"`

	binaries int
}

func newMessage(m *hub.Message) Message {
	out := Message{Offset: m.Offset(), Event: m.Event, Time: m.Time.UnixMilli(), ID: m.ID, binaries: m.Args.Attachments()}
	if m.Args.Len() == 1 {
		data := m.Args.At(0)
		out.Data = &data
	} else {
		args := m.Args
		out.Args = &args
	}
	return out
}

// newPage makes a page of not more than so many bytes, but of one message at
// least.
func newPage(from hub.Page, forward bool, limit int) Page {
	p := Page{Epoch: from.Epoch, Messages: make([]Message, len(from.Messages)), More: from.More, forward: forward}
	for i, m := range from.Messages {
		p.Messages[i] = newMessage(m)
	}
	if limit < 0 {
		return p
	}
	size := 0
	return p.cut(func(i int) bool {
		m := from.Messages[i]
		size += m.Args.Size() + len(m.Event) + len(m.ID)
		return size <= limit
	})
}

// Within returns the page without the messages with which it would have more
// binary attachments than that: a stock Socket.IO client takes ten in a packet.
func (p Page) Within(attachments int) Page {
	n := 0
	return p.cut(func(i int) bool {
		n += p.Messages[i].binaries
		return n <= attachments
	})
}

// Half returns the page with half of its messages, for what else can keep a
// page from being written; false if it has one only.
func (p Page) Half() (Page, bool) {
	n := 0
	half := p.cut(func(int) bool { n++; return n <= len(p.Messages)/2 })
	return half, len(half.Messages) < len(p.Messages)
}

// cut keeps messages as long as fits says, and one at least, from the side to
// which a reader continues.
func (p Page) cut(fits func(i int) bool) Page {
	n := len(p.Messages)
	for k := range n {
		i := k
		if !p.forward {
			i = n - 1 - k
		}
		if fits(i) || k == 0 {
			continue
		}
		p.More = true
		if p.forward {
			p.Messages = p.Messages[:i]
		} else {
			p.Messages = p.Messages[i+1:]
		}
		break
	}
	return p
}
