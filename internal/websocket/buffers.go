package websocket

import (
	"math/bits"
	"sync"
)

// The sizes of buffers that are kept for other messages, as powers of two. Smaller
// ones cost nothing, and larger ones are rare.
const (
	leastKept = 12
	mostKept  = 20 // that of the default limit of a message
)

// messageBuffers are what messages were collected in that came in pieces, by
// size. To make them anew for 90 MB/s of large messages was 330 MB/s of garbage:
// 76 collections a second, at which everybody had to help.
var messageBuffers [mostKept - leastKept + 1]sync.Pool // of *[]byte

// messageBuffer returns a buffer with room for n bytes, and for no more than twice
// as many.
func messageBuffer(n int) []byte {
	power := bits.Len(uint(n - 1))
	if power >= leastKept && power <= mostKept {
		if b, ok := messageBuffers[power-leastKept].Get().(*[]byte); ok {
			return (*b)[:0]
		}
	}
	return make([]byte, 0, 1<<power)
}

// recycle keeps a buffer that nobody refers to any more.
func recycle(b []byte) {
	power := bits.Len(uint(cap(b))) - 1
	if power >= leastKept && power <= mostKept && cap(b) == 1<<power {
		b = b[:0]
		messageBuffers[power-leastKept].Put(&b)
	}
}
