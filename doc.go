// Package tutti is the server side of Socket.IO for Go: events, rooms,
// namespaces and acknowledgements, for every existing Socket.IO client, by
// WebSocket or long-polling.
//
// A [Server] is an http.Handler. An application names its events once, with
// their types, registers handlers in a [Namespace], and sends to a [Socket] or
// to an [Audience]:
//
//	const (
//		Say  tutti.Event[Line]         = "say"
//		Join tutti.Call[string, Topic] = "join"
//	)
//
//	srv, err := tutti.New(tutti.Config{})
//	…
//	chat := srv.Namespace("/")
//	Join.Handle(chat, func(ctx context.Context, s *tutti.Socket, room string) (Topic, error) {
//		return topics[room], s.Join(room) // the return value is the ack
//	})
//	http.Handle("/socket.io/", srv)
//
// # How a socket lives
//
// A client opens a session and asks for a namespace. The namespace's guards
// decide, one after another, whether it gets in. Then it is told so, the
// connect handlers run, and its events are handled one at a time in the order
// in which they came. When it leaves, what it said before is still handled,
// then the disconnect handlers run. Sockets do not wait for each other.
//
// # What is promised
//
// Everyone in a namespace receives its messages in one order, the publisher's
// own included, whichever door they came through. Emit returns when the message
// has its place in that order. A handler's answer is sent after the messages
// that the handler emitted. A peer that is not connected at that moment, or is
// cut off before the bytes arrive, does not receive the message: at most once,
// as with Socket.IO.
//
// # Slow peers
//
// Emit never waits for a peer. What a peer has not read yet waits in a queue
// of bounded size; a peer that lets it overflow is disconnected, and volatile
// events are not queued at all. A peer whose own events come faster than the
// handlers work is disconnected too. Each limit is a field of [Config] or of
// engineio.Config and is reported to [Trace] when somebody runs into it.
//
// # Errors
//
// What a handler or guard returns as error is not for the peer's eyes, but for
// a [*Refusal].
//
// May import: packet, engineio, hub, internal.
package tutti
