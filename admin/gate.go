package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// cookieName is the page's.
const cookieName = "tutti_admin"

// An operator is who makes a request.
type operator struct {
	name, from string
	role       Role
	cookie     bool        // the browser says so by itself: what changes something needs more
	still      func() bool // whether the request would be let in now; nil: it would
}

type operatorKey struct{}

func operatorOf(r *http.Request) operator {
	who, _ := r.Context().Value(operatorKey{}).(operator)
	return who
}

// guarded finds out who makes a request.
func (a *Admin) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		who := operator{from: hostOf(r.RemoteAddr)}
		keyless := a.gate.open()
		if keyless && !public(r) && !loopbackHost(r.Host) {
			refuse(w, &failure{http.StatusForbidden, "host", "without keys this is served under the name of this machine's loopback only, such as 127.0.0.1"})
			return
		}
		if keyless {
			who.name, who.role, who.cookie, who.still = "local", Operate, true, a.gate.open
		} else if err := a.identify(r, &who); err != nil {
			refuse(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), operatorKey{}, who)))
	})
}

// trusted is for a listener that only the operator reaches.
func (a *Admin) trusted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		who := operator{name: "control", from: "control socket", role: Operate}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), operatorKey{}, who)))
	})
}

// identify reads the key or the cookie. A wrong key is an error; none is nobody,
// who may see the page that asks for one.
func (a *Admin) identify(r *http.Request, who *operator) *failure {
	if kind, secret, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(kind, "Bearer") {
		k, known := a.gate.byKey(strings.TrimSpace(secret))
		if !known {
			return a.wrongKey(who.from, "key", r.URL.Path, errUnauthorized)
		}
		who.name, who.role, who.still = k.Name, k.Role, a.gate.holder(k)
		return nil
	}
	if c, err := r.Cookie(cookieName); err == nil {
		if k, known := a.gate.byCookie(c.Value); known {
			who.name, who.role, who.cookie, who.still = k.Name, k.Role, true, a.gate.holder(k)
		}
	}
	return nil
}

// wrongKey notes that somebody came with a key that is none, and returns how that
// is answered. Whoever tries many must not fill the audit log: the next line that
// is written says how many were not.
func (a *Admin) wrongKey(from, action, target string, f *failure) *failure {
	a.cfg.Metrics.OperatorRefused()
	if much := a.guess(from); much != nil {
		a.gate.unnoted.Add(1)
		return much
	}
	a.noteWrong(from, action, target, f)
	return f
}

func (a *Admin) noteWrong(from, action, target string, f *failure) {
	if _, ok := a.gate.noted.Take(); !ok {
		a.gate.unnoted.Add(1)
		return
	}
	e := Entry{Who: "nobody", From: from, Action: action, Target: cut(target)}
	if n := a.gate.unnoted.Swap(0); n > 0 {
		e.Detail = map[string]any{"unnoted": n}
	}
	a.record(e, f)
}

// cut keeps what strangers write short.
func cut(text string) string { return text[:min(len(text), 100)] }

// guess counts a try of an address.
func (a *Admin) guess(from string) *failure {
	wait, ok := a.gate.tries.Take(network(from))
	if ok {
		return nil
	}
	return &failure{http.StatusTooManyRequests, "too_many_requests", "too many tries; come back in " + wait.Round(time.Second).String()}
}

// network is what an address is counted under: all of a home's.
func network(host string) string {
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Unmap().Is4() {
		return host
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return host
	}
	return p.String()
}

// hostOf is an address without its port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// loopbackHost says whether a request's Host names this machine to itself.
// Anything else may be a name under which a web page got here.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(strings.ToLower(host), "[]")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// public says whether a request needs no key: supervisors have none.
func public(r *http.Request) bool { return r.URL.Path == "/healthz" || r.URL.Path == "/readyz" }

// secure sets the headers that every answer has.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// A failure is an error for the caller's eyes.
type failure struct {
	status  int
	code    string
	message string
}

func (f *failure) Error() string { return f.message }

var (
	errUnauthorized = &failure{http.StatusUnauthorized, "unauthorized", "log in, or show a key: Authorization: Bearer KEY"}
	errForbidden    = &failure{http.StatusForbidden, "forbidden", "the key may look, and not act: its role is view"}
	errCSRF         = &failure{http.StatusForbidden, "csrf", "a page that changes something sends the header X-Tutti-Admin: 1"}
	errInternal     = &failure{http.StatusInternalServerError, "internal", "internal error: the log says more"}
)

func badRequest(message string) *failure {
	return &failure{http.StatusBadRequest, "bad_request", message}
}

func notFound(message string) *failure { return &failure{http.StatusNotFound, "not_found", message} }

// refuse answers with a failure.
func refuse(w http.ResponseWriter, f *failure) {
	body := struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}{}
	body.Error.Code, body.Error.Message = f.code, f.message
	if f.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(int(1/guesses.PerSecond)))
	}
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	answer(w, f.status, body)
}

// answer writes JSON. An error means that the caller is gone.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// need lets only operators of a role pass, and refuses changes that a page of
// another origin could have had the browser make.
func (a *Admin) need(role Role, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who := operatorOf(r)
		switch {
		case who.role == "":
			refuse(w, errUnauthorized)
		case !who.role.allows(role):
			a.note(r, "refused", r.URL.Path, nil, errForbidden)
			refuse(w, errForbidden)
		case who.cookie && r.Method != http.MethodGet && r.Header.Get("X-Tutti-Admin") != "1", who.cookie && foreign(r):
			refuse(w, errCSRF)
		default:
			next(w, r)
		}
	}
}

// foreign says whether a page of another origin had the browser ask. It could not
// read the answer, but a profile keeps a processor busy.
func foreign(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

// api makes a handler of a function that returns what to answer.
func (a *Admin) api(role Role, f func(r *http.Request) (any, error)) http.HandlerFunc {
	return a.need(role, func(w http.ResponseWriter, r *http.Request) {
		body, err := f(r)
		if err == nil {
			answer(w, http.StatusOK, body)
			return
		}
		refuse(w, a.explain(r, err))
	})
}

// explain makes of an error one for the caller's eyes, who is an operator.
func (a *Admin) explain(r *http.Request, err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	a.log.Error("admin request", "path", r.URL.Path, keyErr, err)
	return errInternal
}

const keyErr = "err"

// maxBody is the longest body of a request.
const maxBody = 1 << 20

// read reads the body of a request.
func read(r *http.Request, target any) error {
	if kind := r.Header.Get("Content-Type"); kind != "" && !strings.HasPrefix(kind, "application/json") {
		return &failure{http.StatusUnsupportedMediaType, "unsupported_media_type", "want Content-Type: application/json"}
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return badRequest("the body can't be read")
	case len(text) > maxBody:
		return &failure{http.StatusRequestEntityTooLarge, "too_large", "the body is longer than " + strconv.Itoa(maxBody) + " bytes"}
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(target); err != nil {
		return &failure{http.StatusBadRequest, "bad_json", "the body: " + err.Error()}
	}
	if d.More() {
		return &failure{http.StatusBadRequest, "bad_json", "the body has more than one value"}
	}
	return nil
}

// login answers POST /api/login.
func (a *Admin) login(w http.ResponseWriter, r *http.Request) {
	who := operatorOf(r)
	var q struct {
		Key string `json:"key"`
	}
	if r.Header.Get("X-Tutti-Admin") != "1" {
		refuse(w, errCSRF)
		return
	}
	if err := read(r, &q); err != nil {
		refuse(w, a.explain(r, err))
		return
	}
	k, ok := a.gate.byKey(strings.TrimSpace(q.Key))
	if !ok {
		// Who guesses is slowed down, and not those who know: behind a tunnel
		// or a proxy all have one address.
		refuse(w, a.wrongKey(who.from, "login", "", &failure{http.StatusUnauthorized, "unauthorized", "no key is like that"}))
		return
	}
	cookie := rand.Text() + rand.Text()
	a.gate.enter(cookie, k)
	a.record(Entry{Who: k.Name, Role: k.Role, From: who.from, Action: "login"}, nil)
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: cookie, Path: "/", MaxAge: int(loginLife.Seconds()),
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	})
	answer(w, http.StatusOK, a.me(operator{name: k.Name, role: k.Role, cookie: true}))
}

// logout answers POST /api/logout.
func (a *Admin) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		a.gate.leave(c.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	a.note(r, "logout", "", nil, nil)
	answer(w, http.StatusOK, struct{}{})
}

// Me says who asks, and what there is.
type me struct {
	Name     string            `json:"name"`
	Role     Role              `json:"role"`
	Login    bool              `json:"login"` // there are keys
	Payloads bool              `json:"payloads"`
	Drain    bool              `json:"drain"`
	Reload   bool              `json:"reload"`
	Node     string            `json:"node"`
	Version  string            `json:"version"`
	Limits   map[string]string `json:"limits"`
}

func (a *Admin) me(who operator) me {
	return me{
		Name: who.name, Role: who.role, Login: !a.gate.open(), Payloads: a.cfg.Payloads,
		Drain: a.cfg.Drain != nil, Reload: a.cfg.Reload != nil,
		Node: a.cfg.Node, Version: a.cfg.Version, Limits: a.cfg.Limits,
	}
}
