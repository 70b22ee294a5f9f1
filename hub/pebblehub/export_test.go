package pebblehub

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Host is a machine to open a store on.
type Host struct {
	FS   vfs.FS
	Boot string
	Now  func() time.Time // nil: time.Now
}

// OpenOn opens a store on another machine than this.
func OpenOn(h Host, dir string, cfg Config) (*Store, error) {
	if h.Now == nil {
		h.Now = time.Now
	}
	return open(dir, cfg, host{fs: h.FS, now: h.Now, boot: func() (string, error) { return h.Boot, nil }})
}
