package door

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/verb"
)

// Access says who may use which rooms. The zero Access is closed: nobody may
// use any.
//
// Rooms are given as patterns, in which "*" stands for any run of characters:
// "chat:*" is every room whose name begins with "chat:". The pattern "*" alone
// is every room, and everyone in the namespace besides. Beware that every
// Socket.IO socket is in a room of its own, which "*" opens too: whoever may
// listen there may overhear what is meant for that socket.
type Access struct {
	// Rooms are the rooms that anyone may use.
	Rooms []string
	// Keys open more rooms to those who show one, in the header
	// "Authorization: Bearer <secret>".
	Keys []Key
}

// A Key opens rooms to its bearer.
type Key struct {
	// Name tells keys apart in the configuration's errors and for limits.
	Name string
	// Secret is what the bearer shows, of at least 16 bytes.
	Secret string
	// Rooms are patterns of the rooms it opens, besides those open to anyone.
	Rooms []string
}

// shortestSecret is 16 bytes: random ones cannot be guessed, however often one
// may try.
const shortestSecret = 16

func (a Access) validate(field string) error {
	errs := []error{validatePatterns(field+".Rooms", a.Rooms)}
	names := map[string]bool{}
	for i, k := range a.Keys {
		at := fmt.Sprintf("%s.Keys[%d]", field, i) // never the secret
		if k.Name == "" || names[k.Name] {
			errs = append(errs, fmt.Errorf("%s: name %q is empty or taken", at, k.Name))
		}
		names[k.Name] = true
		if len(k.Secret) < shortestSecret {
			errs = append(errs, fmt.Errorf("%s: a secret of %d bytes can be guessed: want at least %d", at, len(k.Secret), shortestSecret))
		}
		errs = append(errs, validatePatterns(at+".Rooms", k.Rooms))
	}
	return errors.Join(errs...)
}

func validatePatterns(at string, patterns []string) error {
	if slices.Contains(patterns, "") {
		return fmt.Errorf("%s: a pattern is empty", at)
	}
	return nil
}

// access is an Access made ready.
type access struct {
	anyone patterns
	keys   []key
}

type key struct {
	name  string
	hash  [sha256.Size]byte
	rooms patterns // anyone's included
}

func newAccess(a Access) *access {
	compiled := &access{anyone: slices.Clone(a.Rooms)}
	for _, k := range a.Keys {
		compiled.keys = append(compiled.keys, key{
			name:  k.Name,
			hash:  sha256.Sum256([]byte(k.Secret)),
			rooms: slices.Concat(a.Rooms, k.Rooms),
		})
	}
	return compiled
}

// closed reports whether nobody may use any room.
func (a *access) closed() bool {
	return len(a.anyone) == 0 && !slices.ContainsFunc(a.keys, func(k key) bool { return len(k.rooms) > 0 })
}

// A grant is what one caller may do.
type grant struct {
	rooms patterns
	key   string            // the name of the key it came with, or ""
	hash  [sha256.Size]byte // of that key's secret
	asked auth.Moment       // before the key was looked up
	id    *auth.Identity    // who shows it; nil if nobody asked
	locks bool              // a key would open more
	under *live             // what held before it was made; nil if nobody will ask
	ctx   context.Context   // of a stream's request, without its end: what it may hear was asked with that; nil if nobody will ask
}

// may says whether the caller may use a verb in a room.
func (g grant) may(v verb.Verb, room string) bool {
	return g.rooms.match(room) || g.id.May(string(v), room)
}

// allow says whether the caller may use a verb in rooms, or for everyone in the
// namespace if there are none.
func (g grant) allow(v verb.Verb, rooms []string) error {
	refused, what := false, "everyone in the namespace"
	if len(rooms) == 0 {
		refused = !slices.Contains(g.rooms, "*") && !g.id.MayAll(string(v))
	}
	for _, room := range rooms {
		if !g.may(v, room) {
			refused, what = true, fmt.Sprintf("room %q", room)
			break
		}
	}
	switch {
	case !refused:
		return nil
	case g.locks && g.key == "" && g.id.User() == "":
		return errKeyWanted
	case len(rooms) == 0:
		return &refusal{status: http.StatusForbidden, code: "forbidden", message: "name a room: " + what + " is not open to you"}
	}
	return &refusal{status: http.StatusForbidden, code: "forbidden", message: what + " is not open to you"}
}

// of returns what the sender of r may do, or errKey if it shows a key that is
// none.
func (a *access) of(r *http.Request) (grant, error) {
	secret, shown := bearer(r)
	if !shown {
		return grant{rooms: a.anyone, locks: len(a.keys) > 0}, nil
	}
	hash, found := sha256.Sum256([]byte(secret)), -1
	for i := range a.keys { // all of them, so that the time tells nothing
		if subtle.ConstantTimeCompare(hash[:], a.keys[i].hash[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return grant{}, errKey
	}
	return grant{rooms: a.keys[found].rooms, key: a.keys[found].name, hash: hash}, nil
}

// bearer returns the secret of the Authorization header. A header that is not
// understood counts as a key that is not known: whoever sent it meant something.
func bearer(r *http.Request) (secret string, shown bool) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return "", false
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return "", true
	}
	return strings.TrimSpace(secret), true
}

// roomsOf returns the rooms that the query of r names, each once.
func roomsOf(r *http.Request, limit int) ([]string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("bad_query", "the query cannot be read")
	}
	rooms := query["room"]
	if limit >= 0 && len(rooms) > limit {
		return nil, tooManyRooms(limit)
	}
	slices.Sort(rooms)
	return slices.Compact(rooms), nil
}

// patterns is a list of room patterns.
type patterns []string

func (p patterns) match(room string) bool {
	return slices.ContainsFunc(p, func(pattern string) bool { return matches(pattern, room) })
}

// matches reports whether name is of the pattern. Between two stars the
// leftmost place is as good as any, so nothing is ever tried twice.
func matches(pattern, name string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return name == pattern
	}
	name, ok := strings.CutPrefix(name, head)
	for ok {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(name, part)
		}
		_, name, ok = strings.Cut(name, part)
		rest = more
	}
	return false
}
