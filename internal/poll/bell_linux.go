//go:build !memnet

package poll

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// bell has a goroutine wait until the runtime has looked at all sockets.
//
// The scheduler does that when nothing can run, or else every ten milliseconds: a
// worker that always finds something to do, and only yields in between, keeps
// everybody waiting who waits for a socket, for ten milliseconds at a time. One
// who waits for a socket himself comes when all others have had their turn,
// those included whose sockets have become ready meanwhile. The bell is such a
// socket, an eventfd, that he makes ready himself. It costs a write.
type bell struct {
	file *os.File
	raw  syscall.RawConn
	one  [8]byte // the number 1
	rung bool
	try  func(fd uintptr) (done bool) // b.attempt, bound once
}

func (b *bell) open() error {
	const flags = syscall.O_CLOEXEC | syscall.O_NONBLOCK // EFD_CLOEXEC and EFD_NONBLOCK are the same
	fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, flags, 0)
	if errno != 0 {
		return fmt.Errorf("make eventfd: %w", errno)
	}
	b.file = os.NewFile(fd, "eventfd")
	binary.NativeEndian.PutUint64(b.one[:], 1)
	b.try = b.attempt
	var err error
	if b.raw, err = b.file.SyscallConn(); err != nil {
		b.close()
		return fmt.Errorf("make eventfd: %w", err)
	}
	return nil
}

func (b *bell) close() { _ = b.file.Close() } // it holds nothing that could be lost

// pass waits until everybody else has had their turn.
func (b *bell) pass() {
	b.rung = false
	if err := b.raw.Read(b.try); err != nil {
		runtime.Gosched() // the runtime cannot wait for it
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
