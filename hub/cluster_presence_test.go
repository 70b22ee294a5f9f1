package hub_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// settle is longer than news take from one node to another.
const settle = time.Second

// moveTo has a guest come back on a node.
func (g *guest) moveTo(t *testing.T, n *clusterNode) {
	t.Helper()
	g.comeBack(t, n.sp)
}

// sees returns who is there as far as a guest was told.
func (g *guest) sees() map[string]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.people)
}

// wantPresent compares who is present, as every node tells it.
func wantPresent(t *testing.T, c *cluster, rule string, want map[string]string) {
	t.Helper()
	for _, n := range c.nodes {
		if n.dead {
			continue
		}
		got := present(t, n.sp, "r")
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %s has %v, want %v", rule, n.engine.Node(), got, want)
		}
	}
}

// present reads all pages.
func present(t *testing.T, sp *hub.Space, room string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for q := (hub.PresenceQuery{Limit: 700}); ; {
		page, err := sp.Presence(room, q)
		if err != nil || page.Partial {
			t.Fatalf("presence: partial %t, %v", page.Partial, err)
		}
		for _, p := range page.Members {
			if _, twice := got[p.ID]; twice {
				t.Errorf("%s is on two pages", p.ID)
			}
			got[p.ID] = stateOf(p)
		}
		if q.After = page.Next; q.After == "" {
			if page.Count != len(got) {
				t.Errorf("%d on the pages, count is %d", len(got), page.Count)
			}
			return got
		}
	}
}

func TestClusterPresence(t *testing.T) {
	inCluster(t, 3, hub.Memory{}, func(t *testing.T, c *cluster) {
		n0, n1, n2 := c.nodes[0], c.nodes[1], c.nodes[2]
		a, b := come(t, n0.sp, "a", "", "r"), come(t, n1.sp, "b", "", "r")
		b.seat.SetState("r", state(t, `{"n":1}`)) // before anybody has asked
		a.watch(t, "r")
		if len(a.sees()) != 2 || a.sees()["b"] != `{"n":1}` {
			t.Errorf("present: %v", a.sees())
		}
		d := come(t, n2.sp, "d", "", "r")
		a.wantTold(t, "who comes elsewhere", "+d")
		d.seat.SetState("r", state(t, `{"n":2}`))
		a.wantTold(t, "who says something elsewhere", "=d")
		wantPresent(t, c, "everywhere", map[string]string{"a": "", "b": `{"n":1}`, "d": `{"n":2}`})
		d.seat.Leave("r")
		a.wantTold(t, "who leaves", "-d")
		d.seat.Join("r")
		a.wantTold(t, "who comes again, with nothing to say", "+d")
		if a.sees()["d"] != "" {
			t.Errorf("the state of somebody who left: %q", a.sees()["d"])
		}
		d.seat.SetState("r", state(t, `{"n":3}`))
		a.wantTold(t, "what it says then", "=d")
		d.seat.Leave("r")
		d.seat.Join("r")
		a.wantTold(t, "who leaves and comes within a tick", "=d")
		wantPresent(t, c, "its state is gone", map[string]string{"a": "", "b": `{"n":1}`, "d": ""})
		b.seat.End()
		a.wantTold(t, "who ends its session", "-b")
		if a.gaps != 0 {
			t.Errorf("%d versions were skipped", a.gaps)
		}
	})
}

// TestClusterPresenceMove: who comes back on another node in time never left,
// and has said what it said.
func TestClusterPresenceMove(t *testing.T) {
	inCluster(t, 3, hub.Memory{}, func(t *testing.T, c *cluster) {
		a, b := come(t, c.nodes[0].sp, "a", "", "r"), come(t, c.nodes[1].sp, "b", "", "r")
		b.seat.SetState("r", state(t, `{"n":1}`))
		b.moveTo(t, c.nodes[2]) // nobody has asked who is there
		time.Sleep(time.Minute) // and where it was, it is forgotten
		a.watch(t, "r")
		for i := range 7 {
			switch i % 3 {
			case 0: // half-open
			case 1:
				b.seat.Close()
				time.Sleep(9900 * time.Millisecond)
			case 2:
				b.seat.Close()
			}
			b.moveTo(t, c.nodes[i%3])
			time.Sleep(settle)
			a.wantTold(t, fmt.Sprint("move ", i))
			wantPresent(t, c, "after a move", map[string]string{"a": "", "b": `{"n":1}`})
		}
		time.Sleep(time.Minute)
		a.wantTold(t, "no grace of before means anything")
		wantPresent(t, c, "later", map[string]string{"a": "", "b": `{"n":1}`})
	})
}

// TestClusterPresenceDeath: the members of a node that died leave after lease and
// grace, once; those who came back elsewhere do not.
func TestClusterPresenceDeath(t *testing.T) {
	inCluster(t, 3, hub.Memory{}, func(t *testing.T, c *cluster) {
		a, b := come(t, c.nodes[0].sp, "a", "", "r"), come(t, c.nodes[1].sp, "b", "", "r")
		d, e := come(t, c.nodes[2].sp, "d", "", "r"), come(t, c.nodes[1].sp, "e", "", "r")
		b.seat.SetState("r", state(t, `{"n":1}`))
		a.watch(t, "r")
		c.kill(c.nodes[1])
		time.Sleep(testLease + 5*time.Second)
		a.wantTold(t, "within the grace")
		b.moveTo(t, c.nodes[2])
		d.watch(t, "r") // a node that asks only now hears of those in grace
		if _, there := d.sees()["e"]; !there || len(d.sees()) != 4 {
			t.Errorf("present: %v", d.sees())
		}
		time.Sleep(6 * time.Second)
		a.wantTold(t, "after it", "-e")
		d.wantTold(t, "after it, on the other node", "-e")
		wantPresent(t, c, "after it", map[string]string{"a": "", "b": `{"n":1}`, "d": ""})
		c.start()
		wantPresent(t, c, "on a new node", map[string]string{"a": "", "b": `{"n":1}`, "d": ""})
		time.Sleep(time.Minute)
		a.wantTold(t, "nothing is told twice")
		if e.moveTo(t, c.nodes[0]); true {
			a.wantTold(t, "who comes later", "+e")
		}
	})
}

// TestClusterPresencePause: a node that was taken for dead and comes again.
func TestClusterPresencePause(t *testing.T) {
	inCluster(t, 2, hub.Memory{}, func(t *testing.T, c *cluster) {
		a, b := come(t, c.nodes[0].sp, "a", "", "r"), come(t, c.nodes[1].sp, "b", "", "r")
		a.watch(t, "r")
		b.watch(t, "r")
		for _, pause := range []time.Duration{time.Second, testLease + 5*time.Second, time.Minute} {
			c.service.Cut(c.nodes[1].engine)
			time.Sleep(pause)
			if pause < time.Minute {
				a.wantTold(t, "it may come again")
			} else {
				a.wantTold(t, "it does not", "-b")
			}
			c.service.Mend(c.nodes[1].engine)
			time.Sleep(settle)
			if pause < time.Minute {
				a.wantTold(t, "nobody was away")
			} else {
				a.wantTold(t, "it does", "+b")
			}
			d := come(t, c.nodes[0].sp, "d", "", "r")
			b.wantTold(t, "both hear again", "+d")
			d.seat.End()
			a.wantTold(t, "both hear again", "+d", "-d")
			b.wantTold(t, "both hear again", "-d")
		}
	})
}

// TestClusterPresenceLoss: what was lost on the way is noticed.
func TestClusterPresenceLoss(t *testing.T) {
	inCluster(t, 3, hub.Memory{}, func(t *testing.T, c *cluster) {
		a, b := come(t, c.nodes[0].sp, "a", "", "r"), come(t, c.nodes[1].sp, "b", "", "r")
		gone := come(t, c.nodes[1].sp, "gone", "", "r")
		a.watch(t, "r")
		c.service.Mute(c.nodes[0].engine)
		gone.seat.End()
		come(t, c.nodes[1].sp, "d", "", "r")
		b.seat.SetState("r", state(t, `{"n":1}`))
		time.Sleep(300 * time.Millisecond)
		c.service.Mend(c.nodes[0].engine)
		time.Sleep(3 * time.Second)
		synctest.Wait() // at the latest the next beat has noticed
		wantPresent(t, c, "after the loss", map[string]string{"a": "", "b": `{"n":1}`, "d": ""})
		if fmt.Sprint(a.sees()) != fmt.Sprint(present(t, c.nodes[0].sp, "r")) || a.gaps > 0 {
			t.Errorf("the watcher has %v, %d gaps", a.sees(), a.gaps)
		}
		c.service.Mute(c.nodes[1].engine) // does not hear who asks
		w := come(t, c.nodes[2].sp, "w", "", "other")
		time.AfterFunc(500*time.Millisecond, func() { c.service.Mend(c.nodes[1].engine) })
		w.watch(t, "r")
		if len(w.sees()) != 3 {
			t.Errorf("present: %v, want a, b and d", w.sees())
		}
	})
}

// TestClusterPresenceTabs: the members of a person are one, on whatever node, and
// the last word counts.
func TestClusterPresenceTabs(t *testing.T) {
	inCluster(t, 3, hub.Memory{}, func(t *testing.T, c *cluster) {
		a := come(t, c.nodes[0].sp, "a", "", "r")
		a.watch(t, "r")
		one, two := come(t, c.nodes[1].sp, "t1", "Ann", "r"), come(t, c.nodes[2].sp, "t2", "Ann", "r")
		a.wantTold(t, "two tabs are one person", "+Ann")
		one.seat.SetState("r", state(t, `{"n":1}`))
		time.Sleep(time.Millisecond)
		two.seat.SetState("r", state(t, `{"n":2}`))
		a.wantTold(t, "both say something", "=Ann")
		wantPresent(t, c, "the last word", map[string]string{"a": "", "Ann": `{"n":2}`})
		two.seat.End()
		a.wantTold(t, "one tab is closed")
		wantPresent(t, c, "the last word, though who said it is gone", map[string]string{"a": "", "Ann": `{"n":2}`})
		one.seat.SetState("r", state(t, `null`))
		a.wantTold(t, "nothing", "=Ann")
		one.seat.Leave("r")
		a.wantTold(t, "the last tab leaves", "-Ann")
	})
}

// A countingEngine counts what is told, and how long it is at most.
type countingEngine struct {
	hub.Engine
	told, longest atomic.Int64
}

func (e *countingEngine) Tell(node string, body []byte) error {
	e.told.Add(1)
	e.longest.Store(max(e.longest.Load(), int64(len(body))))
	return e.Engine.Tell(node, body)
}

func countingNode(t *testing.T, c *cluster) (*clusterNode, *countingEngine) {
	t.Helper()
	e := &countingEngine{Engine: c.service.Node()}
	h := hub.New(hub.Config{Engine: e, Memory: func(string) *hub.Memory { return c.memory }})
	n := &clusterNode{hub: h, sp: h.Space("/"), engine: e}
	if err := errors.Join(h.Join(context.Background()), n.sp.Err()); err != nil {
		t.Fatal(err)
	}
	c.nodes = append(c.nodes, n)
	return n, e
}

// TestClusterPresenceInterest: what nobody asks for is not told, and what nobody
// asks for any more is not told any more.
func TestClusterPresenceInterest(t *testing.T) {
	inCluster(t, 1, hub.Memory{}, func(t *testing.T, c *cluster) {
		n, e := countingNode(t, c)
		quiet := func(rule string) {
			t.Helper()
			e.told.Store(0)
			for i := range 20 {
				come(t, n.sp, fmt.Sprint(rule, i), "", "r").seat.End()
				time.Sleep(settle)
			}
			if told := e.told.Load(); told != 0 {
				t.Errorf("%s: told %d times", rule, told)
			}
		}
		quiet("nobody has asked")
		a := come(t, c.nodes[0].sp, "a", "", "r")
		a.watch(t, "r")
		b := come(t, n.sp, "b", "", "r")
		a.wantTold(t, "who asks", "+b")
		a.seat.Unwatch("r")
		time.Sleep(time.Minute)
		quiet("nobody asks any more")
		if got := present(t, c.nodes[0].sp, "r"); len(got) != 2 {
			t.Errorf("asked again: %v", got)
		}
		b.seat.End()
	})
}

// TestClusterPresenceCrowd: thousands on each node, told in small parts; pages
// that one node began are had from any.
func TestClusterPresenceCrowd(t *testing.T) {
	const each = 3300
	inCluster(t, 1, hub.Memory{}, func(t *testing.T, c *cluster) {
		var engines []*countingEngine
		for range 2 {
			_, e := countingNode(t, c)
			engines = append(engines, e)
		}
		crowd := func(from int) {
			for i, n := range c.nodes {
				for k := range each / 2 {
					if _, err := n.sp.Enter(&guest{id: fmt.Sprintf("a guest with a longer name %d %d", i, from+k)}, nil, "r"); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		crowd(0)
		a := come(t, c.nodes[0].sp, "a", "")
		a.watch(t, "r")
		crowd(each)
		a.wantTold(t, "too many at once")
		synctest.Wait()
		if a.gaps == 0 || a.gaps > 3 {
			t.Errorf("%d gaps, want one for each node at most", a.gaps)
		}
		for _, n := range c.nodes {
			if got := len(present(t, n.sp, "r")); got != 3*each {
				t.Errorf("%s has %d, want %d", n.engine.Node(), got, 3*each)
			}
		}
		for _, e := range engines {
			if n := e.longest.Load(); n > 40<<10 {
				t.Errorf("told %d bytes at once", n)
			}
		}
		seen := 0
		for q, i := (hub.PresenceQuery{Limit: 1000}), 0; i == 0 || q.After != ""; i++ {
			page, err := c.nodes[i%3].sp.Presence("r", q)
			if err != nil {
				t.Fatal(err)
			}
			seen += len(page.Members)
			q.After = page.Next
		}
		if seen != 3*each {
			t.Errorf("%d on the pages of whatever node, want %d", seen, 3*each)
		}
	})
}

// TestClusterPresenceLateNamespace: a node that begins to use a namespace says so.
func TestClusterPresenceLateNamespace(t *testing.T) {
	inCluster(t, 2, hub.Memory{}, func(t *testing.T, c *cluster) {
		a := come(t, c.nodes[0].hub.Space("/late"), "a", "", "r")
		a.watch(t, "r")
		b := come(t, c.nodes[1].hub.Space("/late"), "b", "", "r")
		a.wantTold(t, "at once", "+b")
		b.seat.End()
		a.wantTold(t, "and from then on", "-b")
	})
}

// A presenceWatcher watches a room on a node, and asks anew when it missed
// something.
type presenceWatcher struct {
	*guest
	node *clusterNode
}

func (w *presenceWatcher) refresh(t *testing.T) {
	w.mu.Lock()
	gaps := w.gaps
	w.mu.Unlock()
	if gaps > 0 {
		w.seat.Unwatch("r")
		w.watch(t, "r")
	}
}

// TestClusterPresenceModel lets guests and nodes do anything, and compares what
// the nodes that are left say with who is there, and with what their watchers
// made of the differences.
func TestClusterPresenceModel(t *testing.T) {
	for seed := range uint64(40) {
		inCluster(t, 3, hub.Memory{}, func(t *testing.T, c *cluster) {
			m := &presenceModel{cluster: c, rng: rand.New(rand.NewPCG(seed, 3)), guests: map[int]*guest{}, at: map[int]*clusterNode{}}
			for _, n := range c.nodes {
				m.watchOn(t, n)
			}
			for range 300 {
				m.happen(t)
			}
			m.mendAll()
			time.Sleep(3 * time.Minute) // until a node finds out that a session was taken over while it was away
			synctest.Wait()
			m.check(t, seed)
		})
	}
}

type presenceModel struct {
	*cluster
	rng      *rand.Rand
	guests   map[int]*guest
	at       map[int]*clusterNode
	watchers []*presenceWatcher
	cut      []*clusterNode
	deaths   int
}

func (m *presenceModel) watchOn(t *testing.T, n *clusterNode) {
	w := &presenceWatcher{guest: &guest{people: map[string]string{}}, node: n}
	var err error
	if w.seat, err = n.sp.Enter(quietGuest{w.guest}, nil); err != nil {
		t.Fatal(err)
	}
	w.watch(t, "r")
	m.watchers = append(m.watchers, w)
}

// A quietGuest is nobody.
type quietGuest struct{ *guest }

func (quietGuest) Person() string { return "" }

func (m *presenceModel) mendAll() {
	for _, n := range m.cut {
		m.service.Mend(n.engine)
	}
	m.cut = nil
}

// live returns a node that can be reached now.
func (m *presenceModel) live() *clusterNode {
	for {
		n := m.any(m.rng)
		reached := true
		for _, other := range m.cut {
			reached = reached && other != n
		}
		if reached {
			return n
		}
	}
}

func (m *presenceModel) happen(t *testing.T) {
	defer synctest.Wait()
	switch m.rng.IntN(40) {
	case 0:
		if n := m.any(m.rng); len(m.cut) == 0 {
			m.cut = append(m.cut, n)
			m.service.Cut(n.engine)
		}
	case 1:
		if n := m.any(m.rng); len(m.cut) == 0 {
			m.cut = append(m.cut, n)
			m.service.Mute(n.engine)
		}
	case 2, 3, 4:
		m.mendAll()
	case 5:
		if m.deaths++; m.deaths < 3 && len(m.cut) == 0 {
			m.kill(m.any(m.rng))
			m.watchOn(t, m.start())
		}
	case 6:
		m.service.Restart()
	case 7, 8, 9, 10:
		time.Sleep(time.Duration(m.rng.IntN(4000)) * time.Millisecond)
	default:
		m.act(t, m.rng.IntN(12))
		time.Sleep(time.Duration(m.rng.IntN(60)) * time.Millisecond)
	}
}

// act has a guest do something, on a node that is not cut off: others could only
// fail.
func (m *presenceModel) act(t *testing.T, i int) {
	g, n := m.guests[i], m.live()
	if len(m.cut) > 0 {
		return
	}
	switch op := m.rng.IntN(8); {
	case g == nil:
		person := ""
		if i < 6 {
			person = fmt.Sprint("p", i/3)
		}
		m.guests[i], m.at[i] = come(t, n.sp, fmt.Sprint("g", i), person, "r"), n
	case m.at[i].dead || op == 0:
		m.at[i] = n
		seat, err := n.sp.ResumeSession(context.Background(), g, g.Session, "", hub.Arrival{})
		if err != nil {
			delete(m.guests, i)
			return
		}
		g.seat = seat
	case op == 1:
		g.seat.End()
		delete(m.guests, i)
	case op == 2:
		g.seat.Close()
	case op == 3:
		g.seat.Leave("r")
	case op < 6:
		g.seat.SetState("r", state(t, fmt.Sprintf(`{"n":%d}`, m.rng.IntN(50)))) // or it is not there
	default:
		_ = g.seat.Join("r") // or it is closed
	}
}

func (m *presenceModel) check(t *testing.T, seed uint64) {
	t.Helper()
	truth := map[string]bool{}
	for _, n := range m.nodes {
		if n.dead {
			continue
		}
		for _, member := range n.sp.Members(hub.Address{Rooms: []string{"r"}}) {
			g := member.(*guest)
			truth[g.seat.Person()] = true
		}
	}
	var first map[string]string
	for _, w := range m.watchers {
		if w.node.dead {
			continue
		}
		w.refresh(t)
		got := present(t, w.node.sp, "r")
		if first == nil {
			first = got
		}
		if fmt.Sprint(got) != fmt.Sprint(w.sees()) {
			t.Errorf("seed %d: a watcher on %s has %v, want %v", seed, w.node.engine.Node(), w.sees(), got)
		}
		if fmt.Sprint(got) != fmt.Sprint(first) {
			t.Errorf("seed %d: %s has %v, another node %v", seed, w.node.engine.Node(), got, first)
		}
		for id := range truth {
			if _, there := got[id]; !there {
				t.Errorf("seed %d: %s does not know of %s", seed, w.node.engine.Node(), id)
			}
		}
		if len(got) != len(truth) {
			t.Errorf("seed %d: %s has %v, there are %v", seed, w.node.engine.Node(), got, truth)
		}
	}
}
