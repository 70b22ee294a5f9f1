package hub

import (
	"strconv"
	"sync/atomic"

	"github.com/tutti-rt/tutti/packet"
)

// Offset is a message's place in the order of its space. It is opaque: equal
// offsets are the same message, and nothing else may be read from one. The
// empty offset belongs to no message.
type Offset string

// A Message is what travels through the hub. The publisher fills in the first
// fields and must not touch the message after publishing it; Publish fills in
// the rest. It is shared by all its receivers, which must not change it.
type Message struct {
	Event string
	Args  packet.Args
	// Volatile messages may be dropped on the way to a member that cannot take
	// them at once.
	Volatile bool
	// Uncompressed messages are not worth the work of compressing them.
	Uncompressed bool
	// Call is set if the publisher waits for answers.
	Call *Call

	Namespace string   // set by Publish
	Rooms     []string // the rooms it was published to; none: everyone; set by Publish
	// Crowd says that several members get the message. Then a member does well
	// to leave the writing to others: the next one waits for it. Set by Publish.
	Crowd bool

	epoch string
	seq   uint64
	forms atomic.Pointer[[]encoded]
}

// Offset returns the message's place in the order of its space, or "" before
// it was published.
func (m *Message) Offset() Offset {
	if m.seq == 0 {
		return ""
	}
	return Offset(m.epoch + "-" + strconv.FormatUint(m.seq, 36))
}

// encoded is what a form made of a message.
type encoded struct {
	form  any // *Form[T]
	value any // T
}

// A Form is one way to write messages out: the frames of a protocol, the text
// of a stream. Each message is encoded once per form and the result handed to
// every member that asks, so a value of type T must not be changed after it
// was made.
type Form[T any] struct {
	encode func(*Message) T
}

// NewForm returns the form that encode makes. Forms are told apart by their
// address: make each once, as a package variable.
func NewForm[T any](encode func(*Message) T) *Form[T] {
	return &Form[T]{encode: encode}
}

// Of returns m in this form. It is safe for concurrent use; two callers that
// are the first at the same moment may both encode, and one result is kept.
func (f *Form[T]) Of(m *Message) T {
	for {
		made := m.forms.Load()
		if made != nil {
			for _, e := range *made {
				if e.form == any(f) {
					return e.value.(T)
				}
			}
		}
		more := []encoded{{form: f, value: f.encode(m)}}
		if made != nil {
			more = append(more, *made...)
		}
		if m.forms.CompareAndSwap(made, &more) {
			return more[0].value.(T)
		}
	}
}
