package pebblehub

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tutti-rt/tutti/hub"
)

// erase removes a message from everywhere, or a room's history and what of it
// is on the tape.
func (l *Log) erase(e hub.Erasure) error {
	if e.Position == 0 {
		return l.eraseRoom(e.Room)
	}
	if err := l.settleRoom(e.Room); err != nil {
		return err
	}
	rooms, err := l.roomsOf(e)
	if err != nil || rooms == nil {
		return err
	}
	for _, room := range rooms {
		if err := l.eraseEntry(room, e.Position); err != nil {
			return err
		}
	}
	k := tapeKey(l.ns, e.Position)
	l.erased = append(l.erased, span{k, tapeKey(l.ns, e.Position+1)})
	return l.batch.Delete(k, nil)
}

// roomsOf returns the rooms whose histories a room's message was written to,
// nil if it is neither in the room's history nor on the tape as its.
func (l *Log) roomsOf(e hub.Erasure) ([]string, error) {
	for _, k := range [][]byte{historyKey(l.ns, e.Room, e.Position), tapeKey(l.ns, e.Position)} {
		if k[0] == kindTape && uint64(e.Position) <= l.floor.Load() {
			continue // trimmed, and only not deleted yet
		}
		value, err := l.store.get(l.batch, k)
		if err != nil {
			return nil, err
		}
		if value == nil {
			continue
		}
		m, err := readMessage(value)
		if err != nil {
			return nil, damaged(fmt.Sprintf("message %d of %q", e.Position, l.name), err)
		}
		if k[0] == kindHistory && len(m.rooms) == 0 {
			return []string{e.Room}, nil
		}
		if slices.Contains(m.rooms, e.Room) {
			return m.rooms, nil
		}
	}
	return nil, nil
}

func (l *Log) eraseEntry(room string, p hub.Position) error {
	if err := l.settleRoom(room); err != nil {
		return err
	}
	k := historyKey(l.ns, room, p)
	value, err := l.store.get(l.batch, k)
	if err != nil || value == nil {
		return err
	}
	size, _, err := bodySize(value)
	if err != nil {
		return damaged(fmt.Sprintf("message %d of %q", p, l.name), err)
	}
	r, err := l.room(room)
	if err != nil {
		return err
	}
	r.remove(size)
	l.erased = append(l.erased, span{k, historyKey(l.ns, room, p+1)})
	return l.batch.Delete(k, nil)
}

// settleRoom deletes what a room's limit only hides: it must not come back
// because there is space when something is erased.
func (l *Log) settleRoom(name string) error {
	r, err := l.room(name)
	if err != nil {
		return err
	}
	return l.enforce(r, l.store.host.now(), math.MaxInt)
}

// eraseRoom looks through the whole tape: it is short and this is rare, and the
// history alone would leave what its limit has dropped already.
func (l *Log) eraseRoom(name string) (err error) {
	r, err := l.room(name)
	if err != nil {
		return err
	}
	r.room = room{}
	from, to := historyKey(l.ns, name, 0), after(historyKey(l.ns, name, ^hub.Position(0)))
	l.erased = append(l.erased, span{from, to})
	if err := l.batch.DeleteRange(from, to, nil); err != nil {
		return err
	}
	it, err := l.batch.NewIter(&pebble.IterOptions{LowerBound: tapeKey(l.ns, l.deleted+1), UpperBound: after(key(kindTape, l.ns))})
	if err != nil {
		return explain(err)
	}
	defer func() { err = errors.Join(err, explain(it.Close())) }()
	var gone [][]byte
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return explain(err)
		}
		m, err := readMessage(value)
		if err != nil {
			return damaged(fmt.Sprintf("tape of %q", l.name), err)
		}
		if len(m.rooms) == 1 && m.rooms[0] == name {
			gone = append(gone, slices.Clone(it.Key()))
		}
	}
	for _, k := range gone {
		if err := l.batch.Delete(k, nil); err != nil {
			return err
		}
	}
	if len(gone) > 0 {
		l.erased = append(l.erased, span{gone[0], append(gone[len(gone)-1], 0)})
	}
	return explain(it.Error())
}
