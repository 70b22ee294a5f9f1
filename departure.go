package tutti

import "sync"

// departures are the sockets whose disconnect handlers have not run, so that
// the one that comes back under the id of another can wait: an application sees
// one socket of an id at a time.
type departures struct {
	mu     sync.Mutex
	newest map[string]*departure // by id
}

// A departure is a socket that has left.
type departure struct {
	socket *Socket
	before *departure    // noted earlier, and maybe not over; nil: none
	over   chan struct{} // closed when the disconnect handlers have run
}

// departLocked notes that a socket's disconnect handlers are about to run.
// Whoever finds that the socket has left finds the note.
func (s *Socket) departLocked() {
	if !s.returns {
		return
	}
	d := &s.link.server.departing
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.newest == nil {
		d.newest = make(map[string]*departure)
	}
	d.newest[s.id] = &departure{s, d.newest[s.id], make(chan struct{})}
}

// departed notes that they have run.
func (srv *Server) departed(s *Socket) {
	if !s.returns {
		return
	}
	d, id := &srv.departing, s.ID()
	d.mu.Lock()
	defer d.mu.Unlock()
	var after *departure
	for own := d.newest[id]; own != nil; after, own = own, own.before {
		if own.socket != s {
			continue
		}
		close(own.over)
		switch {
		case after != nil:
			after.before = own.before
		case own.before != nil:
			d.newest[id] = own.before
		default:
			delete(d.newest, id)
		}
		return
	}
}

// awaitDeparture waits until the disconnect handlers of the sockets have run
// that had this one's id. Several may be on their way when a client comes back
// again and again, this one among them: each waits for those that were noted
// before it was, so that no two wait for each other.
func (srv *Server) awaitDeparture(s *Socket) {
	if !s.recovered {
		return
	}
	for last := srv.departing.before(s); last != nil; last = srv.departing.before(s) {
		<-last.over
	}
}

// before returns the last that has left before s, and is not over; nil: none.
func (d *departures) before(s *Socket) *departure {
	id := s.ID()
	d.mu.Lock()
	defer d.mu.Unlock()
	last := d.newest[id]
	for own := last; own != nil; own = own.before {
		if own.socket == s {
			return own.before
		}
	}
	return last
}
