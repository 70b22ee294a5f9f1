// Package verb is what an application can do without server code of its own:
// join and leave rooms, publish to them, read their history, see who is
// present, and say something about oneself.
//
// A [Desk] serves these verbs to callers of any protocol; the bindings to
// Socket.IO, to raw WebSockets and to HTTP only read requests and write
// answers. What a caller may do is decided by the desk's [Rule] for the room.
// Without rules nobody may do anything.
//
// # Order and delivery
//
// What a verb promises is what the hub promises for what it does: a
// [Desk.Publish] returns when the message is as durable as its room demands and
// was handed to the members, a [Desk.Join] when a member that comes back would
// be in the room.
//
// # What is slow, and what happens then
//
// A desk queues nothing. What callers can make large has a limit: data,
// states, and pages, by messages and by bytes. Callers that come too often are
// refused by [Config.Admit].
//
// # Errors
//
// Every error that a caller may see is a [*Refusal], with a code for programs
// and a message for people. Any other is the server's own fault, for its log.
//
// # Lifecycle
//
// [New] only allocates, and a desk needs no closing.
//
// May import: hub, packet.
package verb
