package websocket

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

const (
	// joinSize is how much is written at once: what a blocked writer pins, the
	// size of a TLS record, and 160 chat messages.
	joinSize = 16 << 10
	// maxPongs is how many bytes of answers to pings may wait. "The endpoint MAY
	// elect to send a Pong frame for only the most recently processed Ping
	// frame." RFC 6455 section 5.5.3
	maxPongs = 4 << 10
	// keepItems is the longest batch worth keeping in the pool.
	keepItems = 1024
	// frameOverhead is what a frame counts for in the queue besides its bytes: a
	// peer that asks for many tiny answers and reads none would otherwise have
	// seventeen times Options.MaxQueue kept for it.
	frameOverhead = 64
)

// item is a frame in line.
type item struct {
	frame   *Frame
	flushed func() // called when the write that carried it has returned
	last    bool   // the close frame
}

// batch is what leaves together.
type batch struct {
	items []item
	pongs []byte // leaves first: encoded pong frames
}

var batches = sync.Pool{New: func() any { return new(batch) }}

var joinBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, joinSize)
	return &b
}}

// release gives the batch back; a nil one has nothing to give.
func (b *batch) release() {
	if b == nil || cap(b.items) > keepItems {
		return
	}
	clear(b.items)
	b.items, b.pongs = b.items[:0], nil
	batches.Put(b)
}

// outbox is what waits to be written; guarded by Conn.mu.
type outbox struct {
	next   *batch // nil at rest
	queued int    // cost of frames accepted and not yet written, those being written included
}

func (o *outbox) batch() *batch {
	if o.next == nil {
		o.next = batches.Get().(*batch)
	}
	return o.next
}

// drop empties the outbox.
func (o *outbox) drop() *batch {
	b := o.next
	o.next, o.queued = nil, 0
	return b
}

// Send queues frames, contiguous and in order, and never waits. It returns
// [ErrClosed] or [ErrQueueFull]; then none of the frames was queued.
func (c *Conn) Send(frames ...*Frame) error {
	size := 0
	for _, f := range frames {
		size += f.cost()
	}
	c.mu.Lock()
	if err := c.roomLocked(size); err != nil {
		c.mu.Unlock()
		return err
	}
	start := false
	for _, f := range frames {
		start = c.pushLocked(item{frame: f}) || start
	}
	c.mu.Unlock()
	if start {
		c.startWriter()
	}
	return nil
}

// SendNotify queues f as Send does and calls flushed once the write that
// carried f has returned, which means that the kernel has taken it, not the
// peer. It is called on the writer's goroutine, before anything queued after
// that write leaves, and must not wait. It is not called if the connection
// ends before.
func (c *Conn) SendNotify(f *Frame, flushed func()) error {
	c.mu.Lock()
	if err := c.roomLocked(f.cost()); err != nil {
		c.mu.Unlock()
		return err
	}
	start := c.pushLocked(item{frame: f, flushed: flushed})
	c.mu.Unlock()
	if start {
		c.startWriter()
	}
	return nil
}

// Queued returns how much waits to be written or is being written, as
// Options.MaxQueue counts; 0 means that a frame sent now would leave at once.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.queued
}

// OnDrained has f called once when nothing waits to be written any more, on the
// writer's goroutine; f must not wait. If nothing waits now it returns false and
// f will not be called, nor if the connection ends before. It replaces the f
// of an earlier call that is still to come.
func (c *Conn) OnDrained(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out.queued == 0 {
		return false
	}
	c.drained = f
	return true
}

func (c *Conn) roomLocked(size int) error {
	if c.closing {
		return ErrClosed
	}
	if q := c.out.queued; q > 0 && q+size > c.limits.maxQueue {
		return ErrQueueFull
	}
	return nil
}

// pushLocked puts i in line and reports whether the caller must start the
// writer after unlocking.
func (c *Conn) pushLocked(i item) (start bool) {
	b := c.out.batch()
	b.items = append(b.items, i)
	c.out.queued += i.frame.cost()
	return c.wakeLocked()
}

func (c *Conn) wakeLocked() (start bool) {
	start = !c.writing
	c.writing = true
	return start
}

// pong queues the answer to a ping.
func (c *Conn) pong(payload []byte) {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	b := c.out.batch()
	if len(b.pongs)+2+len(payload) > maxPongs {
		b.pongs = b.pongs[:0]
	}
	b.pongs = appendFrame(b.pongs, ws.OpPong, payload)
	start := c.wakeLocked()
	c.mu.Unlock()
	if start {
		c.startWriter()
	}
}

// startWriter starts the writer goroutine. Its owner is the Conn: it is started
// by whoever queues something while there is none, ends when nothing is left to
// write or the connection has ended, and Done waits for it.
func (c *Conn) startWriter() {
	go c.writer()
}

// write is the writer goroutine. It takes all that is pending, writes it, and
// looks again.
func (c *Conn) write() {
	for {
		b := c.take()
		if b == nil {
			return
		}
		last := len(b.items) > 0 && b.items[len(b.items)-1].last
		err := c.writeBatch(b)
		b.release()
		if err != nil {
			c.end(err, false)
			c.stopWriting()
			return
		}
		if last {
			c.afterClose()
			c.stopWriting()
			return
		}
	}
}

// take returns what is pending. If that is nothing it returns nil, and the
// writer is no more: one step, or what is queued in between would stay.
func (c *Conn) take() *batch {
	c.mu.Lock()
	b := c.out.next
	c.out.next = nil
	over := b == nil && c.stopLocked()
	c.mu.Unlock()
	if over {
		close(c.done)
	}
	return b
}

// writeBatch writes b in as few writes as its size allows. Frames are shared
// between connections: they are copied into the buffer or written as they are.
func (c *Conn) writeBatch(b *batch) error {
	if len(b.items) == 1 && len(b.pongs) == 0 {
		return c.writeItems(b.items[0].frame.wire(c.limits.deflateFrom), b.items)
	}
	p := joinBuffers.Get().(*[]byte)
	defer joinBuffers.Put(p)
	buf := append((*p)[:0], b.pongs...)
	from := 0
	for i := range b.items {
		data := b.items[i].frame.wire(c.limits.deflateFrom)
		if len(buf)+len(data) <= joinSize {
			buf = append(buf, data...)
			continue
		}
		if err := c.writeItems(buf, b.items[from:i]); err != nil {
			return err
		}
		buf, from = buf[:0], i
		if len(data) <= joinSize {
			buf = append(buf, data...)
			continue
		}
		if err := c.writeItems(data, b.items[i:i+1]); err != nil {
			return err
		}
		from = i + 1
	}
	return c.writeItems(buf, b.items[from:])
}

// writeItems writes data, which carries items.
func (c *Conn) writeItems(data []byte, items []item) error {
	if err := c.writeOut(data); err != nil {
		return err
	}
	size := 0
	for i := range items {
		size += items[i].frame.cost()
	}
	c.mu.Lock()
	if !c.ended { // or it has been set to 0
		c.out.queued -= size
	}
	var drained func()
	if c.out.queued == 0 {
		drained, c.drained = c.drained, nil
	}
	c.mu.Unlock()
	if drained != nil {
		drained()
	}
	for i := range items {
		if f := items[i].flushed; f != nil {
			f()
		}
	}
	return nil
}

// writeOut writes data, however long it takes, as long as some of it leaves
// within each write timeout.
func (c *Conn) writeOut(data []byte) error {
	if c.raw != nil && len(data) > 0 {
		return c.writeRaw(data)
	}
	return c.writePlain(data)
}

// writePlain writes with deadlines. When within its time a partial write made
// its progress cannot be known, so that a peer may get up to twice the timeout.
func (c *Conn) writePlain(data []byte) error {
	for len(data) > 0 {
		if err := c.nc.SetWriteDeadline(c.writeBy()); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		// In pieces, so that progress shows on TLS too: after a timeout it
		// can write no more.
		n, err := c.nc.Write(data[:min(len(data), joinSize)])
		data = data[n:]
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("write: %w", err)
		case n == 0 || c.late():
			return ErrTooSlow
		}
	}
	return nil
}

func (c *Conn) writeBy() time.Time {
	c.mu.Lock()
	closeBy := c.closeBy
	c.mu.Unlock()
	if c.limits.writeTimeout == 0 {
		return time.Time{}
	}
	by := time.Now().Add(c.limits.writeTimeout)
	if !closeBy.IsZero() && closeBy.Before(by) {
		return closeBy
	}
	return by
}

// late reports whether a connection that closes has used up its time.
func (c *Conn) late() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closeBy.IsZero() && !time.Now().Before(c.closeBy)
}
