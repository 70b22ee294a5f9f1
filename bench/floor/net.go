package main

import (
	"net"
	"slices"
	"sync"
)

// A netPeer has a goroutine that reads, and one that writes while there is
// something to write: all that is pending in one write.
type netPeer struct {
	conn   net.Conn
	server *netServer
	rooms  []string

	mu      sync.Mutex
	pending []byte
	spare   []byte
	writing bool
}

type netServer struct {
	mu    sync.RWMutex
	rooms map[string][]*netPeer
}

func serveNet(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := &netServer{rooms: make(map[string][]*netPeer)}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go (&netPeer{conn: c, server: s}).run()
	}
}

func (p *netPeer) run() {
	defer p.end()
	buf := make([]byte, 4096)
	have, open := 0, false
	for {
		n, err := p.conn.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		used := 0
		if !open {
			reply, size, err := handshake(buf[:have])
			if err != nil {
				return
			}
			if size > 0 {
				open, used = true, size
				p.send(reply)
			}
		}
		if open {
			n, err := frames(buf[used:have], p, p.server.publish)
			if err != nil {
				return
			}
			used += n
		}
		have = copy(buf, buf[used:have])
		if have == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

func (p *netPeer) end() {
	p.mu.Lock()
	last := p.pending
	p.pending = nil
	p.mu.Unlock()
	p.conn.Write(last) // the close frame, unless the writer was quicker
	p.conn.Close()
	s := p.server
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, room := range p.rooms {
		if i := slices.Index(s.rooms[room], p); i >= 0 {
			s.rooms[room] = slices.Delete(s.rooms[room], i, i+1)
		}
	}
}

func (p *netPeer) join(room string) {
	p.rooms = append(p.rooms, room)
	p.server.mu.Lock()
	defer p.server.mu.Unlock()
	p.server.rooms[room] = append(p.server.rooms[room], p)
}

func (s *netServer) publish(room string, frame []byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.rooms[room] {
		p.send(frame)
	}
}

func (p *netPeer) send(frame []byte) {
	p.mu.Lock()
	p.pending = append(p.pending, frame...)
	start := !p.writing
	p.writing = true
	p.mu.Unlock()
	if start {
		go p.write()
	}
}

func (p *netPeer) write() {
	for {
		p.mu.Lock()
		b := p.pending
		p.pending, p.spare = p.spare[:0], nil
		if len(b) == 0 {
			p.writing, p.pending = false, nil
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		p.conn.Write(b)
		p.mu.Lock()
		p.spare = b
		p.mu.Unlock()
	}
}
