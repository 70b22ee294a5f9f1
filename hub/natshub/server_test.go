package natshub_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// serverBinary is the server that the tests start: Debian's nats-server, or what
// the variable names.
func serverBinary(t testing.TB) string {
	t.Helper()
	name := os.Getenv("NATS_SERVER")
	if name == "" {
		name = "nats-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("no nats-server, which these tests start: run scripts/debian.sh nats-server (%v)", err)
	}
	return path
}

// A server is a nats-server of a test's own.
type server struct {
	t      testing.TB
	dir    string
	addr   string
	config string // besides its address, its store and JetStream
	log    *bytes.Buffer
	ended  chan struct{}

	mu      sync.Mutex
	cmd     *exec.Cmd
	stopped bool
}

// noJetStream is a configuration without it.
const noJetStream = "# none\n"

// startServer starts a server with a configuration of its own.
func startServer(t testing.TB, config string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), addr: freeAddr(t), config: config}
	t.Cleanup(s.kill)
	s.start()
	return s
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *server) url() string { return "nats://" + s.addr }

func (s *server) start() {
	s.t.Helper()
	s.launch()
	s.ready()
}

// launch starts the server and does not wait for it.
func (s *server) launch() {
	s.t.Helper()
	text := fmt.Sprintf("listen: %q\n%s\n", s.addr, s.config)
	if !strings.HasPrefix(s.config, noJetStream) && !strings.Contains(s.config, "jetstream {") {
		text += fmt.Sprintf("jetstream { store_dir: %q }\n", filepath.Join(s.dir, "store"))
	}
	file := filepath.Join(s.dir, "nats.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.log = new(bytes.Buffer)
	s.stopped = false
	if err := s.run(file); err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan struct{})
	go s.supervise(s.cmd, file, s.ended) // ends with the process, for which kill waits
}

// run starts the process.
func (s *server) run(file string) error {
	s.cmd = exec.Command(serverBinary(s.t), "-c", file)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	return s.cmd.Start()
}

// supervise starts the process again if it panics, as whoever runs it in earnest
// would: 2.9.10 does now and then if it is asked for a message in the moment in
// which it says that it is ready.
func (s *server) supervise(cmd *exec.Cmd, file string, ended chan struct{}) {
	defer close(ended)
	for {
		cmd.Wait()
		s.mu.Lock()
		over := s.stopped || !bytes.Contains(s.log.Bytes(), []byte("panic: ")) || s.run(file) != nil
		cmd = s.cmd
		s.mu.Unlock()
		if over {
			return
		}
	}
}

// ready waits until the server answers.
func (s *server) ready() {
	s.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if nc, err := net.DialTimeout("tcp", s.addr, time.Second); err == nil {
			nc.Close()
			return
		}
		select {
		case <-s.ended:
			s.t.Fatalf("the server has ended:\n%s", s.log)
		case <-tick.C:
		}
	}
	s.t.Fatal("the server does not answer")
}

// startCluster starts three servers that are one.
func startCluster(t testing.TB) []*server {
	t.Helper()
	var routes, listen []string
	for range 3 {
		addr := freeAddr(t)
		listen = append(listen, addr)
		routes = append(routes, fmt.Sprintf("%q", "nats://"+addr))
	}
	var servers []*server
	for i := range 3 {
		s := &server{t: t, dir: t.TempDir(), addr: freeAddr(t)}
		s.config = fmt.Sprintf("server_name: s%d\ncluster { name: c, listen: %q, routes: [%s], no_advertise: true }", i, listen[i], strings.Join(routes, ", "))
		t.Cleanup(s.kill)
		s.launch()
		servers = append(servers, s)
	}
	for _, s := range servers {
		s.ready()
	}
	return servers
}

// client connects to the server.
func (s *server) client() *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect(s.url())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

func (s *server) kill() {
	s.mu.Lock()
	runs := s.cmd != nil
	if s.stopped = true; runs {
		s.cmd.Process.Kill()
	}
	s.mu.Unlock()
	if runs {
		<-s.ended
		s.cmd = nil
	}
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// wipe removes what a server that does not run has kept.
func (s *server) wipe() {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.dir, "store")); err != nil {
		s.t.Fatal(err)
	}
}

// A proxy stands between a node and the server.
type proxy struct {
	listener net.Listener
	server   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	cut   bool
	mute  bool
}

func startProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: to, conns: make(map[net.Conn]bool)}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.set(true, false)
		p.wg.Wait()
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		nc, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.carry(nc) })
	}
}

// carry passes on what a node and the server say until one of them ends.
func (p *proxy) carry(node net.Conn) {
	defer node.Close()
	if !p.keep(node) {
		return
	}
	defer p.drop(node)
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.keep(server) {
		return
	}
	defer p.drop(server)
	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(server, node)
		server.Close()
		node.Close()
	})
	wg.Go(func() {
		io.Copy(muted{node, p}, server)
		server.Close()
		node.Close()
	})
	wg.Wait()
}

// muted loses what is written while the proxy is mute.
type muted struct {
	net.Conn
	p *proxy
}

func (m muted) Write(b []byte) (int, error) {
	m.p.mu.Lock()
	mute := m.p.mute
	m.p.mu.Unlock()
	if mute {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cut {
		p.conns[c] = true
	}
	return !p.cut
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// set changes what the proxy does. Connections of before end, but when it becomes
// mute.
func (p *proxy) set(cut, mute bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.mute = cut, mute
	if mute {
		return
	}
	for c := range p.conns {
		c.Close()
	}
}
