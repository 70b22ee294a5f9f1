package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-rt/tutti/internal/limit"
)

// A Role is what an operator may do.
type Role string

const (
	// View lets an operator look.
	View Role = "view"
	// Operate lets an operator look and act.
	Operate Role = "operate"
)

// allows says whether who has role r may do what takes role need.
func (r Role) allows(need Role) bool { return r == Operate || need == View }

// A Key lets an operator in.
type Key struct {
	// Name is whose it is, for the audit log.
	Name string
	// Hash is "sha256:" and the hex digest of a secret that is random: hashing
	// is no protection for one that can be guessed.
	Hash string
	Role Role
}

const hashPrefix = "sha256:"

// HashKey returns the hash of a secret, as [Key] has it.
func HashKey(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hashPrefix + hex.EncodeToString(sum[:])
}

// digest returns what Hash stands for.
func (k Key) digest() ([]byte, error) {
	text, ok := strings.CutPrefix(k.Hash, hashPrefix)
	sum, err := hex.DecodeString(text)
	if !ok || err != nil || len(sum) != sha256.Size {
		return nil, fmt.Errorf("the hash of the key %q: want %s and %d hex digits", k.Name, hashPrefix, 2*sha256.Size)
	}
	return sum, nil
}

func (k Key) validate() error {
	var errs []error
	if k.Name == "" {
		errs = append(errs, errors.New("a key without a name"))
	}
	if k.Role != View && k.Role != Operate {
		errs = append(errs, fmt.Errorf("the role of the key %q is %q: want %s or %s", k.Name, k.Role, View, Operate))
	}
	if _, err := k.digest(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func validate(keys []Key) error {
	var errs []error
	for _, k := range keys {
		errs = append(errs, k.validate())
	}
	return errors.Join(errs...)
}

// How long who logged in stays so, and how many at a time.
const (
	loginLife   = 12 * time.Hour
	loginsAtMax = 256
)

// guesses is how often one address may show a key that may be wrong. Keys can't
// be guessed at any rate; this is so that nobody fills the log with trying.
var guesses = limit.Rate{PerSecond: 0.2, Burst: 10}

// noting is how often wrong keys go into the audit log, whoever tries.
var noting = limit.Rate{PerSecond: 0.5, Burst: 50}

// gate knows who may come in.
type gate struct {
	tries   *limit.Group[string]
	noted   *limit.Bucket // wrong keys in the audit log
	unnoted atomic.Int64  // those that were not, since

	mu     sync.Mutex
	free   bool // there never were keys: whoever gets here may come in
	keys   []Key
	logins map[[sha256.Size]byte]login // by the digest of the cookie
}

// A login is somebody with a cookie.
type login struct {
	key   Key
	until time.Time
}

// rekey replaces the keys and ends the logins of others.
func (g *gate) rekey(keys []Key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tries == nil {
		g.free = true
		g.tries = limit.NewGroup[string](guesses, 4096)
		g.noted = limit.NewBucket(noting)
		g.logins = make(map[[sha256.Size]byte]login)
	}
	g.keys = append([]Key(nil), keys...)
	g.free = g.free && len(keys) == 0
	for cookie, in := range g.logins {
		if !containsKey(g.keys, in.key) {
			delete(g.logins, cookie)
		}
	}
}

func containsKey(keys []Key, k Key) bool {
	for _, other := range keys {
		if other == k {
			return true
		}
	}
	return false
}

// open says that it takes no key to come in. Who takes the last one away shuts
// the others out and lets nobody in: the listener may be one that was only for
// who has a key.
func (g *gate) open() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.free
}

// holder returns what says whether a key still lets in.
func (g *gate) holder(k Key) func() bool {
	return func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return containsKey(g.keys, k)
	}
}

// byKey returns whose a secret is. It takes as long for a wrong one.
func (g *gate) byKey(secret string) (Key, bool) {
	g.mu.Lock()
	keys := g.keys
	g.mu.Unlock()
	sum := sha256.Sum256([]byte(secret))
	var found Key
	ok := 0
	for _, k := range keys {
		want, err := k.digest()
		if err != nil {
			continue // New has refused it
		}
		if subtle.ConstantTimeCompare(want, sum[:]) == 1 {
			found, ok = k, 1
		}
	}
	return found, ok == 1
}

// byCookie returns who has logged in with a cookie.
func (g *gate) byCookie(cookie string) (Key, bool) {
	id := sha256.Sum256([]byte(cookie))
	g.mu.Lock()
	defer g.mu.Unlock()
	in, ok := g.logins[id]
	if ok && time.Now().After(in.until) {
		delete(g.logins, id)
		ok = false
	}
	return in.key, ok
}

// enter remembers a cookie. When too many are logged in, who would be logged out
// first is.
func (g *gate) enter(cookie string, k Key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.logins) >= loginsAtMax {
		var first [sha256.Size]byte
		var until time.Time
		for id, in := range g.logins {
			if until.IsZero() || in.until.Before(until) {
				first, until = id, in.until
			}
		}
		delete(g.logins, first)
	}
	g.logins[sha256.Sum256([]byte(cookie))] = login{key: k, until: time.Now().Add(loginLife)}
}

func (g *gate) leave(cookie string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.logins, sha256.Sum256([]byte(cookie)))
}
