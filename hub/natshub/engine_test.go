package natshub_test

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
	"github.com/tutti-rt/tutti/hub/natshub"
	"github.com/tutti-rt/tutti/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// TestEngine runs the contract on a server that is alone.
func TestEngine(t *testing.T) {
	hubtest.TestEngine(t, func(t *testing.T) hubtest.Service {
		return &service{t: t, server: startServer(t, "")}
	})
}

// TestEngineOnCluster is the same on three servers that keep each stream.
func TestEngineOnCluster(t *testing.T) {
	if os.Getenv("NATS_CLUSTER") == "" {
		t.Skip("takes minutes: NATS_CLUSTER=1 go test -run TestEngineOnCluster ./hub/natshub")
	}
	servers := startCluster(t)
	hubtest.TestEngine(t, func(t *testing.T) hubtest.Service {
		return &service{t: t, server: servers[0], others: servers[1:], cluster: strings.ReplaceAll(t.Name(), "/", ".")[len("TestEngineOnCluster."):]}
	})
}

// A service is a server, or some, and a proxy for each node.
type service struct {
	t       *testing.T
	server  *server
	others  []*server
	cluster string
	proxies map[hub.Engine]*proxy
}

// all does something with each server.
func (s *service) all(do func(*server)) {
	for _, x := range append([]*server{s.server}, s.others...) {
		do(x)
	}
}

// quick has the times of tests.
func quick(url string) natshub.Config {
	return natshub.Config{
		URL: url, Lease: 1500 * time.Millisecond, Timeout: 700 * time.Millisecond,
		Log: testLog(),
	}
}

func open(t testing.TB, cfg natshub.Config) *natshub.Engine {
	t.Helper()
	e, err := natshub.Open(t.Context(), cfg)
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
	cfg := quick(p.url())
	if len(s.others) > 0 {
		cfg = replicated([]*server{{addr: p.listener.Addr().String()}}, 0)
		cfg.Cluster = digest(s.cluster)
	}
	e := open(s.t, cfg)
	if s.proxies == nil {
		s.proxies = make(map[hub.Engine]*proxy)
	}
	s.proxies[e] = p
	return e
}

func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}

func (s *service) Cut(e hub.Engine)  { s.proxies[e].set(true, false) }
func (s *service) Mute(e hub.Engine) { s.proxies[e].set(false, true) }
func (s *service) Mend(e hub.Engine) { s.proxies[e].set(false, false) }

func (s *service) Restart() {
	s.all((*server).kill)
	s.all((*server).launch)
	s.all((*server).ready)
}

func (s *service) Wipe() {
	s.all((*server).kill)
	s.all((*server).wipe)
	s.all((*server).launch)
	s.all((*server).ready)
}

func testLog() *slog.Logger {
	if os.Getenv("TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}
