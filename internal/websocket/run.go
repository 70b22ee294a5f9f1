package websocket

import (
	"errors"
	"io"
	"sync"
)

const (
	readSize  = 16 << 10 // a pooled read
	smallSize = 1 << 10  // what a connection that is not a plain socket reads at a time
)

var readBuffers = sync.Pool{New: func() any {
	b := make([]byte, readSize)
	return &b
}}

// Receiver takes what the peer sends. Its methods are never called concurrently
// with each other, no lock is held, and they must not wait: a worker that
// waits holds up the other connections.
type Receiver interface {
	// Receive takes the next message; data is valid only during the call. An
	// error ends the connection with its code, if it is a [*CloseError], or
	// else with 1011. An error made by [Later] puts off the end of the call.
	Receive(data []byte, binary bool) error
	// Ended is called once, when nothing is received any more, with the first
	// reason for the end: a [*CloseError] if the peer ended it, a
	// [*ProtocolError] if the peer broke the protocol, the error of Receive,
	// [ErrClosed] after Close, [ErrTooSlow], the error given to Abort, or one of
	// the network. A close frame may still be on its way.
	Ended(err error)
	// Gone is called once, last: the socket is closed.
	Gone()
}

// Start begins to hand every message to r, in order. It answers pings and close
// frames itself. Messages that came with the handshake may be received before
// it returns, and the connection may end.
func (c *Conn) Start(r Receiver) {
	c.mu.Lock()
	if c.started {
		panic("websocket: Start called twice")
	}
	c.receiver, c.started = r, true
	over := c.ended
	c.reading = !over && (c.line == nil || !c.said)
	read := c.reading
	c.busy = true
	c.mu.Unlock()
	switch {
	case c.line == nil:
		c.startPolling(over)
	case read:
		c.Flush()
		// The connection's own, see there.
		go c.read()
	default:
		// Our close frame has left already and the writer reads what still
		// comes. This waits for it, as read does.
		go func() {
			r.Ended(c.Err())
			c.vanish()
		}()
	}
}

// Later is an error for Receive to return when what the message asks for may
// have to wait: f does it, on a goroutine that may, and its error counts.
// Nothing else is read meanwhile.
func Later(f func() error) error { return &later{f} }

type later struct{ f func() error }

func (*later) Error() string { return "websocket: to be done later" }

// leave ends reading because of err, answering with the close frame last if
// there is one. heard tells that the peer's close frame came.
func (c *Conn) leave(err error, last *Frame, heard bool) {
	c.mu.Lock()
	c.reading, c.heard = false, heard
	// If our close frame has left, the rest was left to us, or else who writes
	// it will see that we have gone.
	ours := c.said
	answer := last != nil && !c.closing
	if answer {
		c.finishLocked(last, err)
	}
	c.mu.Unlock()
	switch {
	case answer:
		c.Flush()
	case last == nil: // nobody to talk to
		c.endReading(err, false)
	case ours:
		c.endReading(err, true)
	}
}

// endReading is end, called by who reads.
func (c *Conn) endReading(err error, polite bool) {
	if c.line != nil {
		c.end(err, polite)
		return
	}
	c.mu.Lock()
	if !c.ended {
		c.endLocked(err)
	}
	c.mu.Unlock()
}

// readError turns the end of the stream into what it means here.
func readError(err error) error {
	if errors.Is(err, io.EOF) {
		return &CloseError{Code: CodeAbnormal}
	}
	return err
}
