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
	// leastGarbage is how much memory is thrown away, about, until it is collected.
	// By its own rule the collector waits for no more than is in use: on a server
	// that holds 4 MB, peers that cause 50 MB of garbage a second start it thirteen
	// times a second, and whoever asks meanwhile waits for milliseconds. So that this
	// is a call in hundreds, it waits for what is made in a while, up to mostGarbage
	// and a sixteenth of the memory there is.
	leastGarbage = 64 << 20
	mostGarbage  = 512 << 20
	while        = 10 // seconds
	// leastMemory is how much there must be for that: with less Go's rule stays.
	leastMemory = 1 << 30
	// mostPercent bounds what a heap grows to that was small a moment ago, until
	// that is noticed.
	mostPercent = 6400
	// leastHeap is what Go takes a smaller heap for.
	leastHeap = 4 << 20
	// adjusted is how often the rule is adjusted to what is in use.
	adjusted = 200 * time.Millisecond
)

// A collector makes Go's wait longer while little memory is in use.
type collector struct {
	percent int
	most    uint64        // bytes of garbage
	made    uint64        // bytes, since the program began
	rate    uint64        // bytes a second, of late
	when    time.Time     // of that
	ended   chan struct{} // nil if it never began
	running sync.WaitGroup
}

// startCollector begins with that, unless the environment says with GOGC what
// Go's is to do.
func startCollector() *collector {
	c := &collector{percent: 100, most: mostGarbage, when: time.Now()}
	limit := quota.MemoryLimit()
	if os.Getenv("GOGC") != "" || limit > 0 && limit < leastMemory {
		return c
	}
	if limit > 0 {
		c.most = min(mostGarbage, uint64(limit)/16)
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
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
	}
	metrics.Read(samples)
	c.count(samples[0].Value.Uint64())
	inUse := uint64(0) // all that the percentage is of
	for _, s := range samples[1:] {
		inUse += s.Value.Uint64()
	}
	percent := min(max(int(100*c.garbage()/max(inUse, leastHeap)), 100), mostPercent)
	if apart := percent - c.percent; apart*5 > c.percent || apart*5 < -c.percent || percent == 100 && apart != 0 {
		c.percent = percent
		debug.SetGCPercent(percent)
	}
}

// garbage is how much may lie about.
func (c *collector) garbage() uint64 { return min(max(while*c.rate, leastGarbage), c.most) }

// count notes how much has been made until now. What was much is forgotten by half
// in a second.
func (c *collector) count(made uint64) {
	now := time.Now()
	span := max(now.Sub(c.when), adjusted/2)
	c.rate = max(uint64(float64(made-c.made)/span.Seconds()), c.rate-c.rate/8)
	c.made, c.when = made, now
}
