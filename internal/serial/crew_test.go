package serial_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti/internal/serial"
)

// hands counts the goroutines that rest or work in a crew now.
func hands() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "serial.(*Crew).serve(")
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
		put(t, &quick, 0, func() {})
		put(t, &slow, 0, func() { <-let })
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
