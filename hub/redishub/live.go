package redishub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-rt/tutti/hub"
)

const (
	retryPause    = 20 * time.Millisecond
	retryPauseMax = time.Second
)

// Why a live connection is given up.
var (
	errSilent  = errors.New("no answer to the renewal of the lease")
	errUnknown = errors.New("the log is not what it was")
	errFuture  = errors.New("a message from the future")
)

// live keeps a live connection until the context ends.
func (e *Engine) live(ctx context.Context, p hub.Peer) {
	wait := retryPause
	for ctx.Err() == nil {
		l, err := e.connect(ctx, p)
		if err == nil {
			wait = retryPause
			e.setUp(p, l, nil)
			for err == nil {
				err = l.conn.step()
			}
		}
		if l != nil {
			l.conn.end(err)
			err = l.conn.err() // why it was ended, if it was from here
		}
		if ctx.Err() == nil {
			e.setUp(p, nil, err)
		}
		if !pause(ctx, wait) {
			return
		}
		wait = min(2*wait, retryPauseMax)
	}
}

// dial opens a connection, whose writer ends with it.
func (e *Engine) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	o := e.client.Options()
	nc, err := o.Dialer(ctx, o.Network, o.Addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := newConn(nc, e.cfg.Timeout, nil)
	e.wg.Go(c.write) // ends when the connection fails; Close waits
	return c, nil
}

// connect opens a live connection and brings all lines up to date.
func (e *Engine) connect(ctx context.Context, p hub.Peer) (*link, error) {
	c, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	l := &link{conn: c}
	c.release = context.AfterFunc(ctx, func() { c.fail(hub.ErrClosed) })
	if err := e.shake(c, e.client.Options(), false); err != nil {
		return l, err
	}
	l.client = e.renew(c)
	synced := false
	c.push = func(v value) { e.hear(c, p, v, synced) }
	if err := e.renewLease(c, p); err != nil {
		return l, err
	}
	lines := e.openLines()
	if err := e.enter(c, lines); err != nil {
		return l, err
	}
	heads, err := e.subscribe(c, lines)
	if err != nil {
		return l, err
	}
	synced = true // what comes now is after the heads
	for i, line := range lines {
		if err := line.fill(ctx, l, heads[i]); err != nil {
			return l, err
		}
	}
	c.nc.SetReadDeadline(time.Time{})
	return l, nil
}

// renew returns the client for a life of the server: another for each, whose
// connections are to that one.
func (e *Engine) renew(c *conn) *redis.Client {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.clientLife != c.life {
		e.client.Close() // its errors are those of connections to what is no more
		e.client = e.dialer.client()
		e.clientLife = c.life
	}
	return e.client
}

// openLines returns the lines, in the order in which they were opened.
func (e *Engine) openLines() []*line {
	e.mu.Lock()
	defer e.mu.Unlock()
	lines := make([]*line, 0, len(e.lines))
	for _, l := range e.lines {
		lines = append(lines, l)
	}
	slices.SortFunc(lines, func(a, b *line) int { return a.number - b.number })
	return lines
}

// enter has each line take part in what the log is now.
func (e *Engine) enter(c *conn, lines []*line) error {
	for _, l := range lines {
		if l.memory == nil {
			continue
		}
		v, err := c.answer(l.enterCommand(c, false)...)
		if err == nil {
			_, err = l.entered(c, v)
		}
		if err != nil {
			return fmt.Errorf("enter %s: %w", l.name, err)
		}
	}
	return nil
}

// subscribe has the connection hear what the lines listen to, and returns where
// their logs stand: what was published before that has not come, or comes before
// subscribe returns.
func (e *Engine) subscribe(c *conn, lines []*line) ([]hub.Position, error) {
	var refused error
	channels := []string{e.names.all, e.names.node + e.node}
	keys := []string{e.names.meta}
	for _, l := range lines {
		channels = l.channels(c, channels)
		keys = append(keys, l.names.meta)
	}
	c.change("SUBSCRIBE", channels, func(err error) { refused = errors.Join(refused, err) })
	v, err := c.eval(scriptHeads, keys)
	if err = errors.Join(refused, err); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	heads := make([]hub.Position, len(lines))
	texts := v.strings()
	if len(texts) != 2+2*len(lines) {
		return nil, fmt.Errorf("subscribe: %w: %d heads", errProtocol, len(texts))
	}
	for i, l := range lines {
		if l.memory == nil {
			continue
		}
		head, ok := parsePosition(texts[3+2*i])
		if !ok || texts[2+2*i] != l.State().Epoch {
			return nil, errUnknown
		}
		heads[i] = head
	}
	return heads, nil
}

// hear does what a push asks for. Before all lines are synced their messages are
// left alone: they will be read.
func (e *Engine) hear(c *conn, p hub.Peer, v value, synced bool) {
	if len(v.list) != 3 || string(v.list[0].text) != "message" {
		return
	}
	channel, payload := v.list[1].text, v.list[2].text
	if len(payload) == 0 {
		call(e.cfg.Trace.Ignored)
		return
	}
	e.targetsMu.RLock()
	t, of := e.targets[string(channel)]
	e.targetsMu.RUnlock()
	ok := true
	switch {
	case of:
		ok = t.line.hear(c, t, payload, synced)
	case string(channel) == e.names.all || string(channel) == e.names.node+e.node:
		ok = e.told(c, p, payload)
	}
	if !ok {
		call(e.cfg.Trace.Ignored)
	}
}

// told does what a node says to others.
func (e *Engine) told(c *conn, p hub.Peer, payload []byte) bool {
	switch payload[0] {
	case kindTell:
		node, body, ok := cutSender(payload[1:])
		if ok && node != e.node {
			e.news.put(func() { p.Told(node, body) }, len(payload))
		}
		return ok
	case kindJoined:
		if node := string(payload[1:]); node != e.node {
			e.beat(c, p)
		}
		return true
	case kindLeft:
		node := string(payload[1:])
		e.mu.Lock()
		_, known := e.nodes[node]
		delete(e.nodes, node)
		e.mu.Unlock()
		if known {
			e.news.put(func() { p.Left(node) }, 1)
		}
		return true
	}
	return false
}

// beats renews the lease until the context ends.
func (e *Engine) beats(ctx context.Context) {
	tick := time.NewTicker(e.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		e.mu.Lock()
		l, silent := e.up, e.beating
		e.mu.Unlock()
		switch {
		case l == nil:
		case silent:
			l.conn.fail(errSilent)
		default:
			l.conn.beat()
		}
	}
}

// renewLease is the first beat of a connection.
func (e *Engine) renewLease(c *conn, p hub.Peer) error {
	c.beat = func() { e.beat(c, p) }
	v, err := c.answer(e.beatCommand(c)...)
	if err == nil {
		err = e.meet(p, v, false)
	}
	return err
}

func (e *Engine) beatCommand(c *conn) []string {
	return c.call(scriptBeat, []string{e.names.meta}, e.node, strconv.FormatInt(e.cfg.Lease.Milliseconds(), 10), e.about, e.names.all)
}

// beat renews the lease and asks where the logs stand. One is under way at a
// time, and one may follow.
func (e *Engine) beat(c *conn, p hub.Peer) {
	e.mu.Lock()
	again := e.beating
	e.beating, e.again = true, again
	e.mu.Unlock()
	if again {
		return
	}
	c.ask(func(v value, err error) {
		e.mu.Lock()
		again := e.again
		full := e.up != nil && time.Since(e.since) > e.cfg.Lease
		e.beating, e.again = false, false
		e.mu.Unlock()
		if err == nil {
			err = e.meet(p, v, full)
		}
		if err != nil {
			c.fail(err)
		} else if again {
			e.beat(c, p)
		}
	}, e.beatCommand(c)...)
	for _, l := range e.openLines() {
		if l.memory != nil {
			l.look(c)
		}
	}
}

// meet takes the list of nodes whose leases have not ended. Others than those are
// gone if the list is full, which it is not when all have lost their leases
// because the server was away.
func (e *Engine) meet(p hub.Peer, v value, full bool) error {
	texts := v.strings()
	if len(texts) < 2 || len(texts)%2 != 0 || texts[0] != "ok" {
		return fmt.Errorf("%w: answer to a lease", errProtocol)
	}
	now, err := strconv.ParseInt(texts[1], 10, 64)
	if err != nil {
		return fmt.Errorf("%w: time %q", errProtocol, texts[1])
	}
	e.ahead.Store(now - time.Now().UnixMilli())
	there := make(map[string]bool)
	var news []func()
	e.mu.Lock()
	for i := 2; i < len(texts); i += 2 {
		node, about := texts[i], []byte(texts[i+1])
		there[node] = true
		if _, known := e.nodes[node]; !known && node != e.node {
			e.nodes[node] = about
			news = append(news, func() { p.Came(node, about) })
		}
	}
	for node := range e.nodes {
		if full && !there[node] {
			delete(e.nodes, node)
			news = append(news, func() { p.Left(node) })
		}
	}
	e.mu.Unlock()
	for _, f := range news {
		e.news.put(f, 1)
	}
	return nil
}

// serverTime is the time as the server has it, as far as it is known.
func (e *Engine) serverTime() time.Time {
	return time.Now().Add(time.Duration(e.ahead.Load()) * time.Millisecond)
}
