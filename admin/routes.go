package admin

import (
	"net/http"
	"net/http/pprof"
)

// A router is a mux that knows what it serves: each pattern has a row in a test
// that says who may.
type router struct {
	*http.ServeMux
	patterns []string
}

// Handle adds a pattern.
func (r *router) Handle(pattern string, h http.Handler) {
	r.patterns = append(r.patterns, pattern)
	r.ServeMux.Handle(pattern, h)
}

// HandleFunc adds a pattern.
func (r *router) HandleFunc(pattern string, h http.HandlerFunc) { r.Handle(pattern, h) }

// routes returns everything that is served, behind the gate.
func (a *Admin) routes() *router {
	mux := &router{ServeMux: http.NewServeMux()}
	get := func(path string, f func(r *http.Request) (any, error)) { mux.Handle("GET "+path, a.api(View, f)) }
	post := func(path string, f func(r *http.Request) (any, error)) { mux.Handle("POST "+path, a.api(Operate, f)) }

	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("GET /metrics", a.need(View, a.cfg.Metrics.Handler().ServeHTTP))
	// Profiles show what is in memory, and tracing takes its share of it.
	mux.Handle("GET /debug/pprof/", a.need(Operate, pprof.Index))
	mux.Handle("GET /debug/pprof/cmdline", a.need(Operate, pprof.Cmdline))
	mux.Handle("GET /debug/pprof/profile", a.need(Operate, pprof.Profile))
	mux.Handle("GET /debug/pprof/symbol", a.need(Operate, pprof.Symbol))
	mux.Handle("GET /debug/pprof/trace", a.need(Operate, pprof.Trace))

	mux.HandleFunc("POST /api/login", a.login)
	mux.HandleFunc("POST /api/logout", a.need(View, a.logout))
	get("/api/me", func(r *http.Request) (any, error) { return a.me(operatorOf(r)), nil })
	get("/api/stats", func(*http.Request) (any, error) { return a.stats(), nil })
	get("/api/stats/history", func(*http.Request) (any, error) { return a.meter.history(), nil })
	mux.Handle("GET /api/stats/live", a.need(View, a.statsLive))

	get("/api/sockets", a.socketsPage)
	get("/api/sockets/{id...}", a.socketPage)
	mux.Handle("GET /api/follow/socket", a.need(View, a.followSocket))
	get("/api/rooms", a.roomsPage)
	get("/api/rooms/members", a.roomMembers)
	get("/api/rooms/presence", a.roomPresence)
	get("/api/rooms/history", a.roomHistory)
	mux.Handle("GET /api/rooms/follow", a.need(View, a.followRoom))
	get("/api/users", a.usersPage)
	get("/api/nodes", a.nodes)
	get("/api/audit", a.auditPage)

	post("/api/publish", a.publish)
	post("/api/move", a.move)
	post("/api/disconnect", a.disconnect)
	mux.Handle("POST /api/drain", a.need(Operate, a.drain))
	post("/api/reload", a.reload)

	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, notFound("there is no such thing here")) })
	mux.HandleFunc("/", servePage)
	return mux
}

// healthz answers supervisors: 200 as long as the process works, so that none
// restarts one that drains. Why it should get no clients, readyz says.
func (a *Admin) healthz(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, struct {
		Status  string `json:"status"`
		Version string `json:"version"`
	}{"ok", a.cfg.Version})
}

// readyz answers load balancers: 503 and why, if the server should get no
// clients.
func (a *Admin) readyz(w http.ResponseWriter, _ *http.Request) {
	reasons, status := a.cfg.Unready(), http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, struct {
		Ready   bool     `json:"ready"`
		Reasons []Reason `json:"reasons,omitempty"`
		Version string   `json:"version"`
	}{len(reasons) == 0, reasons, a.cfg.Version})
}
