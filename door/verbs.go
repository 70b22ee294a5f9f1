package door

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/quota"
	"github.com/tutti-rt/tutti/verb"
)

// allow says whether somebody may use a verb in rooms: if the door opens all of
// them to him or his key, or if the desk's rules open those that it does not.
func (d *Door) allow(ctx context.Context, seat *hub.Seat, g grant, v verb.Verb, rooms []string) error {
	refused := g.allow(v, rooms)
	if refused == nil || d.desk == nil || len(rooms) == 0 {
		return refused
	}
	for _, room := range rooms {
		if !g.may(v, room) && d.desk.Allow(g.known(ctx), d.caller(seat, g, nil), v, room) != nil {
			return refused
		}
	}
	return nil
}

// allowEvent says whether somebody may publish an event of that name to rooms.
// Where that is the desk's to allow, its rule may name the events.
func (d *Door) allowEvent(ctx context.Context, seat *hub.Seat, g grant, event string, rooms []string) error {
	refused := g.allow(verb.Publish, rooms)
	if d.desk == nil || len(rooms) == 0 {
		return refused
	}
	for _, room := range rooms {
		if g.rooms.match(room) {
			continue // the door's own
		}
		err := d.desk.AllowEvent(g.known(ctx), d.caller(seat, g, nil), room, event)
		if err != nil && verb.RefusalOf(err).Code == verb.BadEvent {
			return verbRefusal(err)
		}
		if err != nil {
			return refused
		}
	}
	return nil
}

// serves says whether the desk, or who somebody is, may open anything to a verb.
func (d *Door) serves(v verb.Verb) bool {
	return d.auth != nil && d.auth.Asks() || d.desk != nil && d.desk.Serves(v)
}

// caller is somebody as a desk sees him: where a rule wants a token, what the
// door opens to him is open.
func (d *Door) caller(seat *hub.Seat, g grant, p *quota.Peer) verb.Caller {
	c := verb.Caller{
		Peer:  p,
		Space: d.space, Seat: seat, Owner: g.owner(),
		Opens: func(_ verb.Verb, room string) bool { return g.rooms.match(room) },
	}
	if g.id != nil {
		c.Bearer = g.id
	}
	return c
}

// owner is whose the ids of messages are: a key's, a user's, or nobody's.
func (g grant) owner() string {
	if g.key == "" {
		return g.id.User()
	}
	return "key:" + g.key
}

// maxMessageID is the longest id of a message, in bytes.
const maxMessageID = 256

// identify gives a message the id that its publisher chose.
func identify(m *hub.Message, id string, g grant, rooms []string) error {
	if len(id) > maxMessageID {
		return badRequest("bad_message", "the id is longer than %d bytes", maxMessageID)
	}
	if m.ID = id; id != "" {
		m.Publisher = verb.Publisher(g.owner(), m, strings.Join(rooms, "\x00"))
	}
	return nil
}

// statuses are how HTTP says what a desk refuses.
var statuses = map[verb.Code]int{
	verb.BadData:         http.StatusUnprocessableEntity,
	verb.TooLarge:        http.StatusRequestEntityTooLarge,
	verb.TooManyRequests: http.StatusTooManyRequests,
	verb.Forbidden:       http.StatusForbidden,
	verb.NotMember:       http.StatusForbidden,
	verb.NoHistory:       http.StatusNotFound,
	verb.Unavailable:     http.StatusServiceUnavailable,
	verb.Unknown:         http.StatusGatewayTimeout,
}

// verbRefusal translates an error of a desk or of publishing. What is not for
// the client stays what it is.
func verbRefusal(err error) error {
	if err == nil {
		return nil
	}
	r := verb.RefusalOf(err)
	if r.Code == verb.Internal {
		return err
	}
	status := statuses[r.Code]
	if status == 0 {
		status = http.StatusBadRequest
	}
	return &refusal{status: status, code: string(r.Code), message: r.Message, at: r.At, limit: r.Limit, retry: r.Retry, err: r.Err}
}

// newPerson returns an id by which others know a client: it says nothing of it.
func newPerson() string {
	var b [15]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}
