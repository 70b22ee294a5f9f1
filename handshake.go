package tutti

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/packet"
)

// A Handshake is what is known of a peer when it connects to a namespace.
type Handshake struct {
	// Auth is what the client gave as its auth option, a JSON object; {} if
	// nothing.
	Auth json.RawMessage
	// Query is the query of the session's first request. A Socket.IO 2 client
	// may give another with the namespace: then it is that one. With
	// [Config.Auth] it has no "token", and nor has URL.
	Query url.Values
	// Header is the header of the session's first request.
	Header http.Header
	// URL is the path and query of the session's first request, as the client
	// wrote them.
	URL string
	// Remote is the network address that the session came from, a proxy's if
	// there is one before the server.
	Remote string
	// Secure says whether the session came over TLS to this process, or to the
	// proxy before it if [TrustProxies] believes that.
	Secure bool
	// Time is when the socket asked for its namespace.
	Time time.Time
}

// ScanAuth reads Auth into target.
func (h Handshake) ScanAuth(target any) error { return json.Unmarshal(h.Auth, target) }

// Token returns the credential that the peer presents: the "token" of Auth, or
// else a bearer token in the Authorization header, or else "". It does not look
// into the query, which ends up in the logs of every proxy.
func (h Handshake) Token() string {
	var auth struct{ Token string }
	if h.ScanAuth(&auth) == nil && auth.Token != "" {
		return auth.Token
	}
	kind, token, _ := strings.Cut(h.Header.Get("Authorization"), " ")
	if strings.EqualFold(kind, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// greeting is what a socket keeps of its CONNECT packet. The rest of its
// handshake is the session's to remember.
type greeting struct {
	auth  []byte // nil if none
	query string // what followed the namespace (Socket.IO 2), "" if nothing
}

func greetingOf(p *packet.Packet) *greeting {
	if p.Data == nil && p.Query == "" {
		return nil
	}
	return &greeting{auth: p.Data, query: p.Query}
}

// handshake puts together what is known of a peer. Few sockets are asked, so
// nothing of it is kept.
func (g *greeting) handshake(r *engineio.RequestInfo, came time.Time) Handshake {
	if g == nil {
		g = &greeting{}
	}
	h := Handshake{
		Auth:   g.auth,
		Query:  r.Query(),
		Header: r.Header(),
		URL:    r.RequestURI,
		Remote: r.RemoteAddr,
		Secure: r.TLS != nil,
		Time:   came,
	}
	if len(h.Auth) == 0 {
		h.Auth = json.RawMessage("{}")
	}
	if g.query != "" {
		if q, err := url.ParseQuery(g.query); err == nil {
			h.Query = q
			h.Auth = authOfQuery(q)
		}
	}
	return h
}

// authOfQuery gives guards one place to look at: Socket.IO 2 clients have no
// auth, and pass their credentials in the query of the namespace.
func authOfQuery(q url.Values) json.RawMessage {
	first := make(map[string]string, len(q))
	for k := range q {
		first[k] = q.Get(k)
	}
	b, err := json.Marshal(first)
	if err != nil {
		return json.RawMessage("{}") // cannot happen: strings only
	}
	return b
}
