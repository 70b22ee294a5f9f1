package metrics

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tutti-rt/tutti/quota"
)

// Metrics counts what one server does. A trace may be given to several, whose
// numbers then add up. All methods may be called by any goroutine.
type Metrics struct {
	sessions   sessions
	sockets    sockets
	messages   messages
	memory     memory
	shared     shared
	nodes      nodes
	doors      map[string]*doorway
	limits     map[string]family // by stage
	checks     family            // of schemas
	identities family            // by how they were found, or not
	shed       prometheus.Counter

	revocations, unkept prometheus.Counter
	fetches             family // of key sets
	strangers           prometheus.Counter
	keySets             atomic.Pointer[func() int]

	waiting atomic.Pointer[quota.Quota]
	// Until when the certificate holds.
	certificate atomic.Pointer[func() time.Time]

	all []prometheus.Collector
}

// New returns metrics that are all zero. It registers them nowhere.
func New() *Metrics {
	var mk maker
	m := &Metrics{
		sessions: newSessions(&mk),
		sockets:  newSockets(&mk),
		messages: newMessages(&mk),
		memory:   newMemory(&mk),
		shared:   newShared(&mk),
		nodes:    newNodes(&mk),
		doors:    newDoors(&mk),
		limits:   newLimits(&mk),
	}
	m.checks = mk.family("schema_checks_total", "Events and messages that were held to a JSON Schema.", "result", "right", "wrong")
	m.identities = mk.family("identities_total", "How those who came were identified, or why they were not.", "result", authResults...)
	m.revocations = mk.counter("revocations_total", "Users and tokens that were revoked.")
	m.unkept = mk.counter("revocations_unkept_total", "Revocations that could not be remembered or written down.")
	m.newKeySets(&mk)
	m.strangers = mk.counter("operators_refused_total", "Requests and logins of operators with a wrong key or password.")
	m.newWaiting(&mk)
	m.newCertificate(&mk)
	m.all = mk.all
	return m
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all {
		c.Describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all {
		c.Collect(ch)
	}
}

// Handler returns the page that Prometheus reads: these metrics, and those of
// the Go runtime and of the process, from a registry of its own. What the page
// says is for operators; mount it where peers cannot reach it.
func (m *Metrics) Handler() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}
