package load

import "time"

// A Result is what a run has measured. Durations are in milliseconds unless
// their name says otherwise, sizes in bytes.
type Result struct {
	Scenario  string    `json:"scenario"`
	Transport string    `json:"transport"`
	URL       string    `json:"url"`
	Started   time.Time `json:"started"`
	Seconds   float64   `json:"seconds"` // measured
	Clients   int       `json:"clients"`
	Rooms     int       `json:"rooms,omitempty"`
	Size      int       `json:"size,omitempty"`
	// Rate was asked for, per second: messages, questions or connections.
	Rate float64 `json:"rate,omitempty"`

	// Closed says that there was no rate: who had an answer asked again.
	Closed bool `json:"closed,omitempty"`

	// Operation is what is counted: delivery, ack, cycle or connect.
	Operation string  `json:"operation"`
	Done      int64   `json:"done"` // operations within the measured time
	PerSecond float64 `json:"per_second"`
	Latency   Summary `json:"latency"`   // of an operation, from when it was due
	Handshake Summary `json:"handshake"` // from the TCP connection to the namespace joined
	// Published is how many messages were acked per second, and Acks how long
	// that took from when they were due, where publishers ask for acks.
	Published float64  `json:"published_per_second,omitempty"`
	Acks      *Summary `json:"acks,omitempty"`
	// Lost operations were due and didn't come, acks of messages included;
	// Disorder is those that came after a later one, or twice.
	Lost     int64          `json:"lost"`
	Disorder int64          `json:"disorder"`
	Errors   map[string]int `json:"errors,omitempty"` // what clients met, how often

	Server *Usage `json:"server,omitempty"` // nil if its process is not known
	Own    Usage  `json:"own"`
	// Lag is how late the generator sent what was due.
	Lag Summary `json:"lag"`
	// Bottleneck says in words why the figures are the generator's and not the
	// server's. "" if they are the server's.
	Bottleneck string `json:"bottleneck,omitempty"`

	// Best is the highest rate of operations whose 99th percentile stayed below
	// Limit, if that was searched for; then all the above is of that rate. 0 if
	// there was none.
	Best  float64 `json:"best,omitempty"`
	Limit float64 `json:"limit,omitempty"`
	Steps []Step  `json:"steps,omitempty"`
	// Hurried says that the search had no time to look closer, or higher.
	Hurried bool `json:"hurried,omitempty"`

	Curve  []Point  `json:"curve"`
	Series []Sample `json:"series"`
}

// A Summary is a distribution of durations in milliseconds.
type Summary struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

// A Usage is what a process took while it was measured.
type Usage struct {
	PID        int     `json:"pid"`
	CPUSeconds float64 `json:"cpu_seconds"`
	Cores      float64 `json:"cores"`
	// CPUPerOperation is in microseconds.
	CPUPerOperation float64 `json:"cpu_per_operation_us"`
	// Waited is for how much of the time it wanted to run somebody else had the
	// core, 0 to 1: how far the machine was shared.
	Waited float64 `json:"waited"`
	// RSS before there were clients, when all had connected, and at the end.
	RSSBefore    int64 `json:"rss_before,omitempty"`
	RSSConnected int64 `json:"rss_connected,omitempty"`
	RSSAfter     int64 `json:"rss_after,omitempty"`
	// BytesPerClient is what RSS grew by until the end of scenario idle. In
	// the others it is the garbage of the work that counts.
	BytesPerClient float64 `json:"bytes_per_client,omitempty"`
	// IdleCores is what clients that do nothing take.
	IdleCores float64 `json:"idle_cores,omitempty"`
}

// A Step is one rate of a search.
type Step struct {
	Rate      float64 `json:"rate"`
	PerSecond float64 `json:"per_second"` // operations
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
	CPU       float64 `json:"cpu_per_operation_us,omitempty"`
	OK        bool    `json:"ok"`
	Why       string  `json:"why,omitempty"` // it was not
}

// A Point is on a curve of latency.
type Point struct {
	Percentile float64 `json:"percentile"`
	Value      float64 `json:"value"`
}

// A Sample is one second of a run.
type Sample struct {
	At        float64 `json:"at"` // seconds since the start
	Phase     string  `json:"phase"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
	ServerCPU float64 `json:"server_cpu"` // cores
	OwnCPU    float64 `json:"own_cpu"`
	RSS       int64   `json:"rss"`
	Clients   int     `json:"clients"`
}
