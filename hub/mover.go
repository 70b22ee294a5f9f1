package hub

import (
	"context"
	"fmt"
	"time"
)

// An ImportSpace is a namespace of an engine that is being filled with what another
// log has, before any node takes part. Its messages get new positions: first Place is called with what there is, in the order of its
// positions, then those messages are written, those of each history and of the
// tape in that order; and so again with what has come since.
type ImportSpace interface {
	// Place gives a message a new position: after those of the messages before
	// it. tape: it is on the tape.
	Place(old Position, at time.Time, tape bool)
	// Write writes messages.
	Write(ctx context.Context, messages []MovedMessage) error
	// Forget removes messages that were written, from the tape.
	Forget(ctx context.Context, old []Position) error
	// ForgetHistory removes a room's history, to be written again or not.
	ForgetHistory(ctx context.Context, room string) error
	// Finish makes what was written a log, with the sessions. Offsets of the old
	// log go on to be understood for as long as its members may come back.
	Finish(ctx context.Context, e MoveEnding) error
}

// A MovedMessage is a message as another log has kept it.
type MovedMessage struct {
	*SharedMessage               // its position is the old one
	Tape           bool          // it goes onto the tape
	To             []RoomHistory // the histories it goes to
}

// A MoveEnding is where the old log stood when it was closed, and its sessions.
type MoveEnding struct {
	State    LogState
	First    Position // of the tape's messages, 0 if it has none
	Newest   Position // the same, the last
	Epoch    string   // of the new log, if it has none yet
	Sessions []StoredSession
}

// A Mover is a [Line] whose log was moved there from another, where what is old
// had other positions.
type Mover interface {
	// Moved returns where a position of another epoch is now. It is false for an
	// epoch that is none of the log's former ones.
	Moved(epoch string, p Position) (Position, bool)
	// Quiet returns the last position up to which nothing comes after p. It may
	// return p.
	Quiet(p Position) Position
}

// ReadMoved reads of a message that a [Store] has kept what an engine has to
// know of it. Its histories are not in there.
func ReadMoved(body []byte) (*SharedMessage, error) {
	m, err := readRecord(body)
	if err != nil {
		return nil, err
	}
	return &SharedMessage{Publisher: m.Publisher, ID: m.ID, Rooms: m.Rooms, Body: body}, nil
}

// movedNode is the node on which the members were of sessions that were moved:
// none that there is.
const movedNode = "moved"

// MoveSession makes of a session that a [Store] has kept what an engine keeps,
// for an epoch there. at says where the positions are now, and head the last: the
// member may not have received anything of what is before it.
func MoveSession(s StoredSession, epoch string, at func(Position) Position, head Position, window time.Duration) (*SharedSession, error) {
	rec, err := readSession(s.Body)
	if err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	rec.Start = at(rec.Start)
	for i := range rec.Rooms {
		rec.Rooms[i].Since = at(rec.Rooms[i].Since)
	}
	rec.Node, rec.Epoch, rec.Handed, rec.Level = movedNode, epoch, head, 0
	return &SharedSession{ID: s.ID, Generation: rec.Generation, Body: rec.append(nil), Keep: window}, nil
}
