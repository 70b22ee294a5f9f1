package door_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/door"
)

// TestDrain: streams end one after another over the time they are given, and no
// new ones begin; other requests are served.
func TestDrain(t *testing.T) {
	const streams = 60
	for kind, open := range map[string]func(w *world) (*door.Door, func() (left func())){
		"events": func(w *world) (*door.Door, func() func()) {
			return w.events(door.EventsConfig{Listen: open}), func() func() {
				l := w.listen("/events?room=chat:a")
				return func() {
					if _, err := l.read(); !errors.Is(err, io.EOF) {
						t.Errorf("a stream ends with %v", err)
					}
					l.close()
				}
			}
		},
		"websocket": func(w *world) (*door.Door, func() func()) {
			return w.sockets(chatty), func() func() {
				s := w.connect("/ws?room=chat:a")
				return func() {
					if _, err := s.read(); err == nil || !strings.Contains(err.Error(), "1001") {
						t.Errorf("a WebSocket ends with %v", err)
					}
					s.close()
				}
			}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				d, begin := open(w)
				var ending sync.WaitGroup
				for range streams {
					ending.Go(begin())
				}
				done := make(chan error)
				go func() { done <- d.Drain(t.Context(), 10*time.Second) }()
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if n := d.Streams(); n < streams/5 || n > streams*4/5 {
					t.Errorf("%d of %d streams are left after half of the time", n, streams)
				}
				path := "/events?room=chat:a"
				if kind == "websocket" {
					path = "/ws?room=chat:a"
					if _, no := w.dial(path); no == nil || no.status != 503 {
						t.Errorf("a new WebSocket: %+v", no)
					}
				} else {
					resp, body := w.answer("GET", path, "")
					w.wantRefusal("a new stream", resp, body, 503, "shutting_down")
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
				ending.Wait()
				synctest.Wait()
				if n := d.Streams(); n != 0 {
					t.Errorf("%d streams are left", n)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if err := d.Drain(ctx, time.Hour); !errors.Is(err, context.Canceled) {
					t.Errorf("without time: %v", err)
				}
			})
		})
	}
}
