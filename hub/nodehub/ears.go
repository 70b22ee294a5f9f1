package nodehub

import (
	"context"
	"errors"
	"iter"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// silence is how long the connection that hears may have nothing to say before
// it is asked whether it is alive, and again before it is given up.
const silence = 5 * time.Second

var errSilent = errors.New("nodehub: Redis does not answer")

// A source is what is subscribed to.
type source struct {
	kind byte // of the sources below
	name string
}

// The kinds of sources.
const (
	ofPattern = 'p'
	ofChannel = 'c'
	ofShard   = 's'
)

// A hearer gets what comes from a source, until it is over. It must not wait.
type hearer interface {
	hear(channel string, body string)
	over() bool
}

// A subscription is a source that somebody wants to hear.
type subscription struct {
	hearers []hearer
	open    chan struct{} // closed when Redis has confirmed it
}

// ears are the one connection by which everything is heard that is published.
type ears struct {
	cluster *Cluster

	mu     sync.Mutex
	wanted map[source]*subscription
	by     map[hearer]map[source]bool // who wants what
	sub    *redis.PubSub              // nil: it is being made
	down   chan struct{}              // closed while Redis is known to be away
}

func newEars(c *Cluster) *ears {
	return &ears{cluster: c, wanted: make(map[source]*subscription), by: make(map[hearer]map[source]bool), down: make(chan struct{})}
}

// want has a hearer hear sources. It returns at once.
func (e *ears) want(h hearer, sources ...source) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h.over() {
		return
	}
	if e.by[h] == nil {
		e.by[h] = make(map[source]bool)
	}
	var fresh []source
	for _, s := range sources {
		e.by[h][s] = true
		x := e.wanted[s]
		if x == nil {
			x = &subscription{open: make(chan struct{})}
			e.wanted[s] = x
			fresh = append(fresh, s)
		}
		if !slices.Contains(x.hearers, h) {
			x.hearers = append(slices.Clip(x.hearers), h)
		}
	}
	if e.sub != nil {
		e.changeLocked(true, fresh)
	}
}

// await waits until sources are heard, or the context ends, or Redis is away.
func (e *ears) await(ctx context.Context, sources ...source) {
	for _, s := range sources {
		e.mu.Lock()
		x := e.wanted[s]
		if x == nil {
			e.mu.Unlock()
			continue
		}
		open, down := x.open, e.down
		e.mu.Unlock()
		select {
		case <-open:
		case <-down:
			return
		case <-ctx.Done():
			return
		}
	}
}

// ignore ends what want began.
func (e *ears) ignore(h hearer, sources ...source) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ignoreLocked(h, slices.Values(sources))
}

// leave ends all that a hearer wanted, which is over.
func (e *ears) leave(h hearer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ignoreLocked(h, maps.Keys(e.by[h]))
	delete(e.by, h)
}

func (e *ears) ignoreLocked(h hearer, sources iter.Seq[source]) {
	var gone []source
	for s := range sources {
		delete(e.by[h], s)
		x := e.wanted[s]
		if x == nil {
			continue
		}
		x.hearers = slices.DeleteFunc(slices.Clone(x.hearers), func(o hearer) bool { return o == h })
		if len(x.hearers) == 0 {
			delete(e.wanted, s)
			gone = append(gone, s)
		}
	}
	if e.sub != nil {
		e.changeLocked(false, gone)
	}
}

// changeLocked subscribes or unsubscribes. What fails is done anew with the
// connection, whose reader notices.
func (e *ears) changeLocked(on bool, sources []source) {
	names := make(map[byte][]string)
	for _, s := range sources {
		names[s.kind] = append(names[s.kind], s.name)
	}
	ctx, cancel := context.WithTimeout(e.cluster.ctx, e.cluster.cfg.Timeout)
	defer cancel()
	for kind, list := range names {
		for part := range slices.Chunk(list, 500) {
			_ = command(e.sub, kind, on)(ctx, part...)
		}
	}
}

// command is that of a kind of source.
func command(sub *redis.PubSub, kind byte, on bool) func(context.Context, ...string) error {
	switch {
	case kind == ofPattern && on:
		return sub.PSubscribe
	case kind == ofPattern:
		return sub.PUnsubscribe
	case kind == ofShard && on:
		return sub.SSubscribe
	case kind == ofShard:
		return sub.SUnsubscribe
	case on:
		return sub.Subscribe
	}
	return sub.Unsubscribe
}

// listen hears until the cluster is closed.
func (e *ears) listen() {
	c := e.cluster
	wait, away := retryPause, false
	for c.ctx.Err() == nil {
		sub := c.client.Subscribe(c.ctx)
		err := sub.Ping(c.ctx)
		if err == nil {
			wait = retryPause
			if e.begin(sub); away {
				c.cfg.Log.Info("Redis of the Node cluster is back")
			}
			away = false
			if c.cfg.Trace.Connected != nil {
				c.cfg.Trace.Connected()
			}
			err = e.receive(sub)
		}
		e.cease()
		_ = sub.Close() // of a connection that has failed, or ends
		if c.ctx.Err() != nil {
			return
		}
		if !away {
			c.cfg.Log.Warn("Redis of the Node cluster is away", "err", err)
			if c.cfg.Trace.Lost != nil {
				c.cfg.Trace.Lost(err)
			}
		}
		away = true
		if !c.pause(wait) {
			return
		}
		wait = min(2*wait, retryPauseMax)
	}
}

// begin subscribes to all that is wanted.
func (e *ears) begin(sub *redis.PubSub) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sub = sub
	select {
	case <-e.down:
		e.down = make(chan struct{})
	default:
	}
	all := make([]source, 0, len(e.wanted))
	for s := range e.wanted {
		all = append(all, s)
	}
	e.changeLocked(true, all)
}

// cease notes that nothing is heard.
func (e *ears) cease() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sub = nil
	select {
	case <-e.down:
	default:
		close(e.down)
	}
	for _, x := range e.wanted {
		select {
		case <-x.open:
			x.open = make(chan struct{})
		default:
		}
	}
}

// receive hands on what comes until the connection fails.
func (e *ears) receive(sub *redis.PubSub) error {
	asked := false
	for {
		if e.cluster.ctx.Err() != nil { // it was closed before this connection was known
			return e.cluster.ctx.Err()
		}
		v, err := sub.ReceiveTimeout(e.cluster.ctx, silence)
		if err != nil {
			if t, ok := errors.AsType[net.Error](err); !ok || !t.Timeout() || e.cluster.ctx.Err() != nil {
				return err
			}
			if asked {
				return errSilent
			}
			if err := sub.Ping(e.cluster.ctx); err != nil {
				return err
			}
			asked = true
			continue
		}
		asked = false
		switch v := v.(type) {
		case *redis.Subscription:
			e.confirmed(v)
		case *redis.Message:
			e.heard(v)
		}
	}
}

func (e *ears) confirmed(v *redis.Subscription) {
	kind, ok := map[string]byte{"psubscribe": ofPattern, "subscribe": ofChannel, "ssubscribe": ofShard}[v.Kind]
	if !ok {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if x := e.wanted[source{kind, v.Channel}]; x != nil {
		select {
		case <-x.open:
		default:
			close(x.open)
		}
	}
}

func (e *ears) heard(m *redis.Message) {
	e.mu.Lock()
	var hearers []hearer
	if m.Pattern != "" {
		if x := e.wanted[source{ofPattern, m.Pattern}]; x != nil {
			hearers = x.hearers
		}
	} else {
		for _, kind := range []byte{ofChannel, ofShard} { // a cluster has one kind of them
			if x := e.wanted[source{kind, m.Channel}]; x != nil {
				hearers = x.hearers
			}
		}
	}
	e.mu.Unlock()
	for _, h := range hearers {
		h.hear(m.Channel, m.Payload)
	}
}

// close ends the connection that is.
func (e *ears) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sub != nil {
		_ = e.sub.Close() // its reader notices
	}
}
