package config_test

import (
	"fmt"
	"testing"

	"github.com/tutti-rt/tutti/internal/config"
)

// TestChangesOfLists: of a long list a change says what was taken out and what
// was added, however far behind that is.
func TestChangesOfLists(t *testing.T) {
	var was, is config.Settings
	for i := range 100 {
		was.Origin = append(was.Origin, fmt.Sprintf("https://%d.example", i))
	}
	is.Origin = append(is.Origin, was.Origin[:90]...)
	is.Origin = append(is.Origin, was.Origin[91:]...)
	is.Origin = append(is.Origin, "https://new.example")
	got := config.Changes(was, is)
	if len(got) != 1 || got[0].String() != "origin: https://90.example → https://new.example" {
		t.Errorf("got %v", got)
	}
	is.Origin[0], is.Origin[1] = is.Origin[1], is.Origin[0]
	if got := config.Changes(is, is); len(got) != 0 {
		t.Errorf("nothing has changed: %v", got)
	}
}
