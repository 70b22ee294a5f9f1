package pipe

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// DefaultBuffer is how many bytes may wait in each direction of a connection
// whose buffer was not given, about what loopback TCP starts with.
const DefaultBuffer = 64 << 10

// Conn is one end of a connection in memory. All methods may be called
// concurrently; concurrent writes do not mix their bytes as long as each fits
// into the buffer.
type Conn struct {
	in, out       *half
	local, remote addr
}

var _ net.Conn = (*Conn)(nil)

// addr is the made-up address of an end; servers expect host:port.
type addr string

func (addr) Network() string  { return "pipe" }
func (a addr) String() string { return string(a) }

// New returns the two ends of a connection that holds up to buffer bytes in
// each direction; 0 means [DefaultBuffer].
func New(buffer int) (a, b *Conn) {
	return connect("192.0.2.1:80", "192.0.2.2:1024", buffer)
}

func connect(left, right addr, buffer int) (a, b *Conn) {
	if buffer <= 0 {
		buffer = DefaultBuffer
	}
	there, back := newHalf(buffer), newHalf(buffer)
	a = &Conn{in: back, out: there, local: left, remote: right}
	b = &Conn{in: there, out: back, local: right, remote: left}
	return a, b
}

// Read reads what has arrived, waiting for the first byte. It returns io.EOF
// after the other end's last byte, os.ErrDeadlineExceeded at the deadline and
// net.ErrClosed after Close.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

// Write writes all of p, waiting for room in the buffer. It returns
// syscall.EPIPE if the other end is closed, os.ErrDeadlineExceeded at the
// deadline with the count of bytes written until then, and net.ErrClosed after
// Close.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

// Close closes this end. What it wrote before still arrives.
func (c *Conn) Close() error {
	c.out.closeWrite(net.ErrClosed)
	c.in.closeRead()
	return nil
}

// CloseWrite ends the direction from this end to the other, which reads
// io.EOF after the last byte; reading goes on.
func (c *Conn) CloseWrite() error {
	c.out.closeWrite(syscall.EPIPE)
	return nil
}

// Cut breaks the connection: what was under way is lost, and reads and writes
// at both ends fail with err, or with syscall.ECONNRESET if err is nil.
func (c *Conn) Cut(err error) {
	if err == nil {
		err = syscall.ECONNRESET
	}
	c.in.cut(err)
	c.out.cut(err)
}

// Stall makes the connection half-open: in neither direction does anything
// arrive, a close included, while writes succeed until the buffer is full and
// then wait. [Conn.Resume] lets everything through again.
func (c *Conn) Stall() {
	c.in.set(stalled)
	c.out.set(stalled)
}

// Vanish makes the connection half-open in the other manner: writes at both
// ends succeed and their bytes are lost. The bytes cannot be brought back, so
// only Close and Cut make sense afterwards.
func (c *Conn) Vanish() {
	c.in.set(vanishing)
	c.out.set(vanishing)
}

// Resume ends a [Conn.Stall].
func (c *Conn) Resume() {
	c.in.set(flowing)
	c.out.set(flowing)
}

// Buffered returns how many bytes have been written by the other end and not
// yet been read by this one.
func (c *Conn) Buffered() int { return c.in.buffered() }

// LocalAddr returns a made-up address of the form host:port.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the other end's made-up address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines; the zero time means none.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.readUntil(t)
	c.out.writeUntil(t)
	return nil
}

// SetReadDeadline sets when a Read gives up, one that waits already included.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.readUntil(t)
	return nil
}

// SetWriteDeadline sets when a Write gives up, one that waits already included.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.writeUntil(t)
	return nil
}

// wrap makes err look like the network's; io.EOF stays bare as readers compare it.
func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "pipe", Source: c.local, Addr: c.remote, Err: err}
}

// String names the connection in test failures.
func (c *Conn) String() string { return fmt.Sprintf("%s -> %s", c.local, c.remote) }
