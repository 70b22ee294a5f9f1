package forward

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// A cluster is handlers that find each other.
type cluster struct {
	mu    sync.Mutex
	nodes map[string]Node
}

func (c *cluster) find(name string) (Node, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.nodes[name]
	return n, ok
}

// node starts one. Its sessions are served by telling who served whom.
func (c *cluster) node(t *testing.T, name string) (*Handler, *httptest.Server) {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	self, err := NewNode("http://" + srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	h := New(Config{Name: name, Self: self, Find: c.find, Log: slog.New(slog.DiscardHandler)})
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r, serve(name)) })
	srv.Start()
	c.mu.Lock()
	c.nodes[name] = self
	c.mu.Unlock()
	t.Cleanup(func() { h.Close(); srv.Close() })
	return h, srv
}

// serve answers with its name, the client's address and what the body says, or
// echoes lines for who upgrades.
func serve(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s %s %q %q", name, r.Method, r.Host, body, r.Header[headerToken], r.Header[headerPeer])
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		rw.Flush()
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprintf(rw, "%s %s", name, line)
			rw.Flush()
		}
	})
}

func get(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "app.example"
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestForward(t *testing.T) {
	c := &cluster{nodes: make(map[string]Node)}
	a, first := c.node(t, "a")
	b, second := c.node(t, "b")
	ofA, ofB := a.NewID(nil), b.NewID(nil)
	tests := []struct {
		url, method, sid, want string
	}{
		{first.URL, "GET", "", "a"},
		{first.URL, "GET", ofA, "a"},
		{first.URL, "POST", ofB, "b"},
		{second.URL, "POST", ofA, "a"},
		{second.URL, "GET", ofB, "b"},
		{first.URL, "GET", "x.gone", "a"},       // it does not know the session
		{first.URL, "GET", "x.b.c", "a"},        // nor this
		{first.URL, "GET", "..%2F..%2F.b", "a"}, // nor this
		{first.URL, "GET", "%00.", "a"},
	}
	for _, tt := range tests {
		url := tt.url + "/socket.io/?EIO=4&transport=polling"
		if tt.sid != "" {
			url += "&sid=" + tt.sid
		}
		want := tt.want + " " + tt.method + " app.example hello [] []"
		if status, got := get(t, tt.method, url, "hello"); status != 200 || got != want {
			t.Errorf("%s: got %d %s, want %s", tt.sid, status, got, want)
		}
	}
}

// TestStrangers has clients that claim to be nodes: what they say of themselves
// is not believed, and not passed on.
func TestStrangers(t *testing.T) {
	var seen string
	self, _ := NewNode("http://127.0.0.1:1")
	h := New(Config{Name: "a", Self: self, Find: func(string) (Node, bool) { return Node{}, false }, Log: slog.Default()})
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen = fmt.Sprint(r.RemoteAddr, r.Header.Get(headerPeer), r.Header.Get(headerToken), r.Header.Get(headerSecure), r.TLS != nil)
	})
	defer h.Close()
	for _, token := range []string{"", "guess", self.Token} {
		r := httptest.NewRequest("GET", "/?sid=x.b", nil)
		r.Header.Set(headerPeer, "6.6.6.6:6")
		r.Header.Set(headerSecure, "1")
		if token != "" {
			r.Header.Set(headerToken, token)
		}
		want := r.RemoteAddr + "false"
		if token == self.Token {
			want = "6.6.6.6:6true"
		}
		h.ServeHTTP(httptest.NewRecorder(), r, next)
		if seen != want {
			t.Errorf("token %q: the handler sees %q, want %q", token, seen, want)
		}
	}
}

func TestUpgrade(t *testing.T) {
	c := &cluster{nodes: make(map[string]Node)}
	a, first := c.node(t, "a")
	b, _ := c.node(t, "b")
	conn, err := net.Dial("tcp", first.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /?sid=%s HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", b.NewID(nil))
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v, want 101", resp, err)
	}
	for i := range 3 {
		fmt.Fprintf(conn, "line %d\n", i)
		want := fmt.Sprintf("b line %d\n", i)
		if got, err := r.ReadString('\n'); err != nil || got != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	a.Close() // the node that passes on goes: so does the connection
	if rest, err := io.ReadAll(r); len(rest) != 0 || err != nil {
		t.Errorf("after Close: got %q, %v, want the end", rest, err)
	}
}

func TestNodeGone(t *testing.T) {
	c := &cluster{nodes: make(map[string]Node)}
	_, first := c.node(t, "a")
	b, second := c.node(t, "b")
	second.Close() // without a word: its lease goes on
	if status, got := get(t, "GET", first.URL+"/?sid="+b.NewID(nil), ""); status != http.StatusBadGateway || !strings.Contains(got, "Session ID unknown") {
		t.Errorf("got %d %s, want 502", status, got)
	}
}

// TestGone: a node that is gone without a word leaves nobody waiting for it.
func TestGone(t *testing.T) {
	c := &cluster{nodes: make(map[string]Node)}
	a, first := c.node(t, "a")
	there, over := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(there)
		<-over
	}))
	t.Cleanup(func() { close(over); srv.Close() })
	c.mu.Lock()
	c.nodes["b"] = Node{URL: srv.URL, Token: "x"}
	c.mu.Unlock()
	go func() { // ends with the request, for which get waits
		<-there
		a.Gone("other")
		a.Gone("b")
	}()
	if status, got := get(t, "GET", first.URL+"/?sid=x.b", ""); status != http.StatusBadGateway {
		t.Errorf("got %d %s, want 502", status, got)
	}
	// The handler lets go of it a moment after the client has its answer.
	deadline := time.Now().Add(10 * time.Second)
	for {
		a.mu.Lock()
		n := len(a.under)
		a.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d are kept", n)
		}
		<-time.After(time.Millisecond)
	}
}

func TestNode(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:3000", "ftp://x", "http://", "http://x/path", "http://x/"} {
		if n, err := NewNode(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, n)
		}
	}
	n, err := NewNode("http://10.0.0.1:3000")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Unmarshal(n.Marshal()); err != nil || got != n {
		t.Errorf("got %v, %v, want %v", got, err, n)
	}
	if _, err := Unmarshal([]byte("{")); err == nil {
		t.Error("half a node is read")
	}
}

// TestSecure: whether the client came over TLS is known on the node that its session
// is of, by what the node says that it asked, and not by what it says itself.
func TestSecure(t *testing.T) {
	c := &cluster{nodes: make(map[string]Node)}
	a, _ := c.node(t, "a")
	secure := make(chan bool, 1)
	var b *Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.ServeHTTP(w, r, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			secure <- r.TLS != nil
			if got := r.Header.Get(headerSecure); got != "" {
				t.Errorf("the header is left: %q", got)
			}
		}))
	}))
	defer srv.Close()
	self, err := NewNode(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	b = New(Config{Name: "b", Self: self, Find: c.find, Log: slog.New(slog.DiscardHandler)})
	defer b.Close()
	c.mu.Lock()
	c.nodes["b"] = self
	c.mu.Unlock()
	for _, want := range []bool{true, false} {
		r := httptest.NewRequest("GET", "/?sid="+b.NewID(nil), nil)
		if want {
			r.TLS = &tls.ConnectionState{}
		} else {
			r.Header.Set(headerSecure, "1") // a stranger's
		}
		a.ServeHTTP(httptest.NewRecorder(), r, nil)
		if got := <-secure; got != want {
			t.Errorf("who came over TLS %v is served as if %v", want, got)
		}
	}
}
