//go:build !memnet

package poll

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/tutti-rt/tutti/internal/sweep"
)

const supported = true

// Supported tells whether sockets can be adopted at all.
const Supported = supported

const (
	edge = 1 << 31 // EPOLLET, which package syscall has as a negative number

	forReading = syscall.EPOLLIN | syscall.EPOLLRDHUP | edge
	forWriting = forReading | syscall.EPOLLOUT
)

// queue is an epoll instance. It is itself in the runtime's, so that a worker
// that waits is a goroutine that waits for a file, and not a thread that the
// scheduler has to replace.
type queue struct {
	file   *sweep.File
	fd     int
	events [batch]syscall.EpollEvent
	n      int
	tries  int
	rest   bool                         // wait for notices
	try    func(fd uintptr) (done bool) // q.attempt, bound once
}

// glance is the time between two looks while the runtime may not be looking.
const glance = 200 * time.Microsecond

func newQueue() (*queue, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make epoll: %w", err)
	}
	q := &queue{fd: fd}
	if err := syscall.SetNonblock(fd, true); err != nil { // or the runtime would not wait for it
		closeDescriptor(fd)
		return nil, fmt.Errorf("make epoll: %w", err)
	}
	if q.file, err = sweep.Open(uintptr(fd), "epoll"); err != nil {
		return nil, fmt.Errorf("make epoll: %w", err)
	}
	q.try = q.attempt
	return q, nil
}

// close ends waiting, now and ever.
func (q *queue) close() { q.file.Close() }

func (q *queue) add(fd int) error {
	return q.control(syscall.EPOLL_CTL_ADD, fd, forReading)
}

// again has the queue tell about fd even if nothing changes any more, and from
// now on also when it becomes writable.
func (q *queue) again(fd int) error {
	return q.control(syscall.EPOLL_CTL_MOD, fd, forWriting)
}

// remove has the queue forget fd.
func (q *queue) remove(fd int) {
	_ = q.control(syscall.EPOLL_CTL_DEL, fd, 0) // it was never added: as well
}

func (q *queue) control(op, fd int, events uint32) error {
	e := syscall.EpollEvent{Events: events, Fd: int32(fd)}
	if err := syscall.EpollCtl(q.fd, op, fd, &e); err != nil {
		return fmt.Errorf("watch socket: %w", err)
	}
	return nil
}

// wait returns how many notices it has filled in, or -1 after close, and whether it
// had to wait for them. If it is to rest that is at least one, unless the runtime sweeps
// and may not be looking: then it rests for a moment only.
func (q *queue) wait(notices []notice, rest bool) (n int, waited bool) {
	q.tries, q.rest = 0, rest
	var patience time.Duration // who does not rest needs none
	if rest {
		patience = glance
	}
	err := q.file.Wait(q.try, patience)
	for errors.Is(err, os.ErrDeadlineExceeded) {
		q.rest = false // it has been long enough
		err = q.file.Wait(q.try, 0)
	}
	if err != nil {
		return -1, false
	}
	for i, e := range q.events[:q.n] {
		var event Event
		if e.Events&(syscall.EPOLLIN|syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
			event |= Readable
		}
		if e.Events&(syscall.EPOLLOUT|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
			event |= Writable
		}
		if e.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
			event |= Hangup
		}
		notices[i] = notice{fd: int(e.Fd), event: event}
	}
	return q.n, q.tries > 1
}

func (q *queue) attempt(fd uintptr) (done bool) {
	q.tries++
	n, err := syscall.EpollWait(int(fd), q.events[:], 0)
	q.n = max(n, 0)
	return q.n > 0 || !q.rest || err != nil && err != syscall.EINTR
}

// take duplicates the descriptor of a connection whose bytes are the socket's
// bytes. Only the two types that are exactly that will do, and one that says
// that it is no more than one of them: any other that embeds them may read ahead
// or decrypt, or has something to do when it is closed.
func take(nc net.Conn) (fd int, err error) {
	var raw syscall.RawConn
	switch nc := nc.(type) {
	case *net.TCPConn:
		raw, err = nc.SyscallConn()
	case *net.UnixConn:
		raw, err = nc.SyscallConn()
	case interface{ Plain() *net.TCPConn }:
		if under := nc.Plain(); under != nil {
			return take(under)
		}
		return 0, errors.ErrUnsupported
	default:
		return 0, errors.ErrUnsupported
	}
	if err != nil {
		return 0, err
	}
	return duplicate(raw)
}

// listening duplicates the descriptor of a listener.
func listening(l *net.TCPListener) (fd int, err error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return 0, err
	}
	return duplicate(raw)
}

func duplicate(raw syscall.RawConn) (fd int, err error) {
	var fail error
	err = raw.Control(func(old uintptr) {
		r, _, errno := syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		if fd = int(r); errno != 0 {
			fail = errno
		}
	})
	return fd, errors.Join(err, fail)
}

func closeDescriptor(fd int) {
	_ = syscall.Close(fd) // there is nobody to tell
}

// Read reads what there is: nothing at all is 0 and no error, the end io.EOF.
// Only one goroutine may read, and close, at a time.
func (s *Socket) Read(p []byte) (int, error) {
	if s.handle == 0 {
		return 0, net.ErrClosed
	}
	for {
		n, err := syscall.Read(int(s.handle-1), p)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case err == syscall.EAGAIN:
			return 0, nil
		case err != syscall.EINTR:
			return 0, fmt.Errorf("read: %w", err)
		}
	}
}

// Write writes as much of p as the socket takes at once, which may be nothing.
func (s *Socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handle == 0 {
		return 0, net.ErrClosed
	}
	for {
		n, err := syscall.Write(int(s.handle-1), p)
		switch err {
		case nil:
			return n, nil
		case syscall.EAGAIN:
			return 0, nil
		case syscall.EINTR:
		default:
			return 0, fmt.Errorf("write: %w", err)
		}
	}
}

// Again has the handler told what the socket can do now and, from now on, also
// when it can be written. Before Start it does nothing.
func (s *Socket) Again() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handle == 0 {
		return net.ErrClosed
	}
	if err := s.worker.queue.again(int(s.handle - 1)); !errors.Is(err, syscall.ENOENT) {
		return err
	}
	return nil
}

// Shutdown ends the connection in both directions, or if half is set, says
// that nothing more will be written. The handler is told.
func (s *Socket) Shutdown(half bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how := syscall.SHUT_RDWR
	if half {
		how = syscall.SHUT_WR
	}
	if s.handle != 0 {
		_ = syscall.Shutdown(int(s.handle-1), how) // not connected any more: as well
	}
}

// Accept takes the next connection off a listener that was adopted: nothing at
// all is an error of EAGAIN. The descriptor does not block and is the caller's.
// Nagle's algorithm is off, as package net has it; there are no keep-alive
// probes. Only one goroutine may accept, and close, at a time.
func (s *Socket) Accept() (fd int, remote netip.AddrPort, err error) {
	if s.handle == 0 {
		return 0, remote, net.ErrClosed
	}
	var from syscall.Sockaddr
	for {
		fd, from, err = syscall.Accept4(int(s.handle-1), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != syscall.EINTR && err != syscall.ECONNABORTED {
			break
		}
	}
	if err != nil {
		return 0, remote, fmt.Errorf("accept: %w", err)
	}
	switch from := from.(type) {
	case *syscall.SockaddrInet4:
		remote = netip.AddrPortFrom(netip.AddrFrom4(from.Addr), uint16(from.Port))
	case *syscall.SockaddrInet6:
		remote = netip.AddrPortFrom(netip.AddrFrom16(from.Addr).Unmap(), uint16(from.Port))
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) // slower without
	return fd, remote, nil
}
