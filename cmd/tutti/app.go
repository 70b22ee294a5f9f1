package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/admin"
	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/clientfiles"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/metrics"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/quota"
	"github.com/tutti-rt/tutti/schema"
	"github.com/tutti-rt/tutti/tracing"
	"github.com/tutti-rt/tutti/verb"
)

// An app is everything that is served, without the listeners.
type app struct {
	server  *tutti.Server
	public  http.Handler
	private http.Handler // for operators
	control http.Handler // for commands; nil if there is no data folder
	store   dataStore    // nil if there is no data folder
	engine  hub.Engine   // nil if the program is alone
	link    link         // to it
	nodes   io.Closer    // the cluster of Node's servers; nil if there is none
	quota   *quota.Quota // what peers may do together
	blocked func(limit string)
	relayed *door.Door                // plain WebSockets; nil unless asked for
	doors   atomic.Pointer[[]mounted] // other nodes may ask for them before all are mounted
	serving bool                      // the verbs, to sockets
	desk    *verb.Desk
	who     *identities
	schemas *schema.Checker
	keys    atomic.Pointer[[]config.Key] // those in use
	level   *slog.LevelVar               // of the log
	hosts   atomic.Pointer[hostRule]     // those served

	encryption *encryption // nil without TLS
	reloader   atomic.Pointer[reloader]

	draining atomic.Bool
	running  sync.WaitGroup // watch
	ended    chan struct{}  // what watch waits for

	traces     *tracing.Tracing // nil unless asked for
	admin      *admin.Admin
	watching   sync.WaitGroup // its Run
	audit      *auditFile     // nil unless asked for
	closeAudit func() error
	stop       chan struct{} // closed when an operator wants the process to end
	stopping   sync.Once

	closers []func(context.Context) error // in this order
}

// newApp puts the parts together that the settings ask for. level is that of log.
func newApp(s config.Settings, log *slog.Logger, level *slog.LevelVar) (*app, error) {
	if s.Data != "" || s.Engine != "" {
		s.Durable = append(slices.Clip(s.Durable), demos[s.Demo].durable...)
	}
	m := metrics.New()
	cfg := serverConfig(s, log)
	cfg.Trace, cfg.Engine.Trace, cfg.Hub.Trace = m.Server(), m.Engine(), m.Hub()
	if err := addClientFiles(&cfg, s, log); err != nil {
		return nil, err
	}
	allowed := quotaConfig(s)
	a := &app{blocked: m.Listener(), level: level, link: link{Metrics: m}, closeAudit: func() error { return nil }}
	a.doors.Store(new([]mounted))
	allowed.Trace = m.Quota()
	allowed.Trace.Refused = func(limit string, address netip.Prefix, user string) { a.admin.Limited("quota: "+limit, address, user) }
	allowed.Trace.Reached = func(stage, limit string, address netip.Prefix, user string) {
		a.admin.Limited(stage+": "+limit, address, user)
	}
	a.quota = quota.New(allowed)
	a.keys.Store(&s.Door.Key)
	var err error
	if a.who, err = newIdentities(s, &a.keys, m, log); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	a.closers = append(a.closers, a.who.close)
	cfg.Auth = a.who.authority
	m.WatchQuota(a.quota)
	cfg.Engine.Quota = a.quota
	if err := errors.Join(a.openAdmin(s, &cfg, log, m), a.openTraces(s, &cfg)); err != nil {
		return nil, errors.Join(err, a.close(context.Background()))
	}
	if s.Data != "" {
		if err := a.openStore(string(s.Data), m, log); err != nil {
			return nil, errors.Join(err, a.close(context.Background()))
		}
		cfg.Hub.Store = a.store
		if err := a.who.kept.open(string(s.Data), a.who.authority.Register()); err != nil {
			return nil, errors.Join(fmt.Errorf("read what was revoked: %w", err), a.close(context.Background()))
		}
		a.control = a.controlled()
	}
	if a.engine, err = openEngine(s, &a.link, log); err != nil {
		return nil, errors.Join(err, a.close(context.Background()))
	}
	cfg.Hub.Engine, cfg.Advertise = a.engine, s.Advertise
	if err = a.openNodes(s, &cfg.Hub, m, log); err != nil {
		return nil, errors.Join(err, a.close(context.Background()))
	}
	if a.encryption, err = newEncryption(s, log); err == nil {
		m.WatchCertificate(a.encryption.until)
		a.server, err = tutti.New(cfg)
	}
	if err == nil {
		err = a.join()
	}
	if err == nil {
		a.admin.Attach(a.server)
		err = a.build(s, log, m)
	}
	if err != nil {
		return nil, errors.Join(err, a.close(context.Background()))
	}
	return a, nil
}

// build makes the handlers, for the public and for operators.
func (a *app) build(s config.Settings, log *slog.Logger, m *metrics.Metrics) error {
	checked := schemaConfig(s)
	checked.Trace = &schema.Trace{Checked: m.SchemaChecked}
	var err error
	if a.schemas, err = schema.New(checked); err != nil {
		return fmt.Errorf("schemas: %w", err)
	}
	if a.desk, err = verb.New(a.deskConfig(s)); err != nil {
		return fmt.Errorf("verbs: %w", err)
	}
	for _, name := range append([]string{"/"}, s.Namespaces...) {
		a.server.Namespace(name).Use(a.schemas.Middleware())
	}
	mux := http.NewServeMux()
	mux.Handle(s.Path, a.server)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { a.health(w, false) })
	err = a.mountDoors(s, mux, log, m)
	a.closers = append(a.closers, a.server.Shutdown)
	a.serveVerbs(s)
	if s.Demo != "" && s.Engine != "" {
		log.Warn("a demo lives on one node: who moves to another is a stranger there", "name", s.Demo)
	}
	if err = errors.Join(err, a.checkMemory(s), a.checkShared(s), a.mount(s, mux)); err != nil {
		return err
	}
	a.public = a.protect(secure(a.traced(a.orRelay(mux)), s.Path, a.encryption), s, log)

	operators := http.NewServeMux()
	operators.Handle("GET /metrics", m.Handler())
	operators.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { a.health(w, true) })
	a.private = operators
	if isLoopback(s.Metrics) {
		// A page of the web may have a name of its own resolve to this machine.
		var rule atomic.Pointer[hostRule]
		named := loopbackRule(s.Metrics)
		rule.Store(&named)
		a.private = onlyHosts(operators, &rule, a.blocked)
	}
	return nil
}

// addClientFiles lets pages load the Socket.IO client from here, if the program
// carries it.
func addClientFiles(cfg *tutti.Config, s config.Settings, log *slog.Logger) error {
	files, version, err := clientfiles.Files()
	switch {
	case err == nil:
		cfg.ClientFiles, cfg.ClientVersion = files, version
	case s.Demo != "":
		return fmt.Errorf("the demo needs the Socket.IO client: %w", err)
	default:
		log.Warn("pages can't load the Socket.IO client from here", "err", err)
	}
	return nil
}

// mount adds the application: a demo, a folder, or a word to who looks.
func (a *app) mount(s config.Settings, mux *http.ServeMux) error {
	relay(a.server, append([]string{"/"}, s.Namespaces...), s.Relay)
	switch {
	case s.Demo != "":
		end, err := demos[s.Demo].mount(a.server, mux)
		if err != nil {
			return fmt.Errorf("demo %s: %w", s.Demo, err)
		}
		a.closers = append(a.closers, end)
	case s.Static != "":
		files, err := openFolder(string(s.Static))
		if err != nil {
			return err
		}
		a.closers = append(a.closers, files.close)
		mux.Handle("/", files)
	default:
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "This is Tutti. Socket.IO clients connect to %s\n", s.Path)
		})
	}
	return nil
}

// close ends all parts, each whatever became of those before.
func (a *app) close(ctx context.Context) error {
	var errs []error
	for _, end := range a.closers {
		errs = append(errs, end(ctx))
	}
	if a.engine != nil {
		errs = append(errs, a.engine.Close())
	}
	if a.nodes != nil {
		errs = append(errs, a.nodes.Close())
	}
	return errors.Join(append(errs, a.closeStore(), a.closeAudit())...)
}

// health answers load balancers and supervisors: 200 while the server wants
// connections, 503 once it is about to end, or when what is published can't be
// kept any more. Operators are told why in detail.
func (a *app) health(w http.ResponseWriter, operator bool) {
	status, code, reason := "ok", http.StatusOK, ""
	if a.draining.Load() {
		status, code = "draining", http.StatusServiceUnavailable
	}
	if a.store != nil && a.store.Err() != nil {
		status, code, reason = "failing", http.StatusServiceUnavailable, "the store has stopped to acknowledge"
		if operator {
			reason = a.store.Err().Error()
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	answer := struct {
		Status  string `json:"status"`
		Reason  string `json:"reason,omitempty"`
		Version string `json:"version"`
	}{status, reason, programVersion()}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		return // the peer is gone
	}
}

// serverConfig says in the library's terms what the settings say.
func serverConfig(s config.Settings, log *slog.Logger) tutti.Config {
	return tutti.Config{
		Engine: engineConfig(s),
		Packets: packet.Limits{
			MaxAttachments: int(s.Limit.Attachments),
			MaxBinaries:    int(s.Limit.Binaries),
			MaxDepth:       int(s.Limit.Depth),
			MaxNamespace:   int(s.Limit.NamespaceName),
			MaxEvent:       int(s.Limit.EventName),
			MaxBytes:       int(s.Limit.Packet),
		},
		Hub: hub.Config{
			MaxRooms:       int(s.Limit.Rooms),
			MaxRoomName:    int(s.Limit.RoomName),
			Presence:       presenceConfig(s),
			Memory:         memoryConfig(s),
			EnginePatience: s.Timeout.Engine,
		},
		MaxNamespaces:     int(s.Limit.Namespaces),
		MaxDynamic:        int(s.Limit.Dynamic),
		MaxAuth:           int(s.Limit.Auth),
		MaxInbox:          int(s.Limit.Inbox),
		MaxPendingCalls:   int(s.Limit.Calls),
		AttachmentTimeout: s.Timeout.Attachment,
		Log:               log,
	}
}

// releaseAfter is how long nobody must have come or gone before the program
// gives memory back: a run of the garbage collector is a hundredth of what it
// costs to connect those thousand who must have.
const releaseAfter = 5 * time.Second

func engineConfig(s config.Settings) engineio.Config {
	cfg := engineio.Config{
		PingInterval:    s.Ping.Interval,
		PingTimeout:     s.Ping.Timeout,
		UpgradeTimeout:  s.Timeout.Upgrade,
		ConfirmTimeout:  s.Timeout.Connect,
		WriteTimeout:    s.Timeout.Write,
		ReleaseAfter:    releaseAfter,
		MaxPayload:      int64(s.Limit.Payload),
		MaxPackets:      int(s.Limit.Batch),
		MaxQueue:        int(s.Limit.Queue),
		MaxSessions:     sessions(s),
		Transports:      s.Transport,
		AllowEIO3:       s.AllowEIO3,
		Origins:         s.Origin,
		Credentials:     s.Credentials,
		HTTPCompression: max(int(s.Compress.HTTP), -1),
	}
	if s.Compress.HTTP == 0 {
		cfg.HTTPCompression = 1 // 0 is the default, and an answer has at least a byte
	}
	if s.Compress.WebSocket != config.None {
		threshold := int(s.Compress.WebSocket)
		if threshold == 0 {
			threshold = -1 // always
		}
		cfg.Deflate = &engineio.Deflate{Threshold: threshold}
	}
	if s.Cookie != "" {
		cfg.Cookie = &http.Cookie{Name: s.Cookie, Path: "/", HttpOnly: true, Secure: s.TLS.On(), SameSite: http.SameSiteLaxMode}
	}
	return cfg
}
