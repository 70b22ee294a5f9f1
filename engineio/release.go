package engineio

import (
	"runtime"
	"runtime/debug"

	"github.com/tutti-rt/tutti/internal/wheel"
)

// releaseFrom is how many sessions must have come or gone before it is worth while to look for memory: they leave some
// 10 KB each behind, of which the garbage collector keeps the most for those who come next.
const releaseFrom = 1000

// releaser gives memory back to the system when it has become quiet after many sessions have come or gone.
type releaser struct {
	timer wheel.Timer // set while moved >= releaseFrom
	do    func()

	// Guarded by Server.mu.
	moved int // how many sessions have come or gone since memory was given back
	seen  int // of them when the timer was set
}

func (srv *Server) initReleaser() {
	srv.releaser.do = giveBack
	srv.wheel.Init(&srv.releaser.timer, srv.onQuiet)
}

// giveBack runs the collector twice: pools let go of what they hold the second time, and stacks shrink by half each time.
func giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
}

// movedLocked counts a session that has come or gone. If it reports true the caller sets the timer, without the lock.
func (srv *Server) movedLocked() bool {
	r := &srv.releaser
	if srv.cfg.ReleaseAfter <= 0 || srv.closing {
		return false
	}
	r.moved++
	return r.moved == releaseFrom
}

func (srv *Server) awaitQuiet() { srv.releaser.timer.Reset(srv.cfg.ReleaseAfter) }

// onQuiet runs when the timer fires.
func (srv *Server) onQuiet() {
	r := &srv.releaser
	srv.mu.Lock()
	due := r.timer.Fired() && !srv.closing
	again := due && r.moved != r.seen
	r.seen = r.moved
	if due && !again {
		r.moved, r.seen = 0, 0
	}
	srv.mu.Unlock()
	switch {
	case again:
		srv.awaitQuiet()
	case due:
		// Ends when the collector has gone round; Shutdown waits.
		srv.tasks.Go(r.do)
	}
}
