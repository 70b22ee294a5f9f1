package verb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/quota"
)

// Config sets up a [Desk]. Zero values mean the defaults.
type Config struct {
	// Rules say what callers may do, by room. The first whose pattern matches
	// holds. None: nothing.
	Rules []Rule
	// Permit is asked where a rule wants a token, if [Caller.Opens] does not
	// allow it already: nil lets the caller do it, a [*Refusal] is told to it,
	// any other error is told as a refusal without words. It may wait. ctx is
	// the caller's: that of the guards of its namespace, for a socket. Nil:
	// refuses.
	Permit func(ctx context.Context, c Caller, v Verb, room string) error
	// Bearers says that callers may have permissions of their own, see
	// [Caller.Bearer]: all verbs are served then, also those that no rule opens.
	Bearers bool
	// Admit is asked before everything else, and refuses who comes too often:
	// with a [*Refusal] of the code [TooManyRequests], mostly. Nil: admits.
	Admit func(c Caller, v Verb) error

	// Check, if set, is asked about the data of what is to be published, when the
	// rules allow it. It refuses with a [*Refusal] of the code [BadData], mostly.
	Check func(namespace, event string, rooms []string, args packet.Args) error

	// MaxData is how many bytes the data of a message may have, binary included.
	// Default 64 KiB; negative: no limit.
	MaxData int
	// MaxPage is how many messages or members a page may have. Default 200; at
	// most [hub.MaxPage].
	MaxPage int
	// MaxPageBytes is how many bytes of data a page may have; it has one message
	// at least. Default 128 KiB; negative: no limit.
	MaxPageBytes int
}

// Limits that nobody needs to change.
const (
	maxEvent = 256 // bytes of an event's name: as long as a room's may be
	maxID    = 256 // bytes of a message's id

	defaultMaxData      = 64 << 10
	defaultMaxPage      = 200
	defaultMaxPageBytes = 128 << 10
)

// A Desk serves the verbs. It is safe for concurrent use and serves any number
// of spaces.
type Desk struct {
	current atomic.Pointer[Config] // never written to
}

func (d *Desk) cfg() *Config { return d.current.Load() }

// New returns a desk. Its error lists all that is wrong with cfg.
func New(cfg Config) (*Desk, error) {
	d := new(Desk)
	return d, d.Reload(cfg)
}

// Reload puts cfg in the place of what the desk was set up with: for what is
// asked from now on, also by who is in rooms already. Who is in one that it may not
// join any more stays there until the bindings look: tutti.Namespace.Review,
// door.Door.Reload. Its error lists all that is wrong with cfg, and nothing has
// changed then.
func (d *Desk) Reload(cfg Config) error {
	var errs []error
	cfg.Rules = slices.Clone(cfg.Rules)
	for i := range cfg.Rules {
		cfg.Rules[i].Events = slices.Clone(cfg.Rules[i].Events)
		errs = append(errs, cfg.Rules[i].validate(fmt.Sprintf("verb: Rules[%d]", i)))
	}
	for _, x := range []struct {
		v   *int
		def int
	}{{&cfg.MaxData, defaultMaxData}, {&cfg.MaxPage, defaultMaxPage}, {&cfg.MaxPageBytes, defaultMaxPageBytes}} {
		if *x.v == 0 {
			*x.v = x.def
		}
	}
	if cfg.MaxPage < 0 || cfg.MaxPage > hub.MaxPage {
		errs = append(errs, fmt.Errorf("verb: MaxPage %d: want 1 to %d", cfg.MaxPage, hub.MaxPage))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	d.current.Store(&cfg)
	return nil
}

// A Caller is who asks.
type Caller struct {
	// Space is where it asks.
	Space *hub.Space
	// Seat is its place there; nil for a caller that has none, as over HTTP.
	Seat *hub.Seat
	// Owner is who it is to the application: the ids of its messages are its
	// own. "" if nobody knows.
	Owner string
	// Opens says what the caller's token, which was checked before, lets it do
	// where a rule wants a token. Nil: nothing.
	Opens func(v Verb, room string) bool
	// Peer is the connection over which it asks, or what its request counts as;
	// nil: without limits.
	Peer *quota.Peer
	// Bearer, if set, says what the caller may do besides what rules let it.
	Bearer Bearer
}

// A Bearer has permissions of its own, as an identity of package auth does.
type Bearer interface {
	// May says whether it has a permission in a room. Permissions are called as
	// the verbs are. It must not wait.
	May(permission, room string) bool
}

// spend counts what the caller does in a room.
func (c Caller) spend(k quota.Kind, room string) error {
	err := c.Peer.Take(k, c.Owner)
	if err == nil && k != quota.Read {
		err = c.Peer.TakeRoom(k, c.Space.Namespace(), room)
	}
	if err != nil {
		return RefusalOf(err)
	}
	return nil
}

// Allow says whether the caller may use a verb in a room, for bindings that do
// something else with that than the desk: nil, or a [*Refusal].
func (d *Desk) Allow(ctx context.Context, c Caller, v Verb, room string) error {
	_, err := d.allow(ctx, c, v, room)
	return err
}

// AllowEvent says whether the caller may publish an event of that name to a
// room.
func (d *Desk) AllowEvent(ctx context.Context, c Caller, room, event string) error {
	rule, err := d.allow(ctx, c, Publish, room)
	if err != nil {
		return err
	}
	if refusal := rule.admits(event); refusal != nil {
		return refusal
	}
	return nil
}

// admits says whether an event of that name may be published in the rule's rooms.
func (r *Rule) admits(event string) *Refusal {
	switch {
	case Reserved(event):
		return refuse(BadEvent, "the event name %q is reserved", event)
	case event != "" && len(r.Events) > 0 && !slices.Contains(r.Events, event):
		return refuse(BadEvent, "the event %q may not be published in this room", event)
	}
	return nil
}

// Permits is Allow for who does not ask by itself, and is asked about rooms it is
// in already: [Config.Admit] is not.
func (d *Desk) Permits(ctx context.Context, c Caller, v Verb, room string) bool {
	_, err := d.permit(ctx, c, v, room)
	return err == nil
}

// allow says whether the caller may use a verb in a room.
func (d *Desk) allow(ctx context.Context, c Caller, v Verb, room string) (*Rule, error) {
	if admit := d.cfg().Admit; admit != nil {
		if err := admit(c, v); err != nil {
			return nil, err
		}
	}
	return d.permit(ctx, c, v, room)
}

// free is the rule of a room that has none, for who may use it all the same.
var free = Rule{}

func (d *Desk) permit(ctx context.Context, c Caller, v Verb, room string) (*Rule, error) {
	if room == "" {
		return nil, refuse(BadRequest, `"room" is missing`)
	}
	rule := d.rule(room)
	if c.Bearer != nil && c.Bearer.May(string(v), room) {
		return cmp.Or(rule, &free), nil
	}
	if rule == nil {
		return nil, forbidden(v)
	}
	switch rule.who(v) {
	case Anyone:
		return rule, nil
	case Members:
		if c.Seat == nil || !c.Seat.In(room) {
			return nil, &Refusal{Code: NotMember, Message: "only members of the room may"}
		}
		return rule, nil
	case Token:
		if c.Opens != nil && c.Opens(v, room) {
			return rule, nil
		}
		if permit := d.cfg().Permit; permit != nil {
			return rule, permitted(permit(ctx, c, v, room), v)
		}
	}
	return nil, forbidden(v)
}

func permitted(err error, v Verb) error {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	r := forbidden(v)
	r.Err = err
	return r
}

func forbidden(v Verb) *Refusal {
	return &Refusal{Code: Forbidden, Message: fmt.Sprintf("%s is not open to you in this room", v)}
}

// A JoinRequest asks to join or leave a room.
type JoinRequest struct {
	Room string `json:"room"`
}

// A Receipt says where on the tape something happened.
type Receipt struct {
	// Offset is that of the published message; after a Join, everything after it
	// is heard, and it is "" in a namespace without memory.
	Offset hub.Offset `json:"offset,omitzero"`
	// Repeated says that the message was there before, with the same id, and
	// nobody was handed it again.
	Repeated bool `json:"repeated,omitzero"`
}

// Join adds the caller to a room. A room it is in already is no error.
func (d *Desk) Join(ctx context.Context, c Caller, q JoinRequest) (Receipt, error) {
	if _, err := d.allow(ctx, c, Join, q.Room); err != nil {
		return Receipt{}, err
	}
	if c.Seat == nil {
		return Receipt{}, refuse(BadRequest, "join over a connection that lasts")
	}
	if err := c.spend(quota.Join, q.Room); err != nil {
		return Receipt{}, err
	}
	if err := c.Seat.Ask(q.Room); err != nil {
		return Receipt{}, RefusalOf(err)
	}
	return Receipt{Offset: c.Space.Head()}, nil
}

// Leave takes the caller out of a room. A room it is not in is no error.
func (d *Desk) Leave(ctx context.Context, c Caller, q JoinRequest) (struct{}, error) {
	if _, err := d.allow(ctx, c, Leave, q.Room); err != nil {
		return struct{}{}, err
	}
	if err := c.spend(quota.Join, q.Room); err != nil {
		return struct{}{}, err
	}
	if c.Seat != nil {
		c.Seat.Leave(q.Room)
	}
	return struct{}{}, nil
}

// A Publication asks to publish a message.
type Publication struct {
	Room  string
	Event string
	// Args are the message's arguments: its data, mostly one.
	Args packet.Args
	// ID lets the caller try again without publishing twice; "": it cannot.
	ID string
}

// Publish publishes a message to a room, the caller included if it is a member.
func (d *Desk) Publish(ctx context.Context, c Caller, p Publication) (Receipt, error) {
	rule, err := d.allow(ctx, c, Publish, p.Room)
	if err == nil {
		err = d.check(rule, &p)
	}
	if err == nil {
		err = c.spend(quota.Publish, p.Room)
	}
	if check := d.cfg().Check; err == nil && check != nil {
		err = check(c.Space.Namespace(), p.Event, []string{p.Room}, p.Args)
	}
	if err != nil {
		return Receipt{}, err
	}
	m := &hub.Message{Event: p.Event, Args: p.Args, ID: p.ID}
	if p.ID != "" {
		m.Publisher = Publisher(c.Owner, m, p.Room)
	}
	r, err := c.Space.Publish(ctx, m, hub.Address{Rooms: []string{p.Room}})
	if err != nil {
		return Receipt{}, RefusalOf(err)
	}
	return Receipt{Offset: r.Offset, Repeated: r.Repeated}, nil
}

func (d *Desk) check(rule *Rule, p *Publication) error {
	most := d.cfg().MaxData
	refusal := rule.admits(p.Event)
	switch {
	case p.Event == "":
		return refuse(BadRequest, `"event" is missing`)
	case len(p.Event) > maxEvent:
		return tooLarge("event", maxEvent)
	case refusal != nil:
		return refusal
	case most >= 0 && p.Args.Size() > most:
		return tooLarge("data", most)
	case len(p.ID) > maxID:
		return tooLarge("id", maxID)
	}
	return nil
}

// A PageRequest asks for a page of a room's history: the last messages before
// an offset, the first after one, or the last of all.
type PageRequest struct {
	Room   string     `json:"room"`
	Before hub.Offset `json:"before"`
	After  hub.Offset `json:"after"`
	Limit  int        `json:"limit"`
}

// History returns a page of a room's history.
func (d *Desk) History(ctx context.Context, c Caller, q PageRequest) (Page, error) {
	if _, err := d.allow(ctx, c, History, q.Room); err != nil {
		return Page{}, err
	}
	switch {
	case q.Before != "" && q.After != "":
		return Page{}, refuse(BadRequest, `"before" and "after" exclude each other`)
	case q.Limit < 0:
		return Page{}, refuse(BadRequest, `"limit" is negative`)
	case q.Limit == 0:
		q.Limit = hub.DefaultPage
	}
	if err := c.spend(quota.Read, q.Room); err != nil {
		return Page{}, err
	}
	limit := min(q.Limit, d.cfg().MaxPage)
	page, err := c.Space.History(q.Room, hub.PageQuery{Before: q.Before, After: q.After, Limit: limit})
	if err != nil {
		return Page{}, RefusalOf(err)
	}
	return newPage(page, q.After != "", d.cfg().MaxPageBytes), nil
}
