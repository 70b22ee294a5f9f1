package door_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
)

// ask publishes a call and returns it when everyone has been asked.
func (w *world) ask(event string, rooms ...string) *hub.Call {
	w.t.Helper()
	m := w.event(event, "tea?")
	m.Call = hub.NewCall()
	w.publish(m, rooms...)
	return m.Call
}

// wantCall reads a call and returns the number to answer it with.
func (s *socket) wantCall() string {
	s.t.Helper()
	text, err := s.read()
	id, rest, _ := strings.Cut(strings.TrimPrefix(text, `{"call":`), ",")
	if err != nil || !strings.HasPrefix(rest, `"event":"vote","data":"tea?","room":"chat:a","offset":"`) {
		s.t.Errorf("got %s, %v, want a call", text, err)
	}
	return id
}

func TestCall(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.sockets(chatty)
		w.events(door.EventsConfig{Listen: open})
		stream, text := w.listen("/events?room=chat:a"), w.connect("/ws?room=chat:a")
		a, b := w.connect("/ws?room=chat:a&framing=json"), w.connect("/ws?room=chat:a&framing=json")
		defer stream.close()
		defer text.close()
		defer a.close()
		defer b.close()

		call := w.ask("vote", "chat:a")
		stream.want("vote", `"tea?"`)
		text.want("tea?")
		if asked, _ := call.Counts(); asked != 2 {
			t.Errorf("%d asked, want the two that can answer", asked)
		}
		id := a.wantCall()
		if other := b.wantCall(); other != id {
			t.Errorf("one call has the numbers %s and %s", id, other)
		}
		a.send(`{"answer":` + id + `,"data":{"yes":true}}`)
		args, more, err := call.Next(t.Context())
		if got := string(args.AppendText(nil)); !more || err != nil || got != `{"yes":true}` {
			t.Errorf("answer %s, %v, %v", got, more, err)
		}
		a.send(`{"answer":` + id + `,"data":"again"}`) // counts once
		b.send(`{"answer":` + id + `}`)
		if args, more, err = call.Next(t.Context()); !more || err != nil || args.Len() != 0 {
			t.Errorf("an answer without data: %s, %v, %v", args.AppendText(nil), more, err)
		}
		if _, more, err = call.Next(t.Context()); more || err != nil {
			t.Errorf("a third answer: %v, %v", more, err)
		}
	})
}

func TestCallLost(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		d := w.sockets(chatty)
		for _, leave := range map[string]func(*socket){
			"client leaves": func(s *socket) { s.close() },
			"misuse":        func(s *socket) { s.send("x"); s.read(); s.send(strings.Repeat("x", 100_000)) },
		} {
			s := w.connect("/ws?room=chat:a&framing=json")
			call := w.ask("vote", "chat:a")
			leave(s)
			if _, more, err := call.Next(t.Context()); more || err != nil {
				t.Errorf("the only one asked is gone: %v, %v, want the end", more, err)
			}
			s.close()
			synctest.Wait()
		}
		s := w.connect("/ws?room=chat:a&framing=json")
		defer s.close()
		call := w.ask("vote", "chat:a")
		go d.Shutdown(t.Context())
		if _, more, err := call.Next(t.Context()); more || err != nil {
			t.Errorf("shutdown: %v, %v, want the end", more, err)
		}
	})
}

// TestCallsForgotten: a call that nobody waits for any more costs the stream
// nothing, and those that wait are bounded.
func TestCallsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		cfg := chatty
		cfg.MaxQueue = -1
		w.sockets(cfg)
		s := w.connect("/ws?room=chat:a&framing=json")
		defer s.close()
		for range 1500 {
			call := w.ask("vote", "chat:a")
			s.wantCall()
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if _, _, err := call.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("nobody answers: %v", err)
			}
			cancel()
			call.Close()
		}
		w.wantTold("calls that are closed", "opened")
		var calls []*hub.Call
		for i := range 1001 {
			call := w.ask("vote", "chat:a")
			s.wantCall()
			want := 1
			if i >= 1000 {
				want = 0
			}
			if asked, _ := call.Counts(); asked != want {
				t.Fatalf("call %d asked %d members, want %d", i, asked, want)
			}
			calls = append(calls, call)
		}
		w.wantTold("one call too many", "limit: calls")
		for _, c := range calls {
			c.Close()
		}
		if asked, _ := w.ask("vote", "chat:a").Counts(); asked != 1 {
			t.Error("a stream that forgot its calls is not asked again")
		}
	})
}

// TestCallVolatile: a call that is dropped is lost at once.
func TestCallVolatile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096)
		defer w.close()
		w.sockets(chatty)
		s := w.connect("/ws?room=chat:a&framing=json")
		defer s.close()
		for range 10 {
			w.publish(w.event("e", strings.Repeat("x", 1000)), "chat:a")
			synctest.Wait()
		}
		m := w.event("vote")
		m.Volatile, m.Call = true, hub.NewCall()
		w.publish(m, "chat:a")
		if _, more, err := m.Call.Next(t.Context()); more || err != nil {
			t.Errorf("a dropped call: %v, %v, want the end", more, err)
		}
		for i := range 10 {
			if got, err := s.read(); err != nil || !strings.HasPrefix(got, `{"event":"e"`) {
				t.Errorf("message %d: %.40s, %v", i, got, err)
			}
		}
		s.wantQuiet("the volatile call was dropped")
	})
}

// TestAnswersOfOthers: a client cannot answer for another.
func TestAnswersOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.sockets(chatty)
		evil, asked := w.connect("/ws?room=chat:b&framing=json"), w.connect("/ws?room=chat:a&framing=json")
		defer evil.close()
		defer asked.close()
		call := w.ask("vote", "chat:a")
		id := asked.wantCall()
		for n := range 20 {
			evil.send(fmt.Sprintf(`{"answer":%d,"data":"evil"}`, n))
		}
		synctest.Wait()
		if _, answered := call.Counts(); answered != 0 {
			t.Error("a client answered a call that another was asked")
		}
		asked.send(`{"answer":` + id + `}`)
		if _, more, err := call.Next(t.Context()); !more || err != nil {
			t.Errorf("%v, %v", more, err)
		}
	})
}
