package hub_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// Strangers are others that are no nodes.
type strangers struct {
	answers []hub.Answer  // to whatever is asked
	err     error         // after them
	ending  chan struct{} // Close returns when it is closed; nil: at once

	mu    sync.Mutex
	heard []string // what was cast, and asked
	ended bool
}

func (s *strangers) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, what)
}

func (s *strangers) Cast(m *hub.Message) { s.note(m.Event) }

func (s *strangers) Ask(ctx context.Context, q hub.Question) iter.Seq2[hub.Answer, error] {
	s.note(string(q.Kind))
	return func(yield func(hub.Answer, error) bool) {
		for _, a := range s.answers {
			if ctx.Err() != nil {
				yield(hub.Answer{}, &hub.PartialError{Err: ctx.Err()})
				return
			}
			if !yield(a, nil) {
				return
			}
		}
		if s.err != nil {
			yield(hub.Answer{}, s.err)
		}
	}
}

func (s *strangers) Close() {
	if s.ending != nil {
		<-s.ending
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

// deaf is strangers of whom nothing can be heard.
type deaf struct{ *strangers }

func (deaf) Listen(context.Context, ...string) (hub.Position, error) { return 0, hub.ErrUnavailable }

func (deaf) Ignore(...string) {}

func shared(o hub.Others) hub.Config {
	return hub.Config{Share: func(context.Context, *hub.Space) (hub.Others, error) { return o, nil }}
}

// TestShared: what is done with a space that is shared is asked of the others, in
// the order in which it is done.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strangers{answers: []hub.Answer{
			{Node: "n", Count: 2, Refused: true, Members: []hub.Description{{ID: "y"}}},
		}}
		h := hub.New(shared(s))
		sp := h.Space("/")
		g := visit(t, sp, "x")
		ctx := t.Context()
		if n, err := sp.CountAll(ctx, hub.Address{}); n != 3 || err != nil {
			t.Errorf("%d members, %v", n, err)
		}
		if got := elsewhere(t, sp, hub.Address{}); !slices.Equal(got, []string{"y"}) {
			t.Errorf("elsewhere are %q", got)
		}
		if err := sp.Join(hub.Address{}, "r"); !errors.Is(err, hub.ErrTooManyRooms) {
			t.Errorf("who is refused elsewhere: %v", err)
		}
		sp.Leave(hub.Address{}, "r")
		if err := sp.TellNodes("told", packet.Args{}); err != nil {
			t.Error(err)
		}
		c := hub.NewCall()
		defer c.Close()
		for _, m := range []*hub.Message{{Event: "vote", Call: c}, {Event: "after"}} {
			if _, err := sp.Publish(ctx, m, hub.Address{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := sp.Publish(ctx, &hub.Message{Event: "here"}, hub.Address{Local: true}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := sp.Dismiss(ctx, hub.Address{}, true); err != nil || len(g.left) != 1 {
			t.Errorf("dismissed %d, %v", len(g.left), err)
		}
		h.Close()
		if want := []string{"n", "d", "j", "l", "t", "c", "after", "x"}; !slices.Equal(s.heard, want) || !s.ended {
			t.Errorf("heard %q, want %q; ended: %t", s.heard, want, s.ended)
		}
	})
}

// TestSharedCall: answers from others are bounded in number by those who were
// asked, and in bytes while nobody reads them; who was not heard is told of.
func TestSharedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large, _ := packet.Marshal(strings.Repeat("x", 5<<20))
		few, _ := packet.Marshal("few")
		ask := func(s *strangers) (int, error) {
			h := hub.New(shared(s))
			defer h.Close()
			c := hub.NewCall()
			defer c.Close()
			if _, err := h.Space("/").Publish(t.Context(), &hub.Message{Event: "vote", Call: c}, hub.Address{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // nobody reads
			got, err := collect(t.Context(), c)
			return len(got), err
		}
		replies := func(n int, args packet.Args) []hub.Answer {
			return slices.Repeat([]hub.Answer{{Replied: true, Args: args}}, n)
		}
		count := []hub.Answer{{Count: 5}}
		if n, err := ask(&strangers{answers: append(count, replies(9, few)...)}); n != 5 || err != nil {
			t.Errorf("nine answers of five: %d, %v", n, err)
		}
		if n, err := ask(&strangers{answers: append(count, replies(5, large)...)}); n != 3 || err == nil {
			t.Errorf("25 MiB of answers: %d, %v", n, err)
		}
		gone := &hub.PartialError{Err: errors.New("gone")}
		if n, err := ask(&strangers{answers: append(count, replies(2, few)...), err: gone}); n != 2 || !errors.Is(err, gone) {
			t.Errorf("others are gone after two answers: %d, %v", n, err)
		}
	})
}

// TestShareWaits: who makes or forgets a space does not wait for the others; who
// uses it does, and Hub.Close waits for the end. It is not in a bubble, where
// nobody may wait for a mutex.
func TestShareWaits(t *testing.T) {
	var open atomic.Bool
	there, s := make(chan struct{}), &strangers{ending: make(chan struct{})}
	h := hub.New(hub.Config{Share: func(context.Context, *hub.Space) (hub.Others, error) {
		<-there
		open.Store(true)
		return s, nil
	}})
	sp := h.Space("/")
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := sp.Enter(&visitor{name: "x"}, nil); err != nil || !open.Load() {
			t.Errorf("entered: %v; others can be heard: %t", err, open.Load())
		}
	})
	close(there)
	wg.Wait()
	h.Forget("/")
	wg.Go(func() {
		h.Close()
		if !s.ended {
			t.Error("closed before the others")
		}
	})
	close(s.ending)
	wg.Wait()
}

// TestDeafOthers: who wants into a room that cannot be listened to is told, where
// there is no engine that would come back.
func TestDeafOthers(t *testing.T) {
	h := hub.New(shared(deaf{new(strangers)}))
	defer h.Close()
	if _, err := h.Space("/").Enter(&visitor{name: "x"}, nil, "r"); !errors.Is(err, hub.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
