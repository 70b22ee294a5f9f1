// Package engineio serves the Engine.IO protocol: sessions that carry messages, text or binary, in order in both
// directions, over HTTP long-polling or WebSocket, and that move from the first to the second while traffic flows.
// It speaks revision 4 of the protocol and, where [Config.AllowEIO3] asks for it, revision 3.
//
// # Life of a session
//
// A [Server] is an [net/http.Handler]. A handshake makes a [Session], which is announced once to the [Acceptor]; what
// the peer sends goes to the [Receiver] that the acceptor returned, until [Receiver.Closed] says that there is no more.
//
// # Order and delivery
//
// Messages of one session arrive at [Receiver.Receive] in the order in which the peer sent them, one at a time, also
// across a change of transport. Frames of [Session.Send] reach the peer in the order of the calls, and the frames of
// one call have nothing between them. A message is delivered at most once: what was sent to a session that ends before
// the peer has read it is gone, and the layer above decides what that means.
//
// # What is slow, and what happens then
//
// Sending never waits. What the peer has not taken yet is queued up to [Config.MaxQueue] bytes; beyond it the session
// is closed ([ErrTooSlow]). A peer that takes nothing for [Config.WriteTimeout], or answers no ping for
// [Config.PingTimeout], is closed as well. At rest a WebSocket session owns one goroutine and no buffer, a polling
// session between two requests owns neither.
//
// # Errors
//
// A peer sees only the six answers of the protocol ([Code]) and the text of a [Refusal]. Why a session ended is a
// [Reason], in the words that Socket.IO clients and servers use.
//
// May import: internal/websocket, internal/wheel, internal/origin, internal/slab, internal/turn.
package engineio
