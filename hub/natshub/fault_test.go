package natshub_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/natshub"
)

// TestKilledConnections: connections end, of both nodes, while they publish.
// Nothing is lost, doubled or out of order.
func TestKilledConnections(t *testing.T) {
	s := startServer(t, "")
	pa, pb := startProxy(t, s.addr), startProxy(t, s.addr)
	a, b := join(t, quick(pa.url()), "r"), join(t, quick(pb.url()), "r")
	var wg sync.WaitGroup
	want := numbers(0, 300)
	wg.Go(func() { a.say("r", want...) })
	for i := range 12 {
		b.until("progress", func() bool { return len(b.got) > 20*i })
		[]*proxy{pa, pb}[i%2].set(false, false)
	}
	wg.Wait()
	a.wants(want)
	b.wants(want)
}

// TestKilledServer: the same when the server is killed.
func TestKilledServer(t *testing.T) {
	s := startServer(t, "")
	a, b := join(t, quick(s.url()), "r"), join(t, quick(s.url()), "r")
	var wg sync.WaitGroup
	want := numbers(0, 200)
	wg.Go(func() { a.say("r", want...) })
	for i := range 3 {
		b.until("progress", func() bool { return len(b.got) > 50*i })
		s.kill()
		s.start()
	}
	wg.Wait()
	a.wants(want)
	b.wants(want)
}

// TestStopped: the server does nothing for a while, and then does what it was
// asked meanwhile.
func TestStopped(t *testing.T) {
	s := startServer(t, "")
	a, b := join(t, quick(s.url()), "r"), join(t, quick(s.url()), "r")
	a.say("r", "0")
	for i := range 2 {
		s.signal(syscall.SIGSTOP)
		var wg sync.WaitGroup
		wg.Go(func() { a.say("r", fmt.Sprint(1+i)) })
		a.until("to know of it", func() bool { return a.away })
		b.until("to know of it", func() bool { return b.away })
		s.signal(syscall.SIGCONT)
		wg.Wait()
		a.until("it to be over", func() bool { return !a.away })
	}
	a.wants([]string{"0", "1", "2"})
	b.wants([]string{"0", "1", "2"})
}

// TestSlow: a follower that has stopped. What comes for it is dropped beyond what
// may be pending, and read when it goes on.
func TestSlow(t *testing.T) {
	s := startServer(t, "")
	a := join(t, quick(s.url()), "r")
	cfg := quick(s.url())
	cfg.MaxPending = 256 << 10
	var filled, dropped atomic.Int64
	cfg.Trace = &natshub.Trace{Filled: func(n int) { filled.Add(int64(n)) }, Dropped: func() { dropped.Add(1) }}
	b := join(t, cfg, "r")
	var hold sync.Mutex
	hold.Lock()
	b.hold.Store(&hold)
	var want []string
	for i := range 400 {
		want = append(want, fmt.Sprint(i, strings.Repeat("x", 20_000)))
	}
	a.say("r", want...)
	a.wants(want)
	b.hold.Store(nil)
	hold.Unlock()
	b.wants(want)
	if filled.Load() == 0 || dropped.Load() == 0 {
		t.Errorf("%d messages were read after it was too much %d times: all was kept in memory", filled.Load(), dropped.Load())
	}
	a.say("r", "after")
	b.wants(append(want, "after"))
}

// TestDeletedStream: somebody deletes what we keep. Everybody is told, and the new
// life is whole.
func TestDeletedStream(t *testing.T) {
	for _, which := range []string{"the namespace's", "the cluster's", "both"} {
		t.Run(which, func(t *testing.T) {
			s := startServer(t, "")
			a, b := join(t, quick(s.url()), "r"), join(t, quick(s.url()), "r")
			a.say("r", numbers(0, 10)...)
			b.wants(numbers(0, 10))
			epoch := a.State().Epoch
			js, err := s.client().JetStream()
			if err != nil {
				t.Fatal(err)
			}
			tape, cluster := natshub.Streams("tutti", "/", epoch)
			for name, is := range map[string]bool{tape: which != "the cluster's", cluster: which != "the namespace's"} {
				if is {
					if err := js.DeleteStream(name); err != nil {
						t.Fatal(err)
					}
				}
			}
			a.wantsEpoch() // nobody asked: it is noticed with the lease
			b.wantsEpoch()
			b.say("r", "after")
			a.until("what comes after", func() bool { return len(a.got) > 0 && a.got[len(a.got)-1] == "after" })
			if e := b.State().Epoch; e == epoch || e != a.State().Epoch {
				t.Errorf("epochs %q and %q, was %q", e, a.State().Epoch, epoch)
			}
		})
	}
}

// TestLostTail: what the server acknowledged is gone with its power. The log
// begins a new epoch, also if others have gone on writing before those who know
// are back.
func TestLostTail(t *testing.T) {
	for _, more := range []int{0, 1, 30} {
		t.Run(fmt.Sprint(more, " written after"), func(t *testing.T) {
			s := startServer(t, "")
			p := startProxy(t, s.addr)
			a, b := join(t, quick(p.url()), "r"), join(t, quick(s.url()))
			b.say("r", numbers(0, 10)...)
			a.wants(numbers(0, 10))
			s.kill()
			kept := filepath.Join(s.dir, "kept")
			if err := os.CopyFS(kept, os.DirFS(filepath.Join(s.dir, "store"))); err != nil {
				t.Fatal(err)
			}
			s.start()
			a.until("it to be over", func() bool { return !a.away })
			a.say("r", numbers(10, 20)...)
			a.wants(numbers(0, 20))
			epoch, last := a.State().Epoch, a.State().Last
			p.set(true, false)
			if err := b.engine.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			s.kill()
			s.wipe()
			if err := os.Rename(kept, filepath.Join(s.dir, "store")); err != nil {
				t.Fatal(err)
			}
			s.start()
			cfg := quick(s.url() + "?sync=always") // what is not so, and it would not notice
			c := join(t, cfg, "r")
			c.say("r", numbers(20, 20+more)...)
			p.set(false, false)
			a.wantsEpoch()
			if more > 0 {
				c.wantsEpoch()
			}
			c.say("r", "after")
			a.until("what comes after", func() bool { return len(a.got) > 0 && a.got[len(a.got)-1] == "after" })
			if e := a.State().Epoch; e == epoch || e != c.State().Epoch {
				t.Errorf("epochs %q and %q, was %q", e, c.State().Epoch, epoch)
			}
			if now := a.State().Last; now <= last {
				t.Errorf("the last position is %d, was %d", now, last)
			}
		})
	}
}

// TestNobodyKnows: the server was restarted while no node was there. Nobody can
// say whether it lost its power, unless it writes to the disk what it
// acknowledges.
func TestNobodyKnows(t *testing.T) {
	for _, synced := range []bool{false, true} {
		t.Run(fmt.Sprint("sync=", synced), func(t *testing.T) {
			s := startServer(t, "")
			url := s.url()
			if synced {
				url += "?sync=always"
			}
			a := join(t, quick(url), "r")
			a.say("r", "0")
			epoch := a.State().Epoch
			if err := a.engine.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			b := join(t, quick(url), "r") // nothing has happened
			if e := b.State().Epoch; e != epoch {
				t.Errorf("epoch %q, was %q", e, epoch)
			}
			s.kill()
			s.start()
			b.until("it to be over", func() bool { return !b.away })
			c := join(t, quick(url), "r") // b knows
			if e := c.State().Epoch; e != epoch {
				t.Errorf("epoch %q, was %q", e, epoch)
			}
			for _, n := range []*node{b, c} {
				if err := n.engine.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			s.kill()
			s.start()
			d := join(t, quick(url), "r")
			if e := d.State().Epoch; (e == epoch) != synced {
				t.Errorf("epoch %q, was %q", e, epoch)
			}
		})
	}
}

// TestUnfinished: a node died when a message was on the tape and not yet in the
// history of its room. Another finishes that.
func TestUnfinished(t *testing.T) {
	s := startServer(t, "")
	m := memory()
	m.Rooms = []hub.RoomRule{{Pattern: "h*", Limit: hub.HistoryLimit{Count: 100}}}
	p := startProxy(t, s.addr)
	a, b := joinWith(t, quick(p.url()), m, "h1"), joinWith(t, quick(s.url()), m, "h1")
	msg := &hub.SharedMessage{Rooms: []string{"h1"}, Body: []byte("x"), Histories: []hub.RoomHistory{{Room: "h1", Limit: m.Rooms[0].Limit}}}
	a.Commit(t.Context(), &hub.SharedBatch{Messages: []*hub.SharedMessage{msg}})
	b.wants([]string{"x"})
	history := func() []string {
		list, err := b.History(t.Context(), "h1", hub.HistoryQuery{Limit: 10})
		if err != nil {
			t.Fatalf("History: %v", err)
		}
		var texts []string
		for _, m := range list {
			texts = append(texts, string(m.Body))
		}
		return texts
	}
	if got := history(); !slices.Equal(got, []string{"x"}) {
		t.Fatalf("history: %q", got)
	}
	js, err := s.client().JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if err := js.PurgeStream(natshub.HistoryStream("tutti", "/")); err != nil {
		t.Fatal(err)
	}
	// The ids that make it idempotent are remembered for a while yet.
	if err := js.DeleteStream(natshub.HistoryStream("tutti", "/")); err != nil {
		t.Fatal(err)
	}
	if got := history(); len(got) != 0 {
		t.Fatalf("history: %q", got)
	}
	p.set(true, false)
	deadline := time.Now().Add(30 * time.Second)
	for len(history()) == 0 && time.Now().Before(deadline) {
		<-time.After(10 * time.Millisecond)
	}
	if got := history(); !slices.Equal(got, []string{"x"}) {
		t.Errorf("history: %q", got)
	}
}

// TestEraseNothing: what is erased where no history was ever kept.
func TestEraseNothing(t *testing.T) {
	s := startServer(t, "")
	a := join(t, quick(s.url()), "r")
	a.say("r", "0")
	b := hub.SharedBatch{Erase: []hub.Erasure{{Room: "r"}, {Room: "r", Position: a.State().Last}, {Room: "none"}}}
	a.Commit(t.Context(), &b)
	if b.EraseErr != nil {
		t.Errorf("Commit: %v", b.EraseErr)
	}
	if list, _, err := a.Read(t.Context(), []string{"r"}, a.State().Floor, 10); err != nil || len(list) != 1 {
		t.Errorf("Read: %v, %v", list, err)
	}
}

// TestForeign: somebody else says something on our subjects. It is counted and
// nothing more, and what is ours goes on.
func TestForeign(t *testing.T) {
	s := startServer(t, "")
	var ignored atomic.Int64
	cfg := quick(s.url())
	cfg.Trace = &natshub.Trace{Ignored: func() { ignored.Add(1) }}
	a := join(t, cfg, "r")
	nc := s.client()
	a.say("r", "0")
	foreign := []string{"", "x", "\x01", "c", "c\x00", "c\x09abc", "c\x03abc", "c\x03abc\x00\x05\x01", "t", "t\xffx", "b", "b\x01x", "l", "k", "k\x01x\x01", "{\"event\":1}"}
	subjects := natshub.Subjects("tutti", a.engine.Node(), "/", a.State().Epoch, "r")
	for i, payload := range foreign {
		for _, subject := range subjects {
			for _, h := range []nats.Header{nil, {"Nats-Sequence": {"x"}}, {"Nats-Sequence": {"3"}, "Nats-Last-Sequence": {"7"}}, {"Status": {"503"}}} {
				if err := nc.PublishMsg(&nats.Msg{Subject: subject, Header: h, Data: []byte(payload)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		a.say("r", fmt.Sprint(1+i))
	}
	a.wants(numbers(0, 1+len(foreign)))
	if n := ignored.Load(); n < 60 {
		t.Errorf("%d were ignored", n)
	}
}

// TestTooLarge: a message that no server takes is refused, and those around it are
// written.
func TestTooLarge(t *testing.T) {
	s := startServer(t, "max_payload: 65536")
	a := join(t, quick(s.url()), "r")
	var batch hub.SharedBatch
	for i, size := range []int{10, 100_000, 10} {
		batch.Messages = append(batch.Messages, &hub.SharedMessage{Rooms: []string{"r"}, Body: fmt.Append(nil, i, strings.Repeat("x", size))})
	}
	batch.Sessions = []*hub.SharedSession{{ID: "s", Generation: 1, Body: make([]byte, 100_000), Keep: time.Minute}, {ID: "t", Generation: 1, Body: []byte("x"), Keep: time.Minute}}
	a.Commit(t.Context(), &batch)
	if m := batch.Messages; m[0].Err != nil || !errors.Is(m[1].Err, hub.ErrUnavailable) || m[2].Err != nil {
		t.Errorf("Commit: %v, %v, %v", m[0].Err, m[1].Err, m[2].Err)
	}
	if s := batch.Sessions; !errors.Is(s[0].Err, hub.ErrUnavailable) || s[1].Err != nil {
		t.Errorf("Commit: %v, %v", s[0].Err, s[1].Err)
	}
	if err := a.engine.Tell("", make([]byte, 100_000)); err == nil {
		t.Error("Tell has told what is too large")
	}
	a.say("r", "after")
	a.until("what comes after", func() bool { return len(a.got) == 3 && a.got[2] == "after" })
}

// TestFull: the server has no room for more. What it does not take is refused, and
// nothing that it took is lost; when there is room again, all goes on.
func TestFull(t *testing.T) {
	s := startServer(t, "")
	small := fmt.Sprintf("jetstream { store_dir: %q, max_file_store: 3000000 }", filepath.Join(s.dir, "store"))
	s.kill()
	s.config = small
	s.start()
	a, b := join(t, quick(s.url()), "r"), join(t, quick(s.url()), "r")
	var want []string
	var refused error
	for i := 0; refused == nil && i < 1000; i++ {
		text := fmt.Sprint(i, strings.Repeat("x", 50_000))
		m := &hub.SharedMessage{Publisher: "p", ID: fmt.Sprint(i), Rooms: []string{"r"}, Body: []byte(text)}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		a.Commit(ctx, &hub.SharedBatch{Messages: []*hub.SharedMessage{m}})
		cancel()
		if refused = m.Err; refused == nil {
			want = append(want, text)
		}
	}
	if !errors.Is(refused, hub.ErrUnavailable) || len(want) < 10 {
		t.Fatalf("after %d: %v", len(want), refused)
	}
	t.Logf("after %d: %v", len(want), refused)
	b.wants(want)
	s.kill()
	s.config = strings.Replace(small, "3000000", "100000000", 1)
	s.start()
	a.say("r", "after")
	a.wants(append(want, "after"))
	b.wants(append(want, "after"))
}
