package pebblehub

import (
	"context"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Host is a machine to open a store on.
type Host struct {
	FS   vfs.FS
	Boot string
	Now  func() time.Time // nil: time.Now
	// MemTable is how much is collected before a table is written, 0: as ever.
	MemTable uint64
}

// Rest returns when Pebble has nothing left to compact.
func (s *Store) Rest() {
	for m := s.db.Metrics(); m.Compact.NumInProgress > 0 || m.Flush.NumInProgress > 0; m = s.db.Metrics() {
		runtime.Gosched()
	}
}

// RestoreOn restores a backup on another machine than this.
func RestoreOn(h Host, backup, dir string) error {
	return restore(context.Background(), backup, dir, h.host())
}

func (h Host) host() host {
	if h.Now == nil {
		h.Now = time.Now
	}
	return host{fs: h.FS, now: h.Now, memTable: h.MemTable, boot: func() (string, error) { return h.Boot, nil }}
}

// OpenOn opens a store on another machine than this.
func OpenOn(h Host, dir string, cfg Config) (*Store, error) {
	return open(dir, cfg, h.host())
}
