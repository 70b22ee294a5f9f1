// Package sweeptest has tests run while the runtime sweeps.
//
// May import: nothing of ours.
package sweeptest

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// spans are so many that sweeping them takes milliseconds; each holds four of
// size bytes.
const (
	spans = 20_000
	size  = 2 << 10
)

// During calls f when a collection has come to sweeping, rounds times. It runs with
// one processor, as Go's scheduler has to choose then. What is swept is swept piece
// by piece whenever others yield, until sweeping reports false.
func During(rounds int, f func(sweeping func() bool)) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	held := make([][]byte, spans)
	for i := range held {
		for range 4 {
			held[i] = make([]byte, size)
		}
	}
	for range rounds {
		during(f)
	}
	runtime.KeepAlive(held)
}

func during(f func(sweeping func() bool)) {
	var begun, over atomic.Bool
	runtime.SetFinalizer(&struct{ _ *byte }{}, func(any) { begun.Store(true) })
	var all sync.WaitGroup
	// Started here, ended by its collection, waited for below.
	all.Go(func() {
		defer over.Store(true)
		runtime.GC() // which waits until all is swept
	})
	for !begun.Load() && !over.Load() {
		runtime.Gosched()
	}
	f(func() bool { return !over.Load() })
	all.Wait()
}
