package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tutti-rt/tutti/internal/clientfiles"
)

// asProgram makes the test binary be the program instead: what is tested is
// run as a user would run it, with flags, signals and exit codes.
const asProgram = "BE_TUTTI"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	main()
}

// A program is a running tutti.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	stdout *bufio.Reader
	stderr bytes.Buffer // to be read after wait only
}

// patience is for a machine that is busy; nothing is asserted about time.
const patience = 30 * time.Second

func invoke(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self, args...)
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "TUTTI_") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	// Without the pause that the race detector makes at the end of a program.
	cmd.Env = append(cmd.Env, asProgram+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// start runs `tutti serve` on a free port and waits for its first line.
func start(t *testing.T, flags ...string) *program {
	t.Helper()
	return startCommand(t, append([]string{"serve", "--listen", "127.0.0.1:0"}, flags...)...)
}

// startCommand runs a command that listens and waits for its first line.
func startCommand(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: invoke(t, args...)}
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	p.stdout = bufio.NewReader(stdout)
	line, err := p.stdout.ReadString('\n')
	var found bool
	if p.url, found = strings.CutPrefix(strings.TrimSpace(line), "Tutti listening on "); !found {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		t.Fatalf("first line is %q, %v; stderr:\n%s", line, err, p.stderr.String())
	}
	return p
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns how the program ended.
func (p *program) wait() (code int) {
	p.t.Helper()
	if _, err := io.Copy(io.Discard, p.stdout); err != nil {
		p.t.Error(err)
	}
	return exitCode(p.t, p.cmd.Wait())
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

// get fetches a path without following redirections.
func (p *program) get(path string) (status int, header http.Header, body string) {
	p.t.Helper()
	client := http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	res, err := client.Get(p.url + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

func post(t *testing.T, url, body string) (status int, answer string) {
	t.Helper()
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	res, err := client.Post(url, "application/json", strings.NewReader(body))
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

// needsClient skips what needs the client files if they aren't installed.
func needsClient(t *testing.T) {
	t.Helper()
	if _, _, err := clientfiles.Files(); err != nil {
		t.Skip(err)
	}
}

func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestCommandLine: what is printed where, and the exit code, for calls that
// end by themselves.
func TestCommandLine(t *testing.T) {
	dir := folderOf(t, map[string]string{
		"bad.yaml":  "listen: 127.0.0.1:0\nlisten: 127.0.0.1:1\nlog:\n  level: loud\nrelay: [connect]\n",
		"good.yaml": "listen: 127.0.0.1:0\n",
	})
	tests := []struct {
		name           string
		args           []string
		code           int
		stdout, stderr []string // what they contain; empty is empty
	}{
		{"nothing", nil, exitUsage, nil, []string{"usage: tutti COMMAND", "serve", "version"}},
		{"help", []string{"help"}, exitOK, []string{"usage: tutti COMMAND"}, nil},
		{"help help", []string{"help", "help"}, exitOK, []string{"usage: tutti COMMAND"}, nil},
		{"unknown", []string{"sevre"}, exitUsage, nil, []string{`no command "sevre"; did you mean serve?`, "usage:"}},
		{"version", []string{"version"}, exitOK, []string{"tutti ", "go1.", "Socket.IO client "}, nil},
		{"version flag", []string{"--version"}, exitOK, []string{"tutti "}, nil},
		{"version with more", []string{"version", "now"}, exitUsage, nil, []string{`"now" is too much`, "usage: tutti version"}},
		{"serve help", []string{"serve", "--help"}, exitOK, []string{"SYNOPSIS\n    tutti serve [flags]\n", "--listen HOST:PORT", "--relay EVENT"}, nil},
		{"help serve", []string{"help", "serve"}, exitOK, []string{"NAME\n    tutti serve - run a server\n"}, nil},
		{"one bad flag", []string{"serve", "--lissten", ":0"}, exitUsage, nil, []string{"tutti serve: --lissten: no such flag; did you mean --listen?\n"}},
		{"bad demo", []string{"serve", "--demo", "chess"}, exitUsage, nil, []string{`--demo: demo is "chess": want chat`}},
		{
			"bad file", []string{"serve", "--config", filepath.Join(dir, "bad.yaml"), "--ping-interval", "never"}, exitUsage, nil,
			[]string{"tutti serve: 4 mistakes in the settings\n", "bad.yaml:2: listen is set twice", "bad.yaml:4: log.level", "bad.yaml:5: relay", "--ping-interval: "},
		},
		{"print", []string{"serve", "--config", filepath.Join(dir, "good.yaml"), "--print-config"}, exitOK, []string{"listen: 127.0.0.1:0  # " + dir + "/good.yaml:1\n", "ping:\n  interval: 25s\n"}, nil},
		{"nowhere", []string{"serve", "--listen", "256.0.0.1:0"}, exitFailed, nil, []string{"256.0.0.1", "--listen"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := invoke(t, tt.args...)
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if code := exitCode(t, cmd.Run()); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			contains(t, "stdout", stdout.String(), tt.stdout)
			contains(t, "stderr", stderr.String(), tt.stderr)
		})
	}
}

func contains(t *testing.T, what, got string, want []string) {
	t.Helper()
	if len(want) == 0 && got != "" {
		t.Errorf("%s is not empty:\n%s", what, got)
	}
	for _, part := range want {
		if !strings.Contains(got, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, got)
		}
	}
}

func TestPortTaken(t *testing.T) {
	first := start(t)
	address := strings.TrimPrefix(first.url, "http://")
	cmd := invoke(t, "serve", "--listen", address)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if code := exitCode(t, cmd.Run()); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	contains(t, "stderr", stderr.String(), []string{"tutti serve: " + address + " is taken", "Choose another with --listen\n"})
}

// open makes a session that polls.
func (p *program) open() (sid string) {
	p.t.Helper()
	status, _, body := p.get("/socket.io/?EIO=4&transport=polling")
	_, rest, found := strings.Cut(body, `"sid":"`)
	sid, _, _ = strings.Cut(rest, `"`)
	if status != http.StatusOK || !found {
		p.t.Fatalf("handshake: %d %q", status, body)
	}
	return "/socket.io/?EIO=4&transport=polling&sid=" + sid
}

// send sends Engine.IO packets in the session.
func (p *program) send(session, packets string) {
	p.t.Helper()
	if status, answer := post(p.t, p.url+session, packets); status != http.StatusOK || answer != "ok" {
		p.t.Fatalf("post %q: %d %q", packets, status, answer)
	}
}

func TestHealthAndEnd(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		p := start(t, "--metrics", "127.0.0.1:0")
		status, header, body := p.get("/healthz")
		if status != http.StatusOK || header.Get("Content-Type") != "application/json" || !strings.Contains(body, `"status":"ok"`) {
			t.Errorf("healthz: %d %v %q", status, header, body)
		}
		if status, _, _ := p.get("/metrics"); status != http.StatusNotFound {
			t.Errorf("/metrics is public: %d", status)
		}
		// A poll that hangs must not hold up the end.
		session := p.open()
		polled := make(chan string, 1)
		client := http.Client{Timeout: patience}
		defer client.CloseIdleConnections()
		go func() {
			res, err := client.Get(p.url + session)
			if err != nil {
				polled <- err.Error()
				return
			}
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			polled <- string(text) + errorText(err)
		}()
		p.signal(signal)
		if code := p.wait(); code != exitOK {
			t.Errorf("%v: exit code %d, want 0; stderr:\n%s", signal, code, p.stderr.String())
		}
		<-polled // whatever it got, it ended
		contains(t, "stderr", p.stderr.String(), []string{"msg=stopping"})
	}
}

func errorText(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// TestAbort: a request that doesn't end holds up the end, until a second signal.
func TestAbort(t *testing.T) {
	p := start(t, "--timeout-drain", "1h", "--timeout-write", "10m", "--door-publish", "news")
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The server answers 100 when the handler reads the body that never comes.
	fmt.Fprintf(conn, "POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, "100") {
		t.Fatalf("got %q, %v, want 100 Continue", line, err)
	}
	p.signal(syscall.SIGTERM)
	p.signal(os.Interrupt)
	if code := p.wait(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	contains(t, "stderr", p.stderr.String(), []string{"aborted by a second signal"})
}

// TestRelay is a tutorial's front end without a server of its own: what one
// sends reaches all.
func TestRelay(t *testing.T) {
	p := start(t, "--relay", "chat message", "--namespace", "/news")
	one, two := p.open(), p.open()
	for _, session := range []string{one, two} {
		p.send(session, "40\x1e40/news,")
		_, _, body := p.get(session)
		for !strings.Contains(body, "40/news,{") { // CONNECT may come in two polls
			_, _, more := p.get(session)
			body += more
		}
	}
	p.send(one, `420["chat message","hello",{"a":1}]`)
	for _, session := range []string{one, two} {
		_, _, body := p.get(session)
		if !strings.Contains(body, `42["chat message","hello",{"a":1}]`) {
			t.Errorf("got %q, want the event", body)
		}
	}
	p.send(two, `42/news,["chat message","extra"]`)
	if _, _, body := p.get(one); !strings.Contains(body, `42/news,["chat message","extra"]`) {
		t.Errorf("got %q, want the event in /news", body)
	}
}

func TestStatic(t *testing.T) {
	dir := folderOf(t, map[string]string{
		"public/index.html":           "<title>hello</title>",
		"public/app.js":               "io()",
		"public/empty/x.txt":          "x",
		"public/.env":                 "secret",
		"public/.git/config":          "secret",
		"public/.well-known/info.txt": "info",
		"outside.txt":                 "secret",
	})
	if err := os.Symlink(filepath.Join(dir, "outside.txt"), filepath.Join(dir, "public", "link.txt")); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--static", filepath.Join(dir, "public"))
	tests := []struct {
		path   string
		status int
		body   string
	}{
		{"/", 200, "<title>hello</title>"},
		{"/app.js", 200, "io()"},
		{"/empty/x.txt", 200, "x"},
		{"/.well-known/info.txt", 200, "info"},
		{"/empty/", 404, ""},
		{"/.env", 404, ""},
		{"/.git/config", 404, ""},
		{"/link.txt", 0, ""},
		{"/%2e%2e/outside.txt", 0, ""},
		{"/healthz", 200, `{"status":"ok"`},
	}
	for _, tt := range tests {
		status, _, body := p.get(tt.path)
		if tt.status != 0 && status != tt.status || tt.status == 0 && status < 300 || !strings.HasPrefix(body, tt.body) || strings.Contains(body, "secret") {
			t.Errorf("%s: got %d %q, want %d %q", tt.path, status, body, tt.status, tt.body)
		}
	}
}

func TestDemo(t *testing.T) {
	needsClient(t)
	p := start(t, "--demo", "chat")
	if status, header, _ := p.get("/"); status != http.StatusFound || header.Get("Location") != "/chat/" {
		t.Errorf("/: got %d to %q, want the way to /chat/", status, header.Get("Location"))
	}
	if status, _, body := p.get("/chat/"); status != http.StatusOK || !strings.Contains(body, "<html") {
		t.Errorf("/chat/: got %d %.100q", status, body)
	}
	if status, _, body := p.get("/socket.io/socket.io.min.js"); status != http.StatusOK || !strings.Contains(body, "Socket.IO v4") {
		t.Errorf("client: got %d %.100q", status, body)
	}
	if status, answer := post(t, p.url+"/api/publish", `{"room":"chat:general","event":"message","data":"hello"}`); status != http.StatusOK {
		t.Errorf("publish: got %d %q", status, answer)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != exitOK {
		t.Errorf("exit code %d, want 0; stderr:\n%s", code, p.stderr.String())
	}
}

// TestDoors: closed unless opened, and a key opens its rooms.
func TestDoors(t *testing.T) {
	closed := start(t)
	if status, answer := post(t, closed.url+"/api/publish", `{"room":"a","event":"x"}`); status < 400 {
		t.Errorf("publish to closed doors: got %d %q", status, answer)
	}
	if status, _, body := closed.get("/events?room=a"); status < 400 {
		t.Errorf("listen at closed doors: got %d %q", status, body)
	}

	p := start(t, "--door-listen", "news", "--door-key", "backend 0123456789abcdef news", "--namespace", "/other")
	if status, answer := post(t, p.url+"/api/publish", `{"room":"news","event":"x"}`); status < 400 {
		t.Errorf("publish without the key: got %d %q", status, answer)
	}
	res, err := http.Get(p.url + "/events?room=news&EIO=4") // which means nothing here
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("listen: got %d", res.StatusCode)
	}
	req, err := http.NewRequest("POST", p.url+"/api/publish", strings.NewReader(`{"room":"news","event":"x","data":"the news"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer 0123456789abcdef")
	req.Header.Set("Content-Type", "application/json")
	published, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	published.Body.Close()
	if published.StatusCode != http.StatusOK {
		t.Errorf("publish with the key: got %d", published.StatusCode)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), "the news") {
	}
	if !strings.Contains(lines.Text(), "the news") {
		t.Errorf("the stream ended: %v", lines.Err())
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != exitOK { // with a stream open
		t.Errorf("exit code %d, want 0; stderr:\n%s", code, p.stderr.String())
	}
}

// TestRelayText: what a plain WebSocket sends reaches all, and only them. It
// may come to / as well, beside the pages there.
func TestRelayText(t *testing.T) {
	for _, flags := range [][]string{nil, {"--static", folderOf(t, map[string]string{"index.html": "<title>hello</title>"})}} {
		relayText(t, append([]string{"--relay-text"}, flags...))
	}
}

func relayText(t *testing.T, flags []string) {
	p := start(t, flags...)
	if status, _, body := p.get("/"); status != http.StatusOK || body == "" {
		t.Errorf("/: got %d %q, want a page", status, body)
	}
	var conns []net.Conn
	for _, path := range []string{"", "/", "/ws"} {
		conn, buffered, _, err := ws.Dial(t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if buffered != nil {
			t.Fatal("the server spoke first")
		}
		conns = append(conns, conn)
	}
	if err := wsutil.WriteClientText(conns[0], []byte("hello")); err != nil {
		t.Fatal(err)
	}
	for i, conn := range conns {
		if text, err := wsutil.ReadServerText(conn); err != nil || string(text) != "hello" {
			t.Errorf("%d got %q, %v, want hello", i, text, err)
		}
	}
	p.signal(syscall.SIGTERM)
	for i, conn := range conns { // reading answers the server's farewell
		if text, err := wsutil.ReadServerText(conn); err == nil {
			t.Errorf("%d got %q, want the end", i, text)
		}
	}
	if code := p.wait(); code != exitOK {
		t.Errorf("exit code %d, want 0; stderr:\n%s", code, p.stderr.String())
	}
}
