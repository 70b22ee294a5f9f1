package tutti_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
)

func serveCheaply(address string, mux http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return tutti.Serve(&http.Server{Handler: mux}, listener) // instead of server.Serve(listener)
}

func TestServeSaysWhyItCannot(t *testing.T) {
	if err := serveCheaply("127.0.0.1:-1", nil); err == nil {
		t.Error("served at port -1")
	}
}

// pollers returns how many goroutines are inside of requests.
func pollers() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "engineio.(*Server).ServeHTTP(")
}

// TestServePolling polls through tutti.Serve: sessions that come and go, are
// told things, and end with the server.
func TestServePolling(t *testing.T) {
	srv, err := tutti.New(tutti.Config{Log: slog.New(slog.DiscardHandler), Engine: engineio.Config{PingInterval: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	ns := srv.Namespace("/")
	ns.Handle("echo", func(_ context.Context, _ *tutti.Socket, m *tutti.Message) error { return m.Reply(m.Args.At(0)) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: srv}
	var running, clients sync.WaitGroup
	running.Go(func() {
		if err := tutti.Serve(server, listener); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	const polls, messages = 20, 30
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * polls}}
	defer client.CloseIdleConnections()
	do := func(method, url, body string) string {
		r, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Close = len(body) > 10_000 // that connection is net/http's from now on
		resp, err := client.Do(r)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return string(text)
	}
	ready := make(chan struct{}, polls)
	for range polls {
		clients.Go(func() {
			url := "http://" + listener.Addr().String() + "/socket.io/?EIO=4&transport=polling"
			id := regexp.MustCompile(`"sid":"([^"]*)"`).FindStringSubmatch(do("GET", url, ""))
			url += "&sid=" + id[1]
			do("POST", url, "40")
			if text := do("GET", url, ""); !strings.HasPrefix(text, "40{") {
				t.Errorf("CONNECT: %q", text)
			}
			do("POST", url, `421["echo","`+strings.Repeat("x", 30_000)+`"]`) // more than a gate takes
			if text := do("GET", url, ""); text != `431["`+strings.Repeat("x", 30_000)+`"]` {
				t.Errorf("ack: %.60q", text)
			}
			ready <- struct{}{}
			for got := 0; got < messages; {
				for packet := range strings.SplitSeq(do("GET", url, ""), "\x1e") {
					if want := fmt.Sprintf(`42["n",%d]`, got); packet != want {
						t.Errorf("got %.60q, want %q", packet, want)
						return
					}
					got++
				}
			}
			ready <- struct{}{}
			if text := do("GET", url, ""); text != "41\x1e1" && text != "41" && text != "1" {
				t.Errorf("at the end: %q", text)
			}
		})
	}
	for range polls {
		<-ready
	}
	for i := range messages {
		if _, err := ns.Emit("n", i); err != nil {
			t.Error(err)
		}
		if i%10 == 0 {
			runtime.Gosched()
		}
	}
	for range polls {
		<-ready
	}
	for i := 0; runtime.GOOS == "linux" && pollers() > 0; i++ {
		if i == 10_000 {
			t.Errorf("%d goroutines for polls that wait", pollers())
			break
		}
		runtime.Gosched()
	}
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	clients.Wait()
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	running.Wait()
}
