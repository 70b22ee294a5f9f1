package wheel_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/internal/wheel"
)

const tick = 10 * time.Millisecond

func TestFiresWhenDue(t *testing.T) {
	for _, d := range []time.Duration{0, time.Millisecond, tick, 11 * time.Millisecond, 630 * time.Millisecond, 640 * time.Millisecond,
		25 * time.Second, 41 * time.Second, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			w := wheel.New(tick)
			start := time.Now()
			var fired atomic.Int64
			w.After(d, func() { fired.Store(int64(time.Since(start))) })
			time.Sleep(d + 2*tick)
			synctest.Wait()
			if at := time.Duration(fired.Load()); at > max(d, tick) || at < d-tick {
				t.Errorf("a timer of %v fired after %v, want at most one tick before", d, at)
			}
			if w.Len() != 0 {
				t.Errorf("%d timers left", w.Len())
			}
		})
	}
}

func TestResetMovesTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New(tick)
		var fired atomic.Int32
		tm := w.After(time.Second, func() { fired.Add(1) })
		for range 100 {
			time.Sleep(900 * time.Millisecond)
			tm.Reset(time.Second)
		}
		synctest.Wait()
		if n := fired.Load(); n != 0 {
			t.Errorf("fired %d times although it was set again in time", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := fired.Load(); n != 1 || !tm.Fired() || tm.Fired() {
			t.Errorf("fired %d times, want once, and Fired to say so once", n)
		}
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New(tick)
		tm := w.After(time.Second, func() { t.Error("a stopped timer fired") })
		if !tm.Stop() || tm.Stop() {
			t.Error("Stop must report once that the timer was set")
		}
		time.Sleep(time.Minute)
		if w.Len() != 0 {
			t.Errorf("%d timers left", w.Len())
		}
		var zero wheel.Timer
		if zero.Stop() {
			t.Error("Stop of a timer that was never set reports true")
		}
	})
}

// A timer that was set again between becoming due and running must know it.
func TestFiredTellsStaleRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New(tick)
		var mu sync.Mutex
		var tm wheel.Timer
		stale := 0
		w.Init(&tm, func() {
			mu.Lock()
			defer mu.Unlock()
			if !tm.Fired() {
				stale++
			}
		})
		tm.Reset(0)
		// The first to run in a tick sets the second again.
		var first wheel.Timer
		w.Init(&first, func() { tm.Reset(time.Minute) })
		first.Reset(0)
		time.Sleep(tick)
		synctest.Wait()
		if stale > 1 {
			t.Errorf("%d stale runs, want at most one", stale)
		}
		if w.Len() != 1 {
			t.Errorf("%d timers set, want the one that was set again", w.Len())
		}
		tm.Stop()
	})
}

// Against a model: every timer fires within a tick of its last deadline, and no other does.
func TestManyAgainstModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(1, 2))
		w := wheel.New(tick)
		const n = 500
		type entry struct {
			timer wheel.Timer
			due   time.Time // zero if not set
		}
		entries := make([]entry, n)
		var mu sync.Mutex
		for i := range entries {
			e := &entries[i]
			w.Init(&e.timer, func() {
				mu.Lock()
				defer mu.Unlock()
				if !e.timer.Fired() {
					return
				}
				if early := time.Until(e.due); e.due.IsZero() || early > tick || early < -tick {
					t.Errorf("fired %v before it was due", early)
				}
				e.due = time.Time{}
			})
		}
		for range 20_000 {
			mu.Lock()
			e := &entries[rnd.IntN(n)]
			if rnd.IntN(4) == 0 {
				e.timer.Stop()
				e.due = time.Time{}
			} else {
				d := time.Duration(rnd.Int64N(int64(90 * time.Second)))
				e.timer.Reset(d)
				e.due = time.Now().Add(d)
			}
			mu.Unlock()
			time.Sleep(time.Duration(rnd.Int64N(int64(50 * time.Millisecond))))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for i := range entries {
			if !entries[i].due.IsZero() {
				t.Fatalf("timer %d never fired", i)
			}
		}
	})
}

func TestSettingAllocatesNothing(t *testing.T) {
	w := wheel.New(time.Hour)
	tm := w.After(2*time.Hour, func() {})
	defer tm.Stop()
	if n := testing.AllocsPerRun(100, func() { tm.Reset(2 * time.Hour) }); n != 0 {
		t.Errorf("Reset allocates %v times", n)
	}
}

func BenchmarkReset(b *testing.B) {
	w := wheel.New(tick)
	timers := make([]wheel.Timer, 100_000)
	for i := range timers {
		w.Init(&timers[i], func() {})
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		timers[i%len(timers)].Reset(25 * time.Second)
		i++
	}
}
