package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// A guest is a member that stands for a person, and follows the presence of a
// room as a client does.
type guest struct {
	id   string
	busy atomic.Bool
	seat *hub.Seat
	hub.Ticket

	mu      sync.Mutex
	version uint64
	people  map[string]string // and their state
	told    []string          // what changed, in words
	gaps    int
}

func (g *guest) Person() string { return g.id }
func (g *guest) Ready() bool    { return !g.busy.Load() }
func (g *guest) Evicted(error)  {}

func (g *guest) Deliver(m *hub.Message) {
	var d hub.Difference
	if m.Event != hub.PresenceEvent || m.Args.Scan(&d) != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if d.Version <= g.version && !d.Missed {
		return
	}
	if d.Version != g.version+1 || d.Missed {
		g.gaps++
	}
	g.version = d.Version
	for kind, list := range map[string][]hub.Person{"+": d.Joined, "=": d.Changed} {
		for _, p := range list {
			g.told = append(g.told, kind+p.ID)
			g.people[p.ID] = stateOf(p)
		}
	}
	for _, id := range d.Left {
		g.told = append(g.told, "-"+id)
		delete(g.people, id)
	}
}

func stateOf(p hub.Person) string {
	if p.State == nil {
		return ""
	}
	return string(p.State.JSON())
}

// watch follows a room from its first page on.
func (g *guest) watch(t *testing.T, room string) {
	t.Helper()
	page, err := g.seat.Watch(room, 1000)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.version, g.people, g.told, g.gaps = page.Version, map[string]string{}, nil, 0
	for _, p := range page.Members {
		g.people[p.ID] = stateOf(p)
	}
}

// wantTold returns when what has happened must have been told.
func (g *guest) wantTold(t *testing.T, rule string, want ...string) {
	t.Helper()
	time.Sleep(200 * time.Millisecond)
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	if got := strings.Join(g.told, " "); got != strings.Join(want, " ") {
		t.Errorf("%s: told %q, want %q", rule, got, want)
	}
	g.told = nil
}

// come gives a guest a seat to which it can come back.
func come(t *testing.T, sp *hub.Space, id, person string, rooms ...string) *guest {
	t.Helper()
	g := &guest{id: person, people: map[string]string{}}
	var err error
	g.seat, err = sp.EnterSession(context.Background(), g, hub.Arrival{Name: id, Rooms: rooms, Welcome: func(tk hub.Ticket) { g.Ticket = tk }})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// comeBack does so.
func (g *guest) comeBack(t *testing.T, sp *hub.Space) {
	t.Helper()
	var err error
	if g.seat, err = sp.ResumeSession(context.Background(), g, g.Session, "", hub.Arrival{}); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, text string) packet.Arg {
	t.Helper()
	args, err := packet.ParseArgs([]byte("[" + text + "]"))
	if err != nil {
		t.Fatal(err)
	}
	return args.At(0)
}

// inSpace runs f with a space that has a memory, in a bubble.
func inSpace(t *testing.T, f func(t *testing.T, sp *hub.Space)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, remembering(t, nil, hub.Memory{}).Space("/")) })
}

func TestPresence(t *testing.T) {
	inSpace(t, func(t *testing.T, sp *hub.Space) {
		a := come(t, sp, "a", "", "r")
		come(t, sp, "b", "", "r")
		a.watch(t, "r")
		if len(a.people) != 2 {
			t.Errorf("present: %v, want a and b", a.people)
		}
		c := come(t, sp, "c", "", "r", "other")
		a.wantTold(t, "who comes", "+c")
		c.seat.SetState("r", state(t, `{"typing": true}`))
		a.wantTold(t, "who says something", "=c")
		if a.people["c"] != `{"typing":true}` {
			t.Errorf("state %q", a.people["c"])
		}
		c.seat.SetState("r", state(t, `{"typing":true}`))
		a.wantTold(t, "the same again")
		c.seat.Leave("other")
		a.wantTold(t, "another room")
		c.seat.Leave("r")
		a.wantTold(t, "who leaves", "-c")
		c.seat.Join("r")
		c.seat.Leave("r")
		a.wantTold(t, "who comes and goes within a tick, unseen")
		c.seat.Join("r")
		sp.Presence("r", hub.PresenceQuery{})
		c.seat.Leave("r")
		a.wantTold(t, "who comes and goes within a tick, and was seen on a page", "-c")
		c.seat.Join("r")
		if a.wantTold(t, "again", "+c"); a.people["c"] != "" {
			t.Errorf("the state of somebody who left: %q", a.people["c"])
		}
		c.seat.End()
		a.wantTold(t, "who ends its session", "-c")
		if a.gaps != 0 {
			t.Errorf("%d versions were skipped", a.gaps)
		}
		a.seat.Unwatch("r")
		come(t, sp, "d", "", "r")
		a.wantTold(t, "who does not watch any more")
	})
}

func TestPresenceBlip(t *testing.T) {
	inSpace(t, func(t *testing.T, sp *hub.Space) {
		a, b := come(t, sp, "a", "", "r"), come(t, sp, "b", "", "r")
		b.seat.SetState("r", state(t, `{"name":"B"}`))
		a.watch(t, "r")
		for range 3 {
			b.seat.Close()
			a.wantTold(t, "while somebody may come back")
			time.Sleep(9 * time.Second)
			b.comeBack(t, sp)
			a.wantTold(t, "who comes back in time")
			b.comeBack(t, sp)
			a.wantTold(t, "who comes back before its loss was noticed")
		}
		if a.people["b"] == "" {
			t.Error("the state did not outlive the blip")
		}
		b.seat.Close()
		time.Sleep(10 * time.Second)
		a.wantTold(t, "after the grace", "-b")
		b.comeBack(t, sp)
		a.wantTold(t, "who comes back after the grace", "+b")
		b.seat.Close()
		time.Sleep(5 * time.Second)
		b.comeBack(t, sp)
		time.Sleep(3 * time.Second)
		b.seat.Close()
		time.Sleep(5 * time.Second)
		a.wantTold(t, "an earlier grace has no meaning for a later one")
		time.Sleep(5 * time.Second)
		a.wantTold(t, "after the later one", "-b")
	})
}

func TestPresenceTabs(t *testing.T) {
	inSpace(t, func(t *testing.T, sp *hub.Space) {
		a := come(t, sp, "a", "", "r")
		a.watch(t, "r")
		one, two := come(t, sp, "t1", "Ann", "r"), come(t, sp, "t2", "Ann", "r")
		a.wantTold(t, "two tabs are one person", "+Ann")
		if page, _ := sp.Presence("r", hub.PresenceQuery{}); page.Count != 2 || page.Version != a.version {
			t.Errorf("page %+v, want 2 members at version %d", page, a.version)
		}
		one.seat.End()
		a.wantTold(t, "the first tab is closed")
		two.seat.Close()
		three := come(t, sp, "t3", "Ann", "r")
		time.Sleep(time.Minute)
		a.wantTold(t, "another tab opens within the grace of the last")
		three.seat.End()
		a.wantTold(t, "the last tab is closed", "-Ann")
	})
}

// TestPresenceWithoutMemory: who is gone is gone, unless a grace is configured.
func TestPresenceWithoutMemory(t *testing.T) {
	for grace, want := range map[time.Duration][]string{0: {"-b"}, time.Second: nil} {
		synctest.Test(t, func(t *testing.T) {
			h := hub.New(hub.Config{Presence: hub.PresenceConfig{Grace: grace}})
			defer h.Close()
			sp := h.Space("/")
			a, b := &guest{id: "a"}, &guest{id: "b"}
			a.seat, b.seat = enter(t, sp, a, "r"), enter(t, sp, b, "r")
			enter(t, sp, &recorder{}, "r") // a member that is nobody
			a.watch(t, "r")
			if len(a.people) != 2 {
				t.Errorf("present: %v", a.people)
			}
			b.seat.Close()
			a.wantTold(t, "after closing", want...)
			b.seat = enter(t, sp, b, "r")
			if grace == 0 {
				want = []string{"+b"}
			}
			a.wantTold(t, "after entering again", want...)
		})
	}
}

// TestPresenceSlowWatcher: who cannot be told is told later that it missed
// something.
func TestPresenceSlowWatcher(t *testing.T) {
	inSpace(t, func(t *testing.T, sp *hub.Space) {
		a, b := come(t, sp, "a", "", "r"), come(t, sp, "b", "", "r")
		a.watch(t, "r")
		b.watch(t, "r")
		a.busy.Store(true)
		come(t, sp, "c", "", "r")
		a.wantTold(t, "a watcher that is not ready")
		b.wantTold(t, "others are told meanwhile", "+c")
		a.busy.Store(false)
		time.Sleep(2 * time.Second)
		a.wantTold(t, "nothing is told that may be without what was missed")
		if a.gaps != 1 || a.version != b.version {
			t.Errorf("%d gaps at version %d, want 1 at %d", a.gaps, a.version, b.version)
		}
		a.watch(t, "r")
		come(t, sp, "d", "", "r")
		a.wantTold(t, "after it has asked anew", "+d")
		if a.gaps != 0 {
			t.Error("a gap after asking anew")
		}
	})
}

// TestPresenceCrowd: what is told of thousands who come at once does not grow
// with them.
func TestPresenceCrowd(t *testing.T) {
	inSpace(t, func(t *testing.T, sp *hub.Space) {
		a := come(t, sp, "a", "", "r")
		a.watch(t, "r")
		for i := range 3000 {
			if _, err := sp.Enter(&guest{id: fmt.Sprintf("a guest with a longer name %d", i)}, nil, "r"); err != nil {
				t.Fatal(err)
			}
		}
		if a.wantTold(t, "a crowd"); a.gaps != 1 {
			t.Errorf("%d gaps, want one", a.gaps)
		}
		seen := map[string]bool{}
		for q := (hub.PresenceQuery{Limit: 700}); ; {
			page, err := sp.Presence("r", q)
			if err != nil || page.Count != 3001 {
				t.Fatalf("page: %d present, %v", page.Count, err)
			}
			for _, p := range page.Members {
				if seen[p.ID] {
					t.Errorf("%s is on two pages", p.ID)
				}
				seen[p.ID] = true
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		if len(seen) != 3001 {
			t.Errorf("%d on the pages, want 3001", len(seen))
		}
	})
}

// TestPresenceOfEmptyRooms: a room can be watched before anybody is there, and
// its versions go on when it comes again.
func TestPresenceOfEmptyRooms(t *testing.T) {
	inSpace(t, func(t *testing.T, sp *hub.Space) {
		a := come(t, sp, "a", "")
		a.watch(t, "r")
		b := come(t, sp, "b", "", "r")
		a.wantTold(t, "the first who comes", "+b")
		b.seat.Leave("r")
		a.wantTold(t, "the last who goes", "-b")
		b.seat.Join("r")
		a.wantTold(t, "again", "+b")
		last := a.version
		for range 5 {
			a.seat.Unwatch("r")
			b.seat.Leave("r")
			b.seat.Join("r")
			if a.watch(t, "r"); a.version <= last {
				t.Errorf("version %d after %d", a.version, last)
			}
			last = a.version
		}
		a.seat.Join("r")
		a.wantTold(t, "itself", "+a")
		a.seat.Leave("r")
		b.seat.Leave("r")
		a.wantTold(t, "who leaves a room watches it no more")
	})
}

func TestPresenceRefuses(t *testing.T) {
	inSpace(t, func(t *testing.T, sp *hub.Space) {
		a := come(t, sp, "a", "", "r")
		for text, want := range map[string]error{
			`[1]`: hub.ErrState, `"x"`: hub.ErrState, `{"long":"` + strings.Repeat("x", 1024) + `"}`: hub.ErrState, `null`: nil, `{}`: nil,
		} {
			if err := a.seat.SetState("r", state(t, text)); !errors.Is(err, want) {
				t.Errorf("state %.20s: %v, want %v", text, err, want)
			}
		}
		if err := a.seat.SetState("other", state(t, `{}`)); !errors.Is(err, hub.ErrNotMember) {
			t.Errorf("state in a room it is not in: %v", err)
		}
		if _, err := sp.Presence("r", hub.PresenceQuery{After: "!"}); !errors.Is(err, hub.ErrOffset) {
			t.Errorf("a page that is none: %v", err)
		}
		if page, err := sp.Presence("empty", hub.PresenceQuery{}); err != nil || page.Count != 0 || page.Members == nil {
			t.Errorf("an empty room: %+v, %v", page, err)
		}
		a.seat.End()
		if _, err := a.seat.Watch("r", 0); !errors.Is(err, hub.ErrLeft) {
			t.Errorf("watch after leaving: %v", err)
		}
	})
}

// TestPresenceModel lets guests do anything, and holds what a watcher made of
// the differences against who is there.
func TestPresenceModel(t *testing.T) {
	for seed := range uint64(20) {
		inSpace(t, func(t *testing.T, sp *hub.Space) {
			rng := rand.New(rand.NewPCG(seed, 1))
			w := come(t, sp, "w", "", "r")
			w.watch(t, "r")
			guests := make([]*guest, 12)
			for range 400 {
				i := rng.IntN(len(guests))
				g := guests[i]
				switch op := rng.IntN(8); {
				case g == nil:
					person := ""
					if i < 6 {
						person = fmt.Sprint("p", i/3)
					}
					guests[i] = come(t, sp, fmt.Sprint("g", i), person, "r")
				case op == 0:
					g.seat.End()
					guests[i] = nil
				case op == 1:
					g.seat.Close()
					time.Sleep(time.Duration(rng.IntN(15)) * time.Second)
					g.comeBack(t, sp)
				case op == 2:
					g.comeBack(t, sp)
				case op == 3:
					g.seat.Leave("r")
				case op == 4:
					g.seat.SetState("r", state(t, fmt.Sprintf(`{"n":%d}`, rng.IntN(5)))) // or it is not there
				case op == 5:
					time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
				default:
					g.seat.Join("r")
				}
			}
			time.Sleep(20 * time.Second)
			synctest.Wait()
			page, err := sp.Presence("r", hub.PresenceQuery{Limit: 1000})
			if err != nil || page.Version != w.version || page.Count != len(w.people) || w.gaps > 0 {
				t.Fatalf("seed %d: %d at version %d, want %d at %d, %d gaps, %v", seed, len(w.people), w.version, page.Count, page.Version, w.gaps, err)
			}
			for _, p := range page.Members {
				if got, ok := w.people[p.ID]; !ok || got != stateOf(p) {
					t.Errorf("seed %d: %s is %q, want %q", seed, p.ID, got, stateOf(p))
				}
			}
		})
	}
}
