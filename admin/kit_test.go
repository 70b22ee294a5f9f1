package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/admin"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/leak"
	"github.com/tutti-rt/tutti/internal/siotest"
	"github.com/tutti-rt/tutti/metrics"
)

// TestMain fails if a goroutine stays behind.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

const (
	viewKey    = "the key of who looks"
	operateKey = "the key of who acts"
)

var keys = []admin.Key{
	{Name: "watcher", Role: admin.View, Hash: admin.HashKey(viewKey)},
	{Name: "captain", Role: admin.Operate, Hash: admin.HashKey(operateKey)},
}

// A kit is a server with its admin, on an in-memory network.
type kit struct {
	t       *testing.T
	admin   *admin.Admin
	server  *tutti.Server
	network *siotest.Network
	audit   *strings.Builder
	key     string
}

// newKit starts a server whose rooms "kept…" have a history. change changes the
// configuration of its admin.
func newKit(t *testing.T, change func(*admin.Config)) *kit {
	t.Helper()
	m := metrics.New()
	k := &kit{t: t, audit: &strings.Builder{}, key: operateKey}
	cfg := admin.Config{Node: "test", Version: "v1", Keys: keys, Metrics: m, Audit: k.audit, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	server := tutti.Config{
		Engine: engineio.Config{Trace: m.Engine()},
		Hub: hub.Config{Trace: m.Hub(), Memory: func(namespace string) *hub.Memory {
			if namespace != "/kept" {
				return nil
			}
			return &hub.Memory{Rooms: []hub.RoomRule{{Pattern: "kept*"}}}
		}},
		Trace: m.Server(),
	}
	var err error
	if k.admin, err = admin.New(cfg); err != nil {
		t.Fatal(err)
	}
	k.admin.Observe(&server)
	if k.server, err = tutti.New(server); err != nil {
		t.Fatal(err)
	}
	k.admin.Attach(k.server)
	k.server.Namespace("/kept")
	ns := k.server.Namespace("/")
	ns.Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
		if name := s.Handshake().Token(); name != "" {
			s.Introduce(name)
		}
		return ctx, nil
	})
	ns.Handle("join", func(_ context.Context, s *tutti.Socket, m *tutti.Message) error {
		var room string
		if err := m.Args.Scan(&room); err != nil {
			return err
		}
		return s.Join(room)
	})
	k.network = siotest.Serve(k.server)
	t.Cleanup(func() {
		k.admin.Close()
		k.server.Shutdown(context.Background())
		k.network.Close()
	})
	return k
}

// A guest is a client with its socket's id.
type guest struct {
	*siotest.Client
	id string
}

// join connects a client as somebody and has it join rooms.
func (k *kit) join(name string, rooms ...string) guest {
	k.t.Helper()
	c, err := k.network.Dial()
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(c.Close)
	id, err := c.Connect("/", `{"token":"`+name+`"}`)
	if err != nil {
		k.t.Fatal(err)
	}
	k.enter(c, append(rooms, id)...)
	return guest{c, id}
}

// enter has a client join rooms, at least its own: once it is answered, all of
// it is there.
func (k *kit) enter(c *siotest.Client, rooms ...string) {
	k.t.Helper()
	for _, room := range rooms {
		if err := c.Send(`20["join","` + room + `"]`); err != nil {
			k.t.Fatal(err)
		}
		if got, err := c.Receive(); got != "30[]" || err != nil {
			k.t.Fatalf("got %q, %v", got, err)
		}
	}
}

// request makes a request to the handler.
func (k *kit) request(method, path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	k.t.Helper()
	r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	if k.key != "" {
		r.Header.Set("Authorization", "Bearer "+k.key)
	}
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	k.admin.Handler().ServeHTTP(w, r)
	return w
}

// get asks for JSON.
func get[T any](k *kit, path string) T {
	k.t.Helper()
	return decode[T](k.t, k.request("GET", path, ""))
}

// post has something done.
func post[T any](k *kit, path, body string) T {
	k.t.Helper()
	return decode[T](k.t, k.request("POST", path, body))
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if w.Code >= 300 {
		t.Fatalf("got %d: %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return v
}

// refused fails unless an answer is a refusal with that status and code.
func refused(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	var v struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != status || v.Error.Code != code || v.Error.Message == "" {
		t.Errorf("got %d %s, want %d and the code %q", w.Code, w.Body, status, code)
	}
}

// A watcher reads a stream of events.
type watcher struct {
	t     *testing.T
	lines *bufio.Reader
	close func()
}

// watch opens a stream, over a real connection in memory.
func (k *kit) watch(path string) *watcher {
	k.t.Helper()
	network := siotest.Serve(k.admin.Handler())
	r, err := http.NewRequest("GET", "http://localhost"+path, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+k.key)
	res, err := network.HTTP().Do(r)
	if err != nil {
		k.t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		text, _ := io.ReadAll(res.Body)
		k.t.Fatalf("got %d %s", res.StatusCode, text)
	}
	w := &watcher{k.t, bufio.NewReader(res.Body), func() { res.Body.Close(); network.Close() }}
	k.t.Cleanup(w.close)
	return w
}

// next returns the next event of a stream.
func (w *watcher) next() (event, data string) {
	w.t.Helper()
	for {
		line, err := w.lines.ReadString('\n')
		if err != nil {
			w.t.Fatal(err)
		}
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ": "); name {
		case "event":
			event = value
		case "data":
			data = value
		case "":
			return event, data
		}
	}
}
