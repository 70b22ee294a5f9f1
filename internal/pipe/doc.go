// Package pipe is a network in memory, for tests.
//
// A [Listener] and its [Listener.Dial] behave like TCP on one machine as far
// as servers and clients can tell: connections are buffered, ordered, bounded,
// have deadlines and can be half-closed. What TCP does not offer are the
// knobs: [Conn.Cut] breaks a connection at both ends at once, [Conn.Stall]
// and [Conn.Vanish] make it half-open, as a pulled cable does.
//
// All waiting is done on channels and condition variables, so that code using
// these connections can run inside a testing/synctest bubble, where time is
// fake and jumps whenever everybody waits.
//
// Order and delivery: bytes arrive in the order written, at once, unless the
// connection is stalled. Closing an end delivers what was written before, then
// io.EOF.
//
// Slow readers: at most the buffer's size waits in each direction; beyond it
// Write waits, up to its deadline.
//
// May import: nothing of ours.
package pipe
