package sweep

import (
	"runtime"
	"sync"
	"sync/atomic"
	"weak"
)

// sweeps are those of the runtime, of which there is one.
var sweeps watch

// watch knows when the runtime sweeps, as long as there are files.
//
// The runtime runs a finalizer as soon as what it belongs to is swept, and what has
// pointers and is small is among the first; cleanups when all is swept, unless so many
// are due that it does not wait. So two canaries tell, which each collection finds
// unused. They are numbered: finalizers run one after another, and one that takes long
// may keep the news of a sweep until it is over; cleanups of several sweeps run the
// last first, if nobody has had time for them.
type watch struct {
	begun atomic.Uint64 // the last sweep that is known to have begun
	ended atomic.Uint64 // the last that is known to be over

	mu      sync.Mutex
	files   map[weak.Pointer[File]]struct{} // which are not kept by it
	heeding bool
}

// canary is what nobody uses.
type canary struct{ _ *byte }

func (w *watch) add(f *File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.files == nil {
		w.files = make(map[weak.Pointer[File]]struct{})
	}
	w.files[weak.Make(f)] = struct{}{}
	if !w.heeding {
		w.heeding = true
		w.heed(w.begun.Load() + 1)
	}
}

func (w *watch) remove(f *File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.files, weak.Make(f))
}

// underWay says whether the runtime sweeps.
func (w *watch) underWay() bool { return w.begun.Load() > w.ended.Load() }

// heed has w know of the next sweep, the nth.
func (w *watch) heed(n uint64) {
	runtime.AddCleanup(new(canary), w.end, n)
	runtime.SetFinalizer(new(canary), func(*canary) { w.begin(n) })
}

// begin is called, by a goroutine of the runtime, when the nth sweep has begun.
func (w *watch) begin(n uint64) {
	w.begun.Store(n)
	files := w.live()
	if len(files) == 0 {
		return
	}
	w.heed(n + 1)
	if !w.underWay() {
		return // the news came late
	}
	for _, f := range files {
		f.rouse()
	}
}

// end is called, by a goroutine of the runtime, when the nth sweep is over.
func (w *watch) end(n uint64) {
	for {
		was := w.ended.Load()
		if was >= n || w.ended.CompareAndSwap(was, n) {
			return
		}
	}
}

// live returns the files that somebody has still. If there are none w heeds nothing
// from now on.
func (w *watch) live() []*File {
	w.mu.Lock()
	defer w.mu.Unlock()
	files := make([]*File, 0, len(w.files))
	for p := range w.files {
		if f := p.Value(); f != nil {
			files = append(files, f)
		} else {
			delete(w.files, p)
		}
	}
	w.heeding = len(files) > 0
	return files
}
