package hub

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"

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

	// ID lets the publisher try again without publishing twice, in a space with
	// memory: a message with the ID of an earlier one of the same Publisher is
	// that one, for as long as the memory's window.
	ID        string
	Publisher string

	// Crowd says that several members get the message. Then a member does well
	// to leave the writing to others: the next one waits for it. Set by Publish.
	Crowd bool

	Namespace string    // set by Publish
	Rooms     []string  // the rooms it was published to; none: everyone; set by Publish
	Except    []string  // the rooms it was not for; set by Publish
	Time      time.Time // when it got its place on the tape; set by Publish

	// Traced is what [Trace.Publishing] returned, nil if nobody follows the
	// message.
	Traced any

	epoch      string
	remembered bool     // its space has a memory
	position   Position // 0: it has none
	since      Position // without a position: that of the last message before it
	size       int      // bytes of its record on the tape
	members    int      // how many it was handed to
	forms      atomic.Pointer[[]encoded]
}

// Offset returns the message's place in the order of its space, or "" if it
// has none: before it was published, and if it is volatile or a call in a space
// with memory.
func (m *Message) Offset() Offset {
	if m.position == 0 {
		return ""
	}
	return newOffset(m.epoch, m.position)
}

// Kept says whether the message is on the tape of a space with memory.
func (m *Message) Kept() bool { return m.remembered && m.position != 0 }

// Since returns the offset with which a member continues that has received m
// and everything before it: m's own, or that of the last message before it if
// m is not kept. It is "" in a space without memory.
func (m *Message) Since() Offset {
	if !m.remembered {
		return ""
	}
	return newOffset(m.epoch, max(m.position, m.since))
}

func newOffset(epoch string, p Position) Offset {
	return Offset(epoch + "-" + strconv.FormatUint(uint64(p), 36))
}

// parseOffset takes an offset apart that a peer presents.
func parseOffset(o Offset) (epoch string, p Position, ok bool) {
	epoch, place, ok := strings.Cut(string(o), "-")
	n, err := strconv.ParseUint(place, 36, 64)
	return epoch, Position(n), ok && err == nil
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
