package metrics

import "github.com/prometheus/client_golang/prometheus"

// limitNames are the limits that each stage reports, in its words.
var limitNames = map[string][]string{
	"engine": {"MaxPayload", "MaxPackets", "MaxQueue", "MaxSessions"},
	"server": {"namespaces", "inbox", "pending calls", "dynamic namespaces"},
	"hub":    {"rooms", "room name"},
}

// limits counts how often a limit was reached, by stage and limit.
type limits struct {
	vec    *prometheus.CounterVec
	stages map[string]map[string]prometheus.Counter
}

func newLimits() *limits {
	l := &limits{
		vec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "limit_hits_total",
			Help: "How often a limit refused, dropped or ended something, by stage and limit.",
		}, []string{"stage", "limit"}),
		stages: make(map[string]map[string]prometheus.Counter, len(limitNames)),
	}
	for stage, names := range limitNames {
		l.stages[stage] = map[string]prometheus.Counter{other: l.vec.WithLabelValues(stage, other)}
		for _, name := range names {
			l.stages[stage][name] = l.vec.WithLabelValues(stage, name)
		}
	}
	return l
}

func (l *limits) collectors() []prometheus.Collector { return []prometheus.Collector{l.vec} }

// hit returns a LimitHit function for a stage.
func (l *limits) hit(stage string) func(limit string) {
	counters := l.stages[stage]
	return func(limit string) {
		c := counters[limit]
		if c == nil {
			c = counters[other]
		}
		c.Inc()
	}
}
