package websocket

import (
	"cmp"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/internal/poll"
)

// Conn is a WebSocket connection, seen from the server. All methods may be
// called concurrently, except that Start is called once.
//
// It has one of two forms. A plain socket with a [Loop] is waited for by the
// loop's workers and written by whoever has something to write. Any other
// connection has a goroutine that reads, and one that writes while there is
// something to write.
type Conn struct {
	sock     poll.Socket // of the first form
	line     *line       // of the second, else nil
	loop     *Loop       // of the first
	limits   *limits
	rare     *rare    // nil if nothing of it is there
	receiver Receiver // set by Start
	reader   *reader  // of the first form: a frame or message under way; the reader's

	mu      sync.Mutex
	out     outbox
	drained func()        // see OnDrained
	pings   *limit.Bucket // nil before the first; the reader's
	waste   int32         // bytes read behind our close frame
	arrived int           // bytes of the message under way that the budget counts; only who reads changes it
	alarm   *alarm        // of the first form, while something is due
	done    chan struct{} // made when asked for
	err     error         // why the connection ends; the first reason stays
	state
}

// state is where a connection is in its life; guarded by Conn.mu.
type state struct {
	closing bool // nothing more is accepted; a close frame is queued, or the socket is going
	said    bool // our close frame has been written
	heard   bool // the peer's close frame has been read, or nothing can be heard any more
	started bool // Start was called
	reading bool // messages are still received
	writing bool // somebody writes, is about to, or waits for the socket to take more
	ended   bool // the socket is being closed
	owing   bool // the budget may cut it off
	shut    bool // the socket is closed
	gone    bool // and nobody is left

	// Of the first form.
	told  bool       // Receiver.Ended was called; the reader's
	busy  bool       // somebody reads
	held  bool       // what is queued is written when all that was read has been dealt with
	again poll.Event // what has happened since
}

// rare is what few connections have.
type rare struct {
	subprotocol string
	early       []byte // frames that came with the handshake; the reader's
}

// line is a connection that has goroutines.
type line struct {
	nc      net.Conn
	raw     syscall.RawConn // of a plain TCP or Unix socket, else nil
	writer  func()          // Conn.flush, bound once so that starting it allocates nothing
	closeBy time.Time       // when what is queued must have left, once closing; zero = whenever; guarded by Conn.mu
}

// init makes c the owner of nc.
func (c *Conn) init(nc net.Conn, l limits, loop *Loop) {
	if loop != nil && c.sock.Adopt(&loop.poller, nc) {
		c.loop, c.limits = loop, loop.share(l)
		return
	}
	c.limits = &l
	c.line = &line{nc: nc, raw: rawConn(nc), writer: c.flush}
}

// initDescriptor makes c the owner of a socket's descriptor, or closes it.
func (c *Conn) initDescriptor(fd int, early []byte, l limits, loop *Loop) error {
	c.keepEarly(early)
	if c.sock.AdoptDescriptor(&loop.poller, fd) {
		c.loop, c.limits = loop, loop.share(l)
		return nil
	}
	nc, err := poll.Conn(fd)
	if err == nil {
		err = nc.Close()
	}
	return cmp.Or(err, net.ErrClosed) // the loop is: a server that ends
}

// keepEarly keeps frames that came with the handshake.
func (c *Conn) keepEarly(early []byte) {
	if len(early) == 0 {
		return
	}
	if c.rare == nil {
		c.rare = &rare{}
	}
	c.rare.early = early
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
func (c *Conn) Subprotocol() string {
	if c.rare == nil {
		return ""
	}
	return c.rare.subprotocol
}

// takeEarly returns the frames that came with the handshake, once.
func (c *Conn) takeEarly() []byte {
	if c.rare == nil {
		return nil
	}
	early := c.rare.early
	c.rare.early = nil
	return early
}

// Deflated reports whether permessage-deflate was agreed on.
func (c *Conn) Deflated() bool { return c.limits.deflateFrom >= 0 }

// Done returns a channel that is closed when the socket is closed and nothing
// will be written any more. Receiver.Gone may be about to be called.
func (c *Conn) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.gone {
			close(c.done)
		}
	}
	return c.done
}

// goneLocked says that nobody is left.
func (c *Conn) goneLocked() {
	c.gone = true
	if c.done != nil {
		close(c.done)
	}
}

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
// the reason to end is [ErrClosed]. Calls after the first do nothing. A code that
// must not be sent, such as 0, sends a close frame without code.
func (c *Conn) Close(code int, reason string) {
	c.mu.Lock()
	c.finishLocked(closeFrame(code, reason), ErrClosed)
	c.mu.Unlock()
	c.FlushLater()
}

// finishLocked queues the last frame, unless somebody has. The caller must
// unlock and see to it that it is written.
func (c *Conn) finishLocked(last *Frame, why error) {
	if c.closing {
		return
	}
	c.closing, c.err = true, why
	// A peer that reads a byte now and then must not hold a connection that
	// is over.
	if t := c.limits.writeTimeout; t > 0 && c.line != nil {
		c.line.closeBy = time.Now().Add(t)
	}
	if c.alarm != nil {
		c.alarm.final = true
	}
	c.pushLocked(last).last = true
}

// Abort closes the socket now; what is queued is lost. It does not wait for the
// network. The reason to end is err, if that is the first, or [ErrClosed] if err
// is nil.
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
	c.endLocked(err)
	started := c.started
	c.mu.Unlock()
	switch {
	case c.line != nil:
		c.line.close(polite)
	case started:
		c.sock.Shutdown(false) // of which the worker is told, and it does the rest
		return
	default:
		c.sock.Close()
	}
	c.mu.Lock()
	c.shut = true
	if c.line == nil || !c.writing {
		c.goneLocked()
	}
	c.mu.Unlock()
}

// endLocked notes that the socket is being closed.
func (c *Conn) endLocked(err error) {
	c.ended, c.closing = true, true
	if c.err == nil {
		c.err = err
	}
	c.out.drop()
	c.clearedLocked()
	c.calmLocked()
}

// close closes the connection.
func (l *line) close(polite bool) {
	// The error of closing has nobody to go to: the reason stands already.
	if under, ok := l.nc.(interface{ NetConn() net.Conn }); ok && !polite {
		_ = under.NetConn().Close() // tls.Conn.Close may wait five seconds to say goodbye
	} else {
		_ = l.nc.Close()
	}
}

// stopWritingLocked ends the writer's part.
func (c *Conn) stopWritingLocked() {
	c.writing = false
	if c.line != nil && c.shut && !c.gone {
		c.goneLocked()
	}
}

// afterClose is what the writer does when the close frame has left: it leaves
// the rest to who reads, or waits for the peer itself.
func (c *Conn) afterClose() {
	c.mu.Lock()
	c.said = true
	heard, reading, started := c.heard, c.reading, c.started
	if !heard && c.line == nil {
		c.alarmLocked(c.limits.closeTimeout)
	}
	c.mu.Unlock()
	switch {
	case heard:
		c.end(ErrClosed, true)
	case c.line != nil:
		c.line.awaitEnd(c, reading, started)
	case !reading && started:
		// The peer has failed and is told that nothing more will come. Its
		// bytes are read all the same: closing a TCP socket with unread
		// bytes resets it, and our close frame would be lost on its way.
		c.sock.Shutdown(true)
	}
}

func (c *Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}
