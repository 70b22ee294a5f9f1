package pebblehub

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tutti-rt/tutti/hub"
)

// Namespaces returns the names of those that the store has a log of, sorted.
func (s *Store) Namespaces() (names []string, err error) {
	if !s.begin() {
		return nil, errClosed
	}
	defer s.end()
	err = s.scan([]byte{kindNamespace}, func(key, _ []byte) error {
		names = append(names, string(key[1:]))
		return nil
	})
	return names, err
}

// A RoomState is what a log knows of a room that has a history.
type RoomState struct {
	Room  string
	Limit hub.HistoryLimit
	Count int64        // of its messages; more than the limit, at times
	First hub.Position // no message of its history is before it
	Last  hub.Position
}

// roomsAtOnce is how many rooms are read at a time.
const roomsAtOnce = 1024

// Rooms returns rooms that have a history, sorted, after the one that has a
// name: some of them, and none at the end. Before the first: more is false.
func (l *Log) Rooms(behind string, more bool) (list []RoomState, err error) {
	if !l.store.begin() {
		return nil, errClosed
	}
	defer l.store.end()
	all := key(kindRoom, l.ns)
	from := all
	if more {
		from = append(roomKey(l.ns, behind), 0)
	}
	it, err := l.store.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: after(all)})
	if err != nil {
		return nil, explain(err)
	}
	defer func() { err = errors.Join(err, explain(it.Close())) }()
	for ok := it.First(); ok && len(list) < roomsAtOnce; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, explain(err)
		}
		_, _, name, err := splitKey(it.Key())
		if err != nil {
			return nil, damaged("room", err)
		}
		r, err := readRoom(value)
		if err != nil {
			return nil, damaged(fmt.Sprintf("room %q of %q", name, l.name), err)
		}
		list = append(list, RoomState{Room: string(name), Limit: r.limit, Count: r.count, First: r.first, Last: r.last})
	}
	return list, explain(it.Error())
}

// A Copied is a message with the rooms whose histories have it, or had.
type Copied struct {
	hub.Stored
	Histories []string
}

// CopyTape returns what is on the tape after a position, oldest first, at most so
// many, also if some is missing before.
func (l *Log) CopyTape(from hub.Position, limit int) ([]Copied, error) {
	from = max(from, hub.Position(l.floor.Load()))
	return l.copied(tapeKey(l.ns, from+1), after(key(kindTape, l.ns)), "", limit)
}

// CopyHistory returns what a room's history has after a position, oldest first,
// at most so many, with what is beyond its limit.
func (l *Log) CopyHistory(room string, from hub.Position, limit int) ([]Copied, error) {
	prefix := historyKey(l.ns, room, 0)
	return l.copied(historyKey(l.ns, room, from+1), after(prefix[:len(prefix)-8]), room, limit)
}

func (l *Log) copied(from, to []byte, room string, limit int) (list []Copied, err error) {
	if !l.store.begin() {
		return nil, errClosed
	}
	defer l.store.end()
	it, err := l.store.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return nil, explain(err)
	}
	defer func() { err = errors.Join(err, explain(it.Close())) }()
	for ok := it.First(); ok && len(list) < limit; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, explain(err)
		}
		m, err := readMessage(value)
		if err != nil || len(it.Key()) < 8 {
			return nil, damaged(fmt.Sprintf("key %q of %q", it.Key(), l.name), err)
		}
		c := Copied{Histories: m.rooms}
		c.Position = hub.Position(binary.BigEndian.Uint64(it.Key()[len(it.Key())-8:]))
		c.Time, c.Body = m.time, slices.Clone(m.body)
		if len(c.Histories) == 0 && room != "" {
			c.Histories = []string{room}
		}
		list = append(list, c)
	}
	return list, explain(it.Error())
}
