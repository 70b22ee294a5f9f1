// Package origin decides which web pages may speak to a server, and writes the headers that tell browsers so.
//
// A browser sends a page's origin with every request that crosses origins and with every WebSocket handshake, cookies
// included, and asks nobody for a WebSocket: a server that does not look at Origin lets any page act as its visitor
// (cross-site WebSocket hijacking).
package origin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Policy is the set of origins that may connect. The zero Policy allows the server's own only. It is immutable and safe
// for concurrent use.
type Policy struct {
	any         bool
	listed      map[string]bool
	credentials bool
}

// New returns the policy that allows the origins besides the server's own. Each is a scheme and a host, as
// "https://app.example.com:8443", or "null" (sandboxed frames and files, of anybody), or "*" (every page of the web).
// There are no patterns: "https://app.example.com.evil" matches too much of them too easily. credentials lets pages of
// allowed origins send cookies with requests across origins; with "*" it is an error.
func New(origins []string, credentials bool) (*Policy, error) {
	p := &Policy{credentials: credentials, any: slices.Contains(origins, "*"), listed: make(map[string]bool)}
	var errs []error
	for _, o := range origins {
		if o == "*" {
			continue
		}
		n, ok := normal(o)
		if !ok {
			errs = append(errs, fmt.Errorf(`origin %q: want "scheme://host[:port]"`, o))
			continue
		}
		p.listed[n] = true
	}
	if p.any && credentials {
		errs = append(errs, errors.New(`origin "*" with credentials would let every site act as its visitors`))
	}
	return p, errors.Join(errs...)
}

// Allowed reports whether the page that sent r may speak to this server: it sent no Origin (no browser leaves it out
// across origins), the origin is the server's own, or it is listed.
func (p *Policy) Allowed(r *http.Request) bool {
	values := r.Header["Origin"]
	switch {
	case len(values) == 0:
		return true
	case len(values) > 1:
		return false
	}
	return p.any || same(values[0], r) || p.lists(values[0])
}

// Scripted reports whether the answer to r may be a script (JSONP). A page of any origin can run it, and a browser says
// nothing of the page in Origin then, but where it stands in Sec-Fetch-Site. Pages that are listed by name are not told
// apart from others, and can ask in another way. Browsers that don't have the header are too old to be helped.
func (p *Policy) Scripted(r *http.Request) bool {
	return p.any || len(r.Header["Origin"]) > 0 || ofOwn(r) // with an Origin it is Allowed that decides
}

// ofOwn reports whether no page of another origin sent r, as far as the browser says.
func ofOwn(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "" || site == "same-origin" || site == "none"
}

// crossOrigin reports whether any origin besides the server's own is allowed.
func (p *Policy) crossOrigin() bool { return p.any || len(p.listed) > 0 }

// SetHeader adds to h what lets the page that sent r read the answer. Without listed origins it adds nothing.
func (p *Policy) SetHeader(h http.Header, r *http.Request) {
	switch origin := r.Header.Get("Origin"); {
	case !p.crossOrigin():
		return
	case p.any:
		h.Set("Access-Control-Allow-Origin", "*")
		return
	default:
		// The answer depends on the header even if it is not there: a cache must not give one page another's.
		h.Add("Vary", "Origin")
		if origin == "" || !p.Allowed(r) {
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
	}
	if p.credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// Preflight answers the question of a browser whether a page may send a request (OPTIONS), and reports whether r was
// one. Without listed origins there is nothing to answer: the browser refuses.
func (p *Policy) Preflight(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions || !p.crossOrigin() {
		return false
	}
	h := w.Header()
	p.SetHeader(h, r)
	// The answer lists what the page asked for, so caches must tell apart by it. One line: captured so.
	vary := append(h.Values("Vary"), "Access-Control-Request-Headers")
	h.Set("Vary", strings.Join(vary, ", "))
	h.Set("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// Valid reports whether the Origin of r, if any, consists of characters that may stand in a header.
func Valid(r *http.Request) bool {
	for _, o := range r.Header["Origin"] {
		for i := range len(o) {
			if c := o[i]; c < ' ' && c != '\t' || c == 0x7f {
				return false
			}
		}
	}
	return true
}

func (p *Policy) lists(origin string) bool {
	if p.listed[origin] { // as browsers write it, without a parse
		return true
	}
	n, ok := normal(origin)
	return ok && p.listed[n]
}

// same reports whether origin is that of the server as the client addressed it. A server that sees no TLS may stand
// behind a proxy that ends it, so both schemes pass there; one that sees TLS refuses http, which an attacker on the
// network can forge.
func same(origin string, r *http.Request) bool {
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok || r.Host == "" {
		return false
	}
	scheme = strings.ToLower(scheme)
	if scheme != "https" && (scheme != "http" || r.TLS != nil) {
		return false
	}
	return stripPort(scheme, host) == stripPort(scheme, r.Host)
}

// normal returns origin as browsers write it: lower case, without the default port.
func normal(origin string) (string, bool) {
	if origin == "null" {
		return origin, true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || strings.TrimSuffix(u.Path, "/") != "" ||
		u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(u.Host, "*") {
		return "", false
	}
	scheme := strings.ToLower(u.Scheme)
	return scheme + "://" + stripPort(scheme, u.Host), true
}

// stripPort returns host in lower case and without the port that scheme has anyway.
func stripPort(scheme, host string) string {
	host = strings.ToLower(host)
	switch scheme {
	case "http":
		return strings.TrimSuffix(host, ":80")
	case "https":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}

// Trusted reports whether the cookies of r may count: it was sent by a page of the server's own origin or of one that is
// listed by name, or by no page. That any page may connect does not make all pages act for their visitors.
func (p *Policy) Trusted(r *http.Request) bool {
	switch values := r.Header["Origin"]; len(values) {
	case 0:
		return ofOwn(r) // browsers leave Origin out of what a page may send without asking, and say so there
	case 1:
		return values[0] != "null" && (same(values[0], r) || p.lists(values[0]))
	}
	return false
}
