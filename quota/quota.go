package quota

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-rt/tutti/internal/limit"
)

// Kind is what a peer does.
type Kind uint8

// The kinds.
const (
	Event   Kind = iota // sends something
	Publish             // that is for others
	Join                // joins or leaves a room
	Read                // reads a page

	kinds
)

// String returns the kind's name in the plural, as in [Rates].
func (k Kind) String() string { return [...]string{"events", "publishes", "joins", "reads"}[k] }

// A Quota holds peers to their limits. It is safe for concurrent use.
type Quota struct {
	trace *Trace
	base  time.Time // times of peers count from here: 8 bytes each instead of 24

	pacing       atomic.Pointer[pacing]
	addressCount *limit.Tally[netip.Prefix]
	networkCount *limit.Tally[netip.Prefix]
	userCount    *limit.Tally[string]
	budget       *limit.Budget
}

// room is a room of a namespace.
type room struct{ namespace, name string }

// New returns a quota with nothing in use.
func New(cfg Config) *Quota {
	q := &Quota{
		trace: cfg.Trace, base: time.Now(),
		addressCount: limit.NewTally[netip.Prefix](cfg.MaxAddress), networkCount: limit.NewTally[netip.Prefix](cfg.MaxAddress * limit.Wider),
		userCount: limit.NewTally[string](cfg.MaxUser),
	}
	if q.trace == nil {
		q.trace = &Trace{}
	}
	q.budget = limit.NewBudget(cfg.MaxWaiting, q.shed)
	q.Reload(cfg)
	return q
}

// Reload changes what is allowed, for all that is there and all that comes. What
// is in use stays counted; who has more than it may have now keeps it, and gets no
// more. MaxWaiting and Trace stay as they were.
func (q *Quota) Reload(cfg Config) {
	q.addressCount.SetMost(cfg.MaxAddress)
	q.networkCount.SetMost(cfg.MaxAddress * limit.Wider)
	q.userCount.SetMost(cfg.MaxUser)
	q.pacing.Store(newPacing(cfg, q.pacing.Load()))
}

func (r Rates) each() [kinds]limit.Rate {
	return [kinds]limit.Rate{Event: limit.Rate(r.Events), Publish: limit.Rate(r.Publishes), Join: limit.Rate(r.Joins), Read: limit.Rate(r.Reads)}
}

func (q *Quota) shed(bytes int) {
	q.hit(LimitWaiting)
	if q.trace.Shed != nil {
		q.trace.Shed(bytes)
	}
}

// Budget returns what counts the bytes that wait, nil if q is nil. It is for
// what carries connections.
func (q *Quota) Budget() *limit.Budget {
	if q == nil {
		return nil
	}
	return q.budget
}

// Waiting returns how many bytes wait for all peers together.
func (q *Quota) Waiting() int64 {
	if q == nil {
		return 0
	}
	return q.budget.Used()
}

func (q *Quota) hit(name string) {
	if q.trace.LimitHit != nil {
		q.trace.LimitHit(name)
	}
}

// by is who has reached a limit.
type by struct {
	address netip.Prefix
	user    string
}

func (q *Quota) exceeded(name, text string, wait time.Duration, who by) *Exceeded {
	q.hit(name)
	if q.trace.Refused != nil {
		q.trace.Refused(name, who.address, who.user)
	}
	return &Exceeded{Limit: name, Text: text, Wait: wait}
}

// Handshake is asked before anything is kept of who comes: remote is the
// "host:port" of its address.
func (q *Quota) Handshake(remote string) error {
	if q == nil {
		return nil
	}
	// The address first: one that comes too often must not use up what is for all.
	a, counts := q.counted(remote)
	if counts {
		if wait, ok := q.pacing.Load().addressHandshake.Take(a); !ok {
			return q.exceeded(LimitAddressHandshakes, "too many connections from this address", wait, by{address: a})
		}
		if wide := limit.WideOf(a); wide.IsValid() {
			if wait, ok := q.pacing.Load().networkHandshake.Take(wide); !ok {
				return q.exceeded(LimitNetworkHandshakes, "too many connections from this network", wait, by{address: wide})
			}
		}
	}
	if wait, ok := q.pacing.Load().handshakes.Take(); !ok {
		return q.exceeded(LimitHandshakes, "too many connections", wait, by{address: a})
	}
	return nil
}

// Mistake is told of a request that makes no sense, as one for a session that
// nobody knows. An address may make as many as handshakes.
func (q *Quota) Mistake(remote string) error {
	if q == nil {
		return nil
	}
	a, counts := q.counted(remote)
	if counts {
		if wait, ok := q.pacing.Load().addressMistake.Take(a); !ok {
			return q.exceeded(LimitAddressMistakes, "too many mistakes from this address", wait, by{address: a})
		}
	}
	return nil
}

// Refusal returns how long the answer to a request is to wait that was refused
// because of a limit: somewhere between half of [Config.Refusal] and all of it.
func (q *Quota) Refusal() time.Duration {
	if q == nil {
		return 0
	}
	most := q.pacing.Load().refusal
	if most <= 0 {
		return 0
	}
	return most/2 + rand.N(most/2+1)
}

// counted returns the network of an address, and whether its limits apply.
func (q *Quota) counted(remote string) (netip.Prefix, bool) {
	a := limit.Address(remote)
	if !a.IsValid() {
		return netip.Prefix{}, false // not a network's: a socket in the file system
	}
	return limit.NetworkOf(a), !slices.ContainsFunc(q.pacing.Load().exempt, func(p netip.Prefix) bool { return p.Contains(a) })
}

// sessionsWait is what a peer is told to wait whose address or user has as many
// connections as it may: nobody knows when one ends.
const sessionsWait = 5 * time.Second

// Enter counts a connection that has begun, until [Peer.Leave].
func (q *Quota) Enter(remote string) (*Peer, error) {
	if q == nil {
		return nil, nil
	}
	p := q.Visitor(remote)
	if p.counts && !q.addressCount.Take(p.address) {
		return nil, q.exceeded(LimitAddressSessions, "too many connections from this address", sessionsWait, by{address: p.address})
	}
	if wide := limit.WideOf(p.address); p.counts && wide.IsValid() && !q.networkCount.Take(wide) {
		q.addressCount.Give(p.address)
		return nil, q.exceeded(LimitNetworkSessions, "too many connections from this network", sessionsWait, by{address: wide})
	}
	p.entered = true
	q.budget.Queues(1)
	return p, nil
}

// Visitor returns a peer that is no connection but a single request: it counts
// against its user, its address and its rooms only.
func (q *Quota) Visitor(remote string) *Peer {
	if q == nil {
		return nil
	}
	p := &Peer{quota: q}
	p.address, p.counts = q.counted(remote)
	return p
}

// A Peer is a connection, or somebody who sent a request. It is safe for
// concurrent use.
type Peer struct {
	quota   *Quota
	address netip.Prefix
	counts  bool // it is held to the limits of addresses
	entered bool // it is a connection

	mu    sync.Mutex
	full  [kinds + 1]time.Duration // when its buckets are full again, after the quota's base; the last is patience
	users []string                 // whom it is counted for
	left  bool
}

// patience is the bucket of what is refused to a connection.
const patience = kinds

// Leave gives back what the connection counts for. It may be called again.
func (p *Peer) Leave() {
	if p == nil || !p.entered {
		return
	}
	p.mu.Lock()
	left, users := p.left, p.users
	p.left, p.users = true, nil
	p.mu.Unlock()
	if left {
		return
	}
	p.quota.budget.Queues(-1)
	if p.counts {
		p.quota.addressCount.Give(p.address)
		if wide := limit.WideOf(p.address); wide.IsValid() {
			p.quota.networkCount.Give(wide)
		}
	}
	for _, u := range users {
		p.quota.userCount.Give(u)
	}
}

// Identify counts the connection for a user, once. "" is nobody.
func (p *Peer) Identify(user string) error {
	if p == nil || !p.entered || !p.quota.isUser(user) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left || slices.Contains(p.users, user) {
		return nil
	}
	if !p.quota.userCount.Take(user) {
		return p.quota.exceeded(LimitUserSessions, "too many connections of this user", sessionsWait, by{p.address, strings.Clone(user)})
	}
	p.users = append(p.users, strings.Clone(user))
	return nil
}

func (q *Quota) isUser(user string) bool {
	shared := q.pacing.Load().shared
	return user != "" && (shared == nil || !shared(user))
}

// Take counts what the peer does for itself, for the user, "" being nobody, and
// for its address. What is refused was counted as far as it came.
func (p *Peer) Take(k Kind, user string) error { return p.takeMany(k, user, 1) }

// perEvent is how many bytes a message may have that counts as one.
const perEvent = 8 << 10

// TakeBytes counts the size of a message as that of so many events, for each
// 8 KiB: to read it is work, whatever it says. One that is shorter counts when
// it is an event.
func (p *Peer) TakeBytes(size int) error {
	if size < perEvent {
		return nil
	}
	return p.takeMany(Event, "", size/perEvent)
}

func (p *Peer) takeMany(k Kind, user string, n int) error {
	if p == nil {
		return nil
	}
	q := p.quota
	now := q.pacing.Load()
	if p.entered {
		if wait, ok := p.take(k, now.connection[k], n); !ok {
			return q.tooMany(ofConnection, k, wait, by{p.address, user})
		}
	}
	if q.isUser(user) {
		if wait, ok := now.users[k].TakeMany(user, n); !ok {
			return q.tooMany(ofUser, k, wait, by{p.address, user})
		}
	}
	if p.counts {
		if wait, ok := now.addresses[k].TakeMany(p.address, n); !ok {
			return q.tooMany(ofAddress, k, wait, by{p.address, user})
		}
	}
	return nil
}

// TakeRoom counts what somebody does for a room of a namespace.
func (p *Peer) TakeRoom(k Kind, namespace, name string) error {
	if p == nil {
		return nil
	}
	if wait, ok := p.quota.pacing.Load().rooms[k].Take(room{namespace, name}); !ok {
		return p.quota.tooMany(ofRoom, k, wait, by{address: p.address})
	}
	return nil
}

func (q *Quota) tooMany(of string, k Kind, wait time.Duration, who by) *Exceeded {
	text := "too many " + [kinds]string{"events", "messages published", "rooms joined or left", "pages read"}[k]
	if of != ofConnection {
		text += " of this " + of
	}
	return q.exceeded(of+" "+k.String(), text, wait, who)
}

// Patience counts a refusal, and says whether the connection may have more of
// them, a tenth as often as events: one that goes on in spite of them is not worth
// an answer each time.
func (p *Peer) Patience() bool {
	if p == nil || !p.entered {
		return true
	}
	r := p.quota.pacing.Load().connection[Event]
	// A tenth of what it may do: who overshoots by mistake stops by then.
	r.PerSecond, r.Burst = r.PerSecond/10, max(r.Burst/10, 1)
	_, ok := p.take(patience, r, 1)
	return ok
}

// Reached says that the peer reached a limit that is not the quota's, in the words
// of the stage that keeps it, so that who did can be named.
func (p *Peer) Reached(stage, limit string) {
	if p == nil || p.quota.trace.Reached == nil {
		return
	}
	p.mu.Lock()
	user := ""
	if len(p.users) > 0 {
		user = p.users[len(p.users)-1]
	}
	p.mu.Unlock()
	p.quota.trace.Reached(stage, limit, p.address, user)
}

func (p *Peer) take(i Kind, r limit.Rate, n int) (wait time.Duration, ok bool) {
	if !r.Limited() {
		return 0, true
	}
	now := time.Since(p.quota.base)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full[i], wait, ok = r.Take(p.full[i], now, n)
	return wait, ok
}
