package serial_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/tutti-rt/tutti/internal/serial"
)

func put(t *testing.T, m *serial.Mailbox, size int, f func()) {
	t.Helper()
	if err := m.Put(size, f); err != nil {
		t.Fatalf("Put(%d): %v", size, err)
	}
}

func TestOrderWithinOneGoroutine(t *testing.T) {
	var m serial.Mailbox
	var got []int // written by the mailbox only: the race detector watches that it is never two at a time
	const n = 1000
	for i := range n {
		put(t, &m, 1, func() { got = append(got, i) })
	}
	m.Wait()
	if len(got) != n || !slices.IsSorted(got) {
		t.Errorf("ran %d functions, in order: %v; want %d in order", len(got), slices.IsSorted(got), n)
	}
}

func TestOrderPerPublisher(t *testing.T) {
	var m serial.Mailbox
	const publishers, each = 8, 500
	got := make([][]int, publishers)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				if err := m.Put(0, func() { got[p] = append(got[p], i) }); err != nil {
					t.Errorf("Put: %v", err)
				}
			}
		})
	}
	wg.Wait()
	m.Wait()
	for p, g := range got {
		if len(g) != each || !slices.IsSorted(g) {
			t.Errorf("publisher %d: ran %d functions, in order: %v; want %d in order", p, len(g), slices.IsSorted(g), each)
		}
	}
}

func TestPutFromWithin(t *testing.T) {
	var m serial.Mailbox
	var got []string
	put(t, &m, 0, func() {
		put(t, &m, 0, func() { got = append(got, "third") })
		got = append(got, "first")
	})
	_ = m.Put(0, func() { got = append(got, "other") })
	m.Wait()
	if len(got) != 3 || got[0] != "first" {
		t.Errorf("ran %q, want first to end before what it put in starts", got)
	}
}

func TestNoGoroutineAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m serial.Mailbox
		for range 3 { // it wakes and rests any number of times
			put(t, &m, 0, func() { time.Sleep(time.Hour) })
			put(t, &m, 0, func() {})
			synctest.Wait()
			if got := goroutines(); got != 1 {
				t.Errorf("%d goroutines while it works, want 1", got)
			}
			m.Wait()
			synctest.Wait()
			if got := goroutines(); got != 0 {
				t.Errorf("%d goroutines at rest, want 0", got)
			}
		}
	})
}

// goroutines counts the goroutines that mailboxes have now.
func goroutines() int { return bubbled("serial.(*work).run(") }

func TestLimit(t *testing.T) {
	const o = serial.Overhead
	tests := []struct {
		name  string
		limit int
		puts  []int
		full  int // the first Put that is refused; -1 for none
	}{
		{"exactly full", 2*o + 30, []int{10, 20}, -1},
		{"one byte over", 2*o + 30, []int{10, 21}, 1},
		{"overhead counts", 3 * o, []int{0, 0, 0, 0}, 3},
		{"negative sizes count as none", 2 * o, []int{-100, -100, -100}, 2},
		{"larger than the whole", o + 10, []int{11}, 0},
		{"default", 0, []int{serial.DefaultLimit - o, 0}, 1},
		{"none", -1, []int{1 << 40, 1 << 40, 1 << 40}, -1},
		{"huge size is no overflow", o + 10, []int{int(^uint(0)>>1) - o}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := serial.Mailbox{Crew: &serial.Crew{Limit: tt.limit}}
			block := make(chan struct{})
			full := -1
			for i, size := range tt.puts {
				if err := m.Put(size, func() { <-block }); errors.Is(err, serial.ErrFull) {
					full = i
					break
				} else if err != nil {
					t.Fatalf("Put: %v", err)
				}
			}
			close(block)
			m.Wait()
			if full != tt.full {
				t.Errorf("Put %d was refused, want %d (-1 is none)", full, tt.full)
			}
		})
	}
}

func TestRunningCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := serial.Mailbox{Crew: &serial.Crew{Limit: serial.Overhead + 10}}
		put(t, &m, 10, func() { time.Sleep(time.Second) })
		synctest.Wait() // it runs, nothing waits
		if err := m.Put(0, func() {}); !errors.Is(err, serial.ErrFull) {
			t.Errorf("Put while 10 of 10 bytes run: %v, want ErrFull", err)
		}
		m.Wait()
		put(t, &m, 10, func() {}) // what it held was given back when it returned
		m.Wait()
	})
}

func TestCloseRunsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m serial.Mailbox
		var got []string
		put(t, &m, 0, func() {
			time.Sleep(time.Second)
			got = append(got, "running")
		})
		put(t, &m, 0, func() { got = append(got, "waiting") })
		synctest.Wait()
		m.Close(func() { got = append(got, "last") })
		m.Close(func() { got = append(got, "last of a second Close") })
		if err := m.Put(0, func() { got = append(got, "late") }); !errors.Is(err, serial.ErrClosed) {
			t.Errorf("Put after Close: %v, want ErrClosed", err)
		}
		m.Wait()
		if want := []string{"running", "waiting", "last"}; !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
		m.Wait() // returns at once
	})
}

func TestCloseAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m serial.Mailbox
		ran := false
		m.Close(func() {
			time.Sleep(time.Second)
			ran = true
		})
		if ran {
			t.Error("Close ran its function on the caller's goroutine")
		}
		m.Wait()
		if !ran {
			t.Error("Wait returned before the last function had")
		}
	})
	var m serial.Mailbox
	m.Close(nil)
	m.Wait()
	if err := m.Put(0, func() {}); !errors.Is(err, serial.ErrClosed) {
		t.Errorf("Put after Close(nil): %v, want ErrClosed", err)
	}
}

func TestCloseFromWithin(t *testing.T) {
	var m serial.Mailbox
	var got []string
	block := make(chan struct{})
	put(t, &m, 0, func() {
		<-block
		m.Close(func() { got = append(got, "last") })
		got = append(got, "closing")
	})
	put(t, &m, 0, func() { got = append(got, "waiting") })
	close(block)
	m.Wait()
	if want := []string{"closing", "waiting", "last"}; !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
}

// TestManyAtOnce lets everything happen at the same time, for the race detector.
func TestManyAtOnce(t *testing.T) {
	for range 50 {
		m := serial.Mailbox{Crew: &serial.Crew{Limit: 20 * serial.Overhead}}
		running, accepted, ran, last := 0, 0, 0, 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					err := m.Put(rand.IntN(8), func() {
						running++ // unguarded: one at a time is what guards it
						if running != 1 {
							t.Errorf("%d functions run at a time", running)
						}
						ran++
						running--
					})
					if err == nil {
						mu.Lock()
						accepted++
						mu.Unlock()
					}
				}
				m.Wait()
				m.Close(func() { last++ })
			})
		}
		wg.Wait()
		m.Wait()
		if last != 1 || ran > accepted {
			t.Fatalf("last ran %d times, %d of %d accepted functions ran", last, ran, accepted)
		}
	}
}

// TestQueueDoesNotGrow keeps a mailbox busy without ever letting it rest.
func TestQueueDoesNotGrow(t *testing.T) {
	m := serial.Mailbox{Crew: &serial.Crew{Limit: 4 * serial.Overhead}}
	n := 0
	var step func()
	step = func() {
		if n++; n < 10_000 {
			put(t, &m, 0, step)
		}
	}
	put(t, &m, 0, step)
	m.Wait()
	if n != 10_000 {
		t.Errorf("ran %d functions, want 10000", n)
	}
}

// The budgets: what an idle socket pays for its mailbox, and what an event
// pays for passing through it.
func TestBudgets(t *testing.T) {
	if got := unsafe.Sizeof(serial.Mailbox{}); got > 32 {
		t.Errorf("a Mailbox is %d bytes at rest, budget 32", got)
	}
	var m serial.Mailbox
	done := make(chan struct{})
	f := func() { done <- struct{}{} }
	// Waking included. The race detector drops a quarter of what a sync.Pool is
	// given, which is less than one allocation a run and so rounds to none.
	if got := testing.AllocsPerRun(1000, func() {
		put(t, &m, 10, f)
		<-done
	}); got > 0 {
		t.Errorf("a Put allocates %v times, budget 0", got)
	}
	m.Wait()
}

func BenchmarkPut(b *testing.B) {
	b.Run("busy", func(b *testing.B) {
		m := serial.Mailbox{Crew: &serial.Crew{Limit: -1}}
		f := func() {}
		b.ReportAllocs()
		for b.Loop() {
			_ = m.Put(10, f)
		}
		m.Wait()
	})
	b.Run("idle", func(b *testing.B) {
		var m serial.Mailbox
		done := make(chan struct{})
		f := func() { done <- struct{}{} }
		b.ReportAllocs()
		for b.Loop() {
			_ = m.Put(10, f)
			<-done
		}
		m.Wait()
	})
}
