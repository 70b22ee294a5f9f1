package tutti

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/forward"
	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/internal/origin"
	"github.com/tutti-rt/tutti/internal/serial"
	"github.com/tutti-rt/tutti/packet"
)

// A Server speaks Socket.IO with clients. It is an [http.Handler] to be
// mounted at "/socket.io/", and listens to nothing itself. All methods may be
// called by any goroutine.
type Server struct {
	cfg    Config
	log    *slog.Logger
	engine *engineio.Server
	budget *limit.Budget // of the engine's quota
	hub    *hub.Hub
	files  *clientFiles

	decoders *packet.Decoders
	forward  *forward.Handler // nil: no session is another node's

	ctx     context.Context // parent of every socket's; ends with Shutdown
	cancel  context.CancelFunc
	running sync.WaitGroup // sockets whose last function has not run
	crew    serial.Crew    // of the sockets' mailboxes

	users     *auth.Register
	ledgers   ledgers // of what is revoked, with other nodes
	origins   atomic.Pointer[origin.Policy]
	departing departures

	mu         sync.RWMutex
	namespaces map[string]*Namespace // by name, those of families included
	families   []*Namespace          // in the order of Dynamic
	dynamic    int                   // how many of namespaces are of families
}

// restingHandlers is how many goroutines for handlers wait for more to do: as
// many as a poller wakes at a time. They take a megabyte at most, and nothing
// before they have been needed.
const restingHandlers = 128

// Names of attributes in the log.
const (
	keySession   = "sid"
	keySocket    = "socket"
	keyNamespace = "nsp"
	keyEvent     = "event"
	keyErr       = "err"
)

// shownID is the beginning of a session's id, for the log: who knows all of it
// can act as the peer.
func shownID(s *engineio.Session) string {
	id := s.ID()
	return id[:min(len(id), 8)]
}

var (
	errUnexpected = errors.New("tutti: packet out of turn")
	errPanic      = errors.New("tutti: handler panicked")
	errFamily     = errors.New("tutti: a family of namespaces cannot be asked")
)

// New returns a server with the namespace "/". Its error lists all that is
// wrong with cfg.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	srv := &Server{
		budget:     cfg.Engine.Quota.Budget(),
		log:        cfg.Log,
		decoders:   packet.NewDecoders(cfg.Packets),
		namespaces: make(map[string]*Namespace),
	}
	if srv.forward, err = srv.connect(&cfg); err != nil {
		return nil, err
	}
	if cfg.Hub.Engine != nil {
		cfg.Hub.Trace = srv.ledgers.hear(cfg.Hub.Trace)
	}
	if cfg.Auth != nil {
		cfg.Engine.Secret = tokenName
	}
	srv.cfg, srv.hub = cfg, hub.New(cfg.Hub)
	if cfg.Auth != nil {
		srv.users = cfg.Auth.Register()
	} else {
		srv.users = auth.NewRegister(0)
	}
	if srv.engine, err = engineio.New(cfg.Engine, srv); err != nil {
		return nil, err
	}
	// The engine has found no mistake in these.
	origins, err := origin.New(cfg.Engine.Origins, cfg.Engine.Credentials)
	if err != nil {
		return nil, err
	}
	srv.origins.Store(origins)
	if cfg.ClientFiles != nil {
		srv.files = &clientFiles{source: cfg.ClientFiles, version: cfg.ClientVersion, origins: &srv.origins}
	}
	srv.ctx, srv.cancel = context.WithCancel(context.Background())
	srv.crew.Limit, srv.crew.Resting = cfg.MaxInbox, restingHandlers
	srv.Namespace("/")
	srv.share()
	return srv, nil
}

// Hub returns the heart of the server, where doors of other protocols join in.
func (srv *Server) Hub() *hub.Hub { return srv.hub }

// Engine returns the Engine.IO server that carries the sessions.
func (srv *Server) Engine() *engineio.Server { return srv.engine }

// Reload changes who may come from now on: see [engineio.Server.Reload].
func (srv *Server) Reload(cfg engineio.Live) error {
	origins, err := origin.New(cfg.Origins, cfg.Credentials)
	if err != nil {
		return err
	}
	srv.origins.Store(origins)
	return srv.engine.Reload(cfg)
}

// ServeHTTP serves the client files, if there are any, and everything else as
// Engine.IO.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if srv.files != nil && srv.files.serve(w, r) {
		return
	}
	if srv.forward != nil {
		srv.forward.ServeHTTP(w, r, srv.engine)
		return
	}
	srv.engine.ServeHTTP(w, r)
}

// Namespace returns the namespace of that name and makes it at the first call.
// A missing "/" at the front is added. If the namespace is one of a family's at
// the moment, it is that one, with the rules of the family. It panics for a name
// with a comma or a question mark, which no client could ask for.
func (srv *Server) Namespace(name string) *Namespace {
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	if strings.ContainsAny(name, ",?") {
		panic(fmt.Sprintf("tutti: bad name of a namespace: %q", name))
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	ns := srv.namespaces[name]
	if ns == nil {
		ns = &Namespace{server: srv, name: name, space: srv.hub.Space(name), rules: newRules()}
		srv.namespaces[name] = ns
	}
	ns.kept = true
	return ns
}

// Drain refuses new sessions and ends those that are there, spread over a time,
// so that another server can take them; see [engineio.Server.Drain]. A socket
// with handlers that run, or whose answer to a call is awaited, is left for
// later. [Server.Shutdown] is to follow.
func (srv *Server) Drain(ctx context.Context, over time.Duration) error {
	return srv.engine.Drain(ctx, over)
}

// Shutdown ends every session with the reason "server shutting down" and waits
// until all handlers have returned, or the context ends.
func (srv *Server) Shutdown(ctx context.Context) error {
	if srv.forward != nil {
		srv.forward.Close()
	}
	err := srv.engine.Shutdown(ctx)
	done := make(chan struct{})
	// Ends when the last socket has; if ctx ends first it stays until then.
	go func() {
		srv.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	srv.cancel()
	srv.ledgers.close()
	srv.crew.Close()
	srv.hub.Close()
	return err
}
