package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config sets up an [Authority]. Zero values mean the defaults.
type Config struct {
	// Verifiers are asked in this order. The first that knows the kind of what
	// was shown decides.
	Verifiers []Verifier
	// AllowAnonymous lets in who shows nothing, to do what rules open to anyone.
	// Who shows what does not hold is refused in any case. Default: refused.
	AllowAnonymous bool
	// AllowUnknown lets in as anonymous who shows a token that no verifier knows,
	// as it would be without an authority. It goes with AllowAnonymous.
	AllowUnknown bool
	// Grants are what identities may do.
	Grants []Grant
	// Claim is the claim with the permissions that a token holds itself:
	// {"rooms": {"chat:*": ["join"]}}. Default "tutti"; "-": none.
	Claim string
	// Grace is how long before its identity expires a connection is told so, to
	// renew it; if it has not, it ends with it. Who is known for less than twice
	// that is told when half of it is over. Default 10 s; negative: nobody is told.
	Grace time.Duration
	// RevokeFor is how long a revocation is remembered that does not say until when
	// it holds: longer than any token lasts. Default 24 h.
	RevokeFor time.Duration
	// MaxRevocations is how many revocations are remembered. Default 100,000.
	MaxRevocations int
	// Revoked, if set, is called for every revocation before it is answered, by
	// who keeps them longer than the process lives. Who comes with them gives them
	// to [Register.Revoke], which calls it again. With an error it has not kept
	// this one, and who revokes is told so.
	Revoked func(v Revocation) error
	// Trace, if set, is told what happens.
	Trace *Trace
}

// Trace observes an authority. Any of its functions may be nil. They are called
// from many goroutines and must not wait.
type Trace struct {
	Identified func(m Method)
	Refused    func(c Code)
	LimitHit   func(limit string) // "grants" of one identity, "revocations"
	Revoked    func(err error)    // nil, or why it will not hold as long as it should
	// Outlasts tells of a token that lasts longer than revocations of its user are
	// remembered: when they are forgotten, it is good again.
	Outlasts func(id *Identity)
}

// An Authority says who somebody is, and what they may do. It is safe for
// concurrent use.
type Authority struct {
	policy   atomic.Pointer[policy]
	register *Register
	stranger *Identity
	reload   sync.Mutex // held to change policy
}

// A policy is a Config made ready.
type policy struct {
	cfg   Config
	rules []rule
	epoch uint64 // grows with each
}

// New returns an authority. Its error lists all that is wrong with cfg.
func New(cfg Config) (*Authority, error) {
	a := &Authority{register: NewRegister(cmp.Or(cfg.Grace, 10*time.Second)), stranger: &Identity{Method: Anonymous}}
	a.register.most = cmp.Or(cfg.MaxRevocations, defaultMaxRevocations)
	a.register.onRevoke = cfg.Revoked
	if cfg.Trace != nil {
		a.register.onLimit, a.register.onDone = cfg.Trace.LimitHit, cfg.Trace.Revoked
	}
	if err := a.Reload(cfg); err != nil {
		return nil, err
	}
	return a, nil
}

// Reload puts another configuration to use, but for Grace, MaxRevocations and
// Revoked. Who was let in keeps its identity until that expires, is renewed or is
// ended by the [Register], whatever Verifiers say; what it may do changes with
// Grants and Claim at once, if its connection is a [Regranted]. The error lists
// all that is wrong with cfg, and nothing has changed then.
func (a *Authority) Reload(cfg Config) error {
	cfg.Claim = cmp.Or(cfg.Claim, "tutti")
	cfg.Verifiers = slices.Clone(cfg.Verifiers)
	if cfg.Trace == nil {
		cfg.Trace = &Trace{}
	}
	next := &policy{cfg: cfg}
	var errs []error
	for i, g := range cfg.Grants {
		r, err := newRule(g)
		if err != nil {
			errs = append(errs, fmt.Errorf("auth: Grants[%d]: %w", i, err))
		}
		next.rules = append(next.rules, r)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	a.register.keepFor(cmp.Or(cfg.RevokeFor, defaultKeep))
	a.reload.Lock()
	defer a.reload.Unlock()
	last := a.policy.Load()
	next.epoch = 1
	if last != nil {
		next.epoch = last.epoch
	}
	changes := last != nil && !last.cfg.grantsAs(&next.cfg)
	if changes {
		next.epoch++
	}
	a.policy.Store(next)
	if changes {
		a.regrant(next.epoch)
	}
	return nil
}

// Asks says whether it asks anybody anything: not if it lets in all strangers and
// knows no credentials.
func (a *Authority) Asks() bool {
	cfg := &a.policy.Load().cfg
	return len(cfg.Verifiers) > 0 || !cfg.AllowAnonymous || !cfg.AllowUnknown
}

// Register returns the register of connections.
func (a *Authority) Register() *Register { return a.register }

// Identify says whose credentials these are. Who shows none is the anonymous
// identity, if that is allowed. Its error is a [*Refusal].
func (a *Authority) Identify(ctx context.Context, c Credentials) (*Identity, error) {
	asked := a.register.Now() // before the policy is taken
	p := a.policy.Load()
	id, err := a.identify(ctx, p, c, asked)
	if err != nil {
		refusal := refusalOf(err)
		if p.cfg.Trace.Refused != nil {
			p.cfg.Trace.Refused(refusal.Code)
		}
		return nil, refusal
	}
	if p.cfg.Trace.Identified != nil {
		p.cfg.Trace.Identified(id.Method)
	}
	return id, nil
}

// refusalOf makes sure that nothing of an unforeseen error is told.
func refusalOf(err error) *Refusal {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	return &Refusal{Code: Unavailable, Message: "who you are cannot be checked now", Err: err}
}

func (a *Authority) identify(ctx context.Context, p *policy, c Credentials, asked Moment) (*Identity, error) {
	for _, v := range p.cfg.Verifiers {
		id, err := v.Verify(ctx, c)
		if err != nil {
			return nil, err
		}
		if id != nil {
			id, err = a.admit(a.policy.Load(), id) // asking may have taken a while
			if err == nil {
				id.asked = uint64(asked)
			}
			return id, err
		}
	}
	switch {
	case c.Token != "" && !p.cfg.AllowUnknown:
		return nil, Refuse(InvalidToken, "the token is not known")
	case p.cfg.AllowAnonymous:
		return a.stranger, nil
	}
	return nil, Refuse(Unauthorized, "a token is wanted")
}

// admit looks at what a verifier returned, and gives it its grants.
func (a *Authority) admit(p *policy, id *Identity) (*Identity, error) {
	switch {
	case id.Subject == "":
		return nil, Refuse(InvalidToken, "the token names no user")
	case id.Method != ByKey && strings.HasPrefix(id.Subject, keySubject):
		return nil, Refuse(InvalidToken, "no user's name may begin with "+keySubject)
	case id.Expired(time.Now()):
		return nil, Refuse(Expired, "the token has expired")
	}
	if err := a.register.check(id); err != nil {
		return nil, err
	}
	if p.cfg.Trace.Outlasts != nil && id.Method == ByToken && time.Until(id.Expiry) > a.register.RevokeFor() {
		p.cfg.Trace.Outlasts(id)
	}
	copied := *id
	copied.grants = nil
	if err := p.grant(&copied); err != nil {
		return nil, err
	}
	return &copied, nil
}

func (p *policy) grant(id *Identity) error {
	id.epoch = p.epoch
	for i := range p.rules {
		if p.rules[i].holds(id) {
			id.grants = p.rules[i].grant(id, id.grants)
		}
	}
	held := []Rooms{id.Rooms}
	if id.Method == ByToken && p.cfg.Claim != "-" {
		rooms, err := roomsOf(id.Claims, p.cfg.Claim)
		if err != nil {
			return &Refusal{Code: InvalidToken, Message: "the permissions in the token cannot be read", Err: err}
		}
		held = append(held, rooms)
	}
	for _, rooms := range held {
		for pattern, list := range rooms {
			may, err := maskOf(list)
			if err != nil {
				return &Refusal{Code: InvalidToken, Message: "the permissions cannot be read", Err: err}
			}
			id.grants = append(id.grants, granted{plainPattern(pattern), may})
		}
	}
	if len(id.grants) > maxGrants {
		if p.cfg.Trace.LimitHit != nil {
			p.cfg.Trace.LimitHit("grants")
		}
		return Refuse(InvalidToken, "more permissions than one user may have")
	}
	return nil
}
