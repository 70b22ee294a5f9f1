package nodehub

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-rt/tutti/hub/redishub/nodewire"
)

// An Adapter is what the servers on Node.js use.
type Adapter string

// The adapters there are.
const (
	Classic        Adapter = "classic"         // createAdapter of @socket.io/redis-adapter
	Sharded        Adapter = "sharded"         // createShardedAdapter, with its default subscriptionMode
	ShardedStatic  Adapter = "sharded-static"  // with subscriptionMode "static"
	ShardedPrivate Adapter = "sharded-private" // with "dynamic-private"
	Streams        Adapter = "streams"         // createAdapter of @socket.io/redis-streams-adapter 0.3
)

// Adapters are all of them.
func Adapters() []Adapter {
	return []Adapter{Classic, Sharded, ShardedStatic, ShardedPrivate, Streams}
}

// Config says how to take part in a cluster. It is passed by value.
type Config struct {
	// URL is where Redis is: redis://user:password@host:port/db, rediss:// for
	// TLS, unix:// for a socket; with ?master_name=x it is that of a Sentinel. A
	// Redis Cluster is not known.
	URL string
	// TLS is for rediss:// URLs; nil: the system's certificate authorities.
	TLS *tls.Config
	// Adapter is what the others use. Default [Classic].
	Adapter Adapter
	// Prefix is what keys and channels begin with: the adapters' options key,
	// channelPrefix and streamName. Default "socket.io".
	Prefix string
	// StreamCount is the option streamCount of the streams adapter. Default 1.
	StreamCount int
	// MaxLen is about how many entries a stream keeps: its option maxLen. Default
	// 10,000.
	MaxLen int64
	// Timeout is how long others may take to answer, and what is said waits for
	// Redis: the adapters' requestsTimeout. Default 5 seconds.
	Timeout time.Duration
	// MaxPending bounds, in bytes, what waits to be sent, and what has come for a
	// namespace and was not handed on. Default 16 MiB.
	MaxPending int
	// MaxCalls bounds how many calls and events of others a namespace handles at
	// a time. Default 1,000. One more is answered as if nobody was here.
	MaxCalls int
	// Log gets the news of Redis' coming and going. nil: [slog.Default].
	Log *slog.Logger
	// Trace is told what happens. It may be nil.
	Trace *Trace
}

// Trace is a set of functions that are called when something happens. Any may be
// nil. They must not wait.
type Trace struct {
	// Connected: everything that is said can be heard.
	Connected func()
	// Lost: nothing can, until Connected.
	Lost func(err error)
	// Ignored: something came that is no message of this adapter.
	Ignored func()
	// Dropped: something was not handed on, or not sent, because too much waits
	// or Redis is away for too long.
	Dropped func()
}

const (
	defaultTimeout    = 5 * time.Second
	defaultMaxPending = 16 << 20
	defaultMaxLen     = 10_000
	defaultMaxCalls   = 1000
)

func (c Config) withDefaults() (Config, error) {
	if c.Adapter == "" {
		c.Adapter = Classic
	}
	if c.Prefix == "" {
		c.Prefix = "socket.io"
	}
	if c.StreamCount == 0 {
		c.StreamCount = 1
	}
	if c.MaxLen == 0 {
		c.MaxLen = defaultMaxLen
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.MaxPending == 0 {
		c.MaxPending = defaultMaxPending
	}
	if c.MaxCalls == 0 {
		c.MaxCalls = defaultMaxCalls
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Trace == nil {
		c.Trace = new(Trace)
	}
	var errs []error
	if _, err := c.dialect("/", "check"); err != nil {
		errs = append(errs, err)
	}
	if min(c.StreamCount, int(c.MaxLen), c.MaxPending, c.MaxCalls) < 0 || c.Timeout < 0 {
		errs = append(errs, errors.New("nodehub: StreamCount, MaxLen, Timeout, MaxPending and MaxCalls must not be negative"))
	}
	return c, errors.Join(errs...)
}

// dialect returns how this server, by a name, speaks in a namespace.
func (c Config) dialect(namespace, uid string) (nodewire.Dialect, error) {
	switch c.Adapter {
	case Classic:
		return nodewire.NewClassic(c.Prefix, namespace, uid), nil
	case Sharded:
		return nodewire.NewSharded(c.Prefix, namespace, uid, nodewire.Dynamic), nil
	case ShardedStatic:
		return nodewire.NewSharded(c.Prefix, namespace, uid, nodewire.Static), nil
	case ShardedPrivate:
		return nodewire.NewSharded(c.Prefix, namespace, uid, nodewire.DynamicPrivate), nil
	case Streams:
		return nodewire.NewStreams(c.Prefix, namespace, uid, c.StreamCount), nil
	}
	return nil, fmt.Errorf("nodehub: there is no adapter %q", c.Adapter)
}

// client returns a client for the URL with at least so many connections. Its
// errors do not tell the password.
func (c Config) client(connections int) (*redis.Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("nodehub: the URL cannot be read")
	}
	if u.Query().Get("master_name") != "" {
		o, err := redis.ParseFailoverURL(c.URL)
		if err != nil {
			return nil, fmt.Errorf("nodehub: URL of %s: %w", u.Host, err)
		}
		if o.TLSConfig != nil && c.TLS != nil {
			o.TLSConfig = c.TLS.Clone()
		}
		// What was sent must not be sent again: only we know what may be.
		o.Protocol, o.MaxRetries, o.DialerRetries, o.DisableIdentity = 2, -1, 1, true
		o.ContextTimeoutEnabled, o.PoolSize = true, pool(o.PoolSize, connections)
		return redis.NewFailoverClient(o), nil
	}
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("nodehub: URL of %s: %w", u.Host, err)
	}
	if o.TLSConfig != nil && c.TLS != nil {
		name := o.TLSConfig.ServerName
		if o.TLSConfig = c.TLS.Clone(); o.TLSConfig.ServerName == "" {
			o.TLSConfig.ServerName = name
		}
	}
	o.Protocol, o.MaxRetries, o.DialerRetries, o.DisableIdentity = 2, -1, 1, true
	o.ContextTimeoutEnabled, o.PoolSize = true, pool(o.PoolSize, connections)
	return redis.NewClient(o), nil
}

// pool is the size of a client's pool: what the URL says, or the client's
// default, unless that is too small.
func pool(size, least int) int {
	if size == 0 {
		size = 10 * runtime.GOMAXPROCS(0)
	}
	return max(size, least)
}
