package tutti

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// An Audience describes whom to send to: everyone in a namespace, or the
// members of some rooms, but for the members of others. It is a value: it
// describes and holds nothing, every method that narrows it returns another
// one, and it may be kept and shared. Who belongs to it is decided at each use.
type Audience struct {
	ns       *Namespace
	rooms    []string
	except   []string
	local    bool
	volatile bool
	plain    bool
	id       string
}

// To returns the audience of the members of any of the rooms named so far and
// of these. A member of several is reached once.
func (a Audience) To(rooms ...string) Audience {
	a.rooms = append(slices.Clip(a.rooms), rooms...)
	return a
}

// Except returns the audience without the members of any of the rooms.
func (a Audience) Except(rooms ...string) Audience {
	a.except = append(slices.Clip(a.except), rooms...)
	return a
}

// Local returns the audience as far as it is connected to this node.
func (a Audience) Local() Audience {
	a.local = true
	return a
}

// Volatile returns the audience for events that are dropped for whoever cannot
// be written to at once.
func (a Audience) Volatile() Audience {
	a.volatile = true
	return a
}

// Uncompressed returns the audience for events that are not worth compressing,
// where the transport compresses.
func (a Audience) Uncompressed() Audience {
	a.plain = true
	return a
}

// Once returns the audience for a message with an id, in a namespace with
// memory: emitting again under an id that was used within the window sends
// nothing and returns the first offset, also after a restart. Ids of this kind
// are the application's own; peers that publish by the standard verbs have
// theirs apart.
func (a Audience) Once(id string) Audience {
	a.id = id
	return a
}

// Emit sends an event to everyone in the audience, whatever door they came
// through. It returns when the message has its place in the order of the
// namespace and is queued for every receiver; it does not wait for them. The
// offset names that place.
func (a Audience) Emit(event string, args ...any) (Offset, error) {
	m, err := a.newMessage(event, args)
	if err != nil {
		return "", err
	}
	return a.publish(context.Background(), m)
}

// Ask sends an event to everyone in the audience and yields the answers as
// they come. If not everybody has answered when the context ends, or somebody
// has left without an answer, the last thing it yields is a [*MissingError]; so
// it is if not every node of a cluster could be asked, because of a
// [*hub.PartialError].
// Members that cannot answer, such as event streams, are not waited for. The
// question is put when the iteration begins; who stops early forgets the rest.
func (a Audience) Ask(ctx context.Context, event string, args ...any) iter.Seq2[Args, error] {
	return func(yield func(Args, error) bool) {
		m, err := a.newMessage(event, args)
		if err == nil {
			m.Call = hub.NewCall()
			defer m.Call.Close()
			_, err = a.publish(ctx, m)
		}
		if err != nil {
			yield(Args{}, err)
			return
		}
		for {
			answer, ok, err := m.Call.Next(ctx)
			if ok {
				if !yield(answer, nil) {
					return
				}
				continue
			}
			if asked, answered := m.Call.Counts(); answered < asked || err != nil {
				if err == nil {
					err = ErrDisconnected
				}
				yield(Args{}, &MissingError{Asked: asked, Answered: answered, Err: err})
			}
			return
		}
	}
}

func (a Audience) newMessage(event string, args []any) (*hub.Message, error) {
	if a.ns == nil {
		return nil, ErrDisconnected
	}
	return a.ns.server.newMessage(event, args)
}

// publish hands m to the hub. A family of namespaces has no space of its own:
// the message goes to each of them, and has no offset.
func (a Audience) publish(ctx context.Context, m *hub.Message) (Offset, error) {
	m.Volatile, m.Uncompressed, m.ID = a.volatile, a.plain, a.id
	if a.ns.space != nil {
		r, err := a.ns.space.Publish(ctx, m, a.address())
		return r.Offset, err
	}
	if m.Call != nil {
		return "", errFamily
	}
	for _, space := range a.spaces() {
		each := &hub.Message{Event: m.Event, Args: m.Args, Volatile: m.Volatile, Uncompressed: m.Uncompressed, ID: m.ID}
		if _, err := space.Publish(ctx, each, a.address()); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (a Audience) address() hub.Address {
	return hub.Address{Rooms: a.rooms, Except: a.except, Local: a.local}
}

// spaces returns where the audience is to be found: one space, or those of a
// family.
func (a Audience) spaces() []*hub.Space {
	if a.ns == nil {
		return nil
	}
	return a.ns.spaces()
}

// Join adds everyone in the audience to rooms. Who would be in too many rooms
// is left out, and the error says so.
func (a Audience) Join(rooms ...string) error {
	var err error
	for _, space := range a.spaces() {
		if e := space.Join(a.address(), rooms...); e != nil {
			err = e
		}
	}
	return err
}

// Leave takes everyone in the audience out of rooms.
func (a Audience) Leave(rooms ...string) {
	for _, space := range a.spaces() {
		space.Leave(a.address(), rooms...)
	}
}

// Disconnect makes every socket in the audience leave the namespace.
func (a Audience) Disconnect() { a.dismiss(false) }

// DisconnectSessions ends the session of every socket in the audience.
func (a Audience) DisconnectSessions() { a.dismiss(true) }

// dismiss does not wait for other nodes longer than they take to be told.
func (a Audience) dismiss(whole bool) {
	ctx, cancel := context.WithTimeout(context.Background(), dismissPatience)
	defer cancel()
	for _, space := range a.spaces() {
		// What is known by then is that a node did not answer: it may be gone.
		_ = space.Dismiss(ctx, a.address(), whole)
	}
}

// dismissPatience is how long other nodes may take to let sockets go.
const dismissPatience = 5 * time.Second

// Count returns how many members the audience has, on all nodes, whatever door
// they came through. Its error is a [*hub.PartialError] if nodes did not answer
// in time; then it is how many are known.
func (a Audience) Count(ctx context.Context) (int, error) {
	n := 0
	for _, space := range a.spaces() {
		more, err := space.CountAll(ctx, a.address())
		n += more
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Sockets yields the sockets in the audience as they are when the iteration
// begins, on all nodes, those of this one first. Members that are not sockets
// are not among them. If nodes did not answer before the context ended, what it
// yields last is a [*hub.PartialError].
func (a Audience) Sockets(ctx context.Context) iter.Seq2[SocketInfo, error] {
	return func(yield func(SocketInfo, error) bool) {
		for _, s := range a.sockets() {
			if err := ctx.Err(); err != nil {
				yield(SocketInfo{}, err)
				return
			}
			if !yield(s.info(), nil) {
				return
			}
		}
		for _, space := range a.spaces() {
			for d, err := range space.Elsewhere(ctx, a.address()) {
				if !yield(infoOf(d), err) || err != nil {
					return
				}
			}
		}
	}
}

func (a Audience) sockets() []*Socket {
	var sockets []*Socket
	for _, space := range a.spaces() {
		for _, m := range space.Members(a.address()) {
			if s, ok := m.(*Socket); ok {
				sockets = append(sockets, s)
			}
		}
	}
	return sockets
}
