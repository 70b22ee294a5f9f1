package hub_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tutti-rt/tutti/hub"
)

// A step is one thing that happens to a space with memory.
type step struct {
	kind      string
	who, room int
	n         int
}

var stepKinds = []string{
	"publish", "publish", "publish", "publish", "everyone", "except", "again", "again", "join", "join", "join", "leave",
	"give", "give", "give", "lose", "return", "return", "fence", "restart", "erase", "erase room", "sleep",
}

func steps() *rapid.Generator[[]step] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			kind: rapid.SampledFrom(stepKinds).Draw(t, "kind"),
			who:  rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "who"),
			room: rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "room"),
			n:    rapid.SampledFrom([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}).Draw(t, "n"),
		}
	}), 40, 100)
}

// TestMemory: whatever happens in whatever order, members receive what they are
// owed, all of it, in order, once, or are told that they cannot; a message with an
// id is published once; and histories are what their limits say.
func TestMemory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		list := steps().Draw(rt, "steps")
		var err error
		synctest.Test(t, func(t *testing.T) {
			w := &memoryWorld{t: t, store: watched(), ids: make(map[int]*said), sleep: func(d time.Duration) { time.Sleep(d) }}
			w.start()
			for i := range w.people {
				w.enter(i)
			}
			for i, s := range list {
				if err = w.do(s); err == nil {
					err = w.check()
				}
				if err != nil {
					err = fmt.Errorf("step %d, %+v: %w", i, s, err)
					break
				}
			}
			w.hub.Close()
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

const (
	testWindow = 2 * time.Minute
	keepCount  = 5 // of the room that keeps a history
)

var testRooms = []string{"kept", "b", "c"}

// memoryWorld is a space, and what it should be.
type memoryWorld struct {
	t      *testing.T
	store  *watchedStore
	hub    *hub.Hub
	sp     *hub.Space
	log    []*said
	ids    map[int]*said
	sleep  func(time.Duration)
	people [3]*person
}

// said is a message as the model knows it.
type said struct {
	text   string
	rooms  []string
	except string
	at     time.Time
	offset hub.Offset
	erased bool
	gone   bool // from the history
}

// person is a reader as the model knows it. Positions are numbers in the log.
type person struct {
	*reader
	here  bool
	gone  time.Time
	rooms map[string]int // and how long the log was when it joined
	next  int            // the first message that was not looked at
	last  int            // one behind the last that it has
	room  int            // how many it takes more
	want  []string
}

func (w *memoryWorld) start() {
	w.hub = hub.New(hub.Config{Store: w.store, Memory: func(string) *hub.Memory {
		return &hub.Memory{Window: testWindow, MaxBytes: 300, Rooms: []hub.RoomRule{{Pattern: "kept", Limit: hub.HistoryLimit{Count: keepCount}}}}
	}})
	w.sp = w.hub.Space("/")
}

func (w *memoryWorld) enter(i int) {
	name := fmt.Sprint("p", i)
	p := &person{reader: new(reader), here: true, next: len(w.log), last: len(w.log), room: 3, rooms: map[string]int{name: len(w.log)}}
	p.reader.room.Store(3)
	seat, err := w.sp.EnterSession(context.Background(), p.reader, hub.Arrival{Name: name, Welcome: func(tk hub.Ticket) { p.ticket = tk }})
	if err != nil {
		w.t.Fatal(err)
	}
	p.seat = seat
	w.people[i] = p
}

func (w *memoryWorld) do(s step) error {
	p, room := w.people[s.who], testRooms[s.room]
	switch s.kind {
	case "publish":
		for range 1 + s.n/4 {
			if err := w.publish(&said{rooms: []string{room, testRooms[s.n%3]}[:1+s.n%2]}, 0); err != nil {
				return err
			}
		}
	case "everyone":
		return w.publish(&said{}, 0)
	case "except":
		return w.publish(&said{except: fmt.Sprint("p", s.who)}, 0)
	case "again":
		return w.publish(&said{rooms: []string{room}}, 1+s.n%2)
	case "join":
		if _, in := p.rooms[room]; p.here && !in {
			p.rooms[room] = len(w.log)
			return p.seat.Join(room)
		}
	case "leave":
		if p.here {
			delete(p.rooms, room)
			p.seat.Leave(room)
		}
	case "give":
		p.room += s.n
		p.give(int64(s.n))
	case "lose":
		if p.here {
			p.seat.Close()
			w.lose(p)
		}
	case "return", "fence":
		if p.here == (s.kind == "fence") {
			return w.comeBack(s.who, s.n)
		}
	case "restart":
		for _, p := range w.people {
			p.seat.Close() // of which nothing is written
			w.lose(p)
			if time.Since(p.gone) <= testWindow { // or it may be forgotten already
				p.gone = time.Now()
			}
		}
		w.hub.Close()
		w.start()
	case "erase":
		return w.erase(s.n)
	case "erase room":
		if s.n == 0 {
			for _, m := range w.log {
				m.erased = m.erased || slices.Contains(m.rooms, "kept")
			}
			return w.sp.EraseRoom(context.Background(), "kept")
		}
	case "sleep":
		w.sleep(time.Duration(s.n) * 7 * time.Second)
	}
	return nil
}

func (w *memoryWorld) lose(p *person) {
	synctest.Wait()
	w.deliver(p)
	p.room = 0
	if p.here {
		p.here, p.gone = false, time.Now()
	}
}

func (w *memoryWorld) publish(s *said, id int) error {
	s.rooms = slices.Compact(slices.Clone(s.rooms))
	s.text, s.at = fmt.Sprint(len(w.log)), time.Now()
	m := message(w.t, s.text)
	if id > 0 {
		m.Publisher, m.ID = "p", fmt.Sprint(id)
	}
	to := hub.Address{Rooms: s.rooms}
	if s.except != "" {
		to.Except = []string{s.except}
	}
	r, err := w.sp.Publish(context.Background(), m, to)
	if err != nil {
		return err
	}
	if first := w.ids[id]; id > 0 && first != nil {
		if r.Repeated && r.Offset == first.offset {
			return nil
		}
		if r.Repeated || !first.erased && time.Since(first.at) <= testWindow {
			return fmt.Errorf("id %d again after %v: %+v, want that of %+v", id, time.Since(first.at), r, first)
		}
	} else if r.Repeated {
		return fmt.Errorf("repeated: %+v", r)
	}
	s.offset = r.Offset
	w.log = append(w.log, s)
	if id > 0 {
		w.ids[id] = s
	}
	n := 0
	for _, m := range slices.Backward(w.log) {
		if slices.Contains(m.rooms, "kept") && !m.erased {
			n++
			m.gone = m.gone || n > keepCount
		}
	}
	return nil
}

func (w *memoryWorld) erase(n int) error {
	if n >= len(w.log) {
		return nil
	}
	m := w.log[len(w.log)-1-n]
	if slices.Contains(m.rooms, "kept") {
		m.erased = true
	}
	return w.sp.Erase(context.Background(), "kept", m.offset)
}

// comeBack presents what the person has. It must succeed unless the model knows
// why not.
func (w *memoryWorld) comeBack(who, room int) error {
	p := w.people[who]
	synctest.Wait()
	w.deliver(p)
	r := &reader{got: p.texts(), offset: p.offset, ticket: p.ticket}
	r.room.Store(int64(room))
	seat, err := w.sp.ResumeSession(context.Background(), r, r.ticket.Session, r.offset, hub.Arrival{})
	if err != nil {
		late := !p.here && time.Since(p.gone) > testWindow
		if errors.Is(err, hub.ErrNoSession) && late || errors.Is(err, hub.ErrTrimmed) && w.trimmed(p.last) {
			if p.here {
				p.seat.End()
			}
			w.enter(who)
			return nil
		}
		return fmt.Errorf("come back after %v: %w", time.Since(p.gone), err)
	}
	r.mu.Lock()
	r.seat = seat
	r.mu.Unlock()
	p.seat.Close() // the older connection ends some time, and that means nothing
	p.reader, p.here, p.room, p.next = r, true, room, p.last
	return nil
}

// trimmed says whether messages from a place on may not be kept any more.
func (w *memoryWorld) trimmed(from int) bool {
	return slices.ContainsFunc(w.log[from:], func(m *said) bool { return time.Since(m.at) > testWindow })
}

// deliver hands a person of the model what it is owed.
func (w *memoryWorld) deliver(p *person) {
	for ; p.here && p.next < len(w.log); p.next++ {
		m := w.log[p.next]
		if m.erased || !owed(p, m, p.next) {
			continue
		}
		if p.room <= 0 {
			return
		}
		p.room--
		p.want = append(p.want, m.text)
		p.last = p.next + 1
	}
}

func owed(p *person, m *said, at int) bool {
	if since, in := p.rooms[m.except]; in && since <= at {
		return false
	}
	return len(m.rooms) == 0 || slices.ContainsFunc(m.rooms, func(room string) bool {
		since, in := p.rooms[room]
		return in && since <= at
	})
}

// check compares.
func (w *memoryWorld) check() error {
	synctest.Wait()
	for i, p := range w.people {
		from := p.last
		w.deliver(p)
		p.reader.mu.Lock()
		evicted := p.reader.evicted
		p.reader.mu.Unlock()
		if p.here && errors.Is(evicted, hub.ErrTrimmed) {
			if !w.trimmed(from) {
				return fmt.Errorf("%d lost its seat for nothing", i)
			}
			w.enter(i)
			continue
		}
		if got := p.texts(); !slices.Equal(got, p.want) {
			return fmt.Errorf("%d room %d next %d of %d last %d real %d: in %v has %q, want %q", i, p.room, p.next, len(w.log), p.last, p.reader.room.Load(), slices.Collect(maps.Keys(p.rooms)), got, p.want)
		}
	}
	var want []string
	for _, m := range w.log {
		if slices.Contains(m.rooms, "kept") && !m.erased && !m.gone {
			want = append(want, m.text)
		}
	}
	return w.checkPages(want)
}

// checkPages reads the history from both ends in pages of two.
func (w *memoryWorld) checkPages(want []string) error {
	var back, forth []string
	q := hub.PageQuery{Limit: 2}
	for more := true; more; {
		page, err := w.sp.History("kept", q)
		if err != nil {
			return err
		}
		back = append(texts(page), back...)
		if more = page.More; len(page.Messages) > 0 {
			q.Before = page.Messages[0].Offset()
		}
	}
	if !slices.Equal(back, want) {
		return fmt.Errorf("history from its end: %q, want %q", back, want)
	}
	if len(w.log) == 0 || slices.Contains(want, w.log[0].text) {
		return nil
	}
	q = hub.PageQuery{After: w.log[0].offset, Limit: 2}
	for more := true; more; {
		page, err := w.sp.History("kept", q)
		if err != nil {
			return err
		}
		forth = append(forth, texts(page)...)
		if more = page.More; len(page.Messages) > 0 {
			q.After = page.Messages[len(page.Messages)-1].Offset()
		}
	}
	if !slices.Equal(forth, want) {
		return fmt.Errorf("history from its beginning: %q, want %q", forth, want)
	}
	return nil
}

func texts(p hub.Page) []string {
	var list []string
	for _, m := range p.Messages {
		text, _ := m.Args.At(0).String()
		list = append(list, text)
	}
	return list
}
