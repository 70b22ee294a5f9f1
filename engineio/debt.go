package engineio

import (
	"io"
	"net/http"
	"os"
	"time"

	"github.com/tutti-rt/tutti/internal/limit"
)

// debtor is a session as its budget sees it. Of a session on a WebSocket that is only what a POST has brought: the
// connection counts for itself.
type debtor Session

var _ limit.Debtor = (*debtor)(nil)

// Owes implements [limit.Debtor].
func (d *debtor) Owes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t, ok := d.transport.(*pollTransport); ok {
		return t.size + t.arrived
	}
	return 0
}

// CutOff implements [limit.Debtor].
func (d *debtor) CutOff() {
	s := (*Session)(d)
	s.mu.Lock()
	s.failLocked(&fault{ReasonTransportError, ErrTooSlow}, endCut)
	s.mu.Unlock()
	s.tell()
}

func (t *pollTransport) budget() *limit.Budget { return t.s.srv.cfg.Quota.Budget() }

// count has the budget count the last frame of the queue, if much waits.
func (t *pollTransport) count(f *Frame) {
	if t.light == len(t.queue)-1 && t.size < t.budget().Heavy() {
		t.light++
		return
	}
	t.budget().Hold(&f.shared, f.Len()+frameOverhead)
	t.owe()
}

// uncount takes frames off the budget that were the first of the queue.
func (t *pollTransport) uncount(frames []*Frame) {
	light := min(t.light, len(frames))
	t.light -= light
	for _, f := range frames[light:] {
		t.budget().Drop(&f.shared, f.Len()+frameOverhead)
	}
	t.cleared()
}

// owe makes the session one that the budget may cut off, and cleared undoes that if nothing is counted.
func (t *pollTransport) owe() {
	if !t.owing && t.status != ended {
		t.owing = true
		t.budget().Enter((*debtor)(t.s))
	}
}

func (t *pollTransport) cleared() {
	if t.owing && t.arrived == 0 && t.light >= len(t.queue) {
		t.owing = false
		t.budget().Leave((*debtor)(t.s))
	}
}

// arrive counts what has arrived of a POST.
func (t *pollTransport) arrive(size int) {
	if size < t.budget().Heavy() {
		size = 0
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.budget().Add(size - t.arrived)
	if t.arrived = size; size > 0 {
		t.owe()
	} else {
		t.cleared()
	}
}

// extend gives the next piece of a body its time. It reports whether the body was ended meanwhile, which must stand.
func (t *pollTransport) extend(conn *http.ResponseController) (cut bool) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if d := t.s.srv.cfg.WriteTimeout; d > 0 && !t.cut {
		_ = conn.SetReadDeadline(time.Now().Add(d)) // a connection without deadlines has its server's
	}
	return t.cut
}

// A counted body tells what has arrived of it, and ends when nothing does for [Config.WriteTimeout].
type counted struct {
	t    *pollTransport
	body io.Reader
	conn *http.ResponseController
	n    int
}

func (c *counted) Read(p []byte) (int, error) {
	if c.t.extend(c.conn) {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := c.body.Read(p)
	if before := c.n; n > 0 {
		c.n += n
		if heavy := c.t.budget().Heavy(); c.n/heavy != before/heavy {
			c.t.arrive(c.n)
		}
	}
	return n, err
}
