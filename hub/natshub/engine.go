package natshub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
)

// An Engine is a node's part in a cluster. Its methods may be called
// concurrently.
type Engine struct {
	cfg    Config
	site   *site
	node   string
	names  clusterNames
	wg     sync.WaitGroup
	ended  chan struct{} // closed by Close
	stop   context.CancelFunc
	about  []byte
	serial atomic.Uint64 // of what this node writes
	// importing is the id of the import that this is, "" for a node.
	importing string
	news      *feed[func()]

	mu      sync.Mutex
	up      *link         // nil while the server is away
	changed chan struct{} // closed when up changes
	since   time.Time     // when up changed last
	reason  error         // why it is away
	joined  bool
	closed  bool
	others  []string // servers of the cluster that it has told of
	lines   map[string]*line
	opened  int // lines that were
	nodes   map[string]*neighbour
	said    uint64    // the number of the last beat
	heard   uint64    // the last that came back
	awake   time.Time // when others' leases were looked at last
}

var _ hub.Engine = (*Engine)(nil)

// A neighbour is another node.
type neighbour struct {
	about []byte
	heard time.Time
}

// Open looks at the server and returns an engine that has not joined. It tries
// until the context ends if the server cannot be reached, and returns a
// [*RefusedError] if it can but must not be used.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := readURL(cfg)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg: cfg, site: s, node: "n" + rand.Text()[:15], names: newClusterNames(cfg.Cluster),
		ended: make(chan struct{}), changed: make(chan struct{}),
		lines: make(map[string]*line), nodes: make(map[string]*neighbour),
		reason: errNotJoined, since: time.Now(),
	}
	if err := e.look(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

var errNotJoined = errors.New("not joined yet")

// look finds out whether the server may be used.
func (e *Engine) look(ctx context.Context) error {
	warned := false
	for {
		l, err := e.dial(ctx)
		if err == nil {
			run, stop := context.WithCancel(ctx)
			e.wg.Go(func() { e.read(l, nil) }) // ends with the link, a few lines below
			err = e.check(run, l, true)
			stop()
			l.end(hub.ErrClosed)
			e.wg.Wait()
		}
		var refused *RefusedError
		if err == nil || errors.As(err, &refused) || errors.Is(err, nats.ErrAuthorization) || errors.Is(err, ErrTaken) {
			return err
		}
		if !warned {
			warned = true
			e.cfg.Log.Warn("NATS cannot be reached yet", "err", err)
		}
		if !pause(ctx, retryPause) {
			return fmt.Errorf("%w: %w", hub.ErrUnavailable, err)
		}
	}
}

// urls are those of the configuration, and of other servers of the cluster.
func (e *Engine) urls() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append(slices.Clone(e.site.urls), e.others...)
}

// learn remembers the other servers of the cluster. They are told without the
// password that they want, too.
func (e *Engine) learn(discovered []string) {
	var others []string
	for _, text := range discovered {
		if u, err := url.Parse(text); err == nil {
			u.User = e.site.user
			others = append(others, u.String())
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.others = others
}

// nonce names something that is written.
func (e *Engine) nonce() string {
	return e.node + "." + strconv.FormatUint(e.serial.Add(1), 36)
}

// Node names this node in this life.
func (e *Engine) Node() string { return e.node }

// Join takes part in the cluster. It waits for the server.
func (e *Engine) Join(ctx context.Context, p hub.Peer, about []byte) error {
	e.mu.Lock()
	if e.joined || e.closed {
		e.mu.Unlock()
		return fmt.Errorf("join: %w, or joined before", hub.ErrClosed)
	}
	e.joined, e.about = true, slices.Clone(about)
	run, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.news = newFeed(&e.wg, e.cfg.MaxPending, func(list []func()) {
		for _, f := range list {
			f()
		}
	})
	e.mu.Unlock()
	e.wg.Go(func() { e.live(run, p) })  // ends with Close, which waits
	e.wg.Go(func() { e.beats(run, p) }) // the same
	for {
		if _, err := e.await(ctx, true); err == nil || ctx.Err() != nil || errors.Is(err, hub.ErrClosed) {
			return err
		}
	}
}

// Nodes returns the other nodes.
func (e *Engine) Nodes() map[string][]byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	nodes := make(map[string][]byte, len(e.nodes))
	for node, n := range maps.All(e.nodes) {
		nodes[node] = slices.Clone(n.about)
	}
	return nodes
}

// Tell says something to a node, or to all.
func (e *Engine) Tell(node string, body []byte) error {
	subject := e.names.all()
	if node != "" {
		subject = e.names.node(token(node))
	}
	return e.say(subject, append(appendSaid(kindTell, e.node, len(body)), body...))
}

// say publishes to other nodes.
func (e *Engine) say(subject string, payload []byte) error {
	e.mu.Lock()
	l, closed, reason := e.up, e.closed, e.reason
	e.mu.Unlock()
	if closed {
		return hub.ErrClosed
	}
	if l == nil {
		return fmt.Errorf("%w: %w", hub.ErrUnavailable, reason)
	}
	if err := l.say(subject, payload); err != nil {
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
	l, news, stop := e.up, e.news, e.stop
	e.mu.Unlock()
	for _, line := range e.openLines() {
		line.Close()
	}
	if news != nil {
		news.close()
	}
	if l != nil {
		_ = l.say(e.names.all(), appendSaid(kindLeft, e.node, 0)) // if that is quick: the lease ends by itself
		_ = l.nc.FlushTimeout(e.cfg.Timeout)
	}
	if stop != nil {
		stop()
	}
	e.wg.Wait()
	return nil
}

// openLines returns the lines, in the order in which they were opened.
func (e *Engine) openLines() []*line {
	e.mu.Lock()
	defer e.mu.Unlock()
	lines := slices.Collect(maps.Values(e.lines))
	slices.SortFunc(lines, func(a, b *line) int { return a.number - b.number })
	return lines
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
		case l != nil && l.failure() == nil:
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
	e.spareLocked(time.Now()) // nobody was heard meanwhile
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
		e.cfg.Log.Warn("NATS is away", "err", reason)
	} else {
		e.cfg.Log.Info("NATS is back")
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
