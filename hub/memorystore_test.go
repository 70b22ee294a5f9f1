package hub_test

import (
	"testing"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
)

func TestMemoryStore(t *testing.T) {
	hubtest.TestStore(t, func(t *testing.T) (hub.Store, func() hub.Store) {
		s := hub.NewMemoryStore()
		t.Cleanup(func() { s.Close() })
		return s, nil
	})
}
