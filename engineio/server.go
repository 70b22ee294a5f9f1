package engineio

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-rt/tutti/internal/origin"
	"github.com/tutti-rt/tutti/internal/turn"
	"github.com/tutti-rt/tutti/internal/websocket"
	"github.com/tutti-rt/tutti/internal/wheel"
)

// Server is an [http.Handler] that serves sessions on whatever path it is mounted.
type Server struct {
	cfg       Config
	acceptor  Acceptor
	trace     *Trace
	origins   atomic.Pointer[origin.Policy]
	wsOptions websocket.Options
	loop      websocket.Loop
	wheel     *wheel.Wheel
	tasks     tasks
	releaser  releaser
	line      turn.Line // of requests that say much
	born      time.Time // what heartbeats are timed by

	mu       sync.Mutex // only that of tasks is taken after it
	sessions map[string]*Session
	conns    *attached // WebSockets that are not gone
	closing  bool
	ending   chan struct{} // closed with closing
	draining bool
	most     int // of sessions; negative: no limit
}

var (
	errIDTaken = errors.New("engineio: session id taken")
	errFull    = errors.New("engineio: too many sessions")
)

// shutdownTime is how long Shutdown gives a peer between two polls to come back for what was sent to it.
const shutdownTime = time.Second

// New returns a server whose sessions are announced to a. The error lists every mistake in cfg.
func New(cfg Config, a Acceptor) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if a == nil {
		err = errors.Join(err, errors.New("engineio: no acceptor"))
	}
	origins, badOrigins := origin.New(cfg.Origins, cfg.Credentials)
	if err = errors.Join(err, badOrigins); err != nil {
		return nil, err
	}
	srv := &Server{
		cfg:      cfg,
		acceptor: a,
		born:     time.Now(),
		trace:    cfg.Trace,
		wsOptions: websocket.Options{
			MaxMessage:   cfg.MaxPayload,
			MaxQueue:     cfg.MaxQueue,
			WriteTimeout: cfg.WriteTimeout,
			Budget:       cfg.Quota.Budget(),
		},
		wheel:    wheel.New(tickFor(min(cfg.PingInterval, cfg.PingTimeout))),
		sessions: make(map[string]*Session),
		ending:   make(chan struct{}),
	}
	srv.origins.Store(origins)
	srv.most = cfg.MaxSessions
	srv.wsOptions.Loop = &srv.loop
	srv.initReleaser()
	if cfg.Deflate != nil {
		srv.wsOptions.Deflate = &websocket.Deflate{Threshold: cfg.Deflate.Threshold}
	}
	return srv, nil
}

// Live is what of a server's [Config] can change while it has sessions. The fields mean what they mean there.
type Live struct {
	Origins     []string
	Credentials bool
	MaxSessions int
}

// Reload changes who may come from now on, and how many: sessions that are there stay. The error lists every mistake,
// and nothing has changed then.
func (srv *Server) Reload(cfg Live) error {
	origins, err := origin.New(cfg.Origins, cfg.Credentials)
	if err != nil {
		return err
	}
	srv.origins.Store(origins)
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.most = cmp.Or(cfg.MaxSessions, DefaultSessions())
	return nil
}

// tickFor returns how coarse timers may be: a hundredth of the shortest heartbeat, and never so coarse that the noops of
// an upgrade suffer.
func tickFor(shortest time.Duration) time.Duration {
	return min(max(shortest/100, time.Millisecond), 10*time.Millisecond)
}

// ServeHTTP answers one request of the protocol.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	srv.tasks.enter()
	defer srv.tasks.leave()
	origins := srv.origins.Load()
	if origins.Preflight(w, r) {
		return
	}
	q := parseQuery(r.URL.RawQuery)
	upgrade := websocket.IsUpgrade(r)
	if !upgrade {
		origins.SetHeader(w.Header(), r)
	}
	s, refused := srv.verify(r, &q, upgrade)
	switch {
	case refused != nil:
	case s != nil && upgrade:
		refused = srv.openUpgrade(w, r, s)
	case s != nil:
		refused = s.poll(w, r)
	case upgrade:
		refused = srv.openWebSocket(w, r, &q)
	default:
		refused = srv.openPolling(w, r, &q)
	}
	if refused != nil {
		refused.late = refused.late || refused.status == http.StatusBadRequest && srv.cfg.Quota.Mistake(r.RemoteAddr) != nil
		refused.answer(srv, w, r, upgrade)
	}
}

// poll answers a polling request for the session.
func (s *Session) poll(w http.ResponseWriter, r *http.Request) *refusal {
	s.mu.Lock()
	t, ok := s.transport.(*pollTransport)
	s.mu.Unlock()
	if !ok { // it has moved since the request was verified
		return refuse(CodeBadRequest)
	}
	t.serve(w, r)
	return nil
}

// Sessions returns how many sessions exist, those included that are closing.
func (srv *Server) Sessions() int {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return len(srv.sessions)
}

// Shutdown closes every session with [ReasonShutdown], refuses new ones with 503, and returns when all goroutines of
// the server have ended, or when ctx ends: then what remains is cut and the error is that of ctx. A peer that is just
// between two polls gets a second to come back. It may be called again.
func (srv *Server) Shutdown(ctx context.Context) error {
	srv.mu.Lock()
	if !srv.closing {
		srv.closing = true
		close(srv.ending)
	}
	sessions := make([]*Session, 0, len(srv.sessions))
	for _, s := range srv.sessions {
		sessions = append(sessions, s)
	}
	srv.mu.Unlock()
	srv.releaser.timer.Stop()
	srv.loop.Close()
	srv.line.Close()
	for _, s := range sessions {
		s.closeWithin(ReasonShutdown, shutdownTime)
	}
	select {
	case <-srv.tasks.done():
		srv.loop.Wait() // its workers are about to end
		return nil
	case <-ctx.Done():
	}
	srv.cut()
	return ctx.Err()
}

// cut ends whatever is left, now.
func (srv *Server) cut() {
	srv.mu.Lock()
	sessions := make([]*Session, 0, len(srv.sessions))
	for _, s := range srv.sessions {
		sessions = append(sessions, s)
	}
	var conns []*websocket.Conn
	for a := srv.conns; a != nil; a = a.next {
		conns = append(conns, a.conn)
	}
	srv.mu.Unlock()
	for _, s := range sessions {
		s.Abort(ReasonShutdown)
	}
	for _, c := range conns {
		c.Abort(nil)
	}
}

// find returns the session with this id, unless nobody may know of it yet or any more.
func (srv *Server) find(id string) *Session {
	srv.mu.Lock()
	s := srv.sessions[id]
	srv.mu.Unlock()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == opening || s.state == closed {
		return nil
	}
	return s
}

// full reports whether there is no room for one more session.
func (srv *Server) full() bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.fullLocked()
}

func (srv *Server) fullLocked() bool {
	return srv.most > 0 && len(srv.sessions) >= srv.most
}

// remember makes room for s.
func (srv *Server) remember(s *Session) error {
	many, err := srv.enterSession(s)
	if many {
		srv.awaitQuiet()
	}
	return err
}

func (srv *Server) enterSession(s *Session) (many bool, err error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	switch {
	case srv.closing, srv.draining:
		return false, ErrClosed
	case s.id == "" || srv.sessions[s.id] != nil:
		return false, errIDTaken
	case srv.fullLocked():
		return false, errFull
	}
	srv.sessions[s.id] = s
	srv.tasks.enter()
	return srv.movedLocked(), nil
}

// forget gives the place of s back.
func (srv *Server) forget(s *Session) {
	srv.mu.Lock()
	many := false
	if srv.sessions[s.id] == s {
		delete(srv.sessions, s.id)
		s.peer.Leave()
		srv.tasks.leave()
		many = srv.movedLocked()
	}
	srv.mu.Unlock()
	if many {
		srv.awaitQuiet()
	}
}

// attached is a WebSocket that Shutdown may have to cut: a link of a list, which costs an idle connection 16 bytes where a
// map costs 100.
type attached struct {
	conn       *websocket.Conn
	next, prev *attached // guarded by Server.mu
}

// attach notes c in a.
func (srv *Server) attach(a *attached, c *websocket.Conn) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closing {
		return false
	}
	a.conn, a.next = c, srv.conns
	if a.next != nil {
		a.next.prev = a
	}
	srv.conns = a
	return true
}

func (srv *Server) detach(a *attached) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	switch {
	case a.prev != nil:
		a.prev.next = a.next
	case srv.conns == a:
		srv.conns = a.next
	default:
		return // it was before
	}
	if a.next != nil {
		a.next.prev = a.prev
	}
	a.next, a.prev = nil, nil
}
