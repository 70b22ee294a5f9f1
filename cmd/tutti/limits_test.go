package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/quota"
)

func settingsOf(t *testing.T, args ...string) config.Settings {
	t.Helper()
	l, err := config.Load(args, nil, config.Facts{})
	if err != nil {
		t.Fatal(err)
	}
	return l.Settings
}

// TestQuotaDefaults: the program and the package say the same.
func TestQuotaDefaults(t *testing.T) {
	got, want := quotaConfig(settingsOf(t)), quota.Default()
	if got.Shared == nil || !got.Shared("key:a") || got.Shared("a") {
		t.Error("the bearers of a key are taken for one user")
	}
	got.Shared, want.MaxBusy = nil, got.MaxBusy
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestHosts: a page of the web that has its name resolve to this machine (DNS
// rebinding) reaches nothing.
func TestHosts(t *testing.T) {
	for _, c := range []struct {
		args    []string
		allowed string
		refused string
	}{
		{nil, "localhost:3000 127.0.0.1:3000 [::1]:3000 app.localhost 192.0.2.1 LOCALHOST. healthz", "evil.example evil.example:3000 localhost.evil.example"},
		{[]string{"--listen=localhost:3000"}, "localhost:3000", "evil.example"},
		{[]string{"--origin=https://app.example"}, "app.example localhost", "evil.example"},
		{[]string{"--hosts=app.example", "--hosts=b.example:8443"}, "app.example app.example:3000 b.example:8443", "localhost 127.0.0.1:3000 b.example sub.app.example"},
		{[]string{"--hosts=*"}, "evil.example localhost", ""},
		{[]string{"--listen=0.0.0.0:3000"}, "evil.example localhost", ""},
		{[]string{"--listen=:3000"}, "evil.example", ""},
	} {
		h := (&app{blocked: func(string) {}}).protect(http.NotFoundHandler(), settingsOf(t, c.args...), slog.New(slog.DiscardHandler))
		status := func(host string) int {
			r := httptest.NewRequest("GET", "/socket.io/", nil)
			if r.Host = host; host == "healthz" { // a supervisor asks by whatever name
				r.Host, r.URL.Path = "some.where", "/healthz"
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		for host := range strings.FieldsSeq(c.allowed) {
			if got := status(host); got != http.StatusNotFound {
				t.Errorf("%v: %s is answered %d", c.args, host, got)
			}
		}
		for host := range strings.FieldsSeq(c.refused) {
			if got := status(host); got != http.StatusMisdirectedRequest {
				t.Errorf("%v: %s is answered %d", c.args, host, got)
			}
		}
	}
}

// TestGateOfNode: other nodes of the cluster are not held to what an address may
// have, and what they have does not outlive their connections.
func TestGateOfNode(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	hits := 0
	g := newGate(l, settingsOf(t, "--limit-requests=2", "--limit-exempt=none"), func(string) { hits++ }, slog.New(slog.DiscardHandler))
	nodes := map[string][]byte{"one": []byte(`{"url":"http://10.0.0.7:3000","token":"x"}`), "two": []byte(`{"url":"https://name.example"}`), "new": []byte(`?`)}
	g.nodes = (&neighbours{all: func() map[string][]byte { return nodes }}).at
	admitted := func(address string) (n int) {
		for port := range uint16(5) {
			if _, ok := g.Admit(netip.AddrPortFrom(netip.MustParseAddr(address), port), -1); ok {
				n++
			}
		}
		return n
	}
	if node, mapped, other := admitted("10.0.0.7"), admitted("::ffff:10.0.0.7"), admitted("10.0.0.8"); node != 5 || mapped != 5 || other != 2 || hits != 3 {
		t.Errorf("a node has %d and %d of 5 connections, somebody else %d, and %d were refused", node, mapped, other, hits)
	}
	for port := range uint16(5) {
		g.Left(netip.AddrPortFrom(netip.MustParseAddr("10.0.0.7"), port), true)
		g.Left(netip.AddrPortFrom(netip.MustParseAddr("::ffff:10.0.0.7"), port), true)
	}
	g.nodes = nil
	if n := admitted("10.0.0.7"); n != 2 {
		t.Errorf("an address that was a node's has %d connections, want 2", n)
	}
}

// TestGateOfNetworks: the networks of one site of IPv6 together have eight times
// the connections of one.
func TestGateOfNetworks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	hits := 0
	g := newGate(l, settingsOf(t, "--limit-requests=2"), func(string) { hits++ }, slog.New(slog.DiscardHandler))
	remote := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8:1:%x::1", i)), 1)
	}
	for round := range 2 { // what was given back is there again
		in := 0
		for i := range 40 {
			if _, ok := g.Admit(remote(i), -1); ok {
				in++
			}
		}
		if in != 16 || hits != 24*(round+1) {
			t.Errorf("%d connections of a site, %d refused", in, hits)
		}
		for i := range 16 {
			g.Left(remote(i), true)
		}
	}
}

// TestMetricsHost: metrics on this machine's loopback are not for pages that have
// their own name resolve to it.
func TestMetricsHost(t *testing.T) {
	for address, want := range map[string]int{"127.0.0.1:0": http.StatusMisdirectedRequest, "0.0.0.0:0": http.StatusOK} {
		a := runningApp(t, "--metrics", address)
		for host, want := range map[string]int{"evil.example": want, "127.0.0.1:9090": http.StatusOK, "[::1]:9090": http.StatusOK, "localhost:9090": http.StatusOK} {
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.Host = host
			w := httptest.NewRecorder()
			if a.private.ServeHTTP(w, r); w.Code != want {
				t.Errorf("metrics at %s for %s: %d, want %d", address, host, w.Code, want)
			}
		}
	}
}

// TestGate: one address can't take all the connections there are.
func TestGate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	hits := map[string]int{}
	hit := func(limit string) {
		mu.Lock()
		defer mu.Unlock()
		hits[limit]++
	}
	s := settingsOf(t, "--limit-requests=3", "--limit-exempt=none")
	g := newGate(l, s, hit, slog.New(slog.DiscardHandler))
	server := &http.Server{Handler: http.NotFoundHandler(), ConnState: g.state}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(g) }) // ended by Close, waited for here
	defer running.Wait()
	defer server.Close()

	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	// answered says whether a request on c is.
	answered := func(c net.Conn) bool {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return false
		}
		n, _ := c.Read(make([]byte, 12))
		return n == 12
	}
	var open []net.Conn
	for range 3 {
		c := dial()
		if !answered(c) {
			t.Fatal("a connection within the limit is closed")
		}
		open = append(open, c)
	}
	if answered(dial()) {
		t.Error("a fourth connection is answered")
	}
	open[0].Close()
	for !answered(dial()) { // the server learns of the end when it does
	}
	mu.Lock()
	defer mu.Unlock()
	if hits["requests"] == 0 || hits["files"] != 0 {
		t.Errorf("told of %v", hits)
	}
}

// TestGateKeepsFiles: when few files are left, a new connection is told so.
func TestGateKeepsFiles(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told := ""
	g := newGate(l, settingsOf(t), func(limit string) { told = limit }, slog.New(slog.DiscardHandler))
	g.files = 1 // as if all above were in use
	var accepting sync.WaitGroup
	accepting.Go(func() { _, _ = g.Accept() }) // ended by Close, waited for below
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 503 ") || !strings.Contains(string(text), "Retry-After: ") {
		t.Errorf("answered %q, %v", text, err)
	}
	l.Close()
	accepting.Wait()
	if told != "files" {
		t.Errorf("told of %q", told)
	}
	if g.free = nil; len(config.Prefixes([]config.Network{{}, {Prefix: netip.MustParsePrefix("::1/128")}})) != 1 {
		t.Error("none is a network")
	}
}
