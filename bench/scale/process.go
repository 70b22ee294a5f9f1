package main

import (
	"math"
	"runtime"
	"runtime/metrics"
)

// A reading is what this process has done since it began.
type reading struct {
	allocs uint64
	pauses *metrics.Float64Histogram // of all goroutines, for the garbage collector
}

func read() reading {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:objects"},
		{Name: "/sched/pauses/total/gc:seconds"},
	}
	metrics.Read(samples)
	return reading{
		allocs: samples[0].Value.Uint64(),
		pauses: samples[1].Value.Float64Histogram(),
	}
}

// live returns the bytes in use: of the heap what is reachable, and stacks.
func live() (bytes int64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // and what the first one has freed of pools
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// pauses returns the 99th percentile and the longest of the pauses between two
// readings, in milliseconds: the upper ends of the histogram's buckets.
func pauses(from, to reading) (p99, most float64, n uint64) {
	counts := make([]uint64, len(to.pauses.Counts))
	for i, v := range to.pauses.Counts {
		counts[i] = v - from.pauses.Counts[i]
		n += counts[i]
	}
	seen := uint64(0)
	for i, v := range counts {
		if v == 0 {
			continue
		}
		top := to.pauses.Buckets[i+1]
		if math.IsInf(top, 1) {
			top = to.pauses.Buckets[i]
		}
		if seen += v; p99 == 0 && float64(seen) >= 0.99*float64(n) {
			p99 = 1000 * top
		}
		most = 1000 * top
	}
	return p99, most, n
}
