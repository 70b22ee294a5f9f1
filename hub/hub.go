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
}

// A Commit is what a tape writes at a time.
type Commit struct {
	Messages  int
	Sync      bool          // it was to survive the machine
	Took      time.Duration // until it did
	TapeBytes int64         // how much more of the tape is in memory; negative: less
	Err       error         // nothing was acknowledged, and nothing will be
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

	pumps sync.WaitGroup // seats that catch up

	mu     sync.RWMutex
	spaces map[string]*Space
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
	return &Hub{cfg: cfg, epoch: newEpoch(), spaces: make(map[string]*Space)}
}

// newEpoch names this life of the hub, so that an offset of an earlier life is
// never taken for one of this.
func newEpoch() string {
	var b [5]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// Space returns the space of a namespace and makes it at the first call.
func (h *Hub) Space(namespace string) *Space {
	h.mu.RLock()
	sp := h.spaces[namespace]
	h.mu.RUnlock()
	if sp != nil {
		return sp
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if sp = h.spaces[namespace]; sp == nil {
		sp = &Space{hub: h, namespace: namespace, rooms: make(map[string]*room)}
		sp.err = sp.open()
		sp.presence.space, sp.presence.cfg = sp, h.cfg.Presence.withDefaults(sp.memory)
		h.spaces[namespace] = sp
	}
	return sp
}

// Close lets what waits be written and ends the catching up. Members are to be
// closed before. The store is the caller's to close.
func (h *Hub) Close() {
	for sp := range h.Spaces() {
		sp.order.do(sp.presence.end)
		if sp.tape != nil {
			sp.tape.close()
		}
	}
	h.pumps.Wait()
}

// Forget drops the space of a namespace that nobody will use again. Seats in
// it keep working among themselves; a later call of Space makes a new one. A
// space with memory stays, for its members may come back.
func (h *Hub) Forget(namespace string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sp := h.spaces[namespace]; sp != nil && !sp.Remembers() {
		delete(h.spaces, namespace)
	}
}

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
