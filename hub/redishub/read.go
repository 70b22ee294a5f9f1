package redishub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/tutti-rt/tutti/hub"
)

// readBytes bounds what one question returns, and readRooms what one asks for.
const (
	readBytes = 4 << 20
	readRooms = 1000
)

// Read returns messages of rooms and for everyone.
func (l *line) Read(ctx context.Context, rooms []string, after hub.Position, limit int) ([]hub.Stored, hub.Position, error) {
	return l.readFrom(ctx, nil, rooms, after, limit)
}

// readFrom reads by a link, or by whatever there is if it is nil.
func (l *line) readFrom(ctx context.Context, link *link, rooms []string, after hub.Position, limit int) ([]hub.Stored, hub.Position, error) {
	if limit <= 0 {
		return nil, after, nil
	}
	var list []hub.Stored
	upTo := maxPosition
	for first := true; first || len(rooms) > 0; first = false {
		some := rooms[:min(readRooms, len(rooms))]
		rooms = rooms[len(some):]
		more, end, err := l.readSome(ctx, link, some, after, limit)
		if err != nil {
			return nil, 0, err
		}
		list, upTo = merge(list, more), min(upTo, end)
	}
	list = slices.DeleteFunc(list, func(m hub.Stored) bool { return m.Position > upTo })
	if len(list) > limit {
		list = list[:limit]
		upTo = list[limit-1].Position
	}
	return list, upTo, nil
}

func (l *line) readSome(ctx context.Context, link *link, rooms []string, after hub.Position, limit int) ([]hub.Stored, hub.Position, error) {
	args := func(epoch string) []any {
		args := []any{epoch, uint64(after), limit, readBytes, l.keep().Milliseconds()}
		for _, room := range rooms {
			args = append(args, room)
		}
		return args
	}
	var reply []string
	var err error
	if link != nil {
		reply, err = l.try(ctx, link, scriptRead, args)
	} else {
		reply, err = l.ask(ctx, scriptRead, args)
	}
	if err != nil {
		return nil, 0, trimmed(err)
	}
	if len(reply)%2 != 1 {
		return nil, 0, fmt.Errorf("%w: %d entries", errProtocol, len(reply))
	}
	upTo, ok := parsePosition(reply[0])
	if !ok {
		return nil, 0, fmt.Errorf("%w: position %q", errProtocol, reply[0])
	}
	wanted := make(map[string]bool, len(rooms))
	for _, room := range rooms {
		wanted[room] = true
	}
	list, err := l.entries(reply[1:], wanted)
	return list, upTo, err
}

// learnFloor takes from an answer how far the log is trimmed, which the clock here
// may tell less exactly.
func (l *line) learnFloor(epoch string, reply []string) {
	if len(reply) != 2 {
		return
	}
	floor, ok := parsePosition(reply[1])
	l.mu.Lock()
	defer l.mu.Unlock()
	if ok && l.epoch == epoch {
		l.start = max(l.start, floor)
	}
}

// trimmed leaves of an error what callers are told.
func trimmed(err error) error {
	if errors.Is(err, hub.ErrTrimmed) {
		return hub.ErrTrimmed
	}
	return err
}

// entries reads positions and entries in turn. Those for other rooms than are
// wanted are left out, unless that is nil.
func (l *line) entries(reply []string, wanted map[string]bool) ([]hub.Stored, error) {
	list := make([]hub.Stored, 0, len(reply)/2)
	for i := 0; i+1 < len(reply); i += 2 {
		p, ok := parsePosition(reply[i])
		if !ok {
			return nil, fmt.Errorf("%w: position %q", errProtocol, reply[i])
		}
		m, interest, err := l.stored(p, reply[i+1], wanted)
		if err != nil {
			return nil, err
		}
		if interest || wanted == nil {
			list = append(list, m)
		}
	}
	return list, nil
}

// History returns a page of a room's history.
func (l *line) History(ctx context.Context, room string, q hub.HistoryQuery) ([]hub.Stored, error) {
	if q.Before != 0 && q.After != 0 {
		return nil, errors.New("history: both Before and After")
	}
	if q.Limit <= 0 {
		return nil, nil
	}
	reply, err := l.ask(ctx, scriptHistory, func(epoch string) []any {
		return []any{epoch, room, uint64(q.Before), uint64(q.After), q.Limit}
	})
	if err != nil {
		return nil, err
	}
	list, err := l.entries(reply, nil)
	if q.After == 0 {
		slices.Reverse(list)
	}
	return list, err
}

// Session returns the record of a session.
func (l *line) Session(ctx context.Context, id string) (*hub.SharedSession, error) {
	reply, err := l.ask(ctx, scriptSession, func(epoch string) []any { return []any{epoch, id} })
	if err != nil || len(reply) == 0 {
		return nil, err
	}
	generation, err := strconv.ParseUint(reply[0], 10, 64)
	if err != nil || len(reply) != 2 {
		return nil, fmt.Errorf("%w: record of a session", errProtocol)
	}
	return &hub.SharedSession{ID: id, Generation: generation, Body: []byte(reply[1])}, nil
}
