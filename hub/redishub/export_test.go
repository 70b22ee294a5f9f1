package redishub

import (
	"bytes"
	"context"

	"github.com/tutti-rt/tutti/hub"
)

// CheckKind looks at what INFO says.
func CheckKind(info string) error { return checkKind(parseInfo(info)) }

// Node and cluster names for tests that speak for themselves.
func Channels(cluster, node, namespace, room string) (all, own, space, rooms string) {
	c := newClusterNames(cluster, 0)
	n := c.space(cluster, namespace)
	return c.all, c.node + node, n.all, n.room + room
}

// ReadValues reads values until an error.
func ReadValues(b []byte) (n int) {
	r := newReader(bytes.NewReader(b))
	for {
		v, err := r.read()
		if err != nil {
			return n
		}
		v.strings()
		n++
	}
}

// AppendCommand is what is sent.
func AppendCommand(dst []byte, args ...string) []byte { return appendCommand(dst, args...) }

// CutMessage, CutEpoch, CutSender and CutEntry read what comes on a channel.
func CutMessage(b []byte) (hub.Position, []byte, bool) { return cutMessage(b) }
func CutEpoch(b []byte) (string, hub.Position, bool)   { return cutEpoch(b) }
func CutSender(b []byte) (string, []byte, bool)        { return cutSender(b) }
func CutEntry(b []byte, heard func([]byte) bool) ([]byte, bool, bool) {
	return cutEntry(b, heard)
}

// AppendEntry writes an entry.
func AppendEntry(rooms []string, body []byte) []byte { return appendEntry(nil, rooms, body) }

// Settle reads the answer to a write of so many messages and sessions.
func Settle(reply string, messages, sessions int) error {
	p := new(part)
	for range messages {
		p.messages = append(p.messages, new(hub.SharedMessage))
	}
	for range sessions {
		p.sessions = append(p.sessions, new(hub.SharedSession))
	}
	_, err := p.settle(reply)
	return err
}

// WriteAs writes a message once with a number of a slot, as a write that was under
// way for long does.
func WriteAs(ctx context.Context, of hub.Line, slotName string, number uint64, m *hub.SharedMessage) error {
	l := of.(*line)
	link, err := l.e.await(ctx, true)
	if err != nil {
		return err
	}
	p := &part{messages: []*hub.SharedMessage{m}}
	reply, err := l.try(ctx, link, scriptCommit, func(epoch string) []any {
		return l.commitArgs(p, epoch, &slot{name: slotName, number: number})
	})
	if err != nil {
		return err
	}
	_, err = p.settle(reply[0])
	return err
}
