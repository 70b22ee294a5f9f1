// Package door holds the ways into a space that are not Socket.IO: a stream of
// Server-Sent Events ([Events]), a plain WebSocket ([WebSocket]), and HTTP
// requests that publish ([Publish]) or ask ([History], [Presence]).
//
// Each is a [Door], an http.Handler over a [hub.Space]; nothing here listens by
// itself. What comes in through one door goes out through all of them, and to
// the Socket.IO sockets in the same rooms, without any of them knowing of the
// others.
//
// # Who may come in
//
// A door is closed until its configuration opens rooms, to anyone or to the
// bearer of a key: see [Access]. Pages of other origins are refused unless
// they are listed, so that a page cannot act for whoever visits it. A
// [verb.Desk] opens to every door what its rules open to Socket.IO.
//
// # Order and delivery
//
// A stream gets what is published to its rooms in the order of the space, from
// the moment at which the answer's headers (101 for a WebSocket) were sent, at
// most once, and without a gap as long as it lasts. What is published while a
// client is away is lost to it, unless the space has a memory: then a client
// that comes back with the offset it had gets what it missed, or is told that
// this cannot be.
//
// A message that was handed to the space is answered with its offset after
// every member of its rooms has been handed it, and in a space with memory when
// it is as durable as its rooms demand. One with an id that was published before
// is answered with the first offset and handed to nobody.
//
// # What is slow, and what happens then
//
// A stream that does not read piles up to MaxQueue bytes, then it is closed;
// so is one that takes longer than WriteTimeout for a write. In a space with
// memory little piles up: the rest is read from the tape as the client reads.
// Volatile messages
// are dropped while others wait. A publisher that is too quick is refused.
// Every limit has a default, can be set, and tells the [Trace] when it is hit.
//
// # Lifecycle
//
// The constructors only allocate. A stream of events lives on the goroutine of
// its request; a WebSocket on one of the door's. [Door.Shutdown] ends all of
// them and waits.
//
// May import: hub, packet, verb, internal/….
package door
