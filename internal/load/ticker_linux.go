package load

import (
	"os"
	"time"
)

// A ticker looks at the run once per second.
type ticker struct {
	next    int64
	last    int64
	phase   string
	done    int64
	server  reading
	own     reading
	second  meter
	samples []Sample
}

func (t *ticker) begin(r *run) error {
	t.second = newMeter()
	t.last = r.loop.clock()
	t.next = t.last + int64(time.Second)
	var err error
	t.server, t.own, err = r.readings()
	return err
}

// readings reads the server's process, if it is known, and our own.
func (r *run) readings() (server, own reading, err error) {
	if r.opts.PID != 0 {
		if server, err = readProcess(r.opts.PID); err != nil {
			return server, own, err
		}
	}
	own, err = readOwn()
	return server, own, err
}

// look takes a sample if it is time to.
func (t *ticker) look(r *run) {
	now := r.loop.clock()
	if now < t.next {
		return
	}
	took := time.Duration(now - t.last)
	t.next = max(t.next+int64(time.Second), now)
	server, own, err := r.readings()
	if err != nil {
		r.failed(err) // the server is gone; its clients will notice too
	}
	done := r.counts.done - t.done
	s := Sample{
		At:        round(float64(now) / 1e9),
		Phase:     t.phase,
		PerSecond: round(float64(done) / took.Seconds()),
		P50:       milliseconds(t.second.at(50)),
		P99:       milliseconds(t.second.at(99)),
		OwnCPU:    round((own.cpu - t.own.cpu).Seconds() / took.Seconds()),
		Clients:   r.connected,
	}
	if r.opts.PID != 0 && err == nil {
		s.ServerCPU = round((server.cpu - t.server.cpu).Seconds() / took.Seconds())
		s.RSS = server.rss
	}
	t.samples = append(t.samples, s)
	if r.opts.Progress != nil {
		r.opts.Progress(Progress{
			Phase: t.phase, Clients: r.connected, Deliver: int64(s.PerSecond), Rate: r.result.Rate,
			P50: t.second.at(50), P99: t.second.at(99), ServerCPU: s.ServerCPU, OwnCPU: s.OwnCPU, RSS: s.RSS,
		})
	}
	t.last, t.done, t.server, t.own = now, r.counts.done, server, own
	t.second.h.Reset()
}

// A stretch is a time whose CPU is counted.
type stretch struct {
	at          int64
	done        int64
	answered    int64
	server, own reading
}

func (r *run) mark() (stretch, error) {
	server, own, err := r.readings()
	return stretch{r.loop.clock(), r.counts.done, r.counts.answered, server, own}, err
}

// account fills in the result what was done and taken between two marks.
func (r *run) account(from, to stretch) {
	took := time.Duration(to.at - from.at)
	res := &r.result
	res.Seconds = round(took.Seconds())
	res.Done = to.done - from.done
	res.PerSecond = round(float64(res.Done) / took.Seconds())
	res.Published = round(float64(to.answered-from.answered) / took.Seconds())
	res.Own = usage(os.Getpid(), from.own, to.own, took, res.Done)
	if r.opts.PID != 0 {
		u := usage(r.opts.PID, from.server, to.server, took, res.Done)
		if res.Server != nil {
			u.RSSBefore, u.RSSConnected = res.Server.RSSBefore, res.Server.RSSConnected
		}
		res.Server = &u
	}
}
