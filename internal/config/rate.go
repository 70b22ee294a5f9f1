package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// A Rate is how often something may happen: so many per second in the long run,
// and so many at once. It is written "500/s burst=2000", or none. Without burst it
// is twice what a second brings; slow rates are written 30/m or 100/h.
type Rate struct {
	PerSecond float64 // 0: no limit
	Burst     int
}

// rateUnits are the seconds of a rate's units.
var rateUnits = map[string]float64{"s": 1, "m": 60, "h": 3600}

// UnmarshalText reads a rate.
func (r *Rate) UnmarshalText(text []byte) error {
	wrong := errors.New("want a rate such as 500/s burst=2000, or none")
	words := strings.Fields(string(text))
	switch {
	case len(words) == 1 && strings.EqualFold(words[0], "none"):
		*r = Rate{}
		return nil
	case len(words) == 0 || len(words) > 2:
		return wrong
	}
	number, unit, _ := strings.Cut(words[0], "/")
	n, err := strconv.ParseUint(number, 10, 31)
	seconds := rateUnits[unit]
	if err != nil || n == 0 || seconds == 0 {
		return wrong
	}
	*r = Rate{PerSecond: float64(n) / seconds, Burst: max(int(min(2*float64(n)/seconds, math.MaxInt32)), 1)}
	if len(words) == 2 {
		burst, ok := strings.CutPrefix(words[1], "burst=")
		b, err := strconv.ParseUint(burst, 10, 31)
		if !ok || err != nil || b == 0 {
			return wrong
		}
		r.Burst = int(b)
	}
	return nil
}

// MarshalText writes a rate in the first unit that needs no fraction.
func (r Rate) MarshalText() ([]byte, error) {
	if r.PerSecond <= 0 {
		return []byte("none"), nil
	}
	for _, unit := range []string{"s", "m", "h"} {
		if n := math.Round(r.PerSecond * rateUnits[unit]); unit == "h" || math.Abs(n/rateUnits[unit]-r.PerSecond) < 1e-9 {
			return fmt.Appendf(nil, "%.0f/%s burst=%d", n, unit, r.Burst), nil
		}
	}
	return nil, nil // not reached
}

// A Network is a range of addresses, written 10.0.0.0/8 or as one address, or
// none.
type Network struct{ netip.Prefix }

// UnmarshalText reads a range.
func (n *Network) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	if strings.EqualFold(s, "none") {
		*n = Network{}
		return nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		n.Prefix, err = a.Unmap().WithZone("").Prefix(a.Unmap().BitLen())
		return err
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return errors.New("want an address or a range, such as 10.0.0.0/8 or ::1, or none")
	case p != p.Masked():
		return fmt.Errorf("%s has bits behind its /%d: want %s", s, p.Bits(), p.Masked())
	}
	n.Prefix = p
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (n Network) MarshalText() ([]byte, error) {
	if !n.IsValid() {
		return []byte("none"), nil
	}
	return []byte(n.String()), nil
}

// Prefixes returns the ranges without those that are none.
func Prefixes(networks []Network) []netip.Prefix {
	var all []netip.Prefix
	for _, n := range networks {
		if n.IsValid() {
			all = append(all, n.Prefix)
		}
	}
	return all
}

// mustNetwork is for defaults.
func mustNetwork(s string) Network { return Network{netip.MustParsePrefix(s)} }
