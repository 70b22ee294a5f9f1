package tutti

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// TrustProxies returns a handler that gives next each request with the address of
// the client in RemoteAddr, when the request comes through proxies at one of the
// given addresses: everything behind it, limits, logs and handshakes, then sees
// who asks and not the last proxy.
//
// It reads X-Forwarded-For from the right, where each proxy adds whom it got the
// request from, and takes the first address that is no proxy's. What stands left
// of that the client may have made up. A request that comes from elsewhere keeps
// its address, whatever its header says. The port is then 0.
//
// Of X-Forwarded-Proto it takes the right-most value: "https" gives the request a
// TLS that says nothing but that there is one, which is all that origins, cookies
// and [Handshake] look at, and "http" takes it away.
func TrustProxies(next http.Handler, proxies ...netip.Prefix) http.Handler {
	proxies = slices.Clone(proxies)
	if len(proxies) == 0 {
		return next
	}
	secure := &tls.ConnectionState{}
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !trusted(peer.Addr().Unmap()) {
			next.ServeHTTP(w, r)
			return
		}
		behind := *r
		if client := forwardedFor(r.Header["X-Forwarded-For"], trusted); client.IsValid() {
			behind.RemoteAddr = netip.AddrPortFrom(client, 0).String()
		}
		switch forwardedProto(r.Header["X-Forwarded-Proto"]) {
		case "https", "wss":
			behind.TLS = secure
		case "http", "ws":
			behind.TLS = nil
		}
		next.ServeHTTP(w, &behind)
	})
}

// forwardedFor returns the right-most address that is not trusted; the left-most
// of all if all are, or the last before what can't be read; the zero Addr if there
// is none.
func forwardedFor(lines []string, trusted func(netip.Addr) bool) (client netip.Addr) {
	for _, line := range slices.Backward(lines) {
		for line != "" {
			i := strings.LastIndexByte(line, ',')
			hop, ok := hopAddress(strings.Trim(line[i+1:], " \t"))
			if !ok {
				return client
			}
			if client = hop; !trusted(hop) {
				return client
			}
			line = line[:max(i, 0)]
		}
	}
	return client
}

// forwardedProto returns what the last proxy says, in lower case.
func forwardedProto(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	last := lines[len(lines)-1]
	last = last[strings.LastIndexByte(last, ',')+1:]
	return strings.ToLower(strings.Trim(last, " \t"))
}

// hopAddress reads "192.0.2.1", "192.0.2.1:80", "2001:db8::1" and
// "[2001:db8::1]:80".
func hopAddress(hop string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]"))
	if err != nil {
		at, err := netip.ParseAddrPort(hop)
		if err != nil {
			return netip.Addr{}, false
		}
		a = at.Addr()
	}
	return a.Unmap().WithZone(""), true
}
