package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// chaosRooms are those that clients join, leave, and publish to.
var chaosRooms = []string{"r0", "r1", "r2", "r3"}

// A chaosRun is what happens to a cluster, and who was told what. Its clock
// counts calls and returns.
type chaosRun struct {
	*cluster
	sleep   func(time.Duration) // the bubble's
	clock   atomic.Int64
	clients []*client

	mu        sync.Mutex
	published []*publication
}

// A publication is a message whose publisher was told that it is published.
type publication struct {
	text             string
	rooms            []string
	called, returned int64
	position         hub.Position
}

// A client is who is connected now here, now there, and keeps what it gets.
type client struct {
	run    *chaosRun
	rng    *rand.Rand
	name   string
	ticket hub.Ticket
	since  int64             // when it came
	stays  map[string][]stay // by room
	diary  []string

	mu     sync.Mutex
	conn   *conn
	offset hub.Offset
	got    []receivedMessage
}

// A stay is when a client was in a room. The times are its calls'; when it has
// left for certain is not known.
type stay struct{ joining, joined, leaving int64 }

type receivedMessage struct {
	text     string
	position hub.Position
}

func (c *client) note(format string, args ...any) {
	c.diary = append(c.diary, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
}

const never = int64(1) << 62

// A conn is a client's connection to a node. What arrives on one that is not
// the client's any more is lost.
type conn struct {
	client  *client
	node    *clusterNode
	seat    atomic.Pointer[hub.Seat]
	room    atomic.Int64
	evicted atomic.Bool
}

func (k *conn) Deliver(m *hub.Message) {
	k.room.Add(-1)
	c := k.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != k || !m.Kept() {
		return
	}
	text, _ := m.Args.At(0).String()
	_, p, _ := hub.ParseOffset(m.Offset())
	c.got = append(c.got, receivedMessage{text, p})
	c.offset = m.Offset()
}

func (k *conn) Ready() bool { return k.room.Load() > 0 }

func (k *conn) Evicted(error) { k.evicted.Store(true) }

func (x *chaosRun) tick() int64 { return x.clock.Add(1) }

// brief is how long a client or publisher waits for an answer.
func brief() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 4*time.Second)
}

func transient(err error) bool {
	return errors.Is(err, hub.ErrUnavailable) || errors.Is(err, hub.ErrUnknown) || errors.Is(err, hub.ErrClosed)
}

// connect comes back, or comes for the first time, until it may.
func (c *client) connect() bool {
	for {
		n := c.run.any(c.rng)
		k := &conn{client: c, node: n}
		k.room.Store(int64(c.rng.IntN(30)))
		c.mu.Lock()
		c.conn = k // what comes next comes here
		offset := c.offset
		c.mu.Unlock()
		ctx, cancel := brief()
		var seat *hub.Seat
		var err error
		if c.ticket.Session == "" {
			seat, err = n.sp.EnterSession(ctx, k, hub.Arrival{Name: c.name, Welcome: func(t hub.Ticket) { c.ticket = t }})
		} else {
			seat, err = n.sp.ResumeSession(ctx, k, c.ticket.Session, offset, hub.Arrival{})
		}
		cancel()
		if err == nil {
			k.seat.Store(seat)
			c.note("sits on %s", n.engine.Node())
			return true
		}
		c.note("%s on %s: %v", c.ticket.Session, n.engine.Node(), err)
		if !transient(err) {
			c.run.t.Errorf("%s could not come back with %q: %v\n%s", c.name, offset, err, strings.Join(c.diary, "\n"))
			return false
		}
		<-time.After(time.Duration(c.rng.IntN(500)) * time.Millisecond)
	}
}

// live is a client's life until stop.
func (c *client) live(stop chan struct{}) {
	for here := c.connect(); here; {
		if c.since == 0 {
			c.since = c.run.tick()
		}
		select {
		case <-stop:
			return
		default:
		}
		<-time.After(time.Duration(c.rng.IntN(300)) * time.Millisecond)
		k := c.conn
		if c.run.isDead(k.node) || k.evicted.Load() {
			here = c.connect()
			continue
		}
		switch c.rng.IntN(8) {
		case 0:
			k.seat.Load().Close()
			here = c.connect()
		case 1: // half-open
			here = c.connect()
		case 2:
			c.join(k)
		case 3:
			c.leave(k)
		default:
			k.room.Add(int64(c.rng.IntN(40)))
			k.seat.Load().Resume()
		}
	}
}

func (c *client) join(k *conn) {
	room := chaosRooms[c.rng.IntN(len(chaosRooms))]
	if list := c.stays[room]; len(list) > 0 && list[len(list)-1].joined != never && list[len(list)-1].leaving == never {
		return
	}
	s := stay{c.run.tick(), never, never}
	if err := k.seat.Load().Join(room); err == nil {
		s.joined = c.run.tick()
	}
	// Else it may be in the room, or not: nothing is owed, and nothing wrong.
	c.stays[room] = append(c.stays[room], s)
}

func (c *client) leave(k *conn) {
	room := chaosRooms[c.rng.IntN(len(chaosRooms)-2)] // the last two are never left
	list := c.stays[room]
	if len(list) == 0 || list[len(list)-1].leaving != never {
		return
	}
	list[len(list)-1].leaving = c.run.tick()
	k.seat.Load().Leave(room) // it does not say whether that was written: it may be in the room yet
}

func (x *chaosRun) isDead(n *clusterNode) bool {
	x.cluster.mu.Lock()
	defer x.cluster.mu.Unlock()
	return n.dead
}

// publish publishes until it is told that it has, on one node or another.
func (x *chaosRun) publish(rng *rand.Rand, publisher string, n int) {
	p := &publication{text: fmt.Sprintf("%s.%d", publisher, n)}
	for range 1 + rng.IntN(2) {
		p.rooms = append(p.rooms, chaosRooms[rng.IntN(len(chaosRooms))])
	}
	if rng.IntN(10) == 0 {
		p.rooms = nil
	}
	p.called = x.tick()
	for {
		m := message(x.t, p.text)
		m.Publisher, m.ID = publisher, p.text
		ctx, cancel := brief()
		r, err := x.any(rng).sp.Publish(ctx, m, hub.Address{Rooms: p.rooms})
		cancel()
		if err == nil {
			p.returned = x.tick()
			_, p.position, _ = hub.ParseOffset(r.Offset)
			x.mu.Lock()
			x.published = append(x.published, p)
			x.mu.Unlock()
			return
		}
		if !transient(err) {
			x.t.Errorf("publish: %v", err)
			return
		}
		x.sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
	}
}

// harm does something to the cluster, and mends it.
func (x *chaosRun) harm(rng *rand.Rand) {
	n := x.any(rng)
	kind := rng.IntN(7)
	x.t.Logf("%s harm %d to %s", time.Now().Format("05.000"), kind, n.engine.Node())
	pause := func() { time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond) }
	switch kind {
	case 0, 1:
		x.service.Cut(n.engine)
		pause()
		x.service.Mend(n.engine)
	case 2:
		x.service.Mute(n.engine)
		pause()
		x.service.Mend(n.engine)
	case 3:
		x.service.Restart()
	case 4:
		x.service.Slow(n.engine, time.Duration(rng.IntN(100))*time.Millisecond)
	case 5: // kill -9
		x.start()
		x.kill(n)
	case 6: // a rolling restart
		x.start()
		x.cluster.mu.Lock()
		n.dead = true
		x.cluster.mu.Unlock()
		n.hub.Close()
	}
}

// TestClusterChaos: whatever happens to nodes, connections and the engine,
// clients receive what was acknowledged, all of it, once, in the order of the
// log, and come back to their sessions.
func TestClusterChaos(t *testing.T) {
	base, runs := rand.Uint64(), uint64(12)
	if testing.Short() {
		runs = 3
	}
	for i := range runs {
		if !t.Run(fmt.Sprint("seed ", base+i), func(t *testing.T) { chaos(t, base+i) }) {
			return
		}
	}
}

func chaos(t *testing.T, seed uint64) {
	const clients, publishers, each = 6, 3, 60
	size := []int64{1, 1000, 1 << 20}[seed%3]
	inCluster(t, 3, hub.Memory{MaxBytes: size}, func(t *testing.T, c *cluster) {
		x := &chaosRun{cluster: c, sleep: func(d time.Duration) { time.Sleep(d) }}
		var living, publishing, harming sync.WaitGroup
		stop, calm := make(chan struct{}), make(chan struct{})
		for i := range clients {
			k := &client{run: x, rng: rand.New(rand.NewPCG(seed, uint64(i))), name: fmt.Sprint("c", i), stays: make(map[string][]stay)}
			x.clients = append(x.clients, k)
			living.Go(func() { k.live(stop) })
		}
		for i := range publishers {
			publishing.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(100+i)))
				for n := range each {
					<-time.After(time.Duration(rng.IntN(500)) * time.Millisecond)
					x.publish(rng, fmt.Sprint("p", i), n)
				}
			})
		}
		harming.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 200))
			for {
				select {
				case <-calm:
					return
				default:
				}
				<-time.After(time.Duration(rng.IntN(2000)) * time.Millisecond)
				x.harm(rng)
			}
		})
		publishing.Wait()
		close(calm)
		harming.Wait()
		close(stop)
		living.Wait()
		x.finish()
		x.judge()
	})
}

// finish lets everybody come back and read to the end.
func (x *chaosRun) finish() {
	for _, k := range x.clients {
		if !k.connect() {
			continue
		}
		k.conn.room.Add(1 << 30)
		k.conn.seat.Load().Resume()
	}
	synctest.Wait()
	<-time.After(10 * time.Second)
}

func (x *chaosRun) judge() {
	texts := make(map[string]*publication)
	for _, p := range x.published {
		texts[p.text] = p
	}
	slices.SortFunc(x.published, func(p, q *publication) int { return int(p.returned - q.returned) })
	for i, p := range x.published {
		for _, q := range x.published[i+1:] {
			if p.returned < q.called && p.position >= q.position {
				x.t.Errorf("%s was acknowledged before %s was published, and is behind it", p.text, q.text)
			}
		}
	}
	for _, k := range x.clients {
		k.judge(texts)
		for _, p := range x.published {
			if k.isOwed(p) && !slices.ContainsFunc(k.got, func(r receivedMessage) bool { return r.text == p.text }) {
				x.t.Errorf("%s did not receive %s of %q at %d", k.name, p.text, p.rooms, p.position)
			}
		}
	}
}

// judge looks at what the client has received.
func (c *client) judge(texts map[string]*publication) {
	var last hub.Position
	for _, r := range c.got {
		p := texts[r.text]
		if p == nil || p.position != r.position {
			c.run.t.Errorf("%s received %s at %d, published: %+v", c.name, r.text, r.position, p)
			continue
		}
		if r.position <= last {
			c.run.t.Errorf("%s received %s at %d after %d", c.name, r.text, r.position, last)
		}
		last = r.position
		may := len(p.rooms) == 0
		for _, room := range p.rooms {
			may = may || slices.ContainsFunc(c.stays[room], func(s stay) bool { return s.joining < p.returned })
		}
		if !may {
			c.run.t.Errorf("%s received %s of %q, where it was not", c.name, r.text, p.rooms)
		}
	}
}

// isOwed says whether the client was in one of the rooms for certain.
func (c *client) isOwed(p *publication) bool {
	return slices.ContainsFunc(p.rooms, func(room string) bool {
		return slices.ContainsFunc(c.stays[room], func(s stay) bool { return s.joined < p.called && s.leaving == never })
	}) || len(p.rooms) == 0 && c.since < p.called
}
