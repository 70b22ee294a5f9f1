package websocket

import (
	"sync"

	"github.com/gobwas/ws"

	"github.com/tutti-rt/tutti/internal/limit"
)

const (
	// joinSize is how much is written at once: what a blocked writer pins, the
	// size of a TLS record, and 160 chat messages.
	joinSize = 16 << 10
	// maxPongs is how many bytes of answers to pings may wait. "The endpoint MAY
	// elect to send a Pong frame for only the most recently processed Ping
	// frame." RFC 6455 section 5.5.3
	maxPongs = 4 << 10
	// keepFrames is the longest batch worth keeping in the pool.
	keepFrames = 4096
	// frameOverhead is what a frame counts for in the queue besides its bytes: a
	// peer that asks for many tiny answers and reads none would otherwise have
	// seventeen times Options.MaxQueue kept for it.
	frameOverhead = 64
)

// batch is what leaves together, and how far it has got.
type batch struct {
	frames []*Frame
	notes  []note
	last   bool   // the last of frames is the close frame
	pongs  []byte // leaves first: encoded pong frames

	budget  *limit.Budget // which counts the frames from the held-th on, but for those before dropped; held 0: none
	held    int
	dropped int

	data []byte  // what is left of the write under way
	from int     // it carries frames[from:to]
	to   int     //
	buf  *[]byte // which data is in, unless it is a frame's own
}

// note is to be called when the write that carries a frame has returned.
type note struct {
	at int // of the frame
	f  func()
}

var batches = sync.Pool{New: func() any { return new(batch) }}

var joinBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, joinSize)
	return &b
}}

// compose makes the next write, if there is one. Frames are shared between
// connections: they are copied into a buffer or written as they are.
func (b *batch) compose(threshold int) bool {
	rest := b.frames[b.to:]
	b.from = b.to
	switch {
	case len(rest) == 0 && len(b.pongs) == 0:
		return false
	case len(rest) == 1 && len(b.pongs) == 0:
		b.data, b.to = rest[0].wire(threshold), b.to+1
		return true
	}
	p := joinBuffers.Get().(*[]byte)
	buf := append((*p)[:0], b.pongs...)
	b.pongs = nil
	for i := range rest {
		data := rest[i].wire(threshold)
		if len(buf)+len(data) > joinSize {
			if len(buf) == 0 { // alone, as it is
				joinBuffers.Put(p)
				b.data, b.to = data, b.to+1
				return true
			}
			break
		}
		buf = append(buf, data...)
		b.to++
	}
	b.data, b.buf = buf, p
	return true
}

// written gives back the buffer of a write that is done.
func (b *batch) written() {
	if b.buf != nil {
		joinBuffers.Put(b.buf)
	}
	b.data, b.buf = nil, nil
}

// release gives the batch back; a nil one has nothing to give.
func (b *batch) release() {
	if b == nil {
		return
	}
	b.written()
	b.drop(len(b.frames))
	if cap(b.frames) > keepFrames {
		return
	}
	clear(b.frames)
	*b = batch{frames: b.frames[:0]}
	batches.Put(b)
}

// outbox is what waits to be written; guarded by Conn.mu.
type outbox struct {
	next    *batch // nil at rest
	stalled *batch // what the socket has not taken all of, until it takes more
	queued  int    // cost of frames accepted and not yet written, those being written included
}

func (o *outbox) batch() *batch {
	if o.next == nil {
		o.next = batches.Get().(*batch)
	}
	return o.next
}

// drop empties the outbox.
func (o *outbox) drop() {
	o.next.release()
	o.stalled.release()
	*o = outbox{}
}

// Send queues frames, contiguous and in order, and writes them at once if the
// socket takes them. It never waits. It returns [ErrClosed] or [ErrQueueFull];
// then none of the frames was queued.
func (c *Conn) Send(frames ...*Frame) error {
	if err := c.Queue(frames...); err != nil {
		return err
	}
	c.Flush()
	return nil
}

// Queue is Send without the writing, which the caller sees to with Flush.
func (c *Conn) Queue(frames ...*Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queueLocked(frames)
}

// Post is Send for what goes to many, or for who holds a lock: the writing is
// left to others, who come round soon.
func (c *Conn) Post(frames ...*Frame) error {
	c.mu.Lock()
	if err := c.queueLocked(frames); err != nil {
		c.mu.Unlock()
		return err
	}
	start := c.writeLocked()
	c.mu.Unlock()
	if start {
		c.later()
	}
	return nil
}

// SendNotify posts f and calls flushed once the write that carried f has
// returned, which means that the kernel has taken it, not the peer. It is called
// by who writes, before anything queued after that write leaves, and must not
// wait. It is not called if the connection ends before.
func (c *Conn) SendNotify(f *Frame, flushed func()) error {
	c.mu.Lock()
	if err := c.roomLocked(f.cost()); err != nil {
		c.mu.Unlock()
		return err
	}
	b := c.pushLocked(f)
	b.notes = append(b.notes, note{len(b.frames) - 1, flushed})
	start := c.writeLocked()
	c.mu.Unlock()
	if start {
		c.later()
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

// Ready says whether a frame sent now would leave soon: nothing waits, or the
// socket takes what it is given.
func (c *Conn) Ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.line != nil {
		return c.out.queued == 0
	}
	return c.out.stalled == nil && c.out.queued <= joinSize
}

// OnDrained has f called once when nothing waits to be written any more, by who
// has written the last, which holds no lock; f must not wait. If nothing waits
// now it returns false and f will not be called. If a connection that was started
// ends before, f is called then. It replaces the f of an earlier call that is
// still to come.
func (c *Conn) OnDrained(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out.queued == 0 {
		return false
	}
	c.drained = f
	return true
}

// takeDrainedLocked returns what OnDrained was given, once.
func (c *Conn) takeDrainedLocked() func() {
	f := c.drained
	c.drained = nil
	return f
}

func (c *Conn) queueLocked(frames []*Frame) error {
	size := 0
	for _, f := range frames {
		size += f.cost()
	}
	if err := c.roomLocked(size); err != nil {
		return err
	}
	for _, f := range frames {
		c.pushLocked(f)
	}
	return nil
}

func (c *Conn) roomLocked(size int) error {
	if c.closing {
		return ErrClosed
	}
	// What is only held could leave at once, and will.
	if q := c.out.queued; q > 0 && q+size > c.limits.maxQueue && (!c.held || c.writing) {
		return ErrQueueFull
	}
	return nil
}

// mayPing counts a ping. None needs to come more often than now and then. Who reads
// calls it.
func (c *Conn) mayPing() bool {
	if c.pings == nil {
		c.pings = limit.NewBucket(limit.Rate{PerSecond: 10, Burst: 500})
	}
	_, ok := c.pings.Take()
	return ok
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
	c.mu.Unlock()
	c.FlushLater() // those that came together leave together: a write each is what a flood wants
}

// writeLocked makes the caller the one who writes, and reports whether it is.
// Who writes takes all that is pending, and looks again before it stops.
func (c *Conn) writeLocked() bool {
	if c.writing || c.ended || c.out.next == nil {
		return false
	}
	c.writing = true
	return true
}

// Flush has what is queued written, if nobody is at it: in the first form here
// and now, as far as the socket takes it.
func (c *Conn) Flush() { c.flushBy((*Conn).now) }

// FlushLater has what is queued written soon.
func (c *Conn) FlushLater() { c.flushBy((*Conn).later) }

func (c *Conn) flushBy(write func(*Conn)) {
	c.mu.Lock()
	start := (!c.held || c.out.queued > c.limits.maxQueue/2) && c.writeLocked()
	c.mu.Unlock()
	if start {
		write(c)
	}
}

func (c *Conn) now() {
	if c.line != nil {
		c.later()
		return
	}
	c.flush()
}

func (c *Conn) later() {
	if c.line == nil {
		c.loop.flusher.add((*posted)(c))
		return
	}
	// The writer goroutine. Its owner is the Conn: it is started by whoever
	// queues something while there is none, ends when nothing is left to write
	// or the connection has ended, and Done waits for it.
	go c.line.writer()
}

// flush writes what is pending. The caller is who writes.
func (c *Conn) flush() {
	for {
		c.mu.Lock()
		b := c.out.next
		c.out.next = nil
		if b == nil {
			c.stopWritingLocked()
		}
		c.mu.Unlock()
		if b == nil || !c.flushFrom(b) {
			return
		}
	}
}

// flushFrom writes what is left of b. It reports whether the caller is still who
// writes: not if the socket does not take all, the connection is over, or
// nothing is left. Then others have come with more: in the first form they are
// not the caller's business.
func (c *Conn) flushFrom(b *batch) bool {
	progress := false
	for len(b.data) > 0 || b.compose(c.limits.deflateFrom) {
		n, err := c.writeSome(b.data)
		if err != nil {
			b.release()
			c.end(err, false)
			c.stopWriting()
			return false
		}
		progress = progress || n > 0
		if b.data = b.data[n:]; len(b.data) > 0 {
			c.stall(b, progress)
			return false
		}
		c.settle(b)
	}
	last := b.last
	b.release()
	if last {
		c.afterClose()
		c.stopWriting()
		return false
	}
	if c.line != nil {
		return true
	}
	c.mu.Lock()
	more := c.out.next != nil
	if !more {
		c.writing = false
	}
	if c.alarm != nil && !c.closing {
		c.calmLocked()
	}
	c.mu.Unlock()
	if more {
		c.later()
	}
	return false
}

func (c *Conn) stopWriting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopWritingLocked()
}

// writeSome writes data: all of it, or in the first form what the socket takes.
func (c *Conn) writeSome(data []byte) (int, error) {
	if c.line == nil {
		return c.sock.Write(data)
	}
	return len(data), c.writeOut(data)
}

// settle takes note that a write is done.
func (c *Conn) settle(b *batch) {
	b.written()
	b.drop(b.to)
	size := 0
	for _, f := range b.frames[b.from:b.to] {
		size += f.cost()
	}
	c.mu.Lock()
	if !c.ended { // or it has been set to 0
		c.out.queued -= size
	}
	var drained func()
	if c.out.queued == 0 {
		drained = c.takeDrainedLocked()
		c.clearedLocked()
	}
	c.mu.Unlock()
	if drained != nil {
		drained()
	}
	for len(b.notes) > 0 && b.notes[0].at < b.to {
		f := b.notes[0].f
		b.notes = b.notes[1:]
		f()
	}
}
