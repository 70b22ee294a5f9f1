package tutti

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/verb"
)

// rules is what an application registered for a namespace, or for a family of
// them. It changes rarely and is read for every event: readers load a table
// that never changes, and a change makes another.
type rules struct {
	mu      sync.Mutex // held while a change is made
	table   atomic.Pointer[table]
	reviews atomic.Uint64 // how often what sockets may do was looked at again
}

type table struct {
	guards     []Guard
	middleware []Handler // each wrapped once, around whatever comes after it
	handlers   map[string]Handler
	other      Handler    // of events that have no handler of their own
	desk       *verb.Desk // whose verbs are served; nil if none are
	anonymous  bool       // lets in who shows nothing, see AdmitAnonymous
	connect    []func(context.Context, *Socket)
	disconnect []func(context.Context, *Socket, Reason)
}

func newRules() *rules {
	r := new(rules)
	r.table.Store(new(table))
	return r
}

func (r *rules) load() *table { return r.table.Load() }

// change lets f alter a copy of the table, whose slices and map it may write,
// and puts that in place.
func (r *rules) change(f func(t *table)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := *r.table.Load()
	t.guards = slices.Clip(t.guards)
	t.middleware = slices.Clip(t.middleware)
	t.connect = slices.Clip(t.connect)
	t.disconnect = slices.Clip(t.disconnect)
	t.handlers = maps.Clone(t.handlers)
	f(&t)
	r.table.Store(&t)
}

// use wraps what comes after in middleware. What that is is looked up for every
// event, so that each middleware is called once to wrap and may keep state.
func (r *rules) use(middleware []Middleware) {
	r.change(func(t *table) {
		for _, wrap := range middleware {
			after := len(t.middleware) + 1
			t.middleware = append(t.middleware, wrap(func(ctx context.Context, s *Socket, m *Message) error {
				return r.load().serve(ctx, after, s, m)
			}))
		}
	})
}

func (r *rules) handle(event string, h Handler) {
	if packet.Reserved(event) {
		panic(fmt.Sprintf("tutti: event name %q is reserved", event))
	}
	r.change(func(t *table) {
		if t.handlers[event] != nil {
			panic(fmt.Sprintf("tutti: event %q has a handler already", event))
		}
		if t.handlers == nil {
			t.handlers = make(map[string]Handler)
		}
		t.handlers[event] = h
	})
}

// serve has an event handled by the i-th middleware and what comes after it.
func (t *table) serve(ctx context.Context, i int, s *Socket, m *Message) error {
	if i < len(t.middleware) {
		return t.middleware[i](ctx, s, m)
	}
	if h := t.handlers[m.Event]; h != nil {
		return h(ctx, s, m)
	}
	if t.other != nil {
		return t.other(ctx, s, m)
	}
	return ErrNoHandler
}
