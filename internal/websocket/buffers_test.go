package websocket

import "testing"

// TestMessageBuffers says that what a peer has sent is never answered with much
// more memory, and that a buffer that comes back is of its size.
func TestMessageBuffers(t *testing.T) {
	for _, n := range []int{1, 2, 3, 100, 4095, 4096, 4097, 16 << 10, 1_000_000, 1 << 20, 1<<20 + 1, 5_000_000} {
		b := messageBuffer(n)
		if len(b) != 0 || cap(b) < n || cap(b) >= 2*n && n > 1 {
			t.Errorf("for %d bytes: %d of %d", n, len(b), cap(b))
		}
		recycle(b)
	}
	recycle(nil)
	recycle(make([]byte, 5000)) // no power of two: it is not kept
	for range 100 {
		if b := messageBuffer(5000); cap(b) != 8192 {
			t.Fatalf("for 5000 bytes: %d", cap(b))
		}
	}
}
