package natshub_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/natshub"
)

// minor is the second number of the server's version.
func minor(b *testing.B) int {
	b.Helper()
	out, err := exec.Command(serverBinary(b), "--version").Output()
	if err != nil {
		b.Fatal(err)
	}
	parts := strings.Split(string(out), ".")
	n, err := strconv.Atoi(parts[min(1, len(parts)-1)])
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// cpu is the time that this process and the server have used.
func (s *server) cpu(b *testing.B) (ours, theirs time.Duration) {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	ours = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest) // from the third on: see proc(5)
	for _, f := range fields[11:13] {
		ticks, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		theirs += time.Duration(ticks) * 10 * time.Millisecond
	}
	return ours, theirs
}

// memory is what the server has of the machine's.
func (s *server) memory(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if is, found := strings.CutPrefix(line, "VmRSS:"); found {
			kb, err := strconv.Atoi(strings.Fields(is)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) * 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// A counter counts what it follows.
type counter struct{ n atomic.Int64 }

func (c *counter) Follow(m []hub.Stored, _ hub.Position) { c.n.Add(int64(len(m))) }
func (*counter) Heard(string, []byte)                    {}
func (*counter) Lost(error, hub.Position)                {}
func (*counter) Told(string, []byte)                     {}
func (*counter) Came(string, []byte)                     {}
func (*counter) Left(string)                             {}
func (*counter) Reached(error)                           {}

func benchLine(b *testing.B, s *server, c *counter) (*natshub.Engine, hub.Line) {
	b.Helper()
	cfg := quick(s.url())
	cfg.Lease, cfg.Timeout = 0, 0
	e, err := natshub.Open(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.Close() })
	if err := e.Join(b.Context(), c, nil); err != nil {
		b.Fatal(err)
	}
	l, err := e.Open(b.Context(), "/", memory(), c)
	if err != nil {
		b.Fatal(err)
	}
	return e, l
}

func benchRooms(n int) (rooms []string) {
	for i := range n {
		rooms = append(rooms, fmt.Sprint("room-", i))
	}
	return rooms
}

// BenchmarkCommit: messages of 200 bytes to 1,000 rooms, by so many writers who
// wait for each; a group is what one Commit of the hub's has under load. A second
// node listens to all rooms, and a third to none.
func BenchmarkCommit(b *testing.B) {
	for sync, config := range map[string]string{"lazy": "", "always": "always"} {
		for _, c := range []struct{ writers, group int }{{1, 1}, {64, 1}, {1, 64}, {4, 256}} {
			b.Run(fmt.Sprintf("%s/writers=%d/group=%d", sync, c.writers, c.group), func(b *testing.B) {
				if sync == "always" {
					if minor(b) < 10 {
						b.Skip("nats-server 2.9 has no such setting: NATS_SERVER names another")
					}
					config = fmt.Sprintf("jetstream { store_dir: %q, sync_interval: always }", b.TempDir())
				}
				benchCommit(b, startServer(b, config), c.writers, c.group)
			})
		}
	}
}

func benchCommit(b *testing.B, s *server, writers, group int) {
	var followed counter
	_, l := benchLine(b, s, new(counter))
	_, other := benchLine(b, s, &followed)
	third, _ := benchLine(b, s, new(counter))
	rooms := benchRooms(1000)
	if _, err := other.Listen(b.Context(), rooms...); err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 200)
	var next atomic.Int64
	_, heard := natshub.Received(third)
	ours, theirs := s.cpu(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for {
				from := next.Add(int64(group)) - int64(group)
				to := min(from+int64(group), int64(b.N))
				if from >= to {
					return
				}
				batch := new(hub.SharedBatch)
				for i := from; i < to; i++ {
					batch.Messages = append(batch.Messages, &hub.SharedMessage{Rooms: rooms[i%1000 : i%1000+1], Body: body})
				}
				l.Commit(b.Context(), batch)
				if err := batch.Messages[0].Err; err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if _, err := other.Listen(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	ours2, theirs2 := s.cpu(b)
	_, heard2 := natshub.Received(third)
	n := float64(b.N)
	if followed.n.Load() != int64(b.N) {
		b.Errorf("%d of %d were followed", followed.n.Load(), b.N)
	}
	b.ReportMetric(n/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64((ours2-ours).Microseconds())/n, "µs-nodes/msg")
	b.ReportMetric(float64((theirs2-theirs).Microseconds())/n, "µs-nats/msg")
	b.ReportMetric(float64(heard2-heard)/n, "B-others/msg")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkMemory: what rooms with so many messages of 200 bytes cost NATS.
func BenchmarkMemory(b *testing.B) {
	for _, c := range []struct {
		rooms, each int
		history     bool
	}{{100_000, 1, false}, {10_000, 20, false}, {10_000, 20, true}} {
		b.Run(fmt.Sprintf("rooms=%d/each=%d/history=%t", c.rooms, c.each, c.history), func(b *testing.B) {
			s := startServer(b, "")
			_, l := benchLine(b, s, new(counter))
			before := s.memory(b)
			for b.Loop() {
				for range c.each {
					fillRooms(b, l, c.rooms, c.history)
				}
			}
			used := (s.memory(b) - before) / float64(b.N)
			b.ReportMetric(used/float64(c.rooms), "B/room")
			b.ReportMetric(used/float64(c.rooms*c.each), "B/msg")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func fillRooms(b *testing.B, l hub.Line, rooms int, history bool) {
	batch := new(hub.SharedBatch)
	for _, room := range benchRooms(rooms) {
		m := &hub.SharedMessage{Rooms: []string{room}, Body: make([]byte, 200)}
		if history {
			m.Histories = []hub.RoomHistory{{Room: room, Limit: hub.HistoryLimit{Count: 100}}}
		}
		batch.Messages = append(batch.Messages, m)
	}
	l.Commit(b.Context(), batch)
	if err := batch.Messages[rooms-1].Err; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkListen: a node that listens to 100,000 rooms, and comes back to them
// after its connection was cut.
func BenchmarkListen(b *testing.B) {
	s := startServer(b, "")
	p := startProxy(b, s.addr)
	_, l := benchLine(b, &server{t: b, addr: p.listener.Addr().String()}, new(counter))
	rooms := benchRooms(100_000)
	before, own := s.memory(b), heap()
	began := time.Now()
	if _, err := l.Listen(b.Context(), rooms...); err != nil {
		b.Fatal(err)
	}
	took, used, own := time.Since(began), s.memory(b)-before, heap()-own
	for b.Loop() {
		p.set(false, false)
		for {
			if _, err := l.Listen(b.Context()); err == nil {
				break
			} else if !errors.Is(err, hub.ErrUnavailable) {
				b.Fatal(err)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	b.ReportMetric(float64(took.Milliseconds()), "ms-to-listen")
	b.ReportMetric(used/100_000, "B-nats/room")
	b.ReportMetric(own/100_000, "B-node/room")
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms-to-return")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkRead: 64 that come back at a time, each to what it has missed in three
// rooms.
func BenchmarkRead(b *testing.B) {
	s := startServer(b, "")
	_, l := benchLine(b, s, new(counter))
	after := l.State().Last
	for range 20 {
		fillRooms(b, l, 300, false)
	}
	rooms := benchRooms(300)
	ours, theirs := s.cpu(b)
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				list, _, err := l.Read(b.Context(), rooms[i%100*3:i%100*3+3], after, 1000)
				if err != nil || len(list) != 60 {
					b.Error(len(list), err)
					return
				}
			}
		})
	}
	wg.Wait()
	ours2, theirs2 := s.cpu(b)
	b.ReportMetric(float64((ours2-ours).Microseconds())/float64(b.N), "µs-node/read")
	b.ReportMetric(float64((theirs2-theirs).Microseconds())/float64(b.N), "µs-nats/read")
}

// BenchmarkHistory: pages of 50 of rooms with 1,000 messages each, of which limits
// leave as many.
func BenchmarkHistory(b *testing.B) {
	s := startServer(b, "")
	_, l := benchLine(b, s, new(counter))
	rooms := benchRooms(50)
	for range 1000 {
		fillRooms(b, l, len(rooms), true)
	}
	for i := 0; b.Loop(); i++ {
		list, err := l.History(b.Context(), rooms[i%len(rooms)], hub.HistoryQuery{Limit: 50})
		if err != nil || len(list) != 50 {
			b.Fatal(len(list), err)
		}
	}
}
