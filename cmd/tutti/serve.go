package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/internal/config"
)

func serveManual() *manual {
	return &manual{
		name: "serve", does: "run a server",
		synopsis: []string{"[flags]", "--config FILE [flags]"},
		about: `Runs a server until it is told to end. Each flag is also a setting in a file and an environment
variable; see docs/configuration.md.

On SIGHUP it reads its settings again. On SIGTERM or SIGINT it takes no new sessions, tells those that are there, and ends
when they are gone, after timeout.drain at the latest; on a second one it ends at once. With an engine it tells them one
after another, over timeout.pace, so that the other nodes can take them.`,
		flags: config.Usage(),
		examples: []example{
			{"tutti serve --demo chat", "A chat to look at:"},
			{"tutti serve --relay message --static public", "A page of one's own, without a server of its own:"},
			{"tutti serve --config /etc/tutti/tutti.yaml", "A server for an application:"},
		},
		see: "tutti config, tutti reload, tutti drain, docs/configuration.md, docs/operating.md",
	}
}

// serve runs a server until it is told to end. On SIGTERM or SIGINT it stops
// listening, tells its sessions, and ends when they are gone; on a second one
// it ends at once.
func serve(ctx context.Context, c call) int {
	loaded, err := config.Load(c.args, c.environ, facts())
	if err != nil {
		printMistakes(c.errors, "tutti serve", err)
		return exitUsage
	}
	switch {
	case loaded.Help:
		serveManual().print(c.output)
		return exitOK
	case loaded.Print:
		if _, err := loaded.WriteTo(c.output); err != nil {
			fmt.Fprintf(c.errors, "tutti serve: %v\n", err)
			return exitFailed
		}
		return exitOK
	}
	level := new(slog.LevelVar)
	level.Set(slog.Level(loaded.Log.Level))
	log := newLog(c.errors, loaded.Log.Format, level)
	if len(loaded.Ignored) > 0 {
		log.Warn("variables that are no settings", "names", loaded.Ignored)
	}
	defer startCollector().end()
	if err := listenAndServe(ctx, c, loaded.Settings, log, level); err != nil {
		fmt.Fprintf(c.errors, "tutti serve: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// printMistakes shows all that is wrong with the settings.
func printMistakes(w io.Writer, who string, err error) {
	mistakes, _ := errors.AsType[config.Mistakes](err)
	if len(mistakes) == 1 {
		fmt.Fprintf(w, "%s: %v\n", who, mistakes[0])
		return
	}
	fmt.Fprintf(w, "%s: %d mistakes in the settings\n", who, len(mistakes))
	for _, m := range mistakes {
		fmt.Fprintf(w, "  %v\n", m)
	}
}

// listenAndServe serves until a signal, and then drains.
func listenAndServe(ctx context.Context, c call, s config.Settings, log *slog.Logger, level *slog.LevelVar) error {
	listener, err := listen(s.Listen, "--listen")
	if err != nil {
		return err
	}
	asked := s // before anything is filled in
	if s.Advertise, err = advertised(s, listener.Addr()); err != nil {
		return errors.Join(err, listener.Close())
	}
	a, err := newApp(s, log, level)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	a.reloader.Store(&reloader{args: c.args, environ: c.environ, app: a, log: log, running: asked})
	servers, err := listenAll(a, s, listener, log)
	if err != nil {
		return errors.Join(err, a.close(ctx))
	}

	// Each server has a goroutine, started here, ended by its shutdown or by
	// its own failure, and waited for here.
	var running sync.WaitGroup
	failed := make(chan error, len(servers))
	for _, server := range servers {
		running.Go(func() { failed <- server.serve() })
	}
	for _, server := range servers {
		if server.says != "" {
			fmt.Fprintf(c.output, server.says, server.url())
		}
	}
	printOpen(c.output, s)
	problem := a.wait(ctx, c, failed, log)
	err = drain(ctx, c, a, servers)
	running.Wait()
	return errors.Join(problem, err)
}

// wait returns when the program is to end, and why if that is an error. Until
// then it reads the settings again whenever it is told to.
func (a *app) wait(ctx context.Context, c call, failed <-chan error, log *slog.Logger) error {
	for {
		select {
		case <-c.hangups:
			a.reloadBySignal(ctx)
			continue
		case signal := <-c.signals:
			log.Info("stopping", "signal", signal.String(), "sessions", a.server.Engine().Sessions())
		case <-a.stop:
			log.Info("stopping", "signal", "drain", "sessions", a.server.Engine().Sessions())
		case err := <-failed:
			return err
		case <-ctx.Done():
		}
		return nil
	}
}

// listenAll opens the other listeners: the operators', and that of commands.
func listenAll(a *app, s config.Settings, listener net.Listener, log *slog.Logger) ([]*httpServer, error) {
	gate := newGate(listener, s, a.blocked, log)
	gate.named = func(limit string, network netip.Prefix) { a.admin.Limited(limit, network, "") }
	if a.engine != nil {
		gate.nodes = (&neighbours{all: a.engine.Nodes}).at
	}
	public := newHTTPServer(gate, a.public, s, log)
	gate.guard(public.Server)
	public.says, public.path = "Tutti listening on %s\n", s.Path
	public.encrypt(a.encryption)
	servers := []*httpServer{public}
	for _, private := range []struct {
		address, flag string
		handler       http.Handler
		says          string
	}{
		{s.Metrics, "--metrics", a.private, ""},
		{s.Admin.Listen, "--admin", tutti.TrustProxies(a.admin.Handler(), config.Prefixes(s.Proxies)...), "Operators: %s\n"},
		{s.TLS.Redirect, "--tls-redirect", a.encryption.redirector(listener.Addr()), ""},
	} {
		if private.address == "" {
			continue
		}
		l, err := listen(private.address, private.flag)
		if err != nil {
			for _, opened := range servers {
				err = errors.Join(err, opened.listener.Close())
			}
			return nil, err
		}
		server := newHTTPServer(l, private.handler, s, log)
		server.says = private.says
		if private.address != s.TLS.Redirect && !isLoopback(private.address) {
			server.encrypt(a.encryption) // keys of operators go over it
		}
		servers = append(servers, server)
	}
	if a.control != nil {
		control, err := listenControl(string(s.Data))
		if err != nil {
			log.Warn("no backups while the server runs", "err", err)
		} else {
			servers = append(servers, newHTTPServer(control, a.control, s, log))
		}
	}
	return servers, nil
}

// drain ends everything in order: no new connections; sessions and streams are
// told; requests that go on end with them; what is left is cut off. Where other
// nodes can take the sessions, these are told one after another before the rest:
// until then those that poll must be able to.
func drain(ctx context.Context, c call, a *app, servers []*httpServer) error {
	patience, pace := a.reloader.Load().patience()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	aborted := false
	done := make(chan struct{})
	var running sync.WaitGroup
	// Watches for a second signal until drain returns, which waits for it.
	running.Go(func() {
		select {
		case <-c.signals:
			aborted = true
			cancel()
		case <-done:
		}
	})
	a.draining.Store(true)
	if a.engine != nil && pace > 0 {
		a.pace(ctx, pace)
	}
	// One for each server, because Shutdown waits for requests that only
	// a.close ends. All return when ctx ends at the latest.
	errs := make([]error, len(servers)+1)
	var stopping sync.WaitGroup
	for i, server := range servers {
		stopping.Go(func() {
			errs[i] = server.Shutdown(ctx)
			server.Close() // a request that is cut off here is what a.close may wait for
		})
	}
	errs[len(servers)] = a.close(ctx)
	stopping.Wait()
	close(done)
	running.Wait()
	switch {
	case aborted:
		return errors.New("aborted by a second signal")
	case errors.Is(errors.Join(errs...), context.DeadlineExceeded):
		return fmt.Errorf("not everything ended in %v; the rest was cut off", patience)
	}
	return errors.Join(errs...)
}

// pace ends sessions and streams one after another, over a time.
func (a *app) pace(ctx context.Context, over time.Duration) {
	// One for each door and one for the sessions, all of which return when that
	// time is over or ctx ends, and are waited for here. What is left then is for
	// what follows.
	var going sync.WaitGroup
	for _, d := range *a.doors.Load() {
		going.Go(func() { _ = d.Drain(ctx, over) })
	}
	going.Go(func() { _ = a.server.Drain(ctx, over) })
	going.Wait()
}

// An httpServer is a server with its listener.
type httpServer struct {
	*http.Server
	listener net.Listener
	says     string // with its URL, once it listens
	path     string // where Socket.IO clients connect; "": nowhere
	// encrypted says that it speaks TLS. Its TLSConfig doesn't: net/http sets that
	// anyway, on its own time.
	encrypted bool
}

// newHTTPServer limits what a peer may take up before it is anybody. There is
// no limit on reading and writing as a whole, because a poll and a stream take
// as long as they take; the packages that serve them have their own.
func newHTTPServer(l net.Listener, h http.Handler, s config.Settings, log *slog.Logger) *httpServer {
	return &httpServer{
		Server: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: s.Timeout.Header,
			IdleTimeout:       s.Timeout.Idle,
			MaxHeaderBytes:    int(s.Limit.Header),
			ErrorLog:          stdlog.New(complaints{log}, "", 0),
		},
		listener: l,
	}
}

// complaints takes what net/http has to say. Mostly that is what peers do wrong,
// but operators want to hear of handlers that panic, and of a listener that can't
// accept because the process has too many files open.
type complaints struct{ log *slog.Logger }

// Write logs one complaint.
func (c complaints) Write(p []byte) (int, error) {
	text, level := strings.TrimSpace(string(p)), slog.LevelDebug
	switch {
	case strings.HasPrefix(text, "http: panic serving"):
		level = slog.LevelError
	case strings.HasPrefix(text, "http: Accept error"):
		level = slog.LevelWarn
	}
	c.log.Log(context.Background(), level, text)
	return len(p), nil
}

// serve returns when the server was shut down, nil, or can't accept any more.
func (s *httpServer) serve() error {
	serve := s.Serve
	if s.path != "" {
		serve = func(l net.Listener) error { return tutti.Serve(s.Server, l, s.path) }
	}
	if s.encrypted {
		serve = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	if err := serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", s.listener.Addr(), err)
	}
	return nil
}

// listen says what to do if it can't.
func listen(address, flag string) (net.Listener, error) {
	// No keep-alive probes: heartbeats find dead peers, and what asks for a page
	// has a timeout. They would be four system calls for each connection.
	config := net.ListenConfig{KeepAlive: -1}
	l, err := config.Listen(context.Background(), "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is taken: is another server running there? Choose another with %s", address, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("not allowed to listen on %s: ports below 1024 take a privilege; choose another with %s", address, flag)
	case err != nil:
		return nil, fmt.Errorf("%w; choose another address with %s", err, flag)
	}
	return l, nil
}

// encrypt has the server speak TLS, if there is an encryption.
func (s *httpServer) encrypt(e *encryption) {
	if e != nil {
		s.TLSConfig, s.encrypted = e.server(), true
	}
}

// url is where a person on this machine reaches the server.
func (s *httpServer) url() string {
	url := urlOf(s.listener.Addr())
	if s.encrypted {
		url = strings.Replace(url, "http", "https", 1)
	}
	return url
}

// urlOf is where a person on this machine reaches addr.
func urlOf(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d", tcp.Port)
	}
	return "http://" + addr.String()
}

func newLog(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	w = escaped{w}
	if strings.EqualFold(format, "json") {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
