package redishub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-rt/tutti/hub"
)

// An Engine is a node's part in a cluster. Its methods may be called
// concurrently.
type Engine struct {
	cfg       Config
	node      string
	names     clusterNames
	dialer    *dialer
	wg        sync.WaitGroup
	ended     chan struct{} // closed by Close
	stop      context.CancelFunc
	about     string
	importing string       // the id of the import that this is for
	ahead     atomic.Int64 // how far the server's clock is, in ms
	news      *feed[func()]

	mu         sync.Mutex
	client     *redis.Client
	clientLife string        // of the server that the client is for
	up         *link         // nil while the server is away
	changed    chan struct{} // closed when up changes
	since      time.Time     // when up changed last
	reason     error         // why it is away
	joined     bool          // Join was called
	met        bool          // and returned well
	closed     bool
	beating    bool // a lease's renewal is not answered
	again      bool // and another is to follow
	lines      map[string]*line
	opened     int // lines that were
	nodes      map[string][]byte

	targetsMu sync.RWMutex
	targets   map[string]target
}

var _ hub.Engine = (*Engine)(nil)

// A link is what there is while the server can be reached.
type link struct {
	conn   *conn
	client *redis.Client // has connections to the same life of the server
}

// A target is what a channel is for.
type target struct {
	line *line
	room string
	all  bool // what comes says itself for which rooms it is
}

// Open looks at the server and returns an engine that has not joined. It tries
// until the context ends if the server cannot be reached, and returns a
// [*RefusedError] if it can but must not be used.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	d, err := newDialer(cfg)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg: cfg, dialer: d, client: d.client(), node: rand.Text()[:16],
		ended: make(chan struct{}), changed: make(chan struct{}),
		lines: make(map[string]*line), nodes: make(map[string][]byte), targets: make(map[string]target),
		reason: errNotJoined, since: time.Now(),
	}
	e.names = newClusterNames(cfg.Cluster, e.client.Options().DB)
	if err := e.look(ctx); err != nil {
		e.client.Close()
		return nil, err
	}
	return e, nil
}

var errNotJoined = errors.New("not joined yet")

// look finds out whether the server may be used.
func (e *Engine) look(ctx context.Context) error {
	warned := false
	for {
		c, err := e.dial(ctx)
		if err == nil {
			err = e.shake(c, e.client.Options(), true)
			c.end(hub.ErrClosed)
			e.wg.Wait()
		}
		var refused *RefusedError
		var said serverError
		if err == nil || errors.Is(err, ErrTaken) || errors.As(err, &refused) || errors.As(err, &said) && !transient(err) {
			return err
		}
		if !warned {
			warned = true
			e.cfg.Log.Warn("Redis cannot be reached yet", "err", err)
		}
		if !pause(ctx, retryPause) {
			return fmt.Errorf("%w: %w", hub.ErrUnavailable, err)
		}
	}
}

// Node names this node in this life.
func (e *Engine) Node() string { return e.node }

// Join takes part in the cluster. It waits for the server; if that takes too
// long, the engine goes on trying, and the next call waits for the same.
func (e *Engine) Join(ctx context.Context, p hub.Peer, about []byte) error {
	e.mu.Lock()
	if e.met || e.closed {
		e.mu.Unlock()
		return fmt.Errorf("join: %w, or joined before", hub.ErrClosed)
	}
	if e.joined {
		e.mu.Unlock()
		return e.awaitJoined(ctx)
	}
	e.joined, e.about = true, string(about)
	run, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.news = newFeed(&e.wg, e.cfg.MaxPending, func(list []func()) {
		for _, f := range list {
			f()
		}
	})
	e.mu.Unlock()
	e.wg.Go(func() { e.live(run, p) }) // ends with Close, which waits
	e.wg.Go(func() { e.beats(run) })   // the same
	return e.awaitJoined(ctx)
}

// awaitJoined waits for the server.
func (e *Engine) awaitJoined(ctx context.Context) error {
	for {
		_, err := e.await(ctx, true)
		if err == nil {
			e.mu.Lock()
			e.met = true
			e.mu.Unlock()
		}
		if err == nil || ctx.Err() != nil || errors.Is(err, hub.ErrClosed) {
			return err
		}
	}
}

// Nodes returns the other nodes.
func (e *Engine) Nodes() map[string][]byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.nodes)
}

// Tell says something to a node, or to all.
func (e *Engine) Tell(node string, body []byte) error {
	channel := e.names.all
	if node != "" {
		channel = e.names.node + node
	}
	return e.publish(channel, append(appendSender(make([]byte, 0, len(body)+len(e.node)+2), kindTell, e.node), body...))
}

func (e *Engine) publish(channel string, payload []byte) error {
	e.mu.Lock()
	l, closed, reason := e.up, e.closed, e.reason
	e.mu.Unlock()
	if closed {
		return hub.ErrClosed
	}
	if l == nil {
		return fmt.Errorf("%w: %w", hub.ErrUnavailable, reason)
	}
	if err := l.conn.publish(channel, payload); err != nil {
		return fmt.Errorf("%w: %w", hub.ErrUnavailable, err)
	}
	return nil
}

// Close gives up the lease and ends the lines.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		e.wg.Wait()
		return nil
	}
	e.closed = true
	close(e.ended)
	l, client, news, stop := e.up, e.client, e.news, e.stop
	lines := make([]*line, 0, len(e.lines))
	for _, line := range e.lines {
		lines = append(lines, line)
	}
	e.mu.Unlock()
	for _, line := range lines {
		line.Close()
	}
	if news != nil {
		news.close()
	}
	if l != nil {
		e.resign(l)
	}
	if stop != nil {
		stop()
	}
	e.wg.Wait()
	if err := client.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// resign gives up the lease, if that is quick: it ends by itself.
func (e *Engine) resign(l *link) {
	ctx, cancel := context.WithTimeout(context.Background(), e.cfg.Timeout)
	defer cancel()
	done := make(chan struct{})
	l.conn.ask(func(value, error) { close(done) }, l.conn.call(scriptBeat, []string{e.names.meta}, e.node, "0", "", e.names.all)...)
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// await returns the link, and waits for one while the context lasts: for as long
// as that if it is patient, else only in the beginning of an absence.
func (e *Engine) await(ctx context.Context, patient bool) (*link, error) {
	for {
		e.mu.Lock()
		l, changed, reason, closed := e.up, e.changed, e.reason, e.closed
		wait := e.cfg.Patience - time.Since(e.since)
		e.mu.Unlock()
		switch {
		case closed:
			return nil, hub.ErrClosed
		case l != nil && l.conn.err() == nil:
			return l, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%w: %w", hub.ErrUnavailable, reason)
		}
		var timer <-chan time.Time
		if !patient {
			if l == nil && wait <= 0 {
				return nil, fmt.Errorf("%w: %w", hub.ErrUnavailable, reason)
			}
			timer = time.After(max(wait, time.Millisecond))
		}
		select {
		case <-changed:
		case <-timer:
		case <-e.ended:
		case <-ctx.Done():
		}
	}
}

// setUp says that the server can be reached, or why not.
func (e *Engine) setUp(p hub.Peer, l *link, reason error) {
	e.mu.Lock()
	was := e.up
	if reason == nil {
		reason = errNotJoined
	}
	first := e.reason == errNotJoined && was == nil
	news := l != nil && was == nil && !first || l == nil && (was != nil || first)
	if l != nil || was != nil {
		e.since = time.Now()
	}
	e.up, e.reason = l, reason
	e.beating, e.again = false, false
	close(e.changed)
	e.changed = make(chan struct{})
	e.mu.Unlock()
	if l != nil {
		call(e.cfg.Trace.Connected)
	} else if was != nil && e.cfg.Trace.Lost != nil {
		e.cfg.Trace.Lost(reason)
	}
	if !news {
		return
	}
	var told error
	if l == nil {
		told = fmt.Errorf("%w: %w", hub.ErrUnavailable, reason)
		e.cfg.Log.Warn("Redis is away", "err", reason)
	} else {
		e.cfg.Log.Info("Redis is back")
	}
	e.news.put(func() { p.Reached(told) }, 1)
}

func call(f func()) {
	if f != nil {
		f()
	}
}

// pause waits and says whether the context lasts.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
