package hub

import (
	"context"
	"errors"
)

// Join lets every member of an address join rooms. Members that may not be in
// so many rooms stay as they were, and the error says so; the others join, with
// what [Seat.Join] promises.
func (sp *Space) Join(to Address, rooms ...string) error {
	if err := sp.hub.checkRooms(rooms); err != nil {
		return err
	}
	err := sp.joinHere(func() []*Seat { return sp.collect(to) }, rooms, false)
	if !to.Local {
		err = errors.Join(err, sp.moveElsewhere(AskJoin, to, rooms))
	}
	return err
}

func (sp *Space) joinHere(who func() []*Seat, rooms []string, asked bool) error {
	if err := sp.usable(); err != nil {
		return err
	}
	ctx, cancel := sp.hub.node.patient()
	defer cancel()
	if err := sp.ears.hold(ctx, rooms); err != nil {
		return err
	}
	defer sp.ears.release(rooms)
	fresh := make(map[*Seat][]string)
	refused, err := sp.move(who, func(s *Seat) error {
		missing := s.missing(rooms)
		err := s.join(rooms)
		if err == nil && len(missing) > 0 {
			fresh[s] = missing
			s.mark(missing, asked)
		}
		return err
	})
	if err != nil { // it is not known to be written: so it is not so
		sp.order.do(func() {
			for s, rooms := range fresh {
				s.leave(rooms)
			}
		})
	}
	return errors.Join(refused, err)
}

// Leave lets every member of an address leave rooms.
func (sp *Space) Leave(to Address, rooms ...string) {
	// An error is the tape's, which tells everybody, or of a node that is gone.
	_, _ = sp.move(func() []*Seat { return sp.collect(to) }, func(s *Seat) error { s.leave(rooms); return nil })
	if !to.Local {
		_ = sp.moveElsewhere(AskLeave, to, rooms)
	}
}

// move changes the rooms of seats. It returns when those that come back do so to
// the rooms they are in now, also after a loss of power: in a room less, a client
// would take silence for peace. It returns why some could not be moved, and why
// the move of the others was not written.
func (sp *Space) move(who func() []*Seat, change func(*Seat) error) (refused, err error) {
	var saved *pending
	sp.order.do(func() {
		var moved []*Seat
		for _, s := range who() {
			before := len(s.places)
			if e := change(s); e != nil {
				refused = e
			}
			if s.session != nil && len(s.places) != before {
				sp.keeper.renew(s.session)
				moved = append(moved, s)
			}
		}
		saved = sp.save(true, moved...)
	})
	if saved == nil {
		return refused, nil
	}
	return refused, saved.wait(context.Background())
}
