package tutti_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
)

// remembering is a configuration in which every namespace has a memory.
func remembering(store hub.Store) tutti.Config {
	return tutti.Config{Hub: hub.Config{
		Store:  store,
		Memory: func(string) *hub.Memory { return &hub.Memory{} },
	}}
}

// A traveller is a client that comes back, as the stock client does: with its
// private id and the last argument of the last event that was a string.
type traveller struct {
	*client
	w           *world
	sid, pid    string
	offset      string
	recovered   bool
	connections int
}

func (w *world) travel() *traveller {
	tr := &traveller{w: w}
	tr.comeBack()
	return tr
}

// comeBack opens a new connection.
func (tr *traveller) comeBack() {
	tr.w.t.Helper()
	tr.client = tr.w.dial()
	claim, _ := json.Marshal(map[string]string{"pid": tr.pid, "offset": tr.offset})
	if tr.connections++; tr.pid == "" {
		claim = nil
	}
	tr.send("0" + string(claim))
	reply, err := tr.Receive()
	var ids struct{ SID, PID string }
	if err != nil || json.Unmarshal([]byte(strings.TrimPrefix(reply, "0")), &ids) != nil || ids.PID == "" {
		tr.w.t.Fatalf("reply to CONNECT: %s, %v", reply, err)
	}
	tr.recovered = ids.PID == tr.pid
	tr.sid, tr.pid = ids.SID, ids.PID
	synctest.Wait()
}

// event reads an event and returns it without its offset.
func (tr *traveller) event() string {
	tr.w.t.Helper()
	text, err := tr.Receive()
	if err != nil {
		tr.w.t.Fatal(err)
	}
	var args []any
	if err := json.Unmarshal([]byte(text[1:]), &args); err != nil {
		tr.w.t.Fatalf("%s: %v", text, err)
	}
	if last, ok := args[len(args)-1].(string); ok {
		tr.offset = last // also the name of an event without arguments
		args = args[:max(1, len(args)-1)]
	}
	return strings.TrimSpace(fmt.Sprintln(args...))
}

func (tr *traveller) wantEvents(rule string, events ...string) {
	tr.w.t.Helper()
	for _, want := range events {
		if got := tr.event(); got != want {
			tr.w.t.Fatalf("%s: got %s, want %s", rule, got, want)
		}
	}
}

func (tr *traveller) wantRecovered(rule string) {
	tr.w.t.Helper()
	if !tr.recovered {
		tr.w.t.Fatalf("%s: not recovered", rule)
	}
}

func TestRecovery(t *testing.T) {
	inWorld(t, remembering(nil), func(w *world) {
		ns := w.srv.Namespace("/")
		a := w.travel()
		s, _ := ns.Socket(a.sid)
		s.Join("room")
		id := a.sid

		ns.To("room").Emit("1")
		a.wantEvents("live", "1")
		a.Close()
		synctest.Wait()
		ns.To("room").Emit("2")
		ns.To("other").Emit("not for it")
		ns.To(id).Emit("3")
		ns.Except("room").Emit("nor this")
		ns.Emit("4")
		a.comeBack()
		a.wantRecovered("a client that comes back")
		if a.sid != id {
			t.Errorf("id %s, want the one it had, %s", a.sid, id)
		}
		a.wantEvents("what it missed, in order, once", "2", "3", "4")
		ns.To("room").Emit("5")
		a.wantEvents("and it is in its rooms", "5")
		if s, ok := ns.Socket(id); !ok || !s.Recovered() {
			t.Error("the socket does not say that it recovered")
		}
		for i := range 5 {
			a.Close()
			ns.To("room").Emit("again", i)
			a.comeBack()
			a.wantRecovered("any number of times")
			a.wantEvents("any number of times", fmt.Sprintf("again %d", i))
		}
	})
}

// TestReturningAllAtOnce has many connections ask for one session: one gets it,
// and the application sees one of them at a time.
func TestReturningAllAtOnce(t *testing.T) {
	inWorld(t, remembering(nil), func(w *world) {
		var present, connects, disconnects atomic.Int32
		ns := w.srv.Namespace("/")
		ns.OnConnect(func(_ context.Context, s *tutti.Socket) {
			connects.Add(1)
			if n := present.Add(1); n != 1 {
				t.Errorf("%d sockets, one has come back (%t) as %s", n, s.Recovered(), s.ID())
			}
		})
		ns.OnDisconnect(func(context.Context, *tutti.Socket, tutti.Reason) {
			present.Add(-1)
			disconnects.Add(1)
		})
		a := w.travel()
		for range 20 {
			var all sync.WaitGroup
			for range 10 {
				c := w.dial()
				all.Go(func() { c.send(fmt.Sprintf(`0{"pid":%q}`, a.pid)) })
			}
			all.Wait()
			synctest.Wait()
			if connects.Load()-disconnects.Load() != 1 || present.Load() != 1 {
				t.Fatalf("%d connected, %d disconnected", connects.Load(), disconnects.Load())
			}
		}
	})
}

func TestRecoveryBeforeAnyEvent(t *testing.T) {
	inWorld(t, remembering(nil), func(w *world) {
		a := w.travel()
		a.Close()
		w.srv.Namespace("/").Emit("1")
		a.comeBack()
		a.wantRecovered("without an offset")
		a.wantEvents("everything since it connected", "1")
	})
}

// TestRecoveryFences returns while the server still holds the old connection,
// which is dead and has not been noticed.
func TestRecoveryFences(t *testing.T) {
	inWorld(t, remembering(nil), func(w *world) {
		ns := w.srv.Namespace("/")
		a := w.travel()
		old := a.client
		s, _ := ns.Socket(a.sid)
		s.Join("room")
		ns.To("room").Emit("1") // never read by the old connection
		a.comeBack()
		a.wantRecovered("although the old connection is there")
		a.wantEvents("what the old connection did not read", "1")
		old.wantEndSoon("the old connection is ended")
		synctest.Wait()
		ns.To("room").Emit("2")
		a.wantEvents("the end of the old connection takes nothing away", "2")
	})
}

// wantEndSoon reads until the session ends.
func (c *client) wantEndSoon(rule string) {
	c.t.Helper()
	for range 100 {
		if _, err := c.Receive(); err != nil {
			return
		}
	}
	c.t.Fatal(rule)
}

func TestUnrecovered(t *testing.T) {
	inWorld(t, remembering(nil), func(w *world) {
		ns := w.srv.Namespace("/")
		w.srv.Namespace("/").Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
			s.Identify(s.Handshake().Token())
			return ctx, nil
		})
		for _, x := range []struct {
			rule  string
			spoil func(a *traveller)
		}{
			{"a private id nobody has", func(a *traveller) { a.pid = "guessed" }},
			{"an offset of another life", func(a *traveller) { a.offset = "0000-1" }},
			{"an offset that is none", func(a *traveller) { a.offset = "'; drop table" }},
			{"an offset of the future", func(a *traveller) {
				epoch, _, _ := strings.Cut(a.offset, "-")
				a.offset = epoch + "-zzzzzz"
			}},
			{"after the window", func(a *traveller) { time.Sleep(3 * time.Minute); ns.Emit("x"); ns.Emit("y") }},
		} {
			a := w.travel()
			ns.Emit("1")
			a.wantEvents("live", "1")
			a.Close()
			synctest.Wait()
			x.spoil(a)
			a.comeBack()
			if a.recovered {
				t.Errorf("%s: recovered", x.rule)
			}
			if got := a.event(); !strings.HasPrefix(got, "unrecovered map[before:") {
				t.Errorf("%s: got %s, want to be told", x.rule, got)
			}
		}

		// Somebody else's.
		a := w.travel()
		a.Close()
		synctest.Wait()
		thief := w.dial()
		thief.send(fmt.Sprintf(`0{"token":"mallory","pid":%q}`, a.pid))
		reply, _ := thief.Receive()
		if strings.Contains(reply, a.pid) || strings.Contains(reply, a.sid) {
			t.Errorf("somebody else's session was handed over: %s", reply)
		}
		a.comeBack()
		a.wantRecovered("the owner still can")
	})
}

// TestOneSocketOfAnIDAtATime returns while the handlers of the old connection
// are still at work.
func TestOneSocketOfAnIDAtATime(t *testing.T) {
	inWorld(t, remembering(nil), func(w *world) {
		ns := w.srv.Namespace("/")
		var mu sync.Mutex
		var log []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, what)
		}
		ns.OnConnect(func(context.Context, *tutti.Socket) { note("connect") })
		ns.OnDisconnect(func(context.Context, *tutti.Socket, tutti.Reason) { note("disconnect") })
		ns.Handle("slow", func(context.Context, *tutti.Socket, *tutti.Message) error {
			time.Sleep(3 * time.Second)
			note("slow")
			return nil
		})
		a := w.travel()
		a.send(`2["slow"]`)
		synctest.Wait()
		a.comeBack()
		a.wantRecovered("over another connection")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := strings.Join(log, ","); got != "connect,slow,disconnect,connect" {
			t.Errorf("the application saw %s", got)
		}
	})
}

// TestOffsetIsNotSpoiled: a stock client takes any string at the end of an
// event for an offset.
func TestOffsetIsNotSpoiled(t *testing.T) {
	inWorld(t, remembering(nil), func(w *world) {
		ns := w.srv.Namespace("/")
		a := w.travel()
		ns.Emit("1")
		a.wantEvents("live", "1")
		ns.Everyone().Volatile().Emit("volatile", "ends with a string")
		a.wantEvents("live", "volatile ends with a string")
		ns.Everyone().Volatile().Emit("bare")
		a.wantEvents("live", "bare")
		a.Close()
		ns.Emit("2", "text")
		a.comeBack()
		a.wantRecovered("after volatile events that end with a string")
		a.wantEvents("once", "2 text")
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

// A heldStore commits nothing until it may.
type heldStore struct {
	hub.Store
	may chan struct{}
}

func (s *heldStore) Open(namespace string) (hub.Log, error) {
	log, err := s.Store.Open(namespace)
	return heldLog{log, s}, err
}

type heldLog struct {
	hub.Log
	store *heldStore
}

func (l heldLog) Commit(b *hub.Batch) error {
	<-l.store.may
	return l.Log.Commit(b)
}

// TestInAndOut: who leaves a namespace while its seat is being written down has
// not lost the engine, and keeps the session.
func TestInAndOut(t *testing.T) {
	store := &heldStore{Store: hub.NewMemoryStore()}
	inWorld(t, remembering(store), func(w *world) {
		store.may = make(chan struct{})
		w.srv.Namespace("/other")
		c := w.dial()
		c.send("0/other,")
		synctest.Wait()
		c.send("1/other,")
		synctest.Wait()
		close(store.may)
		c.send("0/other,")
		if text, err := c.Receive(); err != nil || !strings.HasPrefix(text, "0/other,") {
			t.Errorf("who leaves while it is let in and comes again hears %s, %v", text, err)
		}
	})
}

// TestRecoveryAfterRestart keeps the store and loses the server.
func TestRecoveryAfterRestart(t *testing.T) {
	store := &lastingStore{Store: hub.NewMemoryStore(), logs: make(map[string]hub.Log)}
	var a traveller
	var offset tutti.Offset
	inWorld(t, remembering(store), func(w *world) {
		a = *w.travel()
		s, _ := w.srv.Namespace("/").Socket(a.sid)
		s.Join("room")
		w.srv.Namespace("/").To("room").Emit("1")
		a.wantEvents("live", "1")
		offset, _ = w.srv.Namespace("/").To("room").Emit("2") // not read any more
	})
	inWorld(t, remembering(store), func(w *world) {
		a.w, a.client = w, nil
		a.comeBack()
		a.wantRecovered("after a restart")
		a.wantEvents("what it had not read", "2")
		if a.offset != string(offset) {
			t.Errorf("offset %s, want that of before the restart, %s", a.offset, offset)
		}
		w.srv.Namespace("/").To("room").Emit("3")
		a.wantEvents("in its rooms", "3")
	})
}

// TestOnce emits again under the same id, as who does not know whether the
// first try arrived.
func TestOnce(t *testing.T) {
	inWorld(t, remembering(nil), func(w *world) {
		ns := w.srv.Namespace("/")
		a := w.travel()
		first, err := ns.Everyone().Once("order 7").Emit("paid", 7)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ns.Everyone().Once("order 7").Emit("paid", 7); err != nil || again != first {
			t.Errorf("again: %s, %v, want %s", again, err, first)
		}
		ns.Everyone().Once("order 8").Emit("paid", 8)
		a.wantEvents("each once", "paid 7", "paid 8")
	})
}
