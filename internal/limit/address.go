package limit

import "net/netip"

// Network returns what counts as one sender of an address "host:port": an IPv4
// address, or the 64 bits of an IPv6 address that a single customer gets. What is
// no network address is the zero Prefix: all of these are one sender.
func Network(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := at.Addr().Unmap().WithZone(""), 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
