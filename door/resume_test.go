package door_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/pipe"
	"github.com/tutti-rt/tutti/verb"
)

// memoryBubble runs test in a world whose space has a memory, in which rooms of
// "chat:" keep a history.
func memoryBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, pipe.DefaultBuffer)
		w.hub = hub.New(hub.Config{Memory: func(string) *hub.Memory {
			return &hub.Memory{Rooms: []hub.RoomRule{{Pattern: "chat:*"}}}
		}})
		w.space = w.hub.Space("/")
		defer w.hub.Close()
		defer w.close()
		test(t, w)
	})
}

// desk returns a desk with rules.
func (w *world) desk(rules ...verb.Rule) *verb.Desk {
	w.t.Helper()
	d, err := verb.New(verb.Config{Rules: rules})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// start reads the id with which a stream begins.
func (l *listener) start() (id string) {
	l.t.Helper()
	it := l.next()
	id, ok := strings.CutPrefix(it.other, "id: ")
	if !ok {
		l.t.Fatalf("the stream begins with %+v, want an id", it)
	}
	return id
}

func TestEventsResume(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		w.events(door.EventsConfig{Listen: open})
		l := w.listen("/events?room=chat:a&room=chat:b")
		start := l.start()
		l.close()
		synctest.Wait()
		w.publish(w.event("e", 1), "chat:a")
		w.publish(w.event("e", "not for it"), "chat:c")
		l = w.listen("/events?room=chat:a&room=chat:b", "Last-Event-ID", start)
		l.start()
		one := l.next()
		w.publish(w.event("e", 2), "chat:b")
		synctest.Wait() // nothing waits, so that it is not dropped
		v := w.event("volatile")
		v.Volatile = true
		w.publish(v, "chat:a")
		if l.want("e", "2"); one.data != "1" {
			t.Errorf("got %+v, want what was missed before the first event", one)
		}
		two := l.next()
		if two.event != "volatile" {
			t.Errorf("got %+v", two)
		}
		for range 3 {
			l.close()
			synctest.Wait()
			w.publish(w.event("e", 3), "chat:a")
			w.publish(w.event("e", 4), "chat:a", "chat:b")
			l = w.listen("/events?room=chat:a&room=chat:b", "Last-Event-ID", two.id)
			if id := l.start(); id != two.id {
				t.Errorf("begins at %s, want %s", id, two.id)
			}
			w.publish(w.event("e", 5), "chat:b")
			l.want("e", "3")
			l.want("e", "4")
			l.want("e", "5")
			w.publish(w.event("e", 6), "chat:a")
			if two = l.next(); two.data != "6" {
				t.Errorf("got %+v", two)
			}
		}
		l.close()
		l = w.listen("/events?room=chat:a&after=" + one.id)
		l.start()
		for range 3 {
			l.want("e", "3")
			l.want("e", "4")
			l.want("e", "6")
		}
		l.close()
	})
}

func TestEventsUnrecovered(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		w.events(door.EventsConfig{Listen: open, Heartbeat: -1})
		history, err := door.History(w.space, door.ReadConfig{Desk: w.desk(verb.Open("chat:*")), Log: quiet, Trace: w.trace})
		w.mount("/api/history", history, err)
		old := w.publish(w.event("e", 1), "chat:a").Offset
		w.publish(w.event("e", 2), "chat:a")
		time.Sleep(3 * time.Minute)
		w.publish(w.event("e", 3), "chat:a")
		w.publish(w.event("e", 4), "chat:a")
		epoch, _, _ := strings.Cut(string(old), "-")
		for _, id := range []string{string(old), "nonsense", epoch + "-zzzz", "other-1"} {
			l := w.listen("/events?room=chat:a", "Last-Event-ID", id)
			it := l.next()
			var un struct{ Before string }
			if it.event != "unrecovered" || json.Unmarshal([]byte(it.data), &un) != nil || un.Before == "" {
				t.Fatalf("%s: got %+v, want to be told", id, it)
			}
			_, body := w.answer("GET", "/api/history?room=chat:a&before="+un.Before, "")
			var page verb.Page
			if err := json.Unmarshal([]byte(body), &page); err != nil || len(page.Messages) < 4 || string(page.Messages[len(page.Messages)-1].Offset) != it.id {
				t.Errorf("the history before it: %s, want all up to %s", body, it.id)
			}
			w.publish(w.event("e", 5), "chat:a")
			l.want("e", "5")
			l.close()
		}
	})
}

// TestSlowEventStream: who does not read is not buffered for, and catches up.
func TestSlowEventStream(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		w.events(door.EventsConfig{Listen: open, MaxQueue: 32 << 10, WriteTimeout: time.Hour})
		l := w.listen("/events?room=chat:a")
		l.start()
		const n = 400
		for i := range n {
			w.publish(w.event("e", fmt.Sprintf("%d %s", i, strings.Repeat("x", 1000))), "chat:a")
		}
		w.wantTold("nothing is cut off", "opened")
		for i := range n {
			if it := l.next(); !strings.HasPrefix(it.data, fmt.Sprintf(`"%d x`, i)) {
				t.Fatalf("item %d: %.20s", i, it.data)
			}
		}
		w.publish(w.event("e", "live"), "chat:a")
		l.want("e", `"live"`)
		l.close()
	})
}

func TestSocketResume(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		w.sockets(chatty)
		s := w.connect("/ws?room=chat:a&framing=json&after=")
		var first struct{ Offset string }
		text, err := s.read()
		if json.Unmarshal([]byte(text), &first); err != nil || first.Offset == "" {
			t.Fatalf("the first frame is %s, %v", text, err)
		}
		s.close()
		synctest.Wait()
		one := w.publish(w.event("e", 1), "chat:a").Offset
		two := w.publish(w.event("e", 2), "chat:a").Offset
		s = w.connect("/ws?room=chat:a&framing=json&after=" + first.Offset)
		s.want(fmt.Sprintf(`{"offset":%q}`, first.Offset))
		s.want(fmt.Sprintf(`{"event":"e","data":1,"room":"chat:a","offset":%q}`, one))
		s.want(fmt.Sprintf(`{"event":"e","data":2,"room":"chat:a","offset":%q}`, two))
		s.wantQuiet("once")
		s.close()
		s = w.connect("/ws?room=chat:a&framing=json&after=" + string(one))
		s.want(fmt.Sprintf(`{"offset":%q}`, one))
		s.want(fmt.Sprintf(`{"event":"e","data":2,"room":"chat:a","offset":%q}`, two))
		s.close()
		s = w.connect("/ws?room=chat:a&framing=json&after=nonsense")
		if text, _ := s.read(); !strings.HasPrefix(text, `{"unrecovered":{"before":"`) || !strings.HasSuffix(text, fmt.Sprintf(`"},"offset":%q}`, two)) {
			t.Errorf("told %s", text)
		}
		s.close()
		if _, no := w.dial("/ws?room=chat:a&framing=text&after=" + string(one)); no == nil || no.status != 400 {
			t.Errorf("a text stream comes back: %+v", no)
		}
	})
}

func TestSlowSocket(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		cfg := chatty
		cfg.MaxQueue, cfg.WriteTimeout = 32<<10, time.Hour
		w.sockets(cfg)
		start := w.space.Head()
		const n = 400
		for i := range n {
			w.publish(w.event("e", fmt.Sprintf("%d %s", i, strings.Repeat("x", 1000))), "chat:a")
			if i == n/2 { // the rest is missed and owed at once
				break
			}
		}
		s := w.connect("/ws?room=chat:a&framing=json&after=" + string(start))
		for i := n/2 + 1; i < n; i++ {
			w.publish(w.event("e", fmt.Sprintf("%d %s", i, strings.Repeat("x", 1000))), "chat:a")
		}
		w.wantTold("nothing is cut off", "opened")
		s.want(fmt.Sprintf(`{"offset":%q}`, start))
		for i := range n {
			if text, err := s.read(); err != nil || !strings.HasPrefix(text, fmt.Sprintf(`{"event":"e","data":"%d x`, i)) {
				t.Fatalf("frame %d: %.40s, %v", i, text, err)
			}
		}
		s.close()
	})
}
