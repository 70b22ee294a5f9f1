package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tutti-rt/tutti/quota"
)

// limitNames are the limits that each stage reports, in its words.
var limitNames = map[string][]string{
	"engine": {"ConfirmTimeout", "MaxPackets", "MaxPayload", "MaxQueue", "MaxSessions", "UpgradeTimeout", "WriteTimeout"},
	"server": {"attachment timeout", "auth", "data", "dynamic namespaces", "event", "id", "inbox", "namespaces", "pending calls"},
	"hub":    {"ids", "room name", "rooms", "sessions"},
	"auth":   {"grants", "revocations", "session questions"},
	"quota":  quota.Limits(),
	"admin":  {"logins"},
	// Of the program, which refuses connections before there is a request.
	"listener": {"files", "host", "request", "requests"},
	"door":     {"body", "calls", "data", "event", "event name", "id", "message", "queue", "rate", "rooms", "streams", "write"},
}

func newLimits(mk *maker) map[string]family {
	vec := mk.counters("limit_hits_total", "How often a limit refused, dropped or ended something, by stage and limit.", "stage", "limit")
	stages := make(map[string]family, len(limitNames))
	for stage, names := range limitNames {
		stages[stage] = newFamily(vec, names, stage)
	}
	return stages
}

// Quota returns the trace for [quota.Config].
func (m *Metrics) Quota() *quota.Trace {
	return &quota.Trace{LimitHit: m.hit("quota"), Shed: func(bytes int) { m.shed.Add(float64(bytes)) }}
}

// WatchQuota has the metrics read how much waits. It is called once, before the
// first reading.
func (m *Metrics) WatchQuota(q *quota.Quota) { m.waiting.Store(q) }

// Listener returns what a listener tells that refuses connections: the limits
// "files", "host", "request" and "requests".
func (m *Metrics) Listener() func(limit string) { return m.hit("listener") }

// Operators returns what a listener for operators tells of limits: "logins".
func (m *Metrics) Operators() func(limit string) { return m.hit("admin") }

// SchemaChecked counts an event that was held to a schema, for schema.Trace.
func (m *Metrics) SchemaChecked(_ string, right bool) {
	result := "wrong"
	if right {
		result = "right"
	}
	m.checks.of(result).Inc()
}

// newWaiting makes the metrics of what waits.
func (m *Metrics) newWaiting(mk *maker) {
	m.shed = mk.counter("shed_bytes_total", "Bytes that waited for peers that were cut off because too much waited for all.")
	mk.all = append(mk.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: prefix + "waiting_bytes", Help: "Bytes that wait for slow peers, or have half arrived from them.",
	}, func() float64 { return float64(m.waiting.Load().Waiting()) }))
}

// hit returns the LimitHit function of a stage.
func (m *Metrics) hit(stage string) func(limit string) {
	limits := m.limits[stage]
	return func(limit string) { limits.of(limit).Inc() }
}
