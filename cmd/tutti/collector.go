package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/quota"
)

const (
	// garbage is how much memory is thrown away, about, until it is collected, or a
	// sixteenth of the memory there is if that is less. By its own rule the collector
	// waits for no more than is in use: on a server that holds 4 MB, peers that cause
	// 50 MB of garbage a second start it thirteen times a second, and whoever asks
	// meanwhile waits for milliseconds. So this is a call in hundreds.
	garbage = 128 << 20
	// leastMemory is how much there must be for that: with less Go's rule stays.
	leastMemory = 1 << 30
	// leastHeap is what Go takes a smaller heap for.
	leastHeap = 4 << 20
	// adjusted is how often the rule is adjusted to what is in use.
	adjusted = 200 * time.Millisecond
)

// A collector makes Go's wait longer while little memory is in use.
type collector struct {
	percent int
	garbage uint64        // bytes
	ended   chan struct{} // nil if it never began
	running sync.WaitGroup
}

// startCollector begins with that, unless the environment says with GOGC what
// Go's is to do.
func startCollector() *collector {
	c := &collector{percent: 100, garbage: garbage}
	limit := quota.MemoryLimit()
	if os.Getenv("GOGC") != "" || limit > 0 && limit < leastMemory {
		return c
	}
	if limit > 0 {
		c.garbage = min(garbage, uint64(limit)/16)
	}
	c.ended = make(chan struct{})
	c.adjust()
	c.running.Go(c.run) // ended, and waited for, by end
	return c
}

func (c *collector) run() {
	tick := time.NewTicker(adjusted)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.adjust()
		case <-c.ended:
			return
		}
	}
}

// end goes back to Go's own rule.
func (c *collector) end() {
	if c.ended == nil {
		return
	}
	close(c.ended)
	c.running.Wait()
	debug.SetGCPercent(100)
}

// adjust sets how much the heap may grow until it is collected.
func (c *collector) adjust() {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
	}
	metrics.Read(samples)
	inUse := uint64(0) // all that the percentage is of
	for _, s := range samples {
		inUse += s.Value.Uint64()
	}
	percent := max(int(100*c.garbage/max(inUse, leastHeap)), 100)
	if apart := percent - c.percent; apart*5 > c.percent || apart*5 < -c.percent || percent == 100 && apart != 0 {
		c.percent = percent
		debug.SetGCPercent(percent)
	}
}
