package quota

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tutti-rt/tutti/internal/limit"
)

// pacing is what of a quota can change while it is in use, made ready. It does
// not change itself; another takes its place.
type pacing struct {
	exempt  []netip.Prefix
	refusal time.Duration
	shared  func(user string) bool
	made    paces

	connection       [kinds]limit.Rate
	users            [kinds]*limit.Group[string]
	addresses        [kinds]*limit.Group[netip.Prefix]
	rooms            [kinds]*limit.Group[room]
	handshakes       *limit.Bucket
	addressHandshake *limit.Group[netip.Prefix]
	addressMistake   *limit.Group[netip.Prefix]
	networkHandshake *limit.Group[netip.Prefix]
}

// paces are the rates that a pacing was made of.
type paces struct {
	user, address, room          [kinds]limit.Rate
	handshakes, addressHandshake limit.Rate
	busy                         int
}

// newPacing takes over from last, which may be nil, the counts of rates that have
// not changed.
func newPacing(cfg Config, last *pacing) *pacing {
	if cfg.MaxBusy <= 0 {
		cfg.MaxBusy = defaultMaxBusy
	}
	p := &pacing{
		exempt: slices.Clone(cfg.Exempt), shared: cfg.Shared, refusal: cfg.Refusal, connection: cfg.Connection.each(),
		made: paces{
			cfg.User.each(), cfg.Address.each(), cfg.Room.each(),
			limit.Rate(cfg.Handshakes), limit.Rate(cfg.AddressHandshakes), cfg.MaxBusy,
		},
	}
	if last == nil {
		last = &pacing{}
	}
	same := last.made.busy == cfg.MaxBusy
	for k := range kinds {
		p.users[k] = group(last.users[k], same && last.made.user[k] == p.made.user[k], p.made.user[k], cfg.MaxBusy)
		p.addresses[k] = group(last.addresses[k], same && last.made.address[k] == p.made.address[k], p.made.address[k], cfg.MaxBusy)
		p.rooms[k] = group(last.rooms[k], same && last.made.room[k] == p.made.room[k], p.made.room[k], cfg.MaxBusy)
	}
	p.addressHandshake = group(last.addressHandshake, same && last.made.addressHandshake == p.made.addressHandshake, p.made.addressHandshake, cfg.MaxBusy)
	p.addressMistake = group(last.addressMistake, same && last.made.addressHandshake == p.made.addressHandshake, p.made.addressHandshake, cfg.MaxBusy)
	wider := limit.Rate{PerSecond: p.made.addressHandshake.PerSecond * limit.Wider, Burst: max(p.made.addressHandshake.Burst, 1) * limit.Wider}
	p.networkHandshake = group(last.networkHandshake, same && last.made.addressHandshake == p.made.addressHandshake, wider, cfg.MaxBusy)
	if p.handshakes = last.handshakes; p.handshakes == nil || last.made.handshakes != p.made.handshakes {
		p.handshakes = limit.NewBucket(p.made.handshakes)
	}
	return p
}

// group is last, if it is the same, or a new one.
func group[K comparable](last *limit.Group[K], same bool, r limit.Rate, most int) *limit.Group[K] {
	if same && last != nil {
		return last
	}
	return limit.NewGroup[K](r, most)
}
