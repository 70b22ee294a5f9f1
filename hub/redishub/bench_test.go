package redishub_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/redishub"
)

// cpu is the time that this process and the server have used.
func (s *server) cpu(b *testing.B) (ours, theirs time.Duration) {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	ours = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	for _, line := range strings.Split(s.tell("INFO", "cpu"), "\r\n") {
		if name, is, _ := strings.Cut(line, ":"); name == "used_cpu_user" || name == "used_cpu_sys" {
			seconds, err := strconv.ParseFloat(is, 64)
			if err != nil {
				b.Fatal(err)
			}
			theirs += time.Duration(seconds * float64(time.Second))
		}
	}
	return ours, theirs
}

func (s *server) memory(b *testing.B) float64 {
	b.Helper()
	for _, line := range strings.Split(s.tell("INFO", "memory"), "\r\n") {
		if is, found := strings.CutPrefix(line, "used_memory:"); found {
			n, err := strconv.ParseFloat(is, 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatal("no used_memory")
	return 0
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

func benchLine(b *testing.B, s *server, c *counter) hub.Line {
	b.Helper()
	cfg := quick(s.url())
	cfg.Lease, cfg.Timeout = 0, 0
	e, err := redishub.Open(b.Context(), cfg)
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
	return l
}

// BenchmarkCommit: messages of 200 bytes to 1,000 rooms, by so many writers who
// wait for each; a group is what one Commit of the hub's has under load. A second
// node listens to all rooms.
func BenchmarkCommit(b *testing.B) {
	for _, fsync := range []string{"always", "everysec"} {
		for _, c := range []struct{ writers, group int }{{1, 1}, {64, 1}, {1, 64}, {4, 256}} {
			b.Run(fmt.Sprintf("%s/writers=%d/group=%d", fsync, c.writers, c.group), func(b *testing.B) {
				s := startServer(b, "--appendfsync", fsync)
				benchCommit(b, s, c.writers, c.group)
			})
		}
	}
}

func benchCommit(b *testing.B, s *server, writers, group int) {
	var followed counter
	l, other := benchLine(b, s, new(counter)), benchLine(b, s, &followed)
	var rooms []string
	for i := range 1000 {
		rooms = append(rooms, fmt.Sprint("room", i))
	}
	if _, err := other.Listen(b.Context(), rooms...); err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 200)
	var next atomic.Int64
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
	n := float64(followed.n.Load())
	b.ReportMetric(n/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64((ours2-ours).Microseconds())/n, "µs-nodes/msg")
	b.ReportMetric(float64((theirs2-theirs).Microseconds())/n, "µs-redis/msg")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkMemory: what rooms with so many messages of 200 bytes cost Redis.
func BenchmarkMemory(b *testing.B) {
	for _, c := range []struct {
		rooms, each int
		history     bool
	}{{100_000, 1, false}, {10_000, 20, false}, {10_000, 20, true}, {1, 100_000, false}} {
		b.Run(fmt.Sprintf("rooms=%d/each=%d/history=%t", c.rooms, c.each, c.history), func(b *testing.B) {
			s := startServer(b, "--appendfsync", "no")
			l := benchLine(b, s, new(counter))
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
	for i := range rooms {
		m := &hub.SharedMessage{Rooms: []string{fmt.Sprint("room-", i)}, Body: make([]byte, 200)}
		if history {
			m.Histories = []hub.RoomHistory{{Room: m.Rooms[0], Limit: hub.HistoryLimit{Count: 100}}}
		}
		batch.Messages = append(batch.Messages, m)
	}
	l.Commit(b.Context(), batch)
	if err := batch.Messages[rooms-1].Err; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkListen: a node that listens to 100,000 rooms, and comes back to them
// after its connections were cut.
func BenchmarkListen(b *testing.B) {
	s := startServer(b)
	l := benchLine(b, s, new(counter))
	var rooms []string
	for i := range 100_000 {
		rooms = append(rooms, fmt.Sprint("room-", i))
	}
	before := s.memory(b)
	began := time.Now()
	if _, err := l.Listen(b.Context(), rooms...); err != nil {
		b.Fatal(err)
	}
	took, used := time.Since(began), s.memory(b)-before
	for b.Loop() {
		s.say("CLIENT", "KILL", "TYPE", "pubsub")
		if _, err := l.Listen(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(took.Milliseconds()), "ms-to-listen")
	b.ReportMetric(used/100_000, "B-redis/room")
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms-to-return")
	b.ReportMetric(0, "ns/op")
}
