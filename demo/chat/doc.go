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
// through: a call of [Send], the HTTP API, a raw WebSocket. A [hub.Member] sits
// in each room. It gives every message its final form (a door's may be a bare
// string), remembers the last of them, and passes it on to the people, who sit
// in a room of their own beside it. So a door that listens to "chat:general"
// sees each message once, and so does every screen.
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
// Nothing is kept on disk: a restart forgets what was said.
//
// May import: anything public.
package chat
