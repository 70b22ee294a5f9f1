package pipe

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// flow says what happens to the bytes of a direction.
type flow uint8

const (
	flowing   flow = iota
	stalled        // they wait in the buffer and the reader sees nothing
	vanishing      // they are lost
)

// half is one direction of a connection.
type half struct {
	limit int

	mu       sync.Mutex
	change   sync.Cond // anything below changed
	buf      []byte
	flow     flow
	readErr  error // the reading end closed, or cut
	writeErr error // the writing end closed, or cut
	readBy   deadline
	writeBy  deadline
}

func newHalf(limit int) *half {
	h := &half{limit: limit}
	h.change.L = &h.mu
	return h
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readErr != nil:
			return 0, h.readErr
		case h.readBy.passed:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case h.flow == flowing && len(h.buf) > 0:
			n := copy(p, h.buf)
			h.take(n)
			return n, nil
		case h.flow == flowing && h.writeErr != nil:
			return 0, io.EOF
		}
		h.change.Wait()
	}
}

// take removes the first n bytes; an empty buffer gives its memory back.
func (h *half) take(n int) {
	h.buf = h.buf[n:]
	if len(h.buf) == 0 {
		h.buf = nil
	}
	h.change.Broadcast()
}

func (h *half) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	done := 0
	for {
		switch {
		case h.writeErr != nil:
			return done, h.writeErr
		case h.writeBy.passed:
			return done, os.ErrDeadlineExceeded
		case h.flow == vanishing:
			return done + len(p), nil
		case h.readErr != nil && h.flow == flowing: // the reset arrives
			return done, syscall.EPIPE
		}
		if n := min(h.limit-len(h.buf), len(p)); n > 0 {
			h.buf = append(h.buf, p[:n]...)
			p = p[n:]
			done += n
			h.change.Broadcast()
		}
		if len(p) == 0 {
			return done, nil
		}
		h.change.Wait()
	}
}

// closeWrite ends writing: writes fail with err from now on, and the reader
// gets io.EOF after what is buffered.
func (h *half) closeWrite(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writeErr == nil || err == net.ErrClosed {
		h.writeErr = err
	}
	h.writeBy.stop()
	h.change.Broadcast()
}

func (h *half) closeRead() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readErr = net.ErrClosed
	h.buf = nil
	h.readBy.stop()
	h.change.Broadcast()
}

func (h *half) cut(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf, h.flow = nil, flowing
	if h.readErr == nil {
		h.readErr = err
	}
	if h.writeErr == nil {
		h.writeErr = err
	}
	h.change.Broadcast()
}

func (h *half) set(f flow) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flow = f
	if f == vanishing {
		h.buf = nil
	}
	h.change.Broadcast()
}

func (h *half) buffered() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.buf)
}

func (h *half) readUntil(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readBy.set(t, h)
}

func (h *half) writeUntil(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writeBy.set(t, h)
}

// deadline is a moment after which waiting is over; guarded by its half's mu.
type deadline struct {
	timer  *time.Timer
	turn   int // counts set calls, so that a timer that was too late to stop changes nothing
	passed bool
}

func (d *deadline) set(t time.Time, h *half) {
	d.stop()
	d.turn++
	d.passed = false
	if !t.IsZero() {
		if wait := time.Until(t); wait <= 0 {
			d.passed = true
		} else {
			turn := d.turn
			d.timer = time.AfterFunc(wait, func() { d.pass(turn, h) })
		}
	}
	h.change.Broadcast()
}

func (d *deadline) pass(turn int, h *half) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if turn == d.turn {
		d.passed = true
		h.change.Broadcast()
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
