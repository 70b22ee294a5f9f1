package hub_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/hub"
)

// A model is what a space should be, in the plainest form: sets of names.
type model struct {
	seats map[*recorder]map[string]bool // who is in the space, in which rooms
	last  map[*recorder]map[string]bool // who was
}

func (md *model) room(name string) []*recorder {
	var in []*recorder
	for m, rooms := range md.seats {
		if rooms[name] {
			in = append(in, m)
		}
	}
	return in
}

func (md *model) rooms() []string {
	all := map[string]bool{}
	for _, rooms := range md.seats {
		maps.Copy(all, rooms)
	}
	return slices.Sorted(maps.Keys(all))
}

func (md *model) join(m *recorder, rooms []string) {
	for _, room := range rooms {
		md.seats[m][room] = true
	}
}

func (md *model) leave(m *recorder, rooms []string) {
	for _, room := range rooms {
		delete(md.seats[m], room)
	}
}

// reached returns who an address reaches.
func (md *model) reached(to hub.Address) map[*recorder]bool {
	got := map[*recorder]bool{}
	for m, rooms := range md.seats {
		if reaches(to, rooms) {
			got[m] = true
		}
	}
	return got
}

// TestSeatsMatchModel does random things to a space and to the model, and
// compares everything that can be asked after each step.
func TestSeatsMatchModel(t *testing.T) {
	runs := 300
	if testing.Short() {
		runs = 30
	}
	for run := range runs {
		seed := uint64(run)
		if !t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { walk(t, rand.New(rand.NewPCG(seed, 1)), 60) }) {
			return
		}
	}
}

// A walker takes the steps, on the space and on the model.
type walker struct {
	rnd   *rand.Rand
	space *hub.Space
	model *model
	seats map[*recorder]*hub.Seat // closed ones too
}

var walkRooms = []string{"a", "b", "c", "d", "e"}

// rooms returns some of the rooms, now and then one of them twice.
func (w *walker) rooms() []string {
	rooms := slices.Clone(walkRooms)
	w.rnd.Shuffle(len(rooms), func(i, j int) { rooms[i], rooms[j] = rooms[j], rooms[i] })
	rooms = rooms[:w.rnd.IntN(len(rooms))]
	if len(rooms) > 0 && w.rnd.IntN(8) == 0 {
		rooms = append(rooms, rooms[0])
	}
	return rooms
}

func (w *walker) address() hub.Address {
	to := hub.Address{Rooms: w.rooms()}
	if w.rnd.IntN(2) == 0 {
		to.Except = w.rooms()
	}
	return to
}

func walk(t *testing.T, rnd *rand.Rand, steps int) {
	created, joined := map[string]int{}, map[string]int{}
	sp := hub.New(hub.Config{Trace: &hub.Trace{
		RoomCreated: func(_, room string) { created[room]++ },
		RoomDeleted: func(_, room string) { created[room]-- },
		Joined:      func(_, room string, _ hub.Member) { joined[room]++ },
		Left:        func(_, room string, _ hub.Member) { joined[room]-- },
	}}).Space("/model")
	md := &model{seats: map[*recorder]map[string]bool{}, last: map[*recorder]map[string]bool{}}
	w := &walker{rnd: rnd, space: sp, model: md, seats: map[*recorder]*hub.Seat{}}
	for step := range steps {
		did, err := w.step(step)
		if err != nil {
			t.Errorf("error %v", err)
		}
		compare(t, sp, md, w.seats, w.address())
		if want := counts(md, walkRooms); !maps.Equal(nonZero(joined), want) {
			t.Errorf("trace counts %v members, want %v", joined, want)
		}
		for room, n := range created {
			if want := min(joined[room], 1); n != want {
				t.Errorf("room %s was created %d times more than deleted, want %d", room, n, want)
			}
		}
		if t.Failed() {
			t.Fatalf("after step %d: %s", step, did)
		}
	}
}

// step does one random thing and says what.
func (w *walker) step(n int) (did string, err error) {
	var who *recorder
	if in := slices.SortedFunc(maps.Keys(w.model.seats), byName); len(in) > 0 {
		who = in[w.rnd.IntN(len(in))]
	}
	rooms, to := w.rooms(), w.address()
	switch dice := w.rnd.IntN(10); {
	case dice < 3 || who == nil:
		who = &recorder{name: fmt.Sprint("m", n)}
		w.seats[who], err = w.space.Enter(who, nil, rooms...)
		w.model.seats[who] = map[string]bool{}
		w.model.join(who, rooms)
		return fmt.Sprint("enter ", rooms), err
	case dice < 5:
		w.model.join(who, rooms)
		return fmt.Sprint("join ", rooms), w.seats[who].Join(rooms...)
	case dice < 7:
		w.seats[who].Leave(rooms...)
		w.model.leave(who, rooms)
		return fmt.Sprint("leave ", rooms), nil
	case dice < 8:
		w.seats[who].Close()
		w.seats[who].Close() // twice is once
		w.model.last[who] = w.model.seats[who]
		delete(w.model.seats, who)
		return "close", nil
	case dice < 9:
		for m := range w.model.reached(to) {
			w.model.join(m, rooms)
		}
		return fmt.Sprint("join all ", to, rooms), w.space.Join(to, rooms...)
	}
	for m := range w.model.reached(to) {
		w.model.leave(m, rooms)
	}
	w.space.Leave(to, rooms...)
	return fmt.Sprint("leave all ", to, rooms), nil
}

func compare(t *testing.T, sp *hub.Space, md *model, seats map[*recorder]*hub.Seat, to hub.Address) {
	t.Helper()
	if err := sp.Check(); err != nil {
		t.Error(err)
	}
	if got := slices.Sorted(slices.Values(sp.Rooms())); !slices.Equal(got, md.rooms()) {
		t.Errorf("rooms %v, want %v", got, md.rooms())
	}
	for m, seat := range seats {
		rooms, here := md.seats[m]
		if !here {
			rooms = md.last[m]
		}
		got := slices.Sorted(slices.Values(seat.Rooms()))
		if want := slices.Sorted(maps.Keys(rooms)); !slices.Equal(got, want) {
			t.Errorf("%s is in %v, want %v", m.name, got, want)
		}
	}
	for _, room := range append(md.rooms(), "nowhere") {
		if got, want := sp.Count(room), len(md.room(room)); got != want {
			t.Errorf("room %s counts %d, want %d", room, got, want)
		}
	}
	got, want := map[*recorder]bool{}, md.reached(to)
	for _, m := range sp.Members(to) {
		if got[m.(*recorder)] {
			t.Errorf("%+v names a member twice", to)
		}
		got[m.(*recorder)] = true
	}
	if !maps.Equal(got, want) {
		t.Errorf("%+v reaches %d members, want %d", to, len(got), len(want))
	}
	var m hub.Message
	if r, err := sp.Publish(t.Context(), &m, to); err != nil || r.Members != len(want) {
		t.Errorf("publish to %+v: %d members and %v, want %d", to, r.Members, err, len(want))
	}
	for who := range seats {
		if last := who.got; (len(last) > 0 && last[len(last)-1] == &m) != want[who] {
			t.Errorf("%s: what was published to %+v arrived: %v, want %v", who.name, to, !want[who], want[who])
		}
	}
}

func nonZero(counts map[string]int) map[string]int {
	maps.DeleteFunc(counts, func(_ string, n int) bool { return n == 0 })
	return counts
}

func counts(md *model, names []string) map[string]int {
	n := map[string]int{}
	for _, name := range names {
		n[name] = len(md.room(name))
	}
	return nonZero(n)
}

func byName(a, b *recorder) int { return strings.Compare(a.name, b.name) }

func TestRoomLimit(t *testing.T) {
	var hits []string
	trace := &hub.Trace{LimitHit: func(limit string) { hits = append(hits, limit) }}
	sp := hub.New(hub.Config{MaxRooms: 3, Trace: trace}).Space("/")

	if _, err := sp.Enter(&recorder{}, func() { t.Error("welcomed a member that was refused") }, "a", "b", "c", "d"); !errors.Is(err, hub.ErrTooManyRooms) {
		t.Errorf("entering four rooms of three: %v, want ErrTooManyRooms", err)
	}
	if rooms := sp.Rooms(); len(rooms) != 0 || len(sp.Members(hub.Address{})) != 0 {
		t.Errorf("a refused member left traces: rooms %v", rooms)
	}
	seat := enter(t, sp, &recorder{}, "a", "b")
	if err := seat.Join("b", "c", "d"); !errors.Is(err, hub.ErrTooManyRooms) {
		t.Errorf("joining a fourth room: %v, want ErrTooManyRooms", err)
	}
	if got, want := seat.Rooms(), []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("after a refused join the seat is in %v, want %v: all or none", got, want)
	}
	if err := seat.Join("a", "b", "c"); err != nil {
		t.Errorf("joining up to the limit: %v", err)
	}
	seat.Leave("a")
	if err := seat.Join("d"); err != nil {
		t.Errorf("joining after leaving: %v", err)
	}

	// Of an audience, those who may join do.
	other := enter(t, sp, &recorder{})
	if err := sp.Join(hub.Address{}, "e"); !errors.Is(err, hub.ErrTooManyRooms) {
		t.Errorf("joining an audience with a full seat: %v, want ErrTooManyRooms", err)
	}
	if got, want := other.Rooms(), []string{"e"}; !slices.Equal(got, want) {
		t.Errorf("the seat with room left is in %v, want %v", got, want)
	}
	if want := []string{"rooms", "rooms", "rooms"}; !slices.Equal(hits, want) {
		t.Errorf("limits hit %q, want %q", hits, want)
	}
}

func TestRoomLimitIsOffWhenNegative(t *testing.T) {
	sp := hub.New(hub.Config{MaxRooms: -1, MaxRoomName: -1}).Space("/")
	rooms := []string{strings.Repeat("x", 10_000)}
	for i := range 1500 {
		rooms = append(rooms, fmt.Sprint(i))
	}
	seat := enter(t, sp, &recorder{}, rooms...)
	if got := len(seat.Rooms()); got != len(rooms) {
		t.Errorf("the seat is in %d rooms, want %d", got, len(rooms))
	}
	if seat = enter(t, hub.New(hub.Config{}).Space("/"), &recorder{}, rooms[1:1001]...); len(seat.Rooms()) != 1000 {
		t.Error("the default does not let a seat into 1,000 rooms")
	}
	if err := seat.Join("one more"); !errors.Is(err, hub.ErrTooManyRooms) {
		t.Errorf("joining 1,001 rooms by default: %v, want ErrTooManyRooms", err)
	}
}

func TestRoomNames(t *testing.T) {
	var hits []string
	sp := hub.New(hub.Config{Trace: &hub.Trace{LimitHit: func(limit string) { hits = append(hits, limit) }}}).Space("/")
	seat := enter(t, sp, &recorder{})
	for _, name := range []string{"", strings.Repeat("x", 257), "a\xffb", "a\nb", "\x00", "a\u0085", "\x7f"} {
		if err := seat.Join("fine", name); !errors.Is(err, hub.ErrRoomName) {
			t.Errorf("joining %.20q: %v, want ErrRoomName", name, err)
		}
		if _, err := sp.Enter(&recorder{}, nil, name); !errors.Is(err, hub.ErrRoomName) {
			t.Errorf("entering %.20q: %v, want ErrRoomName", name, err)
		}
		if err := sp.Join(hub.Address{}, name); !errors.Is(err, hub.ErrRoomName) {
			t.Errorf("joining an audience to %.20q: %v, want ErrRoomName", name, err)
		}
	}
	if got := seat.Rooms(); len(got) != 0 {
		t.Errorf("refused joins left the seat in %v", got)
	}
	if want := []string{"room name", "room name", "room name"}; !slices.Equal(hits, want) {
		t.Errorf("limits hit %q, want %q: only length is a limit", hits, want)
	}
	for _, name := range []string{strings.Repeat("x", 256), "chat:küche", "a b", "__proto__", "ж"} {
		if err := seat.Join(name); err != nil {
			t.Errorf("joining %.20q: %v", name, err)
		}
	}
}

func TestClosedSeat(t *testing.T) {
	sp := hub.New(hub.Config{}).Space("/")
	m := &recorder{}
	seat := enter(t, sp, m, "a")
	seat.Close()
	if err := seat.Join("b"); !errors.Is(err, hub.ErrLeft) {
		t.Errorf("joining after Close: %v, want ErrLeft", err)
	}
	seat.Leave("a")
	if got, want := seat.Rooms(), []string{"a"}; !slices.Equal(got, want) {
		t.Errorf("a closed seat tells %v, want the rooms it was in at the end, %v", got, want)
	}
	publish(t, sp, hub.Address{})
	if len(m.got) != 0 {
		t.Error("a closed seat received a message")
	}
	if rooms := sp.Rooms(); len(rooms) != 0 {
		t.Errorf("rooms %v outlive their last member", rooms)
	}
}

func TestCloseFromDeliver(t *testing.T) {
	sp := hub.New(hub.Config{}).Space("/")
	var seats []*hub.Seat
	n := 0
	leaver := memberFunc(func(*hub.Message) {
		n++
		for _, s := range seats { // its own and the others'
			s.Close()
		}
	})
	for range 5 {
		seats = append(seats, enter(t, sp, leaver, "a"))
	}
	if r := publish(t, sp, hub.Address{Rooms: []string{"a"}}); r.Members != 5 || n != 5 {
		t.Errorf("handed to %d of %d members: closing takes its turn, so all 5 get what is under way", n, r.Members)
	}
	if r := publish(t, sp, hub.Address{}); r.Members != 0 {
		t.Errorf("%d members after all have left", r.Members)
	}
	if err := sp.Check(); err != nil {
		t.Error(err)
	}
}
