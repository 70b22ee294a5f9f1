package metrics

import "github.com/prometheus/client_golang/prometheus"

// prefix is what the names of all metrics begin with.
const prefix = "tutti_"

// other is the label value of what is on no list.
const other = "other"

// A family is the counters of one name, one for each value of its only label.
// They are all made at the beginning and only read after, so counting needs no
// lock and the number of series cannot grow.
type family struct {
	vec   *prometheus.CounterVec
	known map[string]prometheus.Counter
	other prometheus.Counter
}

func newFamily(name, help, label string, values ...string) *family {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, []string{label})
	f := &family{vec: vec, known: make(map[string]prometheus.Counter, len(values))}
	for _, v := range values {
		f.known[v] = vec.WithLabelValues(v)
	}
	f.other = vec.WithLabelValues(other)
	return f
}

// of returns the counter of a label value.
func (f *family) of(value string) prometheus.Counter {
	if c := f.known[value]; c != nil {
		return c
	}
	return f.other
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
}
