package tutti

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// Config sets up a [Server]. The zero value is ready to use: every field that
// is zero has the default its comment names, and a negative limit means none.
type Config struct {
	// Engine is how sessions are carried: heartbeat, transports, payload and
	// queue limits, allowed origins, cookie, compression. Its ConfirmTimeout is
	// Socket.IO's connectTimeout: a session that has joined no namespace in
	// that time is closed.
	Engine engineio.Config
	// Packets limits what a single Socket.IO packet may be.
	Packets packet.Limits
	// Hub limits rooms, keeps memories, and makes the server one of several.
	Hub hub.Config
	// Advertise is where the other nodes of a cluster reach this server:
	// "http://HOST:PORT", without a path. With it, and an engine in Hub, clients
	// may land on any node: a request for a session of another node is passed
	// on to that one. Default "": a balancer must keep sessions to their nodes.
	Advertise string
	// Auth, if set, says who a peer is before the guards of any namespace are
	// asked, and refuses who it does not let in. The socket's owner and person
	// are then the identity's subject, unless a guard says otherwise; handlers
	// find the identity by [Socket.Identity] and [auth.FromContext]. Nil: who
	// comes in is the guards' business alone.
	Auth *auth.Authority

	// MaxNamespaces is how many namespaces one session may be in, and how many
	// more it may have left while handlers still run there. Default 100.
	MaxNamespaces int
	// MaxAuth is how many bytes of credentials a client may give with a
	// namespace, which a socket keeps as long as it lives. A socket with more is
	// refused. Default 64 KiB.
	MaxAuth int
	// MaxInbox is how many bytes of events may wait for a socket's handlers.
	// A socket that sends faster than its handlers work is disconnected when
	// they are exceeded. Default 4 MiB.
	MaxInbox int
	// MaxPendingCalls is how many calls may wait for one socket's answers; a
	// call beyond that fails with [ErrTooManyCalls]. Default 10,000.
	MaxPendingCalls int
	// MaxDynamic is how many namespaces made by [Server.Dynamic] may exist at a
	// time. A peer chooses their names, so they must end somewhere. Default
	// 10,000.
	MaxDynamic int

	// AttachmentTimeout is how long a packet may wait for its attachments
	// before its session is closed. Default 30 s.
	AttachmentTimeout time.Duration

	// ClientFiles holds socket.io.js and its siblings, from the client-dist
	// folder of the npm package "socket.io". Nil: they are not served.
	ClientFiles fs.FS
	// ClientVersion is the version of ClientFiles, which browsers use to tell
	// whether theirs is the same. Default: a digest of each file.
	ClientVersion string

	// Log is where the server writes what went wrong. Default slog.Default().
	Log *slog.Logger
	// Trace, if set, is told what happens.
	Trace *Trace
}

// Trace observes a server. Any of its functions may be nil. They are called on
// the goroutine that does the work and must not wait.
type Trace struct {
	SocketConnected    func(s *Socket)
	SocketDisconnected func(s *Socket, reason Reason)
	SocketRefused      func(namespace string, err error)               // a guard, or no such namespace
	EventReceived      func(s *Socket, m *Message)                     // of [AuthEvent] without its arguments
	EventHandled       func(s *Socket, m *Message, took time.Duration) // its handler has returned
	EventSent          func(s *Socket, m *hub.Message)                 // to one socket, a broadcast once for each
	NamespaceCreated   func(ns *Namespace)
	// Forwarded and ForwardFailed tell of requests for sessions of other nodes.
	Forwarded     func()
	ForwardFailed func(err error)
	// LimitHit names the limit that a peer ran into: "namespaces", "auth",
	// "inbox", "pending calls", "dynamic namespaces", "attachment timeout";
	// "data", "event" or "id" of what it wanted to publish by a verb.
	LimitHit func(limit string)
}

const (
	defaultMaxNamespaces   = 100
	defaultMaxAuth         = 64 << 10
	defaultMaxInbox        = 4 << 20
	defaultMaxPendingCalls = 10_000
	defaultMaxDynamic      = 10_000

	defaultAttachmentTimeout = 30 * time.Second
)

// withDefaults returns c with the defaults filled in, or all that is wrong
// with it. The engine checks its own part.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	limit := func(name string, v *int, def int) {
		if *v == 0 {
			*v = def
		}
		if *v < 0 {
			*v = int(^uint(0) >> 1)
		}
		if *v < 1 {
			errs = append(errs, fmt.Errorf("tutti: Config.%s must not be %d", name, *v))
		}
	}
	limit("MaxNamespaces", &c.MaxNamespaces, defaultMaxNamespaces)
	limit("MaxAuth", &c.MaxAuth, defaultMaxAuth)
	limit("MaxInbox", &c.MaxInbox, defaultMaxInbox)
	limit("MaxPendingCalls", &c.MaxPendingCalls, defaultMaxPendingCalls)
	limit("MaxDynamic", &c.MaxDynamic, defaultMaxDynamic)
	if c.Packets.MaxAttachments == 0 {
		c.Packets.MaxAttachments = packet.DefaultAttachments
	}
	if c.AttachmentTimeout == 0 {
		c.AttachmentTimeout = defaultAttachmentTimeout
	}
	if c.AttachmentTimeout < 0 {
		errs = append(errs, fmt.Errorf("tutti: Config.AttachmentTimeout must not be %v", c.AttachmentTimeout))
	}
	if c.Trace == nil {
		c.Trace = &Trace{}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Engine.Log == nil {
		c.Engine.Log = c.Log
	}
	return c, errors.Join(errs...)
}
