package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/pebblehub"
)

// An importer fills a cluster that no node is in with what another log has. Until
// it has completed, no node takes part in the cluster: engines refuse it. One that
// did not get that far is followed by one of the same id, which begins anew.
type importer interface {
	// Now is the time by which positions and ages are told there.
	Now(ctx context.Context) (time.Time, error)
	// Space begins a namespace: what an importer of before has left there is
	// removed. It fails if there is a log.
	Space(ctx context.Context, namespace string, window time.Duration) (hub.ImportSpace, error)
	// Complete opens the cluster to nodes, or fails if what was written may not
	// all be there.
	Complete(ctx context.Context) error
	// Close gives up the connections. What was not completed stays marked.
	Close() error
}

// A mover copies the logs of a data folder into an engine, twice: from a copy of
// the folder while its server goes on, and the rest when that has ended.
type mover struct {
	into   importer
	window time.Duration
	spaces map[string]*movedSpace
	count  moveCount
}

// moveCount is what a copying has written.
type moveCount struct{ messages, histories, sessions int }

// A movedSpace is what is known of a namespace that was copied.
type movedSpace struct {
	into  hub.ImportSpace
	upTo  hub.Position // everything up to here was copied
	rooms map[string]pebblehub.RoomState
	tape  []hub.Position // what was written of the tape
}

// moveAtOnce is how many messages are read, and written, at a time.
const moveAtOnce = 256

// copy copies what is in a store and was not copied before.
func (m *mover) copy(ctx context.Context, store *pebblehub.Store, last bool) error {
	m.count = moveCount{}
	names, err := store.Namespaces()
	if err != nil {
		return err
	}
	for _, name := range names {
		log, err := store.Open(name)
		if err == nil {
			err = m.copySpace(ctx, name, log.(*pebblehub.Log), last)
		}
		if err != nil {
			return fmt.Errorf("namespace %s: %w", name, err)
		}
	}
	return nil
}

func (m *mover) copySpace(ctx context.Context, name string, log *pebblehub.Log, last bool) error {
	sp := m.spaces[name]
	if sp == nil {
		into, err := m.into.Space(ctx, name, m.window)
		if err != nil {
			return err
		}
		sp = &movedSpace{into: into, rooms: make(map[string]pebblehub.RoomState)}
		m.spaces[name] = sp
	}
	rooms, err := allRooms(log)
	if err != nil {
		return err
	}
	end, err := sp.place(ctx, m.into, log, rooms)
	if err != nil {
		return err
	}
	if err := m.copyHistories(ctx, sp, log, rooms); err != nil {
		return err
	}
	ending, err := m.copyTape(ctx, sp, log)
	if err != nil {
		return err
	}
	sp.upTo = max(sp.upTo, end)
	if !last {
		return nil
	}
	return m.finish(ctx, sp, log, ending)
}

func allRooms(log *pebblehub.Log) (rooms []pebblehub.RoomState, err error) {
	for {
		behind := ""
		if n := len(rooms); n > 0 {
			behind = rooms[n-1].Room
		}
		list, err := log.Rooms(behind, len(rooms) > 0)
		if err != nil || len(list) == 0 {
			return rooms, err
		}
		rooms = append(rooms, list...)
	}
}

// place gives what is new its positions, and returns the last of the old ones. It
// holds 16 bytes or so for each message meanwhile.
func (sp *movedSpace) place(ctx context.Context, im importer, log *pebblehub.Log, rooms []pebblehub.RoomState) (hub.Position, error) {
	now, err := im.Now(ctx)
	if err != nil {
		return 0, err
	}
	type place struct {
		p    hub.Position
		at   int64
		tape bool
	}
	var places []place
	tape := false
	note := func(list []pebblehub.Copied) error {
		for _, c := range list {
			// A message from the future would hold up those that follow.
			places = append(places, place{c.Position, min(c.Time.UnixMilli(), now.UnixMilli()), tape})
		}
		return ctx.Err()
	}
	for _, r := range rooms {
		if r.Last <= sp.upTo {
			continue
		}
		if err := eachCopied(sp.upTo, func(after hub.Position) ([]pebblehub.Copied, error) {
			return log.CopyHistory(r.Room, after, moveAtOnce)
		}, note); err != nil {
			return 0, err
		}
	}
	tape = true
	if err := eachCopied(sp.upTo, func(after hub.Position) ([]pebblehub.Copied, error) {
		return log.CopyTape(after, moveAtOnce)
	}, note); err != nil {
		return 0, err
	}
	slices.SortFunc(places, func(a, b place) int {
		switch {
		case a.p == b.p && a.tape == b.tape:
			return 0
		case a.p < b.p || a.p == b.p && a.tape: // what is on the tape may be in histories, too
			return -1
		}
		return 1
	})
	end := sp.upTo
	for _, x := range places {
		sp.into.Place(x.p, time.UnixMilli(x.at), x.tape)
		end = x.p
	}
	return end, nil
}

// eachCopied reads page by page.
func eachCopied(after hub.Position, read func(hub.Position) ([]pebblehub.Copied, error), use func([]pebblehub.Copied) error) error {
	for {
		list, err := read(after)
		if err != nil || len(list) == 0 {
			return err
		}
		if err := use(list); err != nil {
			return err
		}
		after = list[len(list)-1].Position
	}
}

// copyHistories brings the histories up to date. One that only grew is continued;
// of one that lost something, too, nobody knows what, so it is written anew.
func (m *mover) copyHistories(ctx context.Context, sp *movedSpace, log *pebblehub.Log, rooms []pebblehub.RoomState) error {
	gone := sp.rooms
	sp.rooms = make(map[string]pebblehub.RoomState, len(rooms))
	for _, r := range rooms {
		before, known := gone[r.Room]
		delete(gone, r.Room)
		sp.rooms[r.Room] = r
		if known && before == r {
			continue
		}
		if err := m.copyHistory(ctx, sp, log, r, before); err != nil {
			return fmt.Errorf("history of %q: %w", r.Room, err)
		}
		m.count.histories++
	}
	for room := range gone {
		if err := sp.into.ForgetHistory(ctx, room); err != nil {
			return err
		}
	}
	return nil
}

func (m *mover) copyHistory(ctx context.Context, sp *movedSpace, log *pebblehub.Log, r, before pebblehub.RoomState) error {
	after, grew := hub.Position(0), false
	if before.Count > 0 && before.First == r.First && before.Limit == r.Limit && r.Limit.Bytes == 0 {
		var more int64
		if err := eachCopied(before.Last, func(p hub.Position) ([]pebblehub.Copied, error) {
			return log.CopyHistory(r.Room, p, moveAtOnce)
		}, func(list []pebblehub.Copied) error { more += int64(len(list)); return ctx.Err() }); err != nil {
			return err
		}
		after, grew = before.Last, before.Count+more == r.Count
	}
	if !grew {
		if before.Count > 0 {
			if err := sp.into.ForgetHistory(ctx, r.Room); err != nil {
				return err
			}
		}
		// The first within the limits; 1 is before all messages.
		first, err := log.History(r.Room, hub.HistoryQuery{After: 1, Limit: 1})
		if err != nil || len(first) == 0 {
			return err
		}
		after = first[0].Position - 1
	}
	to := []hub.RoomHistory{{Room: r.Room, Limit: r.Limit}}
	return eachCopied(after, func(p hub.Position) ([]pebblehub.Copied, error) {
		return log.CopyHistory(r.Room, p, moveAtOnce)
	}, func(list []pebblehub.Copied) error { return m.write(ctx, sp, list, false, to) })
}

func (m *mover) write(ctx context.Context, sp *movedSpace, list []pebblehub.Copied, tape bool, to []hub.RoomHistory) error {
	out := make([]hub.MovedMessage, len(list))
	for i, c := range list {
		s, err := hub.ReadMoved(c.Body)
		if err != nil {
			return fmt.Errorf("message %d: %w", c.Position, err)
		}
		s.Position, s.Time = c.Position, c.Time
		for _, room := range c.Histories {
			s.Histories = append(s.Histories, hub.RoomHistory{Room: room})
		}
		out[i] = hub.MovedMessage{SharedMessage: s, Tape: tape, To: to}
	}
	m.count.messages += len(out)
	return sp.into.Write(ctx, out)
}

// copyTape brings the tape up to date: what was erased meanwhile goes.
func (m *mover) copyTape(ctx context.Context, sp *movedSpace, log *pebblehub.Log) (hub.MoveEnding, error) {
	e := hub.MoveEnding{State: log.State()}
	var there []hub.Position
	err := eachCopied(0, func(p hub.Position) ([]pebblehub.Copied, error) {
		return log.CopyTape(p, moveAtOnce)
	}, func(list []pebblehub.Copied) error {
		for _, c := range list {
			there = append(there, c.Position)
		}
		n := 0
		for n < len(list) && list[n].Position <= sp.upTo {
			n++
		}
		return m.write(ctx, sp, list[n:], true, nil)
	})
	if err != nil {
		return e, err
	}
	if n := len(there); n > 0 {
		e.First, e.Newest = there[0], there[n-1]
	}
	var gone []hub.Position
	for _, p := range sp.tape {
		if _, is := slices.BinarySearch(there, p); !is {
			gone = append(gone, p)
		}
	}
	sp.tape = there
	return e, sp.into.Forget(ctx, gone)
}

// finish makes a log of what was copied, with the sessions.
func (m *mover) finish(ctx context.Context, sp *movedSpace, log *pebblehub.Log, e hub.MoveEnding) error {
	for s, err := range log.Sessions() {
		if err != nil {
			return err
		}
		e.Sessions = append(e.Sessions, s)
	}
	m.count.sessions += len(e.Sessions)
	e.Epoch = rand.Text()[:12]
	return sp.into.Finish(ctx, e)
}
