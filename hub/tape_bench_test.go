package hub_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/pebblehub"
	"github.com/tutti-rt/tutti/packet"
)

// durable returns a space with histories in a folder.
func durable(b *testing.B, rule hub.RoomRule) *hub.Space {
	b.Helper()
	store, err := pebblehub.Open(b.TempDir(), pebblehub.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	h := hub.New(hub.Config{Store: store, Memory: func(string) *hub.Memory {
		return &hub.Memory{Rooms: []hub.RoomRule{rule}}
	}})
	b.Cleanup(func() {
		h.Close()
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	return h.Space("/")
}

// BenchmarkDurable is a durable publish of 250 bytes, from the call to the
// acknowledgement, with one member in the room. Target: 40,000 a second with 64
// writers and fsync, or what the disk allows: BenchmarkGroupCommit.
func BenchmarkDurable(b *testing.B) {
	for _, mode := range []hub.Durability{hub.Fsync, hub.Async} {
		for _, writers := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("writers=%d/%s", writers, []string{"fsync", "async"}[mode]), func(b *testing.B) {
				sp := durable(b, hub.RoomRule{Pattern: "chat:*", Durability: mode, Limit: hub.HistoryLimit{Count: 1000}})
				var heard atomic.Int64
				if _, err := sp.Enter(ear{&heard}, nil, "chat:0"); err != nil {
					b.Fatal(err)
				}
				args, err := packet.Marshal(string(make([]byte, 40)) + fmt.Sprintf("%200d", 1))
				if err != nil {
					b.Fatal(err)
				}
				publishAll(b, sp, args, writers)
			})
		}
	}
}

// ear is a member that counts.
type ear struct{ heard *atomic.Int64 }

func (e ear) Deliver(*hub.Message) { e.heard.Add(1) }

// publishAll lets so many writers publish b.N messages, each when its last was
// acknowledged.
func publishAll(b *testing.B, sp *hub.Space, args packet.Args, writers int) {
	var (
		next atomic.Int64
		wg   sync.WaitGroup
		took = make([][]time.Duration, writers)
	)
	b.ReportAllocs()
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			room := []string{fmt.Sprint("chat:", w%100)}
			for next.Add(1) <= int64(b.N) {
				began := time.Now()
				if _, err := sp.Publish(context.Background(), &hub.Message{Event: "msg", Args: args}, hub.Address{Rooms: room}); err != nil {
					b.Error(err)
					return
				}
				took[w] = append(took[w], time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkGroupCommit is what the disk allows: one append and fsync after
// another, of as many bytes as the messages of n writers make. messages/s is what
// n writers get that share each of them and cost nothing else.
func BenchmarkGroupCommit(b *testing.B) {
	for _, n := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", n), func(b *testing.B) {
			f, err := os.OpenFile(b.TempDir()+"/log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			text := make([]byte, n*800) // a message is on the tape and in a history
			for b.Loop() {
				if _, err := f.Write(text); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkReturn has 5,000 clients come back at once, each to 100 messages that
// it has missed, and is done when all have all of them. With a store in memory,
// and with one on the disk from which everything is read.
func BenchmarkReturn(b *testing.B) {
	const clients, missed = 5000, 100
	for _, ring := range []int64{64 << 20, 1} {
		b.Run(fmt.Sprintf("ring=%d", ring), func(b *testing.B) {
			store, err := pebblehub.Open(b.TempDir(), pebblehub.Config{Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			h := hub.New(hub.Config{Store: store, Memory: func(string) *hub.Memory {
				return &hub.Memory{MaxBytes: ring, Rooms: []hub.RoomRule{{Pattern: "chat:*"}}}
			}})
			defer h.Close()
			sp := h.Space("/")
			tickets := make([]hub.Ticket, clients)
			away := func(i int, r *counting) {
				seat, err := sp.EnterSession(context.Background(), r, hub.Arrival{
					Name: fmt.Sprint("client", i), Rooms: []string{"chat:tea"}, Welcome: func(t hub.Ticket) { tickets[i] = t },
				})
				if err != nil {
					b.Error(err)
					return
				}
				seat.Close()
			}
			for b.Loop() {
				b.StopTimer()
				together(clients, func(i int) { away(i, new(counting)) })
				args, err := packet.Marshal("something that was said meanwhile")
				if err != nil {
					b.Fatal(err)
				}
				for range missed {
					if _, err := sp.Publish(context.Background(), &hub.Message{Event: "msg", Args: args}, hub.Address{Rooms: []string{"chat:tea"}}); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				comeTogether(b, sp, tickets, missed)
			}
		})
	}
}

// A counting member is done when it has heard what it waits for.
type counting struct {
	n, want int
	done    *sync.WaitGroup
}

func (c *counting) Deliver(*hub.Message) {
	if c.n++; c.n == c.want {
		c.done.Done()
	}
}
func (*counting) Ready() bool   { return true }
func (*counting) Evicted(error) {}

// together calls f for each of n, a few hundred at a time.
func together(n int, f func(i int)) {
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	for range 500 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				f(int(i))
			}
		})
	}
	wg.Wait()
}

func comeTogether(b *testing.B, sp *hub.Space, tickets []hub.Ticket, missed int) {
	var done sync.WaitGroup
	done.Add(len(tickets))
	seats := make([]*hub.Seat, len(tickets))
	together(len(tickets), func(i int) {
		var err error
		seats[i], err = sp.ResumeSession(context.Background(), &counting{want: missed, done: &done}, tickets[i].Session, "", hub.Arrival{})
		if err != nil {
			b.Error(err)
			done.Done()
		}
	})
	done.Wait()
	b.StopTimer()
	for _, s := range seats {
		if s != nil {
			s.End()
		}
	}
	b.StartTimer()
}

// BenchmarkKept is the heap of a session that is gone and may come back, in two
// rooms besides its own.
func BenchmarkKept(b *testing.B) {
	const n = 50_000
	for b.Loop() {
		sp := durable(b, hub.RoomRule{Pattern: "chat:*"})
		before := heap()
		together(n, func(i int) {
			seat, err := sp.EnterSession(context.Background(), new(counting), hub.Arrival{Name: fmt.Sprint("client-", i), Rooms: []string{"chat:tea", "user:7"}})
			if err != nil {
				b.Error(err)
				return
			}
			seat.Close()
		})
		b.ReportMetric(float64(int64(heap())-int64(before))/n, "B/session")
		runtime.KeepAlive(sp)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
