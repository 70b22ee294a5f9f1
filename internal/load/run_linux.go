package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A run is the state of one run. All of it belongs to one goroutine.
type run struct {
	ctx      context.Context // the caller's, looked at between turns; a run is one call
	opts     Options
	target   target
	loop     *loop
	addr     unix.Sockaddr
	sources  int // addresses of this machine to connect from; 0 leaves it to the kernel
	dialed   int
	upgrade  []byte // the request for a WebSocket
	poll     string // the path of a poll that opens a session
	scratch  []byte
	args     []byte
	seed     uint32
	started  time.Time
	errors   map[string]int
	lastFail error

	connected  int // clients that are in the crowd, or on their way through
	handshakes meter
	counts     counts
	window     window
	ticker     ticker
	result     Result
}

// counts are of operations since the start.
type counts struct {
	expected, done, disorder, strange int64
	asked, answered                   int64 // acks of messages
}

// missing is what was due and has not come.
func (c counts) missing() int64 { return c.expected - c.done + c.asked - c.answered }

// A window is the time that is measured, in the loop's nanoseconds, and what was
// seen of the operations that were due in it.
type window struct {
	from, to           int64
	latency, lag, acks meter
}

// Run drives a server as o says until it has measured it, or the context ends.
// The error lists all mistakes in o, or says why nothing could be measured; what
// clients met is in the result.
func Run(ctx context.Context, o Options) (*Result, error) {
	o, to, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	// The thread is measured, and may have a core of its own.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, err := newRun(ctx, o, to)
	if err != nil {
		return nil, err
	}
	defer r.loop.close()
	switch o.Scenario {
	case Idle:
		err = r.idle()
	case Echo:
		err = r.echo()
	case Churn:
		err = r.churn()
	default:
		err = r.fanout()
	}
	if err != nil {
		return nil, err
	}
	return r.finish(), nil
}

func newRun(ctx context.Context, o Options, to target) (*run, error) {
	perClient := 1
	if o.Transport == longPolling {
		perClient = 2
	}
	if err := raiseLimit(o.Clients*perClient + 50); err != nil {
		return nil, err
	}
	addr, loopback, err := resolve(to.host)
	if err != nil {
		return nil, err
	}
	r := &run{
		ctx: ctx, opts: o, target: to, addr: addr, started: time.Now(), seed: 2463534242,
		errors: make(map[string]int), handshakes: newMeter(),
		window: window{from: math.MaxInt64, latency: newMeter(), lag: newMeter(), acks: newMeter()},
	}
	if loopback {
		r.sources = 8 + o.Clients*perClient/10_000
	}
	sep := "?"
	if strings.Contains(to.path, "?") {
		sep = "&"
	}
	path := (&url.URL{Path: to.path}).EscapedPath() + sep + "EIO=4&transport="
	r.poll = path + longPolling
	r.upgrade = []byte("GET " + path + webSocket + " HTTP/1.1\r\nHost: " + to.host +
		"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dHV0dGkgYmVuY2ggbG9hZA==\r\n\r\n")
	if r.loop, err = newLoop(); err != nil {
		return nil, err
	}
	r.result = Result{Scenario: o.Scenario, Transport: o.Transport, URL: o.URL, Started: r.started, Clients: o.Clients, Size: o.Size, Rate: o.Rate, Closed: o.Closed}
	if err := r.ticker.begin(r); err != nil {
		r.loop.close()
		return nil, err
	}
	return r, nil
}

// dial opens a connection to the server.
func (r *run) dial(owner handler) (*sock, error) {
	var from *[4]byte
	if r.sources > 0 {
		from = &[4]byte{127, 0, 0, byte(1 + r.dialed%r.sources)}
	}
	r.dialed++
	return r.loop.dial(r.addr, from, owner)
}

// random is for masks: nobody has to be unable to guess them.
func (r *run) random() uint32 {
	r.seed ^= r.seed << 13
	r.seed ^= r.seed >> 17
	r.seed ^= r.seed << 5
	return r.seed
}

func (r *run) failed(err error) {
	r.lastFail = err
	r.errors[err.Error()]++
}

// spin turns the loop until done, if that is not nil, or the time is over. due
// does what is due now and returns when it wants to be called again.
func (r *run) spin(until int64, due func(now int64) int64, done func() bool) error {
	for done == nil || !done() {
		now := r.loop.clock()
		if now >= until {
			return nil
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
		next := min(until, r.ticker.next)
		if due != nil {
			next = min(next, due(now))
		}
		if err := r.loop.turn(next); err != nil {
			return err
		}
		r.ticker.look(r)
	}
	return nil
}

// A schedule says when things are due: at even distances, whatever happens.
type schedule struct {
	start, end int64
	interval   float64
	sent       int64
}

// maxBurst keeps a generator that is late from not reading at all.
const maxBurst = 2000

// each calls emit for what is due until now and returns when the next is.
func (s *schedule) each(now int64, emit func(due int64)) (next int64) {
	for range maxBurst {
		due := s.start + int64(float64(s.sent)*s.interval)
		if due >= s.end {
			return math.MaxInt64
		}
		if due > now {
			return due
		}
		s.sent++
		emit(due)
	}
	return now
}

// completed counts an operation that was due at a time.
func (r *run) completed(due int64) {
	now := r.loop.now
	r.counts.done++
	r.ticker.second.record(now - due)
	if due >= r.window.from && due < r.window.to {
		r.window.latency.record(now - due)
	}
}

// lagged notes how late something was sent.
func (r *run) lagged(now, due int64) {
	if due >= r.window.from {
		r.window.lag.record(now - due)
	}
}

var errNobody = errors.New("load: nobody could connect")

// finish completes the result.
func (r *run) finish() *Result {
	res := &r.result
	res.Handshake = r.handshakes.summary()
	res.Series = r.ticker.samples
	if len(r.errors) > 0 {
		res.Errors = r.errors
	}
	if r.counts.strange > 0 {
		r.errors["events without a payload of ours"] += int(r.counts.strange)
		res.Errors = r.errors
	}
	return res
}

// judge says why a measurement is the generator's, if it is.
func judge(own Usage, lag, latency Summary) string {
	switch {
	case own.Cores >= 0.9:
		return fmt.Sprintf("the generator was busy for %.0f %% of its core", own.Cores*100)
	case lag.P99 > 2 && lag.P99 > latency.P99/5:
		why := "it had too much to do at once"
		if own.Waited > 0.2 {
			why = fmt.Sprintf("other programs had its core for %.0f %% of the time it needed", own.Waited*100)
		}
		return fmt.Sprintf("the generator sent 1 of 100 messages %.1f ms late or later: %s", lag.P99, why)
	}
	return ""
}
