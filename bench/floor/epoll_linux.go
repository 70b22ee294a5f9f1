package main

import (
	"errors"
	"net"
	"slices"
	"syscall"
)

// An epollServer does everything in one loop. What a room was sent while the
// loop handled one set of events leaves in one write for each member.
type epollServer struct {
	epoll  int
	listen int
	peers  []*epollPeer // by file descriptor
	rooms  map[string]*epollRoom
	told   []*epollRoom // have something to write
	dirty  []*epollPeer // likewise
	buf    []byte
}

type epollRoom struct {
	members []*epollPeer
	pending []byte
}

type epollPeer struct {
	server  *epollServer
	fd      int32
	open    bool
	dirty   bool
	blocked bool
	in, out []byte // nil at rest
	rooms   []*epollRoom
}

func serveEpoll(address string) error {
	s := &epollServer{rooms: make(map[string]*epollRoom), buf: make([]byte, 256<<10)}
	if err := s.start(address); err != nil {
		return err
	}
	events := make([]syscall.EpollEvent, 1024)
	for {
		n, err := syscall.EpollWait(s.epoll, events, -1)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
		for i := range max(n, 0) {
			switch fd := int(events[i].Fd); {
			case fd == s.listen:
				s.accept()
			case s.peers[fd] != nil && events[i].Events&syscall.EPOLLOUT != 0:
				s.peers[fd].write()
			case s.peers[fd] != nil:
				s.peers[fd].read()
			}
		}
		s.flush()
	}
}

func (s *epollServer) start(address string) error {
	addr, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return err
	}
	if s.listen, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0); err != nil {
		return err
	}
	if err := syscall.SetsockoptInt(s.listen, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := syscall.Bind(s.listen, &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}); err != nil {
		return err
	}
	if err := syscall.Listen(s.listen, 4096); err != nil {
		return err
	}
	if s.epoll, err = syscall.EpollCreate1(0); err != nil {
		return err
	}
	return syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_ADD, s.listen, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(s.listen)})
}

func (s *epollServer) accept() {
	for {
		fd, _, err := syscall.Accept4(s.listen, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		for len(s.peers) <= fd {
			s.peers = append(s.peers, nil)
		}
		s.peers[fd] = &epollPeer{server: s, fd: int32(fd)}
		syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
	}
}

func (s *epollServer) flush() {
	for _, r := range s.told {
		for _, p := range r.members {
			p.writeShared(r.pending)
		}
		r.pending = r.pending[:0]
	}
	s.told = s.told[:0]
	for _, p := range s.dirty {
		p.dirty = false
		p.write()
	}
	s.dirty = s.dirty[:0]
}

func (s *epollServer) publish(room string, frame []byte) {
	r := s.rooms[room]
	if r == nil {
		return
	}
	if len(r.pending) == 0 {
		s.told = append(s.told, r)
	}
	r.pending = append(r.pending, frame...)
}

func (p *epollPeer) join(room string) {
	r := p.server.rooms[room]
	if r == nil {
		r = new(epollRoom)
		p.server.rooms[room] = r
	}
	r.members = append(r.members, p)
	p.rooms = append(p.rooms, r)
}

func (p *epollPeer) send(frame []byte) {
	p.out = append(p.out, frame...)
	if !p.dirty {
		p.dirty = true
		p.server.dirty = append(p.server.dirty, p)
	}
}

func (p *epollPeer) read() {
	s := p.server
	n, err := syscall.Read(int(p.fd), s.buf)
	if n <= 0 {
		if err == nil || !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR) {
			p.end()
		}
		return
	}
	data := s.buf[:n]
	if len(p.in) > 0 {
		data = append(p.in, data...)
	}
	used := 0
	if !p.open {
		reply, size, err := handshake(data)
		if err != nil {
			p.end()
			return
		}
		if size > 0 {
			p.open, used = true, size
			p.send(reply)
		}
	}
	if p.open {
		n, err := frames(data[used:], p, s.publish)
		if err != nil {
			p.write() // the close frame
			p.end()
			return
		}
		used += n
	}
	p.in = nil
	if used < len(data) {
		p.in = slices.Clone(data[used:])
	}
}

// writeShared writes what is a room's, and keeps only what the kernel doesn't
// take.
func (p *epollPeer) writeShared(data []byte) {
	if p.fd < 0 {
		return
	}
	n := 0
	if len(p.out) == 0 {
		n, _ = syscall.Write(int(p.fd), data)
		n = max(n, 0)
	}
	if n < len(data) {
		p.out = append(p.out, data[n:]...)
		p.block(true)
	}
}

func (p *epollPeer) write() {
	if p.fd < 0 || len(p.out) == 0 {
		return
	}
	n, _ := syscall.Write(int(p.fd), p.out)
	if p.out = p.out[max(n, 0):]; len(p.out) == 0 {
		p.out = nil
	}
	p.block(len(p.out) > 0)
}

func (p *epollPeer) block(blocked bool) {
	if p.blocked == blocked {
		return
	}
	p.blocked = blocked
	events := uint32(syscall.EPOLLIN)
	if blocked {
		events |= syscall.EPOLLOUT
	}
	syscall.EpollCtl(p.server.epoll, syscall.EPOLL_CTL_MOD, int(p.fd), &syscall.EpollEvent{Events: events, Fd: p.fd})
}

func (p *epollPeer) end() {
	for _, r := range p.rooms {
		if i := slices.Index(r.members, p); i >= 0 {
			r.members = slices.Delete(r.members, i, i+1)
		}
	}
	p.server.peers[p.fd] = nil
	syscall.Close(int(p.fd))
	p.fd = -1
}
