package engineio

import (
	"context"
	"math/rand/v2"
	"time"
)

// A Busy [Receiver] may be in the middle of something that a peer waits for. [Server.Drain] puts it off.
type Busy interface {
	Receiver
	// Busy says so. It must not wait.
	Busy() bool
}

// drainSlice is how long a slice of [Server.Drain] takes: who is in it leaves at some moment of it.
const drainSlice = 50 * time.Millisecond

// Drain refuses new sessions with 503, and closes those that are there with [ReasonShutdown]: not all at once, so that
// another server can take them, but spread over a time, in no order. A session in the middle of something is left for
// later, and is closed in the end. Drain returns when all are closing, or when ctx ends; [Server.Shutdown] is to follow.
func (srv *Server) Drain(ctx context.Context, over time.Duration) error {
	srv.mu.Lock()
	srv.draining = true
	waiting := make([]*Session, 0, len(srv.sessions))
	for _, s := range srv.sessions {
		waiting = append(waiting, s)
	}
	srv.mu.Unlock()
	rand.Shuffle(len(waiting), func(i, k int) { waiting[i], waiting[k] = waiting[k], waiting[i] })
	all, began := len(waiting), time.Now()
	slices := max(int(over/drainSlice), 1)
	for i := range slices {
		moment := time.Duration(i)*drainSlice + rand.N(drainSlice)
		if err := pause(ctx, time.Until(began.Add(moment))); err != nil {
			return err
		}
		due := all * (i + 1) / slices
		waiting = closeSlice(waiting, due-(all-len(waiting)), i == slices-1)
		if len(waiting) == 0 {
			break
		}
	}
	return nil
}

// closeSlice closes n sessions, of those that are not busy unless it is the last slice, and returns the others.
func closeSlice(waiting []*Session, n int, last bool) []*Session {
	left := waiting[:0]
	for _, s := range waiting {
		if n <= 0 || !last && s.busy() {
			left = append(left, s)
			continue
		}
		n--
		s.closeWithin(ReasonShutdown, shutdownTime)
	}
	clear(waiting[len(left):])
	return left
}

// busy says whether the receiver is.
func (s *Session) busy() bool {
	s.mu.Lock()
	r := s.receiver
	s.mu.Unlock()
	b, ok := r.(Busy)
	return ok && b.Busy()
}

// pause returns the error of a context that ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
