package hub_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
	"github.com/tutti-rt/tutti/packet"
)

// A visitor is a member that others can be told of, and do things with.
type visitor struct {
	name   string
	silent bool // it does not answer
	seat   *hub.Seat

	mu     sync.Mutex
	got    []string
	asked  int
	forgot int
	left   []bool // how it was dismissed
}

func (g *visitor) Deliver(m *hub.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.got = append(g.got, m.Event)
	if m.Call == nil {
		return
	}
	g.asked++
	m.Call.Ask(g)
	if !g.silent {
		args, _ := packet.Marshal(g.name)
		m.Call.Answer(args)
	}
}

func (g *visitor) Forget(*hub.Call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forgot++
}

func (g *visitor) Describe() hub.Description { return hub.Description{ID: g.name} }

func (g *visitor) Dismiss(whole bool) {
	g.mu.Lock()
	g.left = append(g.left, whole)
	g.mu.Unlock()
	g.seat.Close()
}

func (g *visitor) dismissed() []bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.left)
}

func visit(t *testing.T, sp *hub.Space, name string, rooms ...string) *visitor {
	t.Helper()
	g := &visitor{name: name}
	var err error
	if g.seat, err = sp.Enter(g, nil, rooms...); err != nil {
		t.Fatal(err)
	}
	return g
}

// amongOthers runs a test in a cluster of three nodes without memory.
func amongOthers(t *testing.T, cfg hub.Config, test func(t *testing.T, service *hubtest.Cluster, nodes []*clusterNode)) {
	synctest.Test(t, func(t *testing.T) {
		service := hubtest.NewCluster(testLease)
		var nodes []*clusterNode
		for range 3 {
			e, cfg := service.Node(), cfg
			cfg.Engine = e
			h := hub.New(cfg)
			n := &clusterNode{hub: h, sp: h.Space("/"), engine: e}
			if err := n.sp.Err(); err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, n)
		}
		defer func() {
			for _, n := range nodes {
				n.hub.Close()
			}
		}()
		synctest.Wait()
		test(t, service, nodes)
	})
}

func elsewhere(t *testing.T, sp *hub.Space, to hub.Address) []string {
	t.Helper()
	var names []string
	for d, err := range sp.Elsewhere(context.Background(), to) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, d.ID)
	}
	slices.Sort(names)
	return names
}

// wantPartial wants an error about those nodes, and for that reason.
func wantPartial(t *testing.T, err, why error, nodes ...string) {
	t.Helper()
	partial, ok := errors.AsType[*hub.PartialError](err)
	if !ok {
		t.Fatalf("got the error %v, want one about %q", err, nodes)
	}
	if !slices.Equal(partial.Nodes, nodes) || why != nil && !errors.Is(err, why) {
		t.Errorf("got %q, %v; want %q, %v", partial.Nodes, partial.Err, nodes, why)
	}
}

// TestElsewhere: members of other nodes are described, counted and dismissed.
func TestElsewhere(t *testing.T) {
	amongOthers(t, hub.Config{}, func(t *testing.T, _ *hubtest.Cluster, nodes []*clusterNode) {
		all := make(map[string]*visitor)
		for i, n := range nodes {
			for _, room := range []string{"a", "b"} {
				name := fmt.Sprint(room, i)
				all[name] = visit(t, n.sp, name, room, "either")
			}
		}
		home, ctx := nodes[0].sp, context.Background()
		for _, c := range []struct {
			to    hub.Address
			there string
			count int
		}{
			{hub.Address{}, "a1 a2 b1 b2", 6},
			{hub.Address{Rooms: []string{"a"}}, "a1 a2", 3},
			{hub.Address{Rooms: []string{"a", "either"}}, "a1 a2 b1 b2", 6},
			{hub.Address{Rooms: []string{"either"}, Except: []string{"b"}}, "a1 a2", 3},
			{hub.Address{Rooms: []string{"nobody's"}}, "", 0},
			{hub.Address{Local: true}, "", 2},
		} {
			if got := strings.Join(elsewhere(t, home, c.to), " "); got != c.there {
				t.Errorf("%+v: %q are elsewhere, want %q", c.to, got, c.there)
			}
			if n, err := home.CountAll(ctx, c.to); n != c.count || err != nil {
				t.Errorf("%+v: %d members, %v; want %d", c.to, n, err, c.count)
			}
		}
		if err := home.Dismiss(ctx, hub.Address{Rooms: []string{"a"}}, true); err != nil {
			t.Error(err)
		}
		if err := home.Dismiss(ctx, hub.Address{Rooms: []string{"b"}, Local: true}, false); err != nil {
			t.Error(err)
		}
		for name, g := range all {
			want := []bool{true}
			if name == "b0" {
				want = []bool{false}
			} else if name[0] == 'b' {
				want = nil
			}
			if got := g.dismissed(); !slices.Equal(got, want) {
				t.Errorf("%s was dismissed %v, want %v", name, got, want)
			}
		}
		if got := elsewhere(t, home, hub.Address{}); !slices.Equal(got, []string{"b1", "b2"}) {
			t.Errorf("left are %q", got)
		}
	})
}

// TestMoveElsewhere: members of other nodes join and leave rooms, and whoever
// asks is told of those that could not.
func TestMoveElsewhere(t *testing.T) {
	amongOthers(t, hub.Config{MaxRooms: 2}, func(t *testing.T, service *hubtest.Cluster, nodes []*clusterNode) {
		home, there := nodes[0].sp, nodes[1].sp
		g, full := visit(t, there, "g", "in"), visit(t, there, "full", "in", "out")
		say := func(event, room string) {
			t.Helper()
			if _, err := home.Publish(context.Background(), &hub.Message{Event: event}, hub.Address{Rooms: []string{room}}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if err := home.Join(hub.Address{Rooms: []string{"in"}}, "more"); !errors.Is(err, hub.ErrTooManyRooms) {
			t.Errorf("Join of one that is in as many as it may: %v", err)
		}
		say("1", "more")
		home.Leave(hub.Address{Rooms: []string{"more"}}, "more")
		say("2", "more")
		if err := home.Join(hub.Address{Rooms: []string{"in"}, Local: true}, "more"); err != nil {
			t.Error(err)
		}
		say("3", "more")
		service.Cut(nodes[0].engine)
		wantPartial(t, home.Join(hub.Address{Rooms: []string{"in"}}, "more"), hub.ErrUnavailable, "node2", "node3")
		service.Mend(nodes[0].engine)
		synctest.Wait()
		home.Leave(hub.Address{Rooms: []string{"out"}}, "out")
		if err := home.Join(hub.Address{Rooms: []string{"in"}}, "more"); err != nil {
			t.Error(err)
		}
		say("4", "more")
		if want := []string{"1", "4"}; !slices.Equal(g.got, want) || !slices.Equal(full.got, want[1:]) {
			t.Errorf("got %q and %q, want %q and the last of them", g.got, full.got, want)
		}
	})
}

func call(t *testing.T, sp *hub.Space, to hub.Address) *hub.Call {
	t.Helper()
	c := hub.NewCall()
	if _, err := sp.Publish(context.Background(), &hub.Message{Event: "vote", Call: c}, to); err != nil {
		t.Fatal(err)
	}
	return c
}

// collect takes all the answers there are.
func collect(ctx context.Context, c *hub.Call) (names []string, err error) {
	for {
		args, ok, err := c.Next(ctx)
		if !ok {
			slices.Sort(names)
			return names, err
		}
		name, _ := args.At(0).String()
		names = append(names, name)
	}
}

// TestCallElsewhere: members of all nodes answer a call, and it ends when all
// have, or their nodes are gone, and not before.
func TestCallElsewhere(t *testing.T) {
	amongOthers(t, hub.Config{}, func(t *testing.T, service *hubtest.Cluster, nodes []*clusterNode) {
		var visitors []*visitor
		for i, n := range nodes {
			visitors = append(visitors, visit(t, n.sp, fmt.Sprint(i), "r"))
		}
		home := nodes[0].sp
		c := call(t, home, hub.Address{Rooms: []string{"r"}})
		got, err := collect(context.Background(), c)
		c.Close()
		if want := []string{"0", "1", "2"}; !slices.Equal(got, want) || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
		c = call(t, home, hub.Address{Local: true})
		if got, err := collect(context.Background(), c); !slices.Equal(got, []string{"0"}) || err != nil {
			t.Errorf("of this node: got %q, %v", got, err)
		}
		c.Close()

		visitors[1].silent = true
		c = call(t, home, hub.Address{})
		synctest.Wait()
		service.Cut(nodes[1].engine)
		began := time.Now()
		got, err = collect(context.Background(), c)
		if !slices.Equal(got, []string{"0", "2"}) || time.Since(began) > 2*testLease {
			t.Errorf("a node is gone: got %q after %v", got, time.Since(began))
		}
		wantPartial(t, err, nil, "node2")
		if asked, answered := c.Counts(); asked != 3 || answered != 2 {
			t.Errorf("%d of %d have answered, want 2 of 3", answered, asked)
		}
		c.Close()

		service.Cut(nodes[0].engine)
		c = call(t, home, hub.Address{})
		defer c.Close()
		got, err = collect(context.Background(), c)
		if !slices.Equal(got, []string{"0"}) {
			t.Errorf("the engine is away: got %q", got)
		}
		wantPartial(t, err, hub.ErrUnavailable, "node3")
	})
}

// TestCallForgotten: a call that nobody waits for any more is over on all nodes,
// however soon, and so are those of a node that is gone.
func TestCallForgotten(t *testing.T) {
	amongOthers(t, hub.Config{}, func(t *testing.T, service *hubtest.Cluster, nodes []*clusterNode) {
		g := visit(t, nodes[1].sp, "g")
		g.silent = true
		for range 200 {
			call(t, nodes[0].sp, hub.Address{}).Close()
		}
		synctest.Wait()
		if g.asked != g.forgot {
			t.Errorf("asked %d times, and %d were forgotten", g.asked, g.forgot)
		}
		before := g.asked
		c := call(t, nodes[0].sp, hub.Address{})
		defer c.Close()
		synctest.Wait()
		if g.asked != before+1 || g.forgot == g.asked {
			t.Fatalf("asked %d times, forgot %d", g.asked-before, g.forgot)
		}
		service.Cut(nodes[0].engine)
		time.Sleep(2 * testLease)
		synctest.Wait()
		if g.asked != g.forgot {
			t.Error("the call of a node that is gone goes on")
		}
	})
}

// TestCallForgottenUnheard: that nobody waits for a call any more is not heard
// where it goes on, and found out.
func TestCallForgottenUnheard(t *testing.T) {
	amongOthers(t, hub.Config{}, func(t *testing.T, service *hubtest.Cluster, nodes []*clusterNode) {
		g := visit(t, nodes[1].sp, "g")
		g.silent = true
		c := call(t, nodes[0].sp, hub.Address{})
		synctest.Wait()
		service.Cut(nodes[0].engine)
		c.Close()
		synctest.Wait()
		service.Mend(nodes[0].engine)
		synctest.Wait()
		count := func() (asked, forgot int) {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.asked, g.forgot
		}
		if asked, forgot := count(); asked != 1 || forgot != 0 {
			t.Fatalf("asked %d times, forgot %d", asked, forgot)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, forgot := count(); forgot != 1 {
			t.Error("a call that nobody waits for goes on")
		}
		// One that is waited for does.
		again := call(t, nodes[0].sp, hub.Address{})
		defer again.Close()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		asked, answered := again.Counts()
		if _, forgot := count(); forgot != 1 || asked != 1 || answered != 0 {
			t.Errorf("a call that is waited for: forgot %d, %d were asked, %d have answered", forgot-1, asked, answered)
		}
	})
}

// TestManyAnswers: ten thousand members answer. If nobody takes in what they say,
// there is an end to what is kept of it, and who asked is told.
func TestManyAnswers(t *testing.T) {
	const many = 10000
	amongOthers(t, hub.Config{}, func(t *testing.T, _ *hubtest.Cluster, nodes []*clusterNode) {
		home, there := nodes[0].sp, nodes[1].sp
		for i := range many {
			visit(t, there, fmt.Sprintf("%04d", i), "small")
		}
		c := call(t, home, hub.Address{Rooms: []string{"small"}})
		got, err := collect(context.Background(), c)
		c.Close()
		if slices.Sort(got); len(slices.Compact(got)) != many || err != nil {
			t.Errorf("%d have answered, %v", len(got), err)
		}
		if got := elsewhere(t, home, hub.Address{}); len(slices.Compact(got)) != many {
			t.Errorf("%d are described", len(got))
		}

		pad := strings.Repeat("x", 4<<10)
		for range many {
			visit(t, there, pad, "large")
		}
		c = call(t, home, hub.Address{Rooms: []string{"large"}})
		defer c.Close()
		synctest.Wait() // nobody reads
		got, err = collect(context.Background(), c)
		if len(got) == 0 || len(got) > 16<<20/len(pad) {
			t.Errorf("%d answers were kept", len(got))
		}
		if err == nil {
			t.Error("not all answers were kept, and nobody is told")
		}
		n := 0
		for _, err = range home.Elsewhere(context.Background(), hub.Address{}) {
			if n++; n == 1 {
				synctest.Wait()
			}
		}
		if n > 20<<20/len(pad)+many {
			t.Errorf("%d descriptions were kept", n)
		}
		wantPartial(t, err, nil, "node2")
	})
}

// TestNodeEvents: applications tell and ask each other.
func TestNodeEvents(t *testing.T) {
	amongOthers(t, hub.Config{}, func(t *testing.T, service *hubtest.Cluster, nodes []*clusterNode) {
		var mu sync.Mutex
		heard := make(map[string]string)
		for i, n := range nodes[:2] {
			n.sp.HandleNodes(func(_ context.Context, from, event string, args packet.Args) (packet.Args, error) {
				mu.Lock()
				defer mu.Unlock()
				text, _ := args.At(0).String()
				heard[n.hub.Node()] = from + " " + event + " " + text
				if text == "wrong" {
					return args, errors.New("no answer")
				}
				return packet.Marshal(i)
			})
		}
		ask := func(text string) (from []string, err error) {
			args, _ := packet.Marshal(text)
			var a hub.NodeAnswer
			for a, err = range nodes[2].sp.AskNodes(context.Background(), "ask", args) {
				if err == nil {
					var i int
					if a.Args.Scan(&i); a.Node != nodes[i].hub.Node() {
						t.Errorf("%s has answered for another", a.Node)
					}
					from = append(from, a.Node)
				}
			}
			slices.Sort(from)
			return from, err
		}
		if from, err := ask("x"); !slices.Equal(from, []string{"node1", "node2"}) || err != nil {
			t.Errorf("answers of %q, %v", from, err)
		}
		if want := map[string]string{"node1": "node3 ask x", "node2": "node3 ask x"}; !maps.Equal(heard, want) {
			t.Errorf("heard %q", heard)
		}
		if from, err := ask("wrong"); len(from) > 0 || err != nil {
			t.Errorf("to a mistake: answers of %q, %v", from, err)
		}
		args, _ := packet.Marshal("told")
		if err := nodes[0].sp.TellNodes("tell", args); err != nil { // node3 has nobody who listens
			t.Error(err)
		}
		synctest.Wait()
		if heard["node2"] != "node1 tell told" {
			t.Errorf("heard %q", heard)
		}
		service.Cut(nodes[1].engine)
		from, err := ask("y")
		if !slices.Equal(from, []string{"node1"}) {
			t.Errorf("a node is cut off: answers of %q", from)
		}
		wantPartial(t, err, nil, "node2")
	})
}

// TestBusyNode: a node that has too much to do says so, rather than nothing.
func TestBusyNode(t *testing.T) {
	amongOthers(t, hub.Config{}, func(t *testing.T, _ *hubtest.Cluster, nodes []*clusterNode) {
		visit(t, nodes[1].sp, "g")
		nodes[1].sp.HandleNodes(func(ctx context.Context, _, _ string, _ packet.Args) (packet.Args, error) {
			<-ctx.Done()
			return packet.Args{}, ctx.Err()
		})
		for range 1000 {
			if err := nodes[0].sp.TellNodes("busy", packet.Args{}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		_, err := nodes[0].sp.CountAll(context.Background(), hub.Address{})
		wantPartial(t, err, nil, "node2")
		time.Sleep(time.Minute)
		if n, err := nodes[0].sp.CountAll(context.Background(), hub.Address{}); n != 1 || err != nil {
			t.Errorf("%d members, %v, when it is free again", n, err)
		}
	})
}

// A lateEngine has something happen when it is asked for the nodes.
type lateEngine struct {
	hub.Engine
	after func()
}

func (e *lateEngine) Nodes() map[string][]byte {
	nodes := e.Engine.Nodes()
	if f := e.after; f != nil {
		e.after = nil
		f()
	}
	return nodes
}

// TestNodeLeavesMeanwhile: a node that leaves while a question is being put to it
// is not waited for.
func TestNodeLeavesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := hubtest.NewCluster(testLease)
		late := &lateEngine{Engine: service.Node()}
		h := hub.New(hub.Config{Engine: late})
		defer h.Close()
		other := newest(t, service, nil)
		defer other.hub.Close()
		if err := errors.Join(h.Space("/").Err(), other.sp.Err()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		late.after = func() {
			service.Cut(other.engine)
			time.Sleep(2 * testLease)
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := h.Space("/").CountAll(ctx, hub.Address{})
		wantPartial(t, err, nil, "node2")
		if ctx.Err() != nil {
			t.Error("it was waited for")
		}
	})
}

// TestCallAfterClose: who calls when the hub is closed is not left waiting.
func TestCallAfterClose(t *testing.T) {
	amongOthers(t, hub.Config{}, func(t *testing.T, _ *hubtest.Cluster, nodes []*clusterNode) {
		nodes[0].hub.Close()
		c := hub.NewCall()
		if _, err := nodes[0].sp.Publish(context.Background(), &hub.Message{Event: "vote", Call: c}, hub.Address{}); err != nil {
			return // that would do
		}
		if got, err := collect(context.Background(), c); len(got) > 0 || err == nil {
			t.Errorf("got %q, %v", got, err)
		}
		c.Close()
	})
}

// An absentEngine does not answer, but for the joining, while it is away.
type absentEngine struct {
	hub.Engine
	away  atomic.Bool
	tries atomic.Int32
}

func (e *absentEngine) Open(ctx context.Context, namespace string, m *hub.Memory, f hub.Follower) (hub.Line, error) {
	e.tries.Add(1)
	if !e.away.Load() {
		return e.Engine.Open(ctx, namespace, m, f)
	}
	<-ctx.Done()
	return nil, errors.Join(hub.ErrUnavailable, ctx.Err())
}

// TestAwayAtOnce: many who find that the engine does not answer wait for it
// together, not one after another; and are let in when it does. It is not in a
// bubble, whose time does not pass while anybody waits for a mutex.
func TestAwayAtOnce(t *testing.T) {
	e := &absentEngine{Engine: hubtest.NewCluster(testLease).Node()}
	h := hub.New(hub.Config{Engine: e, EnginePatience: 200 * time.Millisecond, Memory: func(string) *hub.Memory { return new(hub.Memory) }})
	defer h.Close()
	if err := h.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	enter := func() error {
		r := new(reader)
		r.room.Store(1 << 20)
		_, err := h.Space("/").EnterSession(context.Background(), r, hub.Arrival{Name: "own"})
		return err
	}
	e.away.Store(true)
	const many = 100
	var wg sync.WaitGroup
	for range many {
		wg.Go(func() {
			if err := enter(); !errors.Is(err, hub.ErrUnavailable) {
				t.Errorf("a member of an engine that is away: %v", err)
			}
		})
	}
	wg.Wait()
	if n := e.tries.Load(); n > many/2 {
		t.Errorf("%d have tried %d times, one after another", many, n)
	}
	e.away.Store(false)
	if err := enter(); err != nil {
		t.Error(err)
	}
}
