package websocket

import "github.com/tutti-rt/tutti/internal/limit"

// debtor is a connection as its budget sees it.
type debtor Conn

var _ limit.Debtor = (*debtor)(nil)

// Owes implements [limit.Debtor].
func (d *debtor) Owes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.queued + d.arrived
}

// CutOff implements [limit.Debtor].
func (d *debtor) CutOff() { (*Conn)(d).Abort(ErrTooSlow) }

// pushLocked queues f, and counts it if much waits.
func (c *Conn) pushLocked(f *Frame) *batch {
	b := c.out.batch()
	b.frames = append(b.frames, f)
	c.out.queued += f.cost()
	if budget := c.limits.budget; budget != nil && (b.held > 0 || c.out.queued >= budget.Heavy()) {
		if b.held == 0 {
			b.budget, b.held = budget, len(b.frames)
		}
		budget.Hold(&f.shared, f.cost())
		c.oweLocked()
	}
	return b
}

// oweLocked makes the connection one that the budget may cut off.
func (c *Conn) oweLocked() {
	if !c.owing && !c.ended {
		c.owing = true
		c.limits.budget.Enter((*debtor)(c))
	}
}

// clearedLocked undoes oweLocked if nothing is owed any more.
func (c *Conn) clearedLocked() {
	if c.owing && c.out.queued == 0 && c.arrived == 0 {
		c.owing = false
		c.limits.budget.Leave((*debtor)(c))
	}
}

// drop takes off the budget what has left, or will not: the frames before end.
func (b *batch) drop(end int) {
	if b.held == 0 {
		return
	}
	for _, f := range b.frames[max(b.held-1, b.dropped):max(end, b.held-1, b.dropped)] {
		b.budget.Drop(&f.shared, f.cost())
	}
	b.dropped = max(end, b.dropped)
}

// arrive counts the size of the message that has begun to arrive.
func (c *Conn) arrive(size int) {
	if c.limits.budget == nil {
		return
	}
	heavy := c.limits.budget.Heavy()
	if size < heavy && c.arrived == 0 { // which only who reads changes
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if size < heavy {
		size = 0
	}
	c.limits.budget.Add(size - c.arrived)
	c.arrived = size
	if size > 0 {
		c.oweLocked()
	} else {
		c.clearedLocked()
	}
}
