package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tutti-rt/tutti/auth"
)

// startRedis starts a redis-server of the test's own and returns its URL.
func startRedis(t *testing.T) string {
	t.Helper()
	url, _ := redisToStop(t)
	return url
}

// redisToStop is startRedis with a way to end it.
func redisToStop(t *testing.T) (url string, stop func()) {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("no redis-server, which this test starts: run scripts/debian.sh redis-server (%v)", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(binary, "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() { cmd.Process.Kill(); cmd.Wait() }
	t.Cleanup(stop)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return "redis://" + addr, stop
		}
	}
	t.Fatal("redis-server does not answer")
	return "", nil
}

// A node is a program of a cluster, with operators.
type node struct {
	*program
	operators string
}

// startNode starts a node that knows users by token, and operators by captain's
// key.
func startNode(t *testing.T, flags ...string) node {
	t.Helper()
	p := start(t, append([]string{"--admin", "127.0.0.1:0"}, flags...)...)
	for {
		line, err := p.stdout.ReadString('\n')
		if err != nil {
			t.Fatalf("no address for operators: %v", err)
		}
		if url, ok := strings.CutPrefix(strings.TrimSpace(line), "Operators: "); ok {
			return node{p, url}
		}
	}
}

// ask makes a request with a key, and returns the answer.
func ask(t *testing.T, method, url, key, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// A caller is a Socket.IO client.
type caller struct {
	t    *testing.T
	conn net.Conn
	rest io.Reader // begins with what came behind the handshake's answer
}

// dial connects with a token and returns the answer, "40…" or "44…".
func (n node) dial(token string) (*caller, string) {
	n.t.Helper()
	conn, early, _, err := ws.Dial(context.Background(), "ws"+strings.TrimPrefix(n.url, "http")+"/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	c := &caller{n.t, conn, conn}
	if early != nil {
		c.rest = early
	}
	c.read()
	if err := wsutil.WriteClientText(conn, fmt.Appendf(nil, `40{"token":%q}`, token)); err != nil {
		n.t.Fatal(err)
	}
	return c, c.read()
}

func (c *caller) read() string {
	c.t.Helper()
	text, err := wsutil.ReadServerText(struct {
		io.Reader
		io.Writer
	}{c.rest, c.conn})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// TestLogoutEverywhere has two nodes with Redis between them: who is logged out
// on one is on both, what is revoked on one is refused by both, and by a third
// that is started later.
func TestLogoutEverywhere(t *testing.T) {
	redis, dir := startRedis(t), t.TempDir()
	secretFile := filepath.Join(dir, "secret")
	if err := os.WriteFile(secretFile, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	key, hash := auth.NewSecret()
	flags := []string{
		"--engine", redis, "--auth-token", "* secret-file=" + secretFile, "--auth-key", "backend " + hash,
		"--auth-grant", "* may=*,admin key=backend", "--auth-grant", "chat:* may=join", "--admin-keys", "captain operate " + hash,
		"--timeout-pace", "0s", "--auth-leeway", "0s",
	}
	mint := func(user string) string {
		token, problem, code := tokenCommand(t, "", "mint", "--secret-file", secretFile, "--sub", user)
		if code != exitOK {
			t.Fatal(problem)
		}
		return strings.TrimSpace(token)
	}
	one, two := startNode(t, flags...), startNode(t, flags...)
	ann, bob := mint("ann"), mint("bob")

	socket, answer := two.dial(ann)
	if !strings.HasPrefix(answer, "40{") {
		t.Fatalf("ann connects: %s", answer)
	}
	stays, _ := two.dial(bob)
	stream, err := http.Get(two.url + "/events?room=chat:a&token=" + ann)
	if err != nil || stream.StatusCode != 200 {
		t.Fatalf("ann listens: %v %v", stream, err)
	}
	defer stream.Body.Close()

	began := time.Now()
	status, text := ask(t, "POST", one.url+"/api/disconnect", key, `{"user":"ann","revoke":true}`)
	if status != 200 || text != `{"connections":2}`+"\n" && text != `{"connections":2}` {
		t.Fatalf("the logout: %d %s", status, text)
	}
	if got := socket.read(); !strings.Contains(got, "token_revoked") {
		t.Errorf("ann's socket on the other node is told %s", got)
	}
	if got := socket.read(); got != "41" {
		t.Errorf("then %s", got)
	}
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("ann's stream on the other node: %v", err)
	}
	t.Logf("it took %v", time.Since(began))
	if err := wsutil.WriteClientText(stays.conn, []byte(`420["join",{"room":"chat:a"}]`)); err != nil {
		t.Fatal(err)
	}
	if got := stays.read(); !strings.HasPrefix(got, "430") {
		t.Errorf("bob: %s", got)
	}
	three := startNode(t, flags...)
	for i, n := range []node{one, two, three} {
		if _, answer := n.dial(ann); !strings.Contains(answer, "token_revoked") {
			t.Errorf("node %d answers the revoked token %s", i+1, answer)
		}
		if status, text := ask(t, "POST", n.url+"/api/publish", ann, `{"room":"chat:a","event":"e","data":1}`); status != 401 || !strings.Contains(text, "token_revoked") {
			t.Errorf("node %d lets the revoked token publish: %d %s", i+1, status, text)
		}
	}
	testOperators(t, hash, key, []node{one, two, three}, stays)
}

// testOperators has an operator of one node look at all, disconnect from
// another, and drain another.
func testOperators(t *testing.T, hash, key string, nodes []node, bob *caller) {
	t.Helper()
	type state struct {
		ID, Name, Address, Version string
		Sessions                   int
		Self, Silent, Draining     bool
	}
	list := func(of node) map[string]state {
		var answer struct{ Nodes []state }
		status, text := ask(t, "GET", of.operators+"/api/nodes", key, "")
		if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 200 {
			t.Fatalf("nodes: %d %s", status, text)
		}
		byAddress := make(map[string]state)
		for _, s := range answer.Nodes {
			byAddress[s.Address] = s
		}
		return byAddress
	}
	seen := list(nodes[0])
	if len(seen) != 3 || !seen[nodes[0].url].Self || seen[nodes[1].url].Self || seen[nodes[1].url].Silent || seen[nodes[1].url].Version == "" || seen[nodes[1].url].Sessions == 0 {
		t.Errorf("the nodes are %+v", seen)
	}
	if status, text := ask(t, "POST", nodes[0].operators+"/api/disconnect", key, `{"room":"chat:a","reason":"spam"}`); status != 200 || !strings.Contains(text, `"sockets":1`) || strings.Contains(text, "silent") {
		t.Errorf("disconnect by room: %d %s", status, text)
	}
	if got := bob.read(); got != "41" && !strings.Contains(got, "EOF") && !strings.Contains(got, "1005") && got != "1" {
		t.Errorf("bob is told %s", got)
	}
	stream, err := http.Get(nodes[2].url + "/events?room=chat:a&token=" + key)
	if err != nil || stream.StatusCode != 200 {
		t.Fatalf("a stream of another node: %v %v", stream, err)
	}
	defer stream.Body.Close()
	if status, text := ask(t, "POST", nodes[0].operators+"/api/disconnect", key, `{"address":"127.0.0.1","reason":"spam"}`); status != 200 || !strings.Contains(text, `"sockets":1`) {
		t.Errorf("disconnect by address: %d %s", status, text)
	}
	if text, err := io.ReadAll(stream.Body); err != nil || !strings.Contains(string(text), `{"code":"disconnected","error":"spam"}`) {
		t.Errorf("the stream of another node ends with %q, %v", text, err)
	}
	if status, text := ask(t, "POST", nodes[0].operators+"/api/reload", key, ""); status != 200 || strings.Contains(text, "advertise") {
		t.Errorf("reload of the same settings: %d %s", status, text)
	}
	if status, _ := ask(t, "POST", nodes[0].operators+"/api/drain", key, `{"node":"nobody"}`); status != 404 {
		t.Errorf("a node that is not there: %d", status)
	}
	if status, text := ask(t, "POST", nodes[0].operators+"/api/drain", key, `{"node":"`+seen[nodes[1].url].ID+`"}`); status != 202 {
		t.Errorf("drain another: %d %s", status, text)
	}
	if code := nodes[1].wait(); code != exitOK {
		t.Errorf("the other node ends with %d:\n%s", code, nodes[1].stderr.String())
	}
	if !strings.Contains(nodes[1].stderr.String(), "action=drain") {
		t.Errorf("its audit log says nothing of a drain:\n%s", nodes[1].stderr.String())
	}
	if seen := list(nodes[0]); len(seen) != 2 {
		t.Errorf("then the nodes are %+v", seen)
	}
	if _, text := ask(t, "GET", nodes[0].operators+"/api/audit", key, ""); !strings.Contains(text, `"who":"key:backend"`) || !strings.Contains(text, `"action":"revoke","target":"user ann"`) {
		t.Errorf("the audit log lacks the logout: %s", text)
	}
}
