package hubtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

func testFreshLine(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	s := a.State()
	if s.Epoch == "" || s.Epoch != b.State().Epoch {
		t.Errorf("epochs %q and %q, want one", s.Epoch, b.State().Epoch)
	}
	if s.Floor > s.Last || s.Last == 0 {
		t.Errorf("state %+v: want the floor below the end, and that to be 1 at least", s)
	}
	if p := a.listen("r"); p < s.Last {
		t.Errorf("Listen = %d, which is before %d", p, s.Last)
	}
	a.wantTexts()
	a.Commit(x.ctx, &hub.SharedBatch{})
	if m := a.say("first", "none"); m.Position <= s.Last {
		t.Errorf("the first message is at %d, want it after %d", m.Position, s.Last)
	}
	if x.nodes[0].engine.Node() == x.nodes[1].engine.Node() || x.nodes[0].engine.Node() == "" {
		t.Error("two nodes have one name")
	}
	list, err := a.History(x.ctx, "none", hub.HistoryQuery{Limit: 10})
	if err != nil || len(list) != 0 {
		t.Errorf("history of a room without: %v, %v", list, err)
	}
}

// testFollow: many publish on three nodes at a time; all follow the same, in
// the order of positions, and what a node commits one after another is in that
// order.
func testFollow(t *testing.T, x *ensemble) {
	lines := []*line{x.line(), x.line(), x.line()}
	const publishers, each = 3, 25
	for _, l := range lines {
		l.listen("a", "b")
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	at := make(map[string]hub.Position)
	for i, l := range lines {
		for p := range publishers {
			wg.Go(func() {
				for n := range each {
					m := letter(fmt.Sprintf("%d.%d.%d", i, p, n), [][]string{{"a"}, {"b"}, {"a", "b"}, {}}[n%4]...)
					m2 := letter(string(m.Body)+"+", m.Rooms...)
					l.Commit(x.ctx, &hub.SharedBatch{Messages: []*hub.SharedMessage{m, m2}})
					if m.Err != nil || m2.Err != nil || m.Position >= m2.Position {
						t.Errorf("Commit: %v at %d, then %v at %d", m.Err, m.Position, m2.Err, m2.Position)
						return
					}
					mu.Lock()
					at[string(m.Body)], at[string(m2.Body)] = m.Position, m2.Position
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	for i, l := range lines {
		l.until(t, "all messages", func() bool { return len(l.got) >= len(at) })
		l.listen()
		l.mu.Lock()
		seen := make(map[string]hub.Position)
		for _, m := range l.got {
			seen[string(m.Body)] = m.Position
		}
		if len(l.got) != len(at) || len(seen) != len(at) {
			t.Errorf("node %d followed %d messages, %d different, want %d", i, len(l.got), len(seen), len(at))
		}
		for text, p := range at {
			if seen[text] != p {
				t.Errorf("node %d followed %s at %d, acknowledged at %d", i, text, seen[text], p)
			}
		}
		for i := range l.got {
			if l.got[i].Time.IsZero() || !l.got[i].Time.Equal(lines[0].got[i].Time) {
				t.Errorf("the time of %s is %v, and %v", l.got[i].Body, l.got[i].Time, lines[0].got[i].Time)
			}
		}
		l.mu.Unlock()
	}
}

func testInterest(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	a.listen("a")
	b.listen("b", "both")
	a.say("to a", "a")
	b.say("to b", "b")
	last := a.say("to all")
	a.say("to none", "none")
	a.say("to several", "a", "b", "none")
	b.say("to others", "c", "d")
	a.say("twice", "b", "both")
	a.wantTexts("to a", "to all", "to several")
	b.wantTexts("to b", "to all", "to several", "twice")
	if p := b.listen("a"); p < last.Position {
		t.Errorf("Listen = %d, which is before %d", p, last.Position)
	}
	a.say("later", "a")
	b.wantTexts("to b", "to all", "to several", "twice", "later")
	b.Ignore("a")
	b.Ignore("never")
	b.listen("b") // again
	b.say("still", "b")
	b.until(t, "what it listens to yet", func() bool { return slices.Contains(texts(b.got), "still") })
	b.listen("a")
	a.say("again", "a")
	b.until(t, "what it listens to again", func() bool { return slices.Contains(texts(b.got), "again") })
}

// testBarrier: what was acknowledged before Listen is up to its position, and
// nothing after that is missing.
func testBarrier(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	for i := range 50 {
		room := fmt.Sprint("r", i)
		before := a.say("before", room)
		var p hub.Position
		var wg sync.WaitGroup
		wg.Go(func() {
			var err error
			if p, err = b.Listen(x.ctx, room); err != nil {
				t.Errorf("Listen: %v", err)
			}
		})
		var during []*hub.SharedMessage
		for n := range 4 {
			m := letter(fmt.Sprint("during", n), room)
			a.Commit(x.ctx, &hub.SharedBatch{Messages: []*hub.SharedMessage{m}})
			during = append(during, m)
		}
		wg.Wait()
		after := a.say("after", room)
		if p < before.Position || p >= after.Position {
			t.Fatalf("listened from %d, acknowledged before at %d, after at %d", p, before.Position, after.Position)
		}
		if q := b.listen(); q < after.Position {
			t.Fatalf("a barrier at %d after a message at %d", q, after.Position)
		}
		for _, m := range append(during, after) {
			if m.Position > p && !b.has(m) {
				t.Fatalf("round %d: %q at %d was missed, listening from %d", i, m.Body, m.Position, p)
			}
		}
	}
}

func (l *line) has(m *hub.SharedMessage) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, found := slices.BinarySearchFunc(l.got, m.Position, func(s hub.Stored, p hub.Position) int { return int(int64(s.Position) - int64(p)) })
	return found
}

// An interval is when a line listened to a room.
type interval struct {
	room     string
	from, to hub.Position
}

// testListening has nodes listen and ignore at random while others publish, and
// looks for what was missed.
func testListening(t *testing.T, x *ensemble) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const rooms, rounds = 6, 60
	lines := []*line{x.line(), x.line(), x.line()}
	var (
		mu    sync.Mutex
		acked []*hub.SharedMessage
		wg    sync.WaitGroup
	)
	for i, l := range lines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			for n := range 2 * rounds {
				m := letter(fmt.Sprintf("%d.%d", i, n))
				for range rng.IntN(3) {
					m.Rooms = append(m.Rooms, fmt.Sprint("r", rng.IntN(rooms)))
				}
				l.Commit(x.ctx, &hub.SharedBatch{Messages: []*hub.SharedMessage{m}})
				mu.Lock()
				acked = append(acked, m)
				mu.Unlock()
			}
		})
	}
	listened := make([][]interval, len(lines))
	for i, l := range lines {
		wg.Go(func() {
			listened[i] = wander(l, rand.New(rand.NewPCG(seed, uint64(100+i))), rounds, rooms, func() hub.Position {
				mu.Lock()
				defer mu.Unlock()
				var last hub.Position
				for _, m := range acked {
					last = max(last, m.Position)
				}
				return last
			})
		})
	}
	wg.Wait()
	for i, l := range lines {
		for _, m := range acked {
			if m.Err != nil {
				t.Fatalf("Commit: %v", m.Err)
			}
			owed := slices.ContainsFunc(listened[i], func(v interval) bool {
				return m.Position > v.from && m.Position <= v.to && (slices.Contains(m.Rooms, v.room) || len(m.Rooms) == 0)
			})
			if owed && !l.has(m) {
				t.Errorf("node %d missed %q of %q at %d", i, m.Body, m.Rooms, m.Position)
			}
		}
	}
}

// wander listens here and there and returns when it did.
func wander(l *line, rng *rand.Rand, rounds, rooms int, acked func() hub.Position) []interval {
	var done []interval
	on := make(map[string]hub.Position)
	for range rounds {
		room := fmt.Sprint("r", rng.IntN(rooms))
		before := acked()
		if from, is := on[room]; is {
			to, err := l.Listen(l.node.ctx)
			if err != nil || to < before {
				l.node.t.Errorf("Listen() = %d, %v; acknowledged before: %d", to, err, before)
			}
			done = append(done, interval{room, from, to})
			l.Ignore(room)
			delete(on, room)
			continue
		}
		p, err := l.Listen(l.node.ctx, room)
		if err != nil || p < before {
			l.node.t.Errorf("Listen(%q) = %d, %v; acknowledged before: %d", room, p, err, before)
		}
		on[room] = p
	}
	to, err := l.Listen(l.node.ctx)
	if err != nil {
		l.node.t.Errorf("Listen: %v", err)
	}
	for room, from := range on {
		done = append(done, interval{room, from, to})
	}
	return done
}

func testRepeated(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	a.listen("r")
	first := &hub.SharedMessage{Publisher: "p", ID: "1", Rooms: []string{"r"}, Body: []byte("first")}
	a.write(first)
	again := func(l *line, publisher, id string) *hub.SharedMessage {
		m := &hub.SharedMessage{Publisher: publisher, ID: id, Rooms: []string{"r"}, Body: []byte(publisher + id)}
		l.write(m)
		return m
	}
	same := func(l *line) {
		t.Helper()
		if m := again(l, "p", "1"); !m.Repeated || m.Position != first.Position || !m.Time.Equal(first.Time) {
			t.Errorf("again: %+v, first: %+v", m, first)
		}
	}
	same(a)
	same(b)
	for _, k := range [][2]string{{"p", "2"}, {"q", "1"}, {"p1", ""}, {"p1", ""}, {"p", "11"}, {"p1", "1"}, {"", "1"}, {"", "p1"}} {
		if m := again(b, k[0], k[1]); m.Repeated {
			t.Errorf("%q: repeated", k)
		}
	}
	// In one batch, too.
	m1 := &hub.SharedMessage{Publisher: "p", ID: "one", Rooms: []string{"r"}, Body: []byte("one")}
	m2 := *m1
	b.write(m1, &m2)
	if m1.Repeated || !m2.Repeated || m1.Position != m2.Position {
		t.Errorf("twice in a batch: %+v, %+v", m1, m2)
	}
	b.Close()
	if err := x.nodes[1].engine.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	same(x.line())
	x.service.Restart()
	l := x.line()
	same(l)
	// At once from everywhere: one of them is first.
	var wg sync.WaitGroup
	var mu sync.Mutex
	var fresh int
	for range 6 {
		wg.Go(func() {
			m := &hub.SharedMessage{Publisher: "race", ID: "1", Rooms: []string{"r"}, Body: []byte("race")}
			ctx, cancel := context.WithTimeout(x.ctx, patience)
			defer cancel()
			l.Commit(ctx, &hub.SharedBatch{Messages: []*hub.SharedMessage{m}})
			mu.Lock()
			defer mu.Unlock()
			if m.Err != nil {
				t.Errorf("Commit: %v", m.Err)
			} else if !m.Repeated {
				fresh++
			}
		})
	}
	wg.Wait()
	if fresh != 1 {
		t.Errorf("%d of 6 were the first", fresh)
	}
	a.wantTexts("first", "p2", "q1", "p1", "p1", "p11", "p11", "1", "p1", "one", "race")
}

func testRead(t *testing.T, x *ensemble) {
	a, b := x.line(), x.line()
	start := a.listen()
	var want []string
	var mid hub.Position
	for i := range 30 {
		rooms := [][]string{{"a"}, {"b"}, {"a", "b"}, {}, {"c"}, {"c", "a"}}[i%6]
		m := a.say(fmt.Sprint(i), rooms...)
		if i%6 != 4 {
			want = append(want, fmt.Sprint(i))
		}
		if i == 14 {
			mid = m.Position
		}
	}
	ab := []string{"a", "b"}
	for _, limit := range []int{1, 2, 7, 1000} {
		b.wantRead(start, limit, ab, want...)
	}
	b.wantRead(mid, 3, ab, want[slices.Index(want, "15"):]...)
	b.wantRead(start, 4, []string{"c", "none"}, "3", "4", "5", "9", "10", "11", "15", "16", "17", "21", "22", "23", "27", "28", "29")
	b.wantRead(start, 4, nil, "3", "9", "15", "21", "27")
	list, _, err := b.Read(x.ctx, ab, start, 1)
	if err != nil || len(list) != 1 || string(list[0].Body) != "0" || list[0].Time.IsZero() {
		t.Errorf("Read = %+v, %v", list, err)
	}
	end := b.listen()
	list, upTo, err := b.Read(x.ctx, ab, end, 10)
	if err != nil || len(list) != 0 || upTo < end {
		t.Errorf("Read at the end = %v, %d, %v", list, upTo, err)
	}
}

// testLineTrim: what is older than the window is not kept, and reading it is an
// error rather than a hole.
func testLineTrim(t *testing.T, x *ensemble) {
	m := &hub.Memory{Window: time.Second, MaxBytes: 1 << 20}
	a := x.node().open("/", m)
	b := x.node().open("/", m)
	start := a.listen()
	first := a.say("first", "r")
	if floor := a.State().Floor; floor > first.Position {
		t.Errorf("the floor is %d, above %d", floor, first.Position)
	}
	n := 0
	eventually(t, "the log to be trimmed", func() bool {
		n++
		a.say(fmt.Sprint(n), "r")
		_, _, err := b.Read(x.ctx, []string{"r"}, start, 1000)
		if err != nil && !errors.Is(err, hub.ErrTrimmed) {
			t.Fatalf("Read: %v", err)
		}
		return errors.Is(err, hub.ErrTrimmed)
	})
	last := a.say("last", "r")
	if list, _, err := b.Read(x.ctx, []string{"r"}, last.Position-1, 10); err != nil || len(list) != 1 {
		t.Errorf("the last: %v, %v", list, err)
	}
	b.listen()
	if floor := b.State().Floor; floor <= start || floor > last.Position {
		t.Errorf("the floor is %d; trimmed after %d, the last is %d", floor, start, last.Position)
	}
	eventually(t, "the id to be forgotten", func() bool {
		m := &hub.SharedMessage{Publisher: "p", ID: "1", Rooms: []string{"r"}, Body: []byte("x")}
		a.write(m)
		return !m.Repeated && m.Position > last.Position
	})
}
