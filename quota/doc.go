// Package quota holds peers to what they may cost together: how often, how
// many, and how many bytes.
//
// A [Quota] is shared by everything that lets peers in: the Socket.IO server,
// the doors, the verbs. Each connection is a [Peer], which has token buckets of
// its own and counts against those of its user, of its network address and of the
// rooms that it names. Most limits of a single connection are elsewhere, in the
// Config of what carries it; here are those that several connections share, and
// the rates.
//
// Nothing here waits. Every refusal is an [*Exceeded], which names the limit and
// says when to come again. Names that peers choose, of users and rooms, are
// remembered in tables with a fixed number of places, and only while their bucket
// is not full. Times are taken from the monotonic clock: nobody gains or loses by
// a jump of the other one.
//
// A nil *Quota and a nil *Peer have no limits.
//
// May import: internal/limit.
package quota
