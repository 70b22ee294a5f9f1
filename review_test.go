package tutti_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/verb"
)

// reviewed serves verbs by rules, and returns what puts others in their place.
func (w *world) reviewed(cfg verb.Config) (change func(rules ...verb.Rule)) {
	w.t.Helper()
	d, err := verb.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ns := w.srv.Namespace("/")
	ns.ServeVerbs(d)
	return func(rules ...verb.Rule) {
		cfg.Rules = rules
		if err := d.Reload(cfg); err != nil {
			w.t.Error(err)
		}
		ns.Review()
	}
}

// TestReview: who is in rooms, and watches others, keeps what rules still open, and
// what the application has done.
func TestReview(t *testing.T) {
	inWorld(t, chatMemory(), func(w *world) {
		change := w.reviewed(verb.Config{Rules: []verb.Rule{verb.Open("chat:*")}})
		ns := w.srv.Namespace("/")
		handleProbe(ns)
		a, b := w.travel(), w.travel()
		for _, room := range []string{"chat:a", "chat:b"} {
			a.ask("join", `{"room":"`+room+`"}`)
		}
		for _, room := range []string{"chat:b", "chat:c", "chat:d"} {
			a.present(`{"room":"` + room + `"}`)
		}
		s, _ := ns.Socket(a.sid)
		s.Join("app")

		change(verb.Open("chat:a"), verb.Rule{Pattern: "chat:d", Presence: verb.Anyone})
		a.want(`2["auth",{"code":"rooms_removed","error":"you may not be in these rooms any more","rooms":["chat:b"]}]`, "rules that open less")
		a.want(`2["auth",{"code":"presence_removed","error":"you may not see who is in these rooms any more","rooms":["chat:c"]}]`, "rules that open less")
		if rooms := strings.Join(s.Rooms(), " "); rooms != a.sid+" chat:a app" {
			t.Errorf("it is in %s", rooms)
		}
		b.wantNothing("who has lost nothing")
		other, _ := ns.Socket(b.sid)
		other.Join("chat:b", "chat:c")
		ns.To("chat:b").Emit("secret")
		a.wantNothing("it is over")
		other.Join("chat:d")
		if text, err := a.Receive(); err != nil || !strings.HasPrefix(text, `2["presence",{"room":"chat:d"`) {
			t.Errorf("of a room that it may watch it got %s, %v", text, err)
		}

		change(verb.Open("chat:*"))
		a.wantNothing("more is no loss")
	})
}

// TestReviewOfReturning: who comes back while rules change has what they open now.
func TestReviewOfReturning(t *testing.T) {
	inWorld(t, chatMemory(), func(w *world) {
		var change func(...verb.Rule)
		asked := 0
		change = w.reviewed(verb.Config{
			Rules: []verb.Rule{{Pattern: "chat:*", Join: verb.Token}},
			Permit: func(context.Context, verb.Caller, verb.Verb, string) error {
				if asked++; asked == 2 { // whether it may come back: nobody sees the socket yet
					change(verb.Open("chat:a"))
				}
				return nil
			},
		})
		a := w.travel()
		a.ask("join", `{"room":"chat:b"}`)
		a.Close()
		synctest.Wait()
		a.comeBack()
		a.wantRecovered("after a blip")
		synctest.Wait()
		s, _ := w.srv.Namespace("/").Socket(a.sid)
		if rooms := strings.Join(s.Rooms(), " "); asked != 2 || rooms != a.sid {
			t.Errorf("asked %d times: it is in %s", asked, rooms)
		}
	})
}

// TestReviewOfWhoLeft: a socket that has left while it was about to be looked at is
// not spoken for any more. Another may be in its place.
func TestReviewOfWhoLeft(t *testing.T) {
	inWorld(t, chatMemory(), func(w *world) {
		w.reviewed(verb.Config{Rules: []verb.Rule{verb.Open("chat:*")}})
		handleProbe(w.srv.Namespace("/"))
		a := w.travel()
		before, _ := w.srv.Namespace("/").Socket(a.sid)
		a.send("1")
		a.send("0")
		if text, err := a.Receive(); err != nil || !strings.HasPrefix(text, `0{"sid"`) {
			t.Fatalf("who comes in again gets %s, %v", text, err)
		}
		tutti.ReviewSocket(before)
		a.wantNothing("nothing has been taken from it")
	})
}

// TestReviewPanics: a mistake of the application's Permit ends one connection.
func TestReviewPanics(t *testing.T) {
	inWorld(t, chatMemory(), func(w *world) {
		mistaken := false
		change := w.reviewed(verb.Config{
			Rules: []verb.Rule{{Pattern: "chat:*", Join: verb.Token}},
			Permit: func(_ context.Context, c verb.Caller, _ verb.Verb, _ string) error {
				if mistaken {
					panic("the application's mistake")
				}
				return nil
			},
		})
		a, b := w.travel(), w.travel()
		a.ask("join", `{"room":"chat:a"}`)
		a.Close()
		synctest.Wait()
		mistaken = true
		back := w.dial()
		back.send(`0{"pid":"` + a.pid + `","offset":"` + a.offset + `"}`)
		back.want(`4{"message":"internal error"}`, "who comes back")
		mistaken = false
		b.ask("join", `{"room":"chat:b"}`)
		mistaken = true
		change(verb.Rule{Pattern: "chat:*", Join: verb.Token})
		for _, want := range []string{`2["auth",{"code":"disconnected"`, "1"} {
			if text, err := b.Receive(); err != nil || !strings.HasPrefix(text, want) {
				t.Errorf("who is there gets %s, %v", text, err)
			}
		}
		w.travel()
	})
}

// TestReviewWhileAway: presence that may not be seen any more is not told while the
// store has not yet written which rooms were left.
func TestReviewWhileAway(t *testing.T) {
	store := &stallingStore{Store: hub.NewMemoryStore()}
	inWorld(t, remembering(store), func(w *world) {
		change := w.reviewed(verb.Config{Rules: []verb.Rule{verb.Open("chat:*")}})
		ns := w.srv.Namespace("/")
		handleProbe(ns)
		a, b := w.travel(), w.travel()
		a.ask("join", `{"room":"chat:b"}`)
		a.present(`{"room":"chat:b"}`)
		a.present(`{"room":"chat:c"}`)
		other, _ := ns.Socket(b.sid)
		stalled := make(chan struct{})
		store.stalled.Store(&stalled)
		change() // nothing is open any more
		synctest.Wait()
		var joining sync.WaitGroup
		joining.Go(func() { other.Join("chat:b", "chat:c") })
		time.Sleep(10 * time.Second)
		close(stalled)
		joining.Wait()
		a.want(`2["auth",{"code":"rooms_removed","error":"you may not be in these rooms any more","rooms":["chat:b"]}]`, "rules that open nothing")
		a.want(`2["auth",{"code":"presence_removed","error":"you may not see who is in these rooms any more","rooms":["chat:c"]}]`, "rules that open nothing")
		a.wantNothing("it is over")
	})
}

// A stallingStore commits when its owner lets it.
type stallingStore struct {
	hub.Store
	stalled atomic.Pointer[chan struct{}]
}

func (s *stallingStore) Open(namespace string) (hub.Log, error) {
	log, err := s.Store.Open(namespace)
	return &stallingLog{log, s}, err
}

type stallingLog struct {
	hub.Log
	store *stallingStore
}

func (l *stallingLog) Commit(b *hub.Batch) error {
	if stalled := l.store.stalled.Load(); stalled != nil {
		<-*stalled
	}
	return l.Log.Commit(b)
}
