package pebblehub_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/pebblehub"
)

const dataDir = "/data"

// ledger is what members and publishers of a namespace know: what a store has
// acknowledged and they have received. It outlives the machine.
type ledger struct {
	mu     sync.Mutex
	synced hub.Position            // what is up to here was acknowledged as being on the disk
	seen   map[hub.Position]string // position → epoch: acknowledged, and so handed out
	bodies map[hub.Position]string
	tried  []hub.Position // written, in order, acknowledged or not
	async  hub.Position   // the last that did not ask for the disk, acknowledged or not
}

// snapshot is a ledger at the moment of a crash. The caller holds l.mu while it
// stops the machine, too: nothing may be written that the snapshot has not
// heard of, and nothing acknowledged that it believes to be open.
func (l *ledger) snapshot() *ledger {
	c := &ledger{synced: l.synced, async: l.async, seen: make(map[hub.Position]string), bodies: make(map[hub.Position]string)}
	for p, e := range l.seen {
		c.seen[p] = e
		c.bodies[p] = l.bodies[p]
	}
	for p, b := range l.bodies {
		c.bodies[p] = b
	}
	c.tried = append(c.tried, l.tried...)
	return c
}

// load commits to a store until it fails or the count is reached. sync decides
// what each commit asks for.
func load(s *pebblehub.Store, l *ledger, rng *rand.Rand, commits int, sync func() bool) error {
	log, err := s.Open("/chat")
	if err != nil {
		return err
	}
	state := log.State()
	next := state.Last
	for range commits {
		b := &hub.Batch{Sync: sync()}
		l.mu.Lock()
		for range 1 + rng.IntN(4) {
			next += 1 + hub.Position(rng.IntN(2))
			body := fmt.Sprintf("%d:%0*d", next, rng.IntN(3000), rng.Int64())
			l.tried = append(l.tried, next)
			l.bodies[next] = body
			b.Messages = append(b.Messages, hub.NewMessage{
				Position: next, Time: time.Now(), Body: []byte(body),
				Histories: []hub.RoomHistory{{Room: fmt.Sprint("r", rng.IntN(3))}},
			})
		}
		if !b.Sync {
			l.async = next
		}
		l.mu.Unlock()
		if err := log.Commit(b); err != nil {
			return err
		}
		l.mu.Lock()
		for _, m := range b.Messages {
			l.seen[m.Position] = state.Epoch
		}
		if b.Sync {
			l.synced = next
		}
		l.mu.Unlock()
	}
	return nil
}

func newLedger() *ledger {
	return &ledger{seen: make(map[hub.Position]string), bodies: make(map[hub.Position]string)}
}

// check opens what a crash has left and compares it with what members know.
// samePower: the machine itself went on.
func check(h pebblehub.Host, l *ledger, samePower bool) error {
	s, err := pebblehub.OpenOn(h, dataDir, pebblehub.Config{SweepEvery: -1})
	if err != nil {
		return fmt.Errorf("open after the crash: %w", err)
	}
	defer s.Close()
	log, err := s.Open("/chat")
	if err != nil {
		return err
	}
	state := log.State()
	tape, err := log.Tape(0, 1<<20)
	if err != nil {
		return err
	}
	there := make(map[hub.Position]bool)
	for i, m := range tape {
		// What is there is a prefix of what was written, unchanged.
		if i >= len(l.tried) || l.tried[i] != m.Position {
			return fmt.Errorf("message %d of the tape is %d: no prefix of %v", i, m.Position, l.tried)
		}
		if l.bodies[m.Position] != string(m.Body) {
			return fmt.Errorf("message %d was changed", m.Position)
		}
		there[m.Position] = true
	}
	histories := 0
	for i := range 3 {
		page, err := log.History(fmt.Sprint("r", i), hub.HistoryQuery{Limit: 1 << 20})
		if err != nil {
			return err
		}
		histories += len(page)
	}
	if histories != len(tape) {
		return fmt.Errorf("%d messages in the histories, %d on the tape", histories, len(tape))
	}
	for p, epoch := range l.seen {
		switch {
		case p > state.Last:
			return fmt.Errorf("position %d was handed out and will be again: Last = %d", p, state.Last)
		case there[p]:
		case samePower:
			return fmt.Errorf("message %d was acknowledged and died with the process", p)
		case p <= l.synced:
			return fmt.Errorf("message %d was acknowledged as being on the disk (up to %d) and is gone", p, l.synced)
		case epoch == state.Epoch:
			return fmt.Errorf("message %d was handed out and is gone, and the epoch is the same", p)
		}
	}
	if len(l.seen) > 0 && l.async == 0 || samePower {
		for p, epoch := range l.seen {
			if epoch != state.Epoch {
				return fmt.Errorf("message %d is there but the epoch changed for nothing", p)
			}
		}
	}
	return log.Commit(&hub.Batch{Sync: true, Messages: []hub.NewMessage{{Position: state.Last + 1, Time: time.Now()}}})
}

// crashes runs a load and stops the machine at every n-th operation that
// writes, or syncs, or names files.
func crashes(t *testing.T, seed uint64, nth int, samePower bool, sync func(*rand.Rand) bool) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	mem := vfs.NewCrashableMem()
	l := newLedger()
	type crash struct {
		fs     *vfs.MemFS
		ledger *ledger
		what   string
	}
	var (
		found []crash
		ops   atomic.Int64
	)
	chance := rand.New(rand.NewPCG(seed, 2))
	var mu lock
	hook := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		if n := ops.Add(1); n%int64(nth) != 0 {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		percent := []int{0, 0, 30, 70, 100}[chance.IntN(5)]
		if samePower {
			percent = 100
		}
		l.mu.Lock()
		know := l.snapshot()
		clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: chance})
		l.mu.Unlock()
		found = append(found, crash{clone, know, fmt.Sprintf("before operation %d (%v %s), %d %% of the unsynced", ops.Load(), op.Kind, op.Path, percent)})
		return nil
	})
	// Of a process that dies everything stays, removals as well.
	files := machine{MemFS: mem, eager: samePower || chance.IntN(2) == 0}
	h := pebblehub.Host{FS: errorfs.Wrap(files, hook), Boot: "one", MemTable: memTables[seed%2]}
	for range 2 { // the second life begins with what the first has left
		s, err := pebblehub.OpenOn(h, dataDir, pebblehub.Config{SweepEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		if err := load(s, l, rng, 25, func() bool { return sync(rng) }); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	boot := "two"
	if samePower {
		boot = "one"
	}
	for _, c := range found {
		if err := check(pebblehub.Host{FS: c.fs, Boot: boot, MemTable: h.MemTable}, c.ledger, samePower); err != nil {
			t.Errorf("seed %d, crash %s: %v", seed, c.what, err)
			return
		}
	}
	t.Logf("seed %d: %d operations, %d crashes", seed, ops.Load(), len(found))
}

// memTables are the sizes that are tested: with the small one tables are
// written, merged and logs changed all the time.
var memTables = []uint64{0, 64 << 10}

type lock = sync.Mutex // where a parameter is called sync

// every is at which operations to stop: at all of them with some seeds.
func every(seed uint64) int {
	if testing.Short() {
		return 3 + int(seed%4)
	}
	return 1 + int(seed%4)
}

var (
	seedCount = flag.Int("seeds", 4, "how many lives end at every operation, in each of the tests of that (0.5 s each)")
	firstSeed = flag.Uint64("seed", 0, "the first of them; 0: by the time")
)

func seeds(t *testing.T) []uint64 {
	n := *seedCount
	if testing.Short() {
		n = min(n, 2)
	}
	base := *firstSeed
	if base == 0 {
		base = uint64(time.Now().UnixNano()) % 1e6
	}
	t.Logf("seeds from %d", base)
	list := make([]uint64, n)
	for i := range list {
		list[i] = base + uint64(i)
	}
	return list
}

// TestPower stops the machine at every operation. What was committed with Sync
// is there, what is there is a prefix, no position is given out twice, and if
// anything that was handed out is missing the epoch is another.
func TestPower(t *testing.T) {
	modes := map[string]func(*rand.Rand) bool{
		"all synced":  func(*rand.Rand) bool { return true },
		"none synced": func(*rand.Rand) bool { return false },
		"some synced": func(r *rand.Rand) bool { return r.IntN(3) == 0 },
	}
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			for _, seed := range seeds(t) {
				crashes(t, seed, every(seed), false, mode)
			}
		})
	}
}

// TestProcess ends the process at every operation; what it has handed to the
// operating system stays. Nothing that was acknowledged is missing, synced or
// not, and the epoch stays.
func TestProcess(t *testing.T) {
	for _, seed := range seeds(t) {
		crashes(t, seed, every(seed), true, func(r *rand.Rand) bool { return r.IntN(3) == 0 })
	}
}

// TestTwoCrashes: the process dies, and what the next life finds is on the disk
// before it says so.
func TestTwoCrashes(t *testing.T) {
	for _, seed := range seeds(t) {
		rng := rand.New(rand.NewPCG(seed, 1))
		mem := vfs.NewCrashableMem()
		l := newLedger()
		s, err := pebblehub.OpenOn(pebblehub.Host{FS: mem, Boot: "one"}, dataDir, pebblehub.Config{SweepEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		if err := load(s, l, rng, 30, func() bool { return false }); err != nil {
			t.Fatal(err)
		}
		killed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
		s.Close()

		s, err = pebblehub.OpenOn(pebblehub.Host{FS: killed, Boot: "one"}, dataDir, pebblehub.Config{SweepEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		dark := killed.CrashClone(vfs.CrashCloneCfg{})
		s.Close()
		l.synced, l.async = l.async, 0
		if err := check(pebblehub.Host{FS: dark, Boot: "two"}, l, false); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// TestDeathWhileOpening: the process dies when the logs of the last life are
// tables and before there is a new log. The next start finds all that it needs.
func TestDeathWhileOpening(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	mem := vfs.NewCrashableMem()
	l := newLedger()
	files := machine{MemFS: mem, eager: true}
	s, err := pebblehub.OpenOn(pebblehub.Host{FS: files, Boot: "one"}, dataDir, pebblehub.Config{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := load(s, l, rng, 30, func() bool { return rng.IntN(2) == 0 }); err != nil {
		t.Fatal(err)
	}
	killed := machine{MemFS: mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng}), eager: true}
	s.Close()
	old, err := killed.List(dataDir + "/log")
	if err != nil {
		t.Fatal(err)
	}

	var found []*vfs.MemFS
	hook := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if (op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite) && strings.HasSuffix(op.Path, ".log") {
			for range 10_000 { // whoever removes the old logs has had the time
				runtime.Gosched()
			}
			found = append(found, killed.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng}))
		}
		return nil
	})
	s, err = pebblehub.OpenOn(pebblehub.Host{FS: errorfs.Wrap(killed, hook), Boot: "one"}, dataDir, pebblehub.Config{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	s.Close() // and what is removed is
	for _, name := range old {
		if _, err := killed.Stat(dataDir + "/log/" + name); strings.HasSuffix(name, ".log") && err == nil {
			t.Errorf("%s is not needed any more and still there", name)
		}
	}
	if len(found) == 0 {
		t.Fatal("there was no new log")
	}
	for _, c := range found {
		if err := check(pebblehub.Host{FS: c, Boot: "one"}, l, true); err != nil {
			t.Error(err)
		}
	}
}
