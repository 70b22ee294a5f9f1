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
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/pebblehub"
)

// The events that a server under test handles.
const (
	benchEcho    tutti.Call[string, string]   = "echo"
	benchJoin    tutti.Call[string, struct{}] = "join"
	benchMessage tutti.Event[string]          = "message"
)

// benchHistory is how many messages each room of a server under test keeps.
const benchHistory = 1000

// benchServing is where a server under test listens and what it remembers.
type benchServing struct {
	listen, debug string
	data          string // "": nothing is remembered
	async         bool
}

// benchServer serves what bench asks of a server, as anybody would write it.
func benchServer(ctx context.Context, c call) int {
	var b benchServing
	set := flag.NewFlagSet("bench server", flag.ContinueOnError)
	set.SetOutput(c.errors)
	set.StringVar(&b.listen, "listen", "127.0.0.1:3000", "`address` to listen on")
	set.StringVar(&b.debug, "debug", "", "`address` for /debug/pprof/ and /debug/runtime")
	set.StringVar(&b.data, "data", "", "give all rooms a memory, in a `folder`: messages are on the disk before they are acknowledged")
	set.BoolVar(&b.async, "async", false, "with --data: acknowledge when the operating system has them")
	if err := set.Parse(c.args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil || set.NArg() > 0 {
		return exitUsage
	}
	if err := b.serve(ctx, c); err != nil {
		fmt.Fprintf(c.errors, "tutti bench server: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// hub opens the data folder, if there is to be one; its store is closed last.
func (b benchServing) hub(log *slog.Logger) (cfg hub.Config, closeStore func() error, err error) {
	if b.data == "" {
		return cfg, func() error { return nil }, nil
	}
	store, err := pebblehub.Open(b.data, pebblehub.Config{Log: log})
	if err != nil {
		return cfg, nil, explainStore(b.data, err)
	}
	rule := hub.RoomRule{Pattern: "*", Limit: hub.HistoryLimit{Count: benchHistory}}
	if b.async {
		rule.Durability = hub.Async
	}
	cfg.Store = store
	cfg.Memory = func(string) *hub.Memory { return &hub.Memory{Rooms: []hub.RoomRule{rule}} }
	return cfg, store.Close, nil
}

func (b benchServing) serve(ctx context.Context, c call) error {
	log := slog.New(slog.NewTextHandler(c.errors, &slog.HandlerOptions{Level: slog.LevelWarn}))
	memory, closeStore, err := b.hub(log)
	if err != nil {
		return err
	}
	server, err := tutti.New(tutti.Config{Engine: engineio.Config{ReleaseAfter: time.Second}, Hub: memory, Log: log})
	if err != nil {
		return errors.Join(err, closeStore())
	}
	handleBench(server.Namespace("/"))
	servers, err := b.servers(server)
	if err != nil {
		return errors.Join(err, closeStore())
	}
	// Each server has a goroutine, started here, ended by Close, waited for here.
	var running sync.WaitGroup
	failed := make(chan error, len(servers))
	for _, s := range servers {
		running.Go(func() { failed <- s.serve() })
	}
	fmt.Fprintf(c.output, "Tutti listening on %s\n", urlOf(servers[0].listener.Addr()))
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
	return errors.Join(problem, closeStore())
}

// servers listens, on the first for clients.
func (b benchServing) servers(server http.Handler) ([]*httpServer, error) {
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", server)
	listener, err := listen(b.listen, "--listen")
	if err != nil {
		return nil, err
	}
	servers := []*httpServer{{Server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, listener: listener, path: "/socket.io/"}}
	if b.debug != "" {
		listener, err := listen(b.debug, "--debug")
		if err != nil {
			return nil, errors.Join(err, servers[0].listener.Close())
		}
		servers = append(servers, &httpServer{Server: &http.Server{Handler: debugHandler(), ReadHeaderTimeout: 10 * time.Second}, listener: listener})
	}
	return servers, nil
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
