package limit

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// heavy and light are between what the weight is, from how many bytes on a queue
// counts against a [Budget]: less than that is on its way, and costs no counting.
const (
	heavy = 16 << 10
	light = 256
)

// A Budget is how many bytes may wait for all peers together. When more do, it
// cuts off those for whom most waits, until a tenth of it is free again. It is
// safe for concurrent use; a nil Budget has no limit and counts nothing.
type Budget struct {
	most   int64
	shed   func(bytes int) // told of each that is cut off
	used   atomic.Int64
	queues atomic.Int64
	weight atomic.Int64 // 0: heavy

	mu       sync.Mutex
	debtors  map[Debtor]struct{}
	shedding bool
}

// A Debtor is whoever something waits for, as a pointer. Its methods may be called by any
// goroutine, which holds no lock, also after it has left the budget.
type Debtor interface {
	// Owes returns how many bytes wait for it.
	Owes() int
	// CutOff ends it, and with that gives back what it owes. It must not wait.
	CutOff()
}

// Shared is part of something that may wait in several queues at a time and is
// in memory once. The zero value is ready to use.
type Shared struct{ holders atomic.Int32 }

// NewBudget returns a budget of so many bytes; 0 or less is no limit, then it
// only counts. shed is told how many bytes waited for a debtor that is cut off.
func NewBudget(most int64, shed func(bytes int)) *Budget {
	return &Budget{most: most, shed: shed, debtors: make(map[Debtor]struct{})}
}

// Used returns how many bytes wait.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

// Queues counts so many queues more, or less, that bytes may wait in.
func (b *Budget) Queues(n int) {
	if b == nil || b.most <= 0 {
		return
	}
	// What is not counted is in all of them together a quarter of the budget, so
	// that it cannot be the memory that the budget is to keep free.
	all := max(b.queues.Add(int64(n)), 1)
	b.weight.Store(min(max(b.most/4/all, light), heavy))
}

// Heavy is from how many bytes on a queue counts: 16 KiB, and less with so many
// queues that this is much in all of them. What is counted stays counted.
func (b *Budget) Heavy() int {
	if b == nil {
		return heavy
	}
	if w := b.weight.Load(); w > 0 {
		return int(w)
	}
	return heavy
}

// Enter makes d one that may be cut off, until Leave.
func (b *Budget) Enter(d Debtor) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.debtors[d] = struct{}{}
}

// Leave undoes Enter.
func (b *Budget) Leave(d Debtor) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.debtors, d)
}

// Add counts n bytes more, or less. It cuts nobody off itself: the caller may
// hold locks.
func (b *Budget) Add(n int) {
	if b == nil || n == 0 {
		return
	}
	if used := b.used.Add(int64(n)); b.most > 0 && used > b.most && n > 0 {
		b.over()
	}
}

// Hold counts something of so many bytes that waits in one more queue, and Drop
// in one less: its bytes count while it waits anywhere, and its place in the queue
// each time.
func (b *Budget) Hold(s *Shared, size int) {
	if b == nil {
		return
	}
	n := place
	if s.holders.Add(1) == 1 {
		n += size
	}
	b.Add(n)
}

// Drop undoes one Hold.
func (b *Budget) Drop(s *Shared, size int) {
	if b == nil {
		return
	}
	n := place
	if s.holders.Add(-1) == 0 {
		n += size
	}
	b.Add(-n)
}

// place is what a place in a queue costs.
const place = 16

// over has a goroutine shed, unless one is at it.
func (b *Budget) over() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.shedding {
		b.shedding = true
		time.AfterFunc(0, b.cutOff)
	}
}

// cutOff cuts off debtors, the largest first.
func (b *Budget) cutOff() {
	type debt struct {
		debtor Debtor
		bytes  int
	}
	b.mu.Lock()
	var debts []debt
	for d := range b.debtors {
		debts = append(debts, debt{debtor: d})
	}
	b.mu.Unlock()
	for i := range debts {
		debts[i].bytes = debts[i].debtor.Owes()
	}
	slices.SortFunc(debts, func(x, y debt) int { return y.bytes - x.bytes })
	for _, d := range debts {
		if b.used.Load() <= b.most-b.most/10 {
			break
		}
		d.debtor.CutOff()
		if b.shed != nil {
			b.shed(d.bytes)
		}
	}
	b.mu.Lock()
	b.shedding = false
	b.mu.Unlock()
}
