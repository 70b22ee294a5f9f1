package door_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
)

// TestOneOrder publishes into one room through every door at once. Whoever
// listens, at whatever door, must see the same messages in the same order, each
// once.
func TestOneOrder(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		const each = 60
		cfg := chatty
		cfg.Rate = -1
		w.sockets(cfg)
		w.events(door.EventsConfig{Listen: open})
		w.publisher(door.PublishConfig{Publish: open, Rate: -1})

		publishers := map[string]func(text string){
			"hub": func(text string) {
				if _, err := w.space.Publish(t.Context(), w.event("message", text), hub.Address{Rooms: []string{"chat:a"}}); err != nil {
					t.Error(err)
				}
			},
			"http": func(text string) {
				resp, body := w.answer("POST", "/api/publish", `{"rooms":["chat:a","chat:b"],"event":"message","data":"`+text+`"}`, asJSON...)
				if resp.StatusCode != 200 {
					t.Error(body)
				}
			},
		}
		var speakers []*socket
		for _, framing := range []string{"text", "json"} {
			s := w.connect("/ws?room=chat:a&framing=" + framing)
			speakers = append(speakers, s)
			publishers[framing] = func(text string) {
				if framing == "json" {
					text = `{"event":"message","data":"` + text + `"}`
				}
				s.send(text)
			}
		}
		total := each * len(publishers)
		var listeners []func() string
		for i := range 3 {
			l := w.listen("/events?room=chat:a&room=chat:b")
			defer l.close()
			listeners = append(listeners, func() string { return l.next().data })
			s := w.connect("/ws?room=chat:a&room=chat:b&framing=" + []string{"text", "json"}[i%2])
			speakers = append(speakers, s)
		}
		for _, s := range speakers {
			defer s.close()
			listeners = append(listeners, func() string {
				text, err := s.read()
				if err != nil {
					t.Error(err)
				}
				return text
			})
		}

		var speaking, listening sync.WaitGroup
		seen := make([][]string, len(listeners))
		for i, next := range listeners {
			listening.Go(func() {
				for range total {
					seen[i] = append(seen[i], plainText(next()))
				}
			})
		}
		for name, publish := range publishers {
			speaking.Go(func() {
				for n := range each {
					publish(fmt.Sprintf("%s %d", name, n))
				}
			})
		}
		speaking.Wait()
		listening.Wait()
		for i := range seen {
			if !slices.Equal(seen[i], seen[0]) {
				t.Errorf("listener %d saw\n%q, and listener 0\n%q", i, seen[i], seen[0])
			}
		}
		for name := range publishers { // each publisher's own order holds
			var own []string
			for _, text := range seen[0] {
				if strings.HasPrefix(text, name+" ") {
					own = append(own, text)
				}
			}
			for n := range each {
				if n >= len(own) || own[n] != fmt.Sprintf("%s %d", name, n) {
					t.Fatalf("of %s came %q", name, own)
				}
			}
		}
	})
}

// plainText returns the text of a message in whatever form it came.
func plainText(got string) string {
	var m struct{ Data string }
	if strings.HasPrefix(got, "{") && json.Unmarshal([]byte(got), &m, json.MatchCaseInsensitiveNames(true)) == nil {
		return m.Data
	}
	return strings.Trim(got, `"`)
}
