package turn

import (
	"encoding/binary"
	"runtime"
	"syscall"

	"github.com/tutti-rt/tutti/internal/sweep"
)

// bell has a goroutine wait until the runtime has looked at all sockets.
//
// The scheduler does that when nothing can run, or else every ten milliseconds: a
// goroutine that always finds something to do, and only yields in between, keeps
// everybody waiting who waits for a socket, for ten milliseconds at a time. One
// who waits for a socket himself comes when all others have had their turn,
// those included whose sockets have become ready meanwhile. The bell is such a
// socket, an eventfd, that he makes ready himself. It costs a write.
type bell struct {
	file *sweep.File // nil if there is none
	one  [8]byte     // the number 1
	rung bool
	try  func(fd uintptr) (done bool) // b.attempt, bound once
}

// open makes the bell ready. Without a descriptor to be had it is none, and
// passing is a little less than it could be.
func (b *bell) open() {
	const flags = syscall.O_CLOEXEC | syscall.O_NONBLOCK // EFD_CLOEXEC and EFD_NONBLOCK are the same
	fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, flags, 0)
	if errno != 0 {
		return
	}
	file, err := sweep.Open(fd, "eventfd")
	if err != nil {
		return
	}
	binary.NativeEndian.PutUint64(b.one[:], 1)
	b.file, b.try = file, b.attempt
}

func (b *bell) close() {
	if b.file != nil {
		b.file.Close()
	}
}

// pass waits until everybody else has had their turn.
func (b *bell) pass() {
	b.rung = false
	if b.file == nil || b.file.Wait(b.try, patience) != nil {
		runtime.Gosched() // it was not heard, or the runtime cannot wait for it
	}
}

// attempt rings, and is content with the next call, which comes when the
// runtime has seen it. Every write is news to the runtime, read or not: the
// number in the eventfd only grows, by one each time, and has 64 bits.
func (b *bell) attempt(fd uintptr) (done bool) {
	if b.rung {
		return true
	}
	_, err := syscall.Write(int(fd), b.one[:])
	b.rung = err == nil
	return err != nil
}
