// Package redishub is the engine on Redis or Valkey: several nodes share one
// server, or a primary with its replicas.
//
// # Order
//
// A message is written, remembered by its id and published by one Lua script, so
// the order of positions is that in which the server publishes, and in which
// every node follows. A node has one live connection. On it come the messages
// of the rooms that it listens to, and on it the node asks where the log stands:
// the answer stands behind everything that was published before. When the
// connection was away, what was missed is read and handed on before what comes
// after.
//
// # What is lost, and when
//
// What is acknowledged is as durable as the server's configuration makes it, see
// docs/engines.md. Whether something was lost is found out when the server
// begins another life, having been restarted or replaced by a replica: nodes
// compare what they had seen with what is there. If something is missing the
// log begins a new epoch, so that nobody takes a hole for nothing.
//
// # Slowness
//
// What a follower has not got to yet is bounded; beyond that the live
// connection is not read. The server closes a connection whose output has grown
// too large, and the node reads what it missed when it is back.
//
// # Errors
//
// What could not be written is [hub.ErrUnavailable], what may have been is
// [hub.ErrUnknown]. [Open] returns a [*RefusedError] for a server whose configuration
// breaks what is promised.
//
// May import: hub, packet, internal/*.
package redishub
