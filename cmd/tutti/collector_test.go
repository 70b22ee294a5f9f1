package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

// TestCollector throws memory away while little is in use, and while much is.
func TestCollector(t *testing.T) {
	t.Setenv("GOGC", "")
	kept := make([][]byte, 1, 1000)
	runs := func() (n uint32) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10_000 {
			kept[0] = make([]byte, 64<<10)
		}
		runtime.ReadMemStats(&after)
		return after.NumGC - before.NumGC
	}
	runtime.GC()
	alone := runs()
	runtime.GC()
	c := startCollector()
	if got := runs(); got > alone/3 {
		t.Errorf("640 MB of garbage were collected %d times with a collector, %d times without", got, alone)
	}
	for range 600 {
		kept = append(kept, make([]byte, 1<<20))
	}
	runtime.GC()
	c.end() // its goroutine is gone: what it would do next is done here
	c.adjust()
	if c.percent != 100 {
		t.Errorf("with 600 MB in use it waits for %d %%", c.percent)
	}
	runtime.KeepAlive(kept)
	if was := debug.SetGCPercent(100); was != 100 {
		t.Errorf("it leaves %d behind", was)
	}
	t.Setenv("GOGC", "50")
	startCollector().end()
	if was := debug.SetGCPercent(100); was != 100 {
		t.Errorf("with GOGC it sets %d", was)
	}
}

// TestCollectorRate waits for more garbage where more is made, and for less again.
func TestCollectorRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &collector{most: 256 << 20, when: time.Now()}
		made := uint64(0)
		after := func(bytes uint64) uint64 {
			time.Sleep(adjusted)
			made += bytes
			c.count(made)
			return c.garbage()
		}
		if got := after(1 << 20); got != leastGarbage {
			t.Errorf("at 5 MB a second it waits for %d", got)
		}
		if got, want := after(4<<20), uint64(200<<20); got != want {
			t.Errorf("at 20 MB a second it waits for %d, want %d", got, want)
		}
		if got := after(100 << 20); got != c.most {
			t.Errorf("at 500 MB a second it waits for %d, want %d", got, c.most)
		}
		for range 50 {
			after(0)
		}
		if got := c.garbage(); got != leastGarbage {
			t.Errorf("ten seconds later it waits for %d", got)
		}
	})
}
