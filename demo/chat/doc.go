// Package chat is a chat that a person would keep open: rooms, people, what was
// said lately, and a page to use it with.
//
// [Mount] puts it into a namespace and its page on a mux; whoever opens the
// page picks a name and is in. The events between page and server are the
// constants of this package ([Enter], [Join], [Send], …), and any Socket.IO
// client may speak them.
//
// # Rooms
//
// The room "general" of the chat is the room "chat:general" of the hub. What
// is published there as "message" is said in the chat, whichever door it comes
// through: a call of [Send], the HTTP API, a raw WebSocket. The people sit in a
// room of their own beside it, "chat-screens:general". What somebody sends is
// published to both at once. A [hub.Member] sits in both, too: it gives its
// final form to what came through a door (which may be a bare string), passes
// it on to the screens, and remembers the last that was said. So a door that
// listens to "chat:general" sees each message once, and so does every screen,
// and nobody can pass for somebody else.
//
// # Memory
//
// If the namespace keeps histories for "chat:*", "chat-screens:*" and
// "chat-register", the chat forgets nothing: what was said is read from there,
// page by page with [History]; rooms are there again after a restart; a [Draft]
// that is sent again is recognised although the server was killed in between;
// what had come through a door by then and was not on the screens is passed on.
// A client that recovers its connection receives what it missed by itself.
// Otherwise a room remembers the last hundred messages, until a restart.
//
// # Order and delivery
//
// Everybody sees the messages of a room in the order in which it got them. The
// answer to [Send] comes when the message is in that order and remembered. A
// [Draft] that is sent again with the same nonce by the same person is
// answered with the receipt of the first and not said again.
//
// # Limits
//
// Everything a peer can make grow has a bound, see the constants in limits.go.
// Who sends too fast is refused and told when to try again.
//
// May import: anything public.
package chat
