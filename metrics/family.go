package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// prefix is what the names of all metrics begin with.
const prefix = "tutti_"

// other is the label value of what is on no list.
const other = "other"

// A family is counters that differ in one label. They are all made at the
// beginning and only read after, so counting needs no lock and the number of
// series cannot grow.
type family map[string]prometheus.Counter

// of returns the counter of a label value.
func (f family) of(value string) prometheus.Counter {
	if c := f[value]; c != nil {
		return c
	}
	return f[other]
}

// newFamily makes the counters of vec whose first labels have the values lead,
// and whose last label has each of values.
func newFamily(vec *prometheus.CounterVec, values []string, lead ...string) family {
	f := make(family, len(values)+1)
	for _, v := range append([]string{other}, values...) {
		f[v] = vec.WithLabelValues(append(lead[:len(lead):len(lead)], v)...)
	}
	return f
}

// A maker makes the metrics of a stage and remembers them.
type maker struct{ all []prometheus.Collector }

func (m *maker) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	m.all = append(m.all, c)
	return c
}

func (m *maker) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
	m.all = append(m.all, g)
	return g
}

func (m *maker) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, labels)
	m.all = append(m.all, v)
	return v
}

func (m *maker) counters(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
	m.all = append(m.all, v)
	return v
}

// seconds are the classic buckets of times, for who does not scrape native
// histograms.
var seconds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// Of native histograms: each bucket is a tenth wider than the one before, and
// there are so many at most. When more were needed they begin anew after an
// hour, and get coarser before that.
const (
	nativeFactor  = 1.1
	nativeBuckets = 160
	nativeReset   = time.Hour
)

// histogram makes a native histogram with classic buckets besides.
func (m *maker) histogram(name, help string, buckets ...float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: prefix + name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     nativeFactor,
		NativeHistogramMaxBucketNumber:  nativeBuckets,
		NativeHistogramMinResetDuration: nativeReset,
	})
	m.all = append(m.all, h)
	return h
}

// family makes a metric with one label.
func (m *maker) family(name, help, label string, values ...string) family {
	return newFamily(m.counters(name, help, label), values)
}
