package hub

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"iter"
	"strings"
	"sync"
	"time"
)

// Config sets up a [Hub]. Zero values mean the defaults.
type Config struct {
	// MaxRooms is how many rooms one seat may be in. Default 1,000; negative
	// means no limit. A peer that may join rooms of its choice could otherwise
	// grow the server without end.
	MaxRooms int
	// MaxRoomName is the longest name of a room, in bytes. Default 256;
	// negative means no limit.
	MaxRoomName int
	// Memory says which namespaces have a memory, and what kind: nil for none.
	// It is asked once for each. Nil: none has.
	Memory func(namespace string) *Memory
	// Store is where memories are kept. Default: in the process, which they
	// then do not outlive.
	Store Store
	// Engine makes this hub one of several that share their spaces: memories are
	// kept by it, and Store is not used. Close closes it. Nil: this node is alone.
	Engine Engine
	// Share, if set, opens spaces without memory to servers that are no nodes of
	// Engine: it is asked once for each, and waits at most until they can be
	// heard. Spaces with memory are shared by Engine only. The context ends when
	// the space is not wanted any more: from then on there may be another of the
	// namespace, and Share must fail unless it has begun.
	Share func(ctx context.Context, sp *Space) (Others, error)
	// EnginePatience is how long what has no context of its own waits for the
	// engine: to join rooms, to read, and to commit what others wait for. Default
	// 5 s.
	EnginePatience time.Duration
	// About is what other nodes get to know of this one, see [Hub.Nodes]: a few
	// bytes, such as where it can be reached.
	About []byte
	// Presence says how rooms tell who is in them.
	Presence PresenceConfig
	// Trace, if set, is told what happens. Its functions are called in the
	// space's order and must not wait or call the space.
	Trace *Trace
}

// Trace observes a hub. Any of its functions may be nil.
type Trace struct {
	RoomCreated func(namespace, room string)           // the first member joined
	RoomDeleted func(namespace, room string)           // the last member left
	Joined      func(namespace, room string, m Member) // m joined room
	Left        func(namespace, room string, m Member) // m left room
	Published   func(m *Message, members int)          // m was handed to that many members
	Took        func(m *Message, d time.Duration)      // m was published, and its publisher waited that long
	LimitHit    func(limit string)                     // "rooms" or "room name" refused a join, "ids" a message; "sessions": one was forgotten early

	// For who follows single messages. Publishing comes first: what it returns
	// is kept as the message's Traced, and if that is nil the others are not told
	// of it. Logged says that the tape has written it, Handed that it was handed to
	// its members, each since when it was under way.
	Publishing func(ctx context.Context, m *Message) any
	Logged     func(m *Message, began time.Time)
	Handed     func(m *Message, members int, began time.Time)
	Done       func(m *Message, r Receipt, err error)

	// Of spaces with memory.
	Committed func(namespace string, c Commit)     // the tape has written a batch, or could not
	Sessions  func(namespace string, more int)     // so many sessions more can come back; negative: fewer
	Returned  func(namespace string, err error)    // a member asked for its session: nil if it got it
	Replayed  func(namespace string, messages int) // a member was handed so many from the tape
	Evicted   func(namespace string, err error)    // a member lost its seat, see [Reader]

	// Of hubs with an engine. These may be called at any time, one at a time.
	Reached   func(err error)                   // the engine can be reached again (nil), or why not
	NodeCame  func(name string, about []byte)   // another node has joined
	NodeLeft  func(name string)                 // it is gone
	Listening func(namespace string, rooms int) // so many rooms more are heard from other nodes; negative: fewer
}

// A Commit is what a tape writes at a time.
type Commit struct {
	Messages  int
	Sync      bool          // it was to survive the machine
	Took      time.Duration // until it did
	TapeBytes int64         // how much more of the tape is in memory; negative: less
	// Err is why nothing was acknowledged, or not all, and nothing will be unless
	// it is an engine's, which comes back.
	Err error
}

const (
	defaultMaxRooms    = 1000
	defaultMaxRoomName = 256
)

// A Hub holds the spaces of a server. It is safe for concurrent use. Spaces with
// memory have goroutines while something is written or read for them, for which
// Close waits; a hub without needs no closing.
type Hub struct {
	cfg   Config
	epoch string
	node  *node // nil: it is alone

	pumps pumps // seats that catch up, and what looks after shared spaces

	mu     sync.RWMutex
	spaces map[string]*Space
}

// Pumps are goroutines that a hub waits for at its end. After that none is
// started: who comes too late gets no answer, nor would have got one.
type pumps struct {
	mu      sync.Mutex
	ended   bool
	running sync.WaitGroup
}

// Go runs f on a goroutine that Hub.Close waits for. It returns false if that is
// too late.
func (p *pumps) Go(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.running.Go(f) // see the callers for what ends it
	}
	return !p.ended
}

// Wait ends the starting, and returns when none is running.
func (p *pumps) Wait() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.running.Wait()
}

// New returns a hub without spaces.
func New(cfg Config) *Hub {
	if cfg.MaxRooms == 0 {
		cfg.MaxRooms = defaultMaxRooms
	}
	if cfg.MaxRoomName == 0 {
		cfg.MaxRoomName = defaultMaxRoomName
	}
	if cfg.Trace == nil {
		cfg.Trace = &Trace{}
	}
	if cfg.Store == nil && cfg.Memory != nil {
		cfg.Store = NewMemoryStore()
	}
	h := &Hub{cfg: cfg, epoch: newEpoch(), spaces: make(map[string]*Space)}
	if cfg.Engine != nil {
		h.node = newNode(h)
	}
	return h
}

// patience is how long what has no context of its own waits for others.
func (h *Hub) patience() time.Duration {
	if h.cfg.EnginePatience > 0 {
		return h.cfg.EnginePatience
	}
	return defaultPatience
}

// newEpoch names this life of the hub, so that an offset of an earlier life is
// never taken for one of this.
func newEpoch() string {
	var b [5]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// Space returns the space of a namespace and makes it at the first call. It does
// not wait for an engine, or others: what is done with the space first does.
func (h *Hub) Space(namespace string) *Space {
	h.mu.RLock()
	sp := h.spaces[namespace]
	h.mu.RUnlock()
	if sp == nil {
		h.mu.Lock()
		if sp = h.spaces[namespace]; sp == nil {
			sp = h.newSpace(namespace)
			h.spaces[namespace] = sp
		}
		h.mu.Unlock()
		switch {
		case h.shares(sp):
			// Started with the space, so that others find it before anybody uses it;
			// ended when it is open, and at the latest by the patience. Hub.Close waits.
			h.pumps.Go(func() { _ = sp.usable() })
		case h.node == nil:
			_ = sp.usable() // who uses it is told
		}
	}
	return sp
}

// Close lets what waits be written and ends the catching up. Members are to be
// closed before. The store is the caller's to close, the engine is closed.
func (h *Hub) Close() {
	for sp := range h.Spaces() {
		sp.endLife()
		sp.order.do(sp.presence.end)
		if sp.shut() {
			sp.close()
		}
	}
	if h.node != nil {
		h.node.end()
	}
	h.pumps.Wait()
	if h.node != nil {
		_ = h.node.engine.Close() // what could fail is over by now
	}
}

// close ends what the space has of its own.
func (sp *Space) close() {
	switch {
	case sp.tape != nil:
		sp.tape.close()
	case sp.others != nil:
		sp.others.Close()
	}
	sp.ears.end()
}

// Forget drops the space of a namespace that nobody will use again. Seats in
// it keep working among themselves; a later call of Space makes a new one. A
// space with memory stays, for its members may come back.
func (h *Hub) Forget(namespace string) {
	if h.node != nil { // until its line is closed, none like it is opened
		h.node.lines.Lock()
		defer h.node.lines.Unlock()
	}
	h.mu.Lock()
	sp := h.spaces[namespace]
	if sp == nil || sp.Remembers() {
		h.mu.Unlock()
		return
	}
	sp.endLife() // before there is one like it
	delete(h.spaces, namespace)
	h.mu.Unlock()
	sp.order.post(sp.presence.near.end)
	end := func() {
		if sp.shut() {
			sp.close()
		}
	}
	// Others may have much to end: handlers of the application, which may wait for
	// whoever is here. Started by who forgets, ended by [Others], and Hub.Close
	// waits.
	if !h.shares(sp) || !h.pumps.Go(end) {
		end()
	}
}

// shares says whether a space is for [Config.Share].
func (h *Hub) shares(sp *Space) bool { return h.cfg.Share != nil && sp.memory == nil }

// Spaces yields the spaces there are, in no order.
func (h *Hub) Spaces() iter.Seq[*Space] {
	h.mu.RLock()
	spaces := make([]*Space, 0, len(h.spaces))
	for _, sp := range h.spaces {
		spaces = append(spaces, sp)
	}
	h.mu.RUnlock()
	return func(yield func(*Space) bool) {
		for _, sp := range spaces {
			if !yield(sp) {
				return
			}
		}
	}
}

func (h *Hub) limitHit(limit string) {
	if h.cfg.Trace.LimitHit != nil {
		h.cfg.Trace.LimitHit(limit)
	}
}
