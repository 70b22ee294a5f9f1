package pebblehub_test

import (
	"errors"
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var quiet = slog.New(slog.DiscardHandler)

// A machine is the file system of a crashable machine. MemFS.ReuseForWrite
// takes a lock twice that CrashClone waits for in between.
type machine struct {
	*vfs.MemFS
	// eager: what is removed is gone at once. To CrashClone names that were on
	// the disk stay until their directory is synced, whatever percentage of the
	// unsynced survives.
	eager bool
}

func (m machine) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := m.Rename(from, to); err != nil {
		return nil, err
	}
	return m.OpenReadWrite(to, c)
}

func (m machine) Remove(name string) error {
	if err := m.MemFS.Remove(name); err != nil || !m.eager {
		return err
	}
	dir, err := m.OpenDir(m.PathDir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
