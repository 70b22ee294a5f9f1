// Package slab has buffers for what large messages are collected in, and keeps them
// for other messages.
//
// May import: nothing of ours.
package slab

import (
	"math/bits"
	"sync"
	"unsafe"
)

// The sizes of buffers that are kept, as powers of two. Smaller ones cost nothing,
// and larger ones are rare.
const (
	leastKept = 10
	mostKept  = 20 // that of the default limit of a message
)

// kept are buffers by size. To make them anew for 90 MB/s of large messages was
// 330 MB/s of garbage: 76 collections a second, at which everybody had to help.
var kept [mostKept - leastKept + 1]sync.Pool // of *byte, the first of each: a slice would have to be allocated

// Get returns an empty buffer with room for n bytes, and for less than twice as
// many.
func Get(n int) []byte {
	power := bits.Len(uint(max(n, 1) - 1))
	if power >= leastKept && power <= mostKept {
		if b, ok := kept[power-leastKept].Get().(*byte); ok {
			return unsafe.Slice(b, 1<<power)[:0]
		}
	}
	return make([]byte, 0, 1<<power)
}

// Put keeps a buffer that nobody refers to any more. One that is not of Get's is
// left to the collector.
func Put(b []byte) {
	power := bits.Len(uint(cap(b))) - 1
	if power >= leastKept && power <= mostKept && cap(b) == 1<<power {
		kept[power-leastKept].Put(unsafe.SliceData(b))
	}
}
