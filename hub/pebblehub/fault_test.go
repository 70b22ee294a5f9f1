package pebblehub_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/pebblehub"
)

// A fault is which operations of the disk fail, and how.
type fault struct {
	name string
	err  error
	hits func(op errorfs.Op) bool
	once bool // it works again afterwards
}

func writes(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFilePreallocate, errorfs.OpCreate, errorfs.OpReuseForWrite:
		return true
	}
	return false
}

func syncs(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		return true
	}
	return false
}

func on(f func(errorfs.Op) bool, part string) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool { return f(op) && strings.Contains(op.Path, part) }
}

var faults = []fault{
	{"disk full", syscall.ENOSPC, writes, false},
	{"disk full for a moment", syscall.ENOSPC, writes, true},
	{"error of writing", syscall.EIO, writes, false},
	{"read-only", syscall.EROFS, func(op errorfs.Op) bool {
		return op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose
	}, false},
	{"error of fsync", syscall.EIO, syncs, false},
	{"error of one fsync", syscall.EIO, syncs, true},
	{"log full", syscall.ENOSPC, on(writes, ".log"), false},
	{"fsync of the log", syscall.EIO, on(syncs, ".log"), true},
	{"tables full", syscall.ENOSPC, on(writes, ".sst"), false},
	{"tables full for a moment", syscall.ENOSPC, on(writes, ".sst"), true},
	{"fsync of a table", syscall.EIO, on(syncs, ".sst"), true},
	{"manifest full", syscall.ENOSPC, on(writes, "MANIFEST"), false},
	{"fsync of the manifest", syscall.EIO, on(syncs, "MANIFEST"), true},
}

// TestFaults lets the disk fail at different moments. From then on nothing is
// acknowledged, the process lives, the store can be closed, and what was
// acknowledged is there afterwards, also if the power goes.
func TestFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			hit := 0
			for _, seed := range seeds(t) {
				for _, at := range moments() {
					if failOnce(t, f, seed, at) {
						hit++
					}
				}
			}
			if hit == 0 {
				t.Error("the fault was never hit")
			}
			t.Logf("hit %d times", hit)
		})
	}
}

func moments() []int64 {
	if testing.Short() {
		return []int64{1, 3}
	}
	return []int64{1, 2, 3, 7, 15}
}

// failOnce runs a load on a disk whose at-th operation that the fault is about
// fails, and says whether there was such a one.
func failOnce(t *testing.T, f fault, seed uint64, at int64) bool {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, uint64(at)))
	mem := vfs.NewCrashableMem()
	l := newLedger()
	var armed atomic.Bool
	var n atomic.Int64
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !armed.Load() || !f.hits(op) {
			return nil
		}
		if i := n.Add(1); i == at || i > at && !f.once {
			return f.err
		}
		return nil
	})
	h := pebblehub.Host{FS: errorfs.Wrap(machine{MemFS: mem}, inject), Boot: "one", MemTable: 64 << 10}
	s, err := pebblehub.OpenOn(h, dataDir, pebblehub.Config{SweepEvery: -1, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	armed.Store(true)
	err = load(s, l, rng, 150, func() bool { return rng.IntN(4) > 0 })
	hit := n.Load() >= at
	if err != nil {
		if !hit {
			t.Fatalf("seed %d: failed before the fault: %v", seed, err)
		}
		if !errors.Is(err, hub.ErrFailed) || !errors.Is(err, f.err) {
			t.Errorf("seed %d, at %d: Commit: %v, want ErrFailed and %v", seed, at, err, f.err)
		}
		if s.Err() == nil {
			t.Errorf("seed %d, at %d: Err() = nil after %v", seed, at, err)
		}
		<-s.Failed()
		for range 3 {
			if err := load(s, newLedger(), rng, 1, func() bool { return true }); err == nil {
				t.Errorf("seed %d, at %d: acknowledged after a failure", seed, at)
			}
		}
	}
	// Nobody knows whether the power will go before somebody looks.
	know := l.snapshot()
	dark := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 40, RNG: rng})
	if err := s.Close(); (err == nil) != (s.Err() == nil) {
		t.Errorf("seed %d, at %d: Close: %v; Err: %v", seed, at, err, s.Err())
	}
	if err := check(pebblehub.Host{FS: dark, Boot: "two"}, know, false); err != nil {
		t.Errorf("seed %d, at %d, power lost: %v", seed, at, err)
	}
	later := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
	if err := check(pebblehub.Host{FS: later, Boot: "one"}, l.snapshot(), true); err != nil {
		t.Errorf("seed %d, at %d, opened again: %v", seed, at, err)
	}
	return hit
}

// TestFaultWhileOpening: a store that can't be written to isn't opened.
func TestFaultWhileOpening(t *testing.T) {
	for _, f := range faults {
		hit := 0
		for at := int64(1); at < 60; at += 3 {
			mem := vfs.NewMem()
			for round := range 2 {
				var n atomic.Int64
				inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
					if f.hits(op) {
						if i := n.Add(1); i == at || i > at && !f.once {
							return f.err
						}
					}
					return nil
				})
				s, err := pebblehub.OpenOn(pebblehub.Host{FS: errorfs.Wrap(mem, inject), Boot: "one"}, dataDir, pebblehub.Config{SweepEvery: -1, Log: quiet})
				if n.Load() >= at {
					hit++
				}
				if err == nil {
					s.Close()
				} else if n.Load() < at {
					t.Errorf("%s at %d, round %d: %v", f.name, at, round, err)
				} else if !errors.Is(err, f.err) {
					t.Errorf("%s at %d, round %d: %v, want %v", f.name, at, round, err, f.err)
				}
			}
			s, err := pebblehub.OpenOn(pebblehub.Host{FS: mem, Boot: "one"}, dataDir, pebblehub.Config{SweepEvery: -1})
			if err != nil {
				t.Errorf("%s at %d: opened later: %v", f.name, at, err)
				continue
			}
			s.Close()
		}
		t.Logf("%s: hit %d times", f.name, hit)
	}
}

// TestUncommittedIsHidden: nobody reads a message before it is as durable as
// it was to be: who has read it would miss it after a loss of power.
func TestUncommittedIsHidden(t *testing.T) {
	reached, release := make(chan struct{}), make(chan struct{})
	var armed atomic.Bool
	hold := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && syncs(op) && strings.HasSuffix(op.Path, ".log") && armed.CompareAndSwap(true, false) {
			close(reached)
			<-release
		}
		return nil
	})
	s, err := pebblehub.OpenOn(pebblehub.Host{FS: errorfs.Wrap(vfs.NewMem(), hold), Boot: "one"}, dataDir, pebblehub.Config{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := s.Open("/chat")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, l, 7)
	armed.Store(true)
	done := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		done <- l.Commit(&hub.Batch{Sync: true, Messages: []hub.NewMessage{{Position: 8, Time: time.Now(), Histories: []hub.RoomHistory{{Room: "r1"}}}}})
	})
	<-reached
	if err := whole(l, 7); err != nil {
		t.Error(err)
	}
	for _, q := range []hub.HistoryQuery{{Limit: 10}, {After: 1, Limit: 10}, {Before: 100, Limit: 10}} {
		if page, err := l.History("r1", q); err != nil || len(page) > 1 || len(page) == 1 && page[0].Position == 8 {
			t.Errorf("page %+v: %v, %v", q, page, err)
		}
	}
	if last := l.State().Last; last != 7 {
		t.Errorf("Last = %d, want 7", last)
	}
	close(release)
	wg.Wait()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if list, err := l.Tape(7, 10); err != nil || len(list) != 1 {
		t.Errorf("committed: %v, %v", list, err)
	}
}
