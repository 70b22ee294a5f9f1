// Package hub is the heart of Tutti: it brings every message published in a
// namespace to every member of the rooms it is for, whatever protocol each
// member speaks.
//
// A [Hub] holds a [Space] per namespace. A [Member] enters a space and gets a
// [Seat], with which it joins and leaves rooms. [Space.Publish] hands a
// [Message] to every member it is for. A Socket.IO socket, a raw WebSocket, a
// stream of Server-Sent Events and the chat demo's memory are all members; the
// hub knows none of them by name.
//
// # Order
//
// A space has one order. Publishing, joining, leaving and reading who is there
// happen one after another, so:
//
//   - Every member receives the messages of a space in the same order,
//     whichever door they came through, and no message twice, however many of
//     its rooms it was published to.
//   - A member that has joined a room receives every message published after
//     Join returned, and none that was published before Join was called.
//   - If publish A returned before publish B was called, every member receives
//     A before B.
//
// Spaces do not order themselves against each other.
//
// # Slowness
//
// Deliver is called in the space's order, so a member that made it wait would
// hold up everyone. A member queues what it gets, within a bound of its own,
// and decides what happens when the bound is reached: it drops what is
// volatile, and leaves otherwise.
//
// # Encoding
//
// A message is written out once per wire format, not once per member: see
// [Form].
//
// May import: packet, internal/turn.
package hub
