package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/metrics"
)

// ask emits an event with an acknowledgement in a polling session and returns
// the answer.
func (p *program) ask(session, event, arg string) string {
	p.t.Helper()
	p.send(session, fmt.Sprintf(`427["%s",%s]`, event, arg))
	for {
		_, _, body := p.get(session)
		for packet := range strings.SplitSeq(body, "\x1e") {
			if packet == "2" {
				p.send(session, "3")
			}
			if answer, ok := strings.CutPrefix(packet, "437["); ok {
				return strings.TrimSuffix(answer, "]")
			}
		}
		if body == "1" || body == "6" || body == "" {
			p.t.Fatalf("no answer to %s, but %q", event, body)
		}
	}
}

// enter opens a session and connects to "/".
func (p *program) enter() (session string) {
	p.t.Helper()
	session = p.open()
	p.send(session, "40")
	if _, _, body := p.get(session); !strings.HasPrefix(body, "40{") {
		p.t.Fatalf("connect: got %q", body)
	}
	return session
}

// history reads what a room has kept, page by page from its end.
func (p *program) history(room string) (data []string) {
	p.t.Helper()
	session, before := p.enter(), ""
	for {
		answer := p.ask(session, "history", fmt.Sprintf(`{"room":%q,"before":%q,"limit":7}`, room, before))
		var page struct {
			Messages []struct{ Offset, Data string }
			More     bool
			Error    string
		}
		if err := json.Unmarshal([]byte(answer), &page); err != nil || page.Error != "" {
			p.t.Fatalf("history: %s, %v", answer, err)
		}
		var texts []string
		for _, m := range page.Messages {
			texts = append(texts, m.Data)
		}
		data = append(texts, data...)
		if !page.More {
			return data
		}
		before = page.Messages[0].Offset
	}
}

// kill ends the program as a power cut ends it, as far as it can tell.
func (p *program) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.wait()
}

// durableChat is what a first try without a file says, besides --data.
var durableChat = []string{"--durable", "chat:*", "--open", "chat:*"}

// TestKill: what was acknowledged is there after kill -9 and a new start, once
// and in order.
func TestKill(t *testing.T) {
	flags := append([]string{"--data", filepath.Join(t.TempDir(), "data")}, durableChat...)
	var want []string
	for life := range 3 {
		p := start(t, flags...)
		session := p.enter()
		for i := range 10 {
			text := fmt.Sprintf("%d-%d", life, i)
			if i%2 == 0 {
				answer := p.ask(session, "publish", fmt.Sprintf(`{"room":"chat:a","event":"message","data":%q}`, text))
				if !strings.Contains(answer, `"offset"`) {
					t.Fatalf("publish: %s", answer)
				}
			} else if status, answer := post(t, p.url+"/api/publish", fmt.Sprintf(`{"room":"chat:a","event":"message","data":%q}`, text)); status != http.StatusOK {
				t.Fatalf("publish: %d %s", status, answer)
			}
			want = append(want, text)
		}
		p.kill()
	}
	p := start(t, flags...)
	if got := p.history("chat:a"); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	status, _, body := p.get("/api/history?room=chat:a&limit=100")
	for _, text := range want {
		if status != http.StatusOK || strings.Count(body, `"data":"`+text+`"`) != 1 {
			t.Errorf("over HTTP: %d, want %q once in %s", status, text, body)
		}
	}
	if status, _, body := p.get("/api/presence?room=chat:a"); status != http.StatusOK || !strings.Contains(body, `"count":`) {
		t.Errorf("presence: %d %s", status, body)
	}
	if status, _, body := p.get("/api/history?room=secret"); status != http.StatusForbidden {
		t.Errorf("a room that is not open: %d %s", status, body)
	}
}

// TestDemoHistory: what is said in a demo's rooms can be read where it is kept.
func TestDemoHistory(t *testing.T) {
	needsClient(t)
	p := start(t, "--demo", "chat", "--data", filepath.Join(t.TempDir(), "data"))
	if status, answer := post(t, p.url+"/api/publish", `{"room":"chat:general","event":"message","data":"hello"}`); status != http.StatusOK {
		t.Fatalf("publish: %d %q", status, answer)
	}
	if status, _, body := p.get("/api/history?room=chat:general"); status != http.StatusOK || !strings.Contains(body, `"data":"hello"`) {
		t.Errorf("history: %d %s", status, body)
	}
	if status, _, body := p.get("/api/history?room=chat-screens:general"); status != http.StatusForbidden {
		t.Errorf("a room of the chat's own: %d %s", status, body)
	}
}

// TestRecovery: a client comes back to a server that was killed, with its id
// and what it missed.
func TestRecovery(t *testing.T) {
	flags := append([]string{"--data", filepath.Join(t.TempDir(), "data")}, durableChat...)
	p := start(t, flags...)
	session := p.open()
	p.send(session, "40")
	_, _, body := p.get(session)
	var ticket struct{ Sid, Pid string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(body, "40")), &ticket); err != nil || ticket.Pid == "" {
		t.Fatalf("got %q, %v, want a private id", body, err)
	}
	if answer := p.ask(session, "join", `{"room":"chat:a"}`); !strings.Contains(answer, `"offset"`) {
		t.Fatalf("join: %s", answer)
	}
	if status, answer := post(t, p.url+"/api/publish", `{"room":"chat:a","event":"message","data":"missed"}`); status != http.StatusOK {
		t.Fatalf("publish: %d %s", status, answer)
	}
	p.kill()

	p = start(t, flags...)
	session = p.open()
	p.send(session, fmt.Sprintf(`40{"pid":%q}`, ticket.Pid))
	var got string
	for !strings.Contains(got, "missed") {
		_, _, body := p.get(session)
		got += body + "\x1e"
		if body == "" || body == "1" {
			break
		}
	}
	if !strings.Contains(got, `"sid":"`+ticket.Sid+`"`) || strings.Count(got, `42["message","missed",`) != 1 {
		t.Errorf("got %q, want the id of before and the message", got)
	}
}

// TestBackup: of a live server, and of a folder that nobody uses.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	data, live, cold, again := filepath.Join(dir, "data"), filepath.Join(dir, "live"), filepath.Join(dir, "cold"), filepath.Join(dir, "again")
	flags := append([]string{"--data", data}, durableChat...)
	p := start(t, flags...)
	say := func(text string) {
		t.Helper()
		if status, answer := post(t, p.url+"/api/publish", fmt.Sprintf(`{"room":"chat:a","event":"message","data":%q}`, text)); status != http.StatusOK {
			t.Fatalf("publish: %d %s", status, answer)
		}
	}
	command := func(want int, args ...string) (output string) {
		t.Helper()
		cmd := invoke(t, args...)
		text, err := cmd.CombinedOutput()
		if code := exitCode(t, err); code != want {
			t.Fatalf("%q: exit code %d, want %d:\n%s", args, code, want, text)
		}
		return string(text)
	}
	say("one")
	command(exitOK, "backup", data, live)
	if text := command(exitFailed, "backup", data, live); !strings.Contains(text, "is not empty") {
		t.Errorf("a second time: %s", text)
	}
	say("two")
	p.kill()
	command(exitOK, "backup", data, cold)
	for backup, want := range map[string][]string{live: {"one"}, cold: {"one", "two"}} {
		if err := os.RemoveAll(again); err != nil {
			t.Fatal(err)
		}
		command(exitOK, "restore", backup, again)
		p = start(t, append([]string{"--data", again}, durableChat...)...)
		if got := p.history("chat:a"); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", filepath.Base(backup), got, want)
		}
		p.kill()
	}
	if text := command(exitFailed, "backup", dir, cold); !strings.Contains(text, "is no data folder") {
		t.Errorf("backup of another folder: %s", text)
	}
	if text := command(exitFailed, "backup", "http://localhost:9090", cold); !strings.Contains(text, "name its data folder") {
		t.Errorf("backup of an address: %s", text)
	}
	if text := command(exitUsage, "backup", data); !strings.Contains(text, "usage: tutti backup") {
		t.Errorf("without target: %s", text)
	}
	if text := command(exitOK, "help", "restore"); !strings.Contains(text, "tutti restore SOURCE FOLDER") {
		t.Errorf("help: %s", text)
	}
}

// TestDataFolder: what is wrong with a folder is said in words.
func TestDataFolder(t *testing.T) {
	dir := t.TempDir()
	used := filepath.Join(dir, "used")
	start(t, "--data", used)
	other, later := filepath.Join(dir, "other"), filepath.Join(dir, "later")
	for path, text := range map[string]string{filepath.Join(other, "thesis.txt"): "x", filepath.Join(later, "FORMAT"): "tutti 99\n"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ dir, want string }{
		{used, "is in use: is another server running with it?"},
		{other, "is not empty and not a data directory"},
		{later, `has format "tutti 99", this program knows format`},
		{"/proc/tutti", "/proc/tutti"},
	} {
		cmd := invoke(t, "serve", "--listen", "127.0.0.1:0", "--data", tt.dir)
		text, err := cmd.CombinedOutput()
		if code := exitCode(t, err); code != exitFailed || !strings.Contains(string(text), tt.want) {
			t.Errorf("%s: exit code %d, %s\nwant %s", tt.dir, code, text, tt.want)
		}
	}
}

// A failingStore can be told to fail.
type failingStore struct {
	hub.Store
	failed chan struct{}
}

func (s *failingStore) Failed() <-chan struct{}              { return s.failed }
func (s *failingStore) Backup(context.Context, string) error { return nil }

func (s *failingStore) Err() error {
	select {
	case <-s.failed:
		return errors.New("no space left in /secret/place")
	default:
		return nil
	}
}

// TestFailing: a store that has stopped shows in health, log and metric.
func TestFailing(t *testing.T) {
	store := &failingStore{hub.NewMemoryStore(), make(chan struct{})}
	m := metrics.New()
	var logged strings.Builder
	a := &app{store: store}
	a.watch(m, slog.New(slog.NewTextHandler(&logged, nil)))
	health := func(operator bool) (int, string) {
		w := httptest.NewRecorder()
		a.health(w, operator)
		return w.Code, w.Body.String()
	}
	if code, body := health(false); code != http.StatusOK {
		t.Errorf("before: %d %s", code, body)
	}
	close(store.failed)
	if code, body := health(false); code != http.StatusServiceUnavailable || !strings.Contains(body, `"status":"failing","reason":"the store`) || strings.Contains(body, "secret") {
		t.Errorf("to the public: %d %s", code, body)
	}
	if _, body := health(true); !strings.Contains(body, "no space left in /secret/place") {
		t.Errorf("to operators: %s", body)
	}
	a.running.Wait()
	if err := a.closeStore(); err != nil {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !strings.Contains(w.Body.String(), "\ntutti_store_failed 1\n") {
		t.Error("the metric does not show it")
	}
	if !strings.Contains(logged.String(), "level=ERROR") || !strings.Contains(logged.String(), "no space left") {
		t.Errorf("logged %q", logged.String())
	}
}

// TestMemoryConfig: what the settings say of memory.
func TestMemoryConfig(t *testing.T) {
	load := func(args ...string) config.Settings {
		l, err := config.Load(args, nil, config.Facts{})
		if err != nil {
			t.Fatal(err)
		}
		return l.Settings
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{nil, nil},
		{[]string{"--namespace", "/a"}, nil},
		{[]string{"--data", "d", "--namespace", "/a"}, []string{"/", "/a"}},
		{[]string{"--data", "d", "--namespace", "/a", "--memory", "/a"}, []string{"/a"}},
		{[]string{"--memory", "/"}, []string{"/"}},
	} {
		if got := remembering(load(tt.args...)); !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.args, got, tt.want)
		}
	}
	f := memoryConfig(load("--data", "d", "--durable", "a count=none bytes=1MB age=1d durability=async"))
	want := hub.RoomRule{Pattern: "a", Limit: hub.HistoryLimit{Bytes: 1e6, Age: 24 * 3600e9}, Durability: hub.Async}
	if got := f("/").Rooms[0]; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if f("/other") != nil || f(relaySpace) != nil {
		t.Error("a namespace that nobody named has a memory")
	}
}

// TestVerbKeys: where a rule wants a token, a door's key is one.
func TestVerbKeys(t *testing.T) {
	p := start(t, "--memory", "/", "--allow", "news publish=token join=anyone", "--door-key", "desk 0123456789abcdef news")
	connect := func(auth string) string {
		session := p.open()
		p.send(session, "40"+auth)
		p.get(session)
		return p.ask(session, "publish", `{"room":"news","event":"x","data":1}`)
	}
	if answer := connect(""); !strings.Contains(answer, `"forbidden"`) {
		t.Errorf("without a key: %s", answer)
	}
	if answer := connect(`{"token":"0123456789abcdef"}`); !strings.Contains(answer, `"offset"`) {
		t.Errorf("with the key: %s", answer)
	}
}
