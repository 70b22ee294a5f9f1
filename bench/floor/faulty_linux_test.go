package main

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/load"
)

// A fault decides what becomes of a message: it hands what is to be sent, in
// order, to send. It is called for one member's messages, one at a time.
type fault func(n int, frame []byte, send func([]byte))

// A faulty is a floor that does wrong to the second member that joined.
type faulty struct {
	netServer
	fault fault
	n     int

	running sync.WaitGroup
	connsMu sync.Mutex
	conns   []net.Conn
}

// serveFaulty serves until the test ends, and returns where.
func serveFaulty(t *testing.T, s *faulty) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.rooms = make(map[string][]*netPeer)
	s.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.connsMu.Lock()
			s.conns = append(s.conns, c)
			s.connsMu.Unlock()
			s.running.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.connsMu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.connsMu.Unlock()
		s.running.Wait()
	})
	return "http://" + l.Addr().String()
}

// serve is a peer's reader.
func (s *faulty) serve(c net.Conn) {
	p := &netPeer{conn: c, server: &s.netServer}
	defer p.end()
	buf := make([]byte, 64<<10)
	have, open := 0, false
	for {
		n, err := c.Read(buf[have:])
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
			open, used = size > 0, size
			p.send(reply)
		}
		if open {
			n, err := frames(buf[used:have], p, s.publish)
			if err != nil {
				return
			}
			used += n
		}
		have = copy(buf, buf[used:have])
	}
}

// publish is that of a floor, but for one member.
func (s *faulty) publish(room string, frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.rooms[room] {
		if i != 1 {
			p.send(frame)
			continue
		}
		s.n++
		s.fault(s.n, frame, p.send)
	}
}

// faults are what a server can do wrong, made anew for each.
func faults() map[string]fault {
	var held []byte
	return map[string]fault{
		"nothing": func(_ int, frame []byte, send func([]byte)) { send(frame) },
		"lost": func(n int, frame []byte, send func([]byte)) {
			if n%10 != 0 {
				send(frame)
			}
		},
		"swapped": func(n int, frame []byte, send func([]byte)) {
			switch {
			case n%10 == 2:
				held = bytes.Clone(frame)
			case held != nil:
				send(frame)
				send(held)
				held = nil
			default:
				send(frame)
			}
		},
		"twice": func(n int, frame []byte, send func([]byte)) {
			if send(frame); n%10 == 0 {
				send(frame)
			}
		},
		"one twice, one not": func(n int, frame []byte, send func([]byte)) {
			if n%10 != 2 {
				send(frame)
			}
			if n%10 == 0 {
				send(frame)
			}
		},
	}
}

// TestGeneratorNotices: what a server loses, swaps or repeats is counted.
func TestGeneratorNotices(t *testing.T) {
	for name, want := range map[string]struct{ lost, disorder bool }{
		"nothing":            {false, false},
		"lost":               {true, false},
		"swapped":            {false, true},
		"twice":              {false, true},
		"one twice, one not": {true, true},
	} {
		for _, publishers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/publishers=%d", name, publishers), func(t *testing.T) {
				t.Parallel()
				url := serveFaulty(t, &faulty{fault: faults()[name]})
				r, err := load.Run(t.Context(), load.Options{
					URL: url, Scenario: load.Fanout, Clients: 4, Rate: 200, Publishers: publishers, Duration: 505 * time.Millisecond, WarmUp: -1,
				})
				if err != nil {
					t.Fatal(err)
				}
				if (r.Lost > 0) != want.lost || r.Lost < 0 || (r.Disorder > 0) != want.disorder || r.Done == 0 {
					t.Errorf("%d done, %d lost, %d out of order; want lost %v, out of order %v", r.Done, r.Lost, r.Disorder, want.lost, want.disorder)
				}
			})
		}
	}
}

// TestGeneratorMissesAcks: a floor gives publishers no acks.
func TestGeneratorMissesAcks(t *testing.T) {
	t.Parallel()
	url := serveFaulty(t, &faulty{fault: func(_ int, frame []byte, send func([]byte)) { send(frame) }})
	r, err := load.Run(t.Context(), load.Options{
		URL: url, Scenario: load.Durable, Clients: 4, Rate: 100, Publishers: 2, Duration: 2 * time.Second, WarmUp: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Lost == 0 || r.Disorder != 0 || r.Published != 0 {
		t.Errorf("%d lost, %d out of order, %v acks per second; want all acks lost", r.Lost, r.Disorder, r.Published)
	}
}
