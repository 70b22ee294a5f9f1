package load

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const (
	readSize  = 256 << 10
	maxEvents = 1024
)

// A loop waits for sockets and for the clock, on one goroutine.
type loop struct {
	epoll int
	timer int // a timerfd: epoll_wait alone counts in milliseconds
	armed int64
	start time.Time
	now   int64 // nanoseconds since start, when the events at hand were taken
	socks []*sock
	dirty []*sock // have something to write at the end of the turn
	open  int
	buf   []byte
	event []unix.EpollEvent
}

func newLoop() (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("timerfd: %w", err)
	}
	l := &loop{epoll: epoll, timer: timer, start: time.Now(), buf: make([]byte, readSize), event: make([]unix.EpollEvent, maxEvents)}
	if err := l.watch(timer, unix.EPOLLIN, unix.EPOLL_CTL_ADD); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *loop) close() {
	for _, s := range l.socks {
		if s != nil {
			s.close(nil)
		}
	}
	unix.Close(l.timer)
	unix.Close(l.epoll)
}

func (l *loop) watch(fd int, events uint32, op int) error {
	if err := unix.EpollCtl(l.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (l *loop) clock() int64 { return int64(time.Since(l.start)) }

// turn writes what is to be written, waits for events until the time until at
// most, and handles them.
func (l *loop) turn(until int64) error {
	l.flush()
	wait := 0
	if now := l.clock(); until > now {
		if err := l.arm(now, until); err != nil {
			return err
		}
		wait = -1
	}
	n, err := unix.EpollWait(l.epoll, l.event, wait)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("epoll_wait: %w", err)
	}
	l.now = l.clock()
	for i := range max(n, 0) {
		fd := int(l.event[i].Fd)
		switch {
		case fd == l.timer:
			l.disarm()
		case fd < len(l.socks) && l.socks[fd] != nil:
			l.socks[fd].ready(l.event[i].Events)
		}
	}
	return nil
}

// arm sets the timer, unless it is set to that time already.
func (l *loop) arm(now, until int64) error {
	if l.armed == until {
		return nil
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(until - now)}
	if err := unix.TimerfdSettime(l.timer, 0, &spec, nil); err != nil {
		return fmt.Errorf("timerfd_settime: %w", err)
	}
	l.armed = until
	return nil
}

func (l *loop) disarm() {
	var expirations [8]byte
	_, _ = unix.Read(l.timer, expirations[:]) // level-triggered: if it is not read it comes again
	l.armed = 0
}

func (l *loop) flush() {
	for i, s := range l.dirty {
		l.dirty[i] = nil
		s.dirty = false
		s.write()
	}
	l.dirty = l.dirty[:0]
}

// A handler is who a socket belongs to. Its methods are called by the loop.
type handler interface {
	// connected: the socket may be written to.
	connected(s *sock)
	// receive takes what has come and returns how much of it was used; the rest
	// is shown again, with more. The socket may have been closed.
	receive(s *sock, data []byte) (used int, err error)
	// closed is called last, unless the owner closed the socket itself. err is
	// nil if the peer did.
	closed(s *sock, err error)
}

// A sock is a TCP connection that never waits.
type sock struct {
	loop       *loop
	fd         int // -1 once closed
	owner      handler
	in         []byte // came, and is not whole yet
	out        []byte // is to be written
	connecting bool
	dirty      bool
	blocked    bool // the kernel takes no more: wait for EPOLLOUT
}

// dial begins to connect to an address, from a source address if there is one.
func (l *loop) dial(to unix.Sockaddr, from *[4]byte, owner handler) (*sock, error) {
	domain := unix.AF_INET
	if _, six := to.(*unix.SockaddrInet6); six {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if from != nil {
		// The port is chosen when connecting, when it is known that it has to be
		// free for this peer only.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: *from}); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("bind: %w", err)
		}
	}
	if err := unix.Connect(fd, to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return nil, fmt.Errorf("connect: %w", err)
	}
	s := &sock{loop: l, fd: fd, owner: owner, connecting: true}
	if err := l.watch(fd, unix.EPOLLIN|unix.EPOLLOUT, unix.EPOLL_CTL_ADD); err != nil {
		unix.Close(fd)
		return nil, err
	}
	for len(l.socks) <= fd {
		l.socks = append(l.socks, nil)
	}
	l.socks[fd] = s
	l.open++
	return s, nil
}

// close closes the socket at once, with a reset, so that no port stays behind
// in TIME_WAIT. The owner is told if there is an error.
func (s *sock) close(err error) {
	if s.fd < 0 {
		return
	}
	_ = unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	s.loop.socks[s.fd] = nil
	s.loop.open--
	unix.Close(s.fd)
	s.fd, s.in, s.out = -1, nil, nil
	if err != nil {
		s.fail(err)
	}
}

var errEnded = errors.New("load: the server closed the connection")

func (s *sock) fail(err error) {
	if errors.Is(err, errEnded) {
		err = nil
	}
	s.owner.closed(s, err)
}

// ready handles events of epoll.
func (s *sock) ready(events uint32) {
	if s.connecting {
		code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		if err == nil {
			err = s.loop.watch(s.fd, unix.EPOLLIN, unix.EPOLL_CTL_MOD)
		}
		if err != nil {
			s.close(fmt.Errorf("connect: %w", err))
			return
		}
		s.connecting = false
		s.owner.connected(s)
		return
	}
	if events&unix.EPOLLOUT != 0 {
		s.write()
	}
	if events&^unix.EPOLLOUT != 0 && s.fd >= 0 {
		s.read()
	}
}

// read reads once: if more is there the loop comes back.
func (s *sock) read() {
	n, err := unix.Read(s.fd, s.loop.buf)
	switch {
	case n > 0:
	case err == nil:
		s.close(errEnded)
		return
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	default:
		s.close(fmt.Errorf("read: %w", err))
		return
	}
	data := s.loop.buf[:n]
	if len(s.in) > 0 {
		s.in = append(s.in, data...)
		data = s.in
	}
	used, err := s.owner.receive(s, data)
	switch {
	case s.fd < 0:
	case err != nil:
		s.close(err)
	case used == len(data):
		s.in = nil
	default:
		s.in = append(s.in[:0], data[used:]...)
	}
}

// send queues data that the caller appended to what push returned.
func (s *sock) send(out []byte) {
	s.out = out
	if !s.dirty && s.fd >= 0 {
		s.dirty = true
		s.loop.dirty = append(s.loop.dirty, s)
	}
}

// write writes what the kernel takes.
func (s *sock) write() {
	if s.fd < 0 || s.connecting || len(s.out) == 0 {
		return
	}
	n, err := unix.Write(s.fd, s.out)
	if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		s.close(fmt.Errorf("write: %w", err))
		return
	}
	rest := copy(s.out, s.out[max(n, 0):])
	s.out = s.out[:rest]
	if rest == 0 && cap(s.out) > 64<<10 {
		s.out = nil
	}
	if blocked := rest > 0; blocked != s.blocked {
		s.blocked = blocked
		events := uint32(unix.EPOLLIN)
		if blocked {
			events |= unix.EPOLLOUT
		}
		if err := s.loop.watch(s.fd, events, unix.EPOLL_CTL_MOD); err != nil {
			s.close(err)
		}
	}
}

// resolve finds the address of host:port.
func resolve(host string) (unix.Sockaddr, bool, error) {
	addr, err := net.ResolveTCPAddr("tcp", host)
	if err != nil {
		return nil, false, err
	}
	if four := addr.IP.To4(); four != nil {
		return &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(four)}, four[0] == 127, nil
	}
	return &unix.SockaddrInet6{Port: addr.Port, Addr: [16]byte(addr.IP.To16())}, false, nil
}
