package door_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/verb"
)

const changed = "what you may do has changed: connect anew"

// TestReloadTakesAway: a stream that hears what its door or its desk does not open
// any more ends; others go on.
func TestReloadTakesAway(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		rules := verb.Config{Rules: []verb.Rule{verb.Open("desk:*")}}
		desk, err := verb.New(rules)
		if err != nil {
			t.Fatal(err)
		}
		live := door.Live{Listen: door.Access{Rooms: []string{"*"}}}
		events := w.events(door.EventsConfig{Listen: live.Listen, Desk: desk})
		sockets := w.sockets(door.WebSocketConfig{Listen: live.Listen, Desk: desk})
		listen := func(query string) *listener {
			l := w.listen("/events?" + query)
			l.next() // from where it hears everything
			return l
		}
		connect := func(query string) *socket { return w.connect("/ws?framing=json&" + query) }
		ask := func(s *socket, command string) {
			t.Helper()
			s.send(command)
			if text, err := s.read(); err != nil || !strings.HasPrefix(text, `{"ack":1`) {
				t.Fatal(text, err)
			}
		}
		reload := func(rooms ...string) {
			t.Helper()
			live.Listen.Rooms = rooms
			for _, d := range []*door.Door{events, sockets} {
				if err := d.Reload(live); err != nil {
					t.Fatal(err)
				}
			}
		}
		ended := func(streams ...*listener) {
			t.Helper()
			for i, l := range streams {
				if got, want := l.rest(), fmt.Sprintf("event: auth\ndata: {\"code\":\"disconnected\",\"error\":%q}\n\n", changed); got != want {
					t.Errorf("stream %d ends with %q, want %q", i, got, want)
				}
			}
		}
		everyone, all := listen(""), connect("room=chat:a") // which hears what is for everyone besides
		reload("chat:*")
		ended(everyone)
		all.wantLast(1008, changed)

		stay := []*listener{listen("room=chat:a"), listen("room=desk:a")}
		chatB, deskB := listen("room=chat:b"), listen("room=chat:a&room=desk:b")
		joined, left, watching := connect("room=chat:a"), connect("room=chat:b"), connect("room=chat:a")
		ask(joined, `{"join":"desk:b","ack":1}`)
		ask(left, `{"leave":"chat:b","ack":1}`)
		ask(watching, `{"presence":"desk:c","ack":1}`)
		for _, s := range []*socket{joined, left, watching} {
			defer s.close()
		}

		rules.Rules = []verb.Rule{verb.Open("desk:a")}
		if err := desk.Reload(rules); err != nil {
			t.Fatal(err)
		}
		reload("chat:a")
		ended(chatB, deskB)
		for _, s := range []*socket{joined, watching} {
			s.wantLast(1008, changed)
		}
		left.wantQuiet("who has left before")
		w.publish(w.event("e", 1), "chat:a")
		w.publish(w.event("e", 1), "desk:a")
		for _, l := range stay {
			l.want("e", "1")
			l.close()
		}
	})
}

// TestReloadMeanwhile: who is let in, and who joins, by what is taken away at that
// moment does not hear it.
func TestReloadMeanwhile(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		var narrow func() // by who is just asked
		opened := verb.Config{
			Rules: []verb.Rule{{Pattern: "desk:*", Join: verb.Token}},
			Permit: func(context.Context, verb.Caller, verb.Verb, string) error {
				if f := narrow; f != nil {
					narrow = nil
					f()
				}
				return nil
			},
		}
		desk, err := verb.New(opened)
		if err != nil {
			t.Fatal(err)
		}
		events := w.events(door.EventsConfig{Listen: open, Desk: desk})
		sockets := w.sockets(door.WebSocketConfig{Listen: open, Desk: desk})
		narrowing := func(d *door.Door) func() {
			return func() {
				if err := errors.Join(desk.Reload(verb.Config{}), d.Reload(door.Live{Listen: open})); err != nil {
					t.Error(err)
				}
			}
		}
		again := func() {
			if err := desk.Reload(opened); err != nil {
				t.Fatal(err)
			}
		}

		narrow = narrowing(events)
		if got := w.listen("/events?room=desk:a").rest(); !strings.Contains(got, changed) {
			t.Errorf("the stream ends with %q", got)
		}
		again()
		narrow = narrowing(sockets)
		w.connect("/ws?room=desk:a&framing=json").wantLast(1008, changed)
		again()
		s := w.connect("/ws?room=chat:a&framing=json")
		narrow = narrowing(sockets)
		s.send(`{"join":"desk:a","ack":1}`)
		s.wantLast(1008, changed)
	})
}

type userKey struct{}

// TestReloadAsksAsBefore: what a stream may hear is asked with the context of its
// request, in which a middleware may have noted who asks.
func TestReloadAsksAsBefore(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		desk, err := verb.New(verb.Config{
			Rules: []verb.Rule{{Pattern: "desk:*", Join: verb.Token}},
			Permit: func(ctx context.Context, _ verb.Caller, _ verb.Verb, _ string) error {
				if ctx.Value(userKey{}) != "ann" {
					return &verb.Refusal{Code: verb.Forbidden, Message: "who are you?"}
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		live := door.Live{Listen: door.Access{Rooms: []string{"chat:*"}}, MaxStreams: 20_000}
		events := w.events(door.EventsConfig{Listen: live.Listen, Desk: desk})
		sockets := w.sockets(door.WebSocketConfig{Listen: live.Listen, Desk: desk})
		inner := w.mux
		w.server.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			inner.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), userKey{}, "ann")))
		})
		l := w.listen("/events?room=desk:a")
		l.next() // from where it hears everything
		s := w.connect("/ws?room=desk:a&framing=text")
		if err := errors.Join(events.Reload(live), sockets.Reload(live)); err != nil {
			t.Fatal(err)
		}
		w.publish(w.event("e", 1), "desk:a")
		l.want("e", "1")
		s.want("1")
		l.close()
	})
}

// TestReloadPanics: a stream of which the desk panics ends, and no other.
func TestReloadPanics(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		mistaken := false
		desk, err := verb.New(verb.Config{
			Rules: []verb.Rule{{Pattern: "desk:*", Join: verb.Token}},
			Permit: func(_ context.Context, _ verb.Caller, _ verb.Verb, room string) error {
				if mistaken && room == "desk:a" {
					panic("the application's mistake")
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		events := w.events(door.EventsConfig{Listen: open, Desk: desk})
		a, b := w.listen("/events?room=desk:a"), w.listen("/events?room=desk:b")
		b.next()
		mistaken = true
		if err := events.Reload(door.Live{Listen: open}); err != nil {
			t.Fatal(err)
		}
		if got := a.rest(); !strings.Contains(got, changed) {
			t.Errorf("the stream ends with %q", got)
		}
		w.publish(w.event("e", 1), "desk:b")
		b.want("e", "1")
		b.close()
	})
}

// TestReloadBeforeTheFirst: a WebSocket that is let in by what is taken away at that
// moment hears nothing of what it missed, and nothing new.
func TestReloadBeforeTheFirst(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		var narrow func() // by who is just asked
		desk, err := verb.New(verb.Config{
			Rules: []verb.Rule{{Pattern: "desk:*", Join: verb.Token}},
			Permit: func(context.Context, verb.Caller, verb.Verb, string) error {
				if f := narrow; f != nil {
					narrow = nil
					f()
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		sockets := w.sockets(door.WebSocketConfig{Listen: open, Desk: desk})
		before := w.publish(w.event("e", 0), "desk:a").Offset
		narrow = func() {
			if err := errors.Join(desk.Reload(verb.Config{}), sockets.Reload(door.Live{Listen: open})); err != nil {
				t.Error(err)
			}
			w.publish(w.event("secret", "new"), "desk:a")
		}
		s := w.connect("/ws?room=desk:a&framing=json&after=" + string(before))
		if text, err := s.read(); err == nil {
			t.Errorf("it hears %s", text)
		}
	})
}
