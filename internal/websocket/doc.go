// Package websocket is the server side of WebSocket (RFC 6455, with
// permessage-deflate of RFC 7692), made for very many connections that are
// mostly at rest.
//
// # Lifecycle
//
// [Accept] turns an HTTP request into a [Conn], and [Conn.Start] hands every
// message to a [Receiver], which is told at last why the connection ended and
// when it is gone. net/http's handler returns and gives its buffers back.
// Connections share a [Loop].
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
// Send never waits: it writes what the socket takes at once. Post leaves even
// that to others, and is for messages to many. What the peer does not read piles up, by reference, to
// [Options.MaxQueue] bytes; beyond it Send returns [ErrQueueFull] and the
// caller decides, usually for [Conn.Abort]. A connection on which nothing at
// all can be written for [Options.WriteTimeout] ends with [ErrTooSlow].
//
// # Cost at rest
//
// On Linux, for plain TCP and Unix sockets: no goroutine and no buffer. For
// others one goroutine, and no buffer if the connection is a plain socket, else
// a kilobyte.
//
// # Errors
//
// [ErrClosed], [ErrQueueFull] and [ErrTooSlow] are for comparing; [*CloseError]
// is how the peer ended, [*ProtocolError] what it did wrong, [*HandshakeError]
// why it never got in.
//
// May import: internal/poll, internal/slab, internal/turn.
package websocket
