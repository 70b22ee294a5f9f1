// Package natshub is the engine on NATS with JetStream: several nodes share one
// server, or a cluster of servers.
//
// # Order
//
// The messages of a namespace are one stream, whose sequence is the order. The
// server publishes what it has stored again, on a subject for each room, so that
// a node hears the bodies of the rooms that it listens to and no others. Servers
// from 2.10 on that are alone do that in the order of the stream, and a mark that
// a node writes comes back behind everything that was written before. Of others a
// node follows the headers of the whole stream with a consumer, and puts the
// bodies that it hears into their order; one that does not come is read.
//
// A connection is not mended but replaced. What was missed is read and handed on
// before what comes after.
//
// # What is lost, and when
//
// NATS acknowledges what the operating system has, and has the disk confirm it
// every two minutes if it is not told otherwise, see docs/engines.md. Whether
// something was lost is found out when a connection is made anew: nodes look
// whether the last that they know of is still there, where it was. If not, the
// log begins a new epoch, so that nobody takes a hole for nothing.
//
// # Slowness
//
// What a follower has not got to yet is bounded. What comes beyond that is
// dropped, and read from the stream when the follower is level.
//
// # Errors
//
// What could not be written is [hub.ErrUnavailable], what may have been is
// [hub.ErrUnknown]. [Open] returns a [*RefusedError] for a server that cannot keep
// what is promised.
//
// May import: hub, packet, internal/*.
package natshub
