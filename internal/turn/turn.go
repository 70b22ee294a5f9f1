// Package turn has those who take much of the processor wait for those who take
// little.
//
// Go's scheduler knows no such difference: a goroutine that has work for ten
// milliseconds has the processor for ten milliseconds, and while anything can run
// it looks at sockets no more often than that. Thirty-two peers that send as fast
// as they can then decide how long everybody else waits. Here everybody has a
// [Debt] of what was done for them of late. Whoever works through a backlog asks a
// [Line] after a [Slice] of time whether it goes on, and what is to be done for
// somebody in debt begins with asking. Those who ask go on one after another, each
// when all who did not have to ask have had their turn, those included whose
// sockets have become ready meanwhile. Nobody waits if there is nobody to wait for.
//
// Who asked holds nothing when it goes on: work that waits for a disk or a
// network keeps nobody else from going on.
//
// May import: internal/sweep.
package turn

import (
	"sync"
	"sync/atomic"
	"time"
)

// Slice is how long one goes on before it may be somebody else's turn. Asking
// costs some 3 µs if nobody else is there.
const Slice = 100 * time.Microsecond

const (
	// late is how long a pass takes at most, beside a collection of garbage too,
	// unless there are goroutines that compute and leave the runtime no time to
	// look at sockets but every ten milliseconds. Then turns would be all that who
	// waits for them gets: for pause there are none.
	late  = 9 * time.Millisecond
	pause = 100 * time.Millisecond
	// patience is how long somebody waits for the runtime to look at all sockets
	// while it sweeps.
	patience = 2 * Slice
	// together is how many who have little to do share a slice.
	together = 8
)

// Line is where those wait who ask. The zero value is ready to use. All methods
// may be called concurrently, under no lock.
type Line struct {
	passed atomic.Int64 // when all others had had their turn, as of Unix in ns
	rushed atomic.Int64 // until when there are no turns
	joined atomic.Int32 // how many have gone on since who have little to do

	mu      sync.Mutex // held by who is first
	bell    bell
	opened  bool
	delayed bool // the last pass took too long
}

// Wait waits until those who have asked before go on, and until all who did not
// ask have had their turn, or for a moment if the runtime sweeps. Beside goroutines
// that compute nobody waits.
func (l *Line) Wait() {
	if l.isRushed() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passLocked()
}

// WaitLittle is Wait for who will be done soon, of whom some share a slice: a
// pass for each would cost more than what they do.
func (l *Line) WaitLittle() {
	if l.shares() || l.isRushed() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.shares() { // since
		l.passLocked()
	}
}

// shares says whether somebody who has little to do goes on in the slice of others.
func (l *Line) shares() bool {
	since := time.Now().UnixNano() - l.passed.Load()
	return since >= 0 && since < int64(Slice) && l.joined.Add(1) <= together
}

func (l *Line) passLocked() {
	if l.isRushed() { // since
		return
	}
	l.openLocked()
	began := time.Now()
	l.bell.pass()
	now := time.Now()
	before := l.delayed
	if l.delayed = now.Sub(began) > late; l.delayed && before { // one may be something that takes long for once
		l.rushed.Store(now.Add(pause).UnixNano())
	}
	l.passed.Store(now.UnixNano())
	l.joined.Store(0)
}

// isRushed says whether there are no turns. A clock that is set ends that.
func (l *Line) isRushed() bool {
	left := l.rushed.Load() - time.Now().UnixNano()
	return left > 0 && left <= int64(pause)
}

// Open has the line hold its descriptor from now on, and not from the first wait.
func (l *Line) Open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.openLocked()
}

func (l *Line) openLocked() {
	if !l.opened {
		l.opened = true
		l.bell.open()
	}
}

// Close gives back what the line holds, a descriptor. It may be called again.
func (l *Line) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened {
		l.bell.close()
	}
	l.opened = true
}

// Debt is what was done for somebody of late: a hundredth of one processor is
// forgotten all the time. The zero value is that of somebody who is new, and
// counts as just too much: who comes again and again is always new. It is not
// safe for concurrent use.
//
// It is the time at which all is forgotten, in units, by a clock that wraps every
// nineteen hours. A clock that is set makes it wrong, for a second at worst.
type Debt uint32

const (
	unit  = 16 * time.Microsecond
	share = 50                    // one in so many
	heavy = 40 * time.Millisecond // of debt, for 0.8 ms of work
	most  = time.Second           // of debt
	// dear is what one piece of work counts for at most. It may have waited, for
	// a disk or the processor: how long it had that for nobody can say.
	dear = 300 * time.Microsecond
)

// Heavy says whether it is so much that others come first.
func (d Debt) Heavy(now time.Time) bool { return d.left(now) >= int32(heavy/unit) }

// Add adds work that took so long.
func (d *Debt) Add(now time.Time, took time.Duration) {
	left := d.left(now) + int32(min(max(took, 0), dear)*share/unit)
	*d = Debt(units(now) + uint32(min(left, int32(most/unit))))
}

// left is how long it takes until it is forgotten, in units.
func (d Debt) left(now time.Time) int32 {
	if d == 0 {
		return int32(heavy / unit)
	}
	left := int32(uint32(d) - units(now))
	if left < 0 || left > int32(most/unit) { // forgotten; or so long ago that the clock has wrapped
		return 0
	}
	return left
}

func units(t time.Time) uint32 { return uint32(t.UnixMicro() / unit.Microseconds()) }
