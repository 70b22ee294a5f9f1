package door

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/quota"
	"github.com/tutti-rt/tutti/verb"
)

// ReadConfig sets up [History] and [Presence]. For every field zero means the
// default.
type ReadConfig struct {
	// Desk says who may read what. Nil: nobody, the door is closed. Who asks
	// over HTTP is a member of no room.
	Desk *verb.Desk
	// Read opens rooms where a rule of the desk wants a token: those that are
	// open to anyone here, and those of the key that is shown.
	Read Access
	// Origins are the origins whose pages may read besides the server's own, as
	// "https://app.example.com", or "*" for every page of the web.
	Origins []string
	// Credentials lets the pages of Origins send cookies, by which Auth may know
	// who they are.
	Credentials bool
	// Auth, if set, says who a client is, and refuses whom it does not let in. It
	// shows a token as "Authorization: Bearer …", or as "token" in the query, or
	// a cookie. What it may do is open to it besides.
	Auth *auth.Authority
	// Rate is how many requests per second one address may make without a key,
	// in the long run, and Burst how many at once. Requests with a wrong key
	// count too. Default 10 and 50; a negative Rate: no limit. Behind a proxy
	// all have its address.
	Rate  float64
	Burst int
	// KeyRate and KeyBurst are the same for the bearers of each key, together.
	// Default 1,000 and 2,000; a negative KeyRate: no limit.
	KeyRate  float64
	KeyBurst int
	// Quota, if set, holds clients to limits that they share with those of
	// other doors.
	Quota *quota.Quota
	// Log is where the door logs; nil means [slog.Default].
	Log *slog.Logger
	// Trace, if set, is told what happens.
	Trace *Trace
}

// A reading is the door of [History] or [Presence].
type reading struct {
	*Door
	ask func(ctx context.Context, c verb.Caller, q url.Values) (answer []byte, err error)
}

// History returns a door that answers with a page of a room's history:
//
//	GET /api/history?room=a&before=…&limit=50
//
// It answers {"epoch","messages":[{"offset","event","data","time"}],"more"},
// oldest first: the last messages before an offset, the first "after" one, or
// the last of all. Binary data inside is {"$binary":"<base64>"}.
//
// The error lists every mistake in the configuration.
func History(space *hub.Space, cfg ReadConfig) (*Door, error) {
	return newReading("history", space, cfg, func(ctx context.Context, c verb.Caller, q url.Values) ([]byte, error) {
		limit, err := limitOf(q)
		if err != nil {
			return nil, err
		}
		return answer(cfg.Desk.History(ctx, c, verb.PageRequest{
			Room: q.Get("room"), Before: hub.Offset(q.Get("before")), After: hub.Offset(q.Get("after")), Limit: limit,
		}))
	})
}

// Presence returns a door that answers who is present in a room:
//
//	GET /api/presence?room=a&limit=50
//
// It answers {"version","count","members":[{"id","state"}],"next"}; "next" is
// the "after" of the next page.
//
// The error lists every mistake in the configuration.
func Presence(space *hub.Space, cfg ReadConfig) (*Door, error) {
	return newReading("presence", space, cfg, func(ctx context.Context, c verb.Caller, q url.Values) ([]byte, error) {
		limit, err := limitOf(q)
		if err != nil {
			return nil, err
		}
		return answer(cfg.Desk.Presence(ctx, c, verb.PresenceRequest{Room: q.Get("room"), After: q.Get("after"), Limit: limit}))
	})
}

func newReading(kind string, space *hub.Space, cfg ReadConfig, ask func(context.Context, verb.Caller, url.Values) ([]byte, error)) (*Door, error) {
	d := &reading{Door: newDoor(kind, space, cfg.Log, cfg.Trace), ask: ask}
	err := d.Reload(Live{
		Listen: cfg.Read, Origins: cfg.Origins, Credentials: cfg.Credentials,
		Rate: cfg.Rate, Burst: cfg.Burst, KeyRate: cfg.KeyRate, KeyBurst: cfg.KeyBurst,
	})
	if err != nil {
		return nil, fmt.Errorf("%s door: %w", kind, err)
	}
	d.desk, d.quota, d.auth = cfg.Desk, cfg.Quota, cfg.Auth
	d.serve = d.read
	return d.Door, nil
}

// read answers one request.
func (d *reading) read(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return methodNotAllowed(http.MethodGet)
	}
	if d.desk == nil {
		return errClosed
	}
	g, err := d.admitted(r, d.now().listen)
	if err != nil {
		return err
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("bad_query", "the query cannot be read")
	}
	if len(q["room"]) > 1 {
		return badRequest("bad_query", "one room at a time")
	}
	text, err := d.ask(g.known(r.Context()), d.caller(nil, g, d.quota.Visitor(r.RemoteAddr)), q)
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusForbidden && g.locks && g.key == "" {
		return errKeyWanted
	}
	if err != nil {
		return err
	}
	writeText(w, http.StatusOK, text)
	return nil
}

func limitOf(q url.Values) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, badRequest("bad_query", `"limit" is no positive number`)
	}
	return n, nil
}

// A pace holds those who send requests to a rate: each address, and the
// bearers of each key together.
type pace struct {
	rates     [2]limit.Rate
	keys      int
	strangers *limit.Group[netip.Prefix]
	bearers   *limit.Group[string]
}

func newPace(stranger, bearer limit.Rate, keys int) *pace {
	return &pace{[2]limit.Rate{stranger, bearer}, keys, limit.NewGroup[netip.Prefix](stranger, addresses), limit.NewGroup[string](bearer, keys)}
}

func (q *pace) same(other *pace) bool { return q.rates == other.rates && q.keys == other.keys }

// take counts a request, or refuses it. A wrong key costs its address a token:
// who guesses is slowed down.
func (q *pace) take(r *http.Request, g grant) error {
	take := func() (time.Duration, bool) { return q.bearers.Take(g.key) }
	if g.key == "" {
		take = func() (time.Duration, bool) { return q.strangers.Take(limit.Network(r.RemoteAddr)) }
	}
	wait, ok := take()
	if ok {
		return nil
	}
	e := tooMany(wait)
	e.late = g.key == ""
	return e
}
