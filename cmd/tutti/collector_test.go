package main

import (
	"runtime"
	"runtime/debug"
	"testing"
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

// TestCollectorLimit: with little memory there is less garbage, and with very
// little it is as Go has it.
func TestCollectorLimit(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1600 << 20))
	c := startCollector()
	c.end()
	if c.garbage != 100<<20 {
		t.Errorf("with 1600 MB it waits for %d", c.garbage)
	}
	debug.SetMemoryLimit(leastMemory - 1)
	c = startCollector()
	c.end()
	if c.ended != nil {
		t.Error("with less than a gigabyte it begins")
	}
}
