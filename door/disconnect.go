package door

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/hub"
)

// DisconnectConfig sets up [Disconnect]. For every field zero means the default.
type DisconnectConfig struct {
	// Auth says who asks, and has the register of connections. Nil: the door is
	// closed.
	Auth *auth.Authority
	// Keep is how long a revocation is remembered whose request does not say
	// when the token expires: longer than any token lasts. Default: as Auth says.
	Keep time.Duration
	// Origins are the origins whose pages may ask besides the server's own.
	Origins []string
	// Rate and Burst bound the requests of one network address that are refused;
	// KeyRate and KeyBurst those of each who may. Defaults: 10, 50, 1,000 and 2,000;
	// a negative rate: no limit.
	Rate     float64
	Burst    int
	KeyRate  float64
	KeyBurst int
	// Done, if set, is told of each logout, for an audit log.
	Done func(d Dismissal)
	// Log is where the door logs; nil means [slog.Default].
	Log *slog.Logger
	// Trace, if set, is told what happens.
	Trace *Trace
}

// A Dismissal is a logout that somebody has asked for and may.
type Dismissal struct {
	By, From    string // who asked, and the address
	User, Token string // one of them: whom, or which token
	Reason      string
	Revoke      bool
	Connections int   // how many were ended
	Err         error // why not everything could be done
}

type disconnecter struct {
	*Door
	cfg DisconnectConfig
}

// Disconnect returns a door by which a backend ends the connections of a user,
// of all kinds and in all namespaces, at a logout for instance:
//
//	POST /api/disconnect
//	Content-Type: application/json
//
//	{"user":"ann","reason":"signed out"}
//
// With "revoke":true what was issued to the user up to now is refused from now on;
// "since" says what time "now" is by the clock of who issues.
// {"token":"<jti>","expires":1767225600} does both to one token. The answer
// {"connections":n} says how many were ended, on all nodes. If other nodes could
// not be told, or a revocation not be kept, the answer is 503 with the code
// "incomplete" or "not_kept", and what could be done is done. Who asks needs the
// permission [auth.Admin] in all rooms, as a grant with the pattern "*" gives it.
//
// The error lists every mistake in the configuration.
func Disconnect(space *hub.Space, cfg DisconnectConfig) (*Door, error) {
	d := &disconnecter{Door: newDoor("disconnect", space, cfg.Log, cfg.Trace), cfg: cfg}
	if err := d.Reload(Live{Origins: cfg.Origins, Rate: cfg.Rate, Burst: cfg.Burst, KeyRate: cfg.KeyRate, KeyBurst: cfg.KeyBurst}); err != nil {
		return nil, fmt.Errorf("disconnect door: %w", err)
	}
	d.auth = cfg.Auth
	d.serve = d.disconnect
	return d.Door, nil
}

// A dismissal is what is asked for.
type dismissal struct {
	User    given[string]  `json:"user"`
	Reason  given[string]  `json:"reason"`
	Revoke  given[bool]    `json:"revoke"`
	Since   given[float64] `json:"since"`
	Token   given[string]  `json:"token"`
	Expires given[float64] `json:"expires"`
}

// clocksDiffer is more than clocks of issuers may differ from ours.
const clocksDiffer = 10 * time.Minute

// maxDismissal is more than any request has.
const maxDismissal = 16 << 10

func (d *disconnecter) disconnect(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return methodNotAllowed(http.MethodPost)
	}
	if d.auth == nil {
		return errClosed
	}
	id, err := d.admit(r)
	if err != nil {
		return err
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		// Anything else a page of another origin could send without asking.
		return &refusal{status: http.StatusUnsupportedMediaType, code: "unsupported_media_type",
			message: "the Content-Type is not application/json"}
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(defaultWriteTimeout)) // not everybody's can
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDismissal))
	if err != nil {
		return &refusal{status: http.StatusBadRequest, code: "bad_body", message: "the body cannot be read", err: err}
	}
	var q dismissal
	if err := decode(body, &q); err != nil {
		return badRequest("bad_json", "%v", err)
	}
	n, err := d.dismiss(r.Context(), q)
	if _, wrong := errors.AsType[*refusal](err); !wrong && d.cfg.Done != nil {
		d.cfg.Done(Dismissal{
			By: id.Subject, From: r.RemoteAddr, User: q.User.value, Token: q.Token.value, Reason: q.Reason.value,
			Revoke: q.Revoke.value || q.Token.value != "", Connections: n, Err: err,
		})
	}
	if err != nil {
		return dismissalRefusal(n, err)
	}
	d.log.Info("disconnected", slog.String("by", id.Subject), slog.String("user", q.User.value), slog.Int("connections", n))
	writeJSON(w, http.StatusOK, struct {
		Connections int `json:"connections"`
	}{n})
	return nil
}

// mostBackends is how many who may ask are counted at a time.
const mostBackends = 1024

// admit says who asks, if that is somebody who may. Who may not is counted by
// address, so that who guesses is slowed down and nobody else.
func (d *disconnecter) admit(r *http.Request) (*auth.Identity, error) {
	shown := d.credentials(r)
	if shown.Token == "" { // somebody else would be asked, perhaps
		if e := d.now().pace.take(r, grant{}); e != nil {
			return nil, e
		}
	}
	id, err := d.auth.Identify(r.Context(), shown)
	if err == nil && id.MayAll(string(auth.Admin)) {
		return id, d.now().pace.take(r, grant{key: id.Subject})
	}
	if shown.Token != "" {
		if e := d.now().pace.take(r, grant{}); e != nil {
			return nil, e
		}
	}
	switch {
	case err != nil:
		return nil, authRefusal(err)
	case id.User() == "":
		return nil, errKeyWanted
	}
	return nil, &refusal{status: http.StatusForbidden, code: "forbidden", message: "that takes the permission admin in all rooms"}
}

// dismiss does what is asked for.
func (d *disconnecter) dismiss(ctx context.Context, q dismissal) (int, error) {
	register, now := d.auth.Register(), time.Now()
	v := auth.Revocation{Token: q.Token.value, User: q.User.value, Since: now, Until: now.Add(cmp.Or(d.cfg.Keep, register.RevokeFor()))}
	switch {
	case (q.User.value == "") == (q.Token.value == ""):
		return 0, badRequest("bad_message", `want one of "user" and "token"`)
	case q.Expires.is && (q.Token.value == "" || q.Expires.value < 0 || q.Expires.value > math.MaxUint32):
		return 0, badRequest("bad_message", `"expires" is when the token does, in seconds since 1970`)
	case q.Revoke.is && q.User.value == "":
		return 0, badRequest("bad_message", `"revoke" belongs to "user"`)
	case q.Since.is && (!q.Revoke.value || q.Since.value < 0 || q.Since.value > float64(now.Add(clocksDiffer).Unix())):
		return 0, badRequest("bad_message", `"since" belongs to "revoke": until when what is void was issued, in seconds since 1970, by the clock of whom issued it`)
	case q.User.value != "" && !q.Revoke.value:
		return register.DisconnectEverywhere(ctx, q.User.value, q.Reason.value)
	}
	if q.Expires.is {
		// Leeway and all: a token may be good a little longer than it says.
		v.Until = time.UnixMilli(int64(q.Expires.value * 1000)).Add(clocksDiffer)
	}
	if q.Since.is {
		v.Since = time.UnixMilli(int64(q.Since.value * 1000))
	}
	return register.RevokeEverywhere(ctx, v)
}

// dismissalRefusal says what is wrong with a logout that is not as it should be:
// n connections have been ended all the same, and it may be tried again.
func dismissalRefusal(n int, err error) error {
	if _, ok := errors.AsType[*refusal](err); ok {
		return err
	}
	if refused, ok := errors.AsType[*auth.Refusal](err); ok {
		return authRefusal(refused)
	}
	if _, ok := errors.AsType[*hub.PartialError](err); ok || errors.Is(err, hub.ErrUnavailable) {
		return &refusal{status: http.StatusServiceUnavailable, code: "incomplete", retry: time.Second, err: err,
			message: fmt.Sprintf("%d connections were ended, but not all nodes have answered: try again", n)}
	}
	return &refusal{status: http.StatusServiceUnavailable, code: "not_kept", retry: time.Second, err: err,
		message: fmt.Sprintf("%d connections were ended, but the revocation could not be written down: it holds until the server ends", n)}
}
