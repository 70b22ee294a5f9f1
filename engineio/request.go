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
	// RequestURI is the target of the request as the client wrote it, for example "/socket.io/?EIO=4&token=x".
	RequestURI string
	// Host is the host that the client asked for.
	Host string
	// RemoteAddr is the address of the peer, or of the last proxy.
	RemoteAddr string
	// TLS is the state of the TLS connection; nil without TLS, and empty if it ended at a proxy that is trusted.
	TLS *tls.ConnectionState

	header string // as it is written on the wire: parsed maps cost five times the memory, and few sessions are asked
}

// init copies what is kept of r, and the id, which it returns.
func (i *RequestInfo) init(r *http.Request, id string) string {
	uri := r.RequestURI
	if uri == "" {
		uri = r.URL.RequestURI()
	}
	// All in one string: what net/http hands out are pieces of larger ones.
	b := texts.Get().(*bytes.Buffer)
	defer texts.Put(b)
	b.Reset()
	b.WriteString(id)
	b.WriteString(uri)
	b.WriteString(r.Host)
	b.WriteString(r.RemoteAddr)
	_ = r.Header.WriteSubset(b, ofTheHandshake) // a bytes.Buffer does not fail
	all := b.String()
	target := len(id)
	host := target + len(uri)
	remote := host + len(r.Host)
	header := remote + len(r.RemoteAddr)
	i.RequestURI, i.Host, i.RemoteAddr, i.header = all[target:host], all[host:remote], all[remote:header], all[header:]
	i.TLS = r.TLS
	return all[:target]
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
