package engineio

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
)

// RequestInfo is what is kept of the request that opened a session: a compact copy, immutable.
type RequestInfo struct {
	// RequestURI is the target of the request as the client wrote it, for example "/socket.io/?EIO=4&color=red", but for
	// [Config.Secret].
	RequestURI string
	// Host is the host that the client asked for.
	Host string
	// RemoteAddr is the address of the peer, or of the last proxy.
	RemoteAddr string
	// TLS is the state of the TLS connection; nil without TLS, and empty if it ended at a proxy that is trusted.
	TLS *tls.ConnectionState

	secret string // what [Config.Secret] said
	header string // as it is written on the wire: parsed maps cost five times the memory, and few sessions are asked
}

// init copies what is kept of r, and the id, which it returns. secret is [Config.Secret].
func (i *RequestInfo) init(r *http.Request, id, secret string) string {
	uri := r.RequestURI
	if uri == "" {
		uri = r.URL.RequestURI()
	}
	uri, shown := hide(uri, secret)
	// All in one string: what net/http hands out are pieces of larger ones.
	b := texts.Get().(*bytes.Buffer)
	defer texts.Put(b)
	b.Reset()
	b.WriteString(id)
	b.WriteString(uri)
	b.WriteString(r.Host)
	b.WriteString(r.RemoteAddr)
	b.WriteString(shown)
	_ = r.Header.WriteSubset(b, ofTheHandshake) // a bytes.Buffer does not fail
	all := b.String()
	target := len(id)
	host := target + len(uri)
	remote := host + len(r.Host)
	token := remote + len(r.RemoteAddr)
	header := token + len(shown)
	i.RequestURI, i.Host, i.RemoteAddr, i.secret, i.header = all[target:host], all[host:remote], all[remote:token], all[token:header], all[header:]
	i.TLS = r.TLS
	return all[:target]
}

// hide takes a parameter out of a target's query, and returns its value: the first, if there are several.
func hide(uri, name string) (rest, value string) {
	path, query, found := strings.Cut(uri, "?")
	if name == "" || !found || !strings.Contains(query, name) && !strings.ContainsRune(query, '%') {
		return uri, ""
	}
	kept, hidden := make([]string, 0, 8), false
	for pair := range strings.SplitSeq(query, "&") {
		key, text, _ := strings.Cut(pair, "=")
		if unescape(key) != name {
			kept = append(kept, pair)
			continue
		}
		if !hidden {
			value = unescape(text)
		}
		hidden = true
	}
	if !hidden {
		return uri, ""
	}
	return path + "?" + strings.Join(kept, "&"), value
}

var texts = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// ofTheHandshake are the headers that say nothing once the session is open.
var ofTheHandshake = map[string]bool{
	"Connection": true, "Upgrade": true,
	"Sec-Websocket-Key": true, "Sec-Websocket-Version": true, "Sec-Websocket-Extensions": true,
}

// Header returns the headers of the request, but for those of the upgrade to WebSocket itself. The map is the caller's own, and made by every call.
func (i *RequestInfo) Header() http.Header {
	tr := textproto.NewReader(bufio.NewReader(strings.NewReader(i.header + "\r\n")))
	h, err := tr.ReadMIMEHeader()
	if err != nil { // cannot be: net/http wrote it
		return http.Header{}
	}
	return http.Header(h)
}

// URL returns the target of the request, parsed.
func (i *RequestInfo) URL() *url.URL {
	u, err := url.ParseRequestURI(i.RequestURI)
	if err != nil { // cannot be: net/http parsed it before
		return &url.URL{}
	}
	return u
}

// Query returns the parameters of the request's URL.
func (i *RequestInfo) Query() url.Values { return i.URL().Query() }

// Secret returns what the request's query said by the name of [Config.Secret], "" for nothing. It must not be shown.
func (i *RequestInfo) Secret() string { return i.secret }
