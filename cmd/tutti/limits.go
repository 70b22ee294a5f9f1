package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/quota"
)

// quotaConfig says in the quota's terms what peers may do together.
func quotaConfig(s config.Settings) quota.Config {
	r, standard := s.Rate, quota.Default()
	cfg := quota.Config{
		Connection: rates(r.ConnectionEvents, r.ConnectionPublishes, r.ConnectionJoins, r.ConnectionReads),
		User:       rates(r.UserEvents, r.UserPublishes, r.UserJoins, r.UserReads),
		Address:    rates(r.AddressEvents, r.AddressPublishes, r.AddressJoins, r.AddressReads),
		Room:       rates(config.Rate{}, r.RoomPublishes, r.RoomJoins, config.Rate{}),

		Handshakes:        quota.Rate(r.Handshakes),
		AddressHandshakes: quota.Rate(r.AddressHandshakes),
		MaxAddress:        int(s.Limit.Address),
		MaxUser:           int(s.Limit.User),
		Exempt:            config.Prefixes(s.Limit.Exempt),
		Shared:            func(user string) bool { return strings.HasPrefix(user, "key:") },
		MaxBusy:           int(s.Limit.Busy),
		Refusal:           s.Timeout.Refusal,
		MaxWaiting:        int64(s.Limit.Waiting),
	}
	if s.Limit.Waiting == 0 {
		cfg.MaxWaiting = standard.MaxWaiting
	}
	return cfg
}

func rates(events, publishes, joins, reads config.Rate) quota.Rates {
	return quota.Rates{Events: quota.Rate(events), Publishes: quota.Rate(publishes), Joins: quota.Rate(joins), Reads: quota.Rate(reads)}
}

// sessions is how many there may be.
func sessions(s config.Settings) int {
	if s.Limit.Sessions == 0 {
		return engineio.DefaultSessions()
	}
	return int(s.Limit.Sessions)
}

// protect wraps what is served to everyone: requests get the address of who
// sent them, and those that ask for another host are refused.
func (a *app) protect(next http.Handler, s config.Settings, log *slog.Logger) http.Handler {
	a.hosts.Store(hostsOf(s))
	proxies := config.Prefixes(s.Proxies)
	return warnOfProxy(tutti.TrustProxies(onlyHosts(next, &a.hosts, a.blocked), proxies...), proxies, log)
}

// warnOfProxy says once in the log that requests come through a proxy on this
// machine whose word nobody takes: all its clients are then loopback, which no
// limit of addresses holds.
func warnOfProxy(next http.Handler, trusted []netip.Prefix, log *slog.Logger) http.Handler {
	var said atomic.Bool
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header["X-Forwarded-For"] != nil && !said.Load() {
			peer, err := netip.ParseAddrPort(r.RemoteAddr)
			a := peer.Addr().Unmap()
			theirs := func(p netip.Prefix) bool { return p.Contains(a) }
			if err == nil && a.IsLoopback() && !slices.ContainsFunc(trusted, theirs) && said.CompareAndSwap(false, true) {
				log.Warn("a proxy on this machine is not in trusted-proxies: all its clients count as one address, which has no limits", "remote", a.String())
			}
		}
		next.ServeHTTP(w, r)
	})
}

// A hostRule says which hosts are served.
type hostRule func(host string) bool

// hostsOf returns which hosts the settings serve.
func hostsOf(s config.Settings) *hostRule {
	rule := hostRuleOf(s)
	return &rule
}

func hostRuleOf(s config.Settings) hostRule {
	every := func(string) bool { return true }
	switch {
	case slices.Contains(s.Hosts, "*"):
		return every
	case len(s.Hosts) > 0:
		return func(host string) bool {
			return slices.Contains(s.Hosts, host) || slices.Contains(s.Hosts, withoutPort(host))
		}
	case !isLoopback(s.Listen):
		return every
	}
	var pages []string // of the application, which may be asked for through a proxy
	for _, o := range s.Origin {
		_, host, _ := strings.Cut(o, "://")
		pages = append(pages, strings.ToLower(withoutPort(host)))
	}
	ours := loopbackRule(s.Listen)
	return func(host string) bool { return ours(host) || slices.Contains(pages, withoutPort(host)) }
}

// loopbackRule has those hosts served that a web page can't lead here: a page
// can't be at an address that isn't its own, so who asks for an address hasn't
// been led here by a name.
func loopbackRule(listen string) hostRule {
	own := strings.ToLower(withoutPort(listen))
	return func(host string) bool {
		name := withoutPort(host)
		_, err := netip.ParseAddr(strings.Trim(name, "[]"))
		return err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") || name == own
	}
}

func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// isLoopback says whether an address to listen on is only reached from this
// machine.
func isLoopback(listen string) bool {
	host := withoutPort(listen)
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// onlyHosts refuses requests for hosts that aren't allowed: a page of the web
// can have a name of its own resolve to this machine, and would then pass for a
// page of this server (DNS rebinding).
func onlyHosts(next http.Handler, rule *atomic.Pointer[hostRule], hit func(limit string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed := *rule.Load()
		if allowed(strings.ToLower(strings.TrimSuffix(r.Host, "."))) || r.URL.Path == "/healthz" {
			next.ServeHTTP(w, r)
			return
		}
		hit("host")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusMisdirectedRequest)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{ // nobody is left to tell
			"code": "host", "message": "this server is not known by that name: see its setting hosts",
		}})
	})
}

// A gate is a listener that keeps connections from taking all that there is:
// each address has so many that aren't WebSockets, which the quota counts, and
// some files stay free for the rest of the process.
type gate struct {
	net.Listener
	addresses *limit.Tally[netip.Prefix] // by what counts as one
	networks  *limit.Tally[netip.Prefix] // the wider ones around them
	free      []netip.Prefix             // of the limit of addresses
	files     int                        // connections have lower descriptors; 0: any
	hit       func(limit string)
	log       *slog.Logger
	visits    sync.Map // *visit by net.Conn

	named     func(limit string, network netip.Prefix) // who hit a limit; may be nil
	nodes     func(netip.Addr) bool                    // whether another node is there; nil: there are none
	uncounted sync.Map                                 // by netip.AddrPort: connections of nodes beyond the limit
}

// A visit is a connection, and whether a request of it came to be served.
type visit struct{ served atomic.Bool }

type visitKey struct{}

// guard makes server one of the gate's. The limit "request" is hit by
// connections that end before a request could be served: they sent none, or too
// slowly, or something else.
func (g *gate) guard(server *http.Server) {
	next := server.Handler
	server.ConnState = g.state
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		v := &visit{}
		if before, ok := c.(interface{ Served() bool }); ok {
			v.served.Store(before.Served()) // by tutti.Serve, before it was passed on
		}
		g.visits.Store(c, v)
		return context.WithValue(ctx, visitKey{}, v)
	}
	patience := server.ReadHeaderTimeout
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v, ok := r.Context().Value(visitKey{}).(*visit); ok {
			v.served.Store(true)
		}
		next.ServeHTTP(w, r)
		if r.ContentLength != 0 && r.Header.Get("Upgrade") == "" {
			// net/http reads what is left of a body before it answers, and
			// would do so for as long as it takes.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience)) // it can
		}
	})
}

// newGate returns l behind a gate. hit is told of the limits "requests",
// "request" and "files".
func newGate(l net.Listener, s config.Settings, hit func(string), log *slog.Logger) *gate {
	most, files := int(s.Limit.Requests), limit.Files()
	g := &gate{Listener: l, hit: hit, log: log, free: slices.Concat(config.Prefixes(s.Limit.Exempt), config.Prefixes(s.Proxies))}
	if files > 0 {
		g.files = files - min(int(s.Limit.Reserve), files/2)
		if most > 0 {
			most = min(most, max(files/2, 1))
		}
	}
	g.addresses = limit.NewTally[netip.Prefix](most)
	wider := most * limit.Wider
	if files > 0 {
		wider = min(wider, max(files/2, 1)) // none stays none
	}
	g.networks = limit.NewTally[netip.Prefix](wider)
	return g
}

// busyAnswer is the whole answer to whom there is no room for.
var busyAnswer = []byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

// Plain returns the listener behind the gate.
func (g *gate) Plain() *net.TCPListener {
	tcp, _ := g.Listener.(*net.TCPListener)
	return tcp
}

// Accept returns the next connection that there is room for.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		refusal, ok := g.Admit(remoteOf(c), descriptor(c))
		if ok {
			return c, nil
		}
		if len(refusal) > 0 {
			// The buffer of a new socket takes it at once; if not, that is
			// all the same.
			_, _ = c.Write(refusal)
		}
		_ = c.Close() // it is of no use to anybody
	}
}

// Admit counts a connection in, or says what its peer is told.
func (g *gate) Admit(remote netip.AddrPort, descriptor int) (refusal []byte, ok bool) {
	network, counts := g.network(remote)
	switch {
	case g.files > 0 && descriptor >= g.files:
		g.hit("files")
		return busyAnswer, false
	case counts && !g.take(network):
		if g.nodes != nil && g.nodes(remote.Addr().Unmap()) {
			// It passes on what its own clients ask for, each of whom it has counted.
			g.uncounted.Store(remote, struct{}{})
			return nil, true
		}
		g.hit("requests")
		if g.named != nil {
			g.named("listener: requests", network)
		}
		g.log.Debug("too many connections", "remote", remote.String())
		return nil, false
	}
	return nil, true
}

// Left gives back the place of a connection that was let in.
func (g *gate) Left(remote netip.AddrPort, served bool) {
	if !served {
		g.hit("request")
	}
	if _, ok := g.uncounted.LoadAndDelete(remote); ok {
		return
	}
	if network, counts := g.network(remote); counts {
		g.addresses.Give(network)
		if wide := limit.WideOf(network); wide.IsValid() {
			g.networks.Give(wide)
		}
	}
}

// take counts a connection for its address, and for the network around it.
func (g *gate) take(network netip.Prefix) bool {
	if !g.addresses.Take(network) {
		return false
	}
	if wide := limit.WideOf(network); wide.IsValid() && !g.networks.Take(wide) {
		g.addresses.Give(network)
		return false
	}
	return true
}

// state is the server's ConnState: it gives back the place of a connection that
// is over or has become a WebSocket.
func (g *gate) state(c net.Conn, s http.ConnState) {
	if s != http.StateClosed && s != http.StateHijacked {
		return
	}
	v, ok := g.visits.LoadAndDelete(c)
	g.Left(remoteOf(c), !ok || v.(*visit).served.Load())
}

// remoteOf is the zero address if it is not one of the network.
func remoteOf(c net.Conn) netip.AddrPort {
	remote := c.RemoteAddr()
	if remote == nil { // of one that is gone
		return netip.AddrPort{}
	}
	a, _ := netip.ParseAddrPort(remote.String())
	return a
}

// network is what a connection counts for.
func (g *gate) network(remote netip.AddrPort) (netip.Prefix, bool) {
	a := remote.Addr().Unmap()
	if !a.IsValid() || slices.ContainsFunc(g.free, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return netip.Prefix{}, false
	}
	return limit.NetworkOf(a), true
}

// descriptor is the number of a connection's file, -1 if it has none. A new one
// is the lowest that is free, so it says how many there are.
func descriptor(c net.Conn) int {
	n := -1
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return n
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n = int(fd) }) // it is open
	}
	return n
}
