// Package packet reads and writes Socket.IO packets, protocol revisions 4 and
// 5: the JSON form with its binary attachments, and the MessagePack form. It is
// pure: no goroutine, no clock, no connection.
//
// # In
//
// A [Decoder] belongs to one session and is given its messages in order. It
// returns whole packets: an event with attachments appears when the last of
// them has come. It validates everything it passes on, in one pass, under
// [Limits] that hold before a peer has authenticated; it keeps none of the
// caller's memory. Its errors are final, as the protocol cannot be picked up
// after a packet that is none: the session is to be closed with "parse error".
//
// # Between
//
// [Args] are the arguments as the rest of the system carries, stores and
// forwards them: JSON text and attachments, whichever format they came in and
// whichever they will leave in. They are immutable and shared freely. Handlers
// decode them with [Args.Scan], publishers make them with [Marshal].
//
// # Out
//
// [Format.Encode] writes a packet as frames. A packet for many receivers is
// encoded once per format. Numbers, strings and dates mean what JavaScript's
// JSON.stringify and JSON.parse make of them.
//
// # Cost
//
// Decoding an event takes three allocations and encoding one two; budgets in
// the tests hold them there. The time is that of one pass over the bytes, but
// for packets with attachments, whose text is read twice.
//
// # Errors
//
// [*Error] is a peer's fault and ends its session. [*ScanError] is an argument
// that a handler did not expect. [ErrForged] and the errors of Marshal and
// Encode are the sender's own.
//
// May import: nothing of ours.
package packet
