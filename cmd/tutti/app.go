package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/clientfiles"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/metrics"
	"github.com/tutti-rt/tutti/packet"
)

// An app is everything that is served, without the listeners.
type app struct {
	server   *tutti.Server
	public   http.Handler
	private  http.Handler // for operators
	relayed  *door.Door   // plain WebSockets; nil unless asked for
	draining atomic.Bool

	closers []func(context.Context) error // in this order
}

// newApp puts the parts together that the settings ask for.
func newApp(s config.Settings, log *slog.Logger) (*app, error) {
	m := metrics.New()
	cfg := serverConfig(s, log)
	cfg.Trace, cfg.Engine.Trace, cfg.Hub.Trace = m.Server(), m.Engine(), m.Hub()

	files, version, err := clientfiles.Files()
	switch {
	case err == nil:
		cfg.ClientFiles, cfg.ClientVersion = files, version
	case s.Demo != "":
		return nil, fmt.Errorf("the demo needs the Socket.IO client: %w", err)
	default:
		log.Warn("pages can't load the Socket.IO client from here", "err", err)
	}

	a := &app{}
	if a.server, err = tutti.New(cfg); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(s.Path, a.server)
	mux.HandleFunc("GET /healthz", a.health)
	err = a.mountDoors(s, mux, log, m)
	a.closers = append(a.closers, a.server.Shutdown)
	err = errors.Join(err, a.mount(s, mux))
	if err != nil {
		return nil, errors.Join(err, a.close(context.Background()))
	}
	a.public = a.orRelay(mux)

	operators := http.NewServeMux()
	operators.Handle("GET /metrics", m.Handler())
	operators.HandleFunc("GET /healthz", a.health)
	a.private = operators
	return a, nil
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
	return errors.Join(errs...)
}

// health answers load balancers and supervisors: 200 while the server wants
// connections, 503 once it is about to end.
func (a *app) health(w http.ResponseWriter, _ *http.Request) {
	status, code := "ok", http.StatusOK
	if a.draining.Load() {
		status, code = "draining", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	answer := struct {
		Status  string `json:"status"`
		Version string `json:"version"`
	}{status, programVersion()}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		return // the peer is gone
	}
}

// serverConfig says in the library's terms what the settings say.
func serverConfig(s config.Settings, log *slog.Logger) tutti.Config {
	cfg := tutti.Config{
		Engine: engineio.Config{
			PingInterval:    s.Ping.Interval,
			PingTimeout:     s.Ping.Timeout,
			UpgradeTimeout:  s.Timeout.Upgrade,
			ConfirmTimeout:  s.Timeout.Connect,
			WriteTimeout:    s.Timeout.Write,
			MaxPayload:      int64(s.Limit.Payload),
			MaxPackets:      int(s.Limit.Batch),
			MaxQueue:        int(s.Limit.Queue),
			MaxSessions:     int(s.Limit.Sessions),
			Transports:      s.Transport,
			AllowEIO3:       s.AllowEIO3,
			Origins:         s.Origin,
			Credentials:     s.Credentials,
			HTTPCompression: max(int(s.Compress.HTTP), -1),
		},
		Packets: packet.Limits{
			MaxAttachments: int(s.Limit.Attachments),
			MaxBinaries:    int(s.Limit.Binaries),
			MaxDepth:       int(s.Limit.Depth),
			MaxNamespace:   int(s.Limit.NamespaceName),
			MaxEvent:       int(s.Limit.EventName),
			MaxBytes:       int(s.Limit.Packet),
		},
		Hub:               hub.Config{MaxRooms: int(s.Limit.Rooms), MaxRoomName: int(s.Limit.RoomName)},
		MaxNamespaces:     int(s.Limit.Namespaces),
		MaxDynamic:        int(s.Limit.Dynamic),
		MaxAuth:           int(s.Limit.Auth),
		MaxInbox:          int(s.Limit.Inbox),
		MaxPendingCalls:   int(s.Limit.Calls),
		AttachmentTimeout: s.Timeout.Attachment,
		Log:               log,
	}
	if s.Compress.HTTP == 0 {
		cfg.Engine.HTTPCompression = 1 // 0 is the default, and an answer has at least a byte
	}
	if s.Compress.WebSocket != config.None {
		threshold := int(s.Compress.WebSocket)
		if threshold == 0 {
			threshold = -1 // always
		}
		cfg.Engine.Deflate = &engineio.Deflate{Threshold: threshold}
	}
	if s.Cookie != "" {
		cfg.Engine.Cookie = &http.Cookie{Name: s.Cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	}
	return cfg
}
