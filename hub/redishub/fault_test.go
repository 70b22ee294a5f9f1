package redishub_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/redishub"
)

// TestKilledConnections: the server ends connections, of whatever kind, while
// nodes publish. Nothing is lost, doubled or out of order.
func TestKilledConnections(t *testing.T) {
	s := startServer(t)
	a, b := join(t, quick(s.url()), "r"), join(t, quick(s.url()), "r")
	var wg sync.WaitGroup
	want := numbers(0, 300)
	wg.Go(func() { a.say("r", want...) })
	for i := range 12 {
		kind := []string{"normal", "pubsub"}[i%2]
		b.until("progress", func() bool { return len(b.got) > 20*i })
		s.say("CLIENT", "KILL", "TYPE", kind)
	}
	wg.Wait()
	a.wants(want)
	b.wants(want)
}

// TestKilledServer: the same when the server is killed. With everysec it may wait
// for the disk before it writes, and has acknowledged what is lost then.
func TestKilledServer(t *testing.T) {
	for _, sync := range []string{"always", "no"} {
		t.Run(sync, func(t *testing.T) { testKilledServer(t, sync) })
	}
}

func testKilledServer(t *testing.T, fsync string) {
	s := startServer(t, "--appendfsync", fsync)
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

// TestFlushed: somebody empties a server that runs. Everybody is told, and the
// new life is whole.
func TestFlushed(t *testing.T) {
	s := startServer(t)
	a, b := join(t, quick(s.url()), "r"), join(t, quick(s.url()), "r")
	a.say("r", numbers(0, 10)...)
	b.wants(numbers(0, 10))
	epoch := a.State().Epoch
	s.say("FLUSHALL")
	a.wantsEpoch() // nobody asked: it is noticed with the lease
	b.wantsEpoch()
	if e := b.State().Epoch; e == epoch || e != a.State().Epoch {
		t.Errorf("epochs %q and %q, was %q", e, a.State().Epoch, epoch)
	}
	b.say("r", "after")
	a.until("what comes after", func() bool { return a.got[len(a.got)-1] == "after" })
}

// TestForgottenScripts: an operator has the server forget scripts. That is no
// new life of it.
func TestForgottenScripts(t *testing.T) {
	s := startServer(t)
	a := join(t, quick(s.url()), "r")
	a.say("r", "0")
	s.say("SCRIPT", "FLUSH")
	a.say("r", "1")
	s.say("SCRIPT", "FLUSH")
	if _, err := a.Session(t.Context(), "none"); err != nil {
		t.Errorf("Session: %v", err)
	}
	a.wants([]string{"0", "1"})
}

// TestStopped: the server does nothing for longer than leases last, and then does
// what it was asked meanwhile. No node has left for that.
func TestStopped(t *testing.T) {
	s := startServer(t)
	a, b := join(t, quick(s.url()), "r"), join(t, quick(s.url()), "r")
	a.say("r", "0")
	for i := range 2 {
		s.signal(syscall.SIGSTOP)
		var wg sync.WaitGroup
		wg.Go(func() { a.say("r", fmt.Sprint(1+i)) })
		a.until("to know of it", func() bool { return a.away })
		b.until("to know of it", func() bool { return b.away })
		<-time.After(2 * time.Second) // the leases end
		s.signal(syscall.SIGCONT)
		wg.Wait()
		a.until("it to be over", func() bool { return !a.away })
	}
	a.wants([]string{"0", "1", "2"})
	b.wants([]string{"0", "1", "2"})
	for _, n := range []*node{a, b} {
		if n.left > 0 || len(n.engine.Nodes()) != 1 {
			t.Errorf("a node has left: %d times; there are %q", n.left, n.engine.Nodes())
		}
	}
}

// TestSlow: a follower that has stopped, and a server that keeps little for who
// does not read. The server gives it up, and it reads what it missed.
func TestSlow(t *testing.T) {
	s := startServer(t, "--client-output-buffer-limit", "pubsub 64kb 0 0")
	a := join(t, quick(s.url()), "r")
	cfg := quick(s.url())
	cfg.MaxPending = 16 << 10
	var filled, cut atomic.Int64
	cfg.Trace = &redishub.Trace{Filled: func(n int) { filled.Add(int64(n)) }, Lost: func(error) { cut.Add(1) }}
	b := join(t, cfg, "r")
	var hold sync.Mutex
	hold.Lock()
	b.hold.Store(&hold)
	var want []string
	for i := range 400 {
		want = append(want, fmt.Sprint(i, strings.Repeat("x", 100_000)))
	}
	a.say("r", want...)
	a.wants(want)
	b.hold.Store(nil)
	hold.Unlock()
	b.wants(want)
	if filled.Load() == 0 || cut.Load() == 0 {
		t.Errorf("%d messages were read after %d cuts: the server has kept all", filled.Load(), cut.Load())
	}
}

// TestLostTail: what the server acknowledged is gone with its power. The log
// begins a new epoch, also if others have gone on writing before those who know
// are back.
func TestLostTail(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.addr)
	a := join(t, quick(p.url()), "r")
	a.say("r", numbers(0, 10)...)
	kept := aofSize(t, s)
	a.say("r", numbers(10, 20)...)
	a.wants(numbers(0, 20))
	p.set(true, false)
	s.kill()
	truncateAOF(t, s, kept)
	s.start()
	c := join(t, quick(s.url()), "r")
	epoch := c.State().Epoch
	c.say("r", numbers(20, 60)...) // further than a was
	c.wants(numbers(20, 60))
	p.set(false, false)
	a.wantsEpoch()
	c.wantsEpoch()
	if e := c.State().Epoch; e == epoch || e != a.State().Epoch {
		t.Errorf("epochs %q and %q, was %q", e, a.State().Epoch, epoch)
	}
	c.say("r", "after")
	a.until("what comes after", func() bool { return a.got[len(a.got)-1] == "after" })
}

// TestNobodyKnows: a server that does not sync was restarted while no node was
// there to know what it had.
func TestNobodyKnows(t *testing.T) {
	for _, fsync := range []string{"always", "everysec"} {
		t.Run(fsync, func(t *testing.T) {
			s := startServer(t, "--appendfsync", fsync)
			a := join(t, quick(s.url()), "r")
			a.say("r", numbers(0, 10)...)
			epoch := a.State().Epoch
			a.engine.Close()
			s.kill()
			s.start()
			b := join(t, quick(s.url()), "r")
			if same := b.State().Epoch == epoch; same != (fsync == "always") {
				t.Errorf("the same epoch: %t", same)
			}
			_, _, err := b.Read(t.Context(), []string{"r"}, 1, 10)
			if err == nil {
				t.Error("what was before all is read without an error")
			}
		})
	}
}

// aof is the file that grows.
func aof(t *testing.T, s *server) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		t.Fatalf("AOF: %q, %v", files, err)
	}
	return files[0]
}

func aofSize(t *testing.T, s *server) int64 {
	t.Helper()
	info, err := os.Stat(aof(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func truncateAOF(t *testing.T, s *server, size int64) {
	t.Helper()
	if err := os.Truncate(aof(t, s), size); err != nil {
		t.Fatal(err)
	}
}

// TestManyRooms: with many rooms, what was missed is read as it was written.
func TestManyRooms(t *testing.T) {
	s := startServer(t, "--appendfsync", "no")
	p := startProxy(t, s.addr)
	a := join(t, quick(s.url()))
	var rooms []string
	for i := range 3000 {
		rooms = append(rooms, fmt.Sprint("r", i))
	}
	b := join(t, quick(p.url()), rooms...)
	p.set(true, false)
	var want []string
	var batch hub.SharedBatch
	for i := range 2500 {
		m := &hub.SharedMessage{Body: fmt.Append(nil, i)}
		switch i % 5 {
		case 0, 1:
			m.Rooms = []string{rooms[i]}
		case 2:
			m.Rooms = []string{"none"}
		case 3:
			m.Rooms = []string{"none", rooms[i], rooms[7]}
		}
		if i%5 != 2 {
			want = append(want, fmt.Sprint(i))
		}
		batch.Messages = append(batch.Messages, m)
	}
	a.Commit(t.Context(), &batch)
	for _, m := range batch.Messages {
		if m.Err != nil {
			t.Fatal(m.Err)
		}
	}
	p.set(false, false)
	b.wants(want)
	list, _, err := b.Read(t.Context(), rooms, batch.Messages[0].Position-1, 5000)
	if err != nil || len(list) != len(want) {
		t.Errorf("Read: %d messages, %v; want %d", len(list), err, len(want))
	}
}

// TestLate: a write that is tried again is written once, and one that comes after
// a later one of its slot is not written at all.
func TestLate(t *testing.T) {
	s := startServer(t)
	n := join(t, quick(s.url()), "r")
	write := func(number uint64, text string) (*hub.SharedMessage, error) {
		m := &hub.SharedMessage{Rooms: []string{"r"}, Body: []byte(text)}
		return m, redishub.WriteAs(t.Context(), n.Line, "slot", number, m)
	}
	first, err := write(1, "1")
	again, err2 := write(1, "1")
	if err != nil || err2 != nil || first.Position != again.Position {
		t.Errorf("%d, %v, and again %d, %v", first.Position, err, again.Position, err2)
	}
	if _, err := write(2, "2"); err != nil {
		t.Error(err)
	}
	if _, err := write(1, "late"); err == nil {
		t.Error("a write that nobody waits for was written")
	}
	n.say("r", "3")
	n.wants([]string{"1", "2", "3"})
}
