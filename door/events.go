package door

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/quota"
	"github.com/tutti-rt/tutti/verb"
)

// EventsConfig sets up [Events]. For every field zero means the default.
type EventsConfig struct {
	// Listen says who may listen to which rooms. Zero: nobody, the door is
	// closed.
	Listen Access
	// Desk, if set, opens to anyone besides what its rules let anyone join.
	Desk *verb.Desk
	// Origins are the origins whose pages may listen besides the server's own,
	// as "https://app.example.com", or "*" for every page of the web.
	Origins []string
	// Credentials lets the pages of Origins send cookies, by which Auth may know
	// who they are.
	Credentials bool
	// Auth, if set, says who a client is, and refuses whom it does not let in. It
	// shows a token as "Authorization: Bearer …", or as "token" in the query, or
	// a cookie. What it may do is open to it besides.
	Auth *auth.Authority
	// Heartbeat is how long a stream may be silent before a comment is sent,
	// so that proxies don't take it for dead. Default 25 s; negative: never.
	Heartbeat time.Duration
	// Retry is how long a browser is to wait before it comes back after a
	// break. Each is told a time between Retry and twice that, so that after a
	// restart they don't come all at once. Default 2 s; negative: it is not
	// told, and browsers choose.
	Retry time.Duration
	// MaxRooms is how many rooms a stream may listen to. Default 100;
	// negative: no limit but the hub's.
	MaxRooms int
	// MaxStreams is how many streams may be open at a time. Default 10,000;
	// negative: no limit.
	MaxStreams int
	// MaxQueue is how many bytes may wait for a client; one that lets more
	// pile up is closed. Default 1 MiB; negative: no limit.
	MaxQueue int
	// WriteTimeout is how long a write may take. Default 10 s; negative: for
	// ever.
	WriteTimeout time.Duration
	// Quota, if set, holds clients to limits that they share with those of
	// other doors.
	Quota *quota.Quota
	// Log is where the door logs; nil means [slog.Default].
	Log *slog.Logger
	// Trace, if set, is told what happens.
	Trace *Trace
}

// The defaults that doors share.
const (
	defaultHeartbeat    = 25 * time.Second // below the 30 s and 60 s at which proxies lose patience
	defaultMaxRooms     = 100
	defaultMaxStreams   = 10_000
	defaultMaxQueue     = 1 << 20
	defaultWriteTimeout = 10 * time.Second
)

// events is the door of [Events].
type events struct {
	*Door
	cfg EventsConfig
}

// Events returns a door that streams what is published, as Server-Sent Events:
//
//	GET /events?room=a&room=b
//
// Each message is an event with the message's event name, its offset as id and
// its argument as data, in JSON: several arguments are an array, none is null,
// and binary data inside is {"$binary":"<base64>"}. A stream without a room
// gets what is published to everyone in the namespace, which only the pattern
// "*" of [Access] allows.
//
// In a space with memory a client that comes back with the id of the last event
// it has, in the header Last-Event-ID as browsers do by themselves, or as
// "after" in the query, receives what it missed first. If that is not kept any
// more, it is sent an event "unrecovered" with {"before": offset} as data: what
// it missed may be in the histories of its rooms before that offset, and what
// follows is whole again. A stream that is read too slowly is not cut off but
// sent from the tape what it can take.
//
// The error lists every mistake in the configuration.
func Events(space *hub.Space, cfg EventsConfig) (*Door, error) {
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, defaultHeartbeat)
	cfg.Retry = cmp.Or(cfg.Retry, 2*time.Second)
	cfg.MaxRooms = cmp.Or(cfg.MaxRooms, defaultMaxRooms)
	cfg.MaxQueue = cmp.Or(cfg.MaxQueue, defaultMaxQueue)
	cfg.WriteTimeout = cmp.Or(cfg.WriteTimeout, defaultWriteTimeout)

	e := &events{Door: newDoor("events", space, cfg.Log, cfg.Trace), cfg: cfg}
	err := e.Reload(Live{Listen: cfg.Listen, Origins: cfg.Origins, Credentials: cfg.Credentials, MaxStreams: cfg.MaxStreams})
	if err != nil {
		return nil, fmt.Errorf("events door: %w", err)
	}
	e.desk, e.quota, e.auth = cfg.Desk, cfg.Quota, cfg.Auth
	e.serve = e.stream
	return e.Door, nil
}

// stream answers a request with a stream, and returns when that has ended.
func (e *events) stream(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return methodNotAllowed(http.MethodGet)
	}
	rooms, g, err := e.admit(r)
	if err != nil {
		return err
	}
	peer, err := e.knock(r, g.owner())
	if err != nil {
		return err
	}
	defer peer.Leave()
	s := &eventStream{
		door: e, out: http.NewResponseController(w), w: w, peer: peer,
		inbox: inbox{
			limit: e.cfg.MaxQueue, window: window(e.cfg.MaxQueue), everyone: g.allow(verb.Join, nil) == nil, news: make(chan struct{}, 1),
			budget: e.quota.Budget(), by: g, rooms: rooms,
		},
	}
	// First the seat, then the headers: what is published after a client has
	// seen them reaches it.
	in, err := e.enter(&s.inbox, r.RemoteAddr, lastEventID(r), rooms)
	if err != nil {
		return err
	}
	s.inbox.seat = in.seat
	why := ReasonFault // unless run returns
	defer func() {
		in.seat.End()
		s.inbox.over()
		e.closeStream(&s.inbox, r.RemoteAddr, why, err)
	}()
	listed, err := e.enlist(&s.inbox, g)
	if err != nil {
		return authRefusal(err)
	}
	defer listed.Leave()
	why, err = s.run(r.Context(), in)
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return err
	}
	return nil
}

// admit returns the rooms that r asks for, if it may have them, and what it may
// do.
func (e *events) admit(r *http.Request) (rooms []string, g grant, err error) {
	asked, now := e.moment(), e.now()
	if now.listen.closed() && !e.serves(verb.Join) {
		return nil, grant{}, errClosed
	}
	grants, err := e.receive(r, asked, now, now.listen)
	if err != nil {
		return nil, grant{}, err
	}
	if rooms, err = roomsOf(r, e.cfg.MaxRooms); err != nil {
		return nil, grant{}, err
	}
	grants[0].ctx = context.WithoutCancel(r.Context())
	return rooms, grants[0], e.allow(r.Context(), nil, grants[0], verb.Join, rooms)
}
