package pebblehub_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
	"github.com/tutti-rt/tutti/hub/pebblehub"
)

func TestStore(t *testing.T) {
	hubtest.TestStore(t, func(t *testing.T) (hub.Store, func() hub.Store) {
		dir := t.TempDir()
		open := func() *pebblehub.Store {
			s, err := pebblehub.Open(dir, pebblehub.Config{HotRooms: 4})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := open()
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Logf("Close: %v", err)
			}
		})
		return s, func() hub.Store {
			if err := s.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			s = open()
			return s
		}
	})
}

var _ = vfs.NewMem
