package tutti

import (
	"errors"
	"slices"

	"github.com/tutti-rt/tutti/hub"
)

// Join adds the socket to rooms, all or none. From then on it receives what is
// sent to them. In a guard, rooms are joined when the socket is let in.
func (s *Socket) Join(rooms ...string) error {
	s.mu.Lock()
	seat := s.seat
	if s.left != "" {
		s.mu.Unlock()
		return ErrDisconnected
	}
	if seat == nil {
		early := append(s.earlyLocked(), rooms...)
		s.early = &early
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	err := seat.Join(rooms...)
	if limit := hubLimit(err); limit != "" {
		s.link.session.Peer().Reached("hub", limit)
	}
	return err
}

// hubLimit is the limit that the hub's error is about, as its trace names it.
func hubLimit(err error) string {
	switch {
	case errors.Is(err, hub.ErrTooManyRooms):
		return "rooms"
	case errors.Is(err, hub.ErrBusy):
		return "ids"
	}
	return ""
}

// earlyLocked returns the rooms joined before the socket has a seat.
func (s *Socket) earlyLocked() []string {
	if s.early == nil {
		return nil
	}
	return *s.early
}

// Leave takes the socket out of rooms.
func (s *Socket) Leave(rooms ...string) {
	s.mu.Lock()
	seat := s.seat
	if seat == nil {
		early := slices.DeleteFunc(s.earlyLocked(), func(room string) bool { return slices.Contains(rooms, room) })
		s.early = &early
	}
	s.mu.Unlock()
	if seat != nil {
		seat.Leave(rooms...)
	}
}

// Rooms returns the rooms that the socket is in, its own among them; for a
// socket that has left, those that it was in.
func (s *Socket) Rooms() []string {
	s.mu.Lock()
	seat, early := s.seat, slices.Clone(s.earlyLocked())
	s.mu.Unlock()
	if seat == nil {
		return early
	}
	return seat.Rooms()
}

// Broadcast returns everyone in the namespace but this socket.
func (s *Socket) Broadcast() Audience {
	return Audience{ns: s.Namespace(), except: []string{s.ID()}}
}

// To returns the members of any of the rooms, but not this socket.
func (s *Socket) To(rooms ...string) Audience { return s.Broadcast().To(rooms...) }

// Except returns everyone in the namespace but this socket and the members of
// any of the rooms.
func (s *Socket) Except(rooms ...string) Audience { return s.Broadcast().Except(rooms...) }
