package door

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/internal/limit"
)

type tokenKey struct{}

// hideToken takes the token out of a request's query, so that nothing that sees
// the request from here on can log it or keep it. The token goes into the
// context.
func hideToken(r *http.Request) *http.Request {
	if !strings.Contains(r.URL.RawQuery, "token") {
		return r
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !query.Has(tokenName) {
		return r // what cannot be read is refused where it is needed
	}
	shown := query[tokenName]
	query.Del(tokenName)
	u := *r.URL
	u.RawQuery = query.Encode()
	r = r.WithContext(context.WithValue(r.Context(), tokenKey{}, shown))
	r.URL, r.RequestURI = &u, u.RequestURI()
	return r
}

// tokenName is the parameter by which a browser can show a token where it cannot
// send a header: to an event stream and to a WebSocket.
const tokenName = "token"

// credentials are what the sender of r shows. A header counts more than the
// query.
func (d *Door) credentials(r *http.Request) auth.Credentials {
	c := auth.Credentials{Header: r.Header, Ambient: d.now().origins.Trusted(r), Remote: r.RemoteAddr}
	token, shown := bearer(r)
	if in, ok := r.Context().Value(tokenKey{}).([]string); ok && !shown {
		token, shown = in[0], true
		if len(in) > 1 {
			token = ""
		}
	}
	if c.Token = token; shown && token == "" {
		c.Token = "-" // it meant something, which nobody knows
	}
	return c
}

// receive says what somebody who wants a stream may do by each of the lists. Who
// comes too often is told so before anybody is asked who it is, and who shows what
// nobody knows is slowed down.
//
// asked is the moment before the lists were taken, see [Door.moment], and now what
// they were taken from.
func (d *Door) receive(r *http.Request, asked auth.Moment, now *live, lists ...*access) ([]grant, error) {
	if err := d.quota.Handshake(r.RemoteAddr); err != nil {
		return nil, tooManyStreams(err)
	}
	grants, found := d.byKey(r, lists...)
	for i := range grants {
		grants[i].asked, grants[i].under = asked, now
	}
	grants, err := d.recognise(r, grants, found)
	if refused, ok := errors.AsType[*refusal](err); ok && (refused == errKey || refused.code == string(auth.InvalidToken)) {
		if wait, ok := d.guesses.Take(limit.Network(r.RemoteAddr)); !ok {
			return nil, tooMany(wait)
		}
	}
	return grants, err
}

// moment is that before a list of keys is taken, so that who shows a key that ends
// meanwhile is not enlisted.
func (d *Door) moment() auth.Moment {
	if d.auth == nil {
		return 0
	}
	return d.auth.Register().Now()
}

// guessing is how often an address may show a stream's door what nobody knows: as
// strangers may ask the others.
var guessing = limit.Rate{PerSecond: 10, Burst: 50}

// admitted says what the sender of a request may do by a list, unless it asks too
// often: that costs less than to find out who it is.
func (d *Door) admitted(r *http.Request, list *access) (grant, error) {
	grants, found := d.byKey(r, list)
	if err := d.now().pace.take(r, grants[0]); err != nil {
		return grant{}, err
	}
	grants, err := d.recognise(r, grants, found)
	return grants[0], err
}

// byKey says what the sender of r may do by each of the lists, and whether it shows
// a key that is in one of them.
func (d *Door) byKey(r *http.Request, lists ...*access) (grants []grant, found bool) {
	grants = make([]grant, len(lists))
	for i, a := range lists {
		var err error
		if grants[i], err = a.of(r); err != nil {
			grants[i] = grant{rooms: a.anyone}
			continue
		}
		found = found || grants[i].key != ""
	}
	return grants, found
}

// recognise adds to grants what the sender of r may do as who it is, unless it has
// shown a key.
func (d *Door) recognise(r *http.Request, grants []grant, found bool) ([]grant, error) {
	_, shown := bearer(r)
	asks := d.auth != nil && d.auth.Asks()
	switch {
	case found: // a key that is known for one of them will do
		return grants, nil
	case !asks && shown:
		return grants, errKey
	case !asks:
		return grants, nil
	}
	id, err := d.auth.Identify(r.Context(), d.credentials(r))
	if err != nil {
		return grants, authRefusal(err)
	}
	for i := range grants {
		grants[i].id = id
		grants[i].locks = id.Method == auth.Anonymous
	}
	return grants, nil
}

// authRefusal translates what an authority says.
func authRefusal(err error) error {
	r, ok := errors.AsType[*auth.Refusal](err)
	if !ok {
		return err
	}
	e := &refusal{status: http.StatusUnauthorized, code: string(r.Code), message: r.Message, err: r.Err}
	if r.Code == auth.Unavailable {
		e.status, e.retry = http.StatusServiceUnavailable, time.Second
	}
	return e
}

// user is whose the grant is to the register of users, nil if nobody's.
func (g grant) user() *auth.Identity {
	if g.id.User() != "" {
		return g.id
	}
	if g.key != "" {
		return auth.ByKeyAt(g.owner(), g.asked)
	}
	return nil
}

// enlist registers a stream, so that it ends when its user's rights do.
func (d *Door) enlist(c auth.Connection, g grant) (*auth.Entry, error) {
	id := g.user()
	if d.auth == nil || id == nil {
		return nil, nil
	}
	return d.auth.Register().Enter(c, id)
}

// regrant ends a stream whose client may do less than when it came: it comes back
// by itself, to what is left.
func regrant(c auth.Connection, id *auth.Identity, review auth.Review) {
	if _, less, _ := review(id); less {
		c.Expel(auth.Refuse(auth.Disconnected, "what you may do has changed: connect anew"))
	}
}

// known adds to a context who asks.
func (g grant) known(ctx context.Context) context.Context {
	if g.id == nil {
		return ctx
	}
	return auth.NewContext(ctx, func() *auth.Identity { return g.id })
}

// A notice tells a client why its stream ends, in the form of the verbs.
type notice struct {
	Code  auth.Code `json:"code"`
	Error string    `json:"error"`
}
