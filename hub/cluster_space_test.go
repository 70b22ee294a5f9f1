package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
)

// newest returns a hub with an engine of a service, without memory.
func newest(t *testing.T, service *hubtest.Cluster, trace *hub.Trace) *clusterNode {
	e := service.Node()
	h := hub.New(hub.Config{Engine: e, Trace: trace, About: []byte("here")})
	return &clusterNode{hub: h, sp: h.Space("/"), engine: e}
}

func sit(t *testing.T, sp *hub.Space, rooms ...string) *reader {
	t.Helper()
	r := new(reader)
	r.room.Store(1 << 20)
	seat, err := sp.Enter(r, nil, rooms...)
	if err != nil {
		t.Fatal(err)
	}
	r.seat = seat
	return r
}

// TestClusterWithoutMemory: messages that are not kept reach the members of all
// nodes, in the order of each publisher.
func TestClusterWithoutMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := hubtest.NewCluster(testLease)
		a, b := newest(t, service, nil), newest(t, service, nil)
		defer a.hub.Close()
		defer b.hub.Close()
		ra, rb, not := sit(t, a.sp, "a"), sit(t, b.sp, "a", "b"), sit(t, b.sp, "a", "not")
		for i := range 10 {
			if _, err := a.sp.Publish(context.Background(), message(t, fmt.Sprint(i)), hub.Address{Rooms: []string{"a", "b"}, Except: []string{"not"}}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // without a memory, publishers of several nodes have no order
		say(t, b.sp, "all")
		synctest.Wait()
		if _, err := a.sp.Publish(context.Background(), message(t, "local"), hub.Address{Local: true}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "all"}
		wantTexts(t, ra, "at home", append(want, "local")...)
		wantTexts(t, rb, "on the other node", want...)
		wantTexts(t, not, "excepted there as well", "all")

		// The engine is away: who is here is served, and hears the others again
		// when it is back.
		service.Cut(b.engine)
		late := sit(t, b.sp, "late")
		say(t, b.sp, "alone", "late")
		wantTexts(t, late, "at home", "alone")
		service.Mend(b.engine)
		time.Sleep(2 * time.Second)
		say(t, a.sp, "together", "late")
		synctest.Wait()
		wantTexts(t, late, "again", "alone", "together")
		if about := string(a.hub.Nodes()[b.hub.Node()]); about != "here" {
			t.Errorf("the other node says %q of itself", about)
		}
	})
}

// TestClusterVolatile: in a space with memory, too.
func TestClusterVolatile(t *testing.T) {
	inCluster(t, 2, hub.Memory{}, func(t *testing.T, c *cluster) {
		r := enterSession(t, c.nodes[1].sp, "r", 1000, "a")
		say(t, c.nodes[0].sp, "kept", "a")
		m := message(t, "volatile")
		m.Volatile = true
		if _, err := c.nodes[0].sp.Publish(context.Background(), m, hub.Address{Rooms: []string{"a"}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantTexts(t, r, "both", "kept", "volatile")
		if r.offset == "" || m.Offset() != "" {
			t.Errorf("offsets %q, %q", r.offset, m.Offset())
		}
	})
}

// TestClusterListening: a node hears what its members are in, and lets go of it
// a while after they have left.
func TestClusterListening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rooms atomic.Int64
		service := hubtest.NewCluster(testLease)
		n := newest(t, service, &hub.Trace{Listening: func(_ string, more int) { rooms.Add(int64(more)) }})
		defer n.hub.Close()
		r := sit(t, n.sp, "a", "b")
		if got := rooms.Load(); got != 2 {
			t.Errorf("%d rooms, want 2", got)
		}
		r.seat.Leave("a")
		time.Sleep(4 * time.Second)
		if err := r.seat.Join("a"); err != nil { // in time
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := rooms.Load(); got != 2 {
			t.Errorf("%d rooms, want 2", got)
		}
		r.seat.Close()
		time.Sleep(time.Minute)
		if got := rooms.Load(); got != 0 {
			t.Errorf("%d rooms, want none", got)
		}
		again := sit(t, n.sp, "a")
		other := newest(t, service, nil)
		defer other.hub.Close()
		say(t, other.sp, "1", "a")
		synctest.Wait()
		wantTexts(t, again, "again", "1")
	})
}

// TestClusterJoinWhileLeaving: who joins a room in the moment in which the node
// lets go of it hears it.
func TestClusterJoinWhileLeaving(t *testing.T) {
	inCluster(t, 2, hub.Memory{}, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		for i := range 30 {
			room := fmt.Sprint("room", i)
			r := sit(t, a.sp, room)
			r.seat.Close()
			time.Sleep(5*time.Second - time.Microsecond)
			c.service.Slow(a.engine, 3*time.Microsecond)
			time.Sleep(time.Duration(i%3) * time.Microsecond)
			again := sit(t, a.sp, room)
			say(t, b.sp, "1", room)
			time.Sleep(time.Second)
			wantTexts(t, again, room, "1")
			time.Sleep(10 * time.Second)
			say(t, b.sp, "2", room)
			time.Sleep(time.Second)
			wantTexts(t, again, room, "1", "2")
		}
	})
}

// TestClusterAt: who keeps its own offset goes on with it on any node.
func TestClusterAt(t *testing.T) {
	inCluster(t, 2, hub.Memory{Window: time.Minute}, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		c.service.Slow(b.engine, 100*time.Millisecond)
		at := func(n *clusterNode, o hub.Offset, rooms ...string) (*reader, error) {
			r := new(reader)
			r.room.Store(1000)
			var err error
			r.seat, err = n.sp.EnterAt(r, o, nil, rooms...)
			return r, err
		}
		first := say(t, a.sp, "1", "a")
		say(t, a.sp, "not", "b")
		second := say(t, a.sp, "2", "a")
		r, err := at(b, first.Offset, "a")
		if err != nil {
			t.Fatal(err)
		}
		last, err := at(b, second.Offset, "a") // of which b may not have heard
		if err != nil {
			t.Fatal(err)
		}
		say(t, a.sp, "3", "a")
		time.Sleep(time.Second)
		wantTexts(t, r, "what it missed", "2", "3")
		wantTexts(t, last, "what came next", "3")
		for _, o := range []hub.Offset{"life0-zzzz", "other-1", "x"} {
			if _, err := at(b, o, "a"); !errors.Is(err, hub.ErrOffset) {
				t.Errorf("offset %q: %v", o, err)
			}
		}
		time.Sleep(2 * time.Minute)
		if _, err := at(b, first.Offset, "a"); !errors.Is(err, hub.ErrTrimmed) {
			t.Errorf("after the window: %v", err)
		}
		if _, err = at(b, b.sp.Head(), "a"); err != nil {
			t.Errorf("at the head: %v", err)
		}
	})
}

// TestClusterHistory: histories are read, paged and erased on any node.
func TestClusterHistory(t *testing.T) {
	rules := []hub.RoomRule{{Pattern: "kept", Limit: hub.HistoryLimit{Count: 5}}}
	inCluster(t, 2, hub.Memory{Rooms: rules}, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		r := enterSession(t, b.sp, "r", 0, "kept")
		var receipts []hub.Receipt
		for i := range 8 {
			receipts = append(receipts, say(t, a.sp, fmt.Sprint(i), "kept"))
		}
		synctest.Wait() // Next is where b stands
		page := func(n *clusterNode, q hub.PageQuery) string {
			p, err := n.sp.History("kept", q)
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			for _, m := range p.Messages {
				text, _ := m.Args.At(0).String()
				texts = append(texts, text)
			}
			return fmt.Sprint(strings.Join(texts, " "), p.More)
		}
		for what, got := range map[string][2]string{
			"last":   {page(b, hub.PageQuery{Limit: 2}), "6 7true"},
			"before": {page(b, hub.PageQuery{Before: receipts[6].Offset, Limit: 2}), "4 5true"},
			"after":  {page(b, hub.PageQuery{After: receipts[3].Offset, Limit: 9}), "4 5 6 7false"},
			"all":    {page(b, hub.PageQuery{Before: b.sp.Next()}), "3 4 5 6 7false"},
		} {
			if got[0] != got[1] {
				t.Errorf("%s: %s, want %s", what, got[0], got[1])
			}
		}
		synctest.Wait()
		if err := a.sp.Erase(context.Background(), "kept", receipts[6].Offset); err != nil {
			t.Fatal(err)
		}
		if got := page(b, hub.PageQuery{}); got != "3 4 5 7false" {
			t.Errorf("after the erasure: %s", got)
		}
		synctest.Wait()
		r.give(100)
		synctest.Wait()
		wantTexts(t, r, "what was erased is not replayed by another node", "0", "1", "2", "3", "4", "5", "7")
		if err := b.sp.EraseRoom(context.Background(), "kept"); err != nil {
			t.Fatal(err)
		}
		if got := page(a, hub.PageQuery{}); got != "false" {
			t.Errorf("after the erasure of all: %s", got)
		}
	})
}

// TestClusterOnce: a message that is published again, on whatever node, is the
// first one.
func TestClusterOnce(t *testing.T) {
	inCluster(t, 3, hub.Memory{}, func(t *testing.T, c *cluster) {
		r := enterSession(t, c.nodes[0].sp, "r", 1000, "a")
		var first hub.Receipt
		for i, n := range c.nodes {
			m := message(t, "once")
			m.Publisher, m.ID = "p", "1"
			receipt, err := n.sp.Publish(context.Background(), m, hub.Address{Rooms: []string{"a"}})
			switch {
			case err != nil:
				t.Fatal(err)
			case i == 0:
				first = receipt
			case !receipt.Repeated || receipt.Offset != first.Offset:
				t.Errorf("again: %+v, first %+v", receipt, first)
			}
		}
		synctest.Wait()
		wantTexts(t, r, "once", "once")
	})
}

// TestClusterAway: while the engine cannot be reached nothing is promised, and
// said so; then everything goes on.
func TestClusterAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var reached []error
		c := &cluster{t: t, service: hubtest.NewCluster(testLease), memory: &hub.Memory{}}
		c.trace = &hub.Trace{Reached: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			reached = append(reached, err)
		}}
		n := c.start()
		other := c.start()
		defer c.close()
		r := enterSession(t, n.sp, "r", 1000, "a")
		c.service.Cut(n.engine)
		synctest.Wait()
		if _, err := n.sp.Publish(context.Background(), message(t, "refused"), hub.Address{Rooms: []string{"a"}}); !errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("publish: %v", err)
		}
		if _, err := n.sp.EnterSession(context.Background(), new(reader), hub.Arrival{Name: "x"}); !errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("enter: %v", err)
		}
		if _, err := n.sp.ResumeSession(context.Background(), new(reader), "x", "", hub.Arrival{}); !errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("resume: %v", err)
		}
		if _, err := n.sp.History("a", hub.PageQuery{}); !errors.Is(err, hub.ErrNoHistory) {
			t.Errorf("history: %v", err)
		}
		say(t, other.sp, "missed", "a")
		c.service.Mend(n.engine)
		synctest.Wait()
		wantTexts(t, r, "what was published elsewhere", "missed")
		say(t, n.sp, "1", "a")
		wantTexts(t, r, "and goes on", "missed", "1")

		c.service.Mute(n.engine) // nobody knows
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := n.sp.Publish(ctx, message(t, "2"), hub.Address{Rooms: []string{"a"}}); !errors.Is(err, hub.ErrUnknown) {
			t.Errorf("publish without an answer: %v", err)
		}
		c.service.Mend(n.engine)
		synctest.Wait()
		wantTexts(t, r, "it was published", "missed", "1", "2")
		mu.Lock()
		if len(reached) != 2 || !errors.Is(reached[0], hub.ErrUnavailable) || reached[1] != nil {
			t.Errorf("reached: %v", reached)
		}
		mu.Unlock()
	})
}

// TestClusterStartsLater: a hub whose engine cannot be reached yet can be used
// when it can.
func TestClusterStartsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := hubtest.NewCluster(testLease)
		e := service.Node()
		service.Cut(e)
		h := hub.New(hub.Config{Engine: e, Memory: func(string) *hub.Memory { return &hub.Memory{} }})
		defer h.Close()
		sp := h.Space("/")
		if err := sp.Err(); !errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("space: %v", err)
		}
		if err := h.Join(context.Background()); !errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("join: %v", err)
		}
		if o := sp.Head() + sp.Next(); o != "" {
			t.Errorf("offset %q", o)
		}
		service.Mend(e)
		r := enterSession(t, sp, "r", 1000, "a")
		say(t, sp, "1", "a")
		wantTexts(t, r, "as if nothing had been", "1")
	})
}

// TestClusterWiped: the engine has lost everything. Everybody is told, and what
// comes then begins anew.
func TestClusterWiped(t *testing.T) {
	inCluster(t, 2, hub.Memory{}, func(t *testing.T, c *cluster) {
		r := enterSession(t, c.nodes[0].sp, "r", 1000, "a")
		plain := sit(t, c.nodes[0].sp, "a")
		for i := range 5 {
			say(t, c.nodes[1].sp, fmt.Sprint(i), "a")
		}
		synctest.Wait()
		gone := enterSession(t, c.nodes[0].sp, "gone", 1000, "a")
		gone.seat.Close()
		before := c.nodes[0].sp.Head()
		synctest.Wait()
		c.service.Wipe()
		synctest.Wait()
		for _, k := range []*reader{r, plain} {
			k.mu.Lock()
			if !errors.Is(k.evicted, hub.ErrEpoch) {
				t.Errorf("evicted: %v", k.evicted)
			}
			k.mu.Unlock()
		}
		for _, n := range c.nodes {
			for _, k := range []*reader{r, gone} {
				_, err := n.sp.ResumeSession(context.Background(), new(reader), k.ticket.Session, "", hub.Arrival{})
				if !errors.Is(err, hub.ErrNoSession) {
					t.Errorf("resume: %v", err)
				}
			}
		}
		for range 20 {
			say(t, c.nodes[0].sp, "of the new life", "a")
		}
		for _, n := range c.nodes {
			if _, err := n.sp.EnterAt(new(reader), before, nil, "a"); !errors.Is(err, hub.ErrOffset) {
				t.Errorf("enter at an offset of before: %v", err)
			}
		}
		r = enterSession(t, c.nodes[0].sp, "r", 1000, "a")
		say(t, c.nodes[1].sp, "new", "a")
		r.seat.Close()
		say(t, c.nodes[0].sp, "life", "a")
		r = resumeOn(t, c.nodes[1], r)
		synctest.Wait()
		wantTexts(t, r, "a new life", "new", "life")
	})
}

// TestClusterTrimmed: a node was cut off for longer than the log is kept. Its
// members are told.
func TestClusterTrimmed(t *testing.T) {
	inCluster(t, 2, hub.Memory{Window: time.Minute}, func(t *testing.T, c *cluster) {
		r := enterSession(t, c.nodes[0].sp, "r", 1000, "a")
		c.service.Cut(c.nodes[0].engine)
		say(t, c.nodes[1].sp, "missed", "a")
		time.Sleep(2 * time.Minute)
		say(t, c.nodes[1].sp, "trims", "b")
		c.service.Mend(c.nodes[0].engine)
		synctest.Wait()
		say(t, c.nodes[1].sp, "after", "a")
		synctest.Wait()
		r.mu.Lock()
		if !errors.Is(r.evicted, hub.ErrTrimmed) || len(r.got) > 0 {
			t.Errorf("evicted for %v, got %q", r.evicted, r.got)
		}
		r.mu.Unlock()
		for _, n := range c.nodes {
			_, err := n.sp.ResumeSession(context.Background(), new(reader), r.ticket.Session, r.offset, hub.Arrival{})
			if !errors.Is(err, hub.ErrTrimmed) && !errors.Is(err, hub.ErrNoSession) {
				t.Errorf("resume: %v", err)
			}
		}
	})
}

// TestClusterForeign: only the owner has its session back, on other nodes too,
// and who tries changes nothing.
func TestClusterForeign(t *testing.T) {
	inCluster(t, 2, hub.Memory{}, func(t *testing.T, c *cluster) {
		r := new(reader)
		r.room.Store(100)
		var err error
		r.seat, err = c.nodes[0].sp.EnterSession(context.Background(), r, hub.Arrival{Name: "r", Owner: "ann", Welcome: func(tk hub.Ticket) { r.ticket = tk }})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range c.nodes {
			if _, err := n.sp.ResumeSession(context.Background(), new(reader), r.ticket.Session, "", hub.Arrival{Owner: "bob"}); !errors.Is(err, hub.ErrNotOwner) {
				t.Errorf("bob: %v", err)
			}
		}
		say(t, c.nodes[1].sp, "0", "r")
		synctest.Wait()
		wantTexts(t, r, "its seat is its own", "0")
		r.seat.End()
		synctest.Wait()
		if _, err := c.nodes[1].sp.ResumeSession(context.Background(), new(reader), r.ticket.Session, "", hub.Arrival{Owner: "ann"}); !errors.Is(err, hub.ErrNoSession) {
			t.Errorf("a session that was ended: %v", err)
		}
	})
}

// TestClusterForget: a namespace that was forgotten can be used again.
func TestClusterForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := hubtest.NewCluster(testLease)
		a, b := newest(t, service, nil), newest(t, service, nil)
		defer a.hub.Close()
		defer b.hub.Close()
		for i := range 3 {
			sp := a.hub.Space("/x")
			if err := sp.Err(); err != nil {
				t.Fatal(err)
			}
			r := sit(t, sp, "a")
			say(t, b.hub.Space("/x"), fmt.Sprint(i), "a")
			synctest.Wait()
			wantTexts(t, r, "again", fmt.Sprint(i))
			r.seat.Close()
			a.hub.Forget("/x")
		}
	})
}

// TestClusterRollingRestart: nodes are closed and replaced one after another.
func TestClusterRollingRestart(t *testing.T) {
	inCluster(t, 3, hub.Memory{}, func(t *testing.T, c *cluster) {
		rs := make([]*reader, 6)
		for i := range rs {
			rs[i] = enterSession(t, c.nodes[i%3].sp, fmt.Sprint("r", i), 1000, "a")
		}
		var want []string
		for i := range 3 {
			next := c.start()
			c.nodes[i].dead = true
			for k, r := range rs {
				if k%3 == i { // told to go, or cut off with the node
					if k < 3 {
						r.seat.Close()
					}
				}
			}
			c.nodes[i].hub.Close()
			text := fmt.Sprint(i)
			want = append(want, text)
			say(t, next.sp, text, "a")
			for k := range rs {
				if k%3 == i {
					rs[k] = resumeOn(t, next, rs[k])
				}
			}
		}
		synctest.Wait()
		for i, r := range rs {
			if got := r.texts(); !slices.Equal(got, want) {
				t.Errorf("reader %d: %q, want %q", i, got, want)
			}
		}
	})
}
