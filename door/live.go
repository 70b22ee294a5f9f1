package door

import (
	"cmp"
	"errors"

	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/internal/origin"
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
// and join; what a stream listens to already it goes on hearing. The error
// lists every mistake, and nothing has changed then.
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
	return nil
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
