package engineio

// transport carries what a session sends. Its methods are called with the session's lock held and do not wait.
type transport interface {
	// name is what clients call it.
	name() string
	// send sends f after what was sent before. The error is ErrTooSlow or ErrClosed. If later is set somebody writes it
	// soon, together with what is sent until then; else the caller calls flush when it has unlocked.
	send(f *Frame, later bool) error
	// flush writes what was sent, as far as the peer takes it. It is called without the lock.
	flush()
	// ready reports whether a frame sent now would leave at once.
	ready() bool
	// backlog returns how many bytes were sent and have not left.
	backlog() int
	// whenDrained has Session.fireDrained called when the backlog is 0, without the lock. It returns false if it is now.
	whenDrained() bool
	// end ends the connection. Nothing is sent afterwards. It reports whether the session can be forgotten now; if
	// not, the transport says so later, with Session.flushedLocked or Session.fail.
	end(how ending) (over bool)
}

var (
	_ transport = (*pollTransport)(nil)
	_ transport = (*wsTransport)(nil)
)

// ending is a way to end a connection.
type ending uint8

const (
	// endFlush lets what was sent leave, then tells the peer. A peer that polls has to come for it.
	endFlush ending = iota
	// endTell tells the peer, if it waits; what was sent and has not left is dropped.
	endTell
	// endAgree is endTell as the answer to a close packet of the peer.
	endAgree
	// endCut ends the connection in the middle of whatever is being written.
	endCut
)
