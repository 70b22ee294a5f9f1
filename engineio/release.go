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
	steps [2]func()   // one each time when it has been quiet

	// Guarded by Server.mu.
	moved int // how many sessions have come or gone since memory was given back
	seen  int // of them when the timer was set
	done  int // of the steps
}

// initReleaser has the collector run twice: pools let go of what they hold the second time, and stacks shrink by half
// each time. Not at once: each run takes a part of the processor for some tens of milliseconds, and somebody may be there.
func (srv *Server) initReleaser() {
	srv.releaser.steps = [...]func(){runtime.GC, debug.FreeOSMemory}
	srv.wheel.Init(&srv.releaser.timer, srv.onQuiet)
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
	var step func()
	if due && !again {
		step = r.steps[r.done]
		if r.done++; r.done < len(r.steps) {
			again = true
		} else {
			r.moved, r.seen, r.done = 0, 0, 0
		}
	}
	srv.mu.Unlock()
	if again {
		srv.awaitQuiet()
	}
	if step != nil {
		// Ends when the collector has gone round; Shutdown waits.
		srv.tasks.Go(step)
	}
}
