package hub

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"
)

// NewMemoryStore returns a store that ends with the process: for tests, and
// for memory without a directory to keep it in. It honours the contract but
// for what a reopened store would still have; every store has epochs of its
// own. Its methods may be called concurrently.
func NewMemoryStore() Store {
	return &memoryStore{logs: make(map[string]*memoryLog)}
}

type memoryStore struct {
	mu     sync.Mutex
	logs   map[string]*memoryLog
	closed bool
}

var _ Store = (*memoryStore)(nil)

var errStoreClosed = fmt.Errorf("%w: closed", ErrFailed)

// Open returns an empty log. A namespace that is open is refused.
func (s *memoryStore) Open(namespace string) (Log, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errStoreClosed
	}
	if s.logs[namespace] != nil {
		return nil, fmt.Errorf("open log of %q: already open", namespace)
	}
	l := &memoryLog{
		epoch:    newEpoch(),
		rooms:    make(map[string]*memoryRoom),
		sessions: make(map[string][]byte),
	}
	s.logs[namespace] = l
	return l, nil
}

// Close lets what is being committed finish.
func (s *memoryStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, l := range s.logs {
		l.mu.Lock()
		l.failed = cmp.Or(l.failed, errStoreClosed)
		l.mu.Unlock()
	}
	return nil
}

// A memoryLog keeps messages once, however many histories share them.
type memoryLog struct {
	epoch string

	mu       sync.RWMutex
	failed   error
	last     Position
	floor    Position
	tape     []*memoryMessage // by position
	rooms    map[string]*memoryRoom
	sessions map[string][]byte
	block    memoryBlock // of the next messages that only the tape keeps
}

type memoryMessage struct {
	Stored
	rooms []string // whose histories keep it, or have kept it
}

// left lets go of the body of a message that the tape has no more: others of its
// block may stay for long.
func (m *memoryMessage) left() {
	if len(m.rooms) == 0 {
		m.Body = nil
	}
}

// A memoryBlock is room for messages that go in the order in which they came, and
// for their bodies. One by one they are most of what a collection has to look at.
type memoryBlock struct {
	messages []memoryMessage
	bodies   []byte
}

// The sizes of a block, and of a body that has its own. The first blocks of a log
// are smaller: there may be very many logs with a few messages each.
const (
	blockMessages = 64
	blockBytes    = 64 << 10
	ownBytes      = 8 << 10
)

// take returns a message with a copy of its body.
func (b *memoryBlock) take(n *NewMessage) *memoryMessage {
	if len(b.messages) == cap(b.messages) {
		b.messages = make([]memoryMessage, 0, min(max(2*cap(b.messages), 4), blockMessages))
	}
	var body []byte
	if size := len(n.Body); size > ownBytes {
		body = bytes.Clone(n.Body)
	} else {
		if size > cap(b.bodies)-len(b.bodies) {
			b.bodies = make([]byte, 0, min(max(2*cap(b.bodies), 512, size), blockBytes))
		}
		at := len(b.bodies)
		b.bodies = append(b.bodies, n.Body...)
		body = b.bodies[at:len(b.bodies):len(b.bodies)]
	}
	b.messages = append(b.messages, memoryMessage{Stored: Stored{Position: n.Position, Time: n.Time, Body: body}})
	return &b.messages[len(b.messages)-1]
}

// A memoryRoom is the history of a room, with the limit its last message gave.
type memoryRoom struct {
	limit HistoryLimit
	list  []*memoryMessage // by position
	bytes int64
}

var _ Log = (*memoryLog)(nil)

// State says where the log stands.
func (l *memoryLog) State() LogState {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return LogState{Epoch: l.epoch, Last: l.last, Floor: l.floor}
}

// Commit applies the batch.
func (l *memoryLog) Commit(b *Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return l.failed
	}
	if err := b.check(l.last); err != nil {
		l.failed = err
		return err
	}
	for i := range b.Messages {
		l.write(&b.Messages[i])
	}
	for _, s := range b.Sessions {
		if s.Body == nil {
			delete(l.sessions, s.ID)
		} else {
			l.sessions[s.ID] = append([]byte{}, s.Body...)
		}
	}
	for _, e := range b.Erase {
		l.erase(e)
	}
	l.trim(b.Trim)
	l.sweep()
	return nil
}

// check says whether the positions of the batch grow. That they do is the
// caller's part of the promise, so a batch that breaks it breaks the log.
func (b *Batch) check(last Position) error {
	for i := range b.Messages {
		if p := b.Messages[i].Position; p <= last {
			return fmt.Errorf("%w: position %d is not after %d", ErrFailed, p, last)
		}
		last = b.Messages[i].Position
	}
	return nil
}

func (l *memoryLog) write(n *NewMessage) {
	l.last = n.Position
	var m *memoryMessage
	if len(n.Histories) == 0 {
		m = l.block.take(n)
	} else { // it may stay for much longer than its neighbours
		m = &memoryMessage{Stored: Stored{Position: n.Position, Time: n.Time, Body: bytes.Clone(n.Body)}}
	}
	l.tape = append(l.tape, m)
	for _, h := range n.Histories {
		if slices.Contains(m.rooms, h.Room) {
			continue
		}
		r := l.rooms[h.Room]
		if r == nil {
			r = new(memoryRoom)
			l.rooms[h.Room] = r
		}
		m.rooms = append(m.rooms, h.Room)
		r.limit = h.Limit
		r.list = append(r.list, m)
		r.bytes += int64(len(m.Body))
		r.enforce(time.Now())
	}
}

// enforce drops the oldest messages until the limit holds.
func (r *memoryRoom) enforce(now time.Time) {
	n := 0
	for n < len(r.list) && r.exceeds(n, now) {
		r.bytes -= int64(len(r.list[n].Body))
		n++
	}
	r.list = cut(r.list, n)
}

func (r *memoryRoom) exceeds(n int, now time.Time) bool {
	return r.limit.Count > 0 && len(r.list)-n > r.limit.Count ||
		r.limit.Bytes > 0 && r.bytes > r.limit.Bytes ||
		r.expired(r.list[n], now)
}

func (r *memoryRoom) expired(m *memoryMessage, now time.Time) bool {
	return r.limit.Age > 0 && m.Time.Before(now.Add(-r.limit.Age))
}

// sweep looks at a few rooms, so that those nobody writes to any more are
// forgotten some time: iteration over a map begins anywhere.
func (l *memoryLog) sweep() {
	n := 0
	for name, r := range l.rooms {
		if r.enforce(time.Now()); len(r.list) == 0 {
			delete(l.rooms, name)
		}
		if n++; n == 4 {
			return
		}
	}
}

func (l *memoryLog) trim(p Position) {
	if p <= l.floor {
		return
	}
	l.floor = p
	n := search(l.tape, p+1)
	for _, m := range l.tape[:n] {
		m.left()
	}
	if l.tape = cut(l.tape, n); len(l.tape) == 0 {
		l.block = memoryBlock{}
	}
}

// erase removes one message of a room from everywhere, or the history of a
// room, and from the tape what no other history was to keep.
func (l *memoryLog) erase(e Erasure) {
	if e.Position == 0 {
		delete(l.rooms, e.Room)
		l.tape = slices.DeleteFunc(l.tape, func(m *memoryMessage) bool {
			return slices.Contains(m.rooms, e.Room) && !slices.ContainsFunc(m.rooms, func(r string) bool { return r != e.Room })
		})
		return
	}
	m := l.find(e)
	if m == nil {
		return
	}
	same := func(o *memoryMessage) bool { return o == m }
	l.tape = slices.DeleteFunc(l.tape, same)
	defer m.left()
	for _, name := range m.rooms {
		r := l.rooms[name]
		if r == nil || !slices.ContainsFunc(r.list, same) {
			continue
		}
		r.list = slices.DeleteFunc(r.list, same)
		r.bytes -= int64(len(m.Body))
	}
}

// find returns the message of a room at a position, whether its history or
// only the tape still has it.
func (l *memoryLog) find(e Erasure) *memoryMessage {
	lists := [][]*memoryMessage{l.tape}
	if r := l.rooms[e.Room]; r != nil {
		lists = append(lists, r.list)
	}
	for _, list := range lists {
		i := search(list, e.Position)
		if i < len(list) && list[i].Position == e.Position && slices.Contains(list[i].rooms, e.Room) {
			return list[i]
		}
	}
	return nil
}

// Tape returns messages after a position.
func (l *memoryLog) Tape(after Position, limit int) ([]Stored, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if after < l.floor {
		return nil, fmt.Errorf("%w: the tape begins after %d", ErrTrimmed, l.floor)
	}
	list := l.tape[search(l.tape, after+1):]
	return stored(list[:min(max(limit, 0), len(list))]), nil
}

// History returns a page.
func (l *memoryLog) History(room string, q HistoryQuery) ([]Stored, error) {
	if q.Before != 0 && q.After != 0 {
		return nil, errors.New("history: both Before and After")
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	r := l.rooms[room]
	if r == nil {
		return nil, nil
	}
	now, limit := time.Now(), max(q.Limit, 0)
	list := r.list
	for len(list) > 0 && r.expired(list[0], now) {
		list = list[1:]
	}
	if q.After != 0 {
		list = list[search(list, q.After+1):]
		return stored(list[:min(limit, len(list))]), nil
	}
	if q.Before != 0 {
		list = list[:search(list, q.Before)]
	}
	return stored(list[max(0, len(list)-limit):]), nil
}

// Sessions yields a snapshot.
func (l *memoryLog) Sessions() iter.Seq2[StoredSession, error] {
	return func(yield func(StoredSession, error) bool) {
		l.mu.RLock()
		sessions := maps.Clone(l.sessions)
		l.mu.RUnlock()
		for id, body := range sessions {
			if !yield(StoredSession{ID: id, Body: slices.Clone(body)}, nil) {
				return
			}
		}
	}
}

// search returns the index of the first message at or after a position.
func search(list []*memoryMessage, p Position) int {
	i, _ := slices.BinarySearchFunc(list, p, func(m *memoryMessage, p Position) int {
		return cmp.Compare(m.Position, p)
	})
	return i
}

// cut drops the first n messages and lets go of them.
func cut(list []*memoryMessage, n int) []*memoryMessage {
	clear(list[:n])
	return list[n:]
}

func stored(list []*memoryMessage) []Stored {
	out := make([]Stored, len(list))
	for i, m := range list {
		out[i] = m.Stored
		out[i].Body = slices.Clone(m.Body)
	}
	return out
}
