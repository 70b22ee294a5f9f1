package pebblehub_test

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var quiet = slog.New(slog.DiscardHandler)

// A machine is the file system of a crashable machine. MemFS.ReuseForWrite
// takes a lock twice that CrashClone waits for in between.
type machine struct{ *vfs.MemFS }

func (m machine) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := m.Rename(from, to); err != nil {
		return nil, err
	}
	return m.OpenReadWrite(to, c)
}
