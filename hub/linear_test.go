package hub_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/pebblehub"
)

// A deed is what a client asked of a room's log.
type deed struct {
	kind string // "append", "read", "erase", "erase room"
	room string
	text string // of an append or erase
	last int    // how many a read asked for
}

// A line is a message as it is in a log: its offset is "" if its publisher was
// never told.
type line struct {
	text   string
	offset hub.Offset
}

// An outcome is what the client was told.
type outcome struct {
	unknown bool // nothing: it may have happened, or may yet
	offset  hub.Offset
	lines   []line
	more    bool
}

// roomLog is what a room's log is to be: appended to at its end, read from
// there, and nothing else, at one moment between call and return each.
var roomLog = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		rooms := make(map[string][]porcupine.Operation)
		for _, op := range history {
			room := op.Input.(deed).room
			rooms[room] = append(rooms[room], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range rooms {
			parts = append(parts, part)
		}
		return parts
	},
	Init:  func() any { return []line(nil) },
	Equal: func(a, b any) bool { return slices.Equal(a.([]line), b.([]line)) },
	Step: func(state, input, output any) (bool, any) {
		log, d, out := state.([]line), input.(deed), output.(outcome)
		switch d.kind {
		case "append":
			return follows(log, out.offset), append(slices.Clip(log), line{d.text, out.offset})
		case "erase":
			return true, slices.DeleteFunc(slices.Clone(log), func(l line) bool { return l.text == d.text })
		case "erase room":
			return true, []line(nil)
		}
		want := log[max(0, len(log)-d.last):]
		same := slices.EqualFunc(out.lines, want, func(got, want line) bool {
			return got.text == want.text && (want.offset == "" || want.offset == got.offset)
		})
		return same && out.more == (len(log) > d.last), state
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %+v", input, output) },
}

// follows says whether an offset comes after those that are known.
func follows(log []line, o hub.Offset) bool {
	_, p, _ := hub.ParseOffset(o)
	for _, l := range log {
		if _, q, ok := hub.ParseOffset(l.offset); ok && o != "" && q >= p {
			return false
		}
	}
	return true
}

// A flakyStore fails some time, before or after it has written, and is then
// opened again as it was left.
type flakyStore struct {
	hub.Store
	mu    sync.Mutex
	log   hub.Log
	rng   *rand.Rand
	sound bool // it never fails
	until int  // commits until the next failure
}

type flakyLog struct {
	hub.Log
	s      *flakyStore
	failed error
}

func (s *flakyStore) Open(namespace string) (hub.Log, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.log == nil {
		s.log, err = s.Store.Open(namespace)
	}
	s.until = 5 + s.rng.IntN(60)
	return &flakyLog{Log: s.log, s: s}, err
}

func (l *flakyLog) Commit(b *hub.Batch) error {
	for range 20 {
		runtime.Gosched() // time for others to join the next batch, or to give up
	}
	l.s.mu.Lock()
	l.s.until--
	fails, written := l.s.until == 0 && !l.s.sound, l.s.rng.IntN(2) == 0
	l.s.mu.Unlock()
	if fails {
		l.failed = hub.ErrFailed
	}
	if l.failed == nil || fails && written {
		if err := l.Log.Commit(b); err != nil {
			return err
		}
	}
	return l.failed
}

// lifetimes are those of a hub that is started again when its store has failed.
type lifetimes struct {
	mu    sync.Mutex
	store *flakyStore
	hub   *hub.Hub
	lives int
}

func (x *lifetimes) space() (*hub.Space, int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.hub == nil {
		x.hub = hub.New(hub.Config{Store: x.store, Memory: func(string) *hub.Memory {
			return &hub.Memory{MaxBytes: 400, Rooms: []hub.RoomRule{{Pattern: "*"}}}
		}})
		x.lives++
	}
	return x.hub.Space("/"), x.lives
}

// end ends a life, unless that was done.
func (x *lifetimes) end(life int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.hub != nil && x.lives == life {
		x.hub.Close()
		x.hub = nil
	}
}

// A clientele does things to the rooms of a space and notes what it was told.
type clientele struct {
	t       *testing.T
	life    *lifetimes
	clock   atomic.Int64
	mu      sync.Mutex
	history []porcupine.Operation
	known   []known
}

// A known message is one whose offset was told.
type known struct {
	room, text string
	offset     hub.Offset
}

func (c *clientele) note(who int, d deed, call int64, out outcome) {
	op := porcupine.Operation{ClientId: who, Input: d, Call: call, Output: out, Return: c.clock.Add(1)}
	if out.unknown {
		op.Return = math.MaxInt64 // at any time from now on
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history = append(c.history, op)
}

// append publishes, and again with the same id until it is told what became of
// it or has had enough. Its context may end at any moment.
func (c *clientele) append(who, n int, rng *rand.Rand) {
	d := deed{kind: "append", room: fmt.Sprint("room", rng.IntN(2)), text: fmt.Sprintf("%d.%d", who, n)}
	call := c.clock.Add(1)
	for range 4 + rng.IntN(4) {
		sp, life := c.life.space()
		ctx, cancel := context.WithCancel(context.Background())
		var giveUp sync.WaitGroup
		if rng.IntN(3) == 0 {
			giveUp.Go(cancel)
		}
		m := message(c.t, d.text)
		m.Publisher, m.ID = "p", d.text
		r, err := sp.Publish(ctx, m, hub.Address{Rooms: []string{d.room}})
		giveUp.Wait()
		cancel()
		if err == nil {
			c.note(who, d, call, outcome{offset: r.Offset})
			c.mu.Lock()
			c.known = append(c.known, known{d.room, d.text, r.Offset})
			c.mu.Unlock()
			return
		}
		if !errors.Is(err, hub.ErrUnknown) {
			c.life.end(life) // its store has failed
		}
	}
	c.note(who, d, call, outcome{unknown: true})
}

func (c *clientele) read(who int, room string, last int) {
	call := c.clock.Add(1)
	sp, _ := c.life.space()
	page, err := sp.History(room, hub.PageQuery{Limit: last})
	if err != nil {
		c.t.Errorf("read: %v", err)
		return
	}
	out := outcome{more: page.More}
	for _, m := range page.Messages {
		text, _ := m.Args.At(0).String()
		out.lines = append(out.lines, line{text, m.Offset()})
	}
	c.note(who, deed{kind: "read", room: room, last: last}, call, out)
}

func (c *clientele) erase(who int, rng *rand.Rand) {
	c.mu.Lock()
	if len(c.known) == 0 {
		c.mu.Unlock()
		return
	}
	k := c.known[rng.IntN(len(c.known))]
	c.mu.Unlock()
	call := c.clock.Add(1)
	sp, life := c.life.space()
	d := deed{kind: "erase", room: k.room, text: k.text}
	var err error
	if c.life.store.sound && rng.IntN(8) == 0 {
		// Ids of what is erased end with the process, so that a publish whose
		// outcome nobody was told could happen twice: before it, and after the
		// next start.
		d = deed{kind: "erase room", room: k.room}
		err = sp.EraseRoom(context.Background(), k.room)
	} else {
		err = sp.Erase(context.Background(), k.room, k.offset)
	}
	if err != nil {
		c.life.end(life)
	}
	c.note(who, d, call, outcome{unknown: err != nil})
}

// TestLinear: for everyone, a room's log is a list that is appended to, read and
// erased from one operation at a time, in the order of real time; an operation
// whose outcome nobody was told happens once, or not, at any time later.
func TestLinear(t *testing.T) {
	stores := map[string]func() hub.Store{
		"memory": hub.NewMemoryStore,
		"pebble": func() hub.Store {
			s, err := pebblehub.Open(t.TempDir(), pebblehub.Config{Log: slog.New(slog.DiscardHandler), SweepEvery: -1})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	}
	runs := 18
	if testing.Short() {
		runs = 6
	}
	base := rand.Uint64()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			for i := range uint64(runs) {
				if name == "pebble" && i >= 8 {
					break
				}
				if !linear(t, open(), base+i) {
					return
				}
			}
		})
	}
}

func linear(t *testing.T, inner hub.Store, seed uint64) bool {
	const clients, deeds = 5, 20
	store := &flakyStore{Store: inner, rng: rand.New(rand.NewPCG(seed, 0)), sound: seed%3 == 0}
	c := &clientele{t: t, life: &lifetimes{store: store}}
	var wg sync.WaitGroup
	for who := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(1+who)))
			for n := range deeds {
				switch rng.IntN(10) {
				case 0:
					c.erase(who, rng)
				case 1, 2, 3, 4:
					c.read(who, fmt.Sprint("room", rng.IntN(2)), []int{3, 1000}[rng.IntN(2)])
				default:
					c.append(who, n, rng)
				}
			}
		})
	}
	wg.Wait()
	_, life := c.life.space()
	c.life.end(life) // what was told is there in the next life, too
	for i := range 2 {
		c.read(0, fmt.Sprint("room", i), 1000)
	}
	c.life.end(life + 1)
	if err := inner.Close(); err != nil {
		t.Error(err)
	}
	switch porcupine.CheckOperationsTimeout(roomLog, c.history, 3*time.Second) {
	case porcupine.Illegal:
		t.Errorf("seed %d: no order of the %d operations explains what was told", seed, len(c.history))
	case porcupine.Unknown:
		t.Logf("seed %d: too many orders to try", seed)
	}
	return !t.Failed()
}
