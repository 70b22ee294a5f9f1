package door_test

import (
	"context"
	"errors"
	"fmt"
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
