package limit

import "net/netip"

// Address returns the address of a "host:port", the zero Addr if it is no network
// address.
func Address(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// Network returns what counts as one sender of an address "host:port": an IPv4
// address, or the 64 bits of an IPv6 address that a single customer gets. What is
// no network address is the zero Prefix: all of these are one sender.
func Network(remote string) netip.Prefix { return NetworkOf(Address(remote)) }

// NetworkOf is Network for an address.
func NetworkOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	prefix, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// Wider is how many times as much as one sender a wider network may do, and wide
// is how many bits of IPv6 that has: what a site is given, with 65,536 networks
// that count as one sender each.
const (
	Wider = 8
	wide  = 48
)

// WideOf returns the wider network of what counts as one sender, the zero Prefix
// for what has none: IPv4, where addresses are too dear to be had by thousands.
func WideOf(network netip.Prefix) netip.Prefix {
	if !network.Addr().Is6() {
		return netip.Prefix{}
	}
	prefix, err := network.Addr().Prefix(wide)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
