package hub

import (
	"context"
	"slices"
)

// Ask is Join on the request of the member's own peer, who may lose the right to be
// there: see [Arrival]. A room that the seat is in already stays as it was.
func (s *Seat) Ask(rooms ...string) error {
	if err := s.space.hub.checkRooms(rooms); err != nil {
		return err
	}
	return s.space.joinHere(s.alone, rooms, true)
}

// mark notes of rooms that it has joined whether its peer asked for them.
func (s *Seat) mark(rooms []string, asked bool) {
	for _, name := range rooms {
		if i := s.find(name); i >= 0 {
			s.places[i].asked = asked
		}
	}
}

// Asked returns what the seat has because its peer asked for it: the rooms it is in,
// and those whose presence it watches.
func (s *Seat) Asked() (rooms, watched []string) {
	s.space.order.do(func() {
		rooms = asked(s.standings())
		for _, a := range s.watching {
			watched = append(watched, a.room)
		}
	})
	return rooms, watched
}

func asked(list []standing) []string {
	var rooms []string
	for _, st := range list {
		if st.Asked {
			rooms = append(rooms, st.Room)
		}
	}
	return rooms
}

// reenter puts a returning member into the rooms it was in, and returns those in
// which it may not be any more.
func (s *Seat) reenter(standings []standing, a Arrival) (removed []string) {
	for _, st := range standings {
		if a.Checked && st.Asked && !slices.Contains(a.Allowed, st.Room) {
			removed = append(removed, st.Room)
			continue
		}
		s.addSince(st.Room, st.Since)
		s.places[len(s.places)-1].asked = st.Asked
	}
	return removed
}

// SessionAsked returns the rooms of a session that its member asked for itself,
// for who is to say in which it still may be. It fails with [ErrNoSession] or
// [ErrNotOwner].
func (sp *Space) SessionAsked(ctx context.Context, id, owner string) (rooms []string, err error) {
	if sp.tape == nil {
		return nil, ErrNoSession
	}
	rec, err := sp.keeper.recall(ctx, id)
	if err != nil {
		return nil, err
	}
	sp.order.do(func() {
		var old *session
		if old, err = sp.findSession(id, rec, owner); err == nil {
			rooms = asked(old.standings())
		}
	})
	return rooms, err
}
