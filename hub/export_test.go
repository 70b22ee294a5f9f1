package hub

import "fmt"

// Order is the order of a space alone, for its own tests.
type Order struct{ o order }

func (o *Order) Do(f func())   { o.o.do(f) }
func (o *Order) Post(f func()) { o.o.post(f) }

// Waiting returns how many operations wait for their turn.
func (o *Order) Waiting() int {
	o.o.mu.Lock()
	defer o.o.mu.Unlock()
	return len(o.o.waiting)
}

// Check says whether every seat knows where it is, and every place the seat
// that is there. The swap-removal of seats rests on this.
func (sp *Space) Check() error {
	var err error
	sp.order.do(func() { err = sp.check() })
	return err
}

func (sp *Space) check() error {
	for i, s := range sp.seats {
		if s.index != i {
			return fmt.Errorf("seat %d of the space believes to be %d", i, s.index)
		}
		for _, p := range s.places {
			if int(p.index) >= len(p.room.seats) || p.room.seats[p.index] != s {
				return fmt.Errorf("seat %d is not at its place %d of room %q", i, p.index, p.room.name)
			}
		}
	}
	places := 0
	for name, r := range sp.rooms {
		if len(r.seats) == 0 {
			return fmt.Errorf("room %q is empty and not deleted", name)
		}
		for i, s := range r.seats {
			if j := s.find(name); j < 0 || int(s.places[j].index) != i || s.places[j].room != r {
				return fmt.Errorf("seat %d of room %q does not know it", i, name)
			}
		}
		places += len(r.seats)
	}
	for _, s := range sp.seats {
		places -= len(s.places)
	}
	if places != 0 {
		return fmt.Errorf("%d places more in the rooms than in the seats", places)
	}
	return nil
}

// What is stored, and how offsets are written, for their fuzzers.
var (
	AppendRecord = appendRecord
	ReadRecord   = readRecord
	ParseOffset  = parseOffset
	NewOffset    = newOffset
)

// RereadSession reads a session's record and writes it again.
func RereadSession(body []byte) ([]byte, error) {
	s, err := readSession(body)
	if err != nil {
		return nil, err
	}
	return s.append(nil), nil
}

// SessionBody is the record of a session with these rooms.
func SessionBody(name, owner string, rooms ...string) []byte {
	s := sessionRecord{Name: name, Owner: owner, Start: 7, Generation: 3}
	for i, room := range rooms {
		s.Rooms = append(s.Rooms, standing{Room: room, Since: Position(i), Asked: i%2 == 1})
	}
	return s.append(nil)
}

// Partings returns how many partings a space remembers, those that mean nothing
// any more included.
func Partings(sp *Space) (n int) {
	sp.order.do(func() { n = len(sp.sessions.gone) })
	return n
}

// EncodedRecently is how many messages keep their encodings.
const EncodedRecently = encodedRecently
