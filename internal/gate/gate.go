// Package gate takes the connections of a listener and answers small requests
// on them without a goroutine or a buffer for each, in front of an
// [http.Server] that gets everything else.
//
// # What it takes
//
// Requests of Engine.IO as clients send them: GET and POST of HTTP/1.1 for its
// paths that are not large, have a parameter EIO in their query, and nothing about
// their headers that would have to be thought about. They go to the same handler that
// the server has. A connection on which anything else comes is passed on to the
// server with all that was read, for good: whatever is unusual, wrong or hostile
// is net/http's to deal with.
//
// # Lifecycle
//
// A gate ends with its listener. From then on connections at rest are closed,
// and the others when they have been answered; its workers end with the last of
// them. Handlers run on goroutines that rest in between (serial.Crew).
//
// # Order
//
// A connection has one request at a time. What comes behind it waits, unread or
// within the little that was read.
//
// May import: internal/poll, internal/serial, internal/wheel.
package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tutti-rt/tutti/internal/poll"
	"github.com/tutti-rt/tutti/internal/serial"
	"github.com/tutti-rt/tutti/internal/wheel"
)

const (
	// resting is how many goroutines wait for handlers to run: as many as a
	// poller wakes at a time.
	resting = 128
	// tick is how coarse timeouts are.
	tick = 10 * time.Millisecond
	// patience is how long a connection may rest, or a peer may take nothing of
	// an answer, where the server sets no limit. Who rests for longer is passed
	// on: net/http has keep-alive probes.
	patience = time.Minute
	// acceptPause is how long accepting rests when there are no descriptors.
	acceptPause = 100 * time.Millisecond
	// acceptAtOnce is how many connections are taken while others wait.
	acceptAtOnce = 4
)

// A Guarded listener says which connections there is room for. Its methods may
// be called by any goroutine and must not wait.
type Guarded interface {
	net.Listener
	// Plain returns the listener behind it, nil if that is not a socket.
	Plain() *net.TCPListener
	// Admit counts a connection in, which has that descriptor; or it returns
	// what the peer is told before it is closed.
	Admit(remote netip.AddrPort, descriptor int) (refusal []byte, ok bool)
	// Left counts a connection out that was let in: it is over, or was taken
	// over by its handler. served says whether a request came at all. Of one that
	// is passed on to the server it is not told; the server's ConnState is.
	Left(remote netip.AddrPort, served bool)
}

// Gate stands before a server. It is the listener of what is passed on.
type Gate struct {
	net.Listener
	server  *http.Server
	handler http.Handler
	paths   []string
	door    door
	guard   Guarded         // nil: there is room for all
	ctx     context.Context // of requests: what they have in common
	poller  poll.Poller
	wheel   *wheel.Wheel
	crew    serial.Crew
	done    chan struct{} // closed by Close

	mu     sync.Mutex
	passed []net.Conn
	some   chan struct{} // holds one token while passed is not empty
	conns  map[*conn]struct{}
	closed bool

	date atomic.Pointer[date]
}

// Serve is server.Serve(l), through a gate for requests for paths where that is possible: l is a TCP
// listener, or a [Guarded] one, on a system with a poller, and the server has no
// hooks that want to see every connection; with a guard ConnState and
// ConnContext are heeded for the connections that are passed on. It returns when the server does; answers may still be
// on their way then, as with connections that were hijacked.
func Serve(server *http.Server, l net.Listener, paths ...string) error {
	g := newGate(server, l, paths)
	if g == nil {
		return server.Serve(l)
	}
	defer g.Close()
	return server.Serve(g)
}

// newGate opens a gate, or returns nil if there can be none.
func newGate(server *http.Server, l net.Listener, paths []string) *Gate {
	tcp, ok := l.(*net.TCPListener)
	guard, guarded := l.(Guarded)
	if guarded {
		tcp = guard.Plain()
		ok = tcp != nil
	}
	if !ok || !guarded && (server.ConnState != nil || server.ConnContext != nil) || server.BaseContext != nil {
		return nil
	}
	g := &Gate{
		Listener: l,
		server:   server,
		handler:  server.Handler,
		paths:    paths,
		guard:    guard,
		wheel:    wheel.New(tick),
		crew:     serial.Crew{Limit: -1, Resting: resting},
		done:     make(chan struct{}),
		some:     make(chan struct{}, 1),
		conns:    make(map[*conn]struct{}),
	}
	if g.handler == nil {
		g.handler = http.DefaultServeMux
	}
	g.ctx = context.WithValue(context.Background(), http.ServerContextKey, server)
	g.ctx = context.WithValue(g.ctx, http.LocalAddrContextKey, l.Addr())
	g.door.gate = g
	if !g.door.sock.AdoptListener(&g.poller, tcp) {
		return nil
	}
	g.wheel.Init(&g.door.pause, g.door.expect)
	if err := g.door.sock.Start(&g.door); err != nil {
		g.door.sock.Close()
		g.poller.Close()
		return nil
	}
	return g
}

// door is the listener as its worker sees it.
type door struct {
	gate  *Gate
	sock  poll.Socket
	pause wheel.Timer // while there are no descriptors
}

var _ poll.Handler = (*door)(nil)

// Of implements [poll.Handler].
func (d *door) Of() *poll.Socket { return &d.sock }

// Ready implements [poll.Handler]: it takes connections until there are none.
func (d *door) Ready(poll.Event, []byte) {
	for range acceptAtOnce {
		fd, remote, err := d.sock.Accept()
		switch {
		case err == nil:
			d.gate.open(fd, remote)
		case errors.Is(err, syscall.EAGAIN):
			return
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE),
			errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
			d.gate.logf("http: Accept error: %v; retrying in %v", err, acceptPause)
			d.pause.Reset(acceptPause)
			return
		default: // closed, most likely; if not, the server is told
			d.sock.Close()
			_ = d.gate.Close()
			return
		}
	}
	d.expect() // others wait
}

// expect has the worker look again.
func (d *door) expect() { _ = d.sock.Again() } // closed: as well

// open begins with a connection.
func (g *Gate) open(fd int, remote netip.AddrPort) {
	if g.guard != nil {
		if refusal, ok := g.guard.Admit(remote, fd); !ok {
			discard(fd, refusal)
			return
		}
	}
	c := newConn(g, remote.String())
	if !g.enter(c) || !c.sock.AdoptDescriptor(&g.poller, fd) {
		g.leave(c)
		c.left(false)
		discard(fd, nil)
		return
	}
	c.begin()
}

// discard closes a connection, with a few last words: the buffer of a new one
// takes them at once.
func discard(fd int, words []byte) {
	nc, err := poll.Conn(fd)
	if err != nil {
		return // it is closed
	}
	if len(words) > 0 {
		_, _ = nc.Write(words)
	}
	_ = nc.Close() // nobody to tell
}

func (g *Gate) enter(c *conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.conns[c] = struct{}{}
	return true
}

func (g *Gate) leave(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

// Close closes the listener, and connections at rest.
func (g *Gate) Close() error {
	err := g.Listener.Close()
	g.door.sock.Shutdown(false)
	g.mu.Lock()
	first := !g.closed
	g.closed = true
	conns, passed := g.conns, g.passed
	g.conns, g.passed = nil, nil
	if first {
		close(g.done)
	}
	g.mu.Unlock()
	for c := range conns {
		c.closeAtRest()
	}
	for _, nc := range passed {
		_ = nc.Close() // nobody to tell
	}
	g.poller.Close()
	g.crew.Close()
	return err
}

func (g *Gate) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// Accept returns the next connection that the gate has passed on.
func (g *Gate) Accept() (net.Conn, error) {
	for {
		select {
		case <-g.done:
			return nil, net.ErrClosed
		case <-g.some:
		}
		g.mu.Lock()
		if len(g.passed) == 0 {
			g.mu.Unlock()
			continue
		}
		nc := g.passed[0]
		g.passed = g.passed[1:]
		if len(g.passed) > 0 {
			g.tellLocked()
		}
		g.mu.Unlock()
		return nc, nil
	}
}

// pass hands a connection to the server.
func (g *Gate) pass(nc net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		_ = nc.Close() // nobody to tell
		return
	}
	g.passed = append(g.passed, nc)
	g.tellLocked()
}

// tellLocked says that there are some.
func (g *Gate) tellLocked() {
	select {
	case g.some <- struct{}{}:
	default:
	}
}

// headerTime is how long a peer may take for its first request, and whether it
// is passed on after that, for want of a limit.
func (g *Gate) headerTime() (d time.Duration, pass bool) {
	d = cmp.Or(g.server.ReadHeaderTimeout, g.server.ReadTimeout)
	return cmp.Or(max(d, 0), patience), d <= 0
}

// idleTime is the same for the time between requests.
func (g *Gate) idleTime() (d time.Duration, pass bool) {
	d = cmp.Or(g.server.IdleTimeout, g.server.ReadTimeout)
	return cmp.Or(max(d, 0), patience), d <= 0
}

// longHead reports whether a head is longer than the server takes, which it says
// itself.
func (g *Gate) longHead(head int) bool {
	return g.server.MaxHeaderBytes > 0 && head > g.server.MaxHeaderBytes
}

func (g *Gate) logf(format string, args ...any) {
	if g.server.ErrorLog != nil {
		g.server.ErrorLog.Printf(format, args...)
		return
	}
	slog.Error(fmt.Sprintf(format, args...))
}
