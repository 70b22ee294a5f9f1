package hub

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// A tape puts the messages of a space with memory into their total order and
// keeps them, and what else of the space must last. It hands each message out,
// in that order, by the space's follow. There are two: an [ownTape] of a node
// that is alone, and a [sharedTape] of nodes that share an engine.
type tape interface {
	// append puts a message on the tape and returns when it is as durable as its
	// rooms demand and was handed to the members. If a message with the same ID
	// was appended by the same publisher within the window, it returns that
	// one's position and true.
	append(ctx context.Context, m *Message) (Position, bool, error)
	// enqueue is that of [writer].
	enqueue(sync bool, sessions []*SharedSession, erase ...Erasure) *pending
	// life names the life of the tape.
	life() string
	// last returns the last position that a member can have received, as far as
	// is known here; after a barrier it is.
	last() Position
	barrier(ctx context.Context) error
	// moved and quiet are those of a [Mover].
	moved(epoch string, p Position) (Position, bool)
	quiet(p Position) Position
	// covers says whether everything after a position is kept.
	covers(p Position) bool
	// after returns messages after a position that are written, oldest first, at
	// least those of some rooms and for everyone; and up to where that is all.
	// It returns [ErrTrimmed] if some of them are not kept any more.
	after(ctx context.Context, rooms []string, p Position, limit int) ([]*Message, Position, error)
	// history is that of [Log].
	history(ctx context.Context, room string, q HistoryQuery) ([]Stored, error)
	// close lets what waits be written and returns when it is.
	close()
}

// An ownTape is the tape of a node that is alone. Whoever appends while a batch
// is being written joins the next one, so that many publishers share one fsync;
// a batch is handed out to the members when it is written, in order, and then
// its publishers return.
type ownTape struct {
	writer
	namespace string
	log       Log
	epoch     string
	memory    *Memory
	follow    func(batch []*Message, upTo Position) // called by the writer, outside locks
	trace     *Trace

	// Guarded by the writer's lock.
	given  Position // the last that was given out
	recent recent
	told   int64 // bytes of recent that the trace knows of
	ids    ids
}

var _ tape = (*ownTape)(nil)

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
func openTape(namespace string, log Log, memory *Memory, follow func([]*Message, Position), trace *Trace) (*ownTape, error) {
	state := log.State()
	t := &ownTape{namespace: namespace, log: log, epoch: state.Epoch, memory: memory, follow: follow, trace: trace}
	t.write = t.writeGroup
	// Not 0, also on an empty log: an offset must not read as the absence of one.
	t.given = max(state.Last, 1)
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
func (t *ownTape) message(s Stored) (*Message, error) { return readMessage(t.namespace, t.epoch, s) }

func readMessage(namespace, epoch string, s Stored) (*Message, error) {
	m, err := readRecord(s.Body)
	if err != nil {
		return nil, err
	}
	m.remembered, m.epoch, m.position, m.Time, m.size = true, epoch, s.Position, s.Time, len(s.Body)
	m.Namespace = namespace
	return m, nil
}

// append gives the message its position before it is written.
func (t *ownTape) append(ctx context.Context, m *Message) (Position, bool, error) {
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
	t.given++
	m.remembered, m.epoch, m.position, m.Time = true, t.epoch, t.given, now
	m.size = len(body)
	g := t.groupLocked()
	g.messages, g.bodies = append(g.messages, m), append(g.bodies, body)
	t.ids.add(m, g, t.memory.Window)
	t.mu.Unlock()
	return m.position, false, g.wait(ctx)
}

func (t *ownTape) limitHit(limit string) {
	if t.trace.LimitHit != nil {
		t.trace.LimitHit(limit)
	}
}

func (t *ownTape) life() string { return t.epoch }

func (t *ownTape) last() Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.given
}

func (t *ownTape) barrier(context.Context) error { return nil }

func (t *ownTape) moved(string, Position) (Position, bool) { return 0, false }

func (t *ownTape) quiet(p Position) Position { return p }

func (t *ownTape) covers(p Position) bool {
	t.mu.Lock()
	floor := t.recent.floor
	t.mu.Unlock()
	return p >= floor || p >= t.log.State().Floor
}

// writeGroup writes a group and hands it out. It returns how long the log took.
func (t *ownTape) writeGroup(g *group) time.Duration {
	t.mu.Lock()
	failed := t.failed
	trim := t.recent.expired(time.Now().Add(-t.memory.Window))
	t.mu.Unlock()

	c, began := Commit{Messages: len(g.messages), Err: failed}, time.Now()
	if failed == nil {
		b := t.batch(g, trim)
		c.Sync, c.Err = b.Sync, t.log.Commit(b)
	}
	c.Took = time.Since(began)
	for _, m := range g.messages {
		logged(t.trace, m, began)
	}
	c.TapeBytes = t.settle(g, c.Err)
	if t.trace.Committed != nil {
		t.trace.Committed(t.namespace, c)
	}
	return c.Took
}

// logged tells who follows a message that it is written.
func logged(trace *Trace, m *Message, began time.Time) {
	if trace.Logged != nil && m.Traced != nil {
		trace.Logged(m, began)
	}
}

// batch makes what is written of a group.
func (t *ownTape) batch(g *group, trim Position) *Batch {
	b := &Batch{Sync: g.sync, Erase: g.erase, Trim: trim, Messages: make([]NewMessage, len(g.messages))}
	for _, s := range g.sessions {
		b.Sessions = append(b.Sessions, StoredSession{ID: s.ID, Body: s.Body})
	}
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
func (t *ownTape) settle(g *group, failed error) (grown int64) {
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
		t.follow(g.messages, 0)
	}
	g.messages, g.bodies, g.sessions, g.erase, g.err = nil, nil, nil, nil, failed
	close(g.written)
	return grown
}

func (t *ownTape) after(_ context.Context, _ []string, p Position, limit int) ([]*Message, Position, error) {
	t.mu.Lock()
	list, ok := t.recent.after(p, limit)
	t.mu.Unlock()
	if !ok {
		stored, err := t.log.Tape(p, limit)
		if err != nil {
			return nil, 0, err
		}
		if list, err = readMessages(t.namespace, t.epoch, stored); err != nil {
			return nil, 0, err
		}
	}
	if len(list) == 0 {
		return nil, math.MaxUint64, nil
	}
	return list, list[len(list)-1].position, nil
}

func (t *ownTape) history(_ context.Context, room string, q HistoryQuery) ([]Stored, error) {
	return t.log.History(room, q)
}

func readMessages(namespace, epoch string, stored []Stored) ([]*Message, error) {
	list := make([]*Message, len(stored))
	for i, s := range stored {
		m, err := readMessage(namespace, epoch, s)
		if err != nil {
			return nil, fmt.Errorf("message at %d: %w", s.Position, err)
		}
		list[i] = m
	}
	return list, nil
}
