package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/verb"
)

// clients are connected by three doors, and live through what happens to the
// server's settings.
type clients struct {
	t       *testing.T
	p       *program
	stream  *bufio.Scanner
	socket  net.Conn
	session string
}

// connect connects them; the stream and the WebSocket listen to the room news.
func connect(t *testing.T, p *program) *clients {
	t.Helper()
	c := &clients{t: t, p: p, session: p.open()}
	p.send(c.session, "40")
	if _, _, body := p.get(c.session); !strings.Contains(body, "40{") {
		t.Fatalf("connect: %q", body)
	}
	res, err := http.Get(p.url + "/events?room=news")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		t.Fatalf("events: %d", res.StatusCode)
	}
	c.stream = bufio.NewScanner(res.Body)
	c.socket, _, _, err = ws.Dial(t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+"/ws?room=news&framing=json")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.socket.Close() })
	return c
}

// hear fails unless the stream and the WebSocket get an event next, and the
// session still answers.
func (c *clients) hear(event string) {
	c.t.Helper()
	for c.stream.Scan() && !strings.HasPrefix(c.stream.Text(), "event: ") {
	}
	if got := c.stream.Text(); got != "event: "+event {
		c.t.Errorf("the stream got %q, %v, want %s", got, c.stream.Err(), event)
	}
	text, err := wsutil.ReadServerText(c.socket)
	if err != nil || !strings.Contains(string(text), `"event":"`+event+`"`) {
		c.t.Errorf("the WebSocket got %q, %v, want %s", text, err, event)
	}
	c.p.send(c.session, "40/none,")
	if _, _, body := c.p.get(c.session); !strings.Contains(body, "44/none,") {
		c.t.Errorf("the session got %q, want an answer", body)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func publishNews(p *program, event string) int {
	status, _ := post(p.t, p.url+"/api/publish", fmt.Sprintf(`{"room":"news","event":%q,"data":"x"}`, event))
	return status
}

// TestReload: settings change under clients that stay connected; a file with
// mistakes changes nothing.
func TestReload(t *testing.T) {
	file, data := filepath.Join(t.TempDir(), "tutti.yaml"), t.TempDir()
	write(t, file, "door:\n  listen: [news]\n  rate: 100\n")
	p := start(t, "--config", file, "--data", data)
	c := connect(t, p)
	if status := publishNews(p, "early"); status != http.StatusForbidden {
		t.Errorf("publish before: %d", status)
	}

	write(t, file, "door:\n  listen: [news]\n  publish: [news]\n  publish-rate: none\n  rate: 100\nlog: {level: debug}\nnamespace: [/new]\n")
	o := runCommand(t, nil, "", "reload", "--data", data)
	o.want(t, "reload", exitOK, "applied: door.publish: nothing → news\napplied: door.publish-rate: 10 → none\napplied: log.level: info → debug\nneeds a new start: namespace: nothing → /new\n", "")
	if status := publishNews(p, "one"); status != http.StatusOK {
		t.Errorf("publish after: %d", status)
	}
	c.hear("one")
	if status, _ := post(t, p.url+"/api/publish/new", `{"event":"x"}`); status != http.StatusNotFound {
		t.Errorf("the namespace of the new file is served: %d", status)
	}
	runCommand(t, nil, "", "reload", "--data", data).want(t, "reload again", exitOK, "needs a new start: namespace", "")

	write(t, file, "door:\n  publish: news\n  rate: 0\nlog: {level: loud}\nschema: [\"a file=gone.json\"]\n")
	o = runCommand(t, nil, "", "reload", "--data", data)
	o.want(t, "reload of mistakes", exitFailed, "", "tutti reload: "+file+":3: door.rate is 0: want 1 or more, or none\ntutti reload: "+file+":4: log.level is")
	p.signal(syscall.SIGHUP)
	if status := publishNews(p, "two"); status != http.StatusOK {
		t.Errorf("publish after mistakes: %d", status)
	}
	c.hear("two")

	write(t, file, "door:\n  listen: [news]\n  publish-rate: none\nallow: [\"news publish=token presence=anyone\"]\n")
	p.signal(syscall.SIGHUP)
	before := 0
	for runCommand(t, nil, "", "publish", "--url", p.url, "--room", "news", "--event", "other", "x").code == exitOK {
		before++ // until the signal has its effect
	}
	t.Log("published before the signal had its effect:", before)
	c.skip(before, "other")
	// The verb is served to sockets that are there.
	p.send(c.session, `421["presence",{"room":"news"}]`)
	if _, _, body := p.get(c.session); !strings.HasPrefix(body, "431[{") || !strings.Contains(body, `"members"`) {
		t.Errorf("the verb: %q", body)
	}
	c.socket.Close() // or its answer to the farewell would be waited for
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	contains(t, "stderr", p.stderr.String(), []string{
		`msg="mistake in the settings" err="` + file + `:3: door.rate is 0`, `msg="settings refused: those from before stay" mistakes=`,
		`msg=audit who=signal from=SIGHUP action=reload target="" result=mistakes`,
		`msg=audit who=signal from=SIGHUP action=reload target="" result=ok detail="map[applied:[allow: nothing → news publish=token`,
		`msg="setting changed" setting=allow from=nothing to="news publish=token presence=anyone"`,
		`msg="setting changed, which takes a new start" setting=namespace from=nothing to=/new`,
	})
}

// skip reads over what was published before a change had its effect.
func (c *clients) skip(n int, event string) {
	c.t.Helper()
	for range n {
		c.hear(event)
	}
}

// TestEveryLiveSetting: a setting that is said to be live is put to use by a
// server that runs.
func TestEveryLiveSetting(t *testing.T) {
	used := map[string]func(*app) any{
		"origin":        func(a *app) any { return allowsPage(a, "https://a.example", false) },
		"credentials":   func(a *app) any { return allowsPage(a, "https://b.example", true) },
		"hosts":         func(a *app) any { return (*a.hosts.Load())("c.example") },
		"log.level":     func(a *app) any { return a.level.Level() },
		"schema":        func(a *app) any { return a.schemas.Check("/", "a", nil, packet.Args{}) == nil },
		"limit.schema":  func(a *app) any { return a.schemas.Check("/", "long", nil, numbers) == nil },
		"timeout.drain": func(a *app) any { whole, _ := a.reloader.Load().patience(); return whole },
		"timeout.pace":  func(a *app) any { _, pace := a.reloader.Load().patience(); return pace },
		"timeout.refusal": func(a *app) any {
			return a.quota.Refusal() > 2*time.Second // it is between 0.5 and 1 s by default
		},
		"allow":        func(a *app) any { return a.desk.Serves(verb.Presence) },
		"door.publish": func(a *app) any { return publishStatus(a) },
		"limit.address": func(a *app) any {
			one, _ := a.quota.Enter("192.0.2.1:1")
			defer one.Leave()
			two, err := a.quota.Enter("192.0.2.1:1")
			defer two.Leave()
			return err == nil
		},
	}
	// These have tests of their own, by the objects that they are put to use in:
	// the desk, the doors, the quota, the engine, the identities, the gate of
	// operators, certificates.
	elsewhere := []string{"allow", "open", "door.", "limit.", "rate.", "auth.", "admin.keys", "tls."}
	values := map[string]string{"origin": "https://a.example", "hosts": "c.example", "log.level": "error", "schema": "a schema=false", "limit.schema": "3", "timeout.drain": "7s", "timeout.pace": "2s", "timeout.refusal": "5s",
		"allow": "a presence=anyone", "door.publish": "a", "limit.address": "1"}
	base := []string{"--origin", "https://b.example", "--schema", "long schema={}"}
	for _, f := range config.Flags() {
		if !f.Live || slices.ContainsFunc(elsewhere, func(prefix string) bool { return strings.HasPrefix(f.Setting, prefix) && used[f.Setting] == nil }) {
			continue
		}
		read := used[f.Setting]
		if read == nil {
			t.Errorf("%s is live: how does it show?", f.Setting)
			continue
		}
		a := runningApp(t, base...)
		before := read(a)
		args := append(slices.Clone(base), "--"+f.Name+"="+cmp.Or(values[f.Setting], "true"))
		a.reloader.Load().args = args
		if done, err := a.reloader.Load().reload(t.Context()); err != nil || len(done.Applied) != 1 || len(done.Restart) != 0 {
			t.Errorf("%s: %+v, %v", f.Setting, done, err)
		}
		if after := read(a); after == before {
			t.Errorf("%s: %v before and after", f.Setting, after)
		}
	}
}

var numbers, _ = packet.ParseArgs([]byte("[[1,2,3,4,5]]"))

// runningApp is a server without listeners.
func runningApp(t *testing.T, args ...string) *app {
	t.Helper()
	l, err := config.Load(args, nil, facts())
	if err != nil {
		t.Fatal(err)
	}
	a, err := newApp(l.Settings, slog.New(slog.DiscardHandler), new(slog.LevelVar))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.close(context.Background()) })
	a.reloader.Store(&reloader{args: args, app: a, log: slog.New(slog.DiscardHandler), running: l.Settings})
	return a
}

// allowsPage says whether a page may connect, or may do so with cookies.
func allowsPage(a *app, origin string, cookies bool) bool {
	r := httptest.NewRequest("GET", "/socket.io/?EIO=4&transport=polling", http.NoBody)
	r.Host = "localhost"
	r.Header.Set("Origin", origin)
	w := httptest.NewRecorder()
	a.public.ServeHTTP(w, r)
	return w.Code == http.StatusOK && (!cookies || w.Header().Get("Access-Control-Allow-Credentials") == "true")
}

func publishStatus(a *app) int {
	r := httptest.NewRequest("POST", "/api/publish", strings.NewReader(`{"room":"a","event":"x"}`))
	r.Host = "localhost"
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	a.public.ServeHTTP(w, r)
	return w.Code
}

// TestReloadTLS: from http to https takes a new start.
func TestReloadTLS(t *testing.T) {
	dir := t.TempDir()
	certify(t, dir, 1)
	a := runningApp(t)
	a.reloader.Load().args = []string{"--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"), "--log-level", "warn"}
	done, err := a.reloader.Load().reload(t.Context())
	if err != nil || len(done.Applied) != 1 || len(done.Restart) != 2 || !strings.HasPrefix(done.Restart[0], "tls.cert: nothing → ") {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestHeaders: what browsers are told of pages and of answers.
func TestHeaders(t *testing.T) {
	a := runningApp(t, "--open", "a")
	for _, tt := range []struct{ path, policy, frames string }{
		{"/", pagePolicy, "SAMEORIGIN"}, {"/api/history?room=a", answerPolicy, "DENY"}, {"/healthz", answerPolicy, "DENY"}, {"/socket.io/?EIO=4&transport=polling", "", ""},
	} {
		r := httptest.NewRequest("GET", tt.path, http.NoBody)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		a.public.ServeHTTP(w, r)
		h := w.Header()
		if h.Get("Content-Security-Policy") != tt.policy || h.Get("X-Frame-Options") != tt.frames || h.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %v", tt.path, h)
		}
		if tt.policy != "" && (h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") == "") {
			t.Errorf("%s: %v", tt.path, h)
		}
	}
}

// TestOpenTo: the lines in which a server says what is open to whom.
func TestOpenTo(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"at /socket.io/, namespace /, by polling, websocket", "of this server only; give others with --origin", "connect, and use no room: see --open, --allow and --door-listen"}},
		{[]string{"--demo", "chat", "--origin", "*"}, []string{"the demo chat, at /", "listen to chat:*; publish to chat:*", "of this server and of every other site"}},
		{
			[]string{"--namespace", "/x", "--open", "a", "--allow", "b join=anyone publish=token", "--door-key", "backend 0123456789abcdef a b", "--memory", "/x"},
			[]string{"namespaces /, /x", "do everything in a; join b", "backend (a, b)", "of /x, 2m0s, kept until the program ends"},
		},
		{[]string{"--engine", "redis://user:hidden@127.0.0.1", "--cluster", "shop"}, []string{"of /, 2m0s, kept by the engine, for all nodes of shop\n"}},
		{
			[]string{"--open", "a", "--auth-key", "backend sha256:" + sha256Hex("x"), "--auth-anonymous", "false"},
			[]string{"come in     with the key backend; nobody without\n", "they may    do everything in a\n"},
		},
		{[]string{"--auth-key", "backend sha256:" + sha256Hex("x"), "--auth-anonymous", "true"}, []string{"come in     anyone; known by the key backend\n", "anyone may "}},
		{[]string{"--open", "a", "--open", "b", "--open", "c", "--open", "d", "--open", "e", "--open", "f", "--open", "g"}, []string{"a, b, c, d, e and 2 more"}},
	} {
		l, err := config.Load(tt.args, nil, facts())
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		printOpen(&b, l.Settings)
		contains(t, strings.Join(tt.args, " "), b.String(), tt.want)
		if strings.Contains(b.String(), "0123456789abcdef") {
			t.Errorf("a secret is printed:\n%s", b.String())
		}
	}
}

// TestReloadKeys: a key that is taken away opens nothing any more, also to whom
// it has let in.
func TestReloadKeys(t *testing.T) {
	file, data := filepath.Join(t.TempDir(), "tutti.yaml"), t.TempDir()
	rules := "allow: [\"news publish=token\"]\n"
	write(t, file, rules+"door:\n  key: [\"backend 0123456789abcdef news\"]\n")
	p := start(t, "--config", file, "--data", data)
	session := p.open()
	p.send(session, `40{"token":"0123456789abcdef"}`)
	p.get(session)
	try := func() string {
		p.send(session, `421["publish",{"room":"news","event":"x"}]`)
		_, _, body := p.get(session)
		return body
	}
	if body := try(); strings.Contains(body, "error") {
		t.Errorf("with the key: %q", body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // if it goes on
	defer cancel()
	events := p.listen(ctx, "/events?room=news", "0123456789abcdef")
	defer events.Body.Close()
	write(t, file, rules)
	o := runCommand(t, nil, "", "reload", "--data", data)
	o.want(t, "reload", exitOK, "applied: door.key: backend (hidden) news → nothing\n", "")
	for _, what := range []func() string{
		func() string { _, _, body := p.get(session); return body },
		func() string { return hear(events) },
	} {
		if body := what(); !strings.Contains(body, `"code":"disconnected"`) {
			t.Errorf("after the key was taken away: %q", body)
		}
	}
}

// TestReloadTakesAway: who is in a room that rules do not open any more hears
// nothing of it.
func TestReloadTakesAway(t *testing.T) {
	file, data := filepath.Join(t.TempDir(), "tutti.yaml"), t.TempDir()
	write(t, file, "open: [news, other]\n")
	p := start(t, "--config", file, "--data", data)
	session := p.open()
	p.send(session, "40")
	p.get(session)
	p.send(session, `421["join",{"room":"news"}]`+"\x1e"+`422["join",{"room":"other"}]`)
	if _, _, body := p.get(session); strings.Contains(body, "error") {
		t.Fatalf("join: %q", body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // if it goes on
	defer cancel()
	events := p.listen(ctx, "/events?room=news", "")
	defer events.Body.Close()
	write(t, file, "open: [other]\n")
	o := runCommand(t, nil, "", "reload", "--data", data)
	o.want(t, "reload", exitOK, "applied: open: ", "")
	if _, _, body := p.get(session); !strings.Contains(body, `"code":"rooms_removed"`) || !strings.Contains(body, `"rooms":["news"]`) {
		t.Errorf("the socket is told %q", body)
	}
	if body := hear(events); !strings.Contains(body, `"code":"disconnected"`) {
		t.Errorf("the stream ends with %q", body)
	}
}

// listen opens an event stream with a key, if there is one.
func (p *program) listen(ctx context.Context, path, key string) *http.Response {
	p.t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", p.url+path, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %d", path, res.StatusCode)
	}
	return res
}

// hear reads a stream to its end.
func hear(res *http.Response) string {
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return string(text) + err.Error()
	}
	return string(text)
}

// TestOperate: the operators' commands against a server.
func TestOperate(t *testing.T) {
	data := t.TempDir()
	secret := "tutti_0123456789abcdef"
	hash := "sha256:" + sha256Hex(secret)
	p := start(t, "--data", data, "--open", "*", "--admin", "127.0.0.1:0", "--admin-keys", "ops operate "+hash, "--admin-keys", "eyes view "+hash[:len(hash)-4]+"0000")
	line, err := p.stdout.ReadString('\n')
	admin, found := strings.CutPrefix(strings.TrimSpace(line), "Operators: ")
	if !found {
		t.Fatalf("second line is %q, %v", line, err)
	}
	var sessions []string
	for i := range 3 {
		session := p.open()
		p.send(session, "40")
		p.get(session)
		p.send(session, fmt.Sprintf(`420["join",{"room":"tea:%d"}]`, i%2))
		p.get(session)
		sessions = append(sessions, session)
	}
	byKey := []string{"TUTTI_ADMIN=" + admin, "TUTTI_ADMIN_KEY=" + secret}
	for _, how := range [][]string{{"TUTTI_DATA=" + data}, byKey} {
		o := runCommand(t, how, "", "rooms", "tea:")
		o.want(t, "rooms", exitOK, "MEMBERS  NAMESPACE  ROOM\n", "")
		contains(t, "rooms", o.stdout, []string{"      2  /          tea:0\n", "      1  /          tea:1\n"})
	}
	runCommand(t, byKey, "", "rooms", "--json", "--limit", "1").want(t, "rooms --json", exitOK, `"members":`, "there are more than 1")
	runCommand(t, []string{"TUTTI_ADMIN=" + admin}, "", "rooms").want(t, "without a key", exitFailed, "", "give a key with --key or TUTTI_ADMIN_KEY")
	runCommand(t, byKey, "", "publish", "--admin", admin, "--room", "tea:0", "--event", "hot", "1").want(t, "publish", exitOK, "-", "")
	if _, _, body := p.get(sessions[0]); !strings.Contains(body, `42["hot",1`) {
		t.Errorf("got %q, want the operator's message", body)
	}
	runCommand(t, byKey, "", "disconnect", "--room", "tea:0", "--reason", "test").want(t, "disconnect", exitOK, "disconnected 2 sockets\n", "")
	runCommand(t, byKey, "", "disconnect", "--socket", "nobody").want(t, "disconnect nobody", exitOK, "disconnected 0 sockets\n", "")
	runCommand(t, byKey, "", "reload").want(t, "reload", exitOK, "nothing has changed\n", "")
	runCommand(t, byKey, "", "drain").want(t, "drain", exitOK, "draining\n", "")
	if code := p.wait(); code != exitOK {
		t.Errorf("exit code %d after drain; stderr:\n%s", code, p.stderr.String())
	}
}

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// TestReloadOfHalves: a file that is right alone is refused if it is not so
// together with what takes a new start, and what is filled in at the start is no
// change.
func TestReloadOfHalves(t *testing.T) {
	file, data := filepath.Join(t.TempDir(), "tutti.yaml"), t.TempDir()
	key := "captain operate sha256:" + strings.Repeat("ab", 32)
	write(t, file, "admin:\n  listen: 0.0.0.0:0\n  keys: ["+key+"]\n")
	p := start(t, "--config", file, "--data", data)
	write(t, file, "admin:\n  listen: 127.0.0.1:0\nlog: {level: debug}\n") // nobody needs a key on loopback
	if o := runCommand(t, nil, "", "config", "check", file); o.code != exitOK {
		t.Fatalf("the file alone: %+v", o)
	}
	runCommand(t, nil, "", "reload", "--data", data).want(t, "reload", exitFailed, "", "admin.listen is \"0.0.0.0:0\"")
	write(t, file, "admin:\n  listen: 0.0.0.0:0\n  keys: ["+key+"]\n")
	runCommand(t, nil, "", "reload", "--data", data).want(t, "reload of the old file", exitOK, "nothing has changed\n", "")
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, p.stderr.String())
	}
}
