package hub

import (
	"errors"
	"iter"
	"time"
)

// Position is a message's place on the tape of its namespace. Positions grow
// and are never used twice; they may skip numbers. 0 is before the first.
type Position uint64

// Errors of a [Store].
var (
	// ErrTrimmed means that some of what was asked for is not kept any more.
	ErrTrimmed = errors.New("hub: no longer kept")
	// ErrFailed means that the store could not write, once: it acknowledges
	// nothing any more, for nobody knows what is on the disk after a failed
	// fsync.
	ErrFailed = errors.New("hub: store failed")
	// ErrDamaged means that what is stored was changed by something else. It
	// names what is damaged; nothing after it is read.
	ErrDamaged = errors.New("hub: stored data damaged")
)

// A Store keeps on one machine what must outlive the process: the tape of each
// namespace with memory, the histories of its rooms, and the sessions that may
// come back. Its implementations pass the suite in package hubtest.
type Store interface {
	// Open returns the log of a namespace as it was left. It is opened once.
	Open(namespace string) (Log, error)
	// Close ends the store and its logs after their last commit.
	Close() error
}

// A Log is a namespace's part of a store. Commit is called by one goroutine at
// a time; the reading methods may be called by any, also meanwhile.
type Log interface {
	// State says where the log stands; after Open: where it was left.
	State() LogState
	// Commit writes a batch: all of it or nothing, and never a later batch
	// without the earlier ones. When it returns the batch survives the death
	// of the process, and if the batch asks for Sync also that of the machine.
	// An error is an [ErrFailed]; from then on every Commit of every log of
	// the store returns one. Whether the batch that failed is there when the
	// store is opened again is unknown. What is read meanwhile is only what
	// was committed.
	Commit(b *Batch) error
	// Tape returns messages of the tape after a position, oldest first, at
	// most limit of them. If messages after that position were trimmed it
	// returns [ErrTrimmed].
	Tape(after Position, limit int) ([]Stored, error)
	// History returns a page of a room's history. It honours the room's
	// limits as they were given with its last message. A room that has none
	// has no messages, which is no error.
	History(room string, q HistoryQuery) ([]Stored, error)
	// Sessions yields the sessions that were put and not removed.
	Sessions() iter.Seq2[StoredSession, error]
}

// LogState says where a log stands.
type LogState struct {
	// Epoch names the log's life. It changes when messages that a member may
	// have received could be missing from the log, so that an offset of before
	// is never taken for one of after. A position means nothing without its
	// epoch: a log that begins a new one has forgotten its sessions, whose
	// records name positions of the one before, and its tape may have a hole
	// at or before Last.
	Epoch string
	// Last is the position that the next message must exceed: that of the last
	// message, or beyond it if the log was not closed before it was opened.
	Last Position
	// Floor is the position after which the tape is whole.
	Floor Position
}

// A Batch is what a log writes at a time. Its parts are applied in the order of
// its fields.
type Batch struct {
	// Sync asks that the batch survive the machine's power.
	Sync     bool
	Messages []NewMessage
	// Sessions are put, or removed where Body is nil.
	Sessions []StoredSession
	// Erase removes messages for good, from the histories and the tape.
	Erase []Erasure
	// Trim forgets the tape up to and including this position; 0: nothing.
	Trim Position
}

// A NewMessage is a message to be written.
type NewMessage struct {
	Position Position
	Time     time.Time // grows with the position, but for clock jumps
	Body     []byte    // opaque; only valid during Commit
	// Histories are the rooms whose history keeps the message.
	Histories []RoomHistory
}

// RoomHistory is a room and how much of its history is kept.
type RoomHistory struct {
	Room  string
	Limit HistoryLimit
}

// HistoryLimit bounds the history of a room: the oldest messages go when any
// of its fields is exceeded. Zero means no limit.
type HistoryLimit struct {
	Count int
	Bytes int64 // sum of the bodies
	Age   time.Duration
}

// A StoredSession is a session's record.
type StoredSession struct {
	ID   string // the private id, which is a secret
	Body []byte // opaque; nil: remove it
}

// An Erasure removes one message of a room's history, from the tape and from
// the histories of other rooms that have it as well; or all of a room's, and
// from the tape those that were for no other history. What is not there is no
// error.
type Erasure struct {
	Room     string
	Position Position // 0: the whole history of the room
}

// Stored is a message as it was written. Body belongs to the caller.
type Stored struct {
	Position Position
	Time     time.Time
	Body     []byte
}

// A HistoryQuery asks for a page of a room's history: the last messages before
// a position, or the first after one, or the last of all if both are 0.
// Whichever it is, they are returned oldest first.
type HistoryQuery struct {
	Before, After Position
	Limit         int
}
