// Command app is an application on package tutti for what the program has no
// setting for: handlers that ask their clients and wait, and a family of
// namespaces whose names clients choose. It takes the flags of `tutti serve` that
// the tests give it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/metrics"
	"github.com/tutti-rt/tutti/quota"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:0", "`address` to listen on")
	admin := flag.String("admin", "127.0.0.1:0", "`address` of metrics and profiles")
	dynamic := flag.Int("dynamic", 1000, "how many namespaces of the family there may be")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()

	m := metrics.New()
	limits := quota.Default()
	limits.Trace = m.Quota()
	shared := quota.New(limits)
	m.WatchQuota(shared)
	srv, err := tutti.New(tutti.Config{
		Engine: engineio.Config{
			Quota: shared, Trace: m.Engine(), PingInterval: 2 * time.Second, PingTimeout: 5 * time.Second,
		},
		Hub: hub.Config{Trace: m.Hub()}, Trace: m.Server(), MaxDynamic: *dynamic,
	})
	if err != nil {
		return err
	}
	var asking sync.WaitGroup
	handle(ctx, srv.Namespace("/"), &asking)
	srv.Dynamic(func(_ context.Context, name string, _ tutti.Handshake) (bool, error) {
		return strings.HasPrefix(name, "/family-"), nil
	})

	operators := http.NewServeMux()
	operators.Handle("/metrics", m.Handler())
	operators.HandleFunc("/debug/pprof/", pprof.Index)
	operators.Handle("/debug/pprof/heap", pprof.Handler("heap"))
	public := http.NewServeMux()
	public.Handle("/socket.io/", srv)
	servers := []*http.Server{{Addr: *listen, Handler: public, ReadHeaderTimeout: time.Second}, {Addr: *admin, Handler: operators, ReadHeaderTimeout: time.Second}}
	ended := make(chan error, len(servers))
	for _, s := range servers {
		go func() { ended <- s.ListenAndServe() }() // ends with Close below
	}
	fmt.Println("listening")
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = srv.Shutdown(end)
	for _, s := range servers {
		err = errors.Join(err, s.Close())
		if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	asking.Wait()
	return err
}

// handle gives a namespace its events.
func handle(ctx context.Context, ns *tutti.Namespace, asking *sync.WaitGroup) {
	ns.Handle("join", func(_ context.Context, s *tutti.Socket, m *tutti.Message) error { // what the fresh client asks for
		return errors.Join(s.Join("all"), m.Reply(map[string]any{}))
	})
	ns.Handle("echo", func(_ context.Context, _ *tutti.Socket, m *tutti.Message) error {
		var value any
		if err := m.Args.Scan(&value); err != nil {
			return err
		}
		return m.Reply(value)
	})
	// Asks the client something, and replies with its answer.
	ns.Handle("ask me", func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		answer, err := s.Call(ctx, "question")
		if err != nil {
			return m.Reply(err.Error())
		}
		var value any
		if err := answer.Scan(&value); err != nil {
			return err
		}
		return m.Reply(value)
	})
	// Asks everybody so often at once, and waits for as long as they are there.
	ns.Handle("ask all", func(_ context.Context, _ *tutti.Socket, m *tutti.Message) error {
		var times int
		if err := m.Args.Scan(&times); err != nil {
			return err
		}
		for range times {
			asking.Go(func() { // ends with the last of those who are asked
				for _, err := range ns.To("all").Ask(ctx, "question") {
					if err != nil {
						continue
					}
				}
			})
		}
		return m.Reply(times)
	})
}
