package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/metrics"
)

// Config sets up an [Admin]. Zero values mean the defaults.
type Config struct {
	// Node is what this server is called. Default: the name of the machine.
	Node string
	// Version is that of the program.
	Version string
	// Address is where other nodes of a cluster reach this one.
	Address string
	// Keys let operators in. None: whoever reaches the handler operates.
	Keys []Key
	// Payloads lets operators see what is sent in rooms. Default: they see
	// names and sizes.
	Payloads bool
	// Metrics are what is shown and served. Default: some that stay 0.
	Metrics *metrics.Metrics
	// Audit is where each action of an operator is written, as a line of JSON
	// in one Write. Nil: to Log.
	Audit io.Writer
	// Log is where the handler logs; nil means [slog.Default].
	Log *slog.Logger

	// User names whose a socket is. Default: the subject of its identity, or
	// else [tutti.Socket.Person], if that is another than the socket's id.
	User func(*tutti.Socket) string
	// Unready says why the server should get no clients now; nothing if it
	// should. Default: it always should. It is asked often and must not wait.
	Unready func() []Reason
	// Drain ends the process as SIGTERM does, and returns at once. Nil: it
	// can't be asked to.
	Drain func()
	// Reload reads the configuration again. An error, whose text is for the
	// operator, leaves everything as it was. Nil: it can't be asked to.
	Reload func(context.Context) (Reloaded, error)
	// EndStreams ends, on this node, what comes from a network and is not a
	// socket, in a namespace or ("") in all, tells the peers why, and returns how
	// many these were; it must not wait. Nil: there is nothing else.
	// [github.com/tutti-rt/tutti/door.Door.DisconnectNetwork] does that.
	EndStreams func(from netip.Prefix, namespace, reason string) int
	// Limits are the limits that are in force, by name, to be shown.
	Limits map[string]string
	// UI lets the official Socket.IO admin UI connect. Nil: it can't.
	UI *UI
}

// A Reason says why a server should get no clients.
type Reason struct {
	Code   string `json:"code"`             // "draining", "store_failed", …
	Detail string `json:"detail,omitempty"` // for people
}

// A Reloaded says what became of changes in the configuration, each in words.
type Reloaded struct {
	Applied []string `json:"applied"`
	Restart []string `json:"restart"` // they need a new start of the process
}

// Admin is the operators' view of one server. It is safe for concurrent use once
// Attach has been called.
type Admin struct {
	cfg     Config
	log     *slog.Logger
	server  *tutti.Server
	started time.Time

	gate    gate
	audit   audit
	meter   meter
	roster  roster
	watches watches
	slow    slowRing
	limited limitedRing
	ui      ui
	mux     *router
	handler http.Handler
	control http.Handler

	ending sync.Once
	ended  chan struct{}
}

// New returns an Admin that knows no server yet. Its error lists all that is
// wrong with cfg.
func New(cfg Config) (*Admin, error) {
	if cfg.Node == "" {
		name, err := os.Hostname()
		if err != nil {
			name = "tutti"
		}
		cfg.Node = name
	}
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.New()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.User == nil {
		cfg.User = personOf
	}
	if cfg.Unready == nil {
		cfg.Unready = func() []Reason { return nil }
	}
	if cfg.EndStreams == nil {
		cfg.EndStreams = func(netip.Prefix, string, string) int { return 0 }
	}
	if err := errors.Join(validate(cfg.Keys), cfg.UI.validate()); err != nil {
		return nil, err
	}
	a := &Admin{cfg: cfg, log: cfg.Log, started: time.Now(), ended: make(chan struct{})}
	a.ui.admin = a
	if cfg.UI != nil {
		a.ui.cfg = *cfg.UI
		a.ui.queue, a.ui.checking = make(chan uiEvent, uiQueue), make(chan struct{}, 1)
		a.ui.sessions = make(map[string]time.Time)
	}
	a.audit = audit{out: cfg.Audit, log: cfg.Log}
	a.gate.rekey(cfg.Keys)
	a.meter.reset(a)
	a.roster.admin = a
	a.mux = a.routes()
	a.handler, a.control = a.guarded(a.mux), a.trusted(a.mux)
	return a, nil
}

// personOf is who the socket's peer is, or is to others, if anybody said so.
func personOf(s *tutti.Socket) string {
	if u := s.Identity().User(); u != "" {
		return u
	}
	if p := s.Person(); p != s.ID() {
		return p
	}
	return ""
}

// Attach gives the admin its server, whose configuration it has observed. Those
// of a cluster's servers ask each other what operators want to know of all nodes.
func (a *Admin) Attach(srv *tutti.Server) {
	a.server = srv
	if srv.Hub().Node() != "" {
		srv.Namespace("/").HandleNodes(askEvent, a.asked)
	}
	if a.ui.enabled() {
		a.serveUI(srv)
	}
}

// Handler returns what the operators' listener serves, at its root.
func (a *Admin) Handler() http.Handler { return a.handler }

// Control returns the same for a listener that lets nobody in but the operator
// of this server: it asks for no key.
func (a *Admin) Control() http.Handler { return a.control }

// Reload replaces the keys. Who has logged in with one that is gone, or has
// another role now, is logged out. When there are none any more nobody comes in:
// only a new Admin is open to whoever reaches it.
func (a *Admin) Reload(keys []Key) error {
	if err := validate(keys); err != nil {
		return err
	}
	a.gate.rekey(keys)
	return nil
}

// Run takes a look at the numbers once a second, until ctx ends: what charts
// and rates are made of. It also tells the official admin UI what happens.
func (a *Admin) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			a.meter.take(now)
			a.ui.report(now)
		case e := <-a.ui.queue:
			if e.name == transportChanged {
				a.ui.tellTransport(e.args[0])
			} else {
				a.ui.tell(e)
			}
		case <-ctx.Done():
			return
		case <-a.ended:
			return
		}
	}
}

// Close ends what is being followed, so that the listener's Shutdown does not
// wait for it, and Run.
func (a *Admin) Close() {
	a.ending.Do(func() { close(a.ended) })
	a.roster.forget()
}
