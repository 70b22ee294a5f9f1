package websocket

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// Conn is a WebSocket connection, seen from the server. All methods may be
// called concurrently, except that Run is called once.
type Conn struct {
	nc          net.Conn
	raw         syscall.RawConn // of a plain TCP or Unix socket, else nil
	subprotocol string
	limits      limits
	early       []byte // frames that came with the handshake; Run's
	done        chan struct{}
	writer      func() // c.write, bound once so that starting it allocates nothing

	mu      sync.Mutex
	out     outbox
	drained func()    // see OnDrained
	err     error     // why the connection ends; the first reason stays
	closing bool      // nothing more is accepted; a close frame is queued, or the socket is going
	closeBy time.Time // when what is queued must have left, once closing; zero = whenever
	said    bool      // our close frame has been written
	heard   bool      // the peer's close frame has been read
	started bool      // Run was called
	reading bool      // Run has not returned
	writing bool      // the writer goroutine exists
	ended   bool      // the socket is being closed
	shut    bool      // the socket is closed
}

func newConn(nc net.Conn, subprotocol string, l limits) *Conn {
	c := &Conn{nc: nc, raw: rawConn(nc), subprotocol: subprotocol, limits: l, done: make(chan struct{})}
	c.writer = c.write
	return c
}

// rawConn returns the access to a socket whose bytes are the connection's
// bytes. Only the two types that are exactly that will do: a type that embeds
// one of them may read ahead or decrypt.
func rawConn(nc net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	var err error
	switch nc := nc.(type) {
	case *net.TCPConn:
		raw, err = nc.SyscallConn()
	case *net.UnixConn:
		raw, err = nc.SyscallConn()
	}
	if err != nil {
		return nil
	}
	return raw
}

// Subprotocol returns the subprotocol agreed on, or "".
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Deflated reports whether permessage-deflate was agreed on.
func (c *Conn) Deflated() bool { return c.limits.deflateFrom >= 0 }

// RemoteAddr returns the address of the peer's end of the socket.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Done returns a channel that is closed when the socket is closed and nothing
// will be written any more. Run may be about to return.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended or is about to, nil before that.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection as the protocol wants it: what is queued is
// written, then a close frame with code and reason, and the socket is closed
// when the peer's close frame has come, at the latest Options.CloseTimeout
// after ours left. It returns at once; messages that still come are dropped and
// Run returns [ErrClosed]. Calls after the first do nothing. A code that must
// not be sent, such as 0, sends a close frame without code.
func (c *Conn) Close(code int, reason string) {
	c.finish(closeFrame(code, reason), ErrClosed)
}

// finish queues the last frame.
func (c *Conn) finish(last *Frame, why error) {
	c.mu.Lock()
	start := c.finishLocked(last, why)
	c.mu.Unlock()
	if start {
		c.startWriter()
	}
}

func (c *Conn) finishLocked(last *Frame, why error) (start bool) {
	if c.closing {
		return false
	}
	c.closing, c.err = true, why
	if t := c.limits.writeTimeout; t > 0 {
		// A peer that reads a byte now and then must not hold a connection
		// that is over.
		c.closeBy = time.Now().Add(t)
	}
	return c.pushLocked(item{frame: last, last: true})
}

// Abort closes the socket now; what is queued is lost. It does not wait for the
// network. Run returns err if that is the first reason to end, or [ErrClosed]
// if err is nil.
func (c *Conn) Abort(err error) {
	if err == nil {
		err = ErrClosed
	}
	c.end(err, false)
}

// end closes the socket, once: politely if there is time for a last word of
// TLS, which may wait, or at once.
func (c *Conn) end(err error, polite bool) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended, c.closing = true, true
	if c.err == nil {
		c.err = err
	}
	lost := c.out.drop()
	c.mu.Unlock()
	lost.release()

	// The error of closing has nobody to go to: the reason stands already.
	if under, ok := c.nc.(interface{ NetConn() net.Conn }); ok && !polite {
		_ = under.NetConn().Close() // tls.Conn.Close may wait five seconds to say goodbye
	} else {
		_ = c.nc.Close()
	}

	c.mu.Lock()
	c.shut = true
	over := !c.writing
	c.mu.Unlock()
	if over {
		close(c.done)
	}
}

// stopWriting ends the writer goroutine's part.
func (c *Conn) stopWriting() {
	c.mu.Lock()
	over := c.stopLocked()
	c.mu.Unlock()
	if over {
		close(c.done)
	}
}

// stopLocked reports whether the writer was the last to go.
func (c *Conn) stopLocked() (over bool) {
	c.writing = false
	return c.shut
}

// afterClose is what the writer does when the close frame has left: it leaves
// the rest to Run if that is reading, else it waits for the peer itself.
func (c *Conn) afterClose() {
	c.mu.Lock()
	c.said = true
	heard, reading, started := c.heard, c.reading, c.started
	c.mu.Unlock()
	if !heard {
		if err := c.nc.SetReadDeadline(time.Now().Add(c.limits.closeTimeout)); err != nil {
			c.end(err, false)
			return
		}
		switch {
		case reading:
			return // Run meets the peer's close frame, the end or the deadline
		case started:
			c.drain(nil)
		default: // Run was not in time
			r := &reader{conn: c}
			if r.feed(c.early) == nil {
				c.drain(r)
			}
		}
	}
	c.end(ErrClosed, true)
}

// drain reads until the connection ends, or r meets the peer's close frame. With
// no r the peer has failed and is told that nothing more will come. Its bytes are
// read all the same: closing a TCP socket with unread bytes resets it, and our
// close frame would be lost on its way.
func (c *Conn) drain(r *reader) {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && r == nil {
		if err := half.CloseWrite(); err != nil {
			return
		}
	}
	buf := make([]byte, smallSize)
	for {
		n, err := c.nc.Read(buf)
		if r != nil && r.feed(buf[:n]) != nil || err != nil {
			return
		}
	}
}
