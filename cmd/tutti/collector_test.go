package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

var kept [][]byte

// TestCollector throws memory away while little is in use, and while much is.
func TestCollector(t *testing.T) {
	t.Setenv("GOGC", "")
	runs := func() (n uint32) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10_000 {
			kept[0] = make([]byte, 64<<10)
		}
		runtime.ReadMemStats(&after)
		return after.NumGC - before.NumGC
	}
	kept = make([][]byte, 1, 1000)
	defer func() { kept = nil }()
	runtime.GC()
	alone := runs()
	c := startCollector()
	defer c.end()
	if got := runs(); got > 20 || got > alone/4 {
		t.Errorf("640 MB of garbage were collected %d times with a collector, %d times without", got, alone)
	}
	for range 300 {
		kept = append(kept, make([]byte, 1<<20))
	}
	runtime.GC()
	for c.now() != 100 { // it hears of it a moment later
		runtime.Gosched()
	}
	c.end()
	if was := debug.SetGCPercent(100); was != 100 {
		t.Errorf("it leaves %d behind", was)
	}
	t.Setenv("GOGC", "50")
	startCollector()
	if was := debug.SetGCPercent(100); was != 100 {
		t.Errorf("with GOGC it sets %d", was)
	}
}

func (c *collector) now() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.percent
}
