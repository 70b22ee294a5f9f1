package hub

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/tutti-rt/tutti/packet"
)

// Others are those that a space is shared with: the other nodes of an engine, or
// servers of another kind, see [Config.Share]. They are reached by what they
// understand, and act on the members that are here by the space's own methods,
// with addresses that are local. They are safe for concurrent use.
type Others interface {
	// Cast hands a message on to whom it is for elsewhere, at most once. It does
	// not wait, and nobody is told if they cannot be reached.
	Cast(m *Message)
	// Ask puts a question to all others and yields what they answer, nothing if
	// there are none. It ends when all have said all they have to say, or with
	// the context; what it yields last is an error, such as a [*PartialError], if
	// some have not. Who stops early forgets the rest. The answers must be ranged
	// over, once: the question may be put before that.
	Ask(ctx context.Context, q Question) iter.Seq2[Answer, error]
	// Close ends the sharing, and the questions that are put. Nothing is done here
	// for others when it has returned, but for what is on its way through the
	// space.
	Close()
}

// A Listener hears of others only what is for rooms that it listens to, and for
// everyone. [Others] that are one are told which rooms have members here.
type Listener interface {
	// Listen returns when what is published to the rooms from now on will be
	// heard. The position is that of [Line], 0 if there are none. An error of
	// [Others] fails who wants to join: one that cannot reach the others had
	// better listen later. The context may have no deadline.
	Listen(ctx context.Context, rooms ...string) (Position, error)
	// Ignore ends what Listen began.
	Ignore(rooms ...string)
}

// A Kind says what is asked of others about the members of an address there.
type Kind byte

// What is asked. The values stand on the wire between nodes.
const (
	AskDescribe Kind = 'd' // what there is to know of them
	AskCount    Kind = 'n' // how many they are
	AskJoin     Kind = 'j' // let them join rooms
	AskLeave    Kind = 'l' // let them leave rooms
	AskDismiss  Kind = 'x' // let them leave the space
	AskCall     Kind = 'c' // put a call to them: how many, and their answers
	AskEvent    Kind = 'e' // an event for the applications of the others, and their answers
	AskTell     Kind = 't' // an event for them that nobody waits for; ends at once
)

// A Question is put to others.
type Question struct {
	Kind  Kind
	To    Address
	Rooms []string      // AskJoin, AskLeave: which
	Whole bool          // AskDismiss: with all that shares their connections
	Event string        // AskCall, AskEvent, AskTell
	Args  packet.Args   // likewise
	Wait  time.Duration // AskCall: how long the asker will wait, as far as it is known; 0: it is not
}

// An Answer is a part of what one of the others has to say.
type Answer struct {
	Node    string        // its name, if it has one
	Members []Description // AskDescribe
	Count   int           // AskCount: how many more; AskCall: how many more were asked
	Refused bool          // AskJoin: some could not
	Replied bool          // AskCall, AskEvent: Args are an answer
	Args    packet.Args
}

// A Description is what there is to know of a member that may be elsewhere.
type Description struct {
	ID    string   `json:"id"` // the room of its own
	Rooms []string `json:"rooms"`
	Node  string   `json:"node,omitzero"`  // where it is, if that has a name
	Owner string   `json:"owner,omitzero"` // whose it is, "" if nobody's
	// Data is what its application keeps with it, as JSON; nil: nothing.
	Data      json.RawMessage `json:"data,omitzero"`
	Handshake Handshake       `json:"handshake"`
}

// A Handshake is how a member has come. Credentials are not a part of it.
type Handshake struct {
	Query  map[string][]string `json:"query"`
	Header map[string][]string `json:"header"` // by canonical names
	URL    string              `json:"url"`
	Remote string              `json:"remote"`
	Secure bool                `json:"secure,omitzero"`
	Time   time.Time           `json:"time"`
}

// A Described member is one that others may be told of.
type Described interface {
	Member
	// Describe returns what there is to know about the member. It must not wait.
	Describe() Description
}

// A Dismissible member can be made to leave by somebody else.
type Dismissible interface {
	Member
	// Dismiss makes the member leave the space; with whole, whatever else shares
	// its connection leaves too. It must not wait.
	Dismiss(whole bool)
}

// ask puts a question to the others. There are none for a local address, or a
// space that is not shared.
func (sp *Space) ask(ctx context.Context, q Question) iter.Seq2[Answer, error] {
	if sp.hub.node != nil && sp.hub.shares(sp) && isOwn(q.Event) {
		return nodeOthers{sp}.Ask(ctx, q)
	}
	err := sp.usable()
	switch {
	case err != nil && !q.To.Local:
		return func(yield func(Answer, error) bool) { yield(Answer{}, err) }
	case q.To.Local || sp.others == nil:
		return func(func(Answer, error) bool) {}
	}
	return sp.others.Ask(ctx, q)
}

// Elsewhere yields the descriptions of the members of an address on other
// nodes. What it yields last is a [*PartialError] if some did not answer in time.
func (sp *Space) Elsewhere(ctx context.Context, to Address) iter.Seq2[Description, error] {
	return func(yield func(Description, error) bool) {
		for a, err := range sp.ask(ctx, Question{Kind: AskDescribe, To: to}) {
			if err != nil {
				yield(Description{}, err)
				return
			}
			for _, d := range a.Members {
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

// CountAll returns how many members of all nodes an address has. With a
// [*PartialError] it is how many are known.
func (sp *Space) CountAll(ctx context.Context, to Address) (int, error) {
	n := len(sp.Members(to))
	for a, err := range sp.ask(ctx, Question{Kind: AskCount, To: to}) {
		if err != nil {
			return n, err
		}
		n += a.Count
	}
	return n, nil
}

// Dismiss makes every member of an address leave, on all nodes; see
// [Dismissible].
func (sp *Space) Dismiss(ctx context.Context, to Address, whole bool) error {
	sp.dismissHere(to, whole)
	for _, err := range sp.ask(ctx, Question{Kind: AskDismiss, To: to, Whole: whole}) {
		if err != nil {
			return err
		}
	}
	return nil
}

func (sp *Space) dismissHere(to Address, whole bool) {
	for _, m := range sp.Members(to) {
		if d, ok := m.(Dismissible); ok {
			d.Dismiss(whole)
		}
	}
}

// moveElsewhere has the members of an address on other nodes join or leave rooms.
// Its error says whether some could not, or some nodes were not reached.
func (sp *Space) moveElsewhere(kind Kind, to Address, rooms []string) error {
	if sp.usable() == nil && sp.others == nil {
		return nil
	}
	ctx, cancel := sp.patient()
	defer cancel()
	var refused error
	for a, err := range sp.ask(ctx, Question{Kind: kind, To: to, Rooms: rooms}) {
		if err != nil {
			return err
		}
		if a.Refused {
			refused = ErrTooManyRooms // what else was wrong with the rooms is so here as well
		}
	}
	return refused
}

// patient returns a context for what the space asks of others and has none of
// its own.
func (sp *Space) patient() (context.Context, context.CancelFunc) {
	if sp.hub.node != nil {
		return sp.hub.node.patient()
	}
	return context.WithTimeout(context.Background(), sp.hub.patience())
}

// ErrNoHandler means that the application takes no events of other nodes.
var ErrNoHandler = errors.New("hub: no handler for events of nodes")

// An EventHandler takes what the application says on another node, and returns
// the answer if one is wanted.
type EventHandler func(ctx context.Context, from string, event string, args packet.Args) (packet.Args, error)

// HandleNodes sets what takes the events that applications of other nodes send
// by [Space.TellNodes] and [Space.AskNodes]. Each runs on a goroutine of its own.
func (sp *Space) HandleNodes(h EventHandler) { sp.events.Store(&h) }

// ownEvents is what the names of events begin with that nodes of an engine send
// for themselves, and not for the application: orders to log somebody out, for
// example. Those of [Config.Share] are neither sent them nor obeyed.
const ownEvents = "tutti:"

func isOwn(event string) bool { return strings.HasPrefix(event, ownEvents) }

// TakeEvent has the application of this node take an event of another, by what
// was set with [Space.HandleNodes]. It is for [Others], and fails with
// [ErrNoHandler] if nothing was, or for an event whose name begins with "tutti:":
// only nodes of [Config.Engine] send these.
func (sp *Space) TakeEvent(ctx context.Context, from string, event string, args packet.Args) (packet.Args, error) {
	if isOwn(event) {
		return packet.Args{}, ErrNoHandler
	}
	return sp.takeEvent(ctx, from, event, args)
}

func (sp *Space) takeEvent(ctx context.Context, from string, event string, args packet.Args) (packet.Args, error) {
	h := sp.events.Load()
	if h == nil {
		return packet.Args{}, ErrNoHandler
	}
	return (*h)(ctx, from, event, args)
}

// TellNodes sends an event to the applications of the other nodes: at most once.
func (sp *Space) TellNodes(event string, args packet.Args) error {
	ctx, cancel := sp.patient()
	defer cancel()
	for _, err := range sp.ask(ctx, Question{Kind: AskTell, Event: event, Args: args}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// A NodeAnswer is what the application of a node has answered.
type NodeAnswer struct {
	Node string
	Args packet.Args
}

// AskNodes sends an event to the applications of the other nodes and yields
// their answers. What it yields last is a [*PartialError] if some did not.
func (sp *Space) AskNodes(ctx context.Context, event string, args packet.Args) iter.Seq2[NodeAnswer, error] {
	return func(yield func(NodeAnswer, error) bool) {
		for a, err := range sp.ask(ctx, Question{Kind: AskEvent, Event: event, Args: args}) {
			if err != nil {
				yield(NodeAnswer{}, err)
				return
			}
			if a.Replied && !yield(NodeAnswer{a.Node, a.Args}, nil) {
				return
			}
		}
	}
}
