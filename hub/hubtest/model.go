package hubtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// A model is what a log should be: everything, in lists.
type model struct {
	tape  []entry
	floor hub.Position
	rooms map[string]*modelRoom
	ids   map[string]string
}

type entry struct {
	at    hub.Position
	time  time.Time
	size  int64
	rooms []string
}

type modelRoom struct {
	list  []entry
	limit hub.HistoryLimit
}

func (m *model) apply(b *hub.Batch) {
	for _, n := range b.Messages {
		e := entry{at: n.Position, time: n.Time, size: int64(len(n.Body))}
		for _, h := range n.Histories {
			e.rooms = append(e.rooms, h.Room)
		}
		m.tape = append(m.tape, e)
		for _, h := range n.Histories {
			r := m.rooms[h.Room]
			if r == nil {
				r = new(modelRoom)
				m.rooms[h.Room] = r
			}
			r.limit = h.Limit
			r.list = append(r.list, e)
			// Rooms of the model keep their limit for good, so that what is
			// gone stays gone.
			r.list = r.visible(time.Now())
		}
	}
	for _, s := range b.Sessions {
		if delete(m.ids, s.ID); s.Body != nil {
			m.ids[s.ID] = string(s.Body)
		}
	}
	for _, e := range b.Erase {
		m.erase(e)
	}
	if b.Trim > m.floor {
		m.floor = b.Trim
		m.tape = slices.DeleteFunc(m.tape, func(e entry) bool { return e.at <= b.Trim })
	}
}

func (m *model) erase(e hub.Erasure) {
	if e.Position == 0 {
		delete(m.rooms, e.Room)
		m.tape = slices.DeleteFunc(m.tape, func(x entry) bool { return len(x.rooms) == 1 && x.rooms[0] == e.Room })
		return
	}
	is := func(x entry) bool { return x.at == e.Position && slices.Contains(x.rooms, e.Room) }
	known := slices.ContainsFunc(m.tape, is)
	if r := m.rooms[e.Room]; r != nil {
		known = known || slices.ContainsFunc(r.list, is)
	}
	if !known {
		return
	}
	m.tape = slices.DeleteFunc(m.tape, is)
	for _, r := range m.rooms {
		r.list = slices.DeleteFunc(r.list, func(x entry) bool { return x.at == e.Position })
	}
}

func (r *modelRoom) visible(now time.Time) []entry {
	list := r.list
	for len(list) > 0 {
		var bytes int64
		for _, e := range list {
			bytes += e.size
		}
		l := r.limit
		if !(l.Count > 0 && len(list) > l.Count || l.Bytes > 0 && bytes > l.Bytes || l.Age > 0 && list[0].time.Before(now.Add(-l.Age))) {
			break
		}
		list = list[1:]
	}
	return list
}

func (m *model) page(room string, q hub.HistoryQuery) []hub.Position {
	r := m.rooms[room]
	if r == nil {
		return nil
	}
	var list []hub.Position
	for _, e := range r.visible(time.Now()) {
		if (q.Before == 0 || e.at < q.Before) && e.at > q.After {
			list = append(list, e.at)
		}
	}
	if n := min(q.Limit, len(list)); q.After != 0 {
		return list[:n]
	} else {
		return list[len(list)-n:]
	}
}

// testModel commits what comes to a random mind and compares.
func testModel(t *testing.T, f *fixture) {
	seed := uint64(time.Now().UnixNano())
	rounds := 400
	if testing.Short() {
		rounds = 120
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	m := &model{rooms: make(map[string]*modelRoom), ids: make(map[string]string)}
	clock := time.Now().Add(-10 * time.Hour)
	for range rounds {
		b := randomBatch(rng, f, m, &clock)
		m.apply(b)
		f.commit(b)
		if f.reopenStore != nil && rng.IntN(50) == 0 {
			f.reopen()
			f.next = max(f.next, f.log.State().Last)
		}
		compare(rng, f, m)
		if t.Failed() {
			return
		}
	}
}

// limits are few, and those of a room stay, as they do in earnest.
var limits = []hub.HistoryLimit{
	{}, {Count: 1}, {Count: 5}, {Count: 40}, {Bytes: 200}, {Count: 30, Bytes: 1000}, {Age: 5 * time.Hour}, {Count: 20, Age: 8 * time.Hour},
}

func randomBatch(rng *rand.Rand, f *fixture, m *model, clock *time.Time) *hub.Batch {
	room := func() string { return fmt.Sprint("room", rng.IntN(len(limits))) }
	b := &hub.Batch{Sync: rng.IntN(4) == 0}
	n := rng.IntN(4)
	if rng.IntN(10) == 0 {
		n = rng.IntN(60)
	}
	for range n {
		f.next += hub.Position(rng.IntN(3))
		msg := f.message()
		*clock = clock.Add(time.Duration(rng.IntN(60)) * time.Second)
		msg.Time, msg.Body = *clock, make([]byte, rng.IntN(80))
		for range rng.IntN(3) {
			i := rng.IntN(len(limits))
			name := fmt.Sprint("room", i)
			if !slices.ContainsFunc(msg.Histories, func(h hub.RoomHistory) bool { return h.Room == name }) {
				msg.Histories = append(msg.Histories, in(name, limits[i]))
			}
		}
		b.Messages = append(b.Messages, msg)
	}
	for range rng.IntN(3) {
		s := hub.StoredSession{ID: fmt.Sprint(rng.IntN(20))}
		if rng.IntN(3) > 0 {
			s.Body = fmt.Append([]byte{}, rng.Int())
		}
		b.Sessions = append(b.Sessions, s)
	}
	if rng.IntN(6) == 0 && f.next > 0 {
		b.Erase = append(b.Erase, hub.Erasure{Room: room(), Position: 1 + hub.Position(rng.Uint64N(uint64(f.next)))})
		if rng.IntN(8) == 0 {
			b.Erase = append(b.Erase, hub.Erasure{Room: room()})
		}
		if e := m.rooms[b.Erase[0].Room]; e != nil && len(e.list) > 0 {
			b.Erase[0].Position = e.list[rng.IntN(len(e.list))].at
		}
	}
	if rng.IntN(8) == 0 && f.next > 30 {
		b.Trim = f.next - hub.Position(rng.IntN(30))
	}
	return b
}

func compare(rng *rand.Rand, f *fixture, m *model) {
	f.t.Helper()
	var tape []hub.Position
	for _, e := range m.tape {
		tape = append(tape, e.at)
	}
	f.wantTape(m.floor, 1<<20, tape...)
	for i := range limits {
		name := fmt.Sprint("room", i)
		for range 3 {
			q := hub.HistoryQuery{Limit: 1 + rng.IntN(50)}
			switch p := 1 + hub.Position(rng.Uint64N(uint64(f.next)+2)); rng.IntN(3) {
			case 0:
				q.Before = p
			case 1:
				q.After = p
			}
			f.wantHistory(name, q, m.page(name, q)...)
		}
	}
	n := 0
	for s, err := range f.log.Sessions() {
		if err != nil || m.ids[s.ID] != string(s.Body) {
			f.t.Errorf("session %q: %q, %v", s.ID, s.Body, err)
		}
		n++
	}
	if n != len(m.ids) {
		f.t.Errorf("%d sessions, want %d", n, len(m.ids))
	}
}
