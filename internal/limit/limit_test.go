package limit_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/internal/limit"
)

func TestBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := limit.NewBucket(limit.Rate{PerSecond: 10, Burst: 3})
		take := func(rule string, wantWait time.Duration) {
			t.Helper()
			wait, ok := b.Take()
			if ok != (wantWait == 0) || wait != wantWait {
				t.Errorf("%s: took %v, wait %v; want wait %v", rule, ok, wait, wantWait)
			}
		}
		for range 3 {
			take("a full bucket gives its burst at once", 0)
		}
		take("an empty one says when", 100*time.Millisecond)
		take("a refusal costs nothing", 100*time.Millisecond)
		time.Sleep(40 * time.Millisecond)
		take("time counts in part", 60*time.Millisecond)
		time.Sleep(60 * time.Millisecond)
		take("the promised moment", 0)
		take("only one", 100*time.Millisecond)
		time.Sleep(time.Hour)
		for range 3 {
			take("a rest refills the burst", 0)
		}
		take("and no more than the burst", 100*time.Millisecond)
	})
}

func TestNoLimit(t *testing.T) {
	for _, r := range []limit.Rate{{}, {PerSecond: -1, Burst: 5}, {Burst: 1}} {
		b, g := limit.NewBucket(r), limit.NewGroup[int](r, 1)
		for i := range 10 {
			if _, ok := b.Take(); !ok {
				t.Errorf("%+v refused", r)
			}
			if _, ok := g.Take(i); !ok {
				t.Errorf("a group of %+v refused", r)
			}
		}
		if g.Len() != 0 {
			t.Error("a group without limit remembers callers")
		}
	}
}

func TestOddRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := limit.NewBucket(limit.Rate{PerSecond: 1.0 / 3600})
		if _, ok := slow.Take(); !ok {
			t.Error("a burst of 0 is no burst of 1")
		}
		if wait, ok := slow.Take(); ok || wait.Round(time.Second) != time.Hour {
			t.Errorf("once an hour: %v, %v", wait, ok)
		}
		never := limit.NewBucket(limit.Rate{PerSecond: math.SmallestNonzeroFloat64, Burst: math.MaxInt})
		if _, ok := never.Take(); !ok {
			t.Error("a rate next to nothing refuses the first")
		}
		if wait, ok := never.Take(); ok || wait < 24*time.Hour {
			t.Errorf("a rate next to nothing: %v, %v", wait, ok)
		}
		fast := limit.NewBucket(limit.Rate{PerSecond: math.MaxFloat64, Burst: 2})
		for range 2 {
			if _, ok := fast.Take(); !ok {
				t.Error("a rate beyond measure refuses its burst")
			}
		}
	})
}

// TestBucketHoldsTheRate: whatever the times of asking, no stretch of time sees
// more than the burst and what the rate adds in it.
func TestBucketHoldsTheRate(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			r := limit.Rate{PerSecond: float64(1 + rnd.IntN(50)), Burst: 1 + rnd.IntN(9)}
			b := limit.NewBucket(r)
			var taken []time.Time
			for range 300 {
				time.Sleep(time.Duration(rnd.ExpFloat64() * float64(time.Second) / r.PerSecond / 2))
				if _, ok := b.Take(); ok {
					taken = append(taken, time.Now())
				}
			}
			for i := range taken {
				for j := i; j < len(taken); j++ {
					allowed := float64(r.Burst) + taken[j].Sub(taken[i]).Seconds()*r.PerSecond
					if n := float64(j - i + 1); n > allowed+1e-6 {
						t.Fatalf("seed %d, %+v: %v in %v, want at most %v", seed, r, n, taken[j].Sub(taken[i]), allowed)
					}
				}
			}
		})
	}
}

func TestBucketConcurrently(t *testing.T) {
	b, g := limit.NewBucket(limit.Rate{PerSecond: 1e-6, Burst: 100}), limit.NewGroup[string](limit.Rate{PerSecond: 1e-6, Burst: 50}, 2)
	var alone, grouped atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				if _, ok := b.Take(); ok {
					alone.Add(1)
				}
				if _, ok := g.Take([]string{"a", "b"}[i%2]); ok {
					grouped.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if alone.Load() != 100 || grouped.Load() != 100 {
		t.Errorf("gave %d and %d tokens, want 100 each", alone.Load(), grouped.Load())
	}
}

func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := limit.NewGroup[string](limit.Rate{PerSecond: 1, Burst: 2}, 3)
		take := func(rule, caller string, want bool) {
			t.Helper()
			wait, ok := g.Take(caller)
			if ok != want {
				t.Errorf("%s: %v for %s, want %v", rule, ok, caller, want)
			}
			if !ok && (wait <= 0 || wait > time.Second) {
				t.Errorf("%s: wait %v, want up to a second", rule, wait)
			}
		}
		take("each has a bucket", "a", true)
		take("each has a bucket", "a", true)
		take("each has a bucket", "a", false)
		take("each has a bucket", "b", true)
		take("each has a bucket", "c", true)
		take("a stranger beyond the bound", "d", false)
		take("who is known stays", "b", true)
		time.Sleep(time.Second)
		take("c is full again, so there is room", "d", true)
		if g.Len() != 3 {
			t.Errorf("remembers %d callers, want a, b and d", g.Len())
		}
		take("b was not", "b", true)
		take("b was not", "b", false)
		time.Sleep(time.Hour)
		for range 100 {
			take("quiet callers are forgotten", string(rune('e'+g.Len())), true)
			time.Sleep(time.Second)
		}
		if g.Len() > 3 {
			t.Errorf("remembers %d callers, want at most 3", g.Len())
		}
	})
}

// TestGroupStorm: strangers beyond the bound cost no look at everyone each.
func TestGroupStorm(t *testing.T) {
	g := limit.NewGroup[int](limit.Rate{PerSecond: 1e-3, Burst: 1}, 50_000)
	for i := range 200_000 { // squared, the test would not end
		g.Take(i)
	}
	if g.Len() != 50_000 {
		t.Errorf("remembers %d callers, want 50,000", g.Len())
	}
}

func BenchmarkBucket(b *testing.B) {
	bucket := limit.NewBucket(limit.Rate{PerSecond: 1000, Burst: 10})
	b.ReportAllocs()
	for b.Loop() {
		bucket.Take()
	}
}
