// Package poll tells when sockets can be read or written, for very many of
// them, on a few goroutines. A socket at rest costs an entry in a table: no
// goroutine, no buffer, and nothing of package net, whose connection it
// replaces.
//
// # Lifecycle
//
// [Socket.Adopt] takes over the descriptor of a connection, [Socket.Start] has
// its [Handler] told of readiness, [Socket.Close] ends it. A [Poller] starts
// its workers with its first socket; [Poller.Close] has each of them end with
// its last socket, and [Poller.Wait] waits for that.
//
// # Order and delivery
//
// Readiness is told when it changes, not while it lasts: who is told that a
// socket is readable reads until there is nothing more, or asks to be told
// again. A socket belongs to one worker, so its handler is never called twice
// at a time. A handler holds up all sockets of its worker: it must not wait.
//
// # Where it works
//
// On Linux, by epoll. Elsewhere, and for connections that are more than a
// socket, such as TLS, Adopt declines and the caller uses goroutines.
//
// With the build tag memnet the sockets are in memory instead, of which there
// can be a million: bench/scale is built so, and nothing else.
//
// May import: internal/turn; internal/memnet, with that tag.
package poll

import (
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/internal/turn"
)

// Event is what became of a socket.
type Event uint8

// Events come together.
const (
	Readable Event = 1 << iota
	Writable
	// Hangup means that the peer, or this side, has ended: a read that
	// comes back short may be followed by the end without another event.
	Hangup
	// Heavy means that the socket has taken much of late, or is new: it is
	// read a little at a time. It comes with others.
	Heavy
)

// Handler is told about a socket.
type Handler interface {
	// Ready says that the socket has changed. It is called by the socket's
	// worker, must not wait, and may come without cause. buf is to read
	// into, and only during the call.
	Ready(e Event, buf []byte)
	// Of returns the socket that it is told about.
	Of() *Socket
}

// Poller is a set of workers that sockets are spread over. The zero value is
// ready to use. All methods may be called concurrently.
type Poller struct {
	mu      sync.Mutex
	workers []*worker
	next    int // the worker of the next socket
	closed  bool
	running sync.WaitGroup

	tableMu sync.RWMutex
	pages   []*page // by descriptor; nil where there is no handler
}

// page is a part of the table of handlers. In parts it grows without being
// copied, and gets small again.
type page struct {
	handlers [pageSize]Handler
	n        int
}

const pageSize = 256

// Close lets the workers end when they have no sockets any more. It does not
// wait. From then on Adopt declines.
func (p *Poller) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	for _, w := range p.workers {
		if w.sockets == 0 {
			w.queue.close()
		}
	}
}

// Wait returns when no worker runs. It is for after Close.
func (p *Poller) Wait() { p.running.Wait() }

// enter finds a worker for one more socket; nil if there is none.
func (p *Poller) enter() *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	if len(p.workers) < runtime.GOMAXPROCS(0) {
		q, err := newQueue()
		if err != nil && len(p.workers) == 0 {
			return nil
		}
		if err == nil {
			w := &worker{poller: p, queue: q}
			p.workers = append(p.workers, w)
			p.next = len(p.workers) - 1
			// Started by the first sockets, ended by Close and the last
			// of its sockets, waited for by Wait.
			p.running.Go(w.run)
		}
	}
	w := p.workers[p.next%len(p.workers)]
	p.next = (p.next + 1) % len(p.workers)
	w.sockets++
	return w
}

// leave takes a socket from its worker.
func (p *Poller) leave(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.sockets--; w.sockets == 0 && p.closed {
		w.queue.close()
	}
}

// watch notes who is told about a descriptor; nil takes the note away.
func (p *Poller) watch(fd int, h Handler) {
	p.tableMu.Lock()
	defer p.tableMu.Unlock()
	for fd/pageSize >= len(p.pages) {
		p.pages = append(p.pages, nil)
	}
	in := &p.pages[fd/pageSize]
	if *in == nil {
		*in = new(page)
	}
	at := &(*in).handlers[fd%pageSize]
	switch {
	case *at == nil && h != nil:
		(*in).n++
	case *at != nil && h == nil:
		(*in).n--
	}
	if *at = h; (*in).n == 0 {
		*in = nil
	}
}

// find replaces the descriptors of notices by handlers. One that has been
// closed and given to another socket meanwhile finds that one, to which
// events may come without cause.
func (p *Poller) find(notices []notice) {
	p.tableMu.RLock()
	defer p.tableMu.RUnlock()
	for i := range notices {
		n := &notices[i]
		if at := n.fd / pageSize; at < len(p.pages) && p.pages[at] != nil {
			n.handler = p.pages[at].handlers[n.fd%pageSize]
		}
	}
}

// notice is news of a socket.
type notice struct {
	fd      int
	event   Event
	handler Handler
}

const (
	batch    = 128      // notices taken at a time
	readSize = 64 << 10 // of a worker's buffer
)

// worker waits for the sockets that were given to it.
type worker struct {
	poller  *Poller
	queue   *queue
	sockets int // guarded by poller.mu

	buf   []byte
	line  turn.Line     // it is everybody's, and waits for no other worker
	began time.Time     // its turn
	heavy []int         // descriptors with news that can wait, in order, from head on
	head  int           //
	news  map[int]Event // theirs
	one   [1]notice     // of one of them
}

func (w *worker) run() {
	w.line.Open()
	defer w.line.Close()
	w.buf, w.news = make([]byte, readSize), make(map[int]Event)
	notices := make([]notice, batch)
	for {
		n, waited := w.queue.wait(notices, w.head == len(w.heavy))
		if n < 0 {
			return
		}
		now := time.Now()
		if waited {
			w.began = now
		}
		w.poller.find(notices[:n])
		for i := range notices[:n] {
			if !w.putOff(notices[i], now) {
				now = w.tell(notices[i], now)
			}
			notices[i].handler = nil
		}
		for w.head < len(w.heavy) && w.tellHeavy(now) {
			now = time.Now()
		}
		// What the handlers have started comes before more of the same.
		runtime.Gosched()
	}
}

// putOff has one wait who has taken much of late.
func (w *worker) putOff(n notice, now time.Time) bool {
	if n.handler == nil {
		return false
	}
	if s := n.handler.Of(); s.worker != w || !s.debt.Heavy(now) {
		return false
	}
	if w.head > 0 && len(w.heavy) == cap(w.heavy) {
		w.heavy, w.head = w.heavy[:copy(w.heavy, w.heavy[w.head:])], 0
	}
	if _, waits := w.news[n.fd]; !waits {
		w.heavy = append(w.heavy, n.fd)
	}
	w.news[n.fd] |= n.event
	return true
}

// tellHeavy tells one of those that wait, and says whether it may be the next
// one's turn. After a slice it is not: there may be others who have taken little by then.
func (w *worker) tellHeavy(now time.Time) bool {
	began := w.began
	one := w.one[:]
	one[0].fd = w.heavy[w.head]
	one[0].event = w.news[one[0].fd] | Heavy
	delete(w.news, one[0].fd)
	if w.head++; w.head == len(w.heavy) {
		w.heavy, w.head = w.heavy[:0], 0
	}
	w.poller.find(one)
	w.tell(one[0], now)
	one[0].handler = nil
	return w.began.Equal(began)
}

// tell calls a handler, and lets others in when it is their turn. It returns the
// time.
func (w *worker) tell(n notice, now time.Time) time.Time {
	if n.handler == nil {
		return now
	}
	s := n.handler.Of()
	if s.worker != w { // it has got the descriptor since: its own worker is told
		return now
	}
	n.handler.Ready(n.event, w.buf)
	began := now
	now = time.Now()
	s.debt.Add(now, now.Sub(began))
	if now.Sub(w.began) <= turn.Slice {
		return now
	}
	w.line.Wait()
	w.began = time.Now()
	return w.began
}

// Socket is a connection's descriptor, of which it is the only owner. The zero
// value is none. All methods but Adopt and Start may be called concurrently.
type Socket struct {
	worker *worker
	mu     sync.Mutex // held while the descriptor is in use, so that it is not closed and given to another meanwhile
	handle int32      // the descriptor and 1; 0 = none
	debt   turn.Debt  // its worker's
}

// Adopt takes the descriptor over from nc, which is closed without ending the
// connection. If it reports false nc is as it was.
func (s *Socket) Adopt(p *Poller, nc net.Conn) bool {
	if !supported || p == nil {
		return false
	}
	fd, err := take(nc)
	if err != nil {
		return false
	}
	if !s.AdoptDescriptor(p, fd) {
		closeDescriptor(fd)
		return false
	}
	// The connection lives on in fd: there is nothing to be told by an error.
	_ = nc.Close()
	return true
}

// AdoptDescriptor is Adopt for a descriptor that does not block and is nobody
// else's. If it reports false it still belongs to the caller.
func (s *Socket) AdoptDescriptor(p *Poller, fd int) bool {
	if !supported || p == nil {
		return false
	}
	w := p.enter()
	if w == nil {
		return false
	}
	s.worker, s.handle = w, int32(fd+1)
	return true
}

// AdoptListener has the socket be a second descriptor of l, which stays as it
// is: it listens until both are closed, or one of them is shut down.
func (s *Socket) AdoptListener(p *Poller, l *net.TCPListener) bool {
	if !supported {
		return false
	}
	fd, err := listening(l)
	if err != nil {
		return false
	}
	if !s.AdoptDescriptor(p, fd) {
		closeDescriptor(fd)
		return false
	}
	return true
}

// Release is Close but for the descriptor, which is the caller's from now on.
// It reports false if there is none.
func (s *Socket) Release() (fd int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handle == 0 {
		return 0, false
	}
	fd = int(s.handle - 1)
	s.handle = 0
	s.worker.poller.watch(fd, nil)
	s.worker.queue.remove(fd)
	s.worker.poller.leave(s.worker)
	return fd, true
}

// Conn makes a connection of package net of a descriptor, which it takes over.
func Conn(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "socket")
	defer file.Close()
	return net.FileConn(file)
}

// Adopted reports whether the socket was ever given a descriptor.
func (s *Socket) Adopted() bool { return s.worker != nil }

// Start has h told of events, beginning with those that are due.
func (s *Socket) Start(h Handler) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handle == 0 {
		return net.ErrClosed
	}
	fd := int(s.handle - 1)
	s.worker.poller.watch(fd, h)
	return s.worker.queue.add(fd)
}

// Close closes the descriptor. The handler may be told once more.
func (s *Socket) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handle == 0 {
		return
	}
	fd := int(s.handle - 1)
	s.handle = 0
	s.worker.poller.watch(fd, nil)
	closeDescriptor(fd)
	s.worker.poller.leave(s.worker)
}
