package auth

import (
	"reflect"
	"slices"
	"time"
)

// A Regranted is a [Connection] that wants to know when what its peer may do has
// changed, by [Authority.Reload].
type Regranted interface {
	Connection
	// Regrant is called as the methods of Connection are. It calls review with the
	// identity that it goes by then.
	Regrant(review Review)
}

// A Review returns an identity with what it may do now, and whether it may do
// less than before. Its error is a [*Refusal]: nothing at all.
type Review func(id *Identity) (now *Identity, less bool, err error)

// regrant has the connections that there are reviewed, and those whose identity is
// of before when they are entered.
func (a *Authority) regrant(epoch uint64) {
	for _, c := range a.register.begin(epoch, a.review) {
		if r, ok := c.(Regranted); ok {
			r.Regrant(a.review)
		}
	}
}

func (a *Authority) review(id *Identity) (*Identity, bool, error) {
	if id == nil || id.Method == Anonymous {
		return id, false, nil
	}
	now := *id
	now.grants = nil
	if err := a.policy.Load().grant(&now); err != nil {
		return nil, true, refusalOf(err)
	}
	return &now, !covers(now.grants, id.grants), nil
}

// covers says whether each of some grants is among others.
func covers(all, some []granted) bool {
	for _, g := range some {
		left := g.may
		for _, other := range all {
			if slices.Equal(other.rooms, g.rooms) {
				left &^= other.may
			}
		}
		if left != 0 {
			return false
		}
	}
	return true
}

// grantsAs says whether two configurations grant the same.
func (cfg *Config) grantsAs(other *Config) bool {
	return cfg.Claim == other.Claim && reflect.DeepEqual(cfg.Grants, other.Grants)
}

// begin begins an epoch of grants, and returns the connections of users.
func (r *Register) begin(epoch uint64, review Review) []Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch, r.review = epoch, review
	var list []Connection
	for _, first := range r.heads[byUser] {
		for e := first; e != nil; e = e.next[byUser] {
			list = append(list, e.conn)
		}
	}
	return list
}

// lateLocked has an entry reviewed whose identity was found out before the epoch
// began.
func (e *Entry) lateLocked(id *Identity) {
	r := e.register
	if c, ok := e.conn.(Regranted); ok && id.epoch != 0 && id.epoch < r.epoch {
		review := r.review
		time.AfterFunc(0, func() { c.Regrant(review) }) // whoever enters may hold what Regrant needs
	}
}
