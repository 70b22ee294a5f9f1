package pebblehub

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// sweepStep is how many rooms are looked at before the sweeper lets others
	// have the processor, sweepPause for how long: a million rooms take some
	// ten seconds of which it works one or two.
	sweepStep  = 1024
	sweepPause = 10 * time.Millisecond
	// maxErased is how many spans are remembered to be removed from the files;
	// with more, their neighbours are removed with them.
	maxErased = 1024
)

// sweep goes through all rooms now and then. It is the store's one goroutine.
func (s *Store) sweep(ctx context.Context) {
	timer := time.NewTimer(s.cfg.SweepEvery)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		case <-s.disk.failed:
			return
		}
		if err := errors.Join(s.sweepRooms(ctx), s.removeErased(ctx)); err != nil && s.Err() == nil {
			s.cfg.Log.Error("sweep histories", slog.String("err", err.Error()))
		}
		timer.Reset(s.cfg.SweepEvery)
	}
}

// pause waits, and says whether to go on.
func (s *Store) pause(ctx context.Context) bool {
	timer := time.NewTimer(sweepPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-s.disk.failed:
		return false
	}
}

// sweepRooms deletes what is beyond its age from the rooms nobody writes to.
func (s *Store) sweepRooms(ctx context.Context) error {
	from := []byte{kindRoom}
	for from != nil {
		var (
			due []dueRoom
			err error
		)
		if due, from, err = s.dueRooms(from); err != nil {
			return err
		}
		for _, d := range due {
			if err := d.log.expire(ctx, d.name); err != nil {
				return err
			}
		}
		if from != nil && !s.pause(ctx) {
			return nil
		}
	}
	return nil
}

type dueRoom struct {
	log  *Log
	name string
}

// dueRooms looks at some rooms and returns those whose oldest message is too
// old, and where to go on, nil at the end.
func (s *Store) dueRooms(from []byte) (due []dueRoom, next []byte, err error) {
	if !s.begin() {
		return nil, nil, nil
	}
	defer s.end()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: []byte{kindRoom + 1}})
	if err != nil {
		return nil, nil, explain(err)
	}
	defer func() { err = errors.Join(err, explain(it.Close())) }()
	now := s.host.now()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n > sweepStep {
			return due, slices.Clone(it.Key()), nil
		}
		_, ns, name, err := splitKey(it.Key())
		if err != nil {
			return nil, nil, damaged("room", err)
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, nil, explain(err)
		}
		r, err := readRoom(value)
		if err != nil {
			return nil, nil, damaged("room "+string(name), err)
		}
		if r.limit.Age <= 0 || !r.oldest.Before(now.Add(-r.limit.Age)) {
			continue
		}
		if l, ok := s.byID.Load(ns); ok { // else its namespace is not in use
			due = append(due, dueRoom{l.(*Log), string(name)})
		}
	}
	return due, nil, explain(it.Error())
}

// expire deletes a room's messages that are too old, some at a time, so that a
// commit never waits long.
func (l *Log) expire(ctx context.Context, name string) error {
	for {
		more, err := l.expireSome(name)
		if err != nil || !more {
			return err
		}
		if !l.store.pause(ctx) {
			return nil
		}
	}
}

func (l *Log) expireSome(name string) (more bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.store.begin() {
		return false, nil
	}
	defer l.store.end()
	if l.store.disk.err() != nil {
		return false, nil
	}
	l.batch = l.store.db.NewBatch()
	defer func() {
		l.batch.Close()
		l.batch = nil
	}()
	r, err := l.room(name)
	if err != nil {
		return false, err
	}
	now := l.store.host.now()
	if err = l.enforce(r, now, maxEnforce); err == nil {
		more = r.count > 0 && r.exceeds(r.oldest, now)
		err = l.flush(false)
	}
	if err != nil {
		l.store.disk.fail(err) // the counters in memory may not be those on the disk
	}
	return more, err
}

// noteErased has what lies between some keys removed from the files.
func (s *Store) noteErased(list []span) {
	s.erasing.Lock()
	defer s.erasing.Unlock()
	for _, e := range list {
		if n := len(s.erased); n == maxErased {
			last := &s.erased[n-1]
			last.from, last.to = minKey(last.from, e.from), maxKey(last.to, e.to)
			continue
		}
		s.erased = append(s.erased, e)
	}
}

func minKey(a, b []byte) []byte {
	if slices.Compare(a, b) < 0 {
		return a
	}
	return b
}

func maxKey(a, b []byte) []byte {
	if slices.Compare(a, b) > 0 {
		return a
	}
	return b
}

// removeErased rewrites the tables that hold what was erased, so that it is not
// only hidden but gone.
func (s *Store) removeErased(ctx context.Context) error {
	s.erasing.Lock()
	erased := s.erased
	s.erased = nil
	s.erasing.Unlock()
	if len(erased) == 0 {
		return nil
	}
	for _, e := range erased {
		if ctx.Err() != nil || s.disk.err() != nil || !s.begin() {
			return nil
		}
		err := s.db.Compact(ctx, e.from, e.to, false)
		s.end()
		if err != nil && ctx.Err() == nil {
			return explain(err)
		}
	}
	return nil
}
