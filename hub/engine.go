package hub

import (
	"context"
	"errors"
	"time"
)

// Errors of an [Engine].
var (
	// ErrUnavailable means that the engine cannot be reached, or not by enough
	// of its servers to promise anything. What was to be published is not: an
	// engine that cannot know reports [ErrUnknown] instead. It may be tried
	// again, for an engine comes back.
	ErrUnavailable = errors.New("hub: engine unavailable")
	// ErrEpoch means that the engine has lost messages that members may have
	// received: its log begins a new life, and what refers to the old one is
	// void.
	ErrEpoch = errors.New("hub: the log began a new life")
)

// An Engine makes one hub of the hubs of several nodes: it keeps what must
// outlive each of them, puts what they publish into one order, and carries what
// they say to each other. A [Store] is what takes its place on a node that is
// alone. Its implementations pass the suite in package hubtest.
type Engine interface {
	// Node names this node in this life. The name is given anew with every
	// start and never to another.
	Node() string
	// Join takes part in the cluster with a lease that the engine renews; from
	// then on p is told what concerns the node as a whole. about is what others
	// get to know of this node: a few bytes, such as where it can be reached. It
	// is called before any Open, and again only after it has failed with
	// [ErrUnavailable].
	Join(ctx context.Context, p Peer, about []byte) error
	// Open takes part in a namespace. It is an error for one that is open: again
	// only after its line was closed. memory is nil for a namespace without one,
	// of whose line only Listen, Ignore and Cast are used.
	Open(ctx context.Context, namespace string, memory *Memory, f Follower) (Line, error)
	// Nodes returns the other nodes whose leases have not ended, with what each
	// said about itself.
	Nodes() map[string][]byte
	// Tell says something to another node, or to all others if node is "":
	// at most once, and in order from one node to another. It does not wait for
	// them, and is an error only if the engine knows that nobody was told.
	Tell(node string, body []byte) error
	// Close gives up the lease and ends the lines. Nothing is told after it, and
	// what is asked fails with [ErrClosed]. It may be called again.
	Close() error
}

// A Peer is told what concerns a node as a whole. Its methods are called one at
// a time; they must not wait, nor call the engine but for Tell.
type Peer interface {
	// Told hears what another node has to say. body may be kept.
	Told(node string, body []byte)
	// Came and Left say that another node has joined, and that it is gone: it
	// said so, or its lease ended. A node that was only slow may come again
	// under the same name after it has left.
	Came(node string, about []byte)
	Left(node string)
	// Reached says that the engine can be reached again (nil), or why not.
	Reached(err error)
}

// A Follower is a space that follows the log of its namespace. Its methods are
// called one at a time, wait for nothing but their turn in the space, and do not
// call the line, but for State.
type Follower interface {
	// Follow hands on messages of the rooms that the node listens to, and those
	// for everyone: in the order of positions, each once, this node's own
	// included, whatever happened to the connection in between. level is the
	// position up to which, of those, all have been handed on with this call;
	// it never falls, is at least the position of the last message, and beyond
	// it after a Listen.
	Follow(messages []Stored, level Position)
	// Heard hears what another node has cast. body may be kept.
	Heard(node string, body []byte)
	// Lost says that something that should have been handed on cannot be: it
	// was trimmed meanwhile ([ErrTrimmed]), or the log began a new life
	// ([ErrEpoch]), whose state State has by now. Everything after level is
	// handed on as before.
	Lost(err error, level Position)
}

// A Line is a node's part in a namespace. Its methods may be called by any
// number of goroutines at a time; those that take a context wait, and end with
// [ErrUnavailable] when the engine is away for longer than the context lasts, or
// at once if it is known to be.
type Line interface {
	// State says where the log stands, as far as the node knows. The place before
	// the first message is 1, not 0.
	State() LogState
	// Commit writes a batch and fills in what became of each of its parts. The
	// messages get growing positions in the order of the batch. It tries again
	// for as long as the context lasts; what it then cannot tell is ErrUnknown.
	// When it returns, what succeeded is as durable as the engine and its
	// configuration can make it. Messages are handed on by Follow, before or
	// after Commit returns.
	Commit(ctx context.Context, b *SharedBatch)
	// Listen has messages of rooms followed, in addition to others. It returns a
	// position up to which Follow was called, and after which it hands on
	// everything for those rooms. With no rooms it returns where the log stands
	// now: every message that was acknowledged anywhere before the call has a
	// position up to it, and was followed if the node listens to it. Calls at
	// the same time share a question to the engine.
	Listen(ctx context.Context, rooms ...string) (Position, error)
	// Ignore ends what Listen began. Messages may still come.
	Ignore(rooms ...string)
	// Cast says something to the other nodes that listen to any of those rooms,
	// or to all that have the namespace open if there are none: as Tell does,
	// to each of them once, and after what this node committed before.
	Cast(rooms []string, body []byte) error
	// Read returns messages of any of those rooms and for everyone, oldest
	// first, each once, after a position, at most limit; and the position up to
	// which that is all: beyond after, unless that is where the log stands. It
	// returns [ErrTrimmed] if some are not kept any more.
	Read(ctx context.Context, rooms []string, after Position, limit int) ([]Stored, Position, error)
	// History is that of [Log].
	History(ctx context.Context, room string, q HistoryQuery) ([]Stored, error)
	// Session returns the record of a session as it was committed last, nil if
	// there is none any more.
	Session(ctx context.Context, id string) (*SharedSession, error)
	// Close ends the following: nothing is handed on when it has returned. What
	// is asked then fails with [ErrClosed]. It may be called again.
	Close()
}

// A SharedBatch is what a node writes at a time. Each part fails or succeeds
// for itself.
type SharedBatch struct {
	Messages []*SharedMessage
	Sessions []*SharedSession
	Erase    []Erasure
	EraseErr error // set by Commit
}

// A SharedMessage is a message to be written, and what became of it.
type SharedMessage struct {
	// Publisher and ID make a message that is published again within the
	// memory's window recognised, by whatever node. ID "": it is not.
	Publisher, ID string
	Rooms         []string // none: everyone
	Body          []byte   // opaque
	Histories     []RoomHistory
	Sync          bool // it must survive the machines' power, if the engine can see to that

	// Set by Commit.
	Position Position
	Time     time.Time
	Repeated bool // Position and Time are those of the first
	Err      error
}

// A SharedSession is the record of a session. It is written only if no record of
// a later generation is there; of the same generation only the node that wrote
// it may write again. Else Commit sets Err to [ErrFenced].
type SharedSession struct {
	ID         string
	Generation uint64
	Body       []byte        // opaque; nil: remove it
	Keep       time.Duration // after that it may be forgotten, unless it is written again
	Err        error         // set by Commit
}
