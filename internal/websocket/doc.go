// Package websocket is the server side of WebSocket (RFC 6455, with
// permessage-deflate of RFC 7692), made for very many connections that are
// mostly at rest.
//
// # Lifecycle
//
// [Accept] turns an HTTP request into a [Conn]. The caller puts [Conn.Run] on
// a goroutine of its own, so that net/http's handler can return and give its
// buffers back. Run hands on every message and returns why the connection
// ended. [Conn.Done] is closed when nothing of the connection is left.
//
// # Order and delivery
//
// Messages are received in the order sent, one at a time. Frames given to one
// call of [Conn.Send] leave contiguous and in order, and calls leave in the
// order they were made. What was accepted by Send before [Conn.Close] is
// written before the close frame; Abort and errors lose it.
//
// # What is slow, and what happens then
//
// Send never waits. What the peer does not read piles up, by reference, to
// [Options.MaxQueue] bytes; beyond it Send returns [ErrQueueFull] and the
// caller decides, usually for [Conn.Abort]. A connection on which nothing at
// all can be written for [Options.WriteTimeout] ends with [ErrTooSlow].
//
// # Cost at rest
//
// One goroutine, that of Run, and no buffer: on TCP and Unix sockets Run waits
// for the socket to be readable and takes a buffer from a pool only for
// the read. TLS and other connections keep a kilobyte.
//
// # Errors
//
// [ErrClosed], [ErrQueueFull] and [ErrTooSlow] are for comparing; [*CloseError]
// is how the peer ended, [*ProtocolError] what it did wrong, [*HandshakeError]
// why it never got in.
//
// May import: nothing of ours.
package websocket
