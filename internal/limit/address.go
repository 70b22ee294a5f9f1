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
