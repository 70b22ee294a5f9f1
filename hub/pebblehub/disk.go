package pebblehub

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A disk stands between Pebble and the file system and does four things that
// Pebble can't.
//
// It fails once and for all. Pebble 2.1 ends the process when the log can't be
// closed or created (a panic through a mutex that isn't held, which Go can't
// recover) or the manifest can't be written (Logger.Fatalf), and tries again
// without end when a table can't be written. So the first error of writing is
// noted, the store acknowledges nothing from then on, and the disk is left as
// it is: Pebble is told that its logs and manifests are written, which nobody
// relies on any more, and the writer of a table waits until the store is
// closed and then gets the error. What was there before can be read on.
//
// It decides which syncs are needed. A commit that asks for no more than to
// survive the process must have been handed to the operating system when it
// returns. Pebble's NoSync leaves it in a buffer of the process instead, and
// kill -9 loses it. So every commit asks Pebble to sync; if none of those
// waiting is a Sync of ours, the log's sync is skipped.
//
// It makes up for skipped syncs before a log is closed, so that a later log is
// never on the disk without the earlier.
//
// It keeps the logs that Pebble has read while it opened until there is a new
// one. Pebble removes them before, and who is stopped in between would leave a
// directory without any, which looks like one that somebody has damaged.
type disk struct {
	vfs.FS
	root string // what lies outside (a backup) is none of our business

	// wanted counts who needs the log's syncs to be real. A sync that began
	// while it was zero covers no record of who came later, for they count
	// themselves before they write.
	wanted atomic.Int64

	failure atomic.Pointer[failure]
	failed  chan struct{} // closed when failure is set
	once    sync.Once
	park    atomic.Bool // writers of tables wait, rather than try again
	leave   chan struct{}
	left    sync.Once

	reading sync.Mutex
	opened  bool     // there is a new log
	old     []string // logs to remove then
}

type failure struct{ err error }

func newDisk(fs vfs.FS, root string) *disk {
	return &disk{FS: fs, root: root + "/", failed: make(chan struct{}), leave: make(chan struct{})}
}

// fail notes the first error.
func (d *disk) fail(err error) {
	d.once.Do(func() {
		d.failure.Store(&failure{err})
		close(d.failed)
	})
}

// err returns why the disk failed, nil if it has not.
func (d *disk) err() error {
	if f := d.failure.Load(); f != nil {
		return f.err
	}
	return nil
}

// release ends the waiting of parked writers.
func (d *disk) release() { d.left.Do(func() { close(d.leave) }) }

func (d *disk) inside(name string) bool { return strings.HasPrefix(name, d.root) }

// Unwrap returns the file system below.
func (d *disk) Unwrap() vfs.FS { return d.FS }

type fileKind uint8

const (
	otherFile fileKind = iota
	logFile
	tableFile
)

func kindOf(name string) fileKind {
	switch {
	case strings.HasSuffix(name, ".log"):
		return logFile
	case strings.HasSuffix(name, ".sst"), strings.HasSuffix(name, ".blob"):
		return tableFile
	}
	return otherFile
}

// do runs an operation that writes. It returns nil for one that was not or
// could not be done but must not be seen to fail.
func (d *disk) do(kind fileKind, f func() error) error {
	if d.failure.Load() == nil {
		err := f()
		if err == nil {
			return nil
		}
		d.fail(err)
		if kind == tableFile {
			return err
		}
		return nil
	}
	if kind != tableFile {
		return nil
	}
	if d.park.Load() {
		<-d.leave
	}
	return d.err()
}

// open opens a file for writing, or one in memory that nobody will read.
func (d *disk) open(name string, f func() (vfs.File, error)) (vfs.File, error) {
	if !d.inside(name) {
		return f()
	}
	var file vfs.File
	err := d.do(kindOf(name), func() (err error) {
		file, err = f()
		return err
	})
	if err != nil {
		return nil, err
	}
	if file == nil {
		if file, err = vfs.NewMem().Create("void", vfs.WriteCategoryUnspecified); err != nil {
			return nil, err
		}
	}
	return &diskFile{File: file, disk: d, kind: kindOf(name)}, nil
}

// Create makes a file.
func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if d.inside(name) && strings.HasPrefix(d.PathBase(name), "marker.") {
		// A marker says which manifest holds. Pebble makes the manifest, then
		// the marker, then syncs the directory; a file system that keeps names
		// in no order could keep the marker alone. TestPower finds it.
		_ = d.do(otherFile, func() error { return syncDir(d.FS, d.PathDir(name)) })
	}
	return d.open(name, func() (vfs.File, error) { return d.FS.Create(name, c) })
}

// ReuseForWrite makes a file of an old one.
func (d *disk) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.open(name, func() (vfs.File, error) { return d.FS.ReuseForWrite(old, name, c) })
}

// OpenDir opens a directory, to be synced.
func (d *disk) OpenDir(name string) (vfs.File, error) {
	file, err := d.FS.OpenDir(name)
	if err != nil || !d.inside(name+"/") {
		return file, err
	}
	return &diskFile{File: file, disk: d}, nil
}

// Rename renames a file.
func (d *disk) Rename(from, to string) error {
	if !d.inside(to) {
		return d.FS.Rename(from, to)
	}
	return d.do(otherFile, func() error { return d.FS.Rename(from, to) })
}

// Remove removes a file. That it can't is no reason to stop: nothing is lost.
func (d *disk) Remove(name string) error {
	if d.inside(name) && (d.failure.Load() != nil || kindOf(name) == logFile && d.keep(name)) {
		return nil
	}
	return d.FS.Remove(name)
}

// keep says whether a log has to wait for its removal.
func (d *disk) keep(name string) bool {
	d.reading.Lock()
	defer d.reading.Unlock()
	if !d.opened {
		d.old = append(d.old, name)
	}
	return !d.opened
}

// renewed removes the logs that were kept, unless the disk has failed and the
// new one is not there. One that stays costs its bytes until the next start.
func (d *disk) renewed() {
	d.reading.Lock()
	old := d.old
	d.opened, d.old = true, nil
	d.reading.Unlock()
	for _, name := range old {
		_ = d.Remove(name)
	}
}

// RemoveAll removes a directory.
func (d *disk) RemoveAll(name string) error {
	if d.inside(name) && d.failure.Load() != nil {
		return nil
	}
	return d.FS.RemoveAll(name)
}

// A diskFile is a file of the store that is written, or a directory.
type diskFile struct {
	vfs.File
	disk  *disk
	kind  fileKind
	dirty atomic.Bool // a sync was skipped
}

var errShort = errors.New("short write")

// Write writes all of p.
func (f *diskFile) Write(p []byte) (int, error) {
	err := f.disk.do(f.kind, func() error {
		n, err := f.File.Write(p)
		if err == nil && n < len(p) {
			err = errShort
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteAt writes all of p.
func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.disk.do(f.kind, func() error {
		_, err := f.File.WriteAt(p, off)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// Preallocate reserves space, so that a full disk shows early.
func (f *diskFile) Preallocate(offset, length int64) error {
	return f.disk.do(f.kind, func() error { return f.File.Preallocate(offset, length) })
}

// Sync is SyncData for a log, which is all that Pebble needs of it.
func (f *diskFile) Sync() error {
	if f.kind == logFile {
		return f.SyncData()
	}
	return f.disk.do(f.kind, f.File.Sync)
}

// SyncData syncs, if anybody needs it.
func (f *diskFile) SyncData() error {
	if f.kind == logFile && f.disk.wanted.Load() == 0 {
		f.dirty.Store(true)
		return nil
	}
	f.dirty.Store(false)
	return f.disk.do(f.kind, f.File.SyncData)
}

// SyncTo syncs a beginning.
func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	err = f.disk.do(f.kind, func() error {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// Close makes up for skipped syncs.
func (f *diskFile) Close() error {
	if f.dirty.Swap(false) {
		if err := f.disk.do(f.kind, f.File.SyncData); err != nil {
			return err
		}
	}
	err := f.File.Close()
	if f.kind == tableFile || err == nil {
		return err
	}
	f.disk.fail(err)
	return nil
}
