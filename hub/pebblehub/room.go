package pebblehub

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tutti-rt/tutti/hub"
)

// A hotRoom is a room whose counters are in memory.
type hotRoom struct {
	room
	name string
	// touched and enforced by the commit under way.
	touched, enforced bool
}

// rooms are the hot rooms of a log in two halves: a room that is used moves to
// the young half, and when that is full the old half is forgotten. It is as
// good as a list by last use and needs no list.
type rooms struct {
	limit      int
	young, old map[string]*hotRoom
}

func (c *rooms) find(name string) *hotRoom {
	r := c.young[name]
	if r == nil {
		if r = c.old[name]; r != nil {
			c.put(r)
		}
	}
	return r
}

func (c *rooms) put(r *hotRoom) {
	if c.young == nil {
		c.young = make(map[string]*hotRoom)
	}
	c.young[r.name] = r
}

// age forgets, between commits: a room that a commit has touched is needed
// until it is written.
func (c *rooms) age() {
	if len(c.young) > c.limit/2 {
		c.young, c.old = nil, c.young
	}
}

// room returns the counters of a room, which the commit under way will write.
func (l *Log) room(name string) (*hotRoom, error) {
	r := l.rooms.find(name)
	if r == nil {
		value, err := l.store.get(l.store.db, roomKey(l.ns, name))
		if err != nil {
			return nil, err
		}
		r = &hotRoom{name: name}
		if value != nil {
			if r.room, err = readRoom(value); err != nil {
				return nil, damaged(fmt.Sprintf("room %q of %q", name, l.name), err)
			}
		}
		l.rooms.put(r)
	}
	if !r.touched {
		r.touched = true
		l.touched = append(l.touched, r)
	}
	return r, nil
}

func (r *room) add(m *hub.NewMessage, limit hub.HistoryLimit) {
	if r.count == 0 {
		r.first, r.oldest = m.Position, m.Time
	}
	r.limit = hub.HistoryLimit{Count: max(limit.Count, 0), Bytes: max(limit.Bytes, 0), Age: max(limit.Age, 0)}
	r.last = m.Position
	r.count++
	r.bytes += int64(len(m.Body))
}

func (r *room) remove(size int64) {
	r.count = max(r.count-1, 0)
	r.bytes = max(r.bytes-size, 0)
}

// over says whether a room exceeds its limit, which reading hides, by so much
// that deleting is due: an eighth, and 16 messages at least.
func (r *room) over(now time.Time) bool {
	l := r.limit
	return l.Count > 0 && r.count > int64(l.Count)+int64(max(16, min(l.Count/8, 512))) ||
		l.Bytes > 0 && r.bytes-l.Bytes > l.Bytes/8 && r.count > 16 ||
		l.Age > 0 && r.oldest.Before(now.Add(-l.Age-l.Age/8))
}

// exceeds says whether the oldest message of a room, of a time, is beyond its
// limit.
func (r *room) exceeds(t, now time.Time) bool {
	l := r.limit
	return l.Count > 0 && r.count > int64(l.Count) ||
		l.Bytes > 0 && r.bytes > l.Bytes ||
		l.Age > 0 && t.Before(now.Add(-l.Age))
}

// putRooms writes the rooms that the commit has touched, after it has deleted
// what they have too much of.
func (l *Log) putRooms() error {
	now := l.store.host.now()
	for _, r := range l.touched {
		if !r.enforced && r.over(now) {
			if err := l.enforce(r, now, maxEnforce); err != nil {
				return fmt.Errorf("enforce limit of %q: %w", r.name, err)
			}
		}
		r.touched, r.enforced = false, false
		var err error
		if r.count == 0 {
			r.room = room{}
			err = l.batch.Delete(roomKey(l.ns, r.name), nil)
		} else {
			l.scratch = appendRoom(l.scratch[:0], &r.room)
			err = l.batch.Set(roomKey(l.ns, r.name), l.scratch, nil)
		}
		if err != nil {
			return err
		}
	}
	clear(l.touched)
	l.touched = l.touched[:0]
	l.rooms.age()
	return nil
}

// maxEnforce bounds how long a commit, or a step of the sweeper, deletes from
// one room.
const maxEnforce = 4096

// enforce deletes a room's oldest messages until it keeps its limit, at most so
// many. What the commit under way has written is only among them if it erases,
// too; else a later one will see to it.
func (l *Log) enforce(r *hotRoom, now time.Time, most int) (err error) {
	r.enforced = true
	var db pebble.Reader = l.store.db
	if l.batch.Indexed() {
		db = l.batch
	}
	it, err := db.NewIter(&pebble.IterOptions{
		LowerBound: historyKey(l.ns, r.name, r.first),
		UpperBound: historyKey(l.ns, r.name, r.last+1),
	})
	if err != nil {
		return explain(err)
	}
	defer func() { err = errors.Join(err, explain(it.Close())) }()
	var gone [][]byte // deleted when the iterator, which may be the batch's, is done
	for ok := it.First(); ok; ok = it.Next() {
		p, size, t, err := l.entry(it)
		if err != nil {
			return err
		}
		if r.first, r.oldest = p, t; len(gone) == most || !r.exceeds(t, now) {
			break
		}
		gone = append(gone, slices.Clone(it.Key()))
		r.remove(size)
		r.first++
	}
	for _, k := range gone {
		// A range for all of them would be shorter, but every reader of a table
		// in memory sorts all its ranges, and it would hold thousands.
		if err := l.batch.Delete(k, nil); err != nil {
			return err
		}
	}
	return explain(it.Error())
}

// entry reads where an iterator stands in a history.
func (l *Log) entry(it *pebble.Iterator) (hub.Position, int64, time.Time, error) {
	p, err := position(it.Key())
	var value []byte
	if err == nil {
		value, err = it.ValueAndErr()
	}
	if err != nil {
		return 0, 0, time.Time{}, explain(err)
	}
	size, t, err := bodySize(value)
	if err != nil {
		return 0, 0, time.Time{}, damaged(fmt.Sprintf("message %d of %q", p, l.name), err)
	}
	return p, size, t, nil
}
