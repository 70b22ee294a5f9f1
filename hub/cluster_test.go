package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
)

const testLease = 2 * time.Second

// A cluster is a few hubs on one engine. Its hubs are closed at the end.
type cluster struct {
	t       *testing.T
	service *hubtest.Cluster
	memory  *hub.Memory
	trace   *hub.Trace

	mu    sync.Mutex
	nodes []*clusterNode
}

type clusterNode struct {
	hub    *hub.Hub
	sp     *hub.Space
	engine hub.Engine
	dead   bool // nobody can reach it any more
}

// newCluster starts n hubs. It must be closed in the bubble.
func newCluster(t *testing.T, n int, m hub.Memory) *cluster {
	c := &cluster{t: t, service: hubtest.NewCluster(testLease), memory: &m}
	for range n {
		c.start()
	}
	return c
}

func (c *cluster) start() *clusterNode {
	e := c.service.Node()
	h := hub.New(hub.Config{Engine: e, Memory: func(string) *hub.Memory { return c.memory }, Trace: c.trace})
	if err := h.Join(context.Background()); err != nil {
		c.t.Fatal(err)
	}
	n := &clusterNode{hub: h, sp: h.Space("/"), engine: e}
	if err := n.sp.Err(); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = append(c.nodes, n)
	return n
}

func (c *cluster) close() {
	for _, n := range c.nodes {
		n.hub.Close()
	}
}

// kill has a node be gone as by kill -9: it says nothing any more.
func (c *cluster) kill(n *clusterNode) {
	c.mu.Lock()
	n.dead = true
	c.mu.Unlock()
	c.service.Cut(n.engine)
}

// any returns a node that can be reached.
func (c *cluster) any(rng *rand.Rand) *clusterNode {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if n := c.nodes[rng.IntN(len(c.nodes))]; !n.dead {
			return n
		}
	}
}

// inCluster runs a test in a bubble.
func inCluster(t *testing.T, n int, m hub.Memory, test func(t *testing.T, c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, n, m)
		defer c.close()
		test(t, c)
	})
}

func resumeOn(t *testing.T, n *clusterNode, old *reader) *reader {
	t.Helper()
	return resume(t, n.sp, old)
}

func TestClusterOrder(t *testing.T) {
	inCluster(t, 3, hub.Memory{}, func(t *testing.T, c *cluster) {
		var rs []*reader
		for i, n := range c.nodes {
			c.service.Slow(n.engine, time.Duration(i)*30*time.Millisecond)
			rs = append(rs, enterSession(t, n.sp, fmt.Sprint("r", i), 1000, "a"))
		}
		elsewhere := enterSession(t, c.nodes[1].sp, "elsewhere", 1000, "b")
		var wg sync.WaitGroup
		for i, n := range c.nodes {
			wg.Go(func() {
				for k := range 20 {
					r := say(t, n.sp, fmt.Sprintf("%d.%d", i, k), "a")
					if r.Members != 1 || r.Offset == "" {
						t.Errorf("receipt %+v", r)
					}
					if own := rs[i].texts(); own[len(own)-1] != fmt.Sprintf("%d.%d", i, k) && !slices.Contains(own, fmt.Sprintf("%d.%d", i, k)) {
						t.Error("a publish returned before its message was handed out at home")
					}
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Second)
		order := rs[0].texts()
		if len(order) != 60 {
			t.Errorf("%d messages, want 60", len(order))
		}
		for _, r := range rs {
			wantTexts(t, r, "one order", order...)
		}
		wantTexts(t, elsewhere, "not for it")
		say(t, c.nodes[0].sp, "all")
		time.Sleep(time.Second)
		wantTexts(t, elsewhere, "for everyone", "all")
	})
}

// TestClusterRecovery: a member comes back on another node, before the old one
// knows and after, in its rooms, with what it missed.
func TestClusterRecovery(t *testing.T) {
	inCluster(t, 3, hub.Memory{}, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		r := enterSession(t, a.sp, "r", 1000, "a")
		if err := r.seat.Join("later"); err != nil {
			t.Fatal(err)
		}
		say(t, b.sp, "1", "a")
		synctest.Wait()

		old := r
		r = resumeOn(t, b, old) // half-open
		synctest.Wait()
		old.mu.Lock()
		if !errors.Is(old.evicted, hub.ErrFenced) {
			t.Errorf("the old seat: %v, want ErrFenced", old.evicted)
		}
		old.mu.Unlock()
		if got := r.seat.Rooms(); !slices.Equal(got, []string{"r", "a", "later"}) {
			t.Errorf("came back to %q", got)
		}
		say(t, a.sp, "2", "later")
		r.seat.Close()
		say(t, a.sp, "3", "a")
		r = resumeOn(t, c.nodes[2], r)
		say(t, a.sp, "4", "later")
		synctest.Wait()
		wantTexts(t, r, "all of it, once", "1", "2", "3", "4")
		wantTexts(t, old, "nothing more", "1")
		if n := a.sp.Count("a") + b.sp.Count("a"); n != 0 {
			t.Errorf("%d members stayed behind", n)
		}
	})
}

// TestClusterDeath: nodes die one after another, and the member that never heard
// anything recovers each time.
func TestClusterDeath(t *testing.T) {
	inCluster(t, 2, hub.Memory{}, func(t *testing.T, c *cluster) {
		r := enterSession(t, c.nodes[0].sp, "r", 1000, "a")
		var want []string
		for i := range 5 {
			c.kill(c.nodes[i])
			text := fmt.Sprint(i)
			want = append(want, text)
			say(t, c.nodes[i+1].sp, text, "a")
			if i%2 == 0 {
				time.Sleep(2 * testLease)
			}
			r = resumeOn(t, c.nodes[i+1], r)
			c.start()
		}
		synctest.Wait()
		wantTexts(t, r, "five times", want...)
	})
}

// TestClusterFence: a node that was cut off while its member came back elsewhere
// lets go when it hears of it, and changes nothing.
func TestClusterFence(t *testing.T) {
	inCluster(t, 2, hub.Memory{}, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		old := enterSession(t, a.sp, "r", 1000, "a")
		c.service.Cut(a.engine)
		if err := old.seat.Join("lost"); !errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("joined while the engine is away: %v", err)
		}
		if slices.Contains(old.seat.Rooms(), "lost") {
			t.Error("it is in a room of which nobody knows")
		}
		r := resumeOn(t, b, old)
		if err := r.seat.Join("new"); err != nil {
			t.Fatal(err)
		}
		c.service.Mend(a.engine) // and was told of no fence
		if err := old.seat.Join("lost"); !errors.Is(err, hub.ErrFenced) {
			t.Errorf("joined on a node that has lost the session: %v, want ErrFenced", err)
		}
		synctest.Wait()
		old.mu.Lock()
		if !errors.Is(old.evicted, hub.ErrFenced) {
			t.Errorf("the old seat: %v", old.evicted)
		}
		old.mu.Unlock()
		r.seat.Close()
		r = resumeOn(t, a, r)
		if got := r.seat.Rooms(); !slices.Equal(got, []string{"r", "a", "new"}) {
			t.Errorf("came back to %q", got)
		}
	})
}

// TestClusterFencedAtRest: the old node hears of nothing, and does nothing. It
// finds out when it writes the session's record again.
func TestClusterFencedAtRest(t *testing.T) {
	inCluster(t, 2, hub.Memory{}, func(t *testing.T, c *cluster) {
		old := enterSession(t, c.nodes[0].sp, "r", 1000, "a")
		c.service.Cut(c.nodes[0].engine)
		r := resumeOn(t, c.nodes[1], old)
		c.service.Mend(c.nodes[0].engine)
		time.Sleep(2 * time.Minute)
		old.mu.Lock()
		if !errors.Is(old.evicted, hub.ErrFenced) {
			t.Errorf("the old seat: %v", old.evicted)
		}
		old.mu.Unlock()
		say(t, c.nodes[0].sp, "1", "a")
		synctest.Wait()
		wantTexts(t, r, "the new seat", "1")
	})
}

// TestClusterQuiet: a member that receives nothing for longer than the window
// recovers after the death of its node; one that is gone for longer does not.
func TestClusterQuiet(t *testing.T) {
	inCluster(t, 3, hub.Memory{Window: time.Minute}, func(t *testing.T, c *cluster) {
		quiet := enterSession(t, c.nodes[0].sp, "quiet", 1000, "a")
		heard := enterSession(t, c.nodes[0].sp, "heard", 1000, "b")
		gone := enterSession(t, c.nodes[0].sp, "gone", 1000, "a")
		say(t, c.nodes[1].sp, "b", "b")
		for range 20 {
			time.Sleep(15 * time.Second)
			say(t, c.nodes[1].sp, "for others", "c")
		}
		gone.seat.Close()
		time.Sleep(50 * time.Second)
		c.kill(c.nodes[0])
		time.Sleep(20 * time.Second)
		say(t, c.nodes[1].sp, "1", "a", "b")
		quiet, heard = resumeOn(t, c.nodes[1], quiet), resumeOn(t, c.nodes[2], heard)
		synctest.Wait()
		wantTexts(t, quiet, "quiet for five minutes", "1")
		wantTexts(t, heard, "heard something long ago", "b", "1")
		_, err := c.nodes[1].sp.ResumeSession(context.Background(), new(reader), gone.ticket.Session, gone.offset, hub.Arrival{})
		if !errors.Is(err, hub.ErrNoSession) {
			t.Errorf("gone for longer than the window: %v", err)
		}
	})
}

// TestClusterSlowReader: a member that falls behind reads from the engine what it
// is owed, also after its node was quiet for long.
func TestClusterSlowReader(t *testing.T) {
	for _, size := range []int64{1, 1 << 20} {
		inCluster(t, 2, hub.Memory{MaxBytes: size}, func(t *testing.T, c *cluster) {
			r := enterSession(t, c.nodes[0].sp, "r", 0, "a")
			for range 20 {
				time.Sleep(30 * time.Second)
				say(t, c.nodes[1].sp, "for others", "c")
			}
			var want []string
			for i := range 300 {
				want = append(want, fmt.Sprint(i))
				say(t, c.nodes[i%2].sp, want[i], "a")
				if i == 100 {
					r.give(50)
				}
			}
			synctest.Wait()
			wantTexts(t, r, "as many as it takes", want[:50]...)
			c.service.Cut(c.nodes[0].engine)
			r.give(500)
			time.Sleep(3 * time.Second)
			c.service.Mend(c.nodes[0].engine)
			time.Sleep(3 * time.Second)
			wantTexts(t, r, "the rest, whatever happens to the engine", want...)
		})
	}
}

// TestClusterReturnTwice: two come back to one session at the same time, on two
// nodes. One of them has it in the end, with everything.
func TestClusterReturnTwice(t *testing.T) {
	for seed := range uint64(20) {
		inCluster(t, 3, hub.Memory{}, func(t *testing.T, c *cluster) {
			r := enterSession(t, c.nodes[0].sp, "r", 1000, "a")
			say(t, c.nodes[1].sp, "1", "a")
			synctest.Wait()
			for _, n := range c.nodes {
				c.service.Slow(n.engine, time.Duration(seed)*time.Millisecond)
			}
			back := make([]*reader, 3)
			var wg sync.WaitGroup
			for i, n := range c.nodes {
				if i == 0 && seed%2 == 0 {
					continue
				}
				wg.Go(func() {
					k := &reader{got: r.texts(), offset: r.offset, ticket: r.ticket}
					k.room.Store(1000)
					seat, err := n.sp.ResumeSession(context.Background(), k, k.ticket.Session, k.offset, hub.Arrival{})
					if err == nil {
						k.mu.Lock()
						k.seat = seat
						k.mu.Unlock()
						back[i] = k
					} else if !errors.Is(err, hub.ErrNoSession) {
						t.Errorf("resume: %v", err)
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Second)
			say(t, c.nodes[0].sp, "2", "a")
			time.Sleep(time.Second)
			var have int
			for _, k := range back {
				if k == nil {
					continue
				}
				k.mu.Lock()
				evicted := k.evicted
				k.mu.Unlock()
				if evicted == nil {
					have++
					wantTexts(t, k, "who has it", "1", "2")
				}
			}
			members := 0
			for _, n := range c.nodes {
				members += n.sp.Count("a")
			}
			if have != 1 || members != 1 {
				t.Errorf("seed %d: %d have the session, %d members", seed, have, members)
			}
		})
	}
}
