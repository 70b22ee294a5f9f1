package natshub

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Config says how to take part in a cluster. It is passed by value.
type Config struct {
	// URL is where the servers are: nats://user:password@host:port,other:port, or
	// tls:// for TLS. It may say more behind a question mark:
	//
	//	replicas=3           how many servers keep each stream; default 1
	//	sync=always          the servers have sync_interval "always" set
	//	domain=NAME          the JetStream domain, if it is not the nearest server's
	//	creds=FILE           credentials in a file, as nsc writes them
	//	nkey=FILE            a seed in a file
	URL string
	// TLS is for tls:// URLs; nil: the system's certificate authorities, and the
	// name in the URL.
	TLS *tls.Config
	// Cluster is a name of letters, digits, "_", "." and "-", by which nodes
	// find each other. Default "tutti".
	Cluster string
	// Lease is how long a node that says nothing belongs to the cluster. Default
	// 10 seconds. A node speaks thrice in that time, and a connection on which
	// it does not hear itself in a third of it is given up.
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
	// MaxMessage is the largest message in bytes that is going to be published
	// in the ordinary way: a server that takes less is refused. MaxPacket is the
	// largest that may be, with its binary values: the log warns of a server that
	// takes less, for what is larger is not published. Default 0: it is not looked
	// at; as are negative values.
	MaxMessage, MaxPacket int64
	// Log gets warnings about the server's configuration, and the news of its
	// coming and going. nil: [slog.Default].
	Log *slog.Logger
	// Trace is told what happens. It may be nil.
	Trace *Trace
}

// Trace is a set of functions that are called when something happens. Any may be
// nil. They are called by the goroutine to which it happens, and must not wait.
type Trace struct {
	// Connected: there is a connection, on which everything is listened to.
	Connected func()
	// Lost: the connection has ended.
	Lost func(err error)
	// Filled: so many messages were missed and read.
	Filled func(messages int)
	// Ignored: something came on a subject of ours that none of us has sent.
	Ignored func()
	// Retried: something was asked again because no answer came, or none that
	// would do.
	Retried func()
	// Dropped: a follower was too slow, and what comes is read again later.
	Dropped func()
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
	if strings.ContainsFunc(c.Cluster, func(r rune) bool { return !plain(r) && r != '_' && r != '.' }) || len(c.Cluster) > maxName {
		errs = append(errs, fmt.Errorf("natshub: cluster %q must be at most %d letters, digits, \"_\", \".\" or \"-\"", c.Cluster, maxName))
	}
	if c.Lease < 0 || c.Timeout < 0 || c.MaxPending < 0 {
		errs = append(errs, errors.New("natshub: Lease, Timeout and MaxPending must not be negative"))
	}
	return c, errors.Join(errs...)
}

// A site is what the URL says.
type site struct {
	urls     []string
	user     *url.Userinfo // of all servers, nil: none
	replicas int
	synced   bool   // what is acknowledged is on the disk
	api      string // what the subjects of JetStream begin with
	options  []nats.Option
}

// ownAPI is the JetStream of the nearest server.
const ownAPI = "$JS.API."

// readURL reads the URL. Its errors do not tell the password.
func readURL(c Config) (*site, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("natshub: the URL cannot be read")
	}
	if u.Scheme != "nats" && u.Scheme != "tls" {
		return nil, fmt.Errorf("natshub: the URL must begin with nats:// or tls://, not %s://", u.Scheme)
	}
	if u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("natshub: the URL must name hosts, and no path")
	}
	s := &site{user: u.User, replicas: 1, api: ownAPI}
	for host := range strings.SplitSeq(u.Host, ",") {
		one := url.URL{Scheme: u.Scheme, User: u.User, Host: host}
		s.urls = append(s.urls, one.String())
	}
	if c.TLS != nil && u.Scheme == "tls" {
		s.options = append(s.options, nats.Secure(c.TLS.Clone()))
	}
	for name, values := range u.Query() {
		if err := s.set(name, values[len(values)-1]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// set takes over what the URL says behind the question mark.
func (s *site) set(name, value string) error {
	switch name {
	case "replicas":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > 5 {
			return fmt.Errorf("natshub: replicas=%s in the URL must be 1 to 5", value)
		}
		s.replicas = n
	case "sync":
		if value != "always" && value != "lazy" {
			return fmt.Errorf("natshub: sync=%s in the URL must be \"always\" or \"lazy\"", value)
		}
		s.synced = value == "always"
	case "domain":
		if value == "" || strings.ContainsAny(value, ".*> \t") {
			return fmt.Errorf("natshub: domain=%s in the URL is no domain's name", value)
		}
		s.api = "$JS." + value + ".API."
	case "creds":
		s.options = append(s.options, nats.UserCredentials(value))
	case "nkey":
		o, err := nats.NkeyOptionFromSeed(value)
		if err != nil {
			return fmt.Errorf("natshub: nkey in the URL: %w", err)
		}
		s.options = append(s.options, o)
	default:
		return fmt.Errorf("natshub: the URL says %q, which is not known", name)
	}
	return nil
}
