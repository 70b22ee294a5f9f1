package gate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"

	"github.com/tutti-rt/tutti/internal/poll"
	"github.com/tutti-rt/tutti/internal/serial"
	"github.com/tutti-rt/tutti/internal/wheel"
)

// phase is where a connection is in its life.
type phase uint8

const (
	reading phase = iota // at rest, or a request has come in part
	serving              // a request is with its handler, or waits for its answer
	writing              // an answer has not left yet
	failing              // it is shut down, and the worker has to close it
	over                 // closed, passed on, or taken over
)

// conn is a connection while the gate has it. Its worker reads, passes it on and
// closes it; a request is handled, and answered, by whoever that falls to.
type conn struct {
	gate   *Gate
	sock   poll.Socket
	remote string
	box    serial.Mailbox // runs handlers

	mu    sync.Mutex // Gate.mu, and the locks of the wheel and the poller, may be taken under it
	phase phase
	kept  []byte     // read, and not dealt with; the worker's while reading
	again poll.Event // what has happened while a request was served
	timer wheel.Timer
	fresh bool // no request has come yet
	late  bool // it has rested for too long

	reply *reply // of the request being served
	out   []byte // what is left to be written
}

var _ poll.Handler = (*conn)(nil)

func newConn(g *Gate, remote string) *conn {
	c := &conn{gate: g, remote: remote, fresh: true}
	c.box.Crew = &g.crew
	g.wheel.Init(&c.timer, c.onTimer)
	return c
}

// begin waits for the first request.
func (c *conn) begin() {
	d, _ := c.gate.headerTime()
	c.mu.Lock()
	c.timer.Reset(d)
	err := c.sock.Start(c)
	c.mu.Unlock()
	if err != nil {
		c.fail(err)
		c.close() // of which no worker is told
	}
}

// Of implements [poll.Handler].
func (c *conn) Of() *poll.Socket { return &c.sock }

// Ready implements [poll.Handler].
func (c *conn) Ready(e poll.Event, buf []byte) {
	c.mu.Lock()
	at, r := c.phase, c.reply
	if at == serving || at == writing {
		c.again |= e
	}
	c.mu.Unlock()
	if e&poll.Hangup != 0 && r != nil {
		r.peerGone(io.ErrUnexpectedEOF)
	}
	switch {
	case at == reading:
		c.read(buf)
		if e&poll.Hangup != 0 && c.isReading() {
			c.read(buf) // the end, of which nobody is told again
		}
	case at == failing:
		c.close()
	case at == writing && e&poll.Writable != 0:
		c.writeOn()
	}
}

func (c *conn) isReading() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == reading
}

// read takes what there is.
func (c *conn) read(buf []byte) {
	n, err := c.sock.Read(buf)
	c.mu.Lock()
	late := c.late && c.phase == reading
	c.mu.Unlock()
	switch {
	case err != nil && c.owesBody():
		c.pass(c.kept) // for a handler to find out: it may end what the request was about
	case err != nil:
		c.fail(err)
		c.close()
	case n > 0 || len(c.kept) > 0 && !late:
		c.take(buf[:n], n == len(buf))
	case late:
		c.pass(c.kept)
	}
}

// owesBody says whether all that is missing of a request is the end of its body.
func (c *conn) owesBody() bool {
	_, head := measure(c.kept, c.gate.paths)
	return head > 0
}

// take deals with what was read.
func (c *conn) take(data []byte, more bool) {
	if len(c.kept) > 0 {
		data = append(c.kept, data...)
		c.kept = nil
	}
	size, head := measure(data, c.gate.paths)
	switch {
	case more || size < 0 || size == 0 && len(data) >= maxRequest || c.gate.longHead(head):
		c.pass(data)
	case size == 0:
		c.kept = bytes.Clone(data)
	default:
		r, err := c.parse(data[:size], head)
		if err != nil {
			c.pass(data)
			return
		}
		c.serve(r, data[size:])
	}
}

// serve has a request handled. rest is what follows it.
func (c *conn) serve(r *http.Request, rest []byte) {
	ctx, cancel := context.WithCancel(c.gate.ctx)
	w := &reply{conn: c, request: r.WithContext(ctx), cancel: cancel}
	c.mu.Lock()
	if c.phase != reading {
		c.mu.Unlock()
		cancel()
		return
	}
	c.phase, c.reply, c.fresh, c.late = serving, w, false, false
	c.kept = bytes.Clone(rest)
	c.timer.Stop()
	c.mu.Unlock()
	_ = c.box.Put(0, w.handle) // it has no limit
}

// pass hands the connection on, with what was read of it.
func (c *conn) pass(data []byte) {
	c.mu.Lock()
	if c.phase != reading {
		c.mu.Unlock()
		return
	}
	served := !c.fresh
	fd, ok := c.releaseLocked()
	c.mu.Unlock()
	if !ok {
		return
	}
	h, err := c.hand(fd, bytes.Clone(data))
	if err != nil { // there are no descriptors; it is closed
		c.left(served)
		return
	}
	h.served = served
	_ = h.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true}) // as package net does by default
	c.gate.pass(h)
}

// hand makes a connection of package net of the descriptor, and of what was read.
func (c *conn) hand(fd int, prefix []byte) (*handed, error) {
	nc, err := poll.Conn(fd)
	if err != nil {
		return nil, err
	}
	h := &handed{TCPConn: nc.(*net.TCPConn), prefix: prefix} // what was accepted
	if remote, err := netip.ParseAddrPort(c.remote); err == nil {
		h.remote = net.TCPAddrFromAddrPort(remote)
	}
	return h, nil
}

// releaseLocked ends the connection but for its descriptor.
func (c *conn) releaseLocked() (fd int, ok bool) {
	c.phase = over
	c.timer.Stop()
	fd, ok = c.sock.Release()
	c.gate.leave(c)
	return fd, ok
}

// fail ends the connection, because of err. The worker is told, and closes it.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.phase >= failing {
		c.mu.Unlock()
		return
	}
	c.phase = failing
	r := c.reply
	c.reply, c.out = nil, nil
	c.timer.Stop()
	c.mu.Unlock()
	c.sock.Shutdown(false)
	if r != nil {
		r.peerGone(err)
		r.left(err)
	}
}

// close closes a connection that has failed. Only the worker calls it.
func (c *conn) close() {
	c.mu.Lock()
	c.phase, c.kept = over, nil
	served := !c.fresh
	c.mu.Unlock()
	c.sock.Close()
	c.gate.leave(c)
	c.left(served)
}

// left tells the guard that the connection is over, or somebody else's.
func (c *conn) left(served bool) {
	if c.gate.guard == nil {
		return
	}
	if remote, err := netip.ParseAddrPort(c.remote); err == nil {
		c.gate.guard.Left(remote, served)
	}
}

// closeAtRest ends the connection if it has no request.
func (c *conn) closeAtRest() {
	c.mu.Lock()
	rests := c.phase == reading
	c.mu.Unlock()
	if rests {
		c.fail(net.ErrClosed)
	}
}

// onTimer runs when a peer takes too long.
func (c *conn) onTimer() {
	c.mu.Lock()
	due, at := c.timer.Fired(), c.phase
	_, pass := c.gate.idleTime()
	if c.fresh {
		_, pass = c.gate.headerTime()
	}
	c.late = due && at == reading && pass
	late := c.late
	c.mu.Unlock()
	switch {
	case late:
		c.expect() // the worker passes it on
	case due && (at == reading || at == writing):
		c.fail(os.ErrDeadlineExceeded)
	}
}

// write writes the answer of w.
func (c *conn) write(w *reply, answer []byte) {
	c.mu.Lock()
	mine := c.phase == serving && c.reply == w
	c.mu.Unlock()
	if !mine {
		w.left(net.ErrClosed)
		return
	}
	n, err := c.sock.Write(answer)
	switch {
	case err != nil:
		c.fail(err)
	case n == len(answer):
		c.answered()
	default:
		c.mu.Lock()
		if c.phase == serving {
			c.phase, c.out = writing, bytes.Clone(answer[n:])
			c.timer.Reset(w.timeout)
		}
		c.mu.Unlock()
		c.expect()
	}
}

// writeOn goes on with an answer that did not leave at once. Only the worker
// calls it.
func (c *conn) writeOn() {
	c.mu.Lock()
	out := c.out
	c.mu.Unlock()
	n, err := c.sock.Write(out)
	if err != nil {
		c.fail(err)
		return
	}
	c.mu.Lock()
	if c.phase != writing {
		c.mu.Unlock()
		return
	}
	if n < len(out) {
		c.out = out[n:]
		if n > 0 {
			c.timer.Reset(c.reply.timeout)
		}
		c.mu.Unlock()
		return
	}
	c.phase, c.out = serving, nil
	c.timer.Stop()
	c.mu.Unlock()
	c.answered()
}

// expect has the worker look at the socket.
func (c *conn) expect() {
	if err := c.sock.Again(); err != nil {
		c.fail(err)
	}
}

// answered goes on to the next request.
func (c *conn) answered() {
	c.mu.Lock()
	if c.phase != serving {
		c.mu.Unlock()
		return
	}
	w := c.reply
	if w.parted { // its handler goes on
		c.mu.Unlock()
		w.left(nil)
		return
	}
	more := len(c.kept) > 0 || c.again != 0
	c.phase, c.reply, c.again = reading, nil, 0
	if !w.last {
		d, _ := c.gate.idleTime()
		c.timer.Reset(d)
	}
	c.mu.Unlock()
	w.left(nil)
	switch {
	case w.last || c.gate.isClosed():
		c.fail(net.ErrClosed)
	case more:
		c.expect()
	}
}

// protect keeps a panic of a handler's from ending the program, as net/http
// does. It reports whether there was none.
func (c *conn) protect(f func()) (well bool) {
	defer func() {
		if v := recover(); v != nil {
			well = false
			if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				c.gate.logf("http: panic serving %v: %v\n%s", c.remote, v, debug.Stack())
			}
		}
	}()
	f()
	return true
}

// handed is a connection that was passed on, and what had been read of it.
type handed struct {
	*net.TCPConn
	prefix []byte // the reader's
	served bool   // a request of it was
	remote *net.TCPAddr
}

// RemoteAddr returns the address of the peer also if it is gone by now: then the
// descriptor does not tell, and package net knows none.
func (h *handed) RemoteAddr() net.Addr {
	if h.remote == nil {
		return h.TCPConn.RemoteAddr()
	}
	return h.remote
}

// Served says whether a request of the connection was served before it was
// passed on.
func (h *handed) Served() bool { return h.served }

// Read reads what had been read first.
func (h *handed) Read(p []byte) (int, error) {
	if len(h.prefix) > 0 {
		n := copy(p, h.prefix)
		h.prefix = h.prefix[n:]
		return n, nil
	}
	return h.TCPConn.Read(p)
}

// Plain returns the connection that is no more than a socket, once it is.
func (h *handed) Plain() *net.TCPConn {
	if len(h.prefix) > 0 {
		return nil
	}
	return h.TCPConn
}
