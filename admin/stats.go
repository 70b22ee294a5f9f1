package admin

import (
	"math"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	rtm "runtime/metrics"
	"slices"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/metrics"
)

// seriesKept is how many seconds of the past the charts begin with.
const seriesKept = 600

// latencyWindow is over how many seconds quantiles are taken: long enough for
// a p99 of moderate traffic.
const latencyWindow = 10

// A sample is what was seen at a second.
type sample struct {
	at      time.Time
	reading metrics.Reading
	process process
}

// process is what the process takes up.
type process struct {
	Heap            float64 `json:"heap"`
	Total           float64 `json:"total"` // what the runtime has of the system
	Resident        float64 `json:"resident"`
	Limit           float64 `json:"limit,omitempty"` // GOMEMLIMIT
	Goroutines      float64 `json:"goroutines"`
	Descriptors     float64 `json:"descriptors"`
	DescriptorLimit float64 `json:"descriptorLimit,omitempty"`
	CPU             float64 `json:"-"` // seconds so far
}

// meter remembers the numbers of the last minutes.
type meter struct {
	admin *Admin

	mu      sync.Mutex
	samples []sample
	tick    chan struct{} // closed at the next sample
}

func (m *meter) reset(a *Admin) {
	m.admin = a
	m.tick = make(chan struct{})
	m.take(time.Now())
}

// take adds a sample and wakes who waits for it.
func (m *meter) take(now time.Time) {
	s := sample{at: now, reading: m.admin.cfg.Metrics.Read(), process: look()}
	m.mu.Lock()
	if len(m.samples) > seriesKept {
		m.samples = slices.Delete(m.samples, 0, len(m.samples)-seriesKept)
	}
	m.samples = append(m.samples, s)
	tick := m.tick
	m.tick = make(chan struct{})
	m.mu.Unlock()
	close(tick)
}

// next returns what is closed at the next sample.
func (m *meter) next() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tick
}

// pair returns the last sample, and the one before at most so many seconds.
func (m *meter) pair(seconds int) (last, before sample) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.samples)
	return m.samples[n-1], m.samples[max(0, n-1-seconds)]
}

var runtimeNames = []string{
	"/memory/classes/heap/objects:bytes",
	"/memory/classes/total:bytes",
	"/memory/classes/heap/released:bytes",
	"/sched/goroutines:goroutines",
}

// look sees what the process takes up.
func look() process {
	values := make([]rtm.Sample, len(runtimeNames))
	for i, name := range runtimeNames {
		values[i].Name = name
	}
	rtm.Read(values)
	of := func(i int) float64 {
		if values[i].Value.Kind() != rtm.KindUint64 {
			return 0
		}
		return float64(values[i].Value.Uint64())
	}
	p := process{Heap: of(0), Total: of(1) - of(2), Goroutines: of(3)}
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		p.Limit = float64(limit)
	}
	p.system()
	return p
}

// Rates are per second.
type rates struct {
	Connects      float64 `json:"connects"`
	Disconnects   float64 `json:"disconnects"`
	Refused       float64 `json:"refused"`
	Received      float64 `json:"received"`
	Sent          float64 `json:"sent"`
	ReceivedBytes float64 `json:"receivedBytes"`
	SentBytes     float64 `json:"sentBytes"`
	Events        float64 `json:"events"`
	Published     float64 `json:"published"`
	Deliveries    float64 `json:"deliveries"`
	Commits       float64 `json:"commits"`
	Replayed      float64 `json:"replayed"`
	CPU           float64 `json:"cpu"` // 1 is a core
}

func ratesBetween(before, after sample) rates {
	seconds := after.at.Sub(before.at).Seconds()
	if seconds <= 0 {
		return rates{}
	}
	a, b := before.reading, after.reading
	per := func(from, to float64) float64 { return math.Round(max(to-from, 0)/seconds*100) / 100 }
	return rates{
		Connects: per(a.Opened, b.Opened), Disconnects: per(a.Closed, b.Closed), Refused: per(a.Refused, b.Refused),
		Received: per(a.Received, b.Received), Sent: per(a.Sent, b.Sent),
		ReceivedBytes: per(a.ReceivedBytes, b.ReceivedBytes), SentBytes: per(a.SentBytes, b.SentBytes),
		Events: per(a.Events, b.Events), Published: per(a.Published, b.Published), Deliveries: per(a.Deliveries, b.Deliveries),
		Commits: per(a.Commits, b.Commits), Replayed: per(a.Replayed, b.Replayed),
		CPU: per(before.process.CPU, after.process.CPU),
	}
}

// latency is quantiles, in milliseconds, of so many.
type latency struct {
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Count uint64  `json:"count"`
}

func latencyOf(t metrics.Times) latency {
	ms := func(q float64) float64 { return math.Round(t.Quantile(q).Seconds()*1e6) / 1e3 }
	return latency{ms(.5), ms(.95), ms(.99), t.Count}
}

type latencies struct {
	Publish   latency `json:"publish"`
	Handler   latency `json:"handler"`
	Commit    latency `json:"commit"`
	Heartbeat latency `json:"heartbeat"`
}

func latenciesBetween(before, after sample) latencies {
	a, b := before.reading, after.reading
	return latencies{
		Publish: latencyOf(b.Publish.Since(a.Publish)), Handler: latencyOf(b.Handler.Since(a.Handler)),
		Commit: latencyOf(b.Commit.Since(a.Commit)), Heartbeat: latencyOf(b.Heartbeat.Since(a.Heartbeat)),
	}
}

// A limitHit is a limit that peers ran into.
type limitHit struct {
	Name  string  `json:"name"`
	Count float64 `json:"count"`
	Rate  float64 `json:"rate"` // per second, over the last minute
}

func limitsBetween(before, after sample) []limitHit {
	hits := []limitHit{}
	seconds := max(after.at.Sub(before.at).Seconds(), 1)
	for name, n := range after.reading.Limits {
		hits = append(hits, limitHit{name, n, math.Round((n-before.reading.Limits[name])/seconds*100) / 100})
	}
	slices.SortFunc(hits, func(a, b limitHit) int {
		if a.Rate != b.Rate {
			return order(b.Rate, a.Rate)
		}
		return order(b.Count, a.Count)
	})
	return hits
}

// Stats is what is going on now.
type stats struct {
	Node        string          `json:"node"`
	Version     string          `json:"version"`
	Go          string          `json:"go"`
	PID         int             `json:"pid"`
	CPUs        int             `json:"cpus"`
	Time        time.Time       `json:"time"`
	Uptime      float64         `json:"uptime"` // seconds
	Ready       bool            `json:"ready"`
	Draining    bool            `json:"draining"`
	Reasons     []Reason        `json:"reasons"`
	Connections float64         `json:"connections"`
	Sockets     float64         `json:"sockets"`
	Streams     float64         `json:"streams"`
	Rooms       float64         `json:"rooms"`
	Users       int             `json:"users"`
	Kept        float64         `json:"kept"` // sessions that may come back
	Tape        float64         `json:"tape"` // bytes
	Rates       rates           `json:"rates"`
	Latency     latencies       `json:"latency"`
	Memory      process         `json:"memory"`
	Limits      []limitHit      `json:"limits"`
	Limited     []limitedPeer   `json:"limited"` // who ran into them
	Slow        []slowReader    `json:"slow"`
	Namespaces  []namespaceSize `json:"namespaces"`
}

type namespaceSize struct {
	Name    string `json:"name"`
	Members int    `json:"members"`
	Memory  bool   `json:"memory"`
}

func (a *Admin) stats() stats {
	now, before := a.meter.pair(1)
	_, minute := a.meter.pair(60)
	_, window := a.meter.pair(latencyWindow)
	reasons := a.cfg.Unready()
	if reasons == nil {
		reasons = []Reason{}
	}
	r := now.reading
	s := stats{
		Node: a.cfg.Node, Version: a.cfg.Version, Go: runtime.Version(), PID: os.Getpid(), CPUs: runtime.GOMAXPROCS(0),
		Time: now.at.UTC(), Uptime: math.Round(time.Since(a.started).Seconds()),
		Ready: len(reasons) == 0, Reasons: reasons,
		Draining:    slices.ContainsFunc(reasons, func(r Reason) bool { return r.Code == ReasonDraining }),
		Connections: r.Sessions, Sockets: r.Sockets, Streams: r.Streams, Rooms: r.Rooms, Kept: r.SessionsKept, Tape: r.TapeBytes,
		Rates: ratesBetween(before, now), Latency: latenciesBetween(window, now), Memory: now.process,
		Limits: limitsBetween(minute, now), Limited: a.limited.list(time.Now()), Namespaces: a.namespaces(),
	}
	s.Slow, s.Users = a.roster.slowest()
	return s
}

// ReasonDraining is the code of the [Reason] that the process is about to end.
const ReasonDraining = "draining"

// namespaces returns the spaces and how many members each has.
func (a *Admin) namespaces() []namespaceSize {
	list := []namespaceSize{}
	for _, sp := range a.spaces() {
		list = append(list, namespaceSize{sp.Namespace(), sp.Size(), sp.Remembers()})
		if len(list) == maxNamespaces {
			break
		}
	}
	return list
}

// maxNamespaces is how many namespaces are listed: peers may make many.
const maxNamespaces = 200

// series is the past, a column for each line of a chart.
type series struct {
	Times   []int64              `json:"times"` // milliseconds
	Columns map[string][]float64 `json:"columns"`
}

// column is what a line of a chart shows of the time between two samples.
type column struct {
	name string
	of   func(before, after, window sample) float64
}

var columns = []column{
	{"connections", func(_, s, _ sample) float64 { return s.reading.Sessions }},
	{"sockets", func(_, s, _ sample) float64 { return s.reading.Sockets }},
	{"streams", func(_, s, _ sample) float64 { return s.reading.Streams }},
	{"connects", func(b, s, _ sample) float64 { return ratesBetween(b, s).Connects }},
	{"disconnects", func(b, s, _ sample) float64 { return ratesBetween(b, s).Disconnects }},
	{"events", func(b, s, _ sample) float64 { return ratesBetween(b, s).Events }},
	{"published", func(b, s, _ sample) float64 { return ratesBetween(b, s).Published }},
	{"deliveries", func(b, s, _ sample) float64 { return ratesBetween(b, s).Deliveries }},
	{"sentBytes", func(b, s, _ sample) float64 { return ratesBetween(b, s).SentBytes }},
	{"receivedBytes", func(b, s, _ sample) float64 { return ratesBetween(b, s).ReceivedBytes }},
	{"cpu", func(b, s, _ sample) float64 { return ratesBetween(b, s).CPU }},
	{"heap", func(_, s, _ sample) float64 { return s.process.Heap }},
	{"resident", func(_, s, _ sample) float64 { return s.process.Resident }},
	{"goroutines", func(_, s, _ sample) float64 { return s.process.Goroutines }},
	{"publishP50", func(_, s, w sample) float64 { return latencyOf(s.reading.Publish.Since(w.reading.Publish)).P50 }},
	{"publishP99", func(_, s, w sample) float64 { return latencyOf(s.reading.Publish.Since(w.reading.Publish)).P99 }},
	{"handlerP99", func(_, s, w sample) float64 { return latencyOf(s.reading.Handler.Since(w.reading.Handler)).P99 }},
	{"heartbeatP50", func(_, s, w sample) float64 { return latencyOf(s.reading.Heartbeat.Since(w.reading.Heartbeat)).P50 }},
	{"commitP99", func(_, s, w sample) float64 { return latencyOf(s.reading.Commit.Since(w.reading.Commit)).P99 }},
}

// history returns the last minutes.
func (m *meter) history() series {
	m.mu.Lock()
	samples := slices.Clone(m.samples)
	m.mu.Unlock()
	out := series{Times: []int64{}, Columns: make(map[string][]float64, len(columns))}
	for i := range samples {
		out.Times = append(out.Times, samples[i].at.UnixMilli())
	}
	for _, c := range columns {
		values := make([]float64, len(samples))
		for i := range samples {
			values[i] = c.of(samples[max(0, i-1)], samples[i], samples[max(0, i-latencyWindow)])
		}
		out.Columns[c.name] = values
	}
	return out
}

// statsLive streams the statistics, once a second.
func (a *Admin) statsLive(w http.ResponseWriter, r *http.Request) {
	s, ok := a.stream(w, r)
	if !ok {
		return
	}
	defer s.end()
	for {
		tick := a.meter.next()
		if s.send("stats", a.stats()) != nil {
			return
		}
		select {
		case <-tick:
		case <-r.Context().Done():
			return
		case <-a.ended:
			return
		}
	}
}
