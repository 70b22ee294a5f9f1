package hub_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// An answerer is a member that can answer. What it forgets is counted for all.
type answerer struct{ forgot *int }

func (a answerer) Deliver(m *hub.Message) { m.Call.Ask(a) }
func (a answerer) Forget(c *hub.Call) {
	c.Counts() // a member may: no lock is held
	*a.forgot++
}

// respondents enters n members that will answer, and as many that cannot. It
// returns how many have forgotten a call.
func respondents(t *testing.T, sp *hub.Space, n int) *int {
	forgot := new(int)
	for range n {
		enter(t, sp, answerer{forgot})
		enter(t, sp, &recorder{})
	}
	return forgot
}

func ask(t *testing.T, sp *hub.Space) *hub.Call {
	t.Helper()
	call := hub.NewCall()
	if _, err := sp.Publish(t.Context(), &hub.Message{Event: "vote", Call: call}, hub.Address{}); err != nil {
		t.Fatal(err)
	}
	return call
}

func TestCallCounts(t *testing.T) {
	sp := hub.New(hub.Config{}).Space("/")
	forgot := respondents(t, sp, 3)
	call := ask(t, sp)
	if asked, answered := call.Counts(); asked != 3 || answered != 0 {
		t.Errorf("asked %d, answered %d; want 3 and 0: only members that can answer count", asked, answered)
	}
	call.Answer(packet.Args{})
	call.Lost()
	if asked, answered := call.Counts(); asked != 3 || answered != 1 {
		t.Errorf("asked %d, answered %d; want 3 and 1", asked, answered)
	}
	call.Answer(packet.Args{})
	for i := range 2 {
		if _, more, err := call.Next(t.Context()); !more || err != nil {
			t.Errorf("answer %d: %v, %v", i, more, err)
		}
	}
	for range 2 {
		if _, more, err := call.Next(t.Context()); more || err != nil {
			t.Errorf("after the last answer: %v, %v; want no more and no error", more, err)
		}
	}
	if call.Close(); *forgot != 3 {
		t.Errorf("%d members forgot the closed call, want all 3 that were asked", *forgot)
	}
}

func TestCallToNobodyIsOver(t *testing.T) {
	call := ask(t, hub.New(hub.Config{}).Space("/"))
	if _, more, err := call.Next(t.Context()); more || err != nil {
		t.Errorf("nobody was asked: %v, %v; want no answer and no error", more, err)
	}
}

func TestCallIDs(t *testing.T) {
	sp := hub.New(hub.Config{}).Space("/")
	seen := map[uint64]bool{}
	for range 10 {
		for _, id := range []uint64{ask(t, sp).ID, sp.NextCall()} {
			if seen[id] {
				t.Errorf("call id %d is given twice", id)
			}
			seen[id] = true
		}
	}
}

func TestCallNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := hub.New(hub.Config{}).Space("/")
		respondents(t, sp, 3)
		call := ask(t, sp)
		start := time.Now()
		time.AfterFunc(time.Second, func() { call.Answer(packet.Args{}) })
		time.AfterFunc(2*time.Second, call.Lost)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, more, err := call.Next(ctx); !more || err != nil || time.Since(start) != time.Second {
			t.Errorf("first: %v, %v after %v; want the answer after 1s", more, err, time.Since(start))
		}
		if _, more, err := call.Next(ctx); more || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("second: %v, %v after %v; want the context's end after 5s", more, err, time.Since(start))
		}
		if asked, answered := call.Counts(); asked != 3 || answered != 1 {
			t.Errorf("%d of %d answered, want 1 of 3", answered, asked)
		}
		time.AfterFunc(time.Second, call.Lost)
		if _, more, err := call.Next(t.Context()); more || err != nil || time.Since(start) != 6*time.Second {
			t.Errorf("third: %v, %v after %v; want the end after 6s, when the last one is lost", more, err, time.Since(start))
		}
	})
}

// TestCallAnswersAtOnce: no answer is overlooked, however they come.
func TestCallAnswersAtOnce(t *testing.T) {
	for range 50 {
		const n = 20
		sp := hub.New(hub.Config{}).Space("/")
		respondents(t, sp, n)
		call := ask(t, sp)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if i%4 == 3 {
					call.Lost()
				} else {
					call.Answer(packet.Args{})
				}
			})
		}
		got := 0
		for {
			_, more, err := call.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				break
			}
			got++
		}
		wg.Wait()
		if got != n*3/4 {
			t.Fatalf("%d answers, want %d", got, n*3/4)
		}
	}
}
