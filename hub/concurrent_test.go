package hub_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tutti-rt/tutti/hub"
)

// An entry is what the hub's trace said happened, in its order, with the
// operation's call and return on one clock of the whole test.
type entry struct {
	kind    string // "published", "joined", "left"
	message *hub.Message
	members int
	room    string
	member  *recorder
	op      *operation
}

type operation struct {
	called, returned int64
	to               hub.Address // of a publish
}

// A history is everything that many goroutines did to a space. It is written
// in the space's order and guarded by nothing else, so that the race detector
// sees it if two operations run at once.
type history struct {
	clock   atomic.Int64
	entries []entry
	// On whose behalf the hub calls the trace: of a message it is known, and
	// joins and leaves are found by member, since one goroutine moves each.
	published sync.Map // *hub.Message → *operation
	moving    sync.Map // *recorder → *operation
}

func (h *history) trace() *hub.Trace {
	add := func(kind, room string, m hub.Member) {
		r := m.(*recorder)
		op, _ := h.moving.Load(r)
		h.entries = append(h.entries, entry{kind: kind, room: room, member: r, op: op.(*operation)})
	}
	return &hub.Trace{
		Joined: func(_, room string, m hub.Member) { add("joined", room, m) },
		Left:   func(_, room string, m hub.Member) { add("left", room, m) },
		Published: func(m *hub.Message, members int) {
			op, _ := h.published.Load(m)
			h.entries = append(h.entries, entry{kind: "published", message: m, members: members, op: op.(*operation)})
		},
	}
}

// TestOrderUnderLoad lets many goroutines publish, join, leave, enter and close
// at random, then replays the history: each member must have got exactly what
// its rooms at each moment say, in one order, once; and what returned before
// something else was called must come before it.
func TestOrderUnderLoad(t *testing.T) {
	runs := 20
	if testing.Short() {
		runs = 3
	}
	for seed := range uint64(runs) {
		if !t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { load(t, seed) }) {
			return
		}
	}
}

var loadRooms = []string{"a", "b", "c", "d"}

func load(t *testing.T, seed uint64) {
	const publishers, movers, membersEach, steps = 4, 4, 5, 150
	var (
		h       history
		sp      = hub.New(hub.Config{Trace: h.trace()}).Space("/load")
		wg      sync.WaitGroup
		members [movers][]*recorder // all that ever were
	)
	for p := range publishers {
		rnd := rand.New(rand.NewPCG(seed, uint64(p)))
		wg.Go(func() {
			for n := range steps {
				m := &hub.Message{Event: fmt.Sprintf("%d.%d", p, n)}
				op := &operation{called: h.clock.Add(1), to: hub.Address{Rooms: pick(rnd, 3), Except: pick(rnd, 1)}}
				h.published.Store(m, op)
				if _, err := sp.Publish(t.Context(), m, op.to); err != nil {
					t.Error(err)
				}
				op.returned = h.clock.Add(1)
			}
		})
	}
	for w := range movers {
		rnd := rand.New(rand.NewPCG(seed, 100+uint64(w)))
		wg.Go(func() { members[w] = h.move(t, sp, rnd, membersEach, steps) })
	}
	wg.Wait()
	if err := sp.Check(); err != nil {
		t.Error(err)
	}
	h.checkRealTime(t)
	h.checkDeliveries(t, slices.Concat(members[:]...))
}

// move lets members come, go and change rooms, and returns all there were.
func (h *history) move(t *testing.T, sp *hub.Space, rnd *rand.Rand, n, steps int) []*recorder {
	var all []*recorder
	seats := make([]*hub.Seat, n)
	who := make([]*recorder, n)
	for range steps {
		i := rnd.IntN(n)
		if seats[i] == nil {
			who[i] = &recorder{name: fmt.Sprintf("%p", &seats[i])}
			all = append(all, who[i])
		}
		op := &operation{called: h.clock.Add(1)}
		h.moving.Store(who[i], op)
		switch {
		case seats[i] == nil:
			// The room "here" shows in the trace that it entered and that it
			// closed: no step leaves it.
			seat, err := sp.Enter(who[i], nil, append(pick(rnd, 2), "here")...)
			if err != nil {
				t.Error(err)
				return all
			}
			seats[i] = seat
		case rnd.IntN(10) == 0:
			seats[i].Close()
			seats[i].Rooms() // waits for the turn of Close
			seats[i] = nil
		case rnd.IntN(2) == 0:
			if err := seats[i].Join(pick(rnd, 2)...); err != nil {
				t.Error(err)
			}
		default:
			seats[i].Leave(pick(rnd, 2)...)
		}
		op.returned = h.clock.Add(1)
	}
	return all
}

func pick(rnd *rand.Rand, most int) []string {
	var rooms []string
	for range rnd.IntN(most + 1) {
		rooms = append(rooms, loadRooms[rnd.IntN(len(loadRooms))]) // may repeat
	}
	return rooms
}

func (h *history) checkRealTime(t *testing.T) {
	latest := int64(0)
	for i, e := range h.entries {
		latest = max(latest, e.op.called)
		if e.op.returned < latest {
			t.Fatalf("entry %d (%s) returned before something was called that the order puts before it", i, e.kind)
		}
	}
}

func (h *history) checkDeliveries(t *testing.T, members []*recorder) {
	rooms := map[*recorder]map[string]bool{}
	want := map[*recorder][]*hub.Message{}
	for _, e := range h.entries {
		switch e.kind {
		case "joined":
			if rooms[e.member] == nil {
				rooms[e.member] = map[string]bool{}
			}
			rooms[e.member][e.room] = true
		case "left":
			delete(rooms[e.member], e.room)
		case "published":
			n := 0
			for m, in := range rooms {
				if in["here"] && reaches(e.op.to, in) {
					want[m] = append(want[m], e.message)
					n++
				}
			}
			if n != e.members {
				t.Errorf("%s was handed to %d members, want %d", e.message.Event, e.members, n)
			}
		}
	}
	for _, m := range members {
		if !slices.Equal(m.got, want[m]) {
			t.Errorf("a member got %d messages, want %d: %v, want %v", len(m.got), len(want[m]), events(m.got), events(want[m]))
			return
		}
	}
}

// reaches says whether an address reaches a member that is in these rooms.
func reaches(to hub.Address, in map[string]bool) bool {
	isIn := func(room string) bool { return in[room] }
	return (len(to.Rooms) == 0 || slices.ContainsFunc(to.Rooms, isIn)) && !slices.ContainsFunc(to.Except, isIn)
}

func events(messages []*hub.Message) []string {
	var names []string
	for _, m := range messages {
		names = append(names, m.Event)
	}
	return names
}
