package hub

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// A sharedTape is the tape of a space that several nodes share: an engine gives
// the positions. Whoever appends while a batch is being committed joins the next
// one. A message is handed out when the engine hands it on, and only then, so
// that the members of every node receive the same order.
type sharedTape struct {
	writer
	namespace string
	node      *node
	memory    *Memory
	ears      *ears
	trace     *Trace
	line      Line

	// The space's, called outside locks.
	follow func(list []*Message, level Position)
	saved  func([]*SharedSession)          // records were written, or not
	lost   func(err error, level Position) // see Follower

	mark   [8]byte // of this node's messages
	serial atomic.Uint64

	// Guarded by the writer's lock.
	epoch   string
	level   Position // up to which recent has what the node listens to
	recent  recent
	told    int64              // bytes of recent that the trace knows of
	posts   map[string]*posted // this node's messages that were not handed out, by origin
	waiting []*posted          // those of them that were committed, by position
}

var _ tape = (*sharedTape)(nil)

// posted is a message of this node on its way through the engine.
type posted struct {
	m      *Message
	origin string // by which this node knows it again
	out    SharedMessage
	handed chan struct{} // closed when it was handed out here, or never will be
}

// openSharedTape joins the others where they are.
func (sp *Space) openSharedTape(x *ears) (*sharedTape, error) {
	t := &sharedTape{
		namespace: sp.namespace, node: sp.hub.node, memory: sp.memory, ears: x, trace: sp.hub.cfg.Trace,
		follow: sp.follow, saved: sp.saved, lost: sp.lost, posts: make(map[string]*posted),
	}
	rand.Read(t.mark[:]) // never fails: crypto/rand ends the process instead
	t.write = t.writeGroup
	line, err := sp.hub.node.open(sp.namespace, sp.memory, heard{t, sp})
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.line = line
	t.mu.Unlock()
	x.line = line
	t.begin()
	return t, nil
}

// begin takes over the state of the log: at first, and when it has begun a new
// life.
func (t *sharedTape) begin() {
	t.mu.Lock()
	line := t.line
	t.mu.Unlock()
	if line == nil { // it is being opened, and begins after that
		return
	}
	state := line.State()
	t.mu.Lock()
	t.epoch = state.Epoch
	t.recent.floor = max(t.recent.floor, state.Last)
	t.mu.Unlock()
}

// append commits a message. It returns when the engine has it for good and, if
// it is for members of this node, when they were handed it.
func (t *sharedTape) append(ctx context.Context, m *Message) (Position, bool, error) {
	origin := t.origin()
	body, err := appendOriginal(nil, m, origin)
	if err != nil {
		return 0, false, fmt.Errorf("encode message: %w", err)
	}
	m.size = len(body)
	p := &posted{m: m, origin: origin, handed: make(chan struct{})}
	p.out = SharedMessage{Publisher: m.Publisher, ID: m.ID, Rooms: m.Rooms, Body: body}
	for _, room := range m.Rooms {
		if rule := t.memory.rule(room); rule != nil {
			p.out.Histories = append(p.out.Histories, RoomHistory{Room: room, Limit: rule.Limit})
			p.out.Sync = p.out.Sync || rule.Durability == Fsync
		}
	}
	t.mu.Lock()
	if err := t.refusalLocked(); err != nil {
		t.mu.Unlock()
		return 0, false, err
	}
	g := t.groupLocked()
	g.posts = append(g.posts, p)
	t.posts[origin] = p
	t.mu.Unlock()
	if err := g.wait(ctx); err != nil {
		return 0, false, err
	}
	if p.out.Err == nil && !p.out.Repeated {
		t.await(ctx, p)
	}
	return p.out.Position, p.out.Repeated, p.out.Err
}

// origin returns a name for a message, by which this node knows it again.
func (t *sharedTape) origin() string {
	b := t.mark
	return string(binary.BigEndian.AppendUint64(b[:], t.serial.Add(1)))
}

// writeGroup commits a group. It returns how long the engine took.
func (t *sharedTape) writeGroup(g *group) time.Duration {
	b := &SharedBatch{Sessions: g.sessions, Erase: g.erase}
	for _, p := range g.posts {
		b.Messages = append(b.Messages, &p.out)
	}
	ctx, cancel := t.node.patient()
	began := time.Now()
	t.line.Commit(ctx, b)
	if later {
		castLater(t.line)
	}
	cancel()
	c := Commit{Messages: len(b.Messages), Took: time.Since(began)}
	for _, p := range g.posts {
		c.Sync = c.Sync || p.out.Sync
	}
	c.Err = b.failure()
	for _, p := range g.posts {
		logged(t.trace, p.m, began)
	}
	c.TapeBytes = t.settle(g)
	if len(g.sessions) > 0 {
		t.saved(g.sessions)
	}
	if len(g.erase) > 0 && b.EraseErr == nil {
		t.erased(g.erase)
	}
	g.eraseErr = b.EraseErr
	g.posts, g.sessions, g.erase = nil, nil, nil
	close(g.written)
	if t.trace.Committed != nil {
		t.trace.Committed(t.namespace, c)
	}
	return c.Took
}

// failure returns the first error that says something about the engine.
func (b *SharedBatch) failure() error {
	for _, m := range b.Messages {
		if m.Err != nil {
			return m.Err
		}
	}
	for _, s := range b.Sessions {
		if s.Err != nil && !errors.Is(s.Err, ErrFenced) {
			return s.Err
		}
	}
	return b.EraseErr
}

// settle looks after the messages of a group that was committed: some were
// handed out meanwhile, some will be, and some are for nobody here.
func (t *sharedTape) settle(g *group) (grown int64) {
	var nobodys []*posted
	t.mu.Lock()
	for _, p := range g.posts {
		switch {
		case t.posts[p.origin] == nil: // handed out, or about to be
		case p.out.Err != nil || p.out.Repeated:
			delete(t.posts, p.origin)
		case p.out.Position <= t.level || !t.ears.hear(p.out.Rooms):
			t.dropLocked(p)
			nobodys = append(nobodys, p)
		default:
			t.waiting = append(t.waiting, p)
		}
	}
	grown, t.told = t.recent.bytes-t.told, t.recent.bytes
	t.mu.Unlock()
	closeAll(nobodys)
	return grown
}

// dropLocked has a message that was committed not be waited for any more. If it
// is handed on yet, its copy is handed out.
func (t *sharedTape) dropLocked(p *posted) {
	delete(t.posts, p.origin)
	t.placeLocked(p.m, p.out.Position, p.out.Time)
}

func (t *sharedTape) placeLocked(m *Message, p Position, at time.Time) {
	m.remembered, m.epoch, m.position, m.Time = true, t.epoch, p, at
}

func closeAll(list []*posted) {
	for _, p := range list {
		close(p.handed)
	}
}

// await returns when a message that was committed was handed out here. It is
// published, whatever happens to the waiting: nobody waits longer than the
// context lasts, or the engine is there.
func (t *sharedTape) await(ctx context.Context, p *posted) {
	late := time.NewTimer(time.Second)
	defer late.Stop()
	select {
	case <-p.handed:
		return
	case <-ctx.Done():
	case <-late.C:
		// The room may be nobody's since. Behind a barrier, that is certain.
		waiting, cancel := context.WithTimeout(ctx, t.node.patience)
		_, _ = t.line.Listen(waiting)
		cancel()
	}
	t.mu.Lock()
	_, unseen := t.posts[p.origin]
	if unseen {
		t.dropLocked(p)
	}
	t.mu.Unlock()
	if !unseen {
		<-p.handed // in a moment: it is being handed out
	}
}

// Follow hands out what the engine hands on.
func (t *sharedTape) Follow(stored []Stored, level Position) {
	list, done, err := t.receive(stored, level)
	if err != nil {
		// Nobody gets past what is missing: who comes back is owed it, and told.
		t.follow(list, 0)
		t.Lost(err, level)
	} else {
		t.follow(list, level)
	}
	closeAll(done)
}

// receive makes messages of what is handed on: this node's own are those that
// were published. It returns which of them need not be waited for any more. With
// an error the messages are those before the one that cannot be read.
func (t *sharedTape) receive(stored []Stored, level Position) (list []*Message, done []*posted, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range stored {
		if p := t.posts[recordOrigin(s.Body)]; p != nil {
			delete(t.posts, p.origin)
			t.placeLocked(p.m, s.Position, s.Time)
			done = append(done, p)
			if err == nil {
				list = append(list, p.m)
			}
			continue
		}
		if err != nil {
			continue
		}
		m, e := readMessage(t.namespace, t.epoch, s)
		if e != nil {
			err = fmt.Errorf("message at %d: %w", s.Position, e) // of a later version, perhaps
			continue
		}
		list = append(list, m)
	}
	for _, m := range list {
		if t.epoch != "" { // else the line is being opened
			t.recent.add(m, t.memory.MaxBytes)
		}
	}
	t.recent.expired(time.Now().Add(-t.memory.Window))
	t.level = max(t.level, level)
	n := 0
	for ; n < len(t.waiting) && t.waiting[n].out.Position <= level; n++ {
		if p := t.waiting[n]; t.posts[p.origin] != nil { // it was for nobody here
			t.dropLocked(p)
			done = append(done, p)
		}
	}
	clear(t.waiting[:n])
	t.waiting = t.waiting[n:]
	return list, done, err
}

// Lost forgets what it has in memory, in which something is missing.
func (t *sharedTape) Lost(err error, level Position) {
	if errors.Is(err, ErrEpoch) {
		t.begin()
	}
	t.mu.Lock()
	t.recent = recent{floor: level}
	t.level = level
	done := t.giveUpLocked()
	t.mu.Unlock()
	t.ears.restart(level)
	t.lost(err, level)
	closeAll(done)
}

func (t *sharedTape) life() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.epoch
}

func (t *sharedTape) last() Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.level
}

// barrier asks the engine: another node may have handed out more than this one
// has heard of.
func (t *sharedTape) barrier(ctx context.Context) error {
	_, err := t.line.Listen(ctx)
	return err
}

func (t *sharedTape) moved(epoch string, p Position) (Position, bool) {
	if m, is := t.line.(Mover); is {
		return m.Moved(epoch, p)
	}
	return 0, false
}

func (t *sharedTape) quiet(p Position) Position {
	if m, is := t.line.(Mover); is {
		return m.Quiet(p)
	}
	return p
}

func (t *sharedTape) covers(p Position) bool { return p >= t.line.State().Floor }

func (t *sharedTape) after(ctx context.Context, rooms []string, p Position, limit int) ([]*Message, Position, error) {
	heard := p >= t.ears.since(rooms)
	t.mu.Lock()
	list, ok := t.recent.after(p, limit)
	level, epoch := t.level, t.epoch
	t.mu.Unlock()
	if ok && heard {
		if len(list) == limit {
			level = list[len(list)-1].position
		}
		return list, level, nil
	}
	stored, upTo, err := t.line.Read(ctx, rooms, p, limit)
	if err != nil {
		return nil, 0, err
	}
	list, err = readMessages(t.namespace, epoch, stored)
	return list, upTo, err
}

func (t *sharedTape) history(ctx context.Context, room string, q HistoryQuery) ([]Stored, error) {
	return t.line.History(ctx, room, q)
}

// close lets what waits be committed, unless the engine is away.
func (t *sharedTape) close() {
	t.writer.close()
	t.line.Close()
	t.mu.Lock()
	done := t.giveUpLocked()
	t.mu.Unlock()
	closeAll(done)
}

// giveUpLocked has nobody wait for what was committed and not handed out.
func (t *sharedTape) giveUpLocked() (done []*posted) {
	for _, p := range t.waiting {
		if t.posts[p.origin] != nil {
			t.dropLocked(p)
			done = append(done, p)
		}
	}
	t.waiting = nil
	return done
}
