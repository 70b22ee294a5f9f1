package tutti

import (
	"context"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/verb"
)

// maxAckAttachments is how many attachments a stock client takes in a packet
// before it closes the connection.
const maxAckAttachments = 10

// ServeVerbs lets sockets of the namespace use the verbs of a desk, as events
// with an acknowledgement:
//
//	socket.emit("join", {room: "chat:tea"}, ({offset, error, code}) => …)
//
// A refusal is answered as {error, code}: the message for people and the
// [verb.Code] for programs. Only the verbs that the desk's rules open to
// somebody are served; it panics if the namespace has a handler for one of
// them, as [Namespace.Handle] does. Middleware wraps verbs like other events.
// Called again with the same desk, it serves what the desk has come to serve
// since: see [verb.Desk.Reload].
func (ns *Namespace) ServeVerbs(d *verb.Desk) {
	b := verbBinding{desk: d}
	var served map[string]Handler
	ns.rules.change(func(t *table) {
		if t.desk == d {
			served = t.handlers
		}
		t.desk = d
	})
	for v, h := range map[verb.Verb]Handler{
		verb.Join:     serveVerb(b, d.Join),
		verb.Leave:    serveVerb(b, d.Leave),
		verb.Publish:  serveVerb(b, b.publish),
		verb.History:  b.history,
		verb.Presence: serveVerb(b, d.Presence),
		verb.State:    serveVerb(b, d.State),
	} {
		if d.Serves(v) && served[string(v)] == nil {
			ns.Handle(string(v), h)
		}
	}
}

// verbBinding reads requests of a desk from Socket.IO events and writes its
// answers as acknowledgements.
type verbBinding struct {
	desk *verb.Desk
}

// A publication is a [verb.Publication] as it comes in an event.
type publication struct {
	Room  string      `json:"room"`
	Event string      `json:"event"`
	Data  *packet.Arg `json:"data"`
	ID    string      `json:"id"`
	// Traceparent is the W3C trace context of whoever publishes, if it is traced.
	Traceparent string `json:"traceparent"`
}

func (b verbBinding) publish(ctx context.Context, c verb.Caller, p publication) (verb.Receipt, error) {
	var args Args
	if p.Data != nil {
		var err error
		if args, err = packet.Marshal(*p.Data); err != nil {
			return verb.Receipt{}, err
		}
	}
	ctx = hub.WithTraceparent(ctx, p.Traceparent)
	return b.desk.Publish(ctx, c, verb.Publication{Room: p.Room, Event: p.Event, Args: args, ID: p.ID})
}

// history answers with as much of a page as one packet may hold.
func (b verbBinding) history(ctx context.Context, s *Socket, m *Message) error {
	q, err := scanVerb[verb.PageRequest](m)
	if err != nil {
		return b.refuse(s, m, err)
	}
	page, err := b.desk.History(ctx, s.caller(), q)
	if err != nil {
		return b.refuse(s, m, err)
	}
	for page, more := page.Within(maxAckAttachments), true; more; page, more = page.Half() {
		// A message without binary data may have a value that next to the
		// attachments of others would pose as one.
		if err = m.Reply(page); err == nil {
			break
		}
	}
	return err
}

// serveVerb returns the handler of a verb.
func serveVerb[Req, Res any](b verbBinding, do func(context.Context, verb.Caller, Req) (Res, error)) Handler {
	return func(ctx context.Context, s *Socket, m *Message) error {
		q, err := scanVerb[Req](m)
		if err != nil {
			return b.refuse(s, m, err)
		}
		answer, err := do(ctx, s.caller(), q)
		if err != nil {
			return b.refuse(s, m, err)
		}
		return m.Reply(answer)
	}
}

func scanVerb[Req any](m *Message) (q Req, err error) {
	if err := m.Args.Scan(&q); err != nil {
		return q, &verb.Refusal{Code: verb.BadRequest, Message: "bad arguments for \"" + m.Event + "\": " + err.Error()}
	}
	return q, nil
}

// refuse answers an error in the form of the verbs.
func (b verbBinding) refuse(s *Socket, m *Message, err error) error {
	r := verb.RefusalOf(err)
	if r.Limit != "" {
		s.link.limitHit(r.Limit)
	}
	if limit := hubLimit(err); limit != "" {
		s.link.session.Peer().Reached("hub", limit)
	}
	if r.Code == verb.Internal {
		s.link.server.log.Error("serve verb", keySocket, s, keyEvent, m.Event, keyErr, err)
	}
	answer := struct {
		Error string    `json:"error"`
		Code  verb.Code `json:"code"`
		At    string    `json:"at,omitempty"`    // JSON pointer
		Retry int64     `json:"retry,omitempty"` // milliseconds
	}{r.Message, r.Code, r.At, r.Retry.Milliseconds()}
	return m.Reply(answer)
}

// caller is the socket as a desk sees it.
func (s *Socket) caller() verb.Caller {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.partyLocked()
	c := verb.Caller{Space: s.ns.space, Seat: s.seat, Owner: p.owner, Peer: s.link.session.Peer()}
	if p.identity != nil {
		c.Bearer = p.identity
	}
	return c
}

// Introduce says who the socket's peer is to others. A guard calls it: in the
// presence of rooms, sockets of the same person are one member, who leaves with
// the last of them, and person is the id by which everybody there knows it. So it
// is no secret, as the owner given to [Socket.Identify] may be. Sockets that
// nobody introduced are each a person of its own, known by the socket's id.
func (s *Socket) Introduce(person string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changePartyLocked().person = person
}

// Person implements [hub.Participant]: it returns the id by which others know
// the socket's peer. Like ID, it is not settled in a guard.
func (s *Socket) Person() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	person := s.partyLocked().person
	if person == "" && (!s.returns || s.seat != nil) {
		return s.id
	}
	return person
}

var _ hub.Participant = (*Socket)(nil)
