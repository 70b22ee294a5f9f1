package door_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/quota"
)

// TestWhoReachesLimitsIsNamed: as the quota names who reaches its own.
func TestWhoReachesLimitsIsNamed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var named []string
		cfg := chatty
		cfg.MaxMessage = 100
		cfg.Quota = quota.New(quota.Config{Trace: &quota.Trace{Reached: func(stage, limit string, _ netip.Prefix, _ string) {
			named = append(named, stage+": "+limit)
		}}})
		w.sockets(cfg)
		s := w.connect("/ws?room=chat:a&framing=json")
		s.send(strings.Repeat("x", 200))
		s.wantClose(1009, "message too big")
		w.told() // when it has been
		if want := []string{"door: message"}; !slices.Equal(named, want) {
			t.Errorf("named: %q, want %q", named, want)
		}
	})
}
