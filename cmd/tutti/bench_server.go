package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/tutti-rt/tutti"
)

// The events that a server under test handles.
const (
	benchEcho    tutti.Call[string, string]   = "echo"
	benchJoin    tutti.Call[string, struct{}] = "join"
	benchMessage tutti.Event[string]          = "message"
)

// benchServer serves what bench asks of a server, as anybody would write it.
func benchServer(ctx context.Context, c call) int {
	set := flag.NewFlagSet("bench server", flag.ContinueOnError)
	set.SetOutput(c.errors)
	address := set.String("listen", "127.0.0.1:3000", "`address` to listen on")
	debug := set.String("debug", "", "`address` for /debug/pprof/ and /debug/runtime")
	if err := set.Parse(c.args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil || set.NArg() > 0 {
		return exitUsage
	}
	if err := serveBench(ctx, c, *address, *debug); err != nil {
		fmt.Fprintf(c.errors, "tutti bench server: %v\n", err)
		return exitFailed
	}
	return exitOK
}

func serveBench(ctx context.Context, c call, address, debug string) error {
	server, err := tutti.New(tutti.Config{Log: slog.New(slog.NewTextHandler(c.errors, nil))})
	if err != nil {
		return err
	}
	handleBench(server.Namespace("/"))
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", server)
	listener, err := listen(address, "--listen")
	if err != nil {
		return err
	}
	servers := []*httpServer{{Server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, listener: listener}}
	if debug != "" {
		listener, err := listen(debug, "--debug")
		if err != nil {
			return errors.Join(err, servers[0].listener.Close())
		}
		servers = append(servers, &httpServer{Server: &http.Server{Handler: debugHandler(), ReadHeaderTimeout: 10 * time.Second}, listener: listener})
	}
	// Each server has a goroutine, started here, ended by Close, waited for here.
	var running sync.WaitGroup
	failed := make(chan error, len(servers))
	for _, s := range servers {
		running.Go(func() { failed <- s.serve() })
	}
	fmt.Fprintf(c.output, "Tutti listening on %s\n", urlOf(listener.Addr()))
	var problem error
	select {
	case <-c.signals:
	case problem = <-failed:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	problem = errors.Join(problem, server.Shutdown(ctx))
	for _, s := range servers {
		s.Close()
	}
	running.Wait()
	return problem
}

// handleBench is the contract between the load generator and a server.
func handleBench(ns *tutti.Namespace) {
	benchEcho.Handle(ns, func(_ context.Context, _ *tutti.Socket, text string) (string, error) {
		return text, nil
	})
	benchJoin.Handle(ns, func(_ context.Context, s *tutti.Socket, room string) (struct{}, error) {
		return struct{}{}, s.Join(room)
	})
	ns.Handle("publish", func(_ context.Context, _ *tutti.Socket, m *tutti.Message) error {
		var room, text string
		if err := m.Args.Scan(&room, &text); err != nil {
			return err
		}
		_, err := benchMessage.Emit(ns.To(room), text)
		return err
	})
}

// debugHandler serves profiles, and what the garbage collector costs.
func debugHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/runtime", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("gc") {
			runtime.GC() // what is counted per cycle is counted up to now
		}
		samples := []metrics.Sample{
			{Name: "/cpu/classes/gc/total:cpu-seconds"},
			{Name: "/cpu/classes/gc/mark/idle:cpu-seconds"},
			{Name: "/gc/heap/allocs:objects"},
			{Name: "/gc/heap/allocs:bytes"},
			{Name: "/gc/heap/live:bytes"},
			{Name: "/gc/cycles/total:gc-cycles"},
			{Name: "/sched/goroutines:goroutines"},
		}
		metrics.Read(samples)
		values := make(map[string]any, len(samples))
		for _, s := range samples {
			if s.Value.Kind() == metrics.KindFloat64 {
				values[s.Name] = s.Value.Float64()
			} else {
				values[s.Name] = s.Value.Uint64()
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(values) // a peer that has gone
	})
	return mux
}
