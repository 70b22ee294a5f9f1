package hub_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// A lateStore has logs in which a batch can be read before its commit returns,
// as in any whose readers don't wait for the writer.
type lateStore struct {
	hub.Store
	hold atomic.Pointer[chan struct{}]
}

func (s *lateStore) Open(namespace string) (hub.Log, error) {
	log, err := s.Store.Open(namespace)
	return &lateLog{log, s}, err
}

type lateLog struct {
	hub.Log
	s *lateStore
}

func (l *lateLog) Commit(b *hub.Batch) error {
	err := l.Log.Commit(b)
	if hold := l.s.hold.Load(); hold != nil {
		<-*hold
	}
	return err
}

// TestWrittenIsNotYetHandedOut: a seat that catches up looks at no message that
// the space has not handed out. Else it would have passed over one for a room
// that it joins before the message is handed to that.
func TestWrittenIsNotYetHandedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &lateStore{Store: hub.NewMemoryStore()}
		h := remembering(t, store, hub.Memory{MaxBytes: 1}) // the tape is read from the log
		sp := h.Space("/")
		r := enterSession(t, sp, "r", 0, "a")
		synctest.Wait()
		say(t, sp, "1", "a")
		say(t, sp, "2", "a") // behind

		hold := make(chan struct{})
		store.hold.Store(&hold)
		published := make(chan error, 1)
		go func() {
			_, err := sp.Publish(context.Background(), message(t, "3"), hub.Address{Rooms: []string{"b"}})
			published <- err
		}()
		synctest.Wait()
		r.give(1000)
		synctest.Wait()
		joined := make(chan error, 1)
		go func() { joined <- r.seat.Join("b") }()
		synctest.Wait()
		store.hold.Store(nil)
		close(hold)
		if err := errors.Join(<-published, <-joined); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantTexts(t, r, "who joined before it was handed out", "1", "2", "3")
	})
}

// TestExceptOfLater: a room that a member joins after a message was published
// to others than that room's does not take the message away.
func TestExceptOfLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := remembering(t, hub.NewMemoryStore(), hub.Memory{}).Space("/")
		r := enterSession(t, sp, "r", 0, "a", "not")
		synctest.Wait()
		for _, text := range []string{"1", "2"} {
			if _, err := sp.Publish(context.Background(), message(t, text), hub.Address{Rooms: []string{"a"}, Except: []string{"later"}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := sp.Publish(context.Background(), message(t, "3"), hub.Address{Rooms: []string{"a"}, Except: []string{"not"}}); err != nil {
			t.Fatal(err)
		}
		if err := r.seat.Join("later"); err != nil {
			t.Fatal(err)
		}
		r.give(1000)
		synctest.Wait()
		wantTexts(t, r, "owed when they were published", "1", "2")
	})
}

// TestReturnToWhatIsTrimmed: a session whose member was behind when it went, by
// more than is kept when it returns, is not given back.
func TestReturnToWhatIsTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := remembering(t, hub.NewMemoryStore(), hub.Memory{}).Space("/")
		r := enterSession(t, sp, "r", 0, "a")
		synctest.Wait()
		say(t, sp, "not for it", "b")
		say(t, sp, "1", "a") // behind, level with the one before
		time.Sleep(90 * time.Second)
		r.seat.Close()
		time.Sleep(90 * time.Second)
		say(t, sp, "2", "a") // the tape is trimmed
		say(t, sp, "3", "a")
		back := &reader{}
		_, err := sp.ResumeSession(context.Background(), back, r.ticket.Session, r.offset, hub.Arrival{})
		if !errors.Is(err, hub.ErrTrimmed) {
			t.Errorf("returned: %v, want %v", err, hub.ErrTrimmed)
		}
	})
}

// TestUnwritable: a message that cannot be written is refused, and nothing else
// is.
func TestUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := remembering(t, hub.NewMemoryStore(), hub.Memory{}).Space("/")
		r := enterSession(t, sp, "r", 1000, "a")
		m := message(t, "x")
		m.Event = "connect"
		if _, err := sp.Publish(context.Background(), m, hub.Address{Rooms: []string{"a"}}); err == nil || errors.Is(err, hub.ErrFailed) {
			t.Errorf("published a reserved event: %v", err)
		}
		say(t, sp, "1", "a")
		synctest.Wait()
		wantTexts(t, r, "others go on", "1")
	})
}

// TestComingAndGoing: sessions end a window after the last time they went,
// however often they came back before.
func TestComingAndGoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept atomic.Int64
		h := hub.New(hub.Config{
			Memory: func(string) *hub.Memory { return &hub.Memory{} },
			Trace:  &hub.Trace{Sessions: func(_ string, more int) { kept.Add(int64(more)) }},
		})
		defer h.Close()
		sp := h.Space("/")
		r := enterSession(t, sp, "r", 1000, "a")
		for i := range 5 {
			r.seat.Close()
			time.Sleep(90 * time.Second)
			say(t, sp, fmt.Sprint(i), "a")
			r = resume(t, sp, r)
			synctest.Wait()
		}
		wantTexts(t, r, "of every time away", "0", "1", "2", "3", "4")
		r.seat.Close()
		time.Sleep(121 * time.Second)
		if _, err := sp.ResumeSession(context.Background(), &reader{}, r.ticket.Session, r.offset, hub.Arrival{}); !errors.Is(err, hub.ErrNoSession) {
			t.Errorf("after the window: %v", err)
		}
		if n := kept.Load(); n != 0 {
			t.Errorf("%d sessions are kept", n)
		}
	})
}
