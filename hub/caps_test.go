package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// TestTooManyGone: when too many are gone, who went first is forgotten first, and
// whoever is there is not.
func TestTooManyGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := hub.Memory{MaxGone: 2}
		var hits []string
		h := hub.New(hub.Config{
			Memory: func(string) *hub.Memory { return &m },
			Trace:  &hub.Trace{LimitHit: func(limit string) { hits = append(hits, limit) }},
		})
		t.Cleanup(h.Close)
		sp := h.Space("/")
		var all []*reader
		for i := range 5 {
			all = append(all, enterSession(t, sp, fmt.Sprint("m", i), 100, "a"))
		}
		for _, r := range all[:4] {
			r.seat.Close()
			time.Sleep(time.Second)
		}
		say(t, sp, "missed", "a")
		enterSession(t, sp, "new", 100)
		for i, r := range all[:2] {
			if _, err := sp.ResumeSession(context.Background(), new(reader), r.ticket.Session, r.offset, hub.Arrival{}); !errors.Is(err, hub.ErrNoSession) {
				t.Errorf("%d went first and is remembered: %v", i, err)
			}
		}
		for _, r := range all[2:4] {
			back := resume(t, sp, r)
			synctest.Wait()
			wantTexts(t, back, "those that went last come back", "missed")
		}
		synctest.Wait()
		wantTexts(t, all[4], "who is there is not gone", "missed")
		if !slices.Equal(hits, []string{"sessions", "sessions"}) {
			t.Errorf("the trace was told of %v", hits)
		}
		// Who comes and goes leaves nothing behind.
		r := enterSession(t, sp, "flapping", 100)
		for range 5000 {
			r.seat.Close()
			r = resume(t, sp, r)
		}
		if n := hub.Partings(sp); n > 2100 {
			t.Errorf("%d partings are remembered of 3 that are gone", n)
		}
	})
}

// TestTooManyIDs: what could not be recognised when it comes again is not
// published at all.
func TestTooManyIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := remembering(t, nil, hub.Memory{MaxIDs: 3, Window: time.Minute})
		sp := h.Space("/")
		listener := enterSession(t, sp, "listener", 100, "a")
		publish := func(id string) (hub.Receipt, error) {
			m := message(t, id)
			m.ID, m.Publisher = id, "p"
			return sp.Publish(context.Background(), m, hub.Address{Rooms: []string{"a"}})
		}
		for _, id := range []string{"1", "2", "3"} {
			if _, err := publish(id); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := publish("4"); !errors.Is(err, hub.ErrBusy) {
			t.Errorf("a fourth: %v", err)
		}
		if r, err := publish("1"); err != nil || !r.Repeated {
			t.Errorf("the first again: %+v, %v", r, err)
		}
		say(t, sp, "without", "a")
		synctest.Wait()
		wantTexts(t, listener, "each once, and nothing that was refused", "1", "2", "3", "without")
		time.Sleep(2*time.Minute + time.Second)
		if _, err := publish("4"); err != nil {
			t.Errorf("after the window: %v", err)
		}
	})
}

// A fastStore was written while the clock was a day ahead.
type fastStore struct{ hub.Store }

func (s fastStore) Open(namespace string) (hub.Log, error) {
	log, err := s.Store.Open(namespace)
	return fastLog{log}, err
}

type fastLog struct{ hub.Log }

func (l fastLog) Tape(after hub.Position, limit int) ([]hub.Stored, error) {
	stored, err := l.Log.Tape(after, limit)
	stored = slices.Clone(stored)
	for i := range stored {
		stored[i].Time = stored[i].Time.Add(24 * time.Hour)
	}
	return stored, err
}

// TestClockPutBack: messages that seem to come from the future neither fill the
// memory until then nor stop what is published now from being forgotten.
func TestClockPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := watched()
		m := hub.Memory{MaxIDs: 10, Window: time.Minute}
		before := hub.New(hub.Config{Store: store, Memory: func(string) *hub.Memory { return &m }})
		for i := range 5 {
			msg := message(t, fmt.Sprint(i))
			msg.ID = fmt.Sprint("old", i)
			if _, err := before.Space("/").Publish(context.Background(), msg, hub.Address{Rooms: []string{"a"}}); err != nil {
				t.Fatal(err)
			}
		}
		before.Close()

		h := remembering(t, fastStore{store}, m)
		sp := h.Space("/")
		for i := range 40 { // 40 minutes, at a rate that never fills a window
			msg := message(t, "new")
			msg.ID = fmt.Sprint("new", i)
			if _, err := sp.Publish(context.Background(), msg, hub.Address{Rooms: []string{"a"}}); err != nil {
				t.Fatalf("after %d minutes: %v", i, err)
			}
			time.Sleep(time.Minute)
		}
		log := store.logs["/"]
		log.mu.Lock()
		defer log.mu.Unlock()
		if !slices.ContainsFunc(log.batches, func(b hub.Batch) bool { return b.Trim > 20 }) {
			t.Error("the tape is not trimmed")
		}
	})
}
