package hub_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// A watchedStore counts what its logs are asked for, and can skip positions as
// one does that was not closed.
type watchedStore struct {
	hub.Store
	reads atomic.Int64
	mu    sync.Mutex
	logs  map[string]*watchedLog
}

type watchedLog struct {
	hub.Log
	s       *watchedStore
	mu      sync.Mutex
	skip    hub.Position
	batches []hub.Batch
}

func watched() *watchedStore {
	return &watchedStore{Store: hub.NewMemoryStore(), logs: make(map[string]*watchedLog)}
}

func (s *watchedStore) Open(namespace string) (hub.Log, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.logs[namespace]; l != nil {
		l.mu.Lock()
		l.skip += 1000 // positions that were reserved
		l.mu.Unlock()
		return l, nil
	}
	log, err := s.Store.Open(namespace)
	s.logs[namespace] = &watchedLog{Log: log, s: s}
	return s.logs[namespace], err
}

func (l *watchedLog) State() hub.LogState {
	l.mu.Lock()
	defer l.mu.Unlock()
	state := l.Log.State()
	state.Last += l.skip
	return state
}

func (l *watchedLog) Tape(after hub.Position, limit int) ([]hub.Stored, error) {
	l.s.reads.Add(1)
	return l.Log.Tape(after, limit)
}

func (l *watchedLog) Commit(b *hub.Batch) error {
	l.mu.Lock()
	l.batches = append(l.batches, *b)
	l.mu.Unlock()
	return l.Log.Commit(b)
}

// resume brings a reader back with what it has.
func resume(t *testing.T, sp *hub.Space, old *reader) *reader {
	t.Helper()
	old.mu.Lock()
	r := &reader{got: slices.Clone(old.got), offset: old.offset, ticket: old.ticket}
	old.mu.Unlock()
	r.room.Store(1000)
	seat, err := sp.ResumeSession(context.Background(), r, r.ticket.Session, r.offset, hub.Arrival{})
	if err != nil {
		t.Fatalf("resume: %v", err)
	}
	r.mu.Lock()
	r.seat = seat
	r.mu.Unlock()
	return r
}

// TestReturnBehindReservedPositions: after a crash the tape goes on at a
// position that no message precedes directly. Who comes back with the last
// message is level, and nobody looks for more.
func TestReturnBehindReservedPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := watched()
		before := remembering(t, store, hub.Memory{})
		r := enterSession(t, before.Space("/"), "r", 100, "a")
		say(t, before.Space("/"), "0", "a")
		before.Close()

		sp := remembering(t, store, hub.Memory{}).Space("/")
		r = resume(t, sp, r)
		synctest.Wait() // it would not return while somebody looks again and again
		say(t, sp, "1", "a")
		wantTexts(t, r, "live again", "0", "1")
	})
}

// TestErasedEnd: what a reader that is behind is owed last is erased. It is
// level then.
func TestErasedEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := remembering(t, nil, hub.Memory{Rooms: []hub.RoomRule{{Pattern: "a"}}}).Space("/")
		r := enterSession(t, sp, "r", 1, "a")
		say(t, sp, "0", "a")
		last := say(t, sp, "1", "a")
		synctest.Wait()
		if err := sp.Erase(context.Background(), "a", last.Offset); err != nil {
			t.Fatal(err)
		}
		r.give(10)
		synctest.Wait()
		wantTexts(t, r, "what was erased is not delivered", "0")
		say(t, sp, "2", "a")
		wantTexts(t, r, "live again", "0", "2")
	})
}

// TestEraseRoomKeepsWhatOthersKeep: a room is erased; a message that was for
// another room with a history as well reaches who is behind there, and so does
// what is published to the room afterwards.
func TestEraseRoomKeepsWhatOthersKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := remembering(t, nil, hub.Memory{Rooms: []hub.RoomRule{{Pattern: "*"}}}).Space("/")
		r := enterSession(t, sp, "r", 0, "b", "a")
		say(t, sp, "a", "a")
		say(t, sp, "both", "a", "b")
		if err := sp.EraseRoom(context.Background(), "a"); err != nil {
			t.Fatal(err)
		}
		say(t, sp, "later", "a")
		r.give(10)
		synctest.Wait()
		wantTexts(t, r, "as the store keeps it", "both", "later")
	})
}

// TestMovedByOthers: rooms that an audience was made to join or leave are those
// in which its members come back, after any end of the process.
func TestMovedByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := watched()
		before := remembering(t, store, hub.Memory{})
		sp := before.Space("/")
		r := enterSession(t, sp, "r", 100, "a", "b")
		if err := sp.Join(hub.Address{Rooms: []string{"a"}}, "c"); err != nil {
			t.Fatal(err)
		}
		sp.Leave(hub.Address{Rooms: []string{"a"}}, "b")
		before.Close()

		sp = remembering(t, store, hub.Memory{}).Space("/")
		r = resume(t, sp, r)
		if got := r.seat.Rooms(); !slices.Equal(got, []string{"r", "a", "c"}) {
			t.Errorf("came back to %q", got)
		}
	})
}

// TestInterruptedReturn: who is cut off again while its return is written down
// may come back yet.
func TestInterruptedReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &gatedStore{Store: hub.NewMemoryStore(), gate: make(chan error)}
		sp := remembering(t, store, hub.Memory{}).Space("/")
		var open atomic.Bool
		go func() {
			for range 3 {
				store.gate <- nil
			}
			time.Sleep(time.Minute)
			open.Store(true)
			close(store.gate)
		}()
		r := enterSession(t, sp, "r", 100, "a")
		say(t, sp, "0", "a")
		if err := r.seat.Join("b"); err != nil {
			t.Fatal(err)
		}
		r.seat.Close()

		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		_, err := sp.ResumeSession(ctx, new(reader), r.ticket.Session, r.offset, hub.Arrival{})
		if !errors.Is(err, hub.ErrUnknown) || open.Load() {
			t.Fatalf("a return that was cut off: %v", err)
		}
		say(t, sp, "1", "a")
		r = resume(t, sp, r)
		synctest.Wait()
		wantTexts(t, r, "all of it, once", "0", "1")
		say(t, sp, "2", "b")
	})
}

// TestJoinSurvivesPower: a client that comes back to fewer rooms than it had joined
// would take their silence for peace.
func TestJoinSurvivesPower(t *testing.T) {
	store := watched()
	sp := remembering(t, store, hub.Memory{}).Space("/")
	r := enterSession(t, sp, "r", 100)
	for what, move := range map[string]func() error{
		"joined":     func() error { return r.seat.Join("b") },
		"was joined": func() error { return sp.Join(hub.Address{}, "c") },
		"left":       func() error { r.seat.Leave("r"); return nil },
	} {
		if err := move(); err != nil {
			t.Fatal(err)
		}
		l := store.logs["/"]
		l.mu.Lock()
		last := l.batches[len(l.batches)-1]
		l.mu.Unlock()
		if len(last.Sessions) != 1 || !last.Sync {
			t.Errorf("%s: %d sessions, Sync = %t", what, len(last.Sessions), last.Sync)
		}
	}
}

// TestForeignSession: who presents somebody else's id gets nothing, and takes
// nothing away.
func TestForeignSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := remembering(t, nil, hub.Memory{}).Space("/")
		r := &reader{}
		r.room.Store(100)
		var err error
		r.seat, err = sp.EnterSession(context.Background(), r, hub.Arrival{Name: "r", Owner: "ann", Welcome: func(tk hub.Ticket) { r.ticket = tk }})
		if err != nil {
			t.Fatal(err)
		}
		for _, owner := range []string{"", "bob"} {
			_, err := sp.ResumeSession(context.Background(), new(reader), r.ticket.Session, "", hub.Arrival{Owner: owner})
			if !errors.Is(err, hub.ErrNotOwner) {
				t.Errorf("owner %q: %v", owner, err)
			}
		}
		say(t, sp, "0", "r")
		wantTexts(t, r, "its seat is its own", "0")
	})
}
