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

// Run reads until the connection ends and hands every message to receive, in
// order, on the calling goroutine; data is valid only during the call, and
// receive must not wait long, for nothing else is read meanwhile. Run answers
// pings and close frames itself.
//
// If receive returns an error, the connection is closed with the code of that
// error, if it is a [*CloseError], or else with 1011.
//
// Run returns the first reason for the end: a [*CloseError] if the peer ended
// it, a [*ProtocolError] if the peer broke the protocol, the error of receive,
// [ErrClosed] after Close, [ErrTooSlow], the error given to Abort, or one of
// the network. It returns as soon as the reason is known; a close frame may
// still be on its way, [Conn.Done] tells when the socket is closed.
func (c *Conn) Run(receive func(data []byte, binary bool) error) error {
	if !c.startReading() {
		return c.Err()
	}
	normal := false
	defer func() {
		if !normal { // receive panicked, or left by runtime.Goexit
			c.leave(errPanic, nil, false)
		}
	}()
	r := &reader{conn: c, receive: receive}
	err := r.feed(c.early)
	c.early = nil
	if err == nil && c.raw != nil {
		err = c.readRaw(r)
	} else if err == nil {
		err = c.readPlain(r)
	}
	normal = true
	return c.leave(err, r.reply, r.heard)
}

// startReading reports whether Run is to read; if not, our close frame has left
// already and the writer reads what still comes.
func (c *Conn) startReading() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started {
		panic("websocket: Run called twice")
	}
	c.started = true
	c.reading = !c.said && !c.ended
	return c.reading
}

// leave ends reading because of err, answering with the close frame last if
// there is one, and returns the first reason to end. heard tells that the peer's
// close frame came.
func (c *Conn) leave(err error, last *Frame, heard bool) error {
	c.mu.Lock()
	c.reading, c.heard = false, heard
	// If the writer has written our close frame it left the rest to us, or else
	// it will see that we have gone.
	ours := c.said
	start := last != nil && c.finishLocked(last, err)
	c.mu.Unlock()
	switch {
	case start:
		c.startWriter()
	case last == nil: // nobody to talk to
		c.end(err, false)
	case ours:
		c.end(err, true)
	}
	return c.Err()
}

// readPlain reads and feeds r until an error, with a small buffer of its own.
func (c *Conn) readPlain(r *reader) error {
	buf := make([]byte, smallSize)
	for {
		n, err := c.nc.Read(buf)
		if feedErr := r.feed(buf[:n]); feedErr != nil {
			return feedErr
		}
		if err != nil {
			return readError(err)
		}
	}
}

// readError turns the end of the stream into what it means here.
func readError(err error) error {
	if errors.Is(err, io.EOF) {
		return &CloseError{Code: CodeAbnormal}
	}
	return err
}
