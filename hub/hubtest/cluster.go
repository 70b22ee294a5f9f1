package hubtest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// A Cluster is a service in memory, whose engines are nodes of one process: for
// tests of what uses engines. It passes the suite, and does on demand what
// others do when they are unlucky. It is safe for concurrent use.
type Cluster struct {
	lease time.Duration
	clock func() time.Time

	mu     sync.Mutex
	life   int // grows with every Wipe
	born   int // nodes there ever were
	spaces map[string]*sharedSpace
	alive  map[string][]byte // nodes with a lease, and what they say of themselves
	nodes  []*clusterEngine
}

var _ Service = (*Cluster)(nil)

// NewCluster returns a service without nodes, whose leases last that long.
func NewCluster(lease time.Duration) *Cluster {
	return &Cluster{lease: lease, clock: time.Now, spaces: make(map[string]*sharedSpace), alive: make(map[string][]byte)}
}

// Node returns the engine of a node that begins its life.
func (c *Cluster) Node() hub.Engine {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.born++
	e := &clusterEngine{
		c: c, name: fmt.Sprint("node", c.born), known: make(map[string][]byte),
		wake: make(chan struct{}, 1), ended: make(chan struct{}), rng: rand.New(rand.NewPCG(uint64(c.born), 1)),
	}
	c.nodes = append(c.nodes, e)
	return e
}

// Cut ends the connections of a node.
func (c *Cluster) Cut(node hub.Engine) {
	e := node.(*clusterEngine)
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.cut || e.closed {
		return
	}
	e.cut = true
	e.disconnectLocked()
	e.lease = time.AfterFunc(c.lease, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if e.cut {
			c.buryLocked(e)
		}
	})
	e.queueLocked(func() { e.peer.Reached(hub.ErrUnavailable) })
	e.tellLocked()
}

// Mute loses what the service says to a node.
func (c *Cluster) Mute(node hub.Engine) {
	e := node.(*clusterEngine)
	c.mu.Lock()
	defer c.mu.Unlock()
	e.mute = true
	e.disconnectLocked()
}

// Mend connects a node again.
func (c *Cluster) Mend(node hub.Engine) {
	e := node.(*clusterEngine)
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.closed {
		return
	}
	if e.cut {
		e.lease.Stop()
		e.queueLocked(func() { e.peer.Reached(nil) })
	}
	e.cut, e.mute = false, false
	if e.peer != nil {
		c.alive[e.name] = e.about
	}
	c.introduceLocked()
	e.tellLocked()
}

// Restart loses what is under way.
func (c *Cluster) Restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.nodes {
		e.disconnectLocked()
	}
}

// Wipe loses everything.
func (c *Cluster) Wipe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.life++
	for name, s := range c.spaces {
		c.spaces[name] = c.newSpace(name, s.window)
	}
	for _, e := range c.nodes {
		e.disconnectLocked()
		e.tellLocked()
	}
}

// Slow has everything between a node and the service take up to that long,
// each time anew.
func (c *Cluster) Slow(node hub.Engine, most time.Duration) {
	e := node.(*clusterEngine)
	c.mu.Lock()
	defer c.mu.Unlock()
	e.slow = most
}

// buryLocked ends a node's lease.
func (c *Cluster) buryLocked(e *clusterEngine) {
	delete(c.alive, e.name)
	c.introduceLocked()
}

// introduceLocked has all nodes that are connected know who is there.
func (c *Cluster) introduceLocked() {
	for _, e := range c.nodes {
		if e.peer == nil || e.cut || e.mute || e.closed {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(e.known)) {
			if _, here := c.alive[name]; !here {
				delete(e.known, name)
				e.queueLocked(func() { e.peer.Left(name) })
			}
		}
		for _, name := range slices.Sorted(maps.Keys(c.alive)) {
			if _, known := e.known[name]; known || name == e.name {
				continue
			}
			about := bytes.Clone(c.alive[name])
			e.known[name] = about
			e.queueLocked(func() { e.peer.Came(name, about) })
		}
	}
}

// A sharedSpace is what the service has of a namespace.
type sharedSpace struct {
	epoch    string
	window   time.Duration
	log      hub.Log // of the messages and histories
	last     hub.Position
	tape     []taped
	ids      map[idKey]taped
	sessions map[string]*sharedRecord
}

// taped is where a message is, and for whom.
type taped struct {
	at    hub.Position
	time  time.Time
	rooms []string
}

type idKey struct{ publisher, id string }

type sharedRecord struct {
	generation uint64
	node       string
	body       []byte
	until      time.Time
}

func (c *Cluster) newSpace(namespace string, window time.Duration) *sharedSpace {
	log, err := hub.NewMemoryStore().Open(namespace)
	if err != nil {
		panic(err) // it is the store's first
	}
	return &sharedSpace{
		epoch: fmt.Sprint("life", c.life), window: window, log: log, last: 1,
		ids: make(map[idKey]taped), sessions: make(map[string]*sharedRecord),
	}
}

// commit applies a batch.
func (s *sharedSpace) commit(node string, b *hub.SharedBatch, now time.Time) {
	for _, m := range b.Messages {
		s.write(m, now)
	}
	for _, r := range b.Sessions {
		r.Err = s.put(node, r, now)
	}
	if len(b.Erase) > 0 {
		b.EraseErr = s.log.Commit(&hub.Batch{Erase: b.Erase})
	}
	s.trim(now)
}

func (s *sharedSpace) write(m *hub.SharedMessage, now time.Time) {
	k := idKey{m.Publisher, m.ID}
	if first, ok := s.ids[k]; ok && m.ID != "" && now.Sub(first.time) <= s.window {
		m.Position, m.Time, m.Repeated, m.Err = first.at, first.time, true, nil
		return
	}
	s.last += 1 + s.last%3 // positions may skip numbers
	m.Position, m.Time, m.Repeated = s.last, now, false
	t := taped{s.last, now, slices.Clone(m.Rooms)}
	if m.ID != "" {
		s.ids[k] = t
	}
	s.tape = append(s.tape, t)
	m.Err = s.log.Commit(&hub.Batch{Messages: []hub.NewMessage{{Position: s.last, Time: now, Body: m.Body, Histories: m.Histories}}})
}

func (s *sharedSpace) put(node string, r *hub.SharedSession, now time.Time) error {
	old := s.sessions[r.ID]
	if old != nil && now.Before(old.until) && (old.generation > r.Generation || old.generation == r.Generation && old.node != node) {
		return hub.ErrFenced
	}
	if r.Body == nil {
		delete(s.sessions, r.ID)
		return nil
	}
	s.sessions[r.ID] = &sharedRecord{r.Generation, node, bytes.Clone(r.Body), now.Add(r.Keep)}
	return nil
}

// session returns a record that has not been forgotten.
func (s *sharedSpace) session(id string, now time.Time) *hub.SharedSession {
	r := s.sessions[id]
	if r == nil || !now.Before(r.until) {
		return nil
	}
	return &hub.SharedSession{ID: id, Generation: r.generation, Body: bytes.Clone(r.body), Keep: r.until.Sub(now)}
}

// trim forgets what is older than the window.
func (s *sharedSpace) trim(now time.Time) {
	n := 0
	for n < len(s.tape) && now.Sub(s.tape[n].time) > s.window {
		n++
	}
	if n > 0 {
		if err := s.log.Commit(&hub.Batch{Trim: s.tape[n-1].at}); err != nil {
			panic(err) // a log in memory fails by wrong positions only
		}
		s.tape = s.tape[n:]
	}
}

func (s *sharedSpace) state(now time.Time) hub.LogState {
	s.trim(now)
	return hub.LogState{Epoch: s.epoch, Last: s.last, Floor: s.log.State().Floor}
}

// read returns messages that are for everyone or one of some rooms, and up to
// where that is all.
func (s *sharedSpace) read(after hub.Position, limit int, in func(room string) bool) ([]hub.Stored, hub.Position, error) {
	all, err := s.log.Tape(after, 1<<30)
	if err != nil {
		return nil, 0, err
	}
	var list []hub.Stored
	for _, m := range all {
		if i := s.find(m.Position); len(s.tape[i].rooms) > 0 && !slices.ContainsFunc(s.tape[i].rooms, in) {
			continue
		}
		if list = append(list, m); len(list) == limit {
			return list, m.Position, nil
		}
	}
	return list, max(s.last, after), nil
}

func (s *sharedSpace) find(p hub.Position) int {
	i, _ := slices.BinarySearchFunc(s.tape, p, func(t taped, p hub.Position) int { return int(int64(t.at) - int64(p)) })
	return i
}
