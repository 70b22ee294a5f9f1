package hub

import (
	"fmt"
	"time"
)

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
