package redishub

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Config says how to take part in a cluster. It is passed by value.
type Config struct {
	// URL is where the server is: redis://user:password@host:port/db, rediss://
	// for TLS, unix:// for a socket. With ?master_name=x it is that of a
	// Sentinel, and &addr=host:port that of another one.
	URL string
	// TLS is for rediss:// URLs; nil: the system's certificate authorities, and
	// the name in the URL.
	TLS *tls.Config
	// Cluster is a name of letters, digits, "_", "." and "-", by which nodes
	// find each other. Default "tutti".
	Cluster string
	// Lease is how long a node that says nothing belongs to the cluster. Default
	// 10 seconds; it is renewed thrice in that time, and a connection that does
	// not answer in a third of it is given up.
	Lease time.Duration
	// Timeout bounds a question to the server. Default 3 seconds.
	Timeout time.Duration
	// Patience is how long what is asked waits for a server that is away, before
	// it fails at once with [hub.ErrUnavailable]. Default 2 seconds; negative:
	// not at all. What may have been written already is waited for as long as
	// its context lasts.
	Patience time.Duration
	// MaxPending bounds, in bytes, what has come and was not handed on, for each
	// namespace. Default 16 MiB.
	MaxPending int64
	// AllowLoss accepts a server that keeps nothing (no AOF), or forgets when it
	// runs out of memory. Every restart of it is then a new epoch.
	AllowLoss bool
	// Log gets warnings about the server's configuration, and the news of its
	// coming and going. nil: [slog.Default].
	Log *slog.Logger
	// Trace is told what happens. It may be nil.
	Trace *Trace
}

// Trace is a set of functions that are called when something happens. Any may be
// nil. They are called by the goroutine to which it happens, and must not wait.
type Trace struct {
	// Connected: the live connection is up, and all that was missed was read.
	Connected func()
	// Lost: the live connection has ended.
	Lost func(err error)
	// Filled: so many messages were missed by the live connection and read.
	Filled func(messages int)
	// Ignored: something came on a channel of ours that none of us has sent.
	Ignored func()
	// Retried: a question was put again because its answer did not come.
	Retried func()
}

const (
	defaultLease      = 10 * time.Second
	defaultTimeout    = 3 * time.Second
	defaultPatience   = 2 * time.Second
	defaultMaxPending = 16 << 20
	maxName           = 64
)

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Cluster == "" {
		c.Cluster = "tutti"
	}
	if c.Lease == 0 {
		c.Lease = defaultLease
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	if c.MaxPending == 0 {
		c.MaxPending = defaultMaxPending
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Trace == nil {
		c.Trace = new(Trace)
	}
	if strings.ContainsFunc(c.Cluster, func(r rune) bool { return !plain(r) || r == '/' }) || len(c.Cluster) > maxName {
		errs = append(errs, fmt.Errorf("redishub: cluster %q must be at most %d letters, digits, \"_\", \".\" or \"-\"", c.Cluster, maxName))
	}
	if c.Lease < 0 || c.Timeout < 0 || c.MaxPending < 0 {
		errs = append(errs, errors.New("redishub: Lease, Timeout and MaxPending must not be negative"))
	}
	return c, errors.Join(errs...)
}

// plain are characters that stand for themselves in keys.
func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/_.-", r)
}

// A dialer makes clients for a URL.
type dialer struct {
	options  *redis.Options
	failover *redis.FailoverOptions // nil without Sentinel
}

// newDialer reads the URL. Its errors do not tell the password.
func newDialer(c Config) (*dialer, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("redishub: the URL cannot be read")
	}
	d := new(dialer)
	if u.Query().Get("master_name") != "" {
		if d.failover, err = redis.ParseFailoverURL(c.URL); err != nil {
			return nil, fmt.Errorf("redishub: URL of %s: %w", u.Host, err)
		}
		if d.failover.Username == "" && d.failover.Password == "" {
			d.failover.Username, d.failover.Password = d.failover.SentinelUsername, d.failover.SentinelPassword
		}
		f := d.failover
		if f.TLSConfig != nil && c.TLS != nil {
			f.TLSConfig = c.TLS.Clone()
		}
		f.Protocol, f.MaxRetries, f.DialerRetries = 2, -1, 1
		f.DialTimeout, f.ReadTimeout, f.WriteTimeout = c.Timeout, c.Timeout, c.Timeout
		f.ContextTimeoutEnabled, f.DisableIdentity = true, true
		return d, nil
	}
	if d.options, err = redis.ParseURL(c.URL); err != nil {
		return nil, fmt.Errorf("redishub: URL of %s: %w", u.Host, err)
	}
	// Trying again is ours: only we know whether it is safe.
	o := d.options
	if o.TLSConfig != nil && c.TLS != nil {
		name := o.TLSConfig.ServerName
		if o.TLSConfig = c.TLS.Clone(); o.TLSConfig.ServerName == "" {
			o.TLSConfig.ServerName = name
		}
	}
	o.Protocol, o.MaxRetries, o.DialerRetries = 2, -1, 1
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = c.Timeout, c.Timeout, c.Timeout
	o.ContextTimeoutEnabled, o.DisableIdentity = true, true
	return d, nil
}

// client returns a client with no connection yet.
func (d *dialer) client() *redis.Client {
	if d.failover != nil {
		f := *d.failover
		return redis.NewFailoverClient(&f)
	}
	o := *d.options
	return redis.NewClient(&o)
}
