package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
)

// register is the hub's room in whose history the names of all rooms are, so
// that they are there again after a restart. Nobody sits in it.
const (
	register                         = "chat-register"
	registered tutti.Event[RoomName] = "room"
)

// keeps says whether a space keeps the histories of our rooms.
func keeps(space *hub.Space) (bool, error) {
	for _, room := range []string{"chat:general", "chat-screens:general", register} {
		_, err := space.History(room, hub.PageQuery{Limit: 1})
		if errors.Is(err, hub.ErrNoHistory) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("chat: %w", err)
		}
	}
	return true, nil
}

// noteRoom writes a room's name down. If that fails the store has failed, and
// whoever says something in the room is told.
func (c *Chat) noteRoom(name string) {
	if c.kept {
		registered.Emit(c.ns.To(register), RoomName{name})
	}
}

// roomsBefore returns the names of the rooms that were there before a restart
// and in which something was said: the latest, but not too many.
func (c *Chat) roomsBefore() ([]string, error) {
	page, err := c.ns.Space().History(register, hub.PageQuery{Limit: hub.MaxPage})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range slices.Backward(page.Messages) {
		var name RoomName
		if m.Args.Scan(&name) != nil || checkRoom(name.Room) != nil ||
			slices.Contains(names, name.Room) || slices.Contains(fixedRooms, name.Room) {
			continue
		}
		r := newRoom(c, name.Room)
		last, err := c.ns.Space().History(r.screens(), hub.PageQuery{Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(last.Messages) > 0 {
			names = append(names, name.Room)
		}
		if len(names) == maxRooms-len(fixedRooms) {
			break
		}
	}
	return names, nil
}

// resume continues where the room was left by the process before.
func (r *room) resume() error {
	last, err := r.history("", 1)
	if err != nil {
		return err
	}
	r.chat.mu.Lock()
	defer r.chat.mu.Unlock()
	if len(r.recent) == 0 {
		r.recent = last.Messages
	}
	if !r.closed && !r.chat.closed {
		r.relay.behind = true
		r.startRelayLocked()
	}
	return nil
}

// page returns what was said before an offset, or lately.
func (r *room) page(before tutti.Offset) (*Page, error) {
	if r.chat.kept {
		return r.history(before, maxRecent)
	}
	r.chat.mu.Lock()
	defer r.chat.mu.Unlock()
	return &Page{Messages: append([]Message{}, r.recent...)}, nil
}

// history reads a page of what was on the screens.
func (r *room) history(before tutti.Offset, limit int) (*Page, error) {
	kept, err := r.chat.ns.Space().History(r.screens(), hub.PageQuery{Before: before, Limit: limit})
	if err != nil {
		return nil, err
	}
	page := &Page{Messages: make([]Message, 0, len(kept.Messages)), More: kept.More}
	for _, m := range kept.Messages {
		var said Message
		if m.Event == string(Said) && m.Args.Scan(&said) == nil {
			said.Offset = m.Offset()
			page.Messages = append(page.Messages, said)
		}
	}
	return page, nil
}

// history answers with what was said before what the page shows.
func (c *Chat) history(ctx context.Context, _ *tutti.Socket, e Earlier) (Page, error) {
	g := guestOf(ctx)
	r := g.rooms[e.Room]
	if r == nil {
		return Page{}, &tutti.Refusal{Message: "You are not in that room."}
	}
	if wait := g.steps.take(time.Now()); wait > 0 {
		return Page{}, slower(wait)
	}
	if e.Before == "" || !c.kept {
		return Page{Messages: []Message{}}, nil
	}
	page, err := r.history(e.Before, maxRecent)
	if err != nil {
		return Page{}, refusalOf(err)
	}
	return *page, nil
}
