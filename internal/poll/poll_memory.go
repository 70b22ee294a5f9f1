//go:build memnet

package poll

import (
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/tutti-rt/tutti/internal/memnet"
)

const supported = true

// sockets are the connections in memory by descriptor. There is one such table,
// as there is one kernel.
var sockets table

type table struct {
	mu    sync.RWMutex
	conns []*memnet.Conn
	free  []int
}

func (t *table) conn(fd int) *memnet.Conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.conns[fd]
}

func take(nc net.Conn) (fd int, err error) {
	c, ok := nc.(*memnet.Conn)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	t := &sockets
	t.mu.Lock()
	defer t.mu.Unlock()
	if last := len(t.free) - 1; last >= 0 {
		fd, t.free = t.free[last], t.free[:last]
	} else {
		fd, t.conns = len(t.conns), append(t.conns, nil)
	}
	t.conns[fd] = c
	c.Take(fd)
	return fd, nil
}

func closeDescriptor(fd int) {
	t := &sockets
	t.mu.Lock()
	c := t.conns[fd]
	t.conns[fd] = nil
	t.free = append(t.free, fd)
	t.mu.Unlock()
	c.Release()
}

// queue is notices that nobody has taken yet.
type queue struct {
	mu     sync.Mutex
	some   sync.Cond
	due    []notice // from head on
	head   int
	closed bool
}

var _ memnet.Watcher = (*queue)(nil)

func newQueue() (*queue, error) {
	q := new(queue)
	q.some.L = &q.mu
	return q, nil
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.some.Broadcast()
}

func (q *queue) push(n notice) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head > 0 && len(q.due) == cap(q.due) {
		q.due, q.head = q.due[:copy(q.due, q.due[q.head:])], 0
	}
	q.due = append(q.due, n)
	q.some.Signal()
}

func (q *queue) add(fd int) error {
	sockets.conn(fd).Watch(q)
	return nil
}

func (q *queue) again(fd int) error {
	n := notice{fd: fd, event: Writable}
	if some, ended := sockets.conn(fd).Pending(); some {
		n.event |= Readable | hangup(ended)
	}
	q.push(n)
	return nil
}

func (q *queue) wait(notices []notice, rest bool) (n int, waited bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head == len(q.due) {
		if q.closed {
			return -1, false
		}
		q.due, q.head = q.due[:0], 0
		if !rest {
			return 0, false
		}
		q.some.Wait()
	}
	n = copy(notices, q.due[q.head:])
	q.head += n
	return n, true
}

// Readable implements [memnet.Watcher].
func (q *queue) Readable(c *memnet.Conn) {
	if some, ended := c.Pending(); some {
		q.push(notice{fd: c.Descriptor(), event: Readable | hangup(ended)})
	}
}

func hangup(ended bool) Event {
	if ended {
		return Hangup
	}
	return 0
}

func (s *Socket) conn() *memnet.Conn {
	if s.handle == 0 {
		return nil
	}
	return sockets.conn(int(s.handle - 1))
}

// Read reads what there is: nothing at all is 0 and no error, the end io.EOF.
// Only one goroutine may read, and close, at a time.
func (s *Socket) Read(p []byte) (int, error) {
	if c := s.conn(); c != nil {
		return c.TryRead(p)
	}
	return 0, net.ErrClosed
}

// Write writes p.
func (s *Socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.conn(); c != nil {
		return c.Write(p)
	}
	return 0, net.ErrClosed
}

// Again has the handler told what the socket can do now.
func (s *Socket) Again() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handle == 0 {
		return net.ErrClosed
	}
	return s.worker.queue.again(int(s.handle - 1))
}

// Shutdown ends the connection. The handler is told.
func (s *Socket) Shutdown(bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.conn(); c != nil {
		c.End()
	}
}

// Supported tells whether sockets can be adopted at all.
const Supported = supported

func (*queue) remove(int) {}

// listening declines: a listener in memory is net/http's.
func listening(*net.TCPListener) (int, error) { return 0, errors.ErrUnsupported }

// Accept takes the next connection off a listener.
func (s *Socket) Accept() (int, netip.AddrPort, error) {
	return 0, netip.AddrPort{}, errors.ErrUnsupported
}
