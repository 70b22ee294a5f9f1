package limit_test

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti/internal/limit"
)

func TestNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1234":           "192.0.2.1/32",
		"[::ffff:192.0.2.1]:1234":  "192.0.2.1/32",
		"[2001:db8:1:2:3::4]:1234": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1":         "fe80::/64",
	} {
		if got := limit.Network(remote); got != netip.MustParsePrefix(want) {
			t.Errorf("%s counts as %v, want %s", remote, got, want)
		}
	}
	for network, want := range map[string]string{"192.0.2.1/32": "invalid Prefix", "2001:db8:1:2::/64": "2001:db8:1::/48"} {
		if got := limit.WideOf(netip.MustParsePrefix(network)).String(); got != want {
			t.Errorf("%s is in %s, want %s", network, got, want)
		}
	}
	if got := limit.WideOf(netip.Prefix{}); got.IsValid() {
		t.Errorf("no network is in %v", got)
	}
	if got := limit.Network("@"); got.IsValid() {
		t.Errorf("a socket without address counts as %v", got)
	}
}

func TestTally(t *testing.T) {
	y := limit.NewTally[string](2)
	for i, want := range []bool{true, true, false} {
		if got := y.Take("a"); got != want {
			t.Errorf("take %d: %v, want %v", i, got, want)
		}
	}
	if !y.Take("b") || y.Len() != 2 {
		t.Error("one owner's most is another's")
	}
	y.Give("a")
	if !y.Take("a") {
		t.Error("what was given back can't be taken")
	}
	y.Give("a")
	y.Give("a")
	y.Give("b")
	if y.Len() != 0 {
		t.Errorf("remembers %d owners of nothing", y.Len())
	}
	none := limit.NewTally[string](0)
	for range 3 {
		if !none.Take("a") {
			t.Error("a tally without limit refuses")
		}
	}
	none.SetMost(2)
	none.Give("a")
	if none.Take("a") {
		t.Error("what was taken before a limit does not count")
	}
	none.Give("a")
	if none.Take("a"); none.Take("a") {
		t.Error("the limit is not 2")
	}
}

// debtor owes until it is cut off.
type debtor struct {
	budget *limit.Budget
	owes   int
	cut    atomic.Bool
}

func (d *debtor) Owes() int { return d.owes }

func (d *debtor) CutOff() {
	if !d.cut.Swap(true) {
		d.budget.Add(-d.owes)
		d.budget.Leave(d)
	}
}

// TestBudget: when too much waits, those for whom most waits are cut off, and
// no more of them than it takes.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shed atomic.Int64
		b := limit.NewBudget(1000, func(n int) { shed.Add(int64(n)) })
		var all []*debtor
		for _, n := range []int{100, 400, 200, 300} {
			d := &debtor{budget: b, owes: n}
			all = append(all, d)
			b.Enter(d)
			b.Add(n)
		}
		synctest.Wait()
		if shed.Load() != 0 {
			t.Error("somebody was cut off at the limit, not beyond it")
		}
		late := &debtor{budget: b, owes: 50}
		b.Enter(late)
		b.Add(50)
		synctest.Wait()
		for _, d := range append(all, late) {
			if want := d.owes == 400; d.cut.Load() != want {
				t.Errorf("who owes %d is cut off: %v", d.owes, !want)
			}
		}
		if b.Used() != 650 || shed.Load() != 400 {
			t.Errorf("%d wait, %d were shed", b.Used(), shed.Load())
		}
	})
}

// TestBudgetOfWhatIsShared: a message in many queues is in memory once.
func TestBudgetOfWhatIsShared(t *testing.T) {
	b := limit.NewBudget(0, nil)
	var message limit.Shared
	var queues sync.WaitGroup
	for range 8 {
		queues.Go(func() { // ends by itself, and the test waits
			for range 1000 {
				b.Hold(&message, 1<<20)
			}
		})
	}
	queues.Wait()
	if got := b.Used(); got < 1<<20 || got > 2<<20 {
		t.Errorf("a megabyte in 8,000 queues counts %d", got)
	}
	for range 8000 {
		b.Drop(&message, 1<<20)
	}
	if got := b.Used(); got != 0 {
		t.Errorf("%d wait in no queue", got)
	}
	var none *limit.Budget
	none.Add(1)
	none.Hold(&message, 1)
	none.Enter(&debtor{})
	if none.Used() != 0 {
		t.Error("no budget counts")
	}
}

// TestHeavy: what is not counted is at most a quarter of the budget in all
// queues together, however many there are.
func TestHeavy(t *testing.T) {
	b := limit.NewBudget(64<<20, nil)
	for _, step := range []struct{ more, want int }{
		{0, 16 << 10}, {1000, 16 << 10}, {24, 16 << 10}, {1024, 8 << 10}, {14 << 10, 1 << 10}, {1 << 20, 256}, {-1 << 20, 1 << 10}, {-15 << 10, 16 << 10}, {-1 << 10, 16 << 10},
	} {
		b.Queues(step.more)
		if got := b.Heavy(); got != step.want {
			t.Errorf("%d queues more: %d bytes are much, want %d", step.more, got, step.want)
		}
	}
	none := limit.NewBudget(0, nil)
	for _, b := range []*limit.Budget{none, nil} {
		b.Queues(1 << 20)
		if got := b.Heavy(); got != 16<<10 {
			t.Errorf("without a limit %d bytes are much", got)
		}
	}
}
