package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/natshub"
	"github.com/tutti-rt/tutti/hub/redishub"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/internal/forward"
	"github.com/tutti-rt/tutti/metrics"
)

// engineKinds are the engines there are, by the schemes of their URLs.
var engineKinds = map[string]func(context.Context, config.Settings, *link, *slog.Logger) (hub.Engine, error){
	"redis":  openRedis,
	"rediss": openRedis,
	"unix":   openRedis,
	"nats":   openNATS,
	"tls":    openNATS,
}

// engineStart is how long the engine may take to answer when the program
// starts: longer, and something is wrong that a person should hear of.
const engineStart = 15 * time.Second

// A link is what the program knows of its connection to the engine.
type link struct {
	*metrics.Metrics
	up atomic.Bool
}

func (l *link) connected() {
	l.up.Store(true)
	l.EngineConnected()
}

func (l *link) lost(error) {
	l.up.Store(false)
	l.EngineLost()
}

// openEngine reaches the engine that the settings name, or returns nil.
func openEngine(s config.Settings, l *link, log *slog.Logger) (hub.Engine, error) {
	if s.Engine == "" {
		return nil, nil
	}
	u, err := url.Parse(s.Engine)
	if err != nil {
		return nil, fmt.Errorf("engine: not a URL") // it may have a password in it
	}
	open := engineKinds[u.Scheme]
	if open == nil {
		return nil, fmt.Errorf("engine: there is none for %s://; choose redis:// or nats:// with --engine", u.Scheme)
	}
	if exposed(u) {
		log.Warn("the engine has neither password nor TLS: who can reach it is a node, and reads and writes everything", "name", u.Host)
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineStart)
	defer cancel()
	e, err := open(ctx, s, l, log)
	if err != nil {
		return nil, fmt.Errorf("engine %s: %w", u.Redacted(), err)
	}
	return e, nil
}

// exposed says whether an engine on another machine asks for nothing, by its URL.
func exposed(u *url.URL) bool {
	q := u.Query()
	shown := u.User.String() != "" // of NATS it may be a token
	if u.Scheme == "redis" {
		_, shown = u.User.Password()
	}
	if u.Scheme != "redis" && u.Scheme != "nats" || shown || q.Has("password") || q.Has("creds") || q.Has("nkey") {
		return false
	}
	return slices.ContainsFunc(strings.Split(u.Host, ","), func(host string) bool {
		host = strings.Trim(withoutPort(host), "[]")
		return host != "" && !isLoopback(host)
	})
}

func openRedis(ctx context.Context, s config.Settings, l *link, log *slog.Logger) (hub.Engine, error) {
	redis.SetLogger(redisLog{log})
	return redishub.Open(ctx, redishub.Config{
		URL: s.Engine, Cluster: s.Cluster, AllowLoss: s.EngineLoss, Log: log,
		Trace: &redishub.Trace{
			Connected: l.connected,
			Lost:      l.lost,
			Filled:    l.EngineFilled,
			Retried:   l.EngineRetried,
			Ignored:   l.EngineIgnored,
		},
	})
}

func openNATS(ctx context.Context, s config.Settings, l *link, log *slog.Logger) (hub.Engine, error) {
	return natshub.Open(ctx, natshub.Config{
		URL: s.Engine, Cluster: s.Cluster, MaxMessage: int64(s.Limit.Payload), MaxPacket: int64(s.Limit.Packet), Log: log,
		Trace: &natshub.Trace{
			Connected: l.connected,
			Lost:      l.lost,
			Filled:    l.EngineFilled,
			Retried:   l.EngineRetried,
			Ignored:   l.EngineIgnored,
		},
	})
}

// redisLog has the client of Redis log where the program does. What matters the
// engine says itself.
type redisLog struct{ *slog.Logger }

// Printf writes a line for whoever looks for a mistake.
func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.DebugContext(ctx, fmt.Sprintf(format, v...))
}

// advertised returns where other nodes reach this one: what the settings say, or
// else where it listens, by the address that the engine sees it under if it
// listens everywhere. A node that speaks TLS has to say it: nodes look whether a
// certificate is for the name that they ask for.
func advertised(s config.Settings, listening net.Addr) (string, error) {
	if s.Advertise != "" || s.Engine == "" {
		return s.Advertise, nil
	}
	addr, ok := listening.(*net.TCPAddr)
	if s.TLS.Cert != "" {
		return "", fmt.Errorf("say where other nodes reach this one, with --advertise https://NAME:PORT, by a name in its certificate")
	}
	if !ok {
		return "", fmt.Errorf("say where other nodes reach this one, with --advertise http://HOST:PORT")
	}
	if !addr.IP.IsUnspecified() {
		return "http://" + addr.String(), nil
	}
	u, err := url.Parse(s.Engine)
	if err != nil {
		return "", fmt.Errorf("engine: not a URL")
	}
	u.Host, _, _ = strings.Cut(u.Host, ",") // NATS may be several
	port := u.Port()
	if port == "" {
		port = "1" // any will do: nothing is sent
	}
	conn, err := net.Dial("udp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", fmt.Errorf("say where other nodes reach this one, with --advertise http://HOST:PORT: %w", err)
	}
	defer conn.Close()
	ip := conn.LocalAddr().(*net.UDPAddr).IP
	return "http://" + net.JoinHostPort(ip.String(), fmt.Sprint(addr.Port)), nil
}

// neighbours are the addresses of the other nodes, where these say them as
// numbers. They are looked at again after a second at the earliest: who is asked
// about may be somebody who knocks very often.
type neighbours struct {
	all func() map[string][]byte

	mu        sync.Mutex
	looked    time.Time
	addresses map[netip.Addr]bool
}

// at says whether there is a node.
func (n *neighbours) at(a netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now := time.Now(); now.Sub(n.looked) >= time.Second {
		n.looked, n.addresses = now, make(map[netip.Addr]bool)
		for _, about := range n.all() {
			node, err := forward.Unmarshal(about)
			if err != nil {
				continue // of another version
			}
			if u, err := url.Parse(node.URL); err == nil {
				if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
					n.addresses[ip.Unmap()] = true
				}
			}
		}
	}
	return n.addresses[a]
}

// join takes part in the cluster, if there is one.
func (a *app) join() error {
	ctx, cancel := context.WithTimeout(context.Background(), engineStart)
	defer cancel()
	return a.server.Join(ctx)
}
