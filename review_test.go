package tutti_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

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
