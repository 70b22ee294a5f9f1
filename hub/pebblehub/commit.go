package pebblehub

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// apply commits a batch. Batches of several logs go one after another through
// the part that orders them and wait together for the disk.
func (s *Store) apply(batch *pebble.Batch, sync bool) error {
	if sync {
		s.disk.wanted.Add(1)
		defer s.disk.wanted.Add(-1)
	}
	select {
	case s.turn <- struct{}{}:
	case <-s.disk.failed:
		return s.Err()
	}
	if err := s.space(); err != nil {
		<-s.turn
		return err
	}
	if err := s.order(batch); err != nil {
		// The turn is kept: Pebble's locks may be, too.
		s.wedged.Store(true)
		s.disk.fail(err)
		return s.Err()
	}
	<-s.turn
	if err := batch.SyncWait(); err != nil {
		s.disk.fail(err)
	}
	// What Pebble believes to be written and synced may not be: see [disk].
	return s.Err()
}

// order puts the batch in its place. When it returns the batch can be read, and
// SyncWait waits until it is written.
func (s *Store) order(batch *pebble.Batch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("commit: %v", r)
		}
	}()
	return s.db.ApplyNoSyncWait(batch, pebble.Sync)
}

// space waits while Pebble has too much to do to take more.
func (s *Store) space() error {
	for {
		if s.disk.failure.Load() != nil {
			return s.Err()
		}
		// The first tables are small, and Pebble lets them be until they are
		// worth writing.
		full := s.unflushed.Load() > maxMemTables && s.db.Metrics().MemTable.Size > maxMemTables*memTableSize
		if !full && s.deep.Swap(false) {
			if full = s.db.Metrics().Levels[0].Sublevels > maxSublevels; full {
				s.deep.Store(true)
			}
		}
		if !full {
			return nil
		}
		select {
		case <-s.changed:
		case <-s.disk.failed:
		}
	}
}

func (s *Store) notify() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// get returns a copy of a value, nil if there is none.
func (s *Store) get(r pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	defer closer.Close()
	return append([]byte{}, value...), nil
}

// scan calls f for every key that begins with prefix.
func (s *Store) scan(prefix []byte, f func(key, value []byte) error) (err error) {
	bounds := &pebble.IterOptions{UpperBound: after(prefix)}
	if len(prefix) > 0 { // Pebble's checks, on with the race detector, trip over an empty bound
		bounds.LowerBound = prefix
	}
	it, err := s.db.NewIter(bounds)
	if err != nil {
		return explain(err)
	}
	defer func() { err = errors.Join(err, explain(it.Close())) }()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return explain(err)
		}
		if err := f(it.Key(), value); err != nil {
			return err
		}
	}
	return explain(it.Error())
}
