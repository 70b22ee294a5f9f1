package admin_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/admin"
	"github.com/tutti-rt/tutti/internal/siotest"
)

// crowd returns the handler of a server with 100,000 sockets: 1,000 sessions in
// 100 namespaces each, every socket in a room, with 50,000 users.
func crowd(b *testing.B) func(path string) int {
	const sessions, namespaces = 1000, 100
	a, err := admin.New(admin.Config{})
	if err != nil {
		b.Fatal(err)
	}
	var cfg tutti.Config
	a.Observe(&cfg)
	srv, err := tutti.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	a.Attach(srv)
	for n := range namespaces {
		srv.Namespace(fmt.Sprintf("/n%d", n)).Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
			s.Introduce(s.Handshake().Token())
			return ctx, s.Join("room " + s.Handshake().Token())
		})
	}
	network := siotest.Serve(srv)
	b.Cleanup(func() {
		a.Close()
		network.Close()
		srv.Shutdown(context.Background())
	})
	for i := range sessions {
		c, err := network.Dial()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(c.Close)
		for n := range namespaces {
			if _, err := c.Connect(fmt.Sprintf("/n%d", n), fmt.Sprintf(`{"token":"user %d"}`, (i*namespaces+n)/2)); err != nil {
				b.Fatal(err)
			}
		}
	}
	return func(path string) int {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
		if w.Code != 200 {
			b.Fatalf("got %d %s", w.Code, w.Body)
		}
		return w.Body.Len()
	}
}

// BenchmarkCrowd is what a page costs among 100,000 sockets. On a machine that
// has other work for both its cores: 3 ms from a snapshot that is there, and 40
// to 100 ms more, once a second, to take one. The order of a space is held for
// copying its members only, 1,000 here.
func BenchmarkCrowd(b *testing.B) {
	ask := crowd(b)
	for _, path := range []string{
		"/api/sockets", "/api/sockets?q=user+4999", "/api/sockets?sort=queued", "/api/rooms", "/api/rooms?q=4999", "/api/users", "/api/users?q=4999", "/api/stats",
	} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				ask(path)
			}
		})
	}
}
