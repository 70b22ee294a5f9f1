package door

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/internal/origin"
	"github.com/tutti-rt/tutti/verb"
)

// Live is what of a door's configuration can change while it is open. The
// fields mean what they mean in the door's own configuration, and zero is the
// same default; what a door has no use for it ignores.
type Live struct {
	Listen  Access // ReadConfig.Read, for a door that reads
	Publish Access
	Origins []string
	// Credentials lets the pages of Origins send cookies.
	Credentials bool
	MaxStreams  int
	Rate        float64
	Burst       int
	KeyRate     float64
	KeyBurst    int
}

// live is a Live made ready.
type live struct {
	origins         *origin.Policy
	listen, publish *access
	most            int        // streams; negative: no limit
	rate            limit.Rate // of what one WebSocket sends
	pace            *pace      // of requests
}

// Reload changes who may come in, and how many and how often. It holds for what
// comes from now on: for requests, and for what streams that are open publish
// and join. A stream that listens to what it may not hear any more ends, and comes
// back to what is left: by the desk's rules too, so that [verb.Desk.Reload] comes
// first. Reload asks the desk for each of their rooms, one after the other, and
// waits for its Permit. The error lists every mistake, and nothing has changed then.
func (d *Door) Reload(cfg Live) error {
	policy, err := origin.New(cfg.Origins, cfg.Credentials)
	listen := "Listen"
	if d.kind == "history" || d.kind == "presence" {
		listen = "Read"
	}
	if err = errors.Join(err, cfg.Listen.validate(listen), cfg.Publish.validate("Publish")); err != nil {
		return err
	}
	if d.relays {
		// Nobody can name a room in a relay, so that this is everyone only.
		cfg.Listen = Access{Rooms: []string{"*"}}
		cfg.Publish = cfg.Listen
	}
	keys := max(len(cfg.Listen.Keys), len(cfg.Publish.Keys))
	if d.kind == "disconnect" {
		keys = mostBackends
	}
	next := &live{
		origins: policy, listen: newAccess(cfg.Listen), publish: newAccess(cfg.Publish),
		most: cmp.Or(cfg.MaxStreams, defaultMaxStreams),
		rate: limit.Rate{PerSecond: cmp.Or(cfg.Rate, 200), Burst: cmp.Or(cfg.Burst, 400)},
		pace: newPace(
			limit.Rate{PerSecond: cmp.Or(cfg.Rate, 10), Burst: cmp.Or(cfg.Burst, 50)},
			limit.Rate{PerSecond: cmp.Or(cfg.KeyRate, 1000), Burst: cmp.Or(cfg.KeyBurst, 2000)},
			keys),
	}
	if last := d.live.Load(); last != nil && last.pace.same(next.pace) {
		next.pace = last.pace // with what it has counted
	}
	d.live.Store(next)
	d.review()
	return nil
}

// review ends the streams that hear what they may not hear any more.
func (d *Door) review() {
	d.mu.Lock()
	all := slices.Collect(maps.Keys(d.streams))
	d.mu.Unlock()
	for _, c := range all {
		d.reviewOne(c)
	}
}

// reviewSince is for who has been allowed something by what held before, and was
// not among those that were reviewed, perhaps.
func (d *Door) reviewSince(before *live, c client) {
	if d.now() != before {
		d.reviewOne(c)
	}
}

func (d *Door) reviewOne(c client) {
	ok := false // also if the desk panics
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("panic in permissions", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		}
		if !ok {
			c.Expel(auth.Refuse(auth.Disconnected, "what you may do has changed: connect anew"))
		}
	}()
	ok = d.mayHear(c.hearing())
}

// hearing is what a stream hears on its client's request.
type hearing struct {
	by       grant // as it was when the stream began
	everyone bool
	rooms    []string
	seat     *hub.Seat // nil while it has none
}

func (d *Door) mayHear(h hearing) bool {
	g := d.now().listen.renew(h.by)
	if h.everyone && g.allow(verb.Join, nil) != nil {
		return false
	}
	permits := func(v verb.Verb, room string) bool {
		return d.desk != nil && d.desk.Permits(g.known(g.ctx), d.caller(h.seat, g, nil), v, room)
	}
	for _, room := range h.rooms {
		if !g.may(verb.Join, room) && !permits(verb.Join, room) {
			return false
		}
	}
	if h.seat == nil {
		return true
	}
	_, watched := h.seat.Asked()
	return !slices.ContainsFunc(watched, func(room string) bool {
		return !permits(verb.Presence, room) // the door itself opens no presence
	})
}

// now is what holds now.
func (d *Door) now() *live { return d.live.Load() }

// renew returns what the bearer of a grant may do now.
func (a *access) renew(g grant) grant {
	for i := range a.keys {
		if g.key == a.keys[i].name && g.hash == a.keys[i].hash {
			g.rooms = a.keys[i].rooms
			return g
		}
	}
	g.rooms, g.locks = a.anyone, len(a.keys) > 0
	return g
}
