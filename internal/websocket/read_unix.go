//go:build unix

package websocket

import (
	"io"
	"syscall"
)

// readRaw reads and feeds r until an error. It takes a buffer only when the
// socket has been found readable, and gives it back before it waits again: the
// read is tried inside RawConn.Read, which waits for readiness while we say
// that we are not done.
func (c *Conn) readRaw(r *reader) error {
	var (
		buf  *[]byte
		n    int
		fail error
	)
	try := func(fd uintptr) (done bool) {
		b := readBuffers.Get().(*[]byte)
		for {
			n, fail = syscall.Read(int(fd), *b)
			if fail != syscall.EINTR {
				break
			}
		}
		if fail == syscall.EAGAIN {
			readBuffers.Put(b)
			return false
		}
		buf = b
		return true
	}
	for {
		if err := c.raw.Read(try); err != nil {
			return err // closed, or the deadline: try never succeeded
		}
		b := buf
		buf = nil
		err := fail
		switch {
		case err == nil && n > 0:
			err = r.feed((*b)[:n])
		case err == nil:
			err = readError(io.EOF)
		}
		readBuffers.Put(b)
		if err != nil {
			return err
		}
	}
}
