package load

import (
	"fmt"
	"math"
	"time"
)

// idle connects everybody and waits.
func (r *run) idle() error {
	r.result.Operation = "connect"
	w := &crowd{run: r}
	before, err := r.mark()
	if err != nil {
		return err
	}
	if err := w.gather(); err != nil {
		return err
	}
	connected, err := r.mark()
	if err != nil {
		return err
	}
	r.ticker.phase = "resting"
	if err := r.spin(r.loop.clock()+int64(r.opts.Duration), nil, nil); err != nil {
		return err
	}
	after, err := r.mark()
	if err != nil {
		return err
	}
	connected.done += int64(len(w.clients))
	if r.opts.PID != 0 {
		r.result.Server = &Usage{RSSBefore: before.server.rss, RSSConnected: connected.server.rss}
	}
	r.account(before, connected)
	if u := r.result.Server; u != nil {
		u.RSSAfter = after.server.rss
		u.BytesPerClient = round(float64(u.RSSAfter-u.RSSBefore) / float64(r.opts.Clients))
		u.IdleCores = round((after.server.cpu - connected.server.cpu).Seconds() / time.Duration(after.at-connected.at).Seconds())
	}
	r.result.Rate = 0
	r.result.Lost = int64(w.lost)
	r.result.Latency, r.result.Curve = r.handshakes.summary(), r.handshakes.curve()
	r.result.Bottleneck = judge(r.result.Own, Summary{}, r.result.Latency)
	return nil
}

// fanout publishes to one room or many.
func (r *run) fanout() error {
	r.result.Operation = "delivery"
	r.result.Rooms = r.opts.Rooms
	w := &crowd{run: r, rooms: makeRooms(r.opts.Rooms), publishers: r.opts.Publishers, acks: r.opts.Scenario == Durable}
	return r.steady(w, w.publish)
}

// echo asks for acks.
func (r *run) echo() error {
	r.result.Operation = "ack"
	w := &crowd{run: r}
	return r.steady(w, w.ask)
}

// steady gathers a crowd and then sends at one rate, or searches for the best.
func (r *run) steady(w *crowd, emit func(now, due int64)) error {
	before, err := r.mark()
	if err != nil {
		return err
	}
	if err := w.gather(); err != nil {
		return err
	}
	connected, err := r.mark()
	if err != nil {
		return err
	}
	if r.opts.PID != 0 {
		r.result.Server = &Usage{RSSBefore: before.server.rss, RSSConnected: connected.server.rss}
	}
	if r.opts.P99 > 0 {
		return r.search(w, emit)
	}
	_, err = r.step(w, emit, r.opts.Rate)
	return err
}

// step sends at a rate and measures, into the result.
func (r *run) step(w *crowd, emit func(now, due int64), rate float64) (Step, error) {
	start := r.loop.clock() + int64(time.Millisecond)
	from := start + int64(r.opts.WarmUp)
	end := from + int64(r.opts.Duration)
	s := schedule{start: start, end: end, interval: 1e9 / rate}
	due := func(now int64) int64 {
		return s.each(now, func(due int64) { emit(now, due) })
	}
	if r.opts.Closed {
		due, rate = nil, 0
	}
	r.result.Rate = rate
	r.window.latency.h.Reset()
	r.window.lag.h.Reset()
	r.window.acks.h.Reset()
	r.window.from, r.window.to = from, end
	was := r.counts
	w.lost = 0
	hopeless := r.hopeless(was, rate, len(w.clients))
	if r.opts.Closed {
		w.start(end)
	}

	begin, stop, err := r.between(from, end, due, hopeless)
	if err != nil {
		return Step{}, err
	}
	gaveUp := hopeless()
	if err := r.drain(was); err != nil {
		return Step{}, err
	}
	r.window.from = math.MaxInt64
	r.account(begin, stop)
	return r.conclude(w, was, gaveUp), nil
}

// between turns the loop until the measured time begins, and until it ends.
func (r *run) between(from, end int64, due func(now int64) int64, done func() bool) (begin, stop stretch, err error) {
	r.ticker.phase = "warming up"
	if err = r.spin(from, due, done); err != nil {
		return begin, stop, err
	}
	if begin, err = r.mark(); err != nil {
		return begin, stop, err
	}
	r.ticker.phase = "measuring"
	if err = r.spin(end, due, done); err != nil {
		return begin, stop, err
	}
	stop, err = r.mark()
	return begin, stop, err
}

// conclude fills in the result what a step was like.
func (r *run) conclude(w *crowd, was counts, gaveUp bool) Step {
	res := &r.result
	res.Latency, res.Lag = r.window.latency.summary(), r.window.lag.summary()
	res.Curve = r.window.latency.curve()
	if w.acks {
		acks := r.window.acks.summary()
		res.Acks = &acks
	}
	res.Lost = r.counts.missing() - was.missing()
	res.Disorder = r.counts.disorder - was.disorder
	res.Bottleneck = judge(res.Own, res.Lag, res.Latency)
	s := Step{Rate: res.Rate, PerSecond: res.PerSecond, P50: res.Latency.P50, P99: res.Latency.P99}
	if res.Server != nil {
		s.CPU = res.Server.CPUPerOperation
	}
	limit := milliseconds(r.opts.P99)
	switch {
	case gaveUp:
		s.Why = "it fell far behind"
	case w.lost > 0:
		s.Why = fmt.Sprintf("%d clients were cut off", w.lost)
	case res.Lost > 0 || res.Disorder > 0:
		s.Why = fmt.Sprintf("%d lost, %d out of order", res.Lost, res.Disorder)
	case s.P99 >= limit:
		s.Why = "too late"
	default:
		s.OK = true
	}
	return s
}

// hopeless says whether the server is so far behind that the step has failed
// already; only a search asks.
func (r *run) hopeless(was counts, rate float64, members int) func() bool {
	if r.opts.P99 == 0 {
		return func() bool { return false }
	}
	perMessage := 1.0
	if r.result.Rooms > 0 {
		perMessage = float64(members) / float64(r.result.Rooms)
	}
	most := int64(perMessage * (4 + 3*rate*r.opts.P99.Seconds()))
	return func() bool {
		return (r.counts.expected-was.expected)-(r.counts.done-was.done) > most
	}
}

// drain waits for what is still to come.
func (r *run) drain(was counts) error {
	r.ticker.phase = "waiting for the rest"
	seen, since := r.counts.done+r.counts.answered, r.loop.clock()
	return r.spin(math.MaxInt64, nil, func() bool {
		if n := r.counts.done + r.counts.answered; n != seen {
			seen, since = n, r.loop.now
		}
		late := r.loop.clock()-since > int64(2*time.Second)
		return r.counts.missing() <= was.missing() || late
	})
}
