package load

import (
	"math"
	"time"
)

// maxLiving is how many clients of churn may be there at once. A server that
// needs more is behind, and the rest of the clients is late.
const maxLiving = 4000

// A passage is clients that come, ask once, and leave.
type passage struct {
	run    *run
	living map[*client]struct{}
	waits  []int64 // when those were due who cannot come yet
	hint   int
	lost   int64
	until  int64 // who leaves before that time is followed by somebody
}

func (p *passage) ready(c *client) {
	p.run.connected++
	r := p.run
	b := appendStamp(append(r.args[:0], `"echo","`...), c.began, 1, r.opts.Size)
	r.args = append(b, '"')
	c.event(r.args, true)
}

func (p *passage) message(*client, []byte) { p.run.counts.strange++ }

func (p *passage) acked(c *client, _ uint64, data []byte) {
	if _, _, ok := readStamp(data, &p.hint); !ok {
		p.run.counts.strange++
	}
	c.leave()
}

func (p *passage) left(c *client, err error) {
	delete(p.living, c)
	if c.asked > 0 {
		p.run.connected--
	}
	if err != nil {
		p.run.failed(err)
		p.lost++
		return
	}
	p.run.completed(c.began)
	if now := p.run.loop.now; now < p.until {
		p.come(now, now)
	}
}

// come lets somebody come who was due.
func (p *passage) come(now, due int64) {
	if len(p.living) >= min(maxLiving, p.run.opts.Clients) {
		p.waits = append(p.waits, due)
		return
	}
	c, err := p.run.connect(p, due)
	if err != nil {
		p.run.failed(err)
		p.lost++
		return
	}
	p.living[c] = struct{}{}
	p.run.lagged(now, due)
}

// churn lets clients come and go.
func (r *run) churn() error {
	r.result.Operation = "cycle"
	p := &passage{run: r, living: make(map[*client]struct{})}
	start := r.loop.clock() + int64(time.Millisecond)
	from := start + int64(r.opts.WarmUp)
	end := from + int64(r.opts.Duration)
	s := schedule{start: start, end: end, interval: 1e9 / r.opts.Rate}
	due := func(now int64) int64 {
		for len(p.waits) > 0 && len(p.living) < min(maxLiving, r.opts.Clients) {
			first := p.waits[0]
			p.waits = p.waits[1:]
			p.come(now, first)
		}
		return s.each(now, func(due int64) { p.come(now, due) })
	}
	if r.opts.Closed {
		r.result.Rate = 0
		p.until, s.end = end, 0
		for range min(r.opts.Concurrency, r.opts.Clients) {
			p.come(start, start)
		}
	}
	r.window.from, r.window.to = from, end
	begin, stop, err := r.between(from, end, due, nil)
	if err != nil {
		return err
	}
	r.ticker.phase = "waiting for the rest"
	patient := r.loop.clock() + int64(patience)
	if err := r.spin(patient, due, func() bool { return len(p.living)+len(p.waits) == 0 }); err != nil {
		return err
	}
	r.window.from = math.MaxInt64
	if r.counts.done == 0 {
		return errNobody
	}
	r.account(begin, stop)
	r.result.Clients = 0
	r.result.Lost = p.lost + int64(len(p.living)+len(p.waits))
	r.result.Latency, r.result.Lag = r.window.latency.summary(), r.window.lag.summary()
	r.result.Curve = r.window.latency.curve()
	r.result.Bottleneck = judge(r.result.Own, r.result.Lag, r.result.Latency)
	return nil
}
