package admin_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestLimited: who runs into limits most is named, for a minute or two, however
// many others do.
func TestLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, nil)
		home := netip.MustParsePrefix("2001:db8::/64")
		for i := range 10_000 {
			k.admin.Limited("quota: address events", netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32), "")
			if i%50 == 0 {
				k.admin.Limited("quota: user publishes", home, "ann")
			}
		}
		list := func() []string {
			var shown []string
			for _, p := range get[struct {
				Limited []struct {
					Limit, User, Address string
					Count                int
				}
			}](k, "/api/stats").Limited {
				shown = append(shown, fmt.Sprint(p.Limit, ", ", p.User, ", ", p.Address, ", ", p.Count))
			}
			return shown
		}
		if got := list(); len(got) != 20 || got[0] != "quota: user publishes, ann, 2001:db8::/64, 200" {
			t.Errorf("%d are named, first of all %q", len(got), got[:1])
		}
		time.Sleep(time.Minute)
		k.admin.Limited("quota: user publishes", home, "ann")
		if got := list(); len(got) != 20 || got[0] != "quota: user publishes, ann, 2001:db8::/64, 201" {
			t.Errorf("in the next minute: %d, %q", len(got), got[:1])
		}
		time.Sleep(time.Minute)
		if got := list(); len(got) != 1 || got[0] != "quota: user publishes, ann, 2001:db8::/64, 1" {
			t.Errorf("a minute later: %q", got)
		}
		time.Sleep(time.Hour)
		if got := list(); len(got) != 0 {
			t.Errorf("at last: %q", got)
		}
	})
}
