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
	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/internal/websocket"
	"github.com/tutti-rt/tutti/internal/wheel"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/quota"
	"github.com/tutti-rt/tutti/verb"
)

// WebSocketConfig sets up [WebSocket]. For every field zero means the default.
type WebSocketConfig struct {
	// Listen says who may listen to which rooms. Zero: nobody, the door is
	// closed, unless it is a relay.
	Listen Access
	// Publish says who may publish to which rooms. Zero: nobody, clients only
	// listen.
	Publish Access
	// Desk, if set, opens to anyone besides what its rules let anyone join or
	// publish to, and lets clients with JSON framing use its other verbs.
	Desk *verb.Desk
	// Relay opens the door to anyone and makes it pass on what each client
	// sends to everyone in the namespace. Clients name no rooms, and Listen and
	// Publish mean nothing. A relay best has a space of its own.
	Relay bool
	// Origins are the origins whose pages may come in besides the server's own,
	// as "https://app.example.com", or "*" for every page of the web.
	Origins []string
	// Credentials lets the pages of Origins send cookies, by which Auth may know
	// who they are.
	Credentials bool
	// Auth, if set, says who a client is, and refuses whom it does not let in. It
	// shows a token as "Authorization: Bearer …", or as "token" in the query, or
	// a cookie. What it may do is open to it besides.
	Auth *auth.Authority
	// Heartbeat is how often a ping is sent, so that proxies don't take a
	// quiet connection for dead. Default 25 s; negative: never.
	Heartbeat time.Duration
	// MaxRooms is how many rooms a stream may be in, and a message may be for.
	// Default 100; negative: no limit but the hub's.
	MaxRooms int
	// MaxStreams is how many streams may be open at a time. Default 10,000;
	// negative: no limit.
	MaxStreams int
	// MaxMessage is the longest message that a client may send, in bytes.
	// Default 65,536; negative: no limit.
	MaxMessage int64
	// MaxQueue is how many bytes may wait for a client; one that lets more
	// pile up is closed. Default 1 MiB; negative: no limit.
	MaxQueue int
	// WriteTimeout is how long a client may take no byte of what is written to
	// it. Default 10 s; negative: for ever.
	WriteTimeout time.Duration
	// Rate is how many messages per second a client may send in the long run,
	// and Burst how many at once. Default 200, which a mouse that is followed
	// on a quick screen stays below, and 400; a negative Rate: no limit.
	Rate  float64
	Burst int
	// Check, if set, is asked about the data of each message that may be
	// published. It refuses with a [*verb.Refusal].
	Check func(namespace, event string, rooms []string, args packet.Args) error
	// Quota, if set, holds clients to limits that they share with those of
	// other doors.
	Quota *quota.Quota
	// Log is where the door logs; nil means [slog.Default].
	Log *slog.Logger
	// Trace, if set, is told what happens.
	Trace *Trace
}

// SubprotocolJSON is the WebSocket subprotocol of JSON framing.
const SubprotocolJSON = "tutti.json"

const defaultMaxMessage = 64 << 10

// webSockets is the door of [WebSocket].
type webSockets struct {
	*Door
	cfg   WebSocketConfig
	beats *wheel.Wheel
	ping  *websocket.Frame
}

// WebSocket returns a door for plain WebSockets:
//
//	GET /ws?room=a&room=b
//
// A text that comes in is published to the stream's rooms as the event
// "message" with that text as argument. A message that goes out is its argument
// if that is a single string, and otherwise JSON, as with [Events]. The sender
// gets its own message like everyone else.
//
// A client that asks for "framing=json" in the query, or for the subprotocol
// [SubprotocolJSON], exchanges JSON objects, with event names, acks, calls, and
// rooms to join and leave. With a desk it may use the other verbs too.
//
// In a space with memory such a client can come back: one that gives "after" in
// the query, empty at first, is told in a first frame {"offset":"…"} from where
// it receives everything, and learns the offset of each message with it. With
// the last one as "after" it then receives first what it missed. If that is not
// kept any more the frame is {"unrecovered":{"before":"…"},"offset":"…"}: what it
// missed may be in the histories of its rooms before that offset. A client that
// reads too slowly is not cut off but sent from the tape what it can take.
//
// The error lists every mistake in the configuration.
func WebSocket(space *hub.Space, cfg WebSocketConfig) (*Door, error) {
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, defaultHeartbeat)
	cfg.MaxRooms = cmp.Or(cfg.MaxRooms, defaultMaxRooms)
	cfg.MaxMessage = cmp.Or(cfg.MaxMessage, defaultMaxMessage)
	cfg.MaxQueue = cmp.Or(cfg.MaxQueue, defaultMaxQueue)

	d := &webSockets{
		Door: newDoor("websocket", space, cfg.Log, cfg.Trace), cfg: cfg,
		beats: wheel.New(100 * time.Millisecond), ping: websocket.PreparePing(),
	}
	d.desk, d.quota, d.auth, d.check, d.relays = cfg.Desk, cfg.Quota, cfg.Auth, cfg.Check, cfg.Relay
	err := d.Reload(Live{
		Listen: cfg.Listen, Publish: cfg.Publish, Origins: cfg.Origins, Credentials: cfg.Credentials,
		MaxStreams: cfg.MaxStreams, Rate: cfg.Rate, Burst: cfg.Burst,
	})
	if err != nil {
		return nil, fmt.Errorf("websocket door: %w", err)
	}
	d.serve = d.accept
	return d.Door, nil
}

// accept answers a handshake and leaves the connection to a goroutine.
func (d *webSockets) accept(w http.ResponseWriter, r *http.Request) error {
	if !websocket.IsUpgrade(r) {
		return &refusal{status: http.StatusUpgradeRequired, code: "upgrade_required", message: "this is a door for WebSockets"}
	}
	if err := websocket.Check(r); err != nil {
		if bad := (*websocket.HandshakeError)(nil); errors.As(err, &bad) {
			return handshakeRefusal(bad)
		}
		return err
	}
	s, err := d.admit(r)
	if err != nil {
		return err
	}
	return s.accept(w, r)
}

func handshakeRefusal(e *websocket.HandshakeError) error {
	return &refusal{status: e.Status, code: "bad_handshake", message: e.Reason, allow: http.MethodGet}
}

// admit returns the stream that r asks for, if it may have it.
func (d *webSockets) admit(r *http.Request) (*stream, error) {
	asked, now := d.moment(), d.now()
	if now.listen.closed() && !d.serves(verb.Join) {
		return nil, errClosed
	}
	grants, err := d.receive(r, asked, now, now.listen, now.publish)
	if err != nil {
		return nil, err
	}
	listen, publish := grants[0], grants[1]
	listen.ctx = context.WithoutCancel(r.Context())
	rooms, err := roomsOf(r, d.cfg.MaxRooms)
	if err != nil {
		return nil, err
	}
	if d.cfg.Relay && len(rooms) > 0 {
		return nil, errRelay
	}
	if err := d.allow(r.Context(), nil, listen, verb.Join, rooms); err != nil {
		return nil, err
	}
	framing := r.URL.Query().Get("framing")
	if framing != "" && framing != "json" && framing != "text" {
		return nil, badRequest("bad_framing", `the framing is neither "text" nor "json"`)
	}
	if r.URL.Query().Get("after") != "" && framing == "text" {
		return nil, badRequest("bad_framing", `"after" is for the framing "json", in which messages have offsets`)
	}
	s := &stream{
		door: d, listen: listen, publish: publish, rooms: rooms,
		everyone: listen.allow(verb.Join, nil) == nil, bucket: limit.NewBucket(now.rate), framing: framing,
	}
	if d.desk != nil {
		s.person = cmp.Or(listen.id.User(), newPerson())
	}
	return s, nil
}
