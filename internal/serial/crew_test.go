package serial_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/internal/serial"
)

// hands counts the goroutines of a synctest bubble that rest or work in a crew now.
func hands() int { return bubbled("serial.(*Crew).serve(") }

// bubbled counts the goroutines of a synctest bubble that have name in their
// stacks: others are those of an earlier test, on their way out.
func bubbled(name string) (n int) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "synctest bubble") && strings.Contains(stack, name) {
			n++
		}
	}
	return n
}

func TestCrewRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crew := serial.Crew{Resting: 2}
		defer crew.Close()
		boxes := make([]serial.Mailbox, 5)
		done := 0
		for round := range 3 {
			let := make(chan struct{})
			for i := range boxes {
				boxes[i].Crew = &crew
				put(t, &boxes[i], 0, func() { <-let })
				put(t, &boxes[i], 0, func() {})
			}
			synctest.Wait()
			if got := hands(); got != len(boxes) {
				t.Errorf("round %d: %d goroutines while %d mailboxes work", round, got, len(boxes))
			}
			close(let)
			for i := range boxes {
				boxes[i].Wait()
				done++
			}
			synctest.Wait()
			if got := hands(); got != crew.Resting {
				t.Errorf("round %d: %d goroutines at rest, want %d", round, got, crew.Resting)
			}
		}
		if done != 3*len(boxes) {
			t.Errorf("%d mailboxes have done their work", done)
		}
	})
}

func TestCrewEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crew := serial.Crew{Resting: 10}
		var quick, slow serial.Mailbox
		quick.Crew, slow.Crew = &crew, &crew
		let := make(chan struct{})
		put(t, &slow, 0, func() { <-let }) // first, or it gets the goroutine of quick
		put(t, &quick, 0, func() {})
		synctest.Wait()
		if got := hands(); got != 2 {
			t.Errorf("%d goroutines, want one at rest and one at work", got)
		}
		crew.Close()
		crew.Close()
		synctest.Wait()
		if got := hands(); got != 1 {
			t.Errorf("%d goroutines after Close, want the one at work", got)
		}
		ran := false
		put(t, &quick, 0, func() { ran = true }) // as before, only colder
		quick.Wait()
		close(let)
		slow.Wait()
		synctest.Wait()
		if got := hands(); !ran || got != 0 {
			t.Errorf("ran: %v, %d goroutines left", ran, got)
		}
	})
}

// TestCrewThins leaves goroutines for the next burst, and not for ever.
func TestCrewThins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crew := serial.Crew{Resting: 8}
		defer crew.Close()
		burst := func(n int) {
			boxes := make([]serial.Mailbox, n)
			let := make(chan struct{})
			for i := range boxes {
				boxes[i].Crew = &crew
				put(t, &boxes[i], 0, func() { <-let })
			}
			synctest.Wait()
			close(let)
			synctest.Wait()
		}
		for _, x := range []struct{ burst, rest int }{{8, 8}, {2, 2}, {1, 1}, {0, 0}, {8, 8}} {
			burst(x.burst)
			burst(x.burst)
			time.Sleep(6 * time.Second) // there was a look since
			synctest.Wait()
			if got := hands(); got != x.rest {
				t.Errorf("%d goroutines at rest after a burst of %d, want %d", got, x.burst, x.rest)
			}
		}
	})
}
