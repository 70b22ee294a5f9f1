package pebblehub

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tutti-rt/tutti/hub"
)

// Tape returns messages after a position.
func (l *Log) Tape(from hub.Position, limit int) (list []hub.Stored, err error) {
	if !l.store.begin() {
		return nil, errClosed
	}
	defer l.store.end()
	// What is being committed is in the database already, but nobody may see
	// it: a member that has received it must not lose it.
	if last := hub.Position(l.last.Load()); from < last && limit > 0 {
		if list, err = l.read(from+1, last+1, limit); err != nil {
			return nil, err
		}
	}
	// Looked at last: what was trimmed meanwhile may be missing from the list.
	if floor := hub.Position(l.floor.Load()); from < floor {
		return nil, fmt.Errorf("%w: the tape begins after %d", hub.ErrTrimmed, floor)
	}
	return list, nil
}

// read returns at most limit messages of the tape between two positions.
func (l *Log) read(from, to hub.Position, limit int) (list []hub.Stored, err error) {
	it, err := l.store.db.NewIter(&pebble.IterOptions{LowerBound: tapeKey(l.ns, from), UpperBound: tapeKey(l.ns, to)})
	if err != nil {
		return nil, explain(err)
	}
	defer func() { err = errors.Join(err, explain(it.Close())) }()
	for ok := it.First(); ok && len(list) < limit; ok = it.Next() {
		m, err := l.stored(it)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, explain(it.Error())
}

// stored returns a copy of the message an iterator stands at.
func (l *Log) stored(it *pebble.Iterator) (hub.Stored, error) {
	p, err := position(it.Key())
	var value []byte
	if err == nil {
		value, err = it.ValueAndErr()
	}
	if err != nil {
		return hub.Stored{}, explain(err)
	}
	m, err := readMessage(value)
	if err != nil {
		return hub.Stored{}, damaged(fmt.Sprintf("message %d of %q", p, l.name), err)
	}
	return hub.Stored{Position: p, Time: m.time, Body: append([]byte{}, m.body...)}, nil
}

// History returns a page.
func (l *Log) History(name string, q hub.HistoryQuery) ([]hub.Stored, error) {
	if q.Before != 0 && q.After != 0 {
		return nil, errors.New("history: both Before and After")
	}
	if !l.store.begin() {
		return nil, errClosed
	}
	defer l.store.end()
	if q.Limit <= 0 {
		return nil, nil
	}
	p := &page{log: l, name: name, q: q, last: hub.Position(l.last.Load()), now: l.store.host.now()}
	list, err := p.read()
	if err != nil {
		return nil, fmt.Errorf("history of %q: %w", name, err)
	}
	return list, nil
}

// A page is read through one iterator, which sees the counters and the
// messages of one moment.
type page struct {
	log  *Log
	name string
	q    hub.HistoryQuery
	last hub.Position
	now  time.Time

	room room
	it   *pebble.Iterator
}

func (p *page) read() (list []hub.Stored, err error) {
	k := roomKey(p.log.ns, p.name)
	if p.it, err = p.log.store.db.NewIter(&pebble.IterOptions{LowerBound: k, UpperBound: append(slices.Clip(k), 0)}); err != nil {
		return nil, explain(err)
	}
	defer func() { err = errors.Join(err, explain(p.it.Close())) }()
	if !p.it.First() {
		return nil, explain(p.it.Error())
	}
	value, err := p.it.ValueAndErr()
	if err != nil {
		return nil, explain(err)
	}
	if p.room, err = readRoom(value); err != nil {
		return nil, damaged("counters", err)
	}
	first := p.room.first
	if p.excess() {
		if first, err = p.oldest(); err != nil {
			return nil, err
		}
	}
	if p.q.After != 0 {
		return p.forward(max(first, p.q.After+1))
	}
	return p.backward(first)
}

func (p *page) bound(from, to hub.Position) {
	p.it.SetBounds(historyKey(p.log.ns, p.name, from), historyKey(p.log.ns, p.name, to))
}

// excess says whether the room holds messages beyond its limit of count or
// bytes that could get into the page.
func (p *page) excess() bool {
	l := p.room.limit
	if l.Bytes > 0 && p.room.bytes > l.Bytes {
		return true
	}
	// The last page alone can count for itself.
	return l.Count > 0 && p.room.count > int64(l.Count) && (p.q.Before != 0 || p.q.After != 0 || p.q.Limit > l.Count)
}

// oldest returns the position of the oldest message within the limits of count
// and bytes. It reads at most what was not deleted yet: see room.over.
func (p *page) oldest() (hub.Position, error) {
	p.bound(p.room.first, p.room.last+1)
	r := p.room
	r.limit.Age = 0
	for ok := p.it.First(); ok; ok = p.it.Next() {
		at, size, t, err := p.log.entry(p.it)
		if err != nil {
			return 0, err
		}
		if !r.exceeds(t, p.now) {
			return at, nil
		}
		r.remove(size)
	}
	return p.room.last + 1, explain(p.it.Error())
}

func (p *page) expired(m hub.Stored) bool {
	age := p.room.limit.Age
	return age > 0 && m.Time.Before(p.now.Add(-age))
}

func (p *page) forward(from hub.Position) ([]hub.Stored, error) {
	if from > p.last {
		return nil, nil
	}
	p.bound(from, p.last+1)
	var list []hub.Stored
	for ok := p.it.First(); ok && len(list) < p.q.Limit; ok = p.it.Next() {
		m, err := p.log.stored(p.it)
		if err != nil {
			return nil, err
		}
		if !p.expired(m) {
			list = append(list, m)
		}
	}
	return list, explain(p.it.Error())
}

// backward stops at the first message that is too old: all before it are, too,
// but for clock jumps.
func (p *page) backward(first hub.Position) ([]hub.Stored, error) {
	to := p.last + 1
	if p.q.Before != 0 {
		to = min(to, p.q.Before)
	}
	if first >= to {
		return nil, nil
	}
	p.bound(first, to)
	var list []hub.Stored
	for ok := p.it.Last(); ok && len(list) < p.q.Limit; ok = p.it.Prev() {
		m, err := p.log.stored(p.it)
		if err != nil {
			return nil, err
		}
		if p.expired(m) {
			break
		}
		list = append(list, m)
	}
	slices.Reverse(list)
	return list, explain(p.it.Error())
}

// sessionsAtOnce is how many sessions are read at a time: nothing is held while
// they are yielded.
const sessionsAtOnce = 256

// Sessions yields the sessions, those that change meanwhile or not.
func (l *Log) Sessions() iter.Seq2[hub.StoredSession, error] {
	return func(yield func(hub.StoredSession, error) bool) {
		from := key(kindSession, l.ns)
		for {
			list, err := l.sessions(from)
			if err != nil {
				yield(hub.StoredSession{}, err)
				return
			}
			for _, s := range list {
				if !yield(s, nil) {
					return
				}
			}
			if len(list) < sessionsAtOnce {
				return
			}
			from = append(sessionKey(l.ns, list[len(list)-1].ID), 0)
		}
	}
}

func (l *Log) sessions(from []byte) (list []hub.StoredSession, err error) {
	if !l.store.begin() {
		return nil, errClosed
	}
	defer l.store.end()
	it, err := l.store.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: after(key(kindSession, l.ns))})
	if err != nil {
		return nil, explain(err)
	}
	defer func() { err = errors.Join(err, explain(it.Close())) }()
	for ok := it.First(); ok && len(list) < sessionsAtOnce; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, explain(err)
		}
		_, _, id, err := splitKey(it.Key())
		if err != nil {
			return nil, damaged("session", err)
		}
		list = append(list, hub.StoredSession{ID: string(id), Body: append([]byte{}, value...)})
	}
	return list, explain(it.Error())
}
