package auth

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Connection is something that lasts and belongs to somebody: a socket or a
// stream. Its methods are called by any goroutine, without a lock, and must not
// wait.
type Connection interface {
	// Expiring says that the identity is about to expire. Unless it is renewed,
	// Expel follows when that much time is over.
	Expiring(left time.Duration)
	// Expel ends the connection, and tells its peer why. It may be called more
	// than once, and after the connection's end.
	Expel(why *Refusal)
}

// A Register knows the connections of each user and each token of this
// process, and ends them. It is safe for concurrent use. What it does to the
// connections of one user takes time for these alone, however many others there
// are.
type Register struct {
	notice   time.Duration // before the end
	most     int           // revocations
	onLimit  func(limit string)
	onRevoke func(v Revocation) error
	onDone   func(err error)
	others   func(ctx context.Context, o Order) (int, error) // nil: there are none

	keep atomic.Int64 // nanoseconds, see RevokeFor

	mu      sync.Mutex
	heads   [2]map[string]*Entry // byUser, byToken
	revoked map[string]Revocation
	clock   clock
	ends    uint64            // how often EndKey was called, and one
	ended   map[string]uint64 // subjects of keys: the last time, of ends
	epoch   uint64            // of grants
	review  Review            // from the second on
}

// The lists that an entry may be in.
const (
	byUser = iota
	byToken
)

// defaultMaxRevocations are about 20 MB.
const defaultMaxRevocations = 100_000

// NewRegister returns an empty register, in which a connection is told that much
// time before its identity expires that it does.
func NewRegister(notice time.Duration) *Register {
	r := &Register{
		notice: max(notice, 0), most: defaultMaxRevocations,
		heads:   [2]map[string]*Entry{make(map[string]*Entry), make(map[string]*Entry)},
		revoked: make(map[string]Revocation), ended: make(map[string]uint64), ends: 1,
		clock: clock{wall: wall},
	}
	r.keepFor(defaultKeep)
	return r
}

// An Entry is a connection's place in a [Register].
type Entry struct {
	register *Register
	conn     Connection

	// Under register.mu.
	key    [2]string // "": not in that list
	next   [2]*Entry
	prev   [2]*Entry
	issued int64 // nanoseconds since 1970; 0: not known
	gone   bool
	end    ending
}

// Enter registers a connection under the subject and the token of its identity,
// until [Entry.Leave]. It fails with a [*Refusal] if they have been revoked
// meanwhile.
func (r *Register) Enter(c Connection, id *Identity) (*Entry, error) {
	e := &Entry{register: r, conn: c}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.checkLocked(id); err != nil {
		e.gone = true
		return nil, err
	}
	e.setLocked(id)
	return e, nil
}

// Renew puts the connection under another identity, which begins a new time. It
// fails as [Register.Enter] does, and then nothing has changed.
func (e *Entry) Renew(id *Identity) error {
	e.register.mu.Lock()
	defer e.register.mu.Unlock()
	if err := e.register.checkLocked(id); err != nil {
		return err
	}
	if !e.gone {
		e.removeLocked()
		e.setLocked(id)
	}
	return nil
}

// Leave takes the connection out. It may be called more than once.
// A nil Entry is nobody's.
func (e *Entry) Leave() {
	if e == nil {
		return
	}
	e.register.mu.Lock()
	defer e.register.mu.Unlock()
	if !e.gone {
		e.gone = true
		e.removeLocked()
	}
}

func (e *Entry) setLocked(id *Identity) {
	e.key = [2]string{id.Subject, id.TokenID}
	for list, key := range e.key {
		if key == "" {
			continue
		}
		heads := e.register.heads[list]
		if first := heads[key]; first != nil {
			first.prev[list], e.next[list] = e, first
		}
		heads[key] = e
	}
	e.issued = 0
	if !id.Issued.IsZero() {
		// What an issuer says whose clock is ahead was here before it was issued.
		e.issued = min(id.Issued.UnixNano(), time.Now().UnixNano())
	}
	e.expireLocked(id.Expiry)
	e.lateLocked(id)
}

func (e *Entry) removeLocked() {
	for list, key := range e.key {
		if key == "" {
			continue
		}
		if e.prev[list] != nil {
			e.prev[list].next[list] = e.next[list]
		} else if e.next[list] != nil {
			e.register.heads[list][key] = e.next[list]
		} else {
			delete(e.register.heads[list], key)
		}
		if e.next[list] != nil {
			e.next[list].prev[list] = e.prev[list]
		}
	}
	e.key, e.next, e.prev = [2]string{}, [2]*Entry{}, [2]*Entry{}
	e.lastLocked()
}

// Disconnect ends the connections of a user to this node, and returns how many
// these were. reason is told to their peers. The user may come back: see
// [Register.Revoke], and [Register.DisconnectEverywhere] for all nodes.
func (r *Register) Disconnect(user, reason string) int {
	return r.expel(byUser, user, math.MaxInt64, &Refusal{Code: Disconnected, Message: cmp.Or(reason, "disconnected by the server")})
}

// EndKey ends the connections of who has shown a key, and of those who have shown
// it before and enter later. It is called when the key is not accepted any more.
func (r *Register) EndKey(name, reason string) int {
	r.mu.Lock()
	r.ends++
	r.ended[keySubject+name] = r.ends
	r.mu.Unlock()
	return r.Disconnect(keySubject+name, reason)
}

// A Moment is one in the history of a [Register]'s keys.
type Moment uint64

// Now returns the moment, for who looks a key up by itself: it is taken before.
func (r *Register) Now() Moment {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Moment(r.ends)
}

// ByKeyAt returns the identity of who shows a key that was looked up after a moment.
func ByKeyAt(subject string, m Moment) *Identity {
	return &Identity{Subject: subject, Method: ByKey, asked: uint64(m)}
}

// expel ends the connections in a list whose credentials were not issued later
// than since.
func (r *Register) expel(list int, key string, since int64, why *Refusal) int {
	if key == "" {
		return 0 // strangers have nothing in common
	}
	r.mu.Lock()
	var all []Connection
	for e := r.heads[list][key]; e != nil; e = e.next[list] {
		if e.issued <= since {
			all = append(all, e.conn)
		}
	}
	r.mu.Unlock()
	for _, c := range all {
		c.Expel(why)
	}
	return len(all)
}

// Connections returns those of a user.
func (r *Register) Connections(user string) []Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Connection
	for e := r.heads[byUser][user]; e != nil; e = e.next[byUser] {
		all = append(all, e.conn)
	}
	return all
}

// Users yields the users with connections, in alphabetical order, as of now.
// It looks at all of them: it is for operators.
func (r *Register) Users() iter.Seq[string] {
	r.mu.Lock()
	users := slices.Sorted(maps.Keys(r.heads[byUser]))
	r.mu.Unlock()
	return slices.Values(users)
}

// A Revocation says what is not accepted any more. Exactly one of Token and
// User is set.
type Revocation struct {
	// Token is the "jti" of a token.
	Token string
	// User is somebody all of whose credentials that were issued up to Since are
	// void, those of whose age nothing is known included. Tokens say that in
	// seconds: one of the second of Since is void too.
	User  string
	Since time.Time
	// Until is when all that is revoked would have expired anyway, and the
	// revocation is forgotten.
	Until time.Time
}

// defaultKeep is longer than tokens should last.
const defaultKeep = 24 * time.Hour

// RevokeFor is how long a revocation is to be remembered if nobody says until when
// what it revokes would have lasted: see [Config].
func (r *Register) RevokeFor() time.Duration { return time.Duration(r.keep.Load()) }

func (r *Register) keepFor(d time.Duration) { r.keep.Store(int64(d)) }

func (v Revocation) key() string {
	if v.Token != "" {
		return "t" + v.Token
	}
	return "u" + v.User
}

// Revoke refuses credentials from now on, and ends the connections that were
// opened with them. It returns how many these were. It fails with a [*Refusal] if it
// cannot remember any more, and otherwise as Config.Revoked does, who then has not
// kept it; the connections are ended in any case. It is for this node: see
// [Register.RevokeEverywhere].
func (r *Register) Revoke(v Revocation) (int, error) {
	r.mu.Lock()
	err := r.rememberLocked(v)
	r.mu.Unlock()
	if err != nil && r.onLimit != nil {
		r.onLimit("revocations")
	}
	if err == nil && r.onRevoke != nil {
		if err = r.onRevoke(v); err != nil {
			err = fmt.Errorf("keep the revocation: %w", err)
		}
	}
	if r.onDone != nil {
		r.onDone(err)
	}
	why := &Refusal{Code: Revoked, Message: "the token has been revoked"}
	if v.Token != "" {
		return r.expel(byToken, v.Token, math.MaxInt64, why), err
	}
	return r.expel(byUser, v.User, max(v.Since.UnixNano(), 0), why), err
}

func (r *Register) rememberLocked(v Revocation) error {
	now := time.Now()
	if len(r.revoked) >= r.most {
		maps.DeleteFunc(r.revoked, func(_ string, old Revocation) bool { return !now.Before(old.Until) })
	}
	old, known := r.revoked[v.key()]
	switch {
	case !now.Before(v.Until):
		return nil
	case !known && len(r.revoked) >= r.most:
		return &Refusal{Code: Unavailable, Message: "too many revocations are remembered"}
	case known && old.Until.After(v.Until):
		v.Until = old.Until
	}
	if known && old.Since.After(v.Since) {
		v.Since = old.Since
	}
	r.revoked[v.key()] = v
	return nil
}

// Revocations returns what is remembered, for who keeps it or tells other
// nodes. [Register.Revoke] takes it back.
func (r *Register) Revocations() []Revocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	all := make([]Revocation, 0, len(r.revoked))
	for _, v := range r.revoked {
		if now.Before(v.Until) {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b Revocation) int { return cmp.Compare(a.key(), b.key()) })
	return all
}

// check fails with a [*Refusal] if an identity has been revoked.
func (r *Register) check(id *Identity) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.checkLocked(id)
}

func (r *Register) checkLocked(id *Identity) error {
	now := time.Now()
	if id.asked != 0 && id.asked < r.ended[id.Subject] {
		return &Refusal{Code: Disconnected, Message: "the key is not valid any more"}
	}
	if id.TokenID != "" {
		if v, ok := r.revoked["t"+id.TokenID]; ok && now.Before(v.Until) {
			return &Refusal{Code: Revoked, Message: "the token has been revoked"}
		}
	}
	if id.Subject != "" {
		v, ok := r.revoked["u"+id.Subject]
		if ok && now.Before(v.Until) && !id.Issued.After(v.Since) {
			return &Refusal{Code: Revoked, Message: "the token has been revoked"}
		}
	}
	return nil
}
