package engineio_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/engineio"
)

// onTCP returns a server on a real network, and the sessions it opens.
func onTCP(t testing.TB) (url string, sessions <-chan *engineio.Session) {
	t.Helper()
	opened := make(chan *engineio.Session, 1000)
	cfg := calm
	cfg.Log = slog.New(slog.DiscardHandler)
	srv, err := engineio.New(cfg, acceptor(func(s *engineio.Session) engineio.Receiver {
		s.Confirm()
		opened <- s
		return ignoring{}
	}))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(srv)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = srv.Shutdown(ctx) // cut at once
		server.Close()
	})
	return server.URL, opened
}

type ignoring struct{}

func (ignoring) Receive(engineio.Message)      {}
func (ignoring) Closed(engineio.Reason, error) {}

// dialTCP opens a session over WebSocket and returns the connection after the open packet.
func dialTCP(t testing.TB, url string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, "GET /?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if _, err := bufio.NewReader(conn).ReadString('}'); err != nil { // the end of the open packet
		t.Fatal(err)
	}
	return conn
}

// goroutines returns how many goroutines have all of these names in their stacks.
func goroutines(names ...string) int {
	buf := make([]byte, 1<<22)
	n := 0
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		all := true
		for _, name := range names {
			all = all && strings.Contains(stack, name)
		}
		if all {
			n++
		}
	}
	return n
}

// At rest a session owns no goroutine, and net/http has its buffers back.
func TestGoroutinesAtRest(t *testing.T) {
	url, sessions := onTCP(t)
	const n = 50
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range n {
		dialTCP(t, url)
		resp, err := client.Get(url + "?EIO=4&transport=polling")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		<-sessions
		<-sessions
	}
	workers := 0 // of all sessions together
	if runtime.GOOS == "linux" {
		workers = runtime.GOMAXPROCS(0)
	}
	all := func() int { return goroutines("created by github.com/tutti-rt/tutti/") }
	for range 1_000_000 {
		if goroutines("internal/poll.(*worker).run") == workers && goroutines("net/http.(*conn).serve") == 0 && (workers == 0 || all() == 0) {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d workers, %d goroutines serve HTTP, %d others; want %d, 0, 0", goroutines("internal/poll.(*worker).run"),
		goroutines("net/http.(*conn).serve"), all(), workers)
}

// Sending a prepared frame costs no memory: that is what one message to many members multiplies.
func TestSendAllocatesNothing(t *testing.T) {
	url, sessions := onTCP(t)
	conn := dialTCP(t, url)
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	s := <-sessions
	f := text(strings.Repeat("x", 100))
	send := func() {
		if err := s.Post(f); err != nil {
			t.Fatal(err)
		}
		if err := s.Send(f); err != nil {
			t.Fatal(err)
		}
		for !s.SendVolatile() { // until it has left
			runtime.Gosched()
		}
	}
	send()
	if raceEnabled {
		t.Skip("the race detector empties pools at random")
	}
	if n := testing.AllocsPerRun(1000, send); n > 0.1 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSend(b *testing.B) {
	url, sessions := onTCP(b)
	conn := dialTCP(b, url)
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	s := <-sessions
	f := text(strings.Repeat("x", 100))
	b.ReportAllocs()
	for b.Loop() {
		for !s.SendVolatile(f) {
			runtime.Gosched()
		}
	}
}
