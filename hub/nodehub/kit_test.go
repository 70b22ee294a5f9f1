package nodehub_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/nodehub"
	"github.com/tutti-rt/tutti/internal/leak"
	"github.com/tutti-rt/tutti/packet"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// A server is a redis-server of a test's own.
type server struct {
	t      *testing.T
	port   string
	cmd    *exec.Cmd
	client *redis.Client
}

func startServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	s := &server{t: t, port: port, client: redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})}
	t.Cleanup(func() { s.client.Close() })
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) url() string { return "redis://127.0.0.1:" + s.port }

func (s *server) start() {
	s.t.Helper()
	name := os.Getenv("REDIS_SERVER")
	if name == "" {
		name = "redis-server"
	}
	s.cmd = exec.Command(name, "--port", s.port, "--bind", "127.0.0.1", "--save", "", "--dir", s.t.TempDir())
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("no redis-server, which these tests start: run scripts/debian.sh redis-server (%v)", err)
	}
	s.until("Redis to answer", func() bool { return s.client.Ping(s.t.Context()).Err() == nil })
}

func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.cmd = nil
}

// until waits until something holds.
func (s *server) until(what string, holds func() bool) {
	s.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-tick.C {
		if holds() {
			return
		}
	}
	s.t.Fatalf("waited in vain for %s", what)
}

// A node is a hub in the cluster.
type node struct {
	*server
	cluster *nodehub.Cluster
	hub     *hub.Hub
	sp      *hub.Space
}

func (s *server) node(cfg nodehub.Config) *node {
	s.t.Helper()
	cfg.URL = s.url()
	c, err := nodehub.Open(s.t.Context(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	h := hub.New(hub.Config{Share: c.Share})
	n := &node{server: s, cluster: c, hub: h, sp: h.Space("/")}
	if err := n.sp.Err(); err != nil { // waits until it is shared
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		h.Close()
		if err := c.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return n
}

// A member answers calls with its name, unless it is silent.
type member struct {
	name   string
	silent bool

	mu   sync.Mutex
	got  []string
	gone bool
	seat *hub.Seat
}

func (n *node) enter(name string, rooms ...string) *member {
	n.t.Helper()
	m := &member{name: name}
	seat, err := n.sp.Enter(m, nil, append([]string{name}, rooms...)...)
	if err != nil {
		n.t.Fatal(err)
	}
	m.seat = seat
	return m
}

func (m *member) Deliver(msg *hub.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, msg.Event+string(msg.Args.AppendText([]byte(" "))))
	if msg.Call != nil {
		msg.Call.Ask(m)
		if !m.silent {
			args, _ := packet.Marshal(m.name)
			msg.Call.Answer(args)
		}
	}
}

func (m *member) Forget(*hub.Call) {}

func (m *member) Describe() hub.Description {
	return hub.Description{ID: m.name, Rooms: m.seat.Rooms(), Handshake: hub.Handshake{URL: "/of/" + m.name, Time: time.UnixMilli(1e12)}}
}

func (m *member) Dismiss(bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = true
	m.seat.Close()
}

// heard waits until the member has heard just that, in any order.
func (n *node) heard(m *member, want ...string) {
	n.t.Helper()
	slices.Sort(want)
	var got []string
	defer func() {
		if n.t.Failed() {
			n.t.Logf("%s heard %q, want %q", m.name, got, want)
		}
	}()
	n.until(m.name+" to hear", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		got = slices.Sorted(slices.Values(m.got))
		return slices.Equal(got, want)
	})
}

func (n *node) say(event string, to hub.Address, args ...any) {
	n.t.Helper()
	a, err := packet.Marshal(args...)
	if err != nil {
		n.t.Fatal(err)
	}
	if _, err := n.sp.Publish(context.Background(), &hub.Message{Event: event, Args: a}, to); err != nil {
		n.t.Fatal(err)
	}
}
