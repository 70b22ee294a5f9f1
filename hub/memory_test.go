package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// remembering returns a hub in which every namespace has a memory.
func remembering(t *testing.T, store hub.Store, m hub.Memory) *hub.Hub {
	t.Helper()
	h := hub.New(hub.Config{Store: store, Memory: func(string) *hub.Memory { return &m }})
	t.Cleanup(h.Close)
	return h
}

// A reader is a member that takes messages while it has room, and can come
// back.
type reader struct {
	room    atomic.Int64 // how many it takes more
	mu      sync.Mutex
	seat    *hub.Seat
	ticket  hub.Ticket
	got     []string
	offset  hub.Offset
	evicted error
}

func (r *reader) Deliver(m *hub.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.room.Add(-1)
	text, _ := m.Args.At(0).String()
	r.got = append(r.got, text)
	if m.Kept() {
		r.offset = m.Offset()
	}
}

func (r *reader) Ready() bool { return r.room.Load() > 0 }

func (r *reader) Evicted(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.evicted = err
}

func (r *reader) texts() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// give makes room for n messages more.
func (r *reader) give(n int64) {
	r.room.Add(n)
	r.seat.Resume()
}

func enterSession(t *testing.T, sp *hub.Space, name string, room int64, rooms ...string) *reader {
	t.Helper()
	r := new(reader)
	r.room.Store(room)
	seat, err := sp.EnterSession(context.Background(), r, hub.Arrival{Name: name, Rooms: rooms, Welcome: func(tk hub.Ticket) { r.ticket = tk }})
	if err != nil {
		t.Fatal(err)
	}
	r.seat = seat
	return r
}

func say(t *testing.T, sp *hub.Space, text string, rooms ...string) hub.Receipt {
	t.Helper()
	receipt, err := sp.Publish(context.Background(), message(t, text), hub.Address{Rooms: rooms})
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func message(t *testing.T, text string) *hub.Message {
	t.Helper()
	args, err := packet.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return &hub.Message{Event: "e", Args: args}
}

func wantTexts(t *testing.T, r *reader, rule string, want ...string) {
	t.Helper()
	if got := r.texts(); !slices.Equal(got, want) {
		t.Fatalf("%s: got %q, want %q", rule, got, want)
	}
}

func TestSlowReaderReadsFromTheTape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := remembering(t, nil, hub.Memory{})
		sp := h.Space("/")
		slow, quick := enterSession(t, sp, "slow", 2, "a"), enterSession(t, sp, "quick", 100, "a")
		for i := range 5 {
			say(t, sp, fmt.Sprint(i), "a")
		}
		say(t, sp, "not for them", "b")
		synctest.Wait()
		wantTexts(t, slow, "no more than it takes", "0", "1")
		wantTexts(t, quick, "nobody else waits", "0", "1", "2", "3", "4")
		slow.give(1)
		synctest.Wait()
		wantTexts(t, slow, "goes on where it stopped", "0", "1", "2")
		say(t, sp, "5", "a")
		slow.give(100)
		synctest.Wait()
		wantTexts(t, slow, "until it is level", "0", "1", "2", "3", "4", "5")
		say(t, sp, "6", "a")
		wantTexts(t, slow, "and then live", "0", "1", "2", "3", "4", "5", "6")
	})
}

func TestTooSlowForTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := remembering(t, nil, hub.Memory{Window: time.Minute})
		sp := h.Space("/")
		slow := enterSession(t, sp, "slow", 1, "a")
		say(t, sp, "0", "a")
		say(t, sp, "1", "a")
		time.Sleep(2 * time.Minute)
		say(t, sp, "2", "a") // forgets 1
		say(t, sp, "3", "a")
		slow.give(100)
		synctest.Wait()
		slow.mu.Lock()
		defer slow.mu.Unlock()
		if !errors.Is(slow.evicted, hub.ErrTrimmed) || len(slow.got) != 1 {
			t.Errorf("got %q, evicted for %v: a hole must be told, and nothing after it delivered", slow.got, slow.evicted)
		}
	})
}

func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &lastingStore{Store: hub.NewMemoryStore(), logs: make(map[string]hub.Log)}
		h := remembering(t, store, hub.Memory{Window: time.Minute})
		sp := h.Space("/")
		r := enterSession(t, sp, "r", 100, "a")
		send := func(sp *hub.Space, publisher, id string) hub.Receipt {
			m := message(t, publisher+id)
			m.Publisher, m.ID = publisher, id
			receipt, err := sp.Publish(context.Background(), m, hub.Address{Rooms: []string{"a"}})
			if err != nil {
				t.Fatal(err)
			}
			return receipt
		}
		first := send(sp, "p", "1")
		if again := send(sp, "p", "1"); again.Offset != first.Offset || !again.Repeated {
			t.Errorf("again: %+v, first: %+v", again, first)
		}
		if other := send(sp, "q", "1"); other.Repeated {
			t.Error("another publisher's ids are its own")
		}
		wantTexts(t, r, "a repeated message is delivered once", "p1", "q1")

		h.Close()
		later := remembering(t, store, hub.Memory{Window: time.Minute}).Space("/")
		if again := send(later, "p", "1"); again.Offset != first.Offset || !again.Repeated {
			t.Errorf("after a restart: %+v, first: %+v", again, first)
		}
		time.Sleep(5 * time.Minute)
		send(later, "x", "1")
		send(later, "x", "2")
		if again := send(later, "p", "1"); again.Repeated {
			t.Error("an id is remembered beyond two windows")
		}
	})
}

// A lastingStore keeps what it holds when it is opened again.
type lastingStore struct {
	hub.Store
	logs map[string]hub.Log
}

func (s *lastingStore) Open(namespace string) (hub.Log, error) {
	if log := s.logs[namespace]; log != nil {
		return log, nil
	}
	log, err := s.Store.Open(namespace)
	s.logs[namespace] = log
	return log, err
}

// A gatedStore commits when it is let, or fails.
type gatedStore struct {
	hub.Store
	gate    chan error
	commits atomic.Int64
}

type gatedLog struct {
	hub.Log
	s *gatedStore
}

func (s *gatedStore) Open(namespace string) (hub.Log, error) {
	log, err := s.Store.Open(namespace)
	return &gatedLog{log, s}, err
}

func (l *gatedLog) Commit(b *hub.Batch) error {
	if err := <-l.s.gate; err != nil {
		return err
	}
	l.s.commits.Add(1)
	return l.Log.Commit(b)
}

func TestPublishersShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &gatedStore{Store: hub.NewMemoryStore(), gate: make(chan error)}
		sp := remembering(t, store, hub.Memory{}).Space("/")
		m := new(reader)
		m.room.Store(1 << 30)
		seat, err := sp.Enter(m, nil, "a")
		if err != nil {
			t.Fatal(err)
		}
		defer seat.Close()
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { say(t, sp, fmt.Sprint(i), "a") })
			synctest.Wait()
		}
		if n := len(m.texts()); n != 0 {
			t.Errorf("%d messages were seen before they were written", n)
		}
		store.gate <- nil
		synctest.Wait()
		wantTexts(t, m, "the first was alone", "0")
		store.gate <- nil
		wg.Wait()
		if n := store.commits.Load(); n != 2 {
			t.Errorf("%d commits, want 2: who waits shares one", n)
		}

		// A publisher that does not wait any longer does not know.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := sp.Publish(ctx, message(t, "?"), hub.Address{}); !errors.Is(err, hub.ErrUnknown) {
			t.Errorf("got %v, want ErrUnknown", err)
		}
		store.gate <- nil

		// After a failure nothing is acknowledged any more, nor seen.
		before := len(m.texts())
		wg.Go(func() { store.gate <- hub.ErrFailed })
		for range 3 {
			if _, err := sp.Publish(context.Background(), message(t, "lost"), hub.Address{}); !errors.Is(err, hub.ErrFailed) {
				t.Errorf("got %v, want ErrFailed", err)
			}
		}
		wg.Wait()
		if after := len(m.texts()); after > before+1 {
			t.Errorf("%d messages were delivered that were not written", after-before-1)
		}
	})
}

// TestNothingLost has readers that fall behind, break off and come back, often
// at the same time as others publish: each must receive what was published to
// its room, all of it, once, in the order that all agree on.
func TestNothingLost(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const publishers, each, readers = 4, 300, 6
	h := remembering(t, nil, hub.Memory{MaxBytes: 4 << 10}) // most is read back from the store
	sp := h.Space("/")
	var rs []*reader
	for i := range readers {
		rs = append(rs, enterSession(t, sp, fmt.Sprint("r", i), 10, "a"))
	}
	var publishing, reading sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() {
			for i := range each {
				say(t, sp, fmt.Sprintf("%d.%d", p, i), "a")
			}
		})
	}
	stop := make(chan struct{})
	final := make([]*reader, readers)
	for i, r := range rs {
		reading.Go(func() { final[i] = travel(t, sp, r, rand.New(rand.NewPCG(seed, uint64(i))), stop) })
	}
	publishing.Wait()
	close(stop)
	reading.Wait()
	var order []string
	for i, r := range final {
		got := r.texts()
		if len(got) != publishers*each {
			t.Fatalf("reader %d received %d messages, want %d", i, len(got), publishers*each)
		}
		if order == nil {
			order = got
		} else if !slices.Equal(got, order) {
			t.Fatalf("readers received different orders")
		}
	}
	if unique := slices.Compact(slices.Sorted(slices.Values(order))); len(unique) != publishers*each {
		t.Errorf("%d different messages, want %d", len(unique), publishers*each)
	}
}

// travel lets a reader read, pause and come back until stop, and then to the
// end.
func travel(t *testing.T, sp *hub.Space, r *reader, rng *rand.Rand, stop chan struct{}) *reader {
	for running := true; running; {
		select {
		case <-stop:
			running = false
		default:
		}
		switch rng.IntN(4) {
		case 0, 1:
			r.give(int64(rng.IntN(50)))
		case 2:
			r = comeBack(t, sp, r, rng.IntN(2) == 0)
		}
	}
	r = comeBack(t, sp, r, true)
	r.give(1 << 30)
	marker := new(reader)
	marker.room.Store(1)
	deadline := time.Now().Add(30 * time.Second)
	for len(r.texts()) < 1200 && time.Now().Before(deadline) {
		r.seat.Resume()
	}
	return r
}

// comeBack resumes a reader's session from what it has received, closing the
// old seat first or leaving it to be fenced.
func comeBack(t *testing.T, sp *hub.Space, old *reader, closed bool) *reader {
	if closed {
		old.seat.Close()
	}
	// What the old connection still receives is lost: the new one must get it.
	old.mu.Lock()
	r := &reader{got: slices.Clone(old.got), offset: old.offset, ticket: old.ticket}
	old.mu.Unlock()
	r.room.Store(10)
	seat, err := sp.ResumeSession(context.Background(), r, r.ticket.Session, r.offset, hub.Arrival{})
	if err != nil {
		t.Errorf("resume: %v", err)
		return old
	}
	r.mu.Lock()
	r.seat = seat
	r.mu.Unlock()
	return r
}
