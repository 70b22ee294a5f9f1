package hub

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Memory gives the space of a namespace a memory: every message that is not
// volatile goes on a tape, kept for a window in which members may come back
// and receive what they missed; rooms that match a rule keep a history.
type Memory struct {
	// Window is how long the tape is kept, and how long a session that is gone
	// may come back. Default 2 minutes.
	Window time.Duration
	// MaxBytes is how much of the tape's end is held in memory to be replayed
	// from there; what is older is read from the store. Default 64 MiB.
	MaxBytes int64
	// MaxGone is how many sessions that are gone are remembered. When there are
	// more, those that went first are forgotten before their window is over:
	// their members, should they come back, are told as if it were. Default
	// 500,000, at some 500 bytes each; negative: no limit.
	MaxGone int
	// MaxIDs is how many messages with an id are remembered, to be recognised
	// within the window. When there are as many, a message with an id is refused
	// with [ErrBusy]: published, it could be again without anybody noticing. One
	// without an id is not affected. Default 500,000, at some 200 bytes each;
	// negative: no limit.
	MaxIDs int
	// Rooms are the rules of rooms that keep a history. The first whose
	// pattern matches holds.
	Rooms []RoomRule
}

// A RoomRule says how the rooms of a pattern are kept.
type RoomRule struct {
	// Pattern is a room's name, in which one "*" stands for any characters.
	Pattern string
	// Limit bounds the history of each room.
	Limit HistoryLimit
	// Durability is what it takes for a message to be acknowledged.
	Durability Durability
}

// Durability is what the acknowledgement of a message means.
type Durability uint8

const (
	// Fsync: the message is on the disk. Nothing that was acknowledged is lost
	// when the machine loses its power.
	Fsync Durability = iota
	// Async: the message is with the operating system. Nothing that was
	// acknowledged is lost when the process dies; when the machine does, the
	// last seconds may be.
	Async
)

const (
	defaultWindow   = 2 * time.Minute
	defaultMaxBytes = 64 << 20
	defaultMaxGone  = 500_000
	defaultMaxIDs   = 500_000
)

func (m Memory) withDefaults() (*Memory, error) {
	var errs []error
	if m.Window == 0 {
		m.Window = defaultWindow
	}
	if m.MaxBytes == 0 {
		m.MaxBytes = defaultMaxBytes
	}
	for _, x := range []struct {
		v   *int
		def int
	}{{&m.MaxGone, defaultMaxGone}, {&m.MaxIDs, defaultMaxIDs}} {
		switch {
		case *x.v == 0:
			*x.v = x.def
		case *x.v < 0:
			*x.v = math.MaxInt
		}
	}
	if m.Window < 0 || m.MaxBytes < 0 {
		errs = append(errs, errors.New("hub: Memory.Window and MaxBytes must not be negative"))
	}
	for _, r := range m.Rooms {
		if strings.Count(r.Pattern, "*") > 1 || r.Pattern == "" {
			errs = append(errs, fmt.Errorf("hub: room pattern %q must have one * at most, and something", r.Pattern))
		}
	}
	return &m, errors.Join(errs...)
}

// rule returns the rule of a room, nil if it keeps no history.
func (m *Memory) rule(room string) *RoomRule {
	for i := range m.Rooms {
		if MatchRoom(m.Rooms[i].Pattern, room) {
			return &m.Rooms[i]
		}
	}
	return nil
}

// erases says whether a log that erases e takes a message off its tape: the one
// that was named, or one that no other history was to keep.
func (m *Memory) erases(e Erasure, msg *Message) bool {
	if !slices.Contains(msg.Rooms, e.Room) || m.rule(e.Room) == nil {
		return false
	}
	if e.Position != 0 {
		return msg.position == e.Position
	}
	return !slices.ContainsFunc(msg.Rooms, func(room string) bool { return room != e.Room && m.rule(room) != nil })
}

// MatchRoom says whether a room's name fits a pattern, in which one "*" stands
// for any characters, none included.
func MatchRoom(pattern, room string) bool {
	head, tail, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == room
	}
	return len(room) >= len(head)+len(tail) && strings.HasPrefix(room, head) && strings.HasSuffix(room, tail)
}
