package pebblehub_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/pebblehub"
)

// How many rooms the benchmarks of many rooms have. The targets are for
// 1,000,000: go test -run '^$' -bench Rooms -rooms 1000000 ./hub/pebblehub
var roomCount = flag.Int("rooms", 20_000, "rooms on disk in BenchmarkRooms")

func openBench(b *testing.B, dir string) (*pebblehub.Store, hub.Log) {
	s, err := pebblehub.Open(dir, pebblehub.Config{SweepEvery: -1, Log: quiet})
	if err != nil {
		b.Fatal(err)
	}
	l, err := s.Open("/")
	if err != nil {
		b.Fatal(err)
	}
	return s, l
}

// body is like what a chat sends: a few random words among what repeats.
func body(rng *rand.Rand, size int) []byte {
	out := fmt.Appendf(nil, `{"event":"message","from":{"id":"%016x","name":"somebody"},"text":"`, rng.Uint64())
	for len(out) < size {
		out = fmt.Appendf(out, "%x ", rng.Uint32())
	}
	return out[:size]
}

// BenchmarkCommit is a durable publish as the hub makes it: the writers that
// wait share a batch. Target: 40,000 messages a second with 64 writers, or what
// the disk's fsync allows.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 64} {
		for _, sync := range []bool{true, false} {
			for _, limit := range []int{0, 100} {
				b.Run(fmt.Sprintf("messages=%d/sync=%t/keep=%d", n, sync, limit), func(b *testing.B) {
					benchCommit(b, n, sync, limit)
				})
			}
		}
	}
}

func benchCommit(b *testing.B, n int, sync bool, limit int) {
	s, l := openBench(b, b.TempDir())
	defer s.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	text := body(rng, 250)
	rooms := make([]string, 1000)
	for i := range rooms {
		rooms[i] = fmt.Sprint("chat:", i)
	}
	p := l.State().Last
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		batch := &hub.Batch{Sync: sync}
		for range n {
			p++
			batch.Messages = append(batch.Messages, hub.NewMessage{Position: p, Time: time.Now(), Body: text, Histories: []hub.RoomHistory{{
				Room: rooms[rng.IntN(len(rooms))], Limit: hub.HistoryLimit{Count: limit},
			}}})
		}
		if p > 50_000 {
			batch.Trim = p - 50_000
		}
		start := time.Now()
		if err := l.Commit(batch); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	b.ReportMetric(float64(len(took)*n)/b.Elapsed().Seconds(), "messages/s")
	quantiles(b, took, "commit")
}

func quantiles(b *testing.B, took []time.Duration, what string) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), what+"-p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), what+"-p99-µs")
}

// BenchmarkNamespaces commits in several namespaces at the same time, which
// share the disk's syncs.
func BenchmarkNamespaces(b *testing.B) {
	const writers = 8
	s, err := pebblehub.Open(b.TempDir(), pebblehub.Config{SweepEvery: -1, Log: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	text := body(rand.New(rand.NewPCG(1, 1)), 250)
	var logs []hub.Log
	for i := range writers {
		l, err := s.Open(fmt.Sprint("/", i))
		if err != nil {
			b.Fatal(err)
		}
		logs = append(logs, l)
	}
	b.ResetTimer()
	var wg sync.WaitGroup
	for _, l := range logs {
		wg.Go(func() {
			for p := range hub.Position(b.N) {
				err := l.Commit(&hub.Batch{Sync: true, Messages: []hub.NewMessage{{Position: p + 1, Time: time.Now(), Body: text}}})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N*writers)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkFsync is what the disk itself allows: one write and fsync after
// another.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(b.TempDir() + "/f")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	text := make([]byte, 4096)
	var took []time.Duration
	off := int64(0)
	for b.Loop() {
		start := time.Now()
		if _, err := f.WriteAt(text, off%(16<<20)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		off += 4096
		took = append(took, time.Since(start))
	}
	quantiles(b, took, "fsync")
}

// BenchmarkRooms fills a store with many rooms and measures what the targets
// are about: heap per cold room (< 200 B), reopening (< 10 s) after a close and
// after a crash, and the last page of a random room (p99 < 5 ms).
func BenchmarkRooms(b *testing.B) {
	dir := b.TempDir()
	n := *roomCount
	before := heap()
	s, l := openBench(b, dir)
	start := time.Now()
	fillRooms(b, l, n)
	filled := time.Since(start)
	perRoom := float64(int64(heap())-int64(before)) / float64(n)

	start = time.Now()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	closed := time.Since(start)
	start = time.Now()
	s, l = openBench(b, dir)
	reopened := time.Since(start)
	defer func() { s.Close() }()

	rng := rand.New(rand.NewPCG(2, 2))
	s.Rest()
	var took, spun []time.Duration
	for b.Loop() {
		start := time.Now()
		page, err := l.History(fmt.Sprint("chat:", rng.IntN(n)), hub.HistoryQuery{Limit: 50})
		took = append(took, time.Since(start))
		if err != nil || len(page) == 0 {
			b.Fatalf("a page of %d, %v", len(page), err)
		}
		spun = append(spun, spin())
	}
	b.ReportMetric(float64(n)*perRoomMessages/filled.Seconds(), "fill-messages/s")
	b.ReportMetric(perRoom, "heap-B/room")
	b.ReportMetric(closed.Seconds(), "close-s")
	b.ReportMetric(reopened.Seconds(), "reopen-s")
	quantiles(b, took, "page")
	quantiles(b, spun, "spin")
}

// spin computes for a while that doesn't depend on the store: what the machine
// takes for it at worst is what its other users take away.
func spin() time.Duration {
	start := time.Now()
	x := uint64(start.UnixNano())
	for range 60_000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	spinSink += x
	return time.Since(start)
}

var spinSink uint64

const perRoomMessages = 3

// fillRooms writes a few messages to every room, in batches, rooms in no order.
func fillRooms(b *testing.B, l hub.Log, n int) {
	rng := rand.New(rand.NewPCG(1, 1))
	p := l.State().Last
	for range perRoomMessages {
		order := rng.Perm(n)
		for chunk := range slices.Chunk(order, 256) {
			batch := &hub.Batch{}
			for _, r := range chunk {
				p++
				batch.Messages = append(batch.Messages, hub.NewMessage{Position: p, Time: time.Now(), Body: body(rng, 200), Histories: []hub.RoomHistory{{
					Room: fmt.Sprint("chat:", r), Limit: hub.HistoryLimit{Count: 100, Age: 24 * time.Hour},
				}}})
			}
			if p > 100_000 {
				batch.Trim = p - 100_000
			}
			if err := l.Commit(batch); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
