package tutti

import (
	"context"
	"sync/atomic"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

type (
	// Args are the arguments of an event or an answer, as they came.
	Args = packet.Args
	// Offset is a message's place in the order of its namespace.
	Offset = hub.Offset
)

// A Message is an event that a socket sent, as a [Handler] gets it.
type Message struct {
	Event string
	Args  Args

	socket  *Socket
	id      uint64
	asks    bool
	replied atomic.Bool
}

// forTraces returns the message as traces see it: a token that a client shows is
// for nobody who watches.
func (m *Message) forTraces() *Message {
	if m.Event != string(AuthEvent) || m.socket.link.server.cfg.Auth == nil {
		return m
	}
	return &Message{Event: m.Event, socket: m.socket, id: m.id, asks: m.asks}
}

// WantsReply says whether the peer waits for an answer.
func (m *Message) WantsReply() bool { return m.asks }

// Reply answers the peer, if it asked: values become the arguments of its
// acknowledgement. Only the first reply counts. A handler that returns nil
// without having replied replies with no values.
func (m *Message) Reply(values ...any) error {
	marshal := m.socket.link.server.marshal
	if m.socket.format == packet.MessagePack {
		marshal = func(values []any) (Args, error) { return packet.Marshal(values...) } // knows no limit
	}
	args, err := marshal(values)
	if err != nil {
		return err
	}
	return m.reply(args)
}

func (m *Message) reply(args Args) error {
	if !m.asks || m.replied.Swap(true) {
		return nil
	}
	return m.socket.sendPacket(&packet.Packet{
		Type:  packet.Ack,
		HasID: true,
		ID:    m.id,
		Args:  args,
	})
}

// A Handler handles an event of a socket. The handlers of one socket run one
// at a time, in the order in which its events came; those of different sockets
// run at the same time. A handler may wait, also for an answer of its own
// socket.
//
// ctx carries what the namespace's guards put into it, and ends when the
// socket has left and the events that came before that are handled, or some
// seconds later if their handlers are slow; use context.WithoutCancel for what
// must be finished.
//
// Returning an error answers the peer, if it asked: with the error's words if
// it is a [*Refusal], else with "internal error" and a line in the log. A panic
// is treated like an error.
type Handler func(ctx context.Context, s *Socket, m *Message) error

// Middleware wraps the handling of every event of a namespace, also of those
// that nobody handles.
type Middleware func(next Handler) Handler

// A Guard decides who enters a namespace. It returns the context that the
// handlers of s will get, which must derive from ctx, or an error: a
// [*Refusal] reaches the peer in its words. Guards may wait; s is not
// connected yet, so it receives no broadcast, but may be sent events, which
// arrive before it is told that it is connected, and may be made to join rooms.
type Guard func(ctx context.Context, s *Socket) (context.Context, error)
