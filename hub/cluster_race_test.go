package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
)

// An unluckyEngine takes its time to ignore, and may fail to commit.
type unluckyEngine struct {
	hub.Engine
	ignoring time.Duration
	failing  atomic.Bool
}

type unluckyLine struct {
	hub.Line
	e *unluckyEngine
}

func (e *unluckyEngine) Open(ctx context.Context, namespace string, m *hub.Memory, f hub.Follower) (hub.Line, error) {
	l, err := e.Engine.Open(ctx, namespace, m, f)
	return &unluckyLine{l, e}, err
}

func (l *unluckyLine) Ignore(rooms ...string) {
	<-time.After(l.e.ignoring)
	l.Line.Ignore(rooms...)
}

func (l *unluckyLine) Commit(ctx context.Context, b *hub.SharedBatch) {
	if !l.e.failing.Load() {
		l.Line.Commit(ctx, b)
		return
	}
	for _, m := range b.Messages {
		m.Err = hub.ErrUnavailable
	}
	for _, s := range b.Sessions {
		s.Err = hub.ErrUnavailable
	}
	b.EraseErr = hub.ErrUnavailable
}

// unlucky starts a hub on such an engine.
func unlucky(c *cluster) (*clusterNode, *unluckyEngine) {
	e := &unluckyEngine{Engine: c.service.Node(), ignoring: time.Second}
	h := hub.New(hub.Config{Engine: e, Memory: func(string) *hub.Memory { return c.memory }})
	n := &clusterNode{hub: h, sp: h.Space("/"), engine: e.Engine}
	c.nodes = append(c.nodes, n)
	return n, e
}

// TestClusterJoinWhileIgnored: who joins a room while the engine is told to
// ignore it hears it all the same.
func TestClusterJoinWhileIgnored(t *testing.T) {
	inCluster(t, 1, hub.Memory{}, func(t *testing.T, c *cluster) {
		n, _ := unlucky(c)
		r := sit(t, n.sp, "a")
		r.seat.Close()
		time.Sleep(5500 * time.Millisecond)
		r = sit(t, n.sp, "a")
		time.Sleep(10 * time.Second)
		say(t, c.nodes[0].sp, "1", "a")
		synctest.Wait()
		wantTexts(t, r, "it is in the room", "1")
	})
}

// TestClusterFailedJoin: a join that was not written down is not one, and can be
// tried again.
func TestClusterFailedJoin(t *testing.T) {
	inCluster(t, 1, hub.Memory{}, func(t *testing.T, c *cluster) {
		n, e := unlucky(c)
		r := enterSession(t, n.sp, "r", 1000, "a")
		e.failing.Store(true)
		if err := r.seat.Join("b", "a"); !errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("join: %v", err)
		}
		if got := r.seat.Rooms(); !slices.Equal(got, []string{"r", "a"}) {
			t.Errorf("in %q", got)
		}
		if _, err := n.sp.EnterSession(context.Background(), new(reader), hub.Arrival{Name: "x"}); !errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("enter: %v", err)
		}
		e.failing.Store(false)
		if err := r.seat.Join("b"); err != nil {
			t.Fatal(err)
		}
		c.kill(n)
		r = resumeOn(t, c.nodes[0], r)
		if got := r.seat.Rooms(); !slices.Equal(got, []string{"r", "a", "b"}) {
			t.Errorf("came back to %q", got)
		}
	})
}

// TestClusterJoinWhileReturning: a session comes back on another node while it
// is made to join a room. If the join was acknowledged, it is in the room ever
// after.
func TestClusterJoinWhileReturning(t *testing.T) {
	joined, refused := 0, 0
	for seed := range 140 {
		inCluster(t, 3, hub.Memory{}, func(t *testing.T, c *cluster) {
			a, b := c.nodes[0], c.nodes[1]
			r := enterSession(t, a.sp, "r", 1000, "a")
			c.service.Slow(a.engine, time.Duration(1+seed%7)*5*time.Millisecond)
			c.service.Slow(b.engine, time.Duration(1+seed%5)*20*time.Millisecond)
			var wg sync.WaitGroup
			var err error
			wg.Go(func() {
				time.Sleep(time.Duration(seed%20) * 2 * time.Millisecond)
				err = r.seat.Join("room")
			})
			var back *reader
			wg.Go(func() { back = resumeOn(t, b, r) })
			time.Sleep(time.Millisecond)
			wg.Wait()
			last := resumeOn(t, c.nodes[2], back)
			in := slices.Contains(last.seat.Rooms(), "room")
			if err == nil {
				joined++
				if !in {
					t.Errorf("seed %d: joined, and is not in the room", seed)
				}
			} else {
				refused++
				if !errors.Is(err, hub.ErrFenced) && !errors.Is(err, hub.ErrLeft) {
					t.Errorf("join: %v", err)
				}
			}
		})
	}
	t.Logf("%d joined in time, %d did not", joined, refused)
}

// TestClusterShare: publishers of a node share a commit, and each is told what
// became of its own message.
func TestClusterShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var commits, messages atomic.Int64
		c := &cluster{t: t, service: hubtest.NewCluster(testLease), memory: &hub.Memory{}}
		c.trace = &hub.Trace{Committed: func(_ string, k hub.Commit) {
			commits.Add(1)
			messages.Add(int64(k.Messages))
		}}
		n := c.start()
		defer c.close()
		c.service.Slow(n.engine, 100*time.Millisecond)
		r := sit(t, n.sp, "a")
		var wg sync.WaitGroup
		var mu sync.Mutex
		offsets := make(map[hub.Offset]bool)
		for i := range 50 {
			wg.Go(func() {
				receipt := say(t, n.sp, fmt.Sprint(i), "a")
				mu.Lock()
				defer mu.Unlock()
				offsets[receipt.Offset] = true
			})
		}
		wg.Wait()
		if commits.Load() > 3 || messages.Load() != 50 || len(offsets) != 50 || len(r.texts()) != 50 {
			t.Errorf("%d commits of %d messages, %d offsets, %d received", commits.Load(), messages.Load(), len(offsets), len(r.texts()))
		}
	})
}
