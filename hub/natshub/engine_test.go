package natshub_test

import (
	"log/slog"
	"os"
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
		return &service{t: t, server: startServer(t, ""), proxies: make(map[hub.Engine]*proxy)}
	})
}

// A service is a server and a proxy for each node.
type service struct {
	t       *testing.T
	server  *server
	proxies map[hub.Engine]*proxy
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
	e := open(s.t, quick(p.url()))
	s.proxies[e] = p
	return e
}

func (s *service) Cut(e hub.Engine)  { s.proxies[e].set(true, false) }
func (s *service) Mute(e hub.Engine) { s.proxies[e].set(false, true) }
func (s *service) Mend(e hub.Engine) { s.proxies[e].set(false, false) }

func (s *service) Restart() {
	s.server.kill()
	s.server.start()
}

func (s *service) Wipe() {
	s.server.kill()
	s.server.wipe()
	s.server.start()
}

func testLog() *slog.Logger {
	if os.Getenv("TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}
