package engineio_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/engineio"
)

// TestDrain: sessions leave spread over the time, in pieces, polls go on
// meanwhile, and nobody new comes.
func TestDrain(t *testing.T) {
	run(t, calm, func(h *harness) {
		const sessions, over = 200, 5 * time.Second
		var polls []<-chan answer
		for i := range sessions {
			if p := h.poll(""); i < 10 {
				polls = append(polls, p.later())
			}
		}
		done := make(chan error, 1)
		go func() { done <- h.srv.Drain(context.Background(), over) }() // ends with the draining, see below
		least, before := sessions, sessions
		for i := range 20 {
			time.Sleep(over / 20)
			open := 0
			for _, e := range h.ends {
				e.mu.Lock()
				if len(e.closed) == 0 {
					open++
				}
				e.mu.Unlock()
			}
			gone := before - open
			if i > 0 && i < 19 && (gone < 4 || gone > 20) {
				t.Errorf("%d left in the %d-th part of the time", gone, i)
			}
			before, least = open, min(least, open)
		}
		if err := <-done; err != nil || least != 0 {
			t.Errorf("drained: %v, %d are left", err, least)
		}
		if a := h.do("GET", "EIO=4&transport=polling", ""); a.status != 503 {
			t.Errorf("a handshake meanwhile: %d", a.status)
		}
		for _, p := range polls {
			h.want("who polls is told", <-p, 200, "1")
		}
	})
}

// A busyEnd is in the middle of something.
type busyEnd struct {
	*end
	busy *atomic.Bool
}

func (b busyEnd) Busy() bool { return b.busy.Load() }

type busyAcceptor struct {
	*harness
	busy *atomic.Bool
}

func (a busyAcceptor) Accept(s *engineio.Session) engineio.Receiver {
	return busyEnd{a.harness.Accept(s).(*end), a.busy}
}

// TestDrainBusy: who is in the middle of something is left for later, and not for
// ever.
func TestDrainBusy(t *testing.T) {
	for _, ends := range []time.Duration{2 * time.Second, time.Hour} {
		var busy atomic.Bool
		busy.Store(true)
		acceptor := func(h *harness) engineio.Acceptor { return busyAcceptor{h, &busy} }
		runWith(t, calm, acceptor, func(h *harness) {
			h.poll("")
			h.poll("")
			began := time.Now()
			timer := time.AfterFunc(ends, func() { busy.Store(false) })
			defer timer.Stop()
			if err := h.srv.Drain(context.Background(), 5*time.Second); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			want := min(ends, 4900*time.Millisecond)
			if took := time.Since(began); took < want || took > want+200*time.Millisecond && ends == time.Hour {
				t.Errorf("busy for %v: took %v", ends, took)
			}
			h.wantClosed(h.last(), "in the end", engineio.ReasonShutdown)
		})
	}
}

// TestDrainCutShort: a second signal ends the pace.
func TestDrainCutShort(t *testing.T) {
	run(t, calm, func(h *harness) {
		for range 10 {
			h.poll("")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := h.srv.Drain(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drained: %v", err)
		}
	})
}
