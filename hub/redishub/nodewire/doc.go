// Package nodewire reads and writes what the servers of a Socket.IO cluster on
// Node.js say to each other through Redis: the classic adapter of
// @socket.io/redis-adapter, its sharded adapter, @socket.io/redis-streams-adapter,
// and @socket.io/redis-emitter. It is pure: no goroutine, clock, connection.
//
// A [Message] is one thing that is said, whatever the adapter. A [Dialect] is
// how one adapter says it in one namespace: on which channel or stream, in which
// bytes, with the keys in the order in which Node writes them. The tests compare
// with what was captured from Node's own.
//
// What comes from others may be anything. Decoding never panics, takes memory in
// proportion to what came, and reads what it knows of what it does not.
//
// # Errors
//
// An error of Decode means that the text is none of this adapter's; one of
// Encode that a value cannot be written.
//
// May import: packet, hub.
package nodewire
