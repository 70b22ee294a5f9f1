// Package forward lets a client land on any node of a cluster: a request that
// names a session of another node is passed on to that node, polls and upgrades
// to WebSocket alike. The name of the node is a part of the session's id, so that
// nothing has to be looked up but the node's address.
package forward

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A Node is where and how the nodes of a cluster reach one of them. Whoever
// knows the token is believed to be a node: it travels by the engine alone.
type Node struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// NewNode returns a node that is reached at a URL of scheme and host.
func NewNode(address string) (Node, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" {
		return Node{}, fmt.Errorf("forward: %q is not http://HOST:PORT", address)
	}
	return Node{URL: address, Token: random()}, nil
}

// Marshal writes a node down for the others, Unmarshal reads it.
func (n Node) Marshal() []byte {
	text, _ := json.Marshal(n) // two strings
	return text
}

// Unmarshal reads what Marshal has written.
func Unmarshal(text []byte) (Node, error) {
	var n Node
	if err := json.Unmarshal(text, &n); err != nil {
		return Node{}, fmt.Errorf("forward: read node: %w", err)
	}
	return n, nil
}

// Config sets up a [Handler].
type Config struct {
	Name string // of this node, a part of the ids of its sessions
	// Self is how the others reach this node.
	Self Node
	// Find returns a node by its name; false: there is none of that name any
	// more.
	Find  func(name string) (Node, bool)
	Log   *slog.Logger
	Trace *Trace
}

// Trace observes a handler. Any of its functions may be nil.
type Trace struct {
	Forwarded func()          // a request is passed on
	Failed    func(err error) // to no avail
}

// Headers between nodes.
const (
	headerToken  = "X-Tutti-Token"  // of the node that is asked
	headerPeer   = "X-Tutti-Peer"   // the address of the client
	headerSecure = "X-Tutti-Secure" // it came over TLS
)

const (
	dialTimeout = 3 * time.Second
	idleConns   = 256 // to each node; polls come and go
	bufferSize  = 16 << 10
)

// A Handler passes requests on, or serves them. It is safe for concurrent use.
type Handler struct {
	cfg       Config
	transport *http.Transport
	buffers   buffers

	ctx    context.Context // of what is passed on
	cancel context.CancelFunc

	mu    sync.Mutex
	under map[string]map[*pass]bool // what is passed on, by the node
}

// A pass is a request under way to another node.
type pass struct{ end context.CancelFunc }

// New returns a handler.
func New(cfg Config) *Handler {
	if cfg.Trace == nil {
		cfg.Trace = &Trace{}
	}
	h := &Handler{cfg: cfg, transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		MaxIdleConnsPerHost: idleConns,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true, // what the client accepts is between it and the session
	}}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.under = make(map[string]map[*pass]bool)
	return h
}

// Gone ends what is being passed on to a node that is gone: its machine may not
// be there to end it, and clients would wait for nothing.
func (h *Handler) Gone(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range h.under[name] {
		p.end()
	}
}

// begin notes what is passed on to a node, until over is called.
func (h *Handler) begin(name string, end context.CancelFunc) (over func()) {
	p := &pass{end}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.under[name] == nil {
		h.under[name] = make(map[*pass]bool)
	}
	h.under[name][p] = true
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if delete(h.under[name], p); len(h.under[name]) == 0 {
			delete(h.under, name)
		}
	}
}

// Close ends what is being passed on, WebSockets first of all: their clients
// come back by another node.
func (h *Handler) Close() {
	h.cancel()
	h.transport.CloseIdleConnections()
}

// NewID makes the id of a session of this node: 120 bits that nobody can guess,
// and its name.
func (h *Handler) NewID(*http.Request) string { return random() + "." + h.cfg.Name }

// ServeHTTP has next serve a request, or the node that it is for. next serves
// the sessions of nodes that are gone as well: it does not know them, and says
// so. What another node has passed on goes no further, nor does what was meant
// for an earlier life of this one, whose lease may not have ended.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next http.Handler) {
	peer, passed, ok := h.passedOn(r)
	if ok {
		r.RemoteAddr = peer
		r.TLS = nil // that between nodes says nothing of the client's
		if r.Header.Get(headerSecure) != "" {
			r.TLS = &tls.ConnectionState{}
		}
	}
	r.Header.Del(headerSecure)
	name := owner(r)
	if passed || name == "" || name == h.cfg.Name {
		next.ServeHTTP(w, r)
		return
	}
	node, ok := h.cfg.Find(name)
	if !ok || node.URL == h.cfg.Self.URL {
		next.ServeHTTP(w, r)
		return
	}
	target, err := url.Parse(node.URL)
	if err != nil {
		h.fail(w, r, fmt.Errorf("node %s: %w", name, err))
		return
	}
	h.forward(w, r, name, target, node.Token)
}

// passedOn says whether the request claims to be passed on by another node, and
// for whom if that is so. The headers are removed.
func (h *Handler) passedOn(r *http.Request) (peer string, claims, ok bool) {
	token := r.Header.Get(headerToken)
	if token == "" && r.Header[headerPeer] == nil {
		return "", false, false
	}
	peer = r.Header.Get(headerPeer)
	r.Header.Del(headerToken)
	r.Header.Del(headerPeer)
	return peer, true, h.cfg.Self.Token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(h.cfg.Self.Token)) == 1
}

// owner returns the node that the request's session is of, "" if it names none.
func owner(r *http.Request) string {
	if !strings.Contains(r.URL.RawQuery, "sid=") {
		return ""
	}
	_, name, _ := strings.Cut(r.URL.Query().Get("sid"), ".")
	return name
}

func (h *Handler) forward(w http.ResponseWriter, r *http.Request, name string, target *url.URL, token string) {
	if h.cfg.Trace.Forwarded != nil {
		h.cfg.Trace.Forwarded()
	}
	// A WebSocket is passed on for as long as it lives, and net/http forgets
	// who has taken over its connection: its life ends with ours.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	defer h.begin(name, cancel)()
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host // the origin is compared with it
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if v, ok := p.In.Header[name]; ok {
					p.Out.Header[name] = v
				}
			}
			p.Out.Header.Set(headerToken, token)
			p.Out.Header.Set(headerPeer, p.In.RemoteAddr)
			if p.In.TLS != nil {
				p.Out.Header.Set(headerSecure, "1")
			}
			if p.Out.Body == nil {
				p.Out.Body, p.Out.GetBody = io.NopCloser(strings.NewReader("")), onlyOnce
			}
		},
		Transport:     h.transport,
		FlushInterval: -1,
		BufferPool:    &h.buffers,
		ErrorLog:      slog.NewLogLogger(h.cfg.Log.Handler(), slog.LevelDebug),
		ErrorHandler:  h.fail,
	}
	proxy.ServeHTTP(w, r.WithContext(ctx))
}

// onlyOnce keeps the transport from asking a second time when a connection ends
// before the answer: what a poll has taken out of its session would be lost, and
// the next poll's answer would hide it.
func onlyOnce() (io.ReadCloser, error) { return nil, errOnce }

var errOnce = errors.New("forward: the connection ended before the answer")

// fail answers a request that could not be passed on. The client gives its
// session up and comes back with a new one. It is answered even if it is likely
// to be gone: when this node is going it is not, and net/http would make a
// success of no answer.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		h.cfg.Log.Warn("request not passed on", "err", err)
		if h.cfg.Trace.Failed != nil {
			h.cfg.Trace.Failed(err)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadGateway)
	w.Write([]byte(`{"code":1,"message":"Session ID unknown"}`))
}

// buffers are those that what is passed on goes through.
type buffers struct{ pool sync.Pool }

// Get implements [httputil.BufferPool].
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, bufferSize)
}

// Put implements [httputil.BufferPool].
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }

func random() string {
	var b [15]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}
