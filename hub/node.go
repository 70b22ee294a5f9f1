package hub

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A node is a hub's part in a cluster: what its spaces share of the engine. All
// that has no context of its own waits for the engine within its patience.
type node struct {
	hub      *Hub
	engine   Engine
	patience time.Duration
	ctx      context.Context // of what has none of its own; it ends with the hub
	end      context.CancelFunc

	// Held while a line is opened or closed, so that a namespace has one at a
	// time. Nothing else is locked under it but what the engine locks.
	lines  sync.Mutex
	joined bool // guarded by lines

	streams   atomic.Uint64 // number of the last one of presence, see neighbour
	questions questions     // that it has put to the others
	answering answering     // what it does for theirs

	mu   sync.Mutex
	back chan struct{} // closed when the engine can be reached again; nil: nobody waits
}

const defaultPatience = 5 * time.Second

func newNode(h *Hub) *node {
	n := &node{hub: h, engine: h.cfg.Engine, patience: h.patience()}
	n.ctx, n.end = context.WithCancel(context.Background())
	n.questions.engine = n.engine
	return n
}

// Join takes part in the cluster of [Config.Engine]. Without it, the first space
// does. It fails with [ErrUnavailable] as long as the engine cannot be reached,
// and does nothing for a hub that is alone.
func (h *Hub) Join(ctx context.Context) error {
	if h.node == nil {
		return nil
	}
	h.node.lines.Lock()
	defer h.node.lines.Unlock()
	return h.node.joinLocked(ctx)
}

func (n *node) joinLocked(ctx context.Context) error {
	if n.joined {
		return nil
	}
	about := n.hub.cfg.About
	if later {
		about = laterAbout(about)
	}
	if err := n.engine.Join(ctx, (*peer)(n), about); err != nil {
		return fmt.Errorf("join the cluster: %w", err)
	}
	n.joined = true
	return nil
}

// Nodes returns the other nodes of the cluster, with what each says about
// itself, see [Config.About]. There are none for a hub that is alone.
func (h *Hub) Nodes() map[string][]byte {
	if h.node == nil {
		return nil
	}
	return h.node.engine.Nodes()
}

// Node returns the name of this node in this life, "" for a hub that is alone.
func (h *Hub) Node() string {
	if h.node == nil {
		return ""
	}
	return h.node.engine.Node()
}

// open opens the line of a namespace.
func (n *node) open(namespace string, m *Memory, f Follower) (Line, error) {
	ctx, cancel := n.patient()
	defer cancel()
	n.lines.Lock()
	defer n.lines.Unlock()
	if err := n.joinLocked(ctx); err != nil {
		return nil, err
	}
	return n.engine.Open(ctx, namespace, m, f)
}

// patient returns a context for what has none of its own.
func (n *node) patient() (context.Context, context.CancelFunc) {
	if n == nil {
		return context.Background(), func() {}
	}
	return context.WithTimeout(n.ctx, n.patience)
}

// away waits until the engine can be reached again, or a while, and says
// whether the hub goes on.
func (n *node) away() bool {
	n.mu.Lock()
	if n.back == nil {
		n.back = make(chan struct{})
	}
	back := n.back
	n.mu.Unlock()
	again := time.NewTimer(time.Second)
	defer again.Stop()
	select {
	case <-back:
	case <-again.C:
	case <-n.ctx.Done():
		return false
	}
	return true
}

// A peer is a node as the engine sees it.
type peer node

var _ Peer = (*peer)(nil)

// What nodes tell each other begins with its kind. What a node does not know, a
// later one says, and means nothing to it.
const (
	tellFence    = 'F' // a session's member has come back on another node
	tellQuestion = 'Q' // see others.go
	tellAnswer   = 'A' // a part of an answer to a question
	tellForget   = 'G' // a question that nobody waits for any more
	tellPresence = 'P' // see neighbours.go
)

func (p *peer) Told(from string, body []byte) {
	if len(body) == 0 {
		return
	}
	n, r := (*node)(p), &recordReader{rest: body[1:]}
	switch body[0] {
	case tellFence:
		n.fence(from, r)
	case tellQuestion:
		n.questioned(from, r)
	case tellAnswer:
		n.questions.answered(from, r)
	case tellPresence:
		n.toldPresence(from, r)
	case tellForget:
		if id := r.uvarint(); r.err == nil {
			n.answering.forget(askedBy{from, id})
		}
	}
}

// fence lets go of a session that has come back elsewhere.
func (n *node) fence(from string, r *recordReader) {
	namespace, id, generation := string(r.bytes()), string(r.bytes()), r.uvarint()
	if r.err != nil {
		return
	}
	if sp := n.hub.existing(namespace); sp != nil {
		sp.fenceBelow(from, id, generation)
	}
}

// existing returns the space of a namespace, nil if there is none.
func (h *Hub) existing(namespace string) *Space {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.spaces[namespace]
}

// tellFence has another node let go of a session.
func (n *node) tellFence(to, namespace, id string, generation uint64) {
	body := appendString([]byte{tellFence}, namespace)
	body = appendString(body, id)
	// It may be lost: the other node is told when it writes the session's record.
	_ = n.engine.Tell(to, binary.AppendUvarint(body, generation))
}

func (p *peer) Came(name string, about []byte) {
	if trace := p.hub.cfg.Trace.NodeCame; trace != nil {
		trace(name, about)
	}
	if later {
		(*node)(p).sayLater(name)
	}
	for sp := range p.hub.Spaces() {
		sp.order.post(func() { sp.presence.near.came(name) })
	}
}

func (p *peer) Left(name string) {
	n := (*node)(p)
	n.questions.left(name)
	n.answering.left(name)
	for sp := range n.hub.Spaces() {
		sp.order.post(func() { sp.presence.near.left(name) })
	}
	if trace := p.hub.cfg.Trace.NodeLeft; trace != nil {
		trace(name)
	}
}

func (p *peer) Reached(err error) {
	if trace := p.hub.cfg.Trace.Reached; trace != nil {
		trace(err)
	}
	if err != nil {
		return
	}
	for sp := range p.hub.Spaces() {
		sp.order.post(func() { sp.presence.near.reached() })
	}
	p.mu.Lock()
	back := p.back
	p.back = nil
	p.mu.Unlock()
	if back != nil {
		close(back)
	}
}
