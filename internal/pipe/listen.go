package pipe

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// backlog is how many connections may wait to be accepted before Dial refuses.
const backlog = 1024

// Listener accepts what its Dial connects. All methods may be called
// concurrently.
type Listener struct {
	buffer int
	queue  chan *Conn
	closed chan struct{}

	mu     sync.Mutex
	dialed int
	done   bool
}

var _ net.Listener = (*Listener)(nil)

// Listen returns a listener whose connections hold up to [DefaultBuffer] bytes
// in each direction.
func Listen() *Listener { return ListenBuffer(DefaultBuffer) }

// ListenBuffer is [Listen] with a buffer of the given bytes in each direction.
func ListenBuffer(buffer int) *Listener {
	return &Listener{buffer: buffer, queue: make(chan *Conn, backlog), closed: make(chan struct{})}
}

// Accept waits for the next connection. It returns net.ErrClosed after Close.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, l.refused("accept", net.ErrClosed)
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, l.refused("accept", net.ErrClosed)
	}
}

// Dial connects to the listener without waiting for Accept. It returns
// net.ErrClosed after Close and syscall.ECONNREFUSED if a thousand connections
// wait already.
func (l *Listener) Dial() (*Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return nil, l.refused("dial", net.ErrClosed)
	}
	l.dialed++
	peer := addr(fmt.Sprintf("192.0.2.%d:%d", 2+l.dialed/60000%250, 1024+l.dialed%60000))
	client, server := connect(peer, addr("192.0.2.1:80"), l.buffer)
	select {
	case l.queue <- server:
		return client, nil
	default:
		return nil, l.refused("dial", syscall.ECONNREFUSED)
	}
}

// DialContext is [Listener.Dial] in the form that http.Transport wants; it
// ignores its arguments.
func (l *Listener) DialContext(context.Context, string, string) (net.Conn, error) {
	c, err := l.Dial()
	if err != nil {
		return nil, err // not c: a nil *Conn in an interface is not nil
	}
	return c, nil
}

// Close ends accepting and dialing. Connections that nobody accepted are cut;
// the others live on.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return nil
	}
	l.done = true
	close(l.closed)
	for {
		select {
		case c := <-l.queue:
			c.Cut(nil)
		default:
			return nil
		}
	}
}

// Addr returns the listener's made-up address.
func (l *Listener) Addr() net.Addr { return addr("192.0.2.1:80") }

func (l *Listener) refused(op string, err error) error {
	return &net.OpError{Op: op, Net: "pipe", Addr: l.Addr(), Err: err}
}
