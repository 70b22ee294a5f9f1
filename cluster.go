package tutti

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/forward"
	"github.com/tutti-rt/tutti/packet"
)

// connect prepares a server that is one of several: its sessions' ids name it,
// and it says where others reach it. It returns nil for one that is alone.
func (srv *Server) connect(cfg *Config) (*forward.Handler, error) {
	if cfg.Hub.Engine == nil || cfg.Advertise == "" {
		return nil, nil
	}
	self, err := forward.NewNode(cfg.Advertise)
	if err != nil {
		return nil, fmt.Errorf("tutti: Config.Advertise: %w", err)
	}
	cfg.Hub.About = self.Marshal()
	h := forward.New(forward.Config{
		Name: cfg.Hub.Engine.Node(),
		Self: self,
		Find: func(name string) (forward.Node, bool) {
			about, ok := cfg.Hub.Engine.Nodes()[name]
			if !ok {
				return forward.Node{}, false
			}
			node, err := forward.Unmarshal(about)
			return node, err == nil && node.URL != ""
		},
		Log:   cfg.Log,
		Trace: &forward.Trace{Forwarded: cfg.Trace.Forwarded, Failed: cfg.Trace.ForwardFailed},
	})
	if cfg.Engine.NewID == nil {
		cfg.Engine.NewID = h.NewID
	}
	meet(cfg, h, self)
	return h, nil
}

// lifetime is longer than the lease of a node that was started anew where it was.
const lifetime = time.Minute

// meet has a server notice what becomes of other nodes.
func meet(cfg *Config, h *forward.Handler, self forward.Node) {
	var trace hub.Trace
	if cfg.Hub.Trace != nil {
		trace = *cfg.Hub.Trace
	}
	cfg.Hub.Trace = &trace
	log, came, left, began := cfg.Log, trace.NodeCame, trace.NodeLeft, time.Now()
	trace.NodeCame = func(node string, about []byte) {
		if came != nil {
			came(node, about)
		}
		// An earlier life of this node may be there for a while, but comes no more.
		if other, err := forward.Unmarshal(about); err == nil && other.URL == self.URL && time.Since(began) > lifetime {
			log.Warn("another node says that it is reached where this one is: with --advertise each must have an address of its own, not that of a balancer",
				"from", node, "url", self.URL)
		}
	}
	trace.NodeLeft = func(node string) {
		if left != nil {
			left(node)
		}
		h.Gone(node)
	}
}

// Join takes part in the cluster of [hub.Config.Engine], so that the server can
// be reached by other nodes before anybody connects, and knows what has been
// revoked on these. A server that was not told does so with its first namespace.
// It does nothing for a server that is alone.
func (srv *Server) Join(ctx context.Context) error {
	if err := srv.hub.Join(ctx); err != nil || srv.cfg.Hub.Engine == nil {
		return err
	}
	if err := srv.ledgers.learn(ctx); err != nil {
		// A node that does not answer is none to wait for: it is asked again when
		// it comes back.
		srv.log.Warn("ask other nodes what is revoked", keyErr, err)
	}
	return nil
}

// A NodeHandler takes an event that the application sends on another node of the
// cluster, and returns the answer if it asked. An error is logged, and no answer.
type NodeHandler func(ctx context.Context, from string, args Args) (any, error)

// nodeHandlers are those of a namespace, by event.
type nodeHandlers struct {
	mu     sync.RWMutex
	byName map[string]NodeHandler
}

// HandleNodes registers what takes an event from the application's other nodes.
// Each event runs on a goroutine of its own, whose context ends after
// [hub.Config.EnginePatience], and with the server: Shutdown waits for handlers, so
// they must heed it. Names that begin with "tutti:" are the server's own. It panics
// if the event has a handler already, or the
// namespace is a family.
func (ns *Namespace) HandleNodes(event string, h NodeHandler) {
	if ns.space == nil {
		panic(errFamily)
	}
	x := &ns.nodes
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byName[event] != nil {
		panic(fmt.Sprintf("tutti: event %q from nodes has a handler already", event))
	}
	if x.byName == nil {
		x.byName = make(map[string]NodeHandler)
		ns.space.HandleNodes(ns.fromNode)
	}
	x.byName[event] = h
}

func (ns *Namespace) fromNode(ctx context.Context, from string, event string, args packet.Args) (answer packet.Args, err error) {
	ns.nodes.mu.RLock()
	h := ns.nodes.byName[event]
	ns.nodes.mu.RUnlock()
	if h == nil {
		return packet.Args{}, ErrNoHandler
	}
	defer func() {
		if p := recover(); p != nil {
			err = errPanic
			ns.server.log.Error("handler panicked", keyEvent, event, keyErr, p)
		}
	}()
	value, err := h(ctx, from, args)
	if err != nil {
		ns.server.log.Warn("event of another node", keyEvent, event, "from", from, keyErr, err)
		return packet.Args{}, err
	}
	return packet.Marshal(value)
}

// EmitNodes sends an event to the application on the other nodes, whose
// [Namespace.HandleNodes] takes it: at most once, and not to this node.
func (ns *Namespace) EmitNodes(event string, args ...any) error {
	if ns.space == nil {
		return errFamily
	}
	a, err := packet.Marshal(args...)
	if err != nil {
		return err
	}
	return ns.space.TellNodes(event, a)
}

// AskNodes sends an event to the application on the other nodes and yields what
// they answer. If some have not answered when the context ends, or are gone,
// what it yields last is a [*hub.PartialError].
func (ns *Namespace) AskNodes(ctx context.Context, event string, args ...any) iter.Seq2[hub.NodeAnswer, error] {
	return func(yield func(hub.NodeAnswer, error) bool) {
		a, err := packet.Marshal(args...)
		if ns.space == nil {
			err = errFamily
		}
		if err != nil {
			yield(hub.NodeAnswer{}, err)
			return
		}
		ns.space.AskNodes(ctx, event, a)(yield)
	}
}
