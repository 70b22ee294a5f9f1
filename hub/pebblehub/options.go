package pebblehub

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/tutti-rt/tutti/hub"
)

const (
	// memTableSize is how much is collected before a table is written, and so
	// how much of the log is read at a start after a crash (about 0.3 s).
	memTableSize = 32 << 20
	// maxMemTables bounds what waits to be written as tables.
	maxMemTables = 6
	// maxSublevels is how many overlapping tables a read may have to look at
	// before writers wait for compactions.
	maxSublevels = 40
	// reservedCache is added to the cache, for Pebble takes what its tables in
	// memory need from there: two of them would leave nothing of 64 MiB, and
	// every look at a cold room's counters would read from the disk.
	reservedCache = 3 * memTableSize
	// unbounded turns off Pebble's own waiting for both: a writer that waits in
	// there can't be told that the disk has failed meanwhile. See Store.room.
	unbounded = 1000
)

// options are Pebble's. Their formats are fixed: a newer Pebble must not raise
// them by itself, or an older program could not read the directory.
func (s *Store) options() *pebble.Options {
	o := &pebble.Options{
		FS:                          s.disk,
		FormatMajorVersion:          pebble.FormatWALSyncChunks, // a log damaged in its middle is noticed
		Logger:                      logger{s},
		EventListener:               s.events(),
		CacheSize:                   s.cfg.CacheBytes + reservedCache,
		MemTableSize:                cmp.Or(s.host.memTable, memTableSize),
		MemTableStopWritesThreshold: unbounded,
		L0StopWritesThreshold:       unbounded,
		L0CompactionThreshold:       2,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                1000,
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, 2 },
		ErrorIfNotExists:            s.existed,
	}
	for i := range o.Levels {
		// 16 KiB hold a page of history in one or two blocks and make the index
		// a quarter of what 4 KiB would.
		o.Levels[i].BlockSize = 16 << 10
		// Most commits ask for the counters of their rooms, and often there are
		// none yet.
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	// What stays for minutes is not worth compressing; below L0 the fastest is.
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings {
		c := pebble.DBCompressionFastest
		c.Levels[0] = pebble.DBCompressionNone.Levels[0]
		return c
	})
	return o
}

// events tells the store what it must know of Pebble's goroutines. They are
// called under locks of Pebble's: they only note.
func (s *Store) events() *pebble.EventListener {
	e := &pebble.EventListener{
		BackgroundError: func(err error) {
			if !errors.Is(err, pebble.ErrClosed) {
				s.disk.fail(explain(err))
			}
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			s.disk.fail(damaged(info.Path, info.Details))
		},
		WALCreated: func(pebble.WALCreateInfo) { s.unflushed.Add(1) },
		FlushEnd: func(info pebble.FlushInfo) {
			if info.Err == nil {
				s.unflushed.Add(-int64(info.Input))
				s.deep.Store(true)
			}
			s.notify()
		},
		CompactionEnd: func(pebble.CompactionInfo) { s.notify() },
	}
	e.EnsureDefaults(logger{s})
	return e
}

// explain names the damaged file of an error of Pebble's, if that is what it is
// about.
func explain(err error) error {
	if err == nil || errors.Is(err, hub.ErrDamaged) {
		return err
	}
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
		return damaged(info.Path, err)
	}
	if pebble.IsCorruptionError(err) {
		return damaged("database", err)
	}
	return err
}

// A logger passes on what Pebble has to say.
type logger struct{ *Store }

// Infof is for those who debug Pebble.
func (logger) Infof(string, ...any) {}

// Errorf logs.
func (l logger) Errorf(format string, args ...any) {
	l.cfg.Log.Error("store", slog.String("err", fmt.Sprintf(format, args...)))
}

// Fatalf is called where Pebble finds that it has a bug, or that its own state
// can't be trusted; errors of the disk never come here, see [disk]. Pebble
// doesn't expect it to return, and the goroutine may hold any lock. It stays
// here: nothing is acknowledged any more, but the server lives and can say so.
func (l logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.wedged.Store(true)
	l.disk.fail(err)
	l.cfg.Log.Error("store stopped", slog.String("err", err.Error()))
	select {}
}
