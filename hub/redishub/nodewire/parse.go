package nodewire

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tutti-rt/tutti/packet"
)

// eventPacket is the type of the only packets that servers pass on.
const eventPacket = 2

var (
	errEmpty = errors.New("nodewire: empty")
	errLong  = errors.New("nodewire: list is too long")
	errForm  = errors.New("nodewire: not a message of this adapter")
)

// parse reads a text in either form: JSON begins with a brace.
func parse(body []byte) (packet.Arg, error) {
	if len(body) == 0 {
		return packet.Arg{}, errEmpty
	}
	if body[0] == '{' {
		var a packet.Arg
		err := a.UnmarshalJSON(body)
		return a, err
	}
	return packet.ParseMessagePack(body, packet.Limits{})
}

// value makes an argument of a Go value.
func value(v any) (packet.Arg, error) {
	args, err := packet.Marshal(v)
	if err != nil {
		return packet.Arg{}, err
	}
	return args.At(0), nil
}

// A name is a room's, or a socket's. Node takes numbers, too.
type name string

// UnmarshalJSON takes a string or a number, and null for nothing.
func (n *name) UnmarshalJSON(text []byte) error {
	var a packet.Arg
	if err := a.UnmarshalJSON(text); err != nil {
		return err
	}
	return n.set(a)
}

func (n *name) set(a packet.Arg) error {
	if s, ok := a.String(); ok {
		*n = name(s)
		return nil
	}
	if string(a.JSON()) == "null" {
		*n = ""
		return nil
	}
	if c := a.JSON()[0]; c != '-' && (c < '0' || c > '9') {
		return errForm
	}
	*n = name(a.JSON())
	return nil
}

// maxList is how many rooms or sockets one list may have: some have cost more than
// fits into a message.
const maxList = 1 << 16

// names are a list of them; nil: none, or null.
type names []string

// UnmarshalJSON takes an array.
func (l *names) UnmarshalJSON(text []byte) error {
	*l = nil
	if string(text) == "null" {
		return nil
	}
	list, err := packet.ParseArgs(text)
	if err != nil {
		return err
	}
	if list.Len() > maxList {
		return errLong
	}
	*l = make(names, 0, list.Len())
	for _, a := range list.All() {
		var n name
		if err := n.set(a); err != nil {
			return err
		}
		*l = append(*l, string(n))
	}
	return nil
}

// orEmpty has no list be written as an empty one.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// options are the rooms and flags of a message, as they are read.
type options struct {
	Rooms  names      `json:"rooms"`
	Except names      `json:"except"`
	Flags  packet.Arg `json:"flags"`
}

func (o options) target() Target {
	t := Target{Rooms: o.Rooms, Except: o.Except}
	var f struct {
		Volatile packet.Arg `json:"volatile"`
		Compress packet.Arg `json:"compress"`
		Timeout  packet.Arg `json:"timeout"`
	}
	if o.Flags.Scan(&f) != nil {
		return t // whatever they are, they are none of ours
	}
	t.Flags.Volatile = string(f.Volatile.JSON()) == "true"
	t.Flags.Uncompressed = string(f.Compress.JSON()) == "false"
	var ms float64
	if f.Timeout.Scan(&ms) == nil && ms > 0 {
		t.Flags.Timeout = time.Duration(math.Min(ms, 1e9)) * time.Millisecond
	}
	return t
}

// written are options as they are written, with flags or without.
type written struct {
	Rooms  []string `json:"rooms"`
	Except []string `json:"except"`
	Flags  *flags   `json:"flags,omitempty"`
}

type flags struct {
	Volatile bool  `json:"volatile,omitempty"`
	Compress *bool `json:"compress,omitempty"`
	Timeout  int64 `json:"timeout,omitempty"`
}

func (t Target) written(withFlags bool) written {
	w := written{Rooms: orEmpty(t.Rooms), Except: orEmpty(t.Except)}
	if !withFlags {
		return w
	}
	w.Flags = &flags{Volatile: t.Flags.Volatile, Timeout: t.Flags.Timeout.Milliseconds()}
	if t.Flags.Uncompressed {
		w.Flags.Compress = new(bool)
	}
	return w
}

// setEvent takes an event's name and arguments from the list that they are.
func (m *Message) setEvent(list packet.Args) error {
	if list.Len() == 0 {
		return errForm
	}
	first := list.At(0)
	event, ok := first.String()
	if !ok {
		if c := first.JSON()[0]; c != '-' && (c < '0' || c > '9') {
			return errForm
		}
		event = string(first.JSON())
	}
	m.Event, m.Args = event, list.Slice(1, list.Len())
	return nil
}

// list is the event's name and arguments in one.
func (m *Message) list() (packet.Args, error) {
	values := make([]any, 0, 1+m.Args.Len())
	values = append(values, m.Event)
	for _, arg := range m.Args.All() {
		values = append(values, arg)
	}
	return packet.Marshal(values...)
}

// count takes how many members a server has asked.
func (m *Message) count(n float64) error {
	if !(n >= 0 && n <= math.MaxInt32) {
		return errForm
	}
	m.Count = int(n)
	return nil
}

// stringify is what JSON.stringify makes of a value with binary data in it.
func stringify(a packet.Arg) []byte {
	text := a.JSON()
	if !a.HasBinary() {
		return text
	}
	var out []byte
	for i := 0; ; i++ {
		mark := fmt.Appendf(nil, `{"_placeholder":true,"num":%d}`, i)
		at := bytes.Index(text, mark)
		if at < 0 {
			return append(out, text...)
		}
		out = append(append(out, text[:at]...), `{"type":"Buffer","data":[`...)
		for j, b := range a.Attachment(i) {
			if j > 0 {
				out = append(out, ',')
			}
			out = fmt.Appendf(out, "%d", b)
		}
		out = append(out, "]}"...)
		text = text[at+len(mark):]
	}
}
