package engineio

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/quota"
)

// Config is the configuration of a [Server]. It is passed by value and must not be modified afterwards. For every
// field, zero means the default; what negative means is said where it is allowed.
type Config struct {
	// PingInterval is the time between the answer to one ping and the next ping. Default 25 s. Heartbeats cannot be
	// turned off: nothing else finds a dead peer.
	PingInterval time.Duration
	// PingTimeout is how long the answer to a ping may take. Default 20 s.
	PingTimeout time.Duration
	// UpgradeTimeout is how long a move from polling to WebSocket may take. Default 10 s.
	UpgradeTimeout time.Duration
	// ConfirmTimeout is how long a session may go without [Session.Confirm] before it is closed with
	// [ReasonForcedServerClose]. Default 45 s; negative means for ever.
	ConfirmTimeout time.Duration
	// WriteTimeout is how long a peer may take none of the bytes written to it, and send none of the body of a POST.
	// Default 10 s; negative means for ever.
	WriteTimeout time.Duration

	// MaxPayload is the size in bytes of the largest message, and of the largest body of a POST. It is announced to
	// the peer. Default 1,000,000.
	MaxPayload int64
	// MaxPackets is how many packets one POST may carry. Every packet costs a call of [Receiver.Receive], so without a
	// limit a body of one-byte packets is half a million calls for 1 MB. Default 10,000: a client that fills the
	// announced payload with packets of 100 bytes stays below it. Negative means no limit.
	MaxPackets int
	// MaxQueue is how many bytes may wait for a peer. A Send that would exceed it closes the session with
	// [ErrTooSlow]; when nothing waits for the peer, a frame of any size passes. Every frame counts 64 bytes more than
	// its message. Default 1 MiB; negative means no limit.
	MaxQueue int
	// MaxSessions is how many sessions may exist; more handshakes are answered 503. Default [DefaultSessions]; negative
	// means no limit.
	MaxSessions int
	// Quota, if set, holds peers to limits that they share with others: handshakes beyond it are answered 503 before
	// anything is kept of them. What sessions do is counted by who receives their messages: see [Session.Peer].
	Quota *quota.Quota

	// Transports are those served, of "polling" and "websocket". Default both.
	Transports []string
	// NoUpgrade refuses to move sessions from polling to WebSocket.
	NoUpgrade bool
	// AllowEIO3 also serves revision 3 of the protocol, the one of Socket.IO 1 and 2 clients. A request without a
	// revision then counts as revision 3.
	AllowEIO3 bool

	// Origins are the origins allowed besides the server's own, as "https://app.example.com". A request with any other
	// Origin header is refused, over polling and WebSocket alike; one without the header, which no browser sends
	// across origins, is allowed. "*" allows every page of the web to speak to this server with whatever the
	// browser adds, cookies of WebSocket handshakes included: use it only where requests are not authenticated by
	// cookies or by the network they come from.
	Origins []string
	// Credentials lets pages of the allowed Origins send cookies with polling requests. It excludes "*".
	Credentials bool

	// Cookie, if set, is the template of a cookie with the session's id as value, set by the answer to a polling
	// handshake. It serves load balancers that pin by cookie.
	Cookie *http.Cookie
	// Deflate, if set, accepts the permessage-deflate extension of WebSocket.
	Deflate *Deflate
	// HTTPCompression is the size in bytes from which answers over polling are compressed for clients that accept it.
	// Default 1024; negative means never.
	HTTPCompression int

	// ReleaseAfter has memory given back to the system when, after a thousand sessions have come or gone, none has for
	// that long. It costs two runs of the garbage collector, over the whole process and so long apart. Zero or negative means never: what
	// the collector keeps as headroom, which is about what a session leaves behind, stays until it shrinks by itself.
	ReleaseAfter time.Duration

	// Headers, if set, may change the headers of an answer before it is written: those of every successful polling
	// request and of the 101 of a WebSocket. first tells those that open a session. It must not wait.
	Headers func(h http.Header, r *http.Request, first bool)
	// Allow, if set, decides about a handshake; it runs on the request's goroutine. A non-nil error refuses it: see
	// [Refusal].
	Allow func(r *http.Request) error
	// Secret, if set, is the name of a parameter of the query by which peers show who they are. No URL that is kept has
	// it: [RequestInfo.Secret] does.
	Secret string
	// NewID, if set, makes the id of a new session: of the characters that need no escape in a query, unguessable,
	// and never used before. Default 20 characters from 15 random bytes.
	NewID func(r *http.Request) string

	// Log is where the server logs; nil means [slog.Default].
	Log *slog.Logger
	// Trace, if set, is told what happens.
	Trace *Trace
}

// Deflate configures compression of WebSocket messages, without context takeover.
type Deflate struct {
	// Threshold is the size in bytes from which a message is compressed. Default 1024; negative means always.
	Threshold int
}

// The transports that exist.
const (
	polling   = "polling"
	webSocket = "websocket"
)

// closeTimeout is how long a session that is closing waits for its peer to fetch what was sent before.
const closeTimeout = 30 * time.Second

// probeTick is how often, while a WebSocket is probed, the pending poll is answered with a noop. The client waits for
// that answer before it completes the upgrade.
const probeTick = 100 * time.Millisecond

// withDefaults returns the configuration with the defaults filled in, or an error that lists every mistake.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("engineio: "+format, args...))
		}
	}
	check(c.PingInterval >= 0, "PingInterval %v is negative", c.PingInterval)
	check(c.PingTimeout >= 0, "PingTimeout %v is negative", c.PingTimeout)
	check(c.UpgradeTimeout >= 0, "UpgradeTimeout %v is negative", c.UpgradeTimeout)
	check(c.MaxPayload >= 0, "MaxPayload %d is negative", c.MaxPayload)
	for _, t := range c.Transports {
		check(t == polling || t == webSocket, "unknown transport %q", t)
	}
	check(c.Cookie == nil || c.Cookie.Name != "", "Cookie has no name")

	c.PingInterval = cmp.Or(c.PingInterval, 25*time.Second)
	c.PingTimeout = cmp.Or(c.PingTimeout, 20*time.Second)
	c.UpgradeTimeout = cmp.Or(c.UpgradeTimeout, 10*time.Second)
	c.ConfirmTimeout = cmp.Or(c.ConfirmTimeout, 45*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	c.MaxPayload = cmp.Or(c.MaxPayload, 1_000_000)
	c.MaxPackets = cmp.Or(c.MaxPackets, 10_000)
	c.MaxQueue = cmp.Or(c.MaxQueue, 1<<20)
	c.MaxSessions = cmp.Or(c.MaxSessions, DefaultSessions())
	c.HTTPCompression = cmp.Or(c.HTTPCompression, 1024)
	c.Transports = slices.Clone(c.Transports)
	if len(c.Transports) == 0 {
		c.Transports = []string{polling, webSocket}
	}
	c.Origins = slices.Clone(c.Origins)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Trace == nil {
		c.Trace = &Trace{}
	}
	return c, errors.Join(errs...)
}

// sessionMemory is what a session may take up for its default share: several times what one at rest does.
const sessionMemory = 16 << 10

// DefaultSessions returns how many sessions there may be if nothing is said: as many as three quarters of the files that
// the process may have open, so that there are some left for requests and for the disk, and no more than fit its memory
// at 16 KiB each.
func DefaultSessions() int {
	n := int64(100_000)
	if files := limit.Files(); files > 0 {
		n = int64(files) * 3 / 4
	}
	if memory := quota.MemoryLimit(); memory > 0 {
		n = min(n, memory/sessionMemory)
	}
	return int(max(n, 1))
}

// upgrades reports whether a polling session may move to WebSocket.
func (c *Config) upgrades() bool {
	return !c.NoUpgrade && slices.Contains(c.Transports, webSocket)
}
