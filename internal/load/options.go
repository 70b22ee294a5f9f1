package load

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ErrUnsupported is returned where there is no epoll.
var ErrUnsupported = errors.New("load: the load generator needs Linux")

// The scenarios.
const (
	// Idle connects clients and leaves them alone.
	Idle = "idle"
	// Fanout sends messages to a room that everybody is in.
	Fanout = "fanout"
	// Rooms sends messages to many rooms, of which each client is in one.
	Rooms = "rooms"
	// Polling is fan-out by long-polling.
	Polling = "polling"
	// Echo sends events that the server answers with an ack.
	Echo = "echo"
	// Durable is fan-out from many publishers, who get an ack when a message is
	// as safe as the server makes it.
	Durable = "durable"
	// Churn lets clients come, ask once, and leave.
	Churn = "churn"
)

// Scenarios returns the names of all scenarios.
func Scenarios() []string { return []string{Idle, Fanout, Rooms, Durable, Echo, Polling, Churn} }

// The transports.
const (
	webSocket   = "websocket"
	longPolling = "polling"
)

// Options is what to do. It is passed by value. Zero means the default of the
// scenario.
type Options struct {
	// URL is the server's, such as http://127.0.0.1:3000. A path in it is where
	// Socket.IO is mounted, by default /socket.io/. TLS is not spoken.
	URL string
	// Scenario is one of [Scenarios].
	Scenario string
	// Transport is websocket or polling. Default websocket, but for [Polling].
	Transport string

	// Clients is how many connect: the members of all rooms together, publishers
	// not counted. Default 1,000; echo 100.
	Clients int
	// Rooms is how many rooms the clients are spread over. Default 1; the
	// scenario rooms 100.
	Rooms int
	// Publishers is how many members of a room publish to it, in turn. Default 1,
	// so that the order of messages is known before they come; durable 64.
	Publishers int
	// Size is the payload's in bytes, the quotes not counted; at least 25, which
	// carry the time and the number of a message. Default 100.
	Size int
	// Rate is per second: messages published, over all rooms; questions, over
	// all clients; or connections of [Churn]. Default 10 messages to one room
	// and 500 to many, 2,000 questions, 200 connections.
	Rate float64

	// Closed makes echo, durable and churn as fast as the server answers: every
	// client asks, or publisher publishes, again when it has its answer, and
	// Concurrency clients are on their passage at any time. That shows what an operation costs a server with no
	// time to rest; its latency says nothing.
	Closed bool

	// Duration is what is measured. Default 10 s; for idle, how long clients are
	// left alone before memory is read.
	Duration time.Duration
	// WarmUp comes before and is not measured. Default 1 s; negative means none.
	WarmUp time.Duration
	// Concurrency is how many connections may be in the making. Default 64.
	Concurrency int

	// P99, if set, makes the run a search for the highest rate whose 99th
	// percentile stays below it. Each rate is tried for Duration, by default
	// 3 s, beginning at Rate.
	P99 time.Duration
	// SearchTime is how long a search may take, from when all are connected.
	// Default 2 minutes.
	SearchTime time.Duration
	// MaxRate ends a search. Default 20,000 messages or 1,000,000 questions.
	MaxRate float64

	// PID is the server's process, on this machine, whose CPU and memory are
	// read. 0 means they are not.
	PID int
	// Progress, if set, is called about once per second, on the goroutine of the
	// run.
	Progress func(Progress)
}

// A Progress is what a run is doing.
type Progress struct {
	Phase     string // in a word: connecting, warming up, measuring, …
	Clients   int    // connected
	Deliver   int64  // deliveries, acks or cycles within the last second
	P50, P99  time.Duration
	ServerCPU float64 // cores, of the last second; 0 if not known
	OwnCPU    float64 // of the one core that the generator can use
	Rate      float64 // asked for
	RSS       int64   // bytes, of the server; 0 if not known
}

const minSize = stampSize

// target is where Options.URL leads.
type target struct {
	host string // with port, for the Host header
	path string
}

// withDefaults fills in what is zero, and returns all mistakes.
func (o Options) withDefaults() (Options, target, error) {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(slices.Contains(Scenarios(), o.Scenario), "there is no scenario %q: choose one of %s", o.Scenario, strings.Join(Scenarios(), ", "))
	if o.Transport == "" {
		o.Transport = webSocket
		if o.Scenario == Polling {
			o.Transport = longPolling
		}
	}
	check(o.Transport == webSocket || o.Transport == longPolling, "there is no transport %q: websocket or polling", o.Transport)
	to, err := parseTarget(o.URL)
	if err != nil {
		errs = append(errs, err)
	}
	o = o.forScenario()
	def(&o.Rooms, 1)
	def(&o.Clients, 1000)
	def(&o.Publishers, 1)
	def(&o.SearchTime, 2*time.Minute)
	def(&o.Size, 100)
	def(&o.Concurrency, 64)
	def(&o.WarmUp, time.Second)
	def(&o.Duration, 10*time.Second)
	o.WarmUp = max(o.WarmUp, 0)
	check(o.Clients >= 1, "there must be clients")
	check(o.Rooms >= 1 && o.Rooms <= max(o.Clients, 1), "%d rooms for %d clients", o.Rooms, o.Clients)
	check(o.Publishers >= 1, "there must be publishers")
	check(o.Size >= minSize, "a payload has at least %d bytes: the time and the number of a message", minSize)
	check(o.Rate > 0, "the rate must be more than 0")
	check(o.Duration > 0, "the duration must be more than 0")
	check(o.Concurrency > 0, "the concurrency must be more than 0")
	check(o.SearchTime > 0, "the time for searching must be more than 0")
	check(o.P99 >= 0, "the limit of latency must be more than 0")
	check(!o.Closed || (o.Scenario == Echo || o.Scenario == Churn || o.Scenario == Durable) && o.P99 == 0, "only echo, durable and churn can be closed, and without searching")
	check(o.P99 == 0 || o.Scenario != Idle && o.Scenario != Churn, "no rate is searched for in scenario %s", o.Scenario)
	return o, to, errors.Join(errs...)
}

// forScenario sets the defaults that differ between scenarios.
func (o Options) forScenario() Options {
	if o.P99 > 0 {
		def(&o.Duration, 3*time.Second)
	}
	switch o.Scenario {
	case Rooms:
		def(&o.Rooms, 100)
		def(&o.Rate, 500)
	case Durable:
		def(&o.Publishers, 64)
	case Echo:
		def(&o.Clients, 100)
		def(&o.Rate, 2000)
		def(&o.MaxRate, 1e6)
	case Churn:
		def(&o.Rate, 200)
	}
	def(&o.Rate, 10)
	def(&o.MaxRate, 20_000)
	return o
}

// def sets *v to d if it is zero.
func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func parseTarget(text string) (target, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return target{}, fmt.Errorf("the URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "ws" || u.Host == "":
		return target{}, fmt.Errorf("the URL %q is not one such as http://127.0.0.1:3000", text)
	}
	t := target{host: u.Host, path: u.Path}
	if u.Port() == "" {
		t.host += ":80"
	}
	if strings.Trim(t.path, "/") == "" {
		t.path = "/socket.io/"
	}
	return t, nil
}
