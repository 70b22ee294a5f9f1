package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A tape puts the messages of a space with memory into their total order and
// writes them down. Whoever appends while a batch is being written joins the
// next one, so that many publishers share one fsync; a batch is handed out to
// the members when it is written, in order, and then its publishers return.
type tape struct {
	namespace string
	log       Log
	epoch     string
	memory    *Memory
	follow    func(batch []*Message) // called by the writer, outside locks
	trace     *Trace

	mu     sync.Mutex
	last   Position // the last that was given out
	next   *group   // collects what will be written; nil: nothing waits
	active bool     // a writer is running
	closed bool
	failed error
	recent recent
	told   int64 // bytes of recent that the trace knows of
	ids    ids

	writer sync.WaitGroup
}

// A group is what is written and synced at a time.
type group struct {
	messages []*Message
	bodies   [][]byte // the messages' records
	sessions []StoredSession
	erase    []Erasure
	sync     bool          // it must survive the machine, whatever the messages demand
	written  chan struct{} // closed when err is set
	err      error
}

var (
	// ErrClosed means that the hub was closed, and the message is not published.
	ErrClosed = errors.New("hub: closed")
	// ErrUnknown means that the context ended before the message was written:
	// it may be published yet. Publish it again with the same ID to find out.
	ErrUnknown = errors.New("hub: outcome unknown")
	// ErrBusy means that the message has an ID, and [Memory.MaxIDs] of them are
	// remembered: it is not published, and may be after a while.
	ErrBusy = errors.New("hub: too many message ids")
)

// openTape continues where the log was left.
func openTape(namespace string, log Log, memory *Memory, follow func([]*Message), trace *Trace) (*tape, error) {
	state := log.State()
	t := &tape{namespace: namespace, log: log, epoch: state.Epoch, memory: memory, follow: follow, trace: trace}
	// Not 0, also on an empty log: an offset must not read as the absence of one.
	t.last = max(state.Last, 1)
	t.recent.floor = state.Floor
	for after := state.Floor; ; {
		stored, err := log.Tape(after, 1024)
		if err != nil {
			return nil, fmt.Errorf("read tape: %w", err)
		}
		if len(stored) == 0 {
			break
		}
		for _, s := range stored {
			m, err := t.message(s)
			if err != nil {
				return nil, fmt.Errorf("read tape at %d: %w", s.Position, err)
			}
			if now := time.Now(); m.Time.After(now) {
				// The clock was put back since: what seems to come from the
				// future must not be kept until that is over.
				m.Time = now
			}
			t.recent.add(m, memory.MaxBytes)
			t.ids.add(m, nil, memory.Window)
			after = s.Position
		}
	}
	return t, nil
}

// message makes the message of what was stored.
func (t *tape) message(s Stored) (*Message, error) {
	m, err := readRecord(s.Body)
	if err != nil {
		return nil, err
	}
	m.remembered, m.epoch, m.position, m.Time, m.size = true, t.epoch, s.Position, s.Time, len(s.Body)
	m.Namespace = t.namespace
	return m, nil
}

// append puts a message on the tape and returns when it is as durable as its
// rooms demand and was handed to the members. If a message with the same ID
// was appended by the same publisher within the window, it returns that one's
// position and true.
func (t *tape) append(ctx context.Context, m *Message) (Position, bool, error) {
	// Here, not by the writer: a message that cannot be written is its
	// publisher's mistake, and no reason to stop the tape for all.
	body, err := appendRecord(nil, m)
	if err != nil {
		return 0, false, fmt.Errorf("encode message: %w", err)
	}
	t.mu.Lock()
	if err := t.refusalLocked(); err != nil {
		t.mu.Unlock()
		return 0, false, err
	}
	if first, ok := t.ids.find(m); ok {
		t.mu.Unlock()
		err := first.wait(ctx)
		return first.position, true, err
	}
	now := time.Now()
	if m.ID != "" && t.ids.full(now, t.memory) {
		t.mu.Unlock()
		t.limitHit("ids")
		return 0, false, ErrBusy
	}
	t.last++
	m.remembered, m.epoch, m.position, m.Time = true, t.epoch, t.last, now
	m.size = len(body)
	g := t.groupLocked()
	g.messages, g.bodies = append(g.messages, m), append(g.bodies, body)
	t.ids.add(m, g, t.memory.Window)
	t.mu.Unlock()
	return m.position, false, g.wait(ctx)
}

func (t *tape) limitHit(limit string) {
	if t.trace.LimitHit != nil {
		t.trace.LimitHit(limit)
	}
}

// enqueue has session records and erasures written, after what was appended or
// enqueued before. They survive the death of the process when the group that it
// returns is written; that of the machine then, too, if sync asks for it, else as
// soon as something written later does. It does not wait.
func (t *tape) enqueue(sync bool, sessions []StoredSession, erase ...Erasure) *group {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.refusalLocked(); err != nil {
		g := &group{written: make(chan struct{}), err: err}
		close(g.written)
		return g
	}
	g := t.groupLocked()
	g.sessions = append(g.sessions, sessions...)
	g.erase = append(g.erase, erase...)
	g.sync = g.sync || sync
	return g
}

// lastWritten returns the last position that a member can have received.
func (t *tape) lastWritten() Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// covers says whether everything after a position is kept.
func (t *tape) covers(p Position) bool {
	t.mu.Lock()
	floor := t.recent.floor
	t.mu.Unlock()
	return p >= floor || p >= t.log.State().Floor
}

func (t *tape) refusalLocked() error {
	if t.failed != nil {
		return t.failed
	}
	if t.closed {
		return ErrClosed
	}
	return nil
}

// groupLocked returns the group that will be written next and sees to it that
// somebody does.
func (t *tape) groupLocked() *group {
	if t.next == nil {
		t.next = &group{written: make(chan struct{})}
	}
	if !t.active {
		t.active = true
		// Started by who finds the tape idle, ended when nothing waits, waited
		// for by close.
		t.writer.Go(t.write)
	}
	return t.next
}

func (g *group) wait(ctx context.Context) error {
	select {
	case <-g.written:
		return g.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

// write writes group after group until none waits.
func (t *tape) write() {
	for {
		t.mu.Lock()
		g := t.next
		t.next = nil
		if g == nil {
			t.active = false
			t.mu.Unlock()
			return
		}
		failed := t.failed
		trim := t.recent.expired(time.Now().Add(-t.memory.Window))
		t.mu.Unlock()

		c, began := Commit{Messages: len(g.messages), Err: failed}, time.Now()
		if failed == nil {
			b := t.batch(g, trim)
			c.Sync, c.Err = b.Sync, t.log.Commit(b)
		}
		c.Took = time.Since(began)
		t.logged(g, began)
		c.TapeBytes = t.settle(g, c.Err)
		if t.trace.Committed != nil {
			t.trace.Committed(t.namespace, c)
		}
	}
}

// logged tells who follows messages of a group.
func (t *tape) logged(g *group, began time.Time) {
	if t.trace.Logged == nil {
		return
	}
	for _, m := range g.messages {
		if m.Traced != nil {
			t.trace.Logged(m, began)
		}
	}
}

// batch makes what is written of a group.
func (t *tape) batch(g *group, trim Position) *Batch {
	b := &Batch{Sync: g.sync, Sessions: g.sessions, Erase: g.erase, Trim: trim, Messages: make([]NewMessage, len(g.messages))}
	for i, m := range g.messages {
		b.Messages[i] = NewMessage{Position: m.position, Time: m.Time, Body: g.bodies[i]}
		for _, room := range m.Rooms {
			rule := t.memory.rule(room)
			if rule == nil {
				continue
			}
			b.Messages[i].Histories = append(b.Messages[i].Histories, RoomHistory{Room: room, Limit: rule.Limit})
			b.Sync = b.Sync || rule.Durability == Fsync
		}
	}
	return b
}

// settle hands a written group out and lets its publishers return. It returns
// by how much the tape in memory has grown since the last time.
func (t *tape) settle(g *group, failed error) (grown int64) {
	t.mu.Lock()
	if failed != nil {
		t.failed = failed
	} else {
		for _, m := range g.messages {
			t.recent.add(m, t.memory.MaxBytes)
		}
		for _, e := range g.erase {
			t.recent.erase(func(m *Message) bool { return t.memory.erases(e, m) })
		}
	}
	grown, t.told = t.recent.bytes-t.told, t.recent.bytes
	t.mu.Unlock()
	if failed == nil && len(g.messages) > 0 {
		t.follow(g.messages)
	}
	g.messages, g.bodies, g.sessions, g.erase, g.err = nil, nil, nil, nil, failed
	close(g.written)
	return grown
}

// after returns messages after a position that are written, oldest first. It
// returns [ErrTrimmed] if some of them are not kept any more.
func (t *tape) after(p Position, limit int) ([]*Message, error) {
	t.mu.Lock()
	list, ok := t.recent.after(p, limit)
	t.mu.Unlock()
	if ok {
		return list, nil
	}
	stored, err := t.log.Tape(p, limit)
	if err != nil {
		return nil, err
	}
	return t.messages(stored)
}

func (t *tape) messages(stored []Stored) ([]*Message, error) {
	list := make([]*Message, len(stored))
	for i, s := range stored {
		m, err := t.message(s)
		if err != nil {
			return nil, fmt.Errorf("message at %d: %w", s.Position, err)
		}
		list[i] = m
	}
	return list, nil
}

// close lets what waits be written and returns when it is.
func (t *tape) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.writer.Wait()
}

// recent is the end of a tape in memory: what returning members ask for most,
// with its encodings.
type recent struct {
	list  []*Message // by position
	bytes int64
	floor Position // everything after it that was written is in list
}

func (r *recent) add(m *Message, limit int64) {
	r.list = append(r.list, m)
	r.bytes += int64(m.size)
	n := 0
	for r.bytes > limit && n < len(r.list)-1 {
		r.bytes -= int64(r.list[n].size)
		n++
	}
	r.drop(n)
}

// expired drops what is older than a time and returns the position up to which
// the tape may be forgotten, 0 if nothing.
func (r *recent) expired(before time.Time) Position {
	n := 0
	for n < len(r.list) && r.list[n].Time.Before(before) {
		r.bytes -= int64(r.list[n].size)
		n++
	}
	if n == 0 {
		return 0
	}
	r.drop(n)
	return r.floor
}

func (r *recent) drop(n int) {
	if n == 0 {
		return
	}
	r.floor = r.list[n-1].position
	clear(r.list[:n])
	r.list = r.list[n:]
}

// erase drops what a log erases from its tape. The list is made anew: who reads
// has a part of the old one.
func (r *recent) erase(gone func(*Message) bool) {
	if !slices.ContainsFunc(r.list, gone) {
		return
	}
	list := make([]*Message, 0, len(r.list))
	for _, m := range r.list {
		if gone(m) {
			r.bytes -= int64(m.size)
		} else {
			list = append(list, m)
		}
	}
	r.list = list
}

func (r *recent) after(p Position, limit int) ([]*Message, bool) {
	if p < r.floor {
		return nil, false
	}
	i, _ := slices.BinarySearchFunc(r.list, p+1, func(m *Message, p Position) int {
		return int(int64(m.position) - int64(p))
	})
	return slices.Clone(r.list[i:min(i+limit, len(r.list))]), true
}

// ids remembers which messages with an ID were appended, for one window at
// least and two at most: the older half is dropped as a whole.
type ids struct {
	young, old map[idKey]appended
	turned     time.Time
}

type idKey struct{ publisher, id string }

// appended is where a message with an ID went, and in which group.
type appended struct {
	position Position
	group    *group // nil: read back from the log
}

func (a appended) wait(ctx context.Context) error {
	if a.group == nil {
		return nil
	}
	return a.group.wait(ctx)
}

func (x *ids) find(m *Message) (appended, bool) {
	if m.ID == "" {
		return appended{}, false
	}
	k := idKey{m.Publisher, m.ID}
	if a, ok := x.young[k]; ok {
		return a, true
	}
	a, ok := x.old[k]
	return a, ok
}

// turn forgets what is older than two windows, and keeps what is younger than one.
func (x *ids) turn(now time.Time, window time.Duration) {
	if age := now.Sub(x.turned); x.young == nil || age > window {
		if age > 2*window {
			x.young = nil
		}
		x.young, x.old, x.turned = make(map[idKey]appended), x.young, now
	}
}

// full says whether as many are remembered as may be.
func (x *ids) full(now time.Time, m *Memory) bool {
	x.turn(now, m.Window)
	return len(x.young)+len(x.old) >= m.MaxIDs
}

func (x *ids) add(m *Message, g *group, window time.Duration) {
	if m.ID == "" {
		return
	}
	x.turn(m.Time, window)
	x.young[idKey{m.Publisher, m.ID}] = appended{m.position, g}
}
