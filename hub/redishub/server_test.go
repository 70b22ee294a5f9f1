package redishub_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// serverBinary is the server that the tests start: Debian's redis-server, or
// what the variable names, such as a valkey-server.
func serverBinary(t testing.TB) string {
	t.Helper()
	name := os.Getenv("REDIS_SERVER")
	if name == "" {
		name = "redis-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("no redis-server, which these tests start: run scripts/debian.sh redis-server (%v)", err)
	}
	return path
}

// A server is a redis-server of a test's own.
type server struct {
	t        testing.TB
	dir      string
	addr     string
	args     []string
	sentinel string // its configuration, if it is one
	cmd      *exec.Cmd
	log      *bytes.Buffer
	ended    chan struct{}
}

// startServer starts a server with an AOF, and others settings after it.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), addr: freeAddr(t), args: args}
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

func (s *server) url() string { return "redis://" + s.addr + "/0" }

func (s *server) start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always"}, s.args...)
	if s.sentinel != "" {
		args = []string{s.sentinel, "--sentinel", "--port", port, "--bind", "127.0.0.1", "--dir", s.dir}
	}
	s.log = new(bytes.Buffer)
	s.cmd = exec.Command(serverBinary(s.t), args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	s.ended = ended
	cmd := s.cmd
	go func() { // ends with the process, for which kill waits
		cmd.Wait()
		close(ended)
	}()
	s.ready()
}

// ready waits until the server answers.
func (s *server) ready() {
	s.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if answer := s.say("PING"); strings.HasPrefix(answer, "+PONG") || strings.HasPrefix(answer, "-NOAUTH") {
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

// say says something to the server on a connection of its own, and returns the
// first line of the answer, or "".
func (s *server) say(words ...string) string {
	line, _, _ := strings.Cut(s.tell(words...), "\n")
	return line
}

// tell is say, and returns all of a short answer.
func (s *server) tell(words ...string) string {
	nc, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return ""
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := io.WriteString(nc, b.String()); err != nil {
		return ""
	}
	r := bufio.NewReader(nc)
	line, _ := r.ReadString('\n')
	if n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "$"))); err == nil && n > 0 {
		text := make([]byte, n)
		io.ReadFull(r, text)
		line += string(text)
	}
	return line
}

func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill()
	<-s.ended
	s.cmd = nil
}

// stop has the server write everything, and end.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	<-s.ended
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// wipe removes what a server that does not run has kept.
func (s *server) wipe() {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir)
	for _, e := range entries {
		if err == nil {
			err = os.RemoveAll(filepath.Join(s.dir, e.Name()))
		}
	}
	if err != nil {
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

func (p *proxy) url() string { return "redis://" + p.listener.Addr().String() + "/0" }

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
