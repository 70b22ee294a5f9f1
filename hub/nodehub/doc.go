// Package nodehub has spaces shared with the servers of a Socket.IO cluster on
// Node.js: those that meet on Redis by @socket.io/redis-adapter (classic or
// sharded) or @socket.io/redis-streams-adapter, and whoever speaks to them by
// @socket.io/redis-emitter. To them this server is one more of their own.
//
// [Open] a [Cluster], give its method Share to [hub.Config.Share], and close it
// after the hub. Several servers of Tutti may be in it too, and meet by the same
// messages. What they say is read and written by package nodewire.
//
// # Order and delivery
//
// That of Node's adapters: at most once, and in order from each server, but that
// with streams calls take another way than messages. What is said while Redis is
// away is kept for as long as [Config].Timeout, then it is lost, and so is what
// was on its way when the connection broke; what others say meanwhile is lost, but
// with streams it is read afterwards. Spaces with memory are not shared in this
// way.
//
// # What is slow
//
// Messages wait for their space, bounded by [Config].MaxPending in each
// direction; what is beyond is dropped and traced. Questions that not all servers
// answer end after [Config].Timeout with a [*hub.PartialError].
//
// # Who is believed
//
// Whoever can publish in Redis. There are no credentials in these protocols.
//
// May import: hub, packet, hub/redishub/nodewire, internal.
package nodehub
