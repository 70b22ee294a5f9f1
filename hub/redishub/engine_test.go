package redishub_test

import (
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
	"github.com/tutti-rt/tutti/hub/redishub"
	"github.com/tutti-rt/tutti/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// TestEngine runs the contract on a server that syncs what it acknowledges and is
// killed, and on one that syncs every second and is stopped: that one writes late
// while the disk is busy, so that being killed may cost what it acknowledged.
func TestEngine(t *testing.T) {
	for _, sync := range []string{"always", "everysec"} {
		t.Run(sync, func(t *testing.T) {
			hubtest.TestEngine(t, func(t *testing.T) hubtest.Service {
				return &service{t: t, server: startServer(t, "--appendfsync", sync), proxies: make(map[hub.Engine]*proxy)}
			})
		})
	}
}

// A service is a server and a proxy for each node.
type service struct {
	t       *testing.T
	server  *server
	proxies map[hub.Engine]*proxy
}

// quick has the times of tests.
func quick(url string) redishub.Config {
	return redishub.Config{
		URL: url, Lease: 1500 * time.Millisecond, Timeout: 700 * time.Millisecond,
		Log: slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, cfg redishub.Config) *redishub.Engine {
	t.Helper()
	e, err := redishub.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

func (s *service) Node() hub.Engine {
	s.t.Helper()
	p := startProxy(s.t, s.server.addr)
	e := open(s.t, quick(p.url()))
	s.proxies[e] = p
	return e
}

func (s *service) Cut(e hub.Engine)  { s.proxies[e].set(true, false) }
func (s *service) Mute(e hub.Engine) { s.proxies[e].set(false, true) }
func (s *service) Mend(e hub.Engine) { s.proxies[e].set(false, false) }

func (s *service) Restart() {
	if slices.Contains(s.server.args, "everysec") {
		s.server.stop()
	}
	s.server.kill()
	s.server.start()
}

func (s *service) Wipe() {
	s.server.kill()
	s.server.wipe()
	s.server.start()
}
