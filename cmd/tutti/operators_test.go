package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.yaml.in/yaml/v3"
)

// TestAuditRotation: after a SIGHUP lines of the audit log go to a file of the
// name that was given, whatever became of the one before, and also if there are
// mistakes in the settings.
func TestAuditRotation(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	file, audit := filepath.Join(dir, "tutti.yaml"), filepath.Join(dir, "audit.jsonl")
	write(t, file, "admin:\n  audit: "+audit+"\n")
	p := start(t, "--config", file, "--data", data)
	act := func() { runCommand(t, nil, "", "disconnect", "--data", data, "--user", "nobody") }
	text := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(b)
	}
	act()
	before := text(audit)
	if !strings.Contains(before, `"action":"disconnect"`) {
		t.Fatalf("the audit log has %q", before)
	}
	if err := os.Rename(audit, audit+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, file, "nonsense: true\n")
	p.signal(syscall.SIGHUP)
	eventually(t, "the new file", func() bool { return strings.Contains(text(audit), `"result":"mistakes"`) })
	act()
	if got := text(audit); !strings.Contains(got, `"action":"disconnect"`) {
		t.Errorf("the new file has %q", got)
	}
	if got := text(audit + ".1"); got != before {
		t.Errorf("the old file has\n%swant\n%s", got, before)
	}
	// Where there can't be a file, lines go on to where they went.
	if err := os.Rename(audit, audit+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(audit, 0o700); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	eventually(t, "the line in the old file", func() bool { return strings.Count(text(audit+".2"), `"result":"mistakes"`) == 2 })
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	contains(t, "stderr", p.stderr.String(), []string{`msg="audit log" err="reopen the audit log: open ` + audit})
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !so(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting for %s", what)
		}
	}
}

// TestProxyOnThisMachine: the log says once that a proxy here is not believed,
// and of a proxy that is, or is elsewhere, or of none, it says nothing.
func TestProxyOnThisMachine(t *testing.T) {
	for _, c := range []struct {
		rule, remote, forwarded string
		args                    []string
		want                    int
	}{
		{"a proxy here", "127.0.0.1:4711", "198.51.100.1", nil, 1},
		{"a proxy here, by IPv6", "[::1]:4711", "198.51.100.1", nil, 1},
		{"a proxy here, in the other notation", "[::ffff:127.0.0.1]:4711", "198.51.100.1", nil, 1},
		{"another one is trusted", "127.0.0.1:4711", "198.51.100.1", []string{"--trusted-proxies=10.0.0.1"}, 1},
		{"it is trusted", "127.0.0.1:4711", "198.51.100.1", []string{"--trusted-proxies=127.0.0.1"}, 0},
		{"no proxy", "127.0.0.1:4711", "", nil, 0},
		{"a client that makes it up", "192.0.2.1:4711", "198.51.100.1", nil, 0},
	} {
		var out bytes.Buffer
		h := (&app{blocked: func(string) {}}).protect(http.NotFoundHandler(), settingsOf(t, c.args...), slog.New(slog.NewTextHandler(&out, nil)))
		for range 3 {
			r := httptest.NewRequest("GET", "/socket.io/", nil)
			r.Host, r.RemoteAddr = "localhost", c.remote
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		if got := strings.Count(out.String(), "level=WARN"); got != c.want {
			t.Errorf("%s: %d warnings, want %d: %s", c.rule, got, c.want, &out)
		}
	}
}

// TestProfilesArePrivate: the public address and that of metrics serve no
// profiles, the operators' does.
func TestProfilesArePrivate(t *testing.T) {
	a := runningApp(t, "--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	for name, h := range map[string]http.Handler{"public": a.public, "metrics": a.private, "operators'": a.admin.Handler()} {
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine", "/debug/pprof/cmdline", "/debug/pprof/symbol"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Host = "127.0.0.1"
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			want := http.StatusNotFound
			if name == "operators'" {
				want = http.StatusOK
			}
			if w.Code != want {
				t.Errorf("%s at the %s address: %d, want %d", path, name, w.Code, want)
			}
		}
	}
}

// TestReadyWithEngine: a node that can't reach its engine wants no new clients,
// and says why to operators; load balancers that ask the public address leave it
// those that it has.
func TestReadyWithEngine(t *testing.T) {
	url, stop := redisToStop(t)
	n := startNode(t, "--engine", url, "--cluster", t.Name())
	ready := func() (status int, codes []string) {
		var answer struct {
			Reasons []struct{ Code, Detail string }
		}
		status, text := ask(t, "GET", n.operators+"/readyz", "", "")
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		for _, r := range answer.Reasons {
			if r.Detail == "" {
				t.Errorf("no detail: %s", text)
			}
			codes = append(codes, r.Code)
		}
		return status, codes
	}
	if status, codes := ready(); status != http.StatusOK || len(codes) > 0 {
		t.Fatalf("with the engine: %d %v", status, codes)
	}
	stop()
	eventually(t, "the node to notice", func() bool { status, _ := ready(); return status == http.StatusServiceUnavailable })
	if _, codes := ready(); len(codes) != 1 || codes[0] != "engine_away" {
		t.Errorf("without the engine: %v", codes)
	}
	if status, _, body := n.get("/healthz"); status != http.StatusOK {
		t.Errorf("the public address: %d %s", status, body)
	}
}

// TestDisconnectNetwork: who came from an address or a network is disconnected,
// by whatever door, and nobody else.
func TestDisconnectNetwork(t *testing.T) {
	data := t.TempDir()
	p := start(t, "--data", data, "--trusted-proxies", "127.0.0.1", "--door-listen", "news", "--namespace", "/other", "--auth-anonymous", "true")
	all := []*streams{streamsFrom(t, p, "198.51.100.8"), streamsFrom(t, p, "198.51.102.8")}
	from := func(address, method, path, body string) string {
		r, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Forwarded-For", address)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, address := range []string{"198.51.100.7", "198.51.100.200", "198.51.101.1", "2001:db8::7", "::ffff:203.0.113.9"} {
		_, rest, _ := strings.Cut(from(address, "GET", "/socket.io/?EIO=4&transport=polling", ""), `"sid":"`)
		sid, _, ok := strings.Cut(rest, `"`)
		if !ok {
			t.Fatal("no session")
		}
		path := "/socket.io/?EIO=4&transport=polling&sid=" + sid
		from(address, "POST", path, "40")
		if got := from(address, "GET", path, ""); !strings.HasPrefix(got, "40{") {
			t.Fatalf("got %q", got)
		}
	}
	for _, c := range []struct{ address, namespace, want string }{
		{"198.51.100.8", "/other", "1 socket"}, {"198.51.100.0/24", "", "4 sockets"}, {"198.51.100.7", "", "0 sockets"}, {"198.51.100.8", "", "0 sockets"},
		{"198.51.101.1", "", "1 socket"}, {"2001:db8::/32", "", "1 socket"}, {"203.0.113.9", "", "1 socket"}, {"198.51.102.8", "", "3 sockets"},
	} {
		o := runCommand(t, nil, "", "disconnect", "--data", data, "--address", c.address, "--namespace", c.namespace, "--reason", "attack")
		if o.code != exitOK || o.stdout != "disconnected "+c.want+"\n" {
			t.Errorf("%s %s: %+v, want %s", c.address, c.namespace, o, c.want)
		}
	}
	for _, s := range all {
		s.wantEnd("attack")
	}
	runCommand(t, nil, "", "disconnect", "--data", data, "--address", "198.51.100").want(t, "no address", exitFailed, "", "tutti disconnect: address: want one as")
	p.signal(syscall.SIGTERM)
	p.wait() // after which nobody writes to stderr
	if want := `target="address 198.51.100.0/24" result=ok detail="map[namespace: reason:attack sockets:4]"`; !strings.Contains(p.stderr.String(), want) {
		t.Errorf("the audit log has no %s:\n%s", want, p.stderr.String())
	}
}

// streams are those of one client, at every door that has some.
type streams struct {
	t       *testing.T
	events  io.Reader
	sockets map[string]net.Conn // by path
}

// streamsFrom opens them from an address behind the proxy.
func streamsFrom(t *testing.T, p *program, address string) *streams {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/events?room=news", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", address)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		t.Fatalf("events: %d", res.StatusCode)
	}
	s := &streams{t, res.Body, map[string]net.Conn{}}
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP(r.Header)}
	for _, path := range []string{"/ws?room=news", "/ws/other?room=news"} {
		conn, _, _, err := dialer.Dial(t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(patience))
		s.sockets[path] = conn
	}
	return s
}

// wantEnd reads until all have ended, for a reason that they are told.
func (s *streams) wantEnd(reason string) {
	s.t.Helper()
	if text, err := io.ReadAll(s.events); err != nil || !strings.Contains(string(text), `{"code":"disconnected","error":"`+reason+`"}`) {
		s.t.Errorf("the event stream ends with %q, %v", text, err)
	}
	for path, conn := range s.sockets {
		_, err := wsutil.ReadServerText(conn)
		if closed, ok := errors.AsType[wsutil.ClosedError](err); !ok || closed.Code != ws.StatusPolicyViolation || closed.Reason != reason {
			s.t.Errorf("the WebSocket at %s ends with %v", path, err)
		}
	}
}

// TestShippedSettings: the settings in deploy are right.
func TestShippedSettings(t *testing.T) {
	const deploy = "../../deploy/"
	manifests, err := os.ReadFile(deploy + "kubernetes/tutti.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(manifests), "\n---\n")
	var configMap struct{ Data map[string]string }
	if err := yaml.Unmarshal([]byte(first), &configMap); err != nil {
		t.Fatal(err)
	}
	kubernetes := filepath.Join(t.TempDir(), "tutti.yaml")
	write(t, kubernetes, configMap.Data["tutti.yaml"])
	for file, environ := range map[string][]string{
		deploy + "tutti.yaml":         nil,
		deploy + "compose.tutti.yaml": nil,
		kubernetes:                    {"TUTTI_ENGINE=redis://:password@redis.data.svc:6379"},
	} {
		runCommand(t, environ, "", "config", "check", file).want(t, file, exitOK, file+" is right\n", "")
	}
}
