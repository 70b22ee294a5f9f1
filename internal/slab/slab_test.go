package slab_test

import (
	"testing"

	"github.com/tutti-rt/tutti/internal/slab"
)

// TestSlab says that what a peer has sent is never answered with much
// more memory, and that a buffer that comes back is of its size.
func TestSlab(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 100, 4095, 4096, 4097, 16 << 10, 1_000_000, 1 << 20, 1<<20 + 1, 5_000_000} {
		b := slab.Get(n)
		if len(b) != 0 || cap(b) < n || cap(b) >= 2*n && n > 1 {
			t.Errorf("for %d bytes: %d of %d", n, len(b), cap(b))
		}
		slab.Put(b)
	}
	slab.Put(nil)
	slab.Put(make([]byte, 5000)) // no power of two: it is not kept
	for range 100 {
		if b := slab.Get(5000); cap(b) != 8192 {
			t.Fatalf("for 5000 bytes: %d", cap(b))
		}
	}
}
