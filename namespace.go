package tutti

import (
	"context"
	"iter"

	"github.com/tutti-rt/tutti/hub"
)

// A Namespace is a part of an application with sockets, rooms and handlers of
// its own. [Server.Namespace] makes one, [Server.Dynamic] a family of them that
// share guards and handlers. All methods may be called by any goroutine;
// register guards, middleware and handlers before clients come.
type Namespace struct {
	server *Server
	name   string
	space  *hub.Space // nil: a family
	rules  *rules     // shared within a family
	nodes  nodeHandlers

	match   Match // of a family
	family  *Namespace
	sockets int  // of one in a family: how many look at it; under server.mu
	kept    bool // of one in a family: the application asked for it; under server.mu
}

// Name returns the namespace's name, which begins with "/"; "" for a family.
func (ns *Namespace) Name() string { return ns.name }

// Space returns the namespace's part of the hub, where members of other
// protocols join in; nil for a family.
func (ns *Namespace) Space() *hub.Space { return ns.space }

// Guard adds a guard. Guards are asked in the order in which they were added,
// each with the context that the one before returned.
func (ns *Namespace) Guard(g Guard) {
	ns.rules.change(func(t *table) { t.guards = append(t.guards, g) })
}

// Use adds middleware. The first added is the outermost. Each is called once.
func (ns *Namespace) Use(mw ...Middleware) {
	ns.rules.use(mw)
}

// Handle registers the handler of an event. It panics if the event has one or
// its name is reserved.
func (ns *Namespace) Handle(event string, h Handler) { ns.rules.handle(event, h) }

// HandleAny registers the handler of the events that have none of their own.
// Without one such events are ignored, and a peer that asked is not answered.
// To see every event, [Namespace.Use] middleware.
func (ns *Namespace) HandleAny(h Handler) {
	ns.rules.change(func(t *table) { t.other = h })
}

// OnConnect adds a function that is called when a socket has been let in and
// told so, before any of its events is handled.
func (ns *Namespace) OnConnect(f func(ctx context.Context, s *Socket)) {
	ns.rules.change(func(t *table) { t.connect = append(t.connect, f) })
}

// OnDisconnect adds a function that is called when a socket that was let in
// has left, after all its events are handled. [Socket.Rooms] still tells which
// rooms it was in, but it is in none. The context has ended; its values are
// those of the guards.
func (ns *Namespace) OnDisconnect(f func(ctx context.Context, s *Socket, reason Reason)) {
	ns.rules.change(func(t *table) { t.disconnect = append(t.disconnect, f) })
}

// Everyone returns everyone in the namespace.
func (ns *Namespace) Everyone() Audience { return Audience{ns: ns} }

// To returns the members of any of the rooms.
func (ns *Namespace) To(rooms ...string) Audience { return ns.Everyone().To(rooms...) }

// Except returns everyone but the members of any of the rooms.
func (ns *Namespace) Except(rooms ...string) Audience { return ns.Everyone().Except(rooms...) }

// Emit sends an event to everyone in the namespace, see [Audience.Emit].
func (ns *Namespace) Emit(event string, args ...any) (Offset, error) {
	return ns.Everyone().Emit(event, args...)
}

// Sockets yields everyone in the namespace, see [Audience.Sockets].
func (ns *Namespace) Sockets(ctx context.Context) iter.Seq2[SocketInfo, error] {
	return ns.Everyone().Sockets(ctx)
}

// Socket returns the socket of that id, if it is connected to this node.
func (ns *Namespace) Socket(id string) (*Socket, bool) {
	for _, s := range ns.To(id).sockets() {
		if s.ID() == id {
			return s, true
		}
	}
	return nil, false
}

// spaces returns the namespace's space, or those of all in a family.
func (ns *Namespace) spaces() []*hub.Space {
	if ns.space != nil {
		return []*hub.Space{ns.space}
	}
	return ns.server.familySpaces(ns)
}
