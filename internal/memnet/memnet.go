// Package memnet is a network in memory for very many connections at once,
// whose other ends are functions instead of goroutines. It is what bench/scale
// measures a million connections with, for which no machine has descriptors to
// spare.
//
// A [Conn] is the server's end. The peer's end is a [Peer], who is told what the
// server writes while it writes, and who answers with [Conn.Send]. Nothing is
// ever full: what the server writes has been read when Write returns.
//
// As a net.Conn it needs a goroutine that reads. Built with the tag memnet,
// internal/poll takes it for a socket, and it needs none.
//
// May import: nothing of ours.
package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A Peer is the other end of a connection. Its methods are called by whoever
// writes or closes at the server's end and must not wait for the server.
type Peer interface {
	// Took takes what the server wrote, which is valid only during the call.
	// Writes of one connection do not overlap.
	Took(p []byte)
	// Ended says that the server has closed the connection.
	Ended()
}

// A Watcher is told that there is something to read, or nothing any more.
type Watcher interface {
	Readable(c *Conn)
}

// Conn is the server's end of a connection, to be embedded in what the peer is.
// Init comes first. All methods may be called concurrently, but only one
// goroutine may read.
type Conn struct {
	peer Peer

	mu      sync.Mutex
	in      []byte // sent by the peer and not yet read
	ended   bool   // nothing more will be sent
	closed  bool
	expired bool // the read deadline has passed
	taken   bool // see Take
	number  int
	watcher Watcher
	wake    chan struct{} // of a Read that waits
}

var _ net.Conn = (*Conn)(nil)

// Init gives c its peer.
func (c *Conn) Init(p Peer) { c.peer = p }

// Send is what the peer sends. It keeps a copy of p.
func (c *Conn) Send(p []byte) {
	c.mu.Lock()
	if !c.ended && !c.closed {
		c.in = append(c.in, p...)
	}
	c.mu.Unlock()
	c.news()
}

// End says that the peer sends nothing more.
func (c *Conn) End() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.news()
}

// news tells who waits for something to read.
func (c *Conn) news() {
	c.mu.Lock()
	w, wake := c.watcher, c.wake
	c.wake = nil
	c.mu.Unlock()
	if wake != nil {
		close(wake)
	}
	if w != nil {
		w.Readable(c)
	}
}

// Take gives the connection to who knows it by a descriptor. Until Release,
// Close does nothing.
func (c *Conn) Take(descriptor int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken, c.number = true, descriptor
}

// Descriptor returns what Take was given.
func (c *Conn) Descriptor() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.number
}

// Watch has w told that there is something to read, beginning with what is
// there already.
func (c *Conn) Watch(w Watcher) {
	c.mu.Lock()
	c.watcher = w
	due := len(c.in) > 0 || c.ended
	c.mu.Unlock()
	if due {
		w.Readable(c)
	}
}

// Release closes a connection that was taken.
func (c *Conn) Release() {
	c.mu.Lock()
	c.taken, c.watcher = false, nil
	c.mu.Unlock()
	_ = c.Close() // it cannot fail
}

// Pending says whether there is something to read, and whether there will be
// nothing more after it.
func (c *Conn) Pending() (some, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.in) > 0 || c.ended, c.ended
}

// TryRead reads what there is: nothing at all is 0 and no error.
func (c *Conn) TryRead(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readLocked(p)
}

func (c *Conn) readLocked(p []byte) (int, error) {
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case len(c.in) > 0:
		n := copy(p, c.in)
		if c.in = c.in[n:]; len(c.in) == 0 {
			c.in = nil // at rest there is no buffer
		}
		return n, nil
	case c.ended:
		return 0, io.EOF
	case c.expired:
		return 0, os.ErrDeadlineExceeded
	}
	return 0, nil
}

// Read waits until there is something.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		c.mu.Lock()
		n, err := c.readLocked(p)
		if n > 0 || err != nil || len(p) == 0 {
			c.mu.Unlock()
			return n, err
		}
		if c.wake == nil {
			c.wake = make(chan struct{})
		}
		wake := c.wake
		c.mu.Unlock()
		<-wake
	}
}

// Write hands p to the peer.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	c.peer.Took(p)
	return len(p), nil
}

// Close ends the connection, unless it was taken.
func (c *Conn) Close() error {
	c.mu.Lock()
	over := c.taken || c.closed
	if !c.taken {
		c.closed, c.in = true, nil
	}
	c.mu.Unlock()
	if !over {
		c.news()
		c.peer.Ended()
	}
	return nil
}

// SetReadDeadline makes a Read that waits give up if t has passed already; no
// other deadline has an effect, for nothing here takes time.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.expired = !t.IsZero() && !t.After(time.Now())
	c.mu.Unlock()
	c.news()
	return nil
}

// SetDeadline is SetReadDeadline.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing: no write waits.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr returns an address made up.
func (c *Conn) LocalAddr() net.Addr { return address("memory:1") }

// RemoteAddr returns an address made up.
func (c *Conn) RemoteAddr() net.Addr { return address("memory:2") }

type address string

func (address) Network() string  { return "memory" }
func (a address) String() string { return string(a) }
