package pebblehub

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tutti-rt/tutti/hub"
)

const (
	// reserveAhead is how many positions are reserved on the disk at a time.
	reserveAhead = 1 << 16
	// trimAtOnce is how many positions of the tape are deleted at a time: few
	// tombstones, for every reader of a table in memory looks at all of them.
	trimAtOnce = 8192
)

// A Log is the log of a namespace.
type Log struct {
	store *Store
	name  string
	ns    nsID
	epoch string

	// Read by readers, meanwhile.
	last  atomic.Uint64 // committed
	floor atomic.Uint64

	// mu is held for a whole commit, or a step of the sweeper.
	mu       sync.Mutex
	reserved hub.Position
	deleted  hub.Position // the tape is deleted up to here
	marked   bool         // that messages were not synced
	rooms    rooms
	batch    *pebble.Batch // of the commit under way
	touched  []*hotRoom
	erased   []span
	dirty    bool // the state must be written
	scratch  []byte
}

var _ hub.Log = (*Log)(nil)

func newEpoch() string {
	var b [5]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// openLog reads a namespace's state, or makes it.
func (s *Store) openLog(name string) (*Log, error) {
	l := &Log{store: s, name: name, rooms: rooms{limit: s.cfg.HotRooms}}
	number, err := s.get(s.db, namespaceKey(name))
	if err != nil {
		return nil, err
	}
	if number == nil {
		return l, l.create()
	}
	if len(number) != 4 {
		return nil, damaged(fmt.Sprintf("namespace %q", name), errCodec)
	}
	l.ns = nsID(binary.BigEndian.Uint32(number))
	st, err := s.readState(l.ns)
	if err != nil {
		return nil, err
	}
	l.epoch, l.reserved, l.deleted = st.epoch, st.reserved, st.floor
	l.last.Store(uint64(st.reserved))
	l.floor.Store(uint64(st.floor))
	return l, nil
}

func (l *Log) create() error {
	l.ns, l.epoch = l.store.next, newEpoch()
	batch := l.store.db.NewBatch()
	defer batch.Close()
	err := batch.Set(namespaceKey(l.name), binary.BigEndian.AppendUint32(nil, uint32(l.ns)), nil)
	if err == nil {
		err = l.putState(batch)
	}
	if err == nil {
		err = l.store.apply(batch, true)
	}
	if err == nil {
		l.store.next++
	}
	return err
}

func (l *Log) putState(batch *pebble.Batch) error {
	st := state{epoch: l.epoch, reserved: l.reserved, floor: l.deleted}
	return batch.Set(key(kindState, l.ns), appendState(nil, st), nil)
}

// State says where the log stands.
func (l *Log) State() hub.LogState {
	return hub.LogState{
		Epoch: l.epoch,
		Last:  hub.Position(l.last.Load()),
		Floor: hub.Position(l.floor.Load()),
	}
}

// Commit writes a batch.
func (l *Log) Commit(b *hub.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.store.begin() {
		return errClosed
	}
	defer l.store.end()
	if err := l.store.Err(); err != nil {
		return err
	}
	err := l.commit(b)
	if err != nil {
		// Whatever it was, what is in memory may not be what is on the disk.
		l.store.disk.fail(err)
		return l.store.Err()
	}
	if n := len(b.Messages); n > 0 {
		l.last.Store(uint64(b.Messages[n-1].Position))
	}
	return nil
}

func (l *Log) commit(b *hub.Batch) error {
	if len(b.Erase) > 0 {
		// Erasing reads what the batch itself writes.
		l.batch = l.store.db.NewIndexedBatch()
	} else {
		l.batch = l.store.db.NewBatch()
	}
	defer func() {
		l.batch.Close()
		l.batch = nil
	}()
	if err := l.fill(b); err != nil {
		return err
	}
	sync := b.Sync || l.dirty
	if len(b.Messages) > 0 && !sync && !l.marked {
		if err := l.store.mark(l.name); err != nil {
			return err
		}
		l.marked = true
	}
	if err := l.flush(sync); err != nil {
		return err
	}
	l.store.noteErased(l.erased)
	l.erased = nil
	return nil
}

// fill writes the parts of a batch, in their order.
func (l *Log) fill(b *hub.Batch) error {
	last := hub.Position(l.last.Load())
	for i := range b.Messages {
		m := &b.Messages[i]
		if m.Position <= last {
			return fmt.Errorf("position %d is not after %d", m.Position, last)
		}
		last = m.Position
		if err := l.write(m); err != nil {
			return err
		}
	}
	if last > l.reserved {
		l.reserved, l.dirty = last+reserveAhead, true
	}
	for _, s := range b.Sessions {
		var err error
		if s.Body == nil {
			err = l.batch.Delete(sessionKey(l.ns, s.ID), nil)
		} else {
			err = l.batch.Set(sessionKey(l.ns, s.ID), s.Body, nil)
		}
		if err != nil {
			return err
		}
	}
	for _, e := range b.Erase {
		if err := l.erase(e); err != nil {
			return fmt.Errorf("erase: %w", err)
		}
	}
	return l.trim(b.Trim)
}

// flush commits l.batch with the rooms that were touched and the state, if it
// changed.
func (l *Log) flush(sync bool) error {
	if err := l.putRooms(); err != nil {
		return err
	}
	if l.dirty {
		if err := l.putState(l.batch); err != nil {
			return err
		}
		l.dirty = false
	}
	if l.batch.Empty() {
		if !sync {
			return nil
		}
		// Nothing but the wish that what was written before be synced.
		if err := l.batch.LogData(nil, nil); err != nil {
			return err
		}
	}
	if !sync {
		if err := l.store.mark(""); err != nil {
			return err
		}
	}
	return l.store.apply(l.batch, sync)
}

// write puts a message on the tape and into its rooms' histories.
func (l *Log) write(m *hub.NewMessage) error {
	v := message{time: m.Time, body: m.Body}
	for i, h := range m.Histories {
		if !listed(m.Histories[:i], h.Room) {
			v.rooms = append(v.rooms, h.Room)
		}
	}
	l.scratch = appendMessage(l.scratch[:0], v)
	if err := l.batch.Set(tapeKey(l.ns, m.Position), l.scratch, nil); err != nil {
		return err
	}
	if len(v.rooms) == 1 {
		v.rooms = nil
		l.scratch = appendMessage(l.scratch[:0], v)
	}
	for i, h := range m.Histories {
		if listed(m.Histories[:i], h.Room) {
			continue
		}
		if err := l.batch.Set(historyKey(l.ns, h.Room, m.Position), l.scratch, nil); err != nil {
			return err
		}
		r, err := l.room(h.Room)
		if err != nil {
			return err
		}
		r.add(m, h.Limit)
	}
	return nil
}

func listed(list []hub.RoomHistory, room string) bool {
	for i := range list {
		if list[i].Room == room {
			return true
		}
	}
	return false
}

// trim forgets the beginning of the tape at once, and deletes it when it is
// worth it.
func (l *Log) trim(p hub.Position) error {
	if p <= hub.Position(l.floor.Load()) {
		return nil
	}
	l.floor.Store(uint64(p))
	if p < l.deleted+trimAtOnce {
		return nil
	}
	return l.deleteTape(p)
}

func (l *Log) deleteTape(p hub.Position) error {
	if err := l.batch.DeleteRange(tapeKey(l.ns, l.deleted+1), tapeKey(l.ns, p+1), nil); err != nil {
		return err
	}
	l.deleted, l.dirty = p, true
	return nil
}

// close writes down where the log stands, so that no position is skipped.
func (l *Log) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store.Err() != nil {
		return nil // said by Store.Close
	}
	l.batch = l.store.db.NewBatch()
	defer l.batch.Close()
	if p := hub.Position(l.floor.Load()); p > l.deleted {
		if err := l.deleteTape(p); err != nil {
			return err
		}
	}
	l.reserved, l.dirty = hub.Position(l.last.Load()), true
	return l.flush(true)
}
