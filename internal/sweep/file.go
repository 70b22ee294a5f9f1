// Package sweep has goroutines wait for descriptors, and come back in time while
// the runtime sweeps.
//
// After each collection of garbage it sweeps what was thrown away, in the
// background, yielding to everybody. With one processor it then always has
// something to run, so that it looks at sockets every ten milliseconds only: who
// waits for one is told that much later. It does look at the time meanwhile.
// Who waits here is woken by it, from when a sweep begins until it is done.
//
// May import: nothing of ours.
package sweep

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// File is a descriptor that one goroutine waits for.
type File struct {
	file  *os.File
	raw   syscall.RawConn
	timed bool // there may be a deadline
}

// Open takes over a descriptor, which must not block and must be one that the
// runtime can wait for.
func Open(fd uintptr, name string) (*File, error) {
	f := &File{file: os.NewFile(fd, name)}
	var err error
	if f.raw, err = f.file.SyscallConn(); err != nil {
		_ = f.file.Close() // nothing was written
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	sweeps.add(f)
	return f, nil
}

// Close ends waiting, now and ever. It may be called concurrently.
func (f *File) Close() {
	sweeps.remove(f)
	_ = f.file.Close() // nothing was written
}

// Wait calls try until it reports true, and again only when the descriptor has
// become ready since. While the runtime sweeps that may take it long: then Wait
// returns os.ErrDeadlineExceeded after patience, if that is not 0, or at once. Any
// other error is that of a closed descriptor. Only one goroutine may wait at a time.
func (f *File) Wait(try func(fd uintptr) (done bool), patience time.Duration) error {
	soon := patience > 0 && sweeps.underWay()
	if f.timed && !soon {
		f.timed = false
		if err := f.file.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
		soon = patience > 0 && sweeps.underWay() // a sweep that has begun, and roused nobody
	}
	if soon {
		f.timed = true
		if err := f.file.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
	}
	err := f.raw.Read(try)
	f.timed = f.timed || err != nil // whoever has set it
	return err
}

// rouse has who waits come back.
func (f *File) rouse() {
	_ = f.file.SetReadDeadline(time.Now()) // or it is closed
}
