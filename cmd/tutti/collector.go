package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"

	"github.com/tutti-rt/tutti/quota"
)

// garbage is how much memory is thrown away at least until it is collected. By
// its own rule the collector waits for no more than is in use: on a server that
// holds 4 MB, peers that cause 50 MB of garbage a second start it thirteen times
// a second, and each time it has the processor for some milliseconds.
const garbage = 64 << 20

// A collector makes Go's wait longer while little memory is in use.
type collector struct {
	garbage uint64

	mu      sync.Mutex
	percent int
	ended   bool
}

// startCollector begins with that, unless the environment says with GOGC what
// it is to do. An eighth of the memory there is may be garbage, if that is less.
func startCollector() *collector {
	c := &collector{garbage: garbage, percent: 100}
	if limit := quota.MemoryLimit(); limit > 0 {
		c.garbage = min(c.garbage, uint64(limit)/8)
	}
	if os.Getenv("GOGC") != "" {
		c.ended = true
	}
	c.adjust()
	return c
}

// end goes back to Go's own rule.
func (c *collector) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.ended = true
		debug.SetGCPercent(100)
	}
}

// adjust sets how much the heap may grow until it is collected, and comes again
// after that.
func (c *collector) adjust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	percent := 100
	if n := live[0].Value.Uint64(); n < c.garbage {
		percent = int(100 * c.garbage / max(n, 1<<20))
	}
	if percent != c.percent { // the world stops for it
		c.percent = percent
		debug.SetGCPercent(percent)
	}
	runtime.AddCleanup(&struct{ self *collector }{c}, (*collector).adjust, c)
}
