package redishub

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// A line is a node's part in a namespace.
type line struct {
	e        *Engine
	name     string
	number   int
	names    names
	memory   *hub.Memory // nil: none
	follower hub.Follower
	feed     *feed[event]
	ended    chan struct{}

	mu     sync.Mutex
	closed bool
	rooms  map[string]*conn // that are listened to, and where that was said
	epoch  string           // "" before it was entered
	life   string           // of the server when it was entered last
	gaps   []gap            // times in which nothing was published
	start  hub.Position     // of the epoch, or later: nothing up to it can be read
	head   hub.Position     // the last that was put into feed
	known  hub.Position     // the last that anybody here knows of: of what was committed, too
	asking *conn            // on which it was asked where the log stands
	next   []waiter         // for the answer to the question after that
	slots  []*slot          // that no commit has
	made   int              // slots there are
	moved  *moved           // where positions are of a log of before, nil: it was not imported
}

var _ hub.Line = (*line)(nil)

// A waiter waits until what was published before is handed on.
type waiter func(hub.Position, error)

// Open takes part in a namespace.
func (e *Engine) Open(ctx context.Context, namespace string, memory *hub.Memory, f hub.Follower) (hub.Line, error) {
	l := &line{
		e: e, name: namespace, names: e.names.space(e.cfg.Cluster, namespace), memory: memory, follower: f,
		ended: make(chan struct{}), rooms: make(map[string]*conn),
	}
	l.feed = newFeed(&e.wg, e.cfg.MaxPending, l.hand)
	e.mu.Lock()
	switch {
	case e.closed:
		e.mu.Unlock()
		return nil, hub.ErrClosed
	case e.lines[namespace] != nil:
		e.mu.Unlock()
		return nil, fmt.Errorf("open %s: already open", namespace)
	}
	e.opened++
	l.number = e.opened
	e.lines[namespace] = l
	e.mu.Unlock()
	e.aim(l.names.all, target{line: l, all: true})
	if err := l.introduce(ctx); err != nil {
		l.Close()
		return nil, fmt.Errorf("open %s: %w", namespace, err)
	}
	return l, nil
}

// aim says whom a channel is for.
func (e *Engine) aim(channel string, t target) {
	e.targetsMu.Lock()
	defer e.targetsMu.Unlock()
	e.targets[channel] = t
}

func (e *Engine) forget(channels ...string) {
	e.targetsMu.Lock()
	defer e.targetsMu.Unlock()
	for _, c := range channels {
		delete(e.targets, c)
	}
}

// introduce enters the line and has it hear what is for everyone. A reconnection
// meanwhile does the same.
func (l *line) introduce(ctx context.Context) error {
	began := time.Now()
	for {
		link, err := l.e.await(ctx, true)
		if err != nil {
			return err
		}
		waits := false
		if l.memory != nil {
			entered := make(chan error, 1)
			others := len(l.e.Nodes()) > 0 && time.Since(began) < l.e.cfg.Lease
			link.conn.ask(func(v value, err error) {
				if err == nil {
					waits, err = l.entered(link.conn, v)
				}
				entered <- err
			}, l.enterCommand(link.conn, others)...)
			err = <-entered // a connection that fails answers, too
		}
		if err == nil && !waits && l.memory != nil {
			err = l.recallMove(ctx, link)
		}
		if err == nil && !waits {
			link.conn.change("SUBSCRIBE", []string{l.names.all}, func(err error) {
				if err != nil {
					link.conn.fail(err)
				}
			})
			if _, err = l.Listen(ctx); err == nil {
				return nil
			}
		}
		if !pause(ctx, 5*retryPause) {
			return fmt.Errorf("%w: %w", hub.ErrUnavailable, ctx.Err())
		}
	}
}

// enterCommand asks what the log is now. others: there are nodes that may come
// and know what was there before.
func (l *line) enterCommand(c *conn, others bool) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	flag := func(is bool) string {
		if is {
			return "1"
		}
		return "0"
	}
	seen := strconv.FormatUint(uint64(max(l.head, l.known)), 10)
	return c.call(scriptEnter, []string{l.names.meta}, l.epoch, l.life, seen, rand.Text()[:12], flag(!c.always), flag(others), l.names.all, l.e.node)
}

// entered takes the answer, or says that it is to be asked again later.
func (l *line) entered(c *conn, v value) (again bool, err error) {
	texts := v.strings()
	if len(texts) == 1 && texts[0] == "wait" {
		return true, nil
	}
	if len(texts) == 1 && texts[0] == "import" {
		return false, errImport
	}
	if len(texts) != 5 || texts[0] != "ok" || texts[1] == "" {
		return false, fmt.Errorf("%w: answer to entering", errProtocol)
	}
	head, ok := parsePosition(texts[2])
	start, ok2 := parsePosition(texts[3])
	now, err := strconv.ParseInt(texts[4], 10, 64)
	if !ok || !ok2 || err != nil {
		return false, fmt.Errorf("%w: positions %q and %q", errProtocol, texts[2], texts[3])
	}
	l.e.ahead.Store(now - time.Now().UnixMilli())
	l.mu.Lock()
	first := l.epoch == ""
	l.life = c.life
	if first {
		l.epoch, l.start, l.head, l.known = texts[1], start, head, head
	}
	l.mu.Unlock()
	if !first {
		l.begin(texts[1], start)
	}
	return false, nil
}

// begin begins an epoch, if it is another.
func (l *line) begin(epoch string, start hub.Position) {
	l.mu.Lock()
	if l.epoch == epoch || l.epoch == "" {
		l.mu.Unlock()
		return
	}
	l.epoch, l.start, l.head, l.known = epoch, start, start, start
	l.mu.Unlock()
	l.feed.put(event{kind: evLost, err: hub.ErrEpoch, at: start}, 1)
}

// channels appends those that the line hears, which c will subscribe to.
func (l *line) channels(c *conn, dst []string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return dst
	}
	dst = append(dst, l.names.all)
	for room := range l.rooms {
		l.rooms[room] = c
		dst = append(dst, l.names.room+room)
	}
	return dst
}

// State says where the log stands, as far as the node knows.
func (l *line) State() hub.LogState {
	keep := l.keep()
	l.mu.Lock()
	defer l.mu.Unlock()
	floor := min(l.head, placeOf(l.e.serverTime().Add(-keep)))
	for _, g := range l.gaps {
		if g.from < floor && floor < g.to {
			floor = g.from
		}
	}
	return hub.LogState{Epoch: l.epoch, Last: max(l.head, l.known), Floor: max(l.start, floor)}
}

// A gap is a time in which nothing was published, for long: messages came up to
// from, and then from to on.
type gap struct{ from, to hub.Position }

// readGaps reads those that the script of commits has written, as far as it can.
func readGaps(text string) (gaps []gap) {
	for one := range strings.SplitSeq(text, ",") {
		a, b, _ := strings.Cut(one, "-")
		from, ok := parsePosition(a)
		to, ok2 := parsePosition(b)
		if ok && ok2 {
			gaps = append(gaps, gap{from, to})
		}
	}
	return gaps
}

// keep is how long messages are kept: longer than members may come back.
func (l *line) keep() time.Duration {
	if l.memory == nil {
		return 0
	}
	return l.memory.Window + l.memory.Window/4
}

// Listen follows rooms, and waits for what was published before.
func (l *line) Listen(ctx context.Context, rooms ...string) (hub.Position, error) {
	type answer struct {
		at  hub.Position
		err error
	}
	for {
		link, err := l.e.await(ctx, false)
		if err != nil {
			return 0, err
		}
		answered := make(chan answer, 1)
		if err := l.listen(link.conn, rooms, func(at hub.Position, err error) { answered <- answer{at, err} }); err != nil {
			return 0, err
		}
		select {
		case a := <-answered:
			if a.err == nil {
				return a.at, nil
			}
		case <-l.ended:
			return 0, hub.ErrClosed
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: %w", hub.ErrUnavailable, ctx.Err())
		}
	}
}

func (l *line) listen(c *conn, rooms []string, w waiter) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return hub.ErrClosed
	}
	var channels []string
	for _, room := range rooms {
		if l.rooms[room] != c {
			l.rooms[room] = c
			channels = append(channels, l.names.room+room)
			l.e.aim(l.names.room+room, target{line: l, room: room})
		}
	}
	l.subscribeLocked(c, "SUBSCRIBE", channels)
	l.next = append(l.next, w)
	ask := l.asking != c
	if ask {
		l.asking = c
	}
	l.mu.Unlock()
	if ask {
		l.askNext(c)
	}
	return nil
}

// subscribeLocked puts what has to be in the order of the calls.
func (l *line) subscribeLocked(c *conn, command string, channels []string) {
	c.change(command, channels, func(err error) {
		if err != nil && c.err() == nil {
			c.fail(fmt.Errorf("%s: %w", command, err)) // reading goes on, so it is not a deadlock
		}
	})
}

// askNext asks where the log stands for those who wait.
func (l *line) askNext(c *conn) {
	l.mu.Lock()
	waiting := l.next
	l.next = nil
	l.mu.Unlock()
	tell := func(at hub.Position, err error) {
		for _, w := range waiting {
			w(at, err)
		}
	}
	answered := func(v value, err error) {
		if err == nil {
			err = l.stands(c, v, tell)
		}
		if err != nil {
			tell(0, err)
		}
		l.mu.Lock()
		more := len(l.next) > 0 && l.asking == c
		if !more && l.asking == c {
			l.asking = nil
		}
		l.mu.Unlock()
		if more {
			l.askNext(c)
		}
	}
	if l.memory == nil {
		c.ask(answered, "PING")
	} else {
		c.ask(answered, "HMGET", l.names.meta, "epoch", "head", "gaps")
	}
}

// look asks where the log stands for nobody.
func (l *line) look(c *conn) {
	c.ask(func(v value, err error) {
		if err == nil {
			l.stands(c, v, func(hub.Position, error) {})
		}
	}, "HMGET", l.names.meta, "epoch", "head", "gaps")
}

// stands takes the answer: what was published before it has come.
func (l *line) stands(c *conn, v value, tell waiter) error {
	if l.memory == nil {
		l.feed.put(event{kind: evLevel, then: func() { tell(0, nil) }}, 1)
		return nil
	}
	if len(v.list) != 3 {
		return fmt.Errorf("%w: answer of %s", errProtocol, l.name)
	}
	epoch := string(v.list[0].text)
	head, ok := parsePosition(string(v.list[1].text))
	l.mu.Lock()
	if epoch != l.epoch || !ok {
		l.mu.Unlock()
		c.fail(errUnknown)
		return errUnknown
	}
	head = max(l.head, head)
	l.head = head
	l.gaps = readGaps(string(v.list[2].text))
	l.mu.Unlock()
	l.feed.put(event{kind: evLevel, at: head, then: func() { tell(head, nil) }}, 1)
	return nil
}

// Ignore ends what Listen began.
func (l *line) Ignore(rooms ...string) {
	l.e.mu.Lock()
	link := l.e.up
	l.e.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	var channels []string
	for _, room := range rooms {
		if c, is := l.rooms[room]; is {
			delete(l.rooms, room)
			l.e.forget(l.names.room + room)
			if link != nil && c == link.conn {
				channels = append(channels, l.names.room+room)
			}
		}
	}
	if len(channels) > 0 {
		l.subscribeLocked(link.conn, "UNSUBSCRIBE", channels)
	}
}

// Cast says something to the nodes that listen to rooms.
func (l *line) Cast(rooms []string, body []byte) error {
	select {
	case <-l.ended:
		return hub.ErrClosed
	default:
	}
	payload := make([]byte, 0, 2+len(l.e.node)+entrySize(rooms, body))
	payload = appendEntry(appendSender(payload, kindCast, l.e.node), rooms, body)
	return l.e.publish(l.channel(rooms), payload)
}

// channel is the one on which a message for rooms is published. One room has its
// own. Several have that of all, so that nobody hears it twice.
func (l *line) channel(rooms []string) string {
	if len(rooms) == 1 {
		return l.names.room + rooms[0]
	}
	return l.names.all
}

// Close ends the following. The namespace may be opened again.
func (l *line) Close() {
	l.mu.Lock()
	rooms := make([]string, 0, len(l.rooms))
	for room := range l.rooms {
		rooms = append(rooms, room)
	}
	first := !l.closed
	if first {
		l.closed = true
		close(l.ended)
	}
	l.mu.Unlock()
	if first {
		l.Ignore(rooms...)
		l.e.part(l)
	}
	l.feed.close()
}

// part has the engine forget a line. Whoever opens the namespace again subscribes
// behind this.
func (e *Engine) part(l *line) {
	e.forget(l.names.all)
	e.mu.Lock()
	link := e.up
	delete(e.lines, l.name)
	if link != nil {
		link.conn.change("UNSUBSCRIBE", []string{l.names.all}, nil)
	}
	e.mu.Unlock()
}
