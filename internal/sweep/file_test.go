//go:build unix

package sweep_test

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/sweep"
	"github.com/tutti-rt/tutti/internal/sweep/sweeptest"
)

// TestWait: who waits comes back while the runtime sweeps, and only then.
func TestWait(t *testing.T) {
	f, _ := pipe(t)
	back := watched(t, f)
	few := 0
	sweeptest.During(10, func(sweeping func() bool) {
		was := back.Load()
		for sweeping() {
			runtime.Gosched()
		}
		n := back.Load() - was
		if n < 3 {
			few++
		}
		for range 1000 { // who is told that it is over has had a turn by then
			runtime.Gosched()
		}
		was = back.Load()
		for range 50_000 {
			runtime.Gosched()
		}
		if after := back.Load() - was; after > 1 { // the last deadline
			t.Errorf("came back %d times during the sweep and %d times after it", n, after)
		}
	})
	if few > 5 { // the machine may have been busy with something else
		t.Errorf("came back less than three times in %d sweeps of 10", few)
	}
}

// watched counts how often somebody comes back who waits for f, until the test is over.
func watched(t *testing.T, f *sweep.File) *atomic.Int64 {
	var back atomic.Int64
	var all sync.WaitGroup
	all.Go(func() {
		for {
			err := f.Wait(func(uintptr) bool { return false }, 50*time.Microsecond)
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return // closed
			}
			back.Add(1)
		}
	})
	t.Cleanup(func() {
		f.Close()
		all.Wait()
	})
	return &back
}

// TestLate: who is told of a sweep when it is over does not take it for one that
// goes on, since somebody else's finalizer took long.
func TestLate(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that who yields lets all others go first
	f, _ := pipe(t)
	var others []chan struct{}
	hold := make(chan struct{})
	for range 20 { // before and behind those of the sweep
		others = append(others, late(hold))
	}
	runtime.GC()
	for range 1000 { // all who are not held up have had a turn
		runtime.Gosched()
	}
	close(hold)
	for _, over := range others {
		<-over
	}
	for range 1000 {
		runtime.Gosched()
	}
	back := watched(t, f)
	was := back.Load()
	for range 50_000 {
		runtime.Gosched()
	}
	if n := back.Load() - was; n > 1 { // the first, whose deadline was there
		t.Errorf("came back %d times after the sweep", n)
	}
}

// TestLateEnds: the ends of several sweeps are told in any order, since somebody
// else's cleanup took long.
func TestLateEnds(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that who yields lets all others go first
	f, _ := pipe(t)
	hold, held := make(chan struct{}), make(chan struct{})
	runtime.AddCleanup(&struct{ _ *byte }{}, func(struct{}) {
		close(held)
		<-hold
	}, struct{}{})
	runtime.GC()
	<-held
	for range 3 {
		runtime.GC()
		for range 1000 { // the next one is heeded
			runtime.Gosched()
		}
	}
	close(hold)
	for range 1000 {
		runtime.Gosched()
	}
	back := watched(t, f)
	was := back.Load()
	for range 50_000 {
		runtime.Gosched()
	}
	if n := back.Load() - was; n > 1 { // the first, whose deadline was there
		t.Errorf("came back %d times after the sweeps", n)
	}
}

// late returns what is closed by a finalizer that has waited for hold.
func late(hold chan struct{}) (over chan struct{}) {
	over = make(chan struct{})
	runtime.SetFinalizer(&struct{ _ *byte }{}, func(any) {
		<-hold
		close(over)
	})
	return over
}

// TestReady: what the descriptor has is noticed, sweep or not.
func TestReady(t *testing.T) {
	f, w := pipe(t)
	defer f.Close()
	sweeptest.During(3, func(func() bool) {
		for range 3 {
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			var got [1]byte
			try := func(fd uintptr) bool {
				n, _ := syscall.Read(int(fd), got[:])
				return n == 1
			}
			err := f.Wait(try, time.Microsecond)
			for errors.Is(err, os.ErrDeadlineExceeded) {
				err = f.Wait(try, 0)
			}
			if err != nil || got[0] != 'x' {
				t.Fatalf("got %q, %v", got, err)
			}
		}
	})
}

// TestClose: who waits is told, and who comes later.
func TestClose(t *testing.T) {
	f, _ := pipe(t)
	over := make(chan error)
	go func() { over <- f.Wait(func(uintptr) bool { return false }, 0) }()
	f.Close()
	if err := <-over; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("who waits is told %v", err)
	}
	if err := f.Wait(func(uintptr) bool { return true }, time.Hour); err == nil {
		t.Error("who comes later is told nothing")
	}
}

// TestForgotten: nothing here keeps a file that nobody has any more.
func TestForgotten(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that who yields lets all others go first
	f, _ := pipe(t)
	var gone atomic.Bool
	runtime.AddCleanup(f, func(struct{}) { gone.Store(true) }, struct{}{})
	f = nil
	for range 10 {
		runtime.GC()
	}
	for range 1000 {
		runtime.Gosched()
	}
	if !gone.Load() {
		t.Error("it is still there")
	}
}

// pipe returns a file that becomes readable by what is written.
func pipe(t *testing.T) (*sweep.File, *os.File) {
	t.Helper()
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	f, err := sweep.Open(uintptr(fds[0]), "pipe")
	if err != nil {
		t.Fatal(err)
	}
	w := os.NewFile(uintptr(fds[1]), "pipe")
	t.Cleanup(func() { w.Close() })
	return f, w
}
