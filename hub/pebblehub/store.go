package pebblehub

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tutti-rt/tutti/hub"
)

// Config says how a store works. The zero value is good for most.
type Config struct {
	// CacheBytes is how much of the tables is kept in memory for reading, beside
	// 96 MiB at most for what is being written. Default 64 MiB, negative: as
	// little as can be.
	CacheBytes int64
	// HotRooms is for how many rooms of a namespace the counters of their
	// history are kept in memory (about 250 bytes each); those of others are
	// read when somebody writes to them. Default 16,384.
	HotRooms int
	// SweepEvery is how often rooms are looked through for messages beyond
	// their age, and erased messages removed from the files. Default 1 minute,
	// negative: never.
	SweepEvery time.Duration
	// Log takes what is worth an operator's attention. Default [slog.Default].
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	c.CacheBytes = max(cmp.Or(c.CacheBytes, 64<<20), 0)
	c.CacheBytes = cmp.Or(c.CacheBytes, 1<<20)
	c.HotRooms = max(cmp.Or(c.HotRooms, 16384), 2)
	c.SweepEvery = cmp.Or(c.SweepEvery, time.Minute)
	c.Log = cmp.Or(c.Log, slog.Default())
	return c
}

// A Store is a [hub.Store] in a directory. Its methods may be called
// concurrently.
//
// Lock order: Store.mu, Log.mu, Store.life (read), Store.marking.
type Store struct {
	cfg     Config
	dir     string
	host    host
	boot    string
	disk    *disk
	db      *pebble.DB
	lock    interface{ Close() error }
	existed bool

	// turn is held while a batch goes through Pebble's commit up to where it
	// waits for the disk. It never comes back from a Pebble that is broken.
	turn chan struct{}
	// unflushed counts the tables in memory, the active one included; deep says
	// that the shape of the database changed since it was looked at. changed
	// wakes who waits for either.
	unflushed atomic.Int64
	deep      atomic.Bool
	changed   chan struct{}
	wedged    atomic.Bool // db can't be closed

	mu   sync.Mutex
	logs map[string]*Log
	next nsID

	byID sync.Map // nsID → *Log, for the sweeper

	life   sync.RWMutex // read-locked by who uses db
	closed bool

	marking sync.Mutex
	marked  *unsynced // what the file says, nil: there is none

	erasing sync.Mutex
	erased  []span

	sweeper   sync.WaitGroup
	stopSweep context.CancelFunc
}

// A span is a range of keys.
type span struct{ from, to []byte }

var _ hub.Store = (*Store)(nil)

// ErrInUse means that another process has the directory open, or this one.
var ErrInUse = errors.New("pebblehub: data directory in use")

// Open opens the store in a directory, which it makes if it is not there. It
// fails with [ErrInUse], a [*FormatError], a [hub.ErrDamaged], or an error of
// the file system.
func Open(dir string, cfg Config) (*Store, error) {
	h := thisHost()
	dir, err := h.abs(dir)
	if err != nil {
		return nil, err
	}
	return open(dir, cfg, h)
}

func open(dir string, cfg Config, h host) (_ *Store, err error) {
	boot, err := h.boot()
	if err != nil {
		return nil, fmt.Errorf("read boot id: %w", err)
	}
	s := &Store{
		cfg: cfg.withDefaults(), dir: dir, host: h, boot: boot,
		disk: newDisk(h.fs, dir),
		turn: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		logs: make(map[string]*Log),
	}
	if err := makeDir(h.fs, dir); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	if s.lock, err = h.fs.Lock(h.fs.PathJoin(dir, lockFile)); err != nil {
		if isNotExist(err) || errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("lock data directory: %w", err)
		}
		return nil, fmt.Errorf("%w: %s (%w)", ErrInUse, dir, err)
	}
	defer func() {
		if err != nil {
			s.lock.Close()
		}
	}()
	if s.existed, err = checkFormat(h.fs, dir); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stopSweep = cancel
	if s.cfg.SweepEvery > 0 {
		// Started by Open, ended and waited for by Close.
		s.sweeper.Go(func() { s.sweep(ctx) })
	}
	return s, nil
}

// start brings the database up and settles what the last life left open.
func (s *Store) start() error {
	files := s.host.fs
	left, err := readUnsynced(files, s.dir)
	if err != nil {
		return err
	}
	if !s.existed {
		if err := s.prepare(); err != nil {
			return fmt.Errorf("make data directory: %w", err)
		}
		left = nil
	} else if err := s.checkLogs(); err != nil {
		return err
	}
	lost := left != nil && left.lost(s.boot)
	if lost {
		if err := cutLog(files, s.logDir()); err != nil {
			return err
		}
	}
	s.marked = left
	if err := s.openDB(); err != nil {
		return err
	}
	if err := s.settle(left, lost); err != nil {
		s.abandon()
		return err
	}
	s.disk.park.Store(true)
	return nil
}

// prepare makes what a new database needs. What an attempt that was cut short
// has left may be torn in ways that no finished one is, and holds nothing: it
// goes.
func (s *Store) prepare() error {
	files := s.host.fs
	if err := beginFormat(files, s.dir); err != nil {
		return err
	}
	if err := files.RemoveAll(s.logDir()); err != nil {
		return err
	}
	if err := files.Remove(files.PathJoin(s.dir, unsyncedFile)); err != nil && !isNotExist(err) {
		return err
	}
	return makeDir(files, s.logDir())
}

func (s *Store) logDir() string { return s.host.fs.PathJoin(s.dir, logFolder) }

// checkLogs notices that a finished database has no log: Pebble always leaves
// one, and takes a missing one for an empty one.
func (s *Store) checkLogs() error {
	names, err := s.host.fs.List(s.logDir())
	if err != nil {
		return damaged(s.logDir(), err)
	}
	if !slices.ContainsFunc(names, func(n string) bool { return kindOf(n) == logFile }) {
		return damaged(s.logDir(), errors.New("no log file"))
	}
	return nil
}

// openDB opens Pebble. While it does, failures of the disk are hidden from it
// as they are later; they are looked for when it is done.
func (s *Store) openDB() (err error) {
	defer func() {
		// Some mistakes in its files make Pebble panic rather than fail.
		if r := recover(); r != nil {
			err = damaged(s.logDir(), fmt.Errorf("%v", r))
		}
	}()
	db, err := pebble.Open(s.logDir(), s.options())
	if err != nil {
		if failed := s.disk.err(); failed != nil {
			err = failed
		} else if s.existed && !isSystem(err) {
			// It was whole once, and the system did what it was asked to.
			return damaged(s.logDir(), err)
		}
		return fmt.Errorf("open %s: %w", s.logDir(), err)
	}
	s.db = db
	s.disk.renewed()
	s.unflushed.Store(1)
	if !s.existed {
		// Pebble begins a new database in its oldest format and raises it when
		// the first log is open already, which then lacks what tells damage
		// from a crash. This begins another.
		s.rotate()
	}
	if err := s.disk.err(); err != nil {
		s.abandon()
		return fmt.Errorf("open %s: %w", s.logDir(), err)
	}
	return nil
}

// rotate writes what is in memory to tables, which begins a new log.
func (s *Store) rotate() {
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		s.disk.fail(err)
		return
	}
	select {
	case <-flushed:
	case <-s.disk.failed:
	}
}

// settle reads the namespaces and begins new epochs where it must. What was
// committed by an earlier life and is still there is on the disk now, for
// opening Pebble writes the logs out to tables.
func (s *Store) settle(left *unsynced, lost bool) error {
	batch := s.db.NewBatch()
	defer batch.Close()
	err := s.scan([]byte{kindNamespace}, func(key, value []byte) error {
		if len(value) != 4 {
			return fmt.Errorf("%w namespace", errCodec)
		}
		name, ns := string(key[1:]), nsID(binary.BigEndian.Uint32(value))
		s.next = max(s.next, ns+1)
		if !lost || left.namespaces != nil && !slices.Contains(left.namespaces, name) {
			return nil
		}
		return s.renew(batch, ns, left.restored)
	})
	if err != nil {
		return err
	}
	if !batch.Empty() {
		if err := s.apply(batch, true); err != nil {
			return err
		}
	}
	if !s.existed {
		if err := finishFormat(s.host.fs, s.dir); err != nil {
			return fmt.Errorf("make data directory: %w", err)
		}
	}
	return s.unmark()
}

// beyondBackup is how far positions go on after a backup was restored: further
// than anybody went on after it was made.
const beyondBackup = 1 << 32

// renew begins a new epoch of a namespace. Positions go on, so that none is
// given out twice; sessions end, for they name positions of the old epoch.
func (s *Store) renew(batch *pebble.Batch, ns nsID, restored bool) error {
	st, err := s.readState(ns)
	if err != nil {
		return err
	}
	st.epoch = newEpoch()
	if restored {
		st.reserved += beyondBackup
	}
	if err := batch.Set(key(kindState, ns), appendState(nil, st), nil); err != nil {
		return err
	}
	all := key(kindSession, ns)
	return batch.DeleteRange(all, after(all), nil)
}

func (s *Store) readState(ns nsID) (state, error) {
	value, err := s.get(s.db, key(kindState, ns))
	if err == nil && value == nil {
		err = errors.New("missing")
	}
	if err != nil {
		return state{}, damaged(fmt.Sprintf("state of namespace %d", ns), err)
	}
	st, err := readState(value)
	if err != nil {
		return state{}, damaged(fmt.Sprintf("state of namespace %d", ns), err)
	}
	return st, nil
}

// Open returns the log of a namespace. One that is open is refused.
func (s *Store) Open(namespace string) (hub.Log, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logs[namespace] != nil {
		return nil, fmt.Errorf("open log of %q: already open", namespace)
	}
	if !s.begin() {
		return nil, errClosed
	}
	defer s.end()
	if err := s.Err(); err != nil {
		return nil, err
	}
	l, err := s.openLog(namespace)
	if err != nil {
		return nil, fmt.Errorf("open log of %q: %w", namespace, err)
	}
	s.logs[namespace] = l
	s.byID.Store(l.ns, l)
	return l, nil
}

// Failed is closed when the store has stopped to acknowledge for good.
func (s *Store) Failed() <-chan struct{} { return s.disk.failed }

// Err returns why the store has stopped to acknowledge, an [hub.ErrFailed], or
// nil.
func (s *Store) Err() error {
	if err := s.disk.err(); err != nil {
		return fmt.Errorf("%w: %w", hub.ErrFailed, err)
	}
	return nil
}

var errClosed = fmt.Errorf("%w: closed", hub.ErrFailed)

// Close waits for what is being committed, writes everything to the disk and
// gives the directory free.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.RLock()
	closed := s.closed
	s.life.RUnlock()
	if closed {
		return nil
	}
	s.stopSweep()
	s.sweeper.Wait()
	var err error
	for _, l := range s.logs {
		err = errors.Join(err, l.close())
	}
	s.life.Lock()
	s.closed = true
	s.life.Unlock()
	if err == nil && s.disk.err() == nil {
		err = s.finish()
	}
	s.abandon()
	return errors.Join(err, s.Err(), s.lock.Close())
}

// finish leaves tables only, whose checksums tell any damage, and nothing that
// a later life would have to wonder about.
func (s *Store) finish() error {
	s.disk.wanted.Add(1) // never given back
	if s.rotate(); s.disk.err() != nil {
		return nil // said by Close
	}
	return s.unmark()
}

// abandon closes Pebble, unless it would wait for ever.
func (s *Store) abandon() {
	s.disk.wanted.Add(1)
	s.disk.release()
	if s.wedged.Load() {
		return
	}
	if err := s.db.Close(); err != nil {
		s.disk.fail(err)
	}
}

// mark notes on the disk that messages of a namespace (or, if it is "",
// something else) are about to be committed without waiting for the disk.
func (s *Store) mark(namespace string) error {
	s.marking.Lock()
	defer s.marking.Unlock()
	next := unsynced{boot: s.boot, namespaces: []string{}}
	if s.marked != nil {
		next.namespaces = s.marked.namespaces
	}
	if s.marked != nil && (namespace == "" || slices.Contains(next.namespaces, namespace)) {
		return nil
	}
	if namespace != "" {
		next.namespaces = append(slices.Clip(next.namespaces), namespace)
	}
	if err := next.write(s.disk, s.dir); err != nil {
		s.disk.fail(err)
	}
	if err := s.Err(); err != nil {
		return err
	}
	s.marked = &next
	return nil
}

// unmark says that all there is is on the disk.
func (s *Store) unmark() error {
	s.marking.Lock()
	defer s.marking.Unlock()
	if s.marked == nil {
		return nil
	}
	if err := s.disk.Remove(s.disk.PathJoin(s.dir, unsyncedFile)); err != nil && !isNotExist(err) {
		return fmt.Errorf("remove %s: %w", unsyncedFile, err)
	}
	if err := syncDir(s.disk, s.dir); err != nil {
		return err
	}
	s.marked = nil
	return cmp.Or(s.Err(), nil)
}

// begin lets the caller use db until it calls end. It returns false if the
// store is closed.
func (s *Store) begin() bool {
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return false
	}
	return true
}

func (s *Store) end() { s.life.RUnlock() }

var _ vfs.FS = (*disk)(nil)
