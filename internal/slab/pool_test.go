//go:build !race

package slab_test

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/tutti-rt/tutti/internal/slab"
)

// TestBuffersComeBack: what was recycled is what the next one gets. It is not for the
// race detector, with which pools drop some of what they are given.
func TestBuffersComeBack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties pools
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))  // which are per processor
	for _, n := range []int{5000, 1 << 20} {
		b := slab.Get(n)
		first := &b[:1][0]
		slab.Put(b)
		if b = slab.Get(n); &b[:1][0] != first {
			t.Errorf("for %d bytes: the buffer did not come back", n)
		}
	}
}
