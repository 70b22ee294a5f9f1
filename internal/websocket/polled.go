package websocket

import (
	"bytes"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/internal/poll"
	"github.com/tutti-rt/tutti/internal/turn"
)

const (
	// longInput is how long a connection goes on reading while others wait, so
	// that who floods keeps nobody waiting for long: a read may be thousands of
	// frames.
	longInput = turn.Slice / 2
	// heavySize is what is read at a time of who has sent much: it may be fifty
	// frames, and each of them costs.
	heavySize = 1 << 10
	// holdFrom is how much has to be read at once for answers to it to be held
	// until all of it has been dealt with. They leave together then: three
	// hundred refusals were three hundred writes.
	holdFrom = 512
)

// mostWaste is how many bytes are read, for the peer's close frame, behind ours: a
// peer that goes on sending is not read for as long as it could.
const mostWaste = 64 << 10

// polled is a connection of the first form as its worker sees it.
type polled Conn

var _ poll.Handler = (*polled)(nil)

// Of implements [poll.Handler].
func (p *polled) Of() *poll.Socket { return &p.sock }

// Ready implements [poll.Handler].
func (p *polled) Ready(e poll.Event, buf []byte) {
	c := (*Conn)(p)
	if e&poll.Writable != 0 {
		c.resume()
	}
	c.mu.Lock()
	mine := !c.busy
	if mine {
		c.busy = true
	} else {
		c.again |= e
	}
	c.mu.Unlock()
	if mine {
		c.serve(e, buf)
	}
}

// startPolling is Start for the first form. The caller is who reads, until
// there is nothing more to do.
func (c *Conn) startPolling(over bool) {
	if !over {
		if err := c.sock.Start((*polled)(c)); err != nil {
			c.endReading(err, false)
		}
		c.mu.Lock()
		stalled := c.out.stalled != nil
		c.mu.Unlock()
		if stalled {
			c.expect()
		}
		c.Flush()
	}
	if early := c.takeEarly(); len(early) > 0 && !c.feed(early) {
		return
	}
	p := readBuffers.Get().(*[]byte)
	defer readBuffers.Put(p)
	c.serve(0, *p)
}

// serve does what events ask for, until none is left. The caller has made the
// connection busy.
func (c *Conn) serve(e poll.Event, buf []byte) {
	for {
		some := buf[:min(len(buf), readSize)]
		if e&poll.Heavy != 0 {
			some = some[:heavySize]
		}
		if e&poll.Readable != 0 && !c.input(e&poll.Hangup != 0, some) {
			return // somebody else goes on
		}
		c.mu.Lock()
		if c.ended {
			c.vanishLocked()
			return
		}
		if e, c.again = c.again, 0; e == 0 {
			c.busy = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
}

// vanishLocked closes the socket of a connection that has ended, unlocks, and
// tells who has not been told. It stays busy for ever.
func (c *Conn) vanishLocked() {
	over, reading, err, drained := c.gone, c.reading, c.err, c.takeDrainedLocked()
	c.reading, c.shut, c.gone = false, true, true
	if !over && c.done != nil {
		defer close(c.done)
	}
	c.mu.Unlock()
	c.sock.Close()
	c.reader = nil
	c.arrive(0)
	if reading || !c.told {
		c.told = true
		c.receiver.Ended(err)
	}
	if drained != nil {
		drained()
	}
	c.receiver.Gone()
}

// input reads what there is. It reports false if somebody else goes on.
func (c *Conn) input(hangup bool, buf []byte) bool {
	began := time.Now()
	for {
		n, err := c.sock.Read(buf)
		switch {
		case err != nil:
			c.inputEnded(readError(err))
			return true
		case n == 0:
			return true
		case c.wasted(n):
			c.end(ErrClosed, false)
			return true
		case !c.feed(buf[:n]):
			return false
		case n < len(buf) && !hangup:
			return true // what comes after a short read is news
		case time.Since(began) > longInput:
			c.expect() // others wait
			return true
		}
	}
}

// wasted counts what comes behind our close frame, and says when it is too much.
func (c *Conn) wasted(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said {
		c.waste += int32(n)
	}
	return c.waste > mostWaste
}

// inputEnded is called when nothing more will be read.
func (c *Conn) inputEnded(err error) {
	c.mu.Lock()
	reading, said := c.reading, c.said
	c.heard = c.heard || !reading
	c.mu.Unlock()
	switch {
	case reading:
		c.told = true
		c.leave(err, nil, false)
		c.receiver.Ended(c.Err())
	case said:
		c.endReading(err, true)
	}
}

var readers = sync.Pool{New: func() any { return new(reader) }}

// feed takes the next bytes. It reports false if they ask for something that
// may wait: then a goroutine goes on.
func (c *Conn) feed(p []byte) bool {
	if !c.reading { // only changed by who reads
		return true
	}
	r := c.reader
	if r == nil {
		r = readers.Get().(*reader)
		r.conn = c
	}
	if len(p) >= holdFrom {
		c.hold(true)
		defer c.release()
	}
	err := r.feed(p)
	if wait, ok := err.(*later); ok {
		c.reader, r.unread = r, bytes.Clone(r.unread)
		// Started by a message that may have to wait, ends when that is dealt
		// with and nothing more is to be read. Gone waits for it.
		go c.goOn(wait)
		return false
	}
	c.settleReader(r, err)
	return true
}

// hold has what is queued wait, or not any more.
func (c *Conn) hold(held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = held
}

// release has what was held written.
func (c *Conn) release() {
	c.hold(false)
	c.Flush()
}

// settleReader keeps r if a message is under way, and ends reading for an error.
func (c *Conn) settleReader(r *reader, err error) {
	c.reader = r
	if err == nil && !r.atRest() {
		return
	}
	c.reader = nil
	reply, heard := r.reply, r.heard
	c.arrive(0)
	*r = reader{}
	readers.Put(r)
	if err != nil {
		c.told = true
		c.leave(err, reply, heard)
		c.receiver.Ended(c.Err())
	}
}

// goOn reads on after what a message has asked for.
func (c *Conn) goOn(wait *later) {
	r := c.reader
	c.settleReader(r, r.wait(wait))
	p := readBuffers.Get().(*[]byte)
	defer readBuffers.Put(p)
	c.serve(poll.Readable, *p)
}

// stall keeps b until the socket takes more.
func (c *Conn) stall(b *batch, progress bool) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		b.release()
		return
	}
	c.out.stalled = b
	if c.alarm == nil || progress && !c.alarm.final {
		c.alarmLocked(c.limits.writeTimeout)
	}
	if c.closing && c.alarm != nil {
		c.alarm.final = true
	}
	started := c.started
	c.mu.Unlock()
	if started {
		c.expect()
	}
}

// resume goes on with a write that has stalled.
func (c *Conn) resume() {
	c.mu.Lock()
	b := c.out.stalled
	c.out.stalled = nil
	c.mu.Unlock()
	if b != nil {
		c.flushFrom(b)
	}
}

// expect has the worker look at the socket.
func (c *Conn) expect() {
	if err := c.sock.Again(); err != nil {
		c.end(err, false)
	}
}

// alarm ends a connection that takes too long. There is one only while
// something is due: the progress of a write, or the peer's close frame.
type alarm struct {
	timer *time.Timer
	at    time.Time
	final bool // progress does not put it off
}

// alarmLocked sets the alarm; 0 is never.
func (c *Conn) alarmLocked(d time.Duration) {
	if d == 0 || c.ended {
		return
	}
	at := time.Now().Add(d)
	if c.alarm == nil {
		c.alarm = &alarm{timer: time.AfterFunc(d, c.onAlarm), at: at}
		return
	}
	c.alarm.at = at
	c.alarm.timer.Reset(d)
}

// calmLocked takes the alarm away.
func (c *Conn) calmLocked() {
	if c.alarm != nil {
		c.alarm.timer.Stop()
		c.alarm = nil
	}
}

func (c *Conn) onAlarm() {
	c.mu.Lock()
	due := c.alarm != nil && !time.Now().Before(c.alarm.at)
	err := ErrClosed
	if c.out.stalled != nil {
		err = ErrTooSlow
	}
	c.mu.Unlock()
	if due {
		c.end(err, false)
	}
}
