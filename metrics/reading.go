package metrics

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A Reading is what some of the metrics say at a moment, for programs that show
// them without a Prometheus. Counts grow; the difference of two readings is what
// happened between them.
type Reading struct {
	Sessions, Sockets, Streams, Rooms, SessionsKept, TapeBytes    float64
	Opened, Closed, Refused, Connected                            float64 // sessions, sessions, requests and sockets
	Received, Sent, ReceivedBytes, SentBytes                      float64 // packets
	Events, Published, Deliveries, Replayed, Commits, Unrecovered float64
	Publish, Handler, Commit, Heartbeat                           Times
	Limits                                                        map[string]float64 // "stage: limit", those that were hit
	Reasons                                                       map[string]float64 // why sessions were closed
}

// Times are how often something took how long: how many took at most each of
// the classic bounds, and how many there were.
type Times struct {
	Bounds []float64 // seconds
	Counts []uint64  // cumulative, one for each bound
	Count  uint64
}

// Read returns what the metrics say now. It looks at each series that it needs,
// which takes some microseconds.
func (m *Metrics) Read() Reading {
	s, k, h, mem := &m.sessions, &m.sockets, &m.messages, &m.memory
	r := Reading{
		Sessions: value(s.open), Sockets: value(k.connected), Rooms: value(h.rooms),
		SessionsKept: value(mem.sessions), TapeBytes: value(mem.tape),
		Opened: s.opened.sum(), Closed: s.closed.sum(), Refused: s.refused.sum(), Connected: value(k.opened),
		Received: s.received.sum(), Sent: s.sent.sum(), ReceivedBytes: value(s.bytesIn), SentBytes: value(s.bytesOut),
		Events: value(k.received), Published: value(h.published), Deliveries: value(h.deliveries),
		Replayed: value(mem.replayed), Commits: mem.commits.sum(),
		Unrecovered: mem.returns.sum() - value(mem.returns[returnRecovered]),
		Publish:     times(h.took), Handler: times(k.handled), Commit: times(mem.waits), Heartbeat: times(s.roundTrip),
		Limits: make(map[string]float64), Reasons: make(map[string]float64),
	}
	for reason, c := range s.closed {
		if n := value(c); n > 0 {
			r.Reasons[reason] = n
		}
	}
	for _, d := range m.doors {
		r.Streams += value(d.streams)
	}
	for stage, limits := range m.limits {
		for name, c := range limits {
			if n := value(c); n > 0 {
				r.Limits[stage+": "+name] = n
			}
		}
	}
	return r
}

// Since returns the times that were observed after an earlier reading.
func (t Times) Since(before Times) Times {
	if len(before.Counts) != len(t.Counts) {
		return t
	}
	d := Times{Bounds: t.Bounds, Counts: make([]uint64, len(t.Counts)), Count: t.Count - before.Count}
	for i := range d.Counts {
		d.Counts[i] = t.Counts[i] - before.Counts[i]
	}
	return d
}

// Quantile estimates which time a share q of all took at most, between the
// bounds around it. It is 0 if there were none, and the last bound if it lies
// beyond that.
func (t Times) Quantile(q float64) time.Duration {
	if t.Count == 0 {
		return 0
	}
	rank := q * float64(t.Count)
	low, below := 0.0, 0.0
	for i, c := range t.Counts {
		if n := float64(c); n >= rank {
			if n > below {
				low += (t.Bounds[i] - low) * (rank - below) / (n - below)
			}
			return time.Duration(math.Round(low * float64(time.Second)))
		}
		low, below = t.Bounds[i], float64(c)
	}
	return time.Duration(low * float64(time.Second))
}

// sum adds up the counters of a family.
func (f family) sum() float64 {
	var sum float64
	for _, c := range f {
		sum += value(c)
	}
	return sum
}

// value reads a counter or a gauge.
func value(m prometheus.Metric) float64 {
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		return 0 // cannot happen: ours have no exemplars
	}
	return d.GetCounter().GetValue() + d.GetGauge().GetValue()
}

func times(h prometheus.Histogram) Times {
	var d dto.Metric
	if err := h.Write(&d); err != nil {
		return Times{} // likewise
	}
	var t Times
	t.Count = d.GetHistogram().GetSampleCount()
	for _, b := range d.GetHistogram().GetBucket() {
		t.Bounds, t.Counts = append(t.Bounds, b.GetUpperBound()), append(t.Counts, b.GetCumulativeCount())
	}
	return t
}
