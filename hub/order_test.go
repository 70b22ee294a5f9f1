package hub_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti/hub"
)

// TestOrderIsRealTime runs operations from many goroutines. None may run while
// another does, and one that was asked for after another had returned must run
// after it.
func TestOrderIsRealTime(t *testing.T) {
	const callers, each = 16, 500
	type stamps struct{ called, returned int64 }
	var (
		o     hub.Order
		clock atomic.Int64
		log   []*stamps // only touched in turns: the race detector watches
		wg    sync.WaitGroup
	)
	for range callers {
		wg.Go(func() {
			for range each {
				s := &stamps{called: clock.Add(1)}
				o.Do(func() { log = append(log, s) })
				s.returned = clock.Add(1)
			}
		})
	}
	wg.Wait()
	if len(log) != callers*each {
		t.Fatalf("%d operations ran, want %d", len(log), callers*each)
	}
	latestCall := int64(0)
	for i, s := range log {
		latestCall = max(latestCall, s.called)
		if s.returned < latestCall {
			t.Fatalf("operation %d returned before one was called that ran earlier", i)
		}
	}
}

// TestOrderIsArrival: whoever waits is served in the order of arrival, posts
// among them.
func TestOrderIsArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			o    hub.Order
			got  []int
			gate = make(chan struct{})
		)
		start := func(f func()) {
			go f()
			synctest.Wait()
		}
		start(func() { o.Do(func() { <-gate; got = append(got, 0) }) })
		var want []int
		for i := range 40 {
			want = append(want, i)
			if i == 0 {
				continue
			}
			run := o.Do
			if i%3 == 0 || i < 4 || i > 36 { // posts at the head, inside and at the end
				run = o.Post
			}
			start(func() { run(func() { got = append(got, i) }) })
		}
		if n := o.Waiting(); n != 39 {
			t.Errorf("%d operations wait behind the first, want 39", n)
		}
		close(gate)
		synctest.Wait()
		if !slices.Equal(got, want) {
			t.Errorf("ran in the order\n%v, want\n%v", got, want)
		}
	})
}

func TestOrderPostNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o hub.Order
		gate := make(chan struct{})
		go o.Do(func() { <-gate })
		synctest.Wait()
		ran := false
		o.Post(func() { ran = true }) // would deadlock the bubble if it waited
		if ran {
			t.Error("a posted operation ran in another's turn")
		}
		close(gate)
		synctest.Wait()
		if !ran {
			t.Error("a posted operation that nobody waits for did not run")
		}
	})
}

// TestOrderPostFromInside: an operation may ask for a turn after its own, and
// what it posts may do so again.
func TestOrderPostFromInside(t *testing.T) {
	var (
		o   hub.Order
		got []string
	)
	o.Do(func() {
		o.Post(func() {
			got = append(got, "second")
			o.Post(func() { got = append(got, "third") })
		})
		got = append(got, "first")
	})
	if want := []string{"first", "second", "third"}; !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
	o.Post(func() { got = nil })
	if got != nil {
		t.Error("a post to an idle order did not run at once")
	}
}

func TestOrderPostFromInsideComesAfterWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			o    hub.Order
			got  []string
			gate = make(chan struct{})
		)
		go o.Do(func() {
			<-gate
			o.Post(func() { got = append(got, "posted") })
			got = append(got, "first")
		})
		synctest.Wait()
		go o.Do(func() { got = append(got, "waited") })
		synctest.Wait()
		close(gate)
		synctest.Wait()
		if want := []string{"first", "waited", "posted"}; !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
	})
}

// TestOrderPanicIsItsOwners: an operation that panics does so on the goroutine
// that asked for it, whoever ran it, and the others run all the same.
func TestOrderPanicIsItsOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 9
		var (
			o     hub.Order
			ran   [n]bool
			got   [n]any
			gate  = make(chan struct{})
			wants = func(i int) bool { return i == 0 || i == 1 || i == 4 || i == n-1 } // alone, leading, led, last
		)
		for i := range n {
			go func() {
				defer func() { got[i] = recover() }()
				o.Do(func() {
					if i == 0 {
						<-gate
					}
					ran[i] = true
					if wants(i) {
						panic(i)
					}
				})
			}()
			synctest.Wait()
		}
		close(gate)
		synctest.Wait()
		for i := range n {
			if !ran[i] {
				t.Errorf("operation %d did not run", i)
			}
			if want := any(i); wants(i) && got[i] != want || !wants(i) && got[i] != nil {
				t.Errorf("caller %d recovered %v", i, got[i])
			}
		}
		alive := false
		o.Do(func() { alive = true })
		if !alive {
			t.Error("the order stands still after a panic")
		}
	})
}

func TestOrderAloneAllocatesNothing(t *testing.T) {
	var o hub.Order
	n := 0
	f := func() { n++ }
	if got := testing.AllocsPerRun(100, func() { o.Do(f) }); got != 0 {
		t.Errorf("an operation without company allocates %v times, want 0", got)
	}
}
