package tutti

import (
	"sync"

	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/internal/limit"
)

// debt is what a session has brought that waits for more of it or for handlers,
// as the engine's budget counts it.
type debt struct {
	link *link

	mu      sync.Mutex // the budget's is taken after it
	bytes   int
	entered bool
}

var _ limit.Debtor = (*debt)(nil)

// Owes implements [limit.Debtor].
func (d *debt) Owes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bytes
}

// CutOff implements [limit.Debtor].
func (d *debt) CutOff() { d.link.session.Abort(engineio.ReasonForcedServerClose) }

// arrive counts bytes that have come of a packet's attachments, or have not to
// wait any more.
func (l *link) arrive(bytes int) {
	if bytes != 0 {
		l.parts += bytes
		l.owe(bytes)
	}
}

// owe counts bytes more, or less. The session may be cut off while it owes much.
func (l *link) owe(bytes int) {
	budget := l.server.budget
	if budget == nil {
		return
	}
	d := l.debt.Load()
	if d == nil {
		d = &debt{link: l}
		if !l.debt.CompareAndSwap(nil, d) {
			d = l.debt.Load()
		}
	}
	d.mu.Lock()
	d.bytes += bytes
	switch much := d.bytes >= budget.Heavy(); {
	case much && !d.entered:
		d.entered = true
		budget.Enter(d)
	case !much && d.entered:
		d.entered = false
		budget.Leave(d)
	}
	d.mu.Unlock()
	budget.Add(bytes)
}
