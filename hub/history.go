package hub

import (
	"context"
	"errors"
	"fmt"
)

// ErrNoHistory means that the room keeps no history: its space has no memory,
// or no rule of it fits.
var ErrNoHistory = errors.New("hub: room keeps no history")

// DefaultPage and MaxPage bound how many messages a page of a history has.
const (
	DefaultPage = 50
	MaxPage     = 1000
)

// A PageQuery asks for a page of a room's history: the last messages before an
// offset, the first after one, or the last of all if both are "". Limit 0 is
// [DefaultPage]; more than [MaxPage] is MaxPage.
type PageQuery struct {
	Before, After Offset
	Limit         int
}

// A Page is a part of a room's history, oldest first.
type Page struct {
	// Epoch names the life of the tape. When it changes, offsets of before mean
	// nothing any more.
	Epoch    string
	Messages []*Message
	// More says that the history goes on in the direction that was asked for.
	More bool
}

// History returns a page of what a room has kept. It fails with [ErrNoHistory],
// or [ErrOffset] for an offset that is not of this tape.
func (sp *Space) History(room string, q PageQuery) (Page, error) {
	if err := sp.usable(); err != nil {
		return Page{}, err
	}
	if sp.tape == nil || sp.memory.rule(room) == nil {
		return Page{}, ErrNoHistory
	}
	limit := q.Limit
	if limit <= 0 {
		limit = DefaultPage
	}
	limit = min(limit, MaxPage)
	query := HistoryQuery{Limit: limit + 1}
	ctx, cancel := sp.hub.node.patient()
	defer cancel()
	var err error
	if q.Before != "" {
		if query.Before, err = sp.find(ctx, q.Before, 1); err != nil {
			return Page{}, err
		}
	}
	if q.After != "" {
		if query.After, err = sp.find(ctx, q.After, 0); err != nil {
			return Page{}, err
		}
	}
	stored, err := sp.tape.history(ctx, room, query)
	if err != nil {
		return Page{}, fmt.Errorf("read history: %w", err)
	}
	page := Page{Epoch: sp.tape.life(), More: len(stored) > limit}
	if page.More && query.After != 0 {
		stored = stored[:limit]
	} else if page.More {
		stored = stored[1:]
	}
	page.Messages, err = readMessages(sp.namespace, page.Epoch, stored)
	return page, err
}

// place reads an offset of this space's tape, that may be so many beyond the
// last that is known here.
func (sp *Space) place(o Offset, beyond Position) (Position, error) {
	epoch, p, ok := parseOffset(o)
	if at, moved := sp.tape.moved(epoch, p); ok && moved {
		epoch, p = sp.tape.life(), at
	}
	if !ok || epoch != sp.tape.life() || p > sp.tape.last()+beyond {
		return 0, ErrOffset
	}
	return p, nil
}

// find is place for offsets that another node may have handed out.
func (sp *Space) find(ctx context.Context, o Offset, beyond Position) (Position, error) {
	if p, err := sp.place(o, beyond); err == nil {
		return p, nil
	}
	if err := sp.tape.barrier(ctx); err != nil {
		return 0, err
	}
	return sp.place(o, beyond)
}

// Next returns an offset to read histories before: what was handed out until
// now is before it, and who entered the space earlier receives the rest. It is
// nobody's offset yet, and not for coming back with. It is "" in a space without
// memory.
func (sp *Space) Next() Offset {
	if sp.usable() != nil || sp.tape == nil {
		return ""
	}
	var o Offset
	sp.order.do(func() { o = newOffset(sp.tape.life(), sp.head+1) })
	return o
}

// Erase removes a message from a room's history and from the tape, for good: it
// returns when a loss of power does not bring it back. Who has received it keeps
// it.
func (sp *Space) Erase(ctx context.Context, room string, o Offset) error {
	if err := sp.remembers(); err != nil {
		return err
	}
	p, err := sp.find(ctx, o, 0)
	if err != nil {
		return err
	}
	return sp.erase(ctx, Erasure{Room: room, Position: p})
}

// EraseRoom removes all that a room has kept, for good.
func (sp *Space) EraseRoom(ctx context.Context, room string) error {
	if err := sp.remembers(); err != nil {
		return err
	}
	return sp.erase(ctx, Erasure{Room: room})
}

// remembers says why nothing could be kept here.
func (sp *Space) remembers() error {
	if err := sp.usable(); err != nil {
		return err
	}
	if sp.tape == nil {
		return ErrNoHistory
	}
	return nil
}

func (sp *Space) erase(ctx context.Context, e Erasure) error {
	return sp.tape.enqueue(true, nil, e).wait(ctx)
}
