package websocket

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// read is the goroutine that reads. It is started by Start, ends with the
// connection, and Done waits for it in so far as nothing is received after it.
func (c *Conn) read() {
	normal := false
	defer func() {
		if !normal { // the receiver panicked, or left by runtime.Goexit
			c.leave(errPanic, nil, false)
		}
	}()
	r := &reader{conn: c}
	err := r.feedAll(c.takeEarly())
	if err == nil && c.line.raw != nil {
		err = c.readRaw(r)
	} else if err == nil {
		err = c.readPlain(r)
	}
	normal = true
	c.arrive(0)
	c.leave(err, r.reply, r.heard)
	c.receiver.Ended(c.Err())
	c.vanish()
}

// vanish waits for the end of a connection whose receiver knows that nothing
// more comes, and says that it has come.
func (c *Conn) vanish() {
	<-c.Done()
	c.mu.Lock()
	drained := c.takeDrainedLocked()
	c.mu.Unlock()
	if drained != nil {
		drained()
	}
	c.receiver.Gone()
}

// readPlain reads and feeds r until an error, with a small buffer of its own.
func (c *Conn) readPlain(r *reader) error {
	buf := make([]byte, smallSize)
	for {
		n, err := c.line.nc.Read(buf)
		if feedErr := r.feedAll(buf[:n]); feedErr != nil {
			return feedErr
		}
		if err != nil {
			return readError(err)
		}
	}
}

// awaitEnd is for when our close frame has left and the peer's has not come.
func (l *line) awaitEnd(c *Conn, reading, started bool) {
	if err := l.nc.SetReadDeadline(time.Now().Add(c.limits.closeTimeout)); err != nil {
		c.end(err, false)
		return
	}
	switch {
	case reading:
		return // who reads meets the peer's close frame, the end or the deadline
	case started:
		l.drain(nil)
	default: // Start was not in time
		r := &reader{conn: c}
		if r.feed(c.takeEarly()) == nil {
			l.drain(r)
		}
		c.arrive(0)
	}
	c.end(ErrClosed, true)
}

// drain reads until the connection ends, or r meets the peer's close frame. With
// no r the peer has failed, see Conn.afterClose.
func (l *line) drain(r *reader) {
	if half, ok := l.nc.(interface{ CloseWrite() error }); ok && r == nil {
		if err := half.CloseWrite(); err != nil {
			return
		}
	}
	buf := make([]byte, smallSize)
	for {
		n, err := l.nc.Read(buf)
		if r != nil && r.feed(buf[:n]) != nil || err != nil {
			return
		}
	}
}

// writeOut writes data, however long it takes, as long as some of it leaves
// within each write timeout.
func (c *Conn) writeOut(data []byte) error {
	if c.line.raw != nil && len(data) > 0 {
		return c.writeRaw(data)
	}
	return c.writePlain(data)
}

// writePlain writes with deadlines. When within its time a partial write made
// its progress cannot be known, so that a peer may get up to twice the timeout.
func (c *Conn) writePlain(data []byte) error {
	for len(data) > 0 {
		if err := c.line.nc.SetWriteDeadline(c.writeBy()); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		// In pieces, so that progress shows on TLS too: after a timeout it
		// can write no more.
		n, err := c.line.nc.Write(data[:min(len(data), joinSize)])
		data = data[n:]
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("write: %w", err)
		case n == 0 || c.late():
			return ErrTooSlow
		}
	}
	return nil
}

func (c *Conn) writeBy() time.Time {
	c.mu.Lock()
	closeBy := c.line.closeBy
	c.mu.Unlock()
	if c.limits.writeTimeout == 0 {
		return time.Time{}
	}
	by := time.Now().Add(c.limits.writeTimeout)
	if !closeBy.IsZero() && closeBy.Before(by) {
		return closeBy
	}
	return by
}

// late reports whether a connection that closes has used up its time.
func (c *Conn) late() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.line.closeBy.IsZero() && !time.Now().Before(c.line.closeBy)
}
