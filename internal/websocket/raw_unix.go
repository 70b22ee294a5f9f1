//go:build unix

package websocket

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
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
		if err := c.line.raw.Read(try); err != nil {
			return err // closed, or the deadline: try never succeeded
		}
		b := buf
		buf = nil
		err := fail
		switch {
		case err == nil && n > 0:
			err = r.feedAll((*b)[:n])
		case err == nil:
			err = readError(io.EOF)
		}
		readBuffers.Put(b)
		if err != nil {
			return err
		}
	}
}

// rawWriter is one write to a socket, in a form that allocates nothing.
type rawWriter struct {
	data []byte
	wait bool // wait for the socket to take something
	n    int
	err  error
	try  func(fd uintptr) (done bool) // attempt, bound once
}

var rawWriters = sync.Pool{New: func() any {
	w := new(rawWriter)
	w.try = w.attempt
	return w
}}

func (w *rawWriter) attempt(fd uintptr) (done bool) {
	for {
		w.n, w.err = syscall.Write(int(fd), w.data)
		if w.err != syscall.EINTR {
			break
		}
	}
	if w.err == syscall.EAGAIN {
		w.n, w.err = 0, nil
		return !w.wait
	}
	w.n = max(w.n, 0)
	return true
}

// write writes some of data: what the socket takes at once, which may be
// nothing, or if wait is set, when it takes something again.
func (w *rawWriter) write(raw syscall.RawConn, data []byte, wait bool) (int, error) {
	w.data, w.wait, w.n, w.err = data, wait, 0, nil
	err := raw.Write(w.try)
	w.data = nil
	if err == nil {
		err = w.err
	}
	return w.n, err
}

// writeRaw is writeOut for a plain socket. Nearly always the socket takes
// everything at once, and no deadline has to be set for that; if not, each
// piece that it takes starts the time anew.
func (c *Conn) writeRaw(data []byte) error {
	w := rawWriters.Get().(*rawWriter)
	defer rawWriters.Put(w)
	n, err := w.write(c.line.raw, data, false)
	if err == nil && n == len(data) {
		return nil
	}
	for data = data[n:]; err == nil && len(data) > 0; data = data[n:] {
		if err = c.line.nc.SetWriteDeadline(c.writeBy()); err == nil {
			n, err = w.write(c.line.raw, data, true)
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTooSlow
	}
	if err == nil {
		err = c.line.nc.SetWriteDeadline(time.Time{}) // or the next attempt fails for it
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
