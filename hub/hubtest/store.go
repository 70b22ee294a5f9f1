package hubtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// Opener opens a fresh store for one test. reopen closes it and opens it as it
// was left; it is nil if nothing outlives the store. The opener sees to it that
// whatever is open at the end of the test is closed.
type Opener func(t *testing.T) (store hub.Store, reopen func() hub.Store)

// TestStore runs the suite.
func TestStore(t *testing.T, open Opener) {
	tests := []struct {
		name string
		test func(*testing.T, *fixture)
	}{
		{"a fresh log is empty", testFresh},
		{"the tape keeps order", testTape},
		{"positions only grow", testPositions},
		{"a trimmed tape says so", testTrim},
		{"histories are paged both ways", testPages},
		{"histories honour count", testCount},
		{"histories honour bytes", testBytes},
		{"histories honour age", testAge},
		{"the last message's limits hold", testLastLimit},
		{"a message may be in several histories", testSeveral},
		{"rooms of similar names are apart", testNames},
		{"namespaces are apart", testNamespaces},
		{"erasing a message", testErase},
		{"erasing a room", testEraseRoom},
		{"a batch is applied in the order of its fields", testBatchOrder},
		{"sessions", testSessions},
		{"bodies are copied", testCopies},
		{"readers and a writer at once", testConcurrent},
		{"a closed store refuses", testClosed},
		{"a reopened store is as it was", testReopen},
		{"any history of commits", testModel},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fixture{t: t}
			f.store, f.reopenStore = open(t)
			f.log = f.open("/")
			tt.test(t, f)
		})
	}
}

// A fixture is a store with a log and short words for what tests do with it.
type fixture struct {
	t           *testing.T
	store       hub.Store
	reopenStore func() hub.Store
	log         hub.Log
	next        hub.Position
}

func (f *fixture) open(namespace string) hub.Log {
	f.t.Helper()
	l, err := f.store.Open(namespace)
	if err != nil {
		f.t.Fatalf("Open(%q): %v", namespace, err)
	}
	return l
}

func (f *fixture) reopen() {
	f.t.Helper()
	f.store = f.reopenStore()
	f.log = f.open("/")
}

func (f *fixture) commit(b *hub.Batch) {
	f.t.Helper()
	if err := f.log.Commit(b); err != nil {
		f.t.Fatalf("Commit: %v", err)
	}
}

// message makes the next message; its body tells its position.
func (f *fixture) message(histories ...hub.RoomHistory) hub.NewMessage {
	f.next++
	return hub.NewMessage{Position: f.next, Time: time.Now(), Body: fmt.Appendf(nil, "m%d", f.next), Histories: histories}
}

// publish commits n messages one by one.
func (f *fixture) publish(n int, histories ...hub.RoomHistory) {
	f.t.Helper()
	for range n {
		f.commit(&hub.Batch{Messages: []hub.NewMessage{f.message(histories...)}})
	}
}

func (f *fixture) wantTape(after hub.Position, limit int, want ...hub.Position) {
	f.t.Helper()
	list, err := f.log.Tape(after, limit)
	if err != nil {
		f.t.Fatalf("Tape(%d, %d): %v", after, limit, err)
	}
	if got := positions(list); !slices.Equal(got, want) {
		f.t.Errorf("Tape(%d, %d) = %v, want %v", after, limit, got, want)
	}
}

func (f *fixture) wantHistory(room string, q hub.HistoryQuery, want ...hub.Position) {
	f.t.Helper()
	list, err := f.log.History(room, q)
	if err != nil {
		f.t.Fatalf("History(%q, %+v): %v", room, q, err)
	}
	if got := positions(list); !slices.Equal(got, want) {
		f.t.Errorf("History(%q, %+v) = %v, want %v", room, q, got, want)
	}
}

func positions(list []hub.Stored) []hub.Position {
	var out []hub.Position
	for _, m := range list {
		out = append(out, m.Position)
	}
	return out
}

func in(room string, limit ...hub.HistoryLimit) hub.RoomHistory {
	h := hub.RoomHistory{Room: room}
	if len(limit) > 0 {
		h.Limit = limit[0]
	}
	return h
}

func all(room string) hub.HistoryQuery { return hub.HistoryQuery{Limit: 1 << 20} }

func testFresh(t *testing.T, f *fixture) {
	s := f.log.State()
	if s.Epoch == "" || s.Last != 0 || s.Floor != 0 {
		t.Errorf("state %+v, want an epoch, nothing else", s)
	}
	f.wantTape(0, 10)
	f.wantHistory("none", hub.HistoryQuery{Limit: 10})
	for s, err := range f.log.Sessions() {
		t.Errorf("session %+v, %v", s, err)
	}
	f.commit(&hub.Batch{})
	f.commit(&hub.Batch{Sync: true})
	if _, err := f.store.Open("/"); err == nil {
		t.Error("the namespace was opened twice")
	}
}

func testTape(t *testing.T, f *fixture) {
	f.publish(3)
	f.commit(&hub.Batch{Sync: true, Messages: []hub.NewMessage{f.message(), f.message(), f.message()}})
	f.wantTape(0, 100, 1, 2, 3, 4, 5, 6)
	f.wantTape(0, 4, 1, 2, 3, 4)
	f.wantTape(4, 100, 5, 6)
	f.wantTape(6, 100)
	f.wantTape(7, 100)
	f.wantTape(0, 0)
	list, err := f.log.Tape(1, 1)
	if err != nil || len(list) != 1 || string(list[0].Body) != "m2" {
		t.Errorf("Tape(1, 1) = %+v, %v", list, err)
	}
	when := time.Now().Add(-time.Hour)
	m := f.message()
	m.Time = when
	f.commit(&hub.Batch{Messages: []hub.NewMessage{m}})
	if list, err = f.log.Tape(6, 1); err != nil || len(list) != 1 || !list[0].Time.Equal(when) {
		t.Errorf("Tape(6, 1) = %+v, %v; want the time %v", list, err, when)
	}
	if got := f.log.State().Last; got != 7 {
		t.Errorf("Last = %d, want 7", got)
	}
}

func testPositions(t *testing.T, f *fixture) {
	f.next = 99
	f.publish(1)
	f.next = 1 << 40
	f.publish(1)
	f.wantTape(0, 10, 100, 1<<40+1)
	f.next = 100
	bad := &hub.Batch{Messages: []hub.NewMessage{f.message()}}
	if err := f.log.Commit(bad); !errors.Is(err, hub.ErrFailed) {
		t.Errorf("a position again: %v, want ErrFailed", err)
	}
	f.next = 1 << 41
	if err := f.log.Commit(&hub.Batch{Messages: []hub.NewMessage{f.message()}}); !errors.Is(err, hub.ErrFailed) {
		t.Errorf("after a failure: %v, want ErrFailed", err)
	}
	f.wantTape(0, 10, 100, 1<<40+1)
}

func testTrim(t *testing.T, f *fixture) {
	f.publish(5, in("r"))
	f.commit(&hub.Batch{Trim: 2})
	f.wantTape(2, 10, 3, 4, 5)
	for _, p := range []hub.Position{0, 1} {
		if list, err := f.log.Tape(p, 10); !errors.Is(err, hub.ErrTrimmed) {
			t.Errorf("Tape(%d) = %v, %v; want ErrTrimmed", p, positions(list), err)
		}
	}
	if got := f.log.State().Floor; got != 2 {
		t.Errorf("Floor = %d, want 2", got)
	}
	f.commit(&hub.Batch{Trim: 1}) // never back
	f.wantTape(2, 10, 3, 4, 5)
	f.wantHistory("r", all("r"), 1, 2, 3, 4, 5)
	f.commit(&hub.Batch{Messages: []hub.NewMessage{f.message()}, Trim: 5})
	f.wantTape(5, 10, 6)
	f.commit(&hub.Batch{Trim: 6})
	f.wantTape(6, 10)
	f.publish(1)
	f.wantTape(6, 10, 7)
}

func testPages(t *testing.T, f *fixture) {
	for range 5 {
		f.publish(1, in("a"))
		f.publish(1, in("b"))
	}
	f.publish(1)
	// a: 1 3 5 7 9, b: 2 4 6 8 10
	f.wantHistory("a", hub.HistoryQuery{Limit: 2}, 7, 9)
	f.wantHistory("a", hub.HistoryQuery{Limit: 100}, 1, 3, 5, 7, 9)
	f.wantHistory("a", hub.HistoryQuery{Before: 7, Limit: 2}, 3, 5)
	f.wantHistory("a", hub.HistoryQuery{Before: 8, Limit: 2}, 5, 7)
	f.wantHistory("a", hub.HistoryQuery{Before: 1, Limit: 2})
	f.wantHistory("a", hub.HistoryQuery{Before: 1000, Limit: 1}, 9)
	f.wantHistory("a", hub.HistoryQuery{After: 3, Limit: 2}, 5, 7)
	f.wantHistory("a", hub.HistoryQuery{After: 4, Limit: 100}, 5, 7, 9)
	f.wantHistory("a", hub.HistoryQuery{After: 9, Limit: 100})
	f.wantHistory("a", hub.HistoryQuery{After: 1000, Limit: 100})
	f.wantHistory("a", hub.HistoryQuery{})
	if _, err := f.log.History("a", hub.HistoryQuery{Before: 3, After: 1, Limit: 1}); err == nil {
		t.Error("a page both before and after was answered")
	}
}

func testCount(_ *testing.T, f *fixture) {
	three := hub.HistoryLimit{Count: 3}
	for range 100 {
		f.publish(1, in("a", three))
		last := f.next
		want := []hub.Position{last - 2, last - 1, last}
		if last < 3 {
			want = want[3-last:]
		}
		f.wantHistory("a", all("a"), want...)
	}
	f.wantHistory("a", hub.HistoryQuery{Limit: 2}, 99, 100)
	f.wantHistory("a", hub.HistoryQuery{Before: 99, Limit: 10}, 98)
	f.wantHistory("a", hub.HistoryQuery{Before: 98, Limit: 10})
	f.wantHistory("a", hub.HistoryQuery{After: 1, Limit: 2}, 98, 99)
	var many []hub.NewMessage
	for range 50 {
		many = append(many, f.message(in("a", three), in("b", three)))
	}
	f.commit(&hub.Batch{Messages: many})
	f.wantHistory("a", all("a"), 148, 149, 150)
	f.wantHistory("b", all("b"), 148, 149, 150)
	f.wantTape(148, 10, 149, 150)
}

func testBytes(_ *testing.T, f *fixture) {
	limit := hub.HistoryLimit{Bytes: 100}
	write := func(size int) {
		m := f.message(in("a", limit))
		m.Body = []byte(strings.Repeat("x", size))
		f.commit(&hub.Batch{Messages: []hub.NewMessage{m}})
	}
	for range 60 {
		write(40)
	}
	f.wantHistory("a", all("a"), 59, 60)
	write(60)
	f.wantHistory("a", all("a"), 60, 61)
	write(0)
	f.wantHistory("a", all("a"), 60, 61, 62)
	write(101) // alone too large
	f.wantHistory("a", all("a"))
	write(1)
	f.wantHistory("a", all("a"), 64)
}

func testAge(_ *testing.T, f *fixture) {
	limit := hub.HistoryLimit{Age: time.Hour}
	write := func(age time.Duration) {
		m := f.message(in("a", limit))
		m.Time = time.Now().Add(-age)
		f.commit(&hub.Batch{Messages: []hub.NewMessage{m}})
	}
	for i := range 40 {
		write(2*time.Hour - time.Duration(i)*time.Second)
	}
	f.wantHistory("a", all("a"))
	f.wantHistory("a", hub.HistoryQuery{After: 1, Limit: 10})
	write(59 * time.Minute)
	write(time.Minute)
	f.wantHistory("a", all("a"), 41, 42)
	f.wantHistory("a", hub.HistoryQuery{After: 1, Limit: 10}, 41, 42)
	f.wantHistory("a", hub.HistoryQuery{Before: 42, Limit: 10}, 41)
	f.wantTape(39, 10, 40, 41, 42)
}

func testLastLimit(_ *testing.T, f *fixture) {
	f.publish(40, in("a", hub.HistoryLimit{Count: 40}))
	f.publish(1, in("a", hub.HistoryLimit{Count: 2}))
	f.wantHistory("a", all("a"), 40, 41)
	f.publish(30, in("a", hub.HistoryLimit{Count: 2}))
	f.publish(3, in("a"))
	f.commit(&hub.Batch{Trim: f.next})
	list, err := f.log.History("a", all("a"))
	if err != nil || len(list) < 5 {
		f.t.Errorf("without a limit there are %v, %v; want 5 messages at least", positions(list), err)
	}
}

func testSeveral(t *testing.T, f *fixture) {
	f.publish(1, in("a", hub.HistoryLimit{Count: 1}), in("b"), in("a", hub.HistoryLimit{Count: 1}))
	f.publish(1, in("a", hub.HistoryLimit{Count: 1}))
	f.wantHistory("a", all("a"), 2)
	f.wantHistory("b", all("b"), 1)
	list, err := f.log.History("b", all("b"))
	if err != nil || len(list) != 1 || string(list[0].Body) != "m1" {
		t.Errorf("history of b: %+v, %v", list, err)
	}
}

func testNames(_ *testing.T, f *fixture) {
	names := []string{"", "a", "a\x00", "a\x00\x00\x00\x00\x00\x00\x00\x01", "\x00", "\xff", "\xff\xff", "aa", "é", strings.Repeat("a", 300)}
	for i, n := range names {
		f.publish(1, in(n, hub.HistoryLimit{Count: 2}))
		if f.next != hub.Position(i+1) {
			f.t.Fatal("positions")
		}
	}
	for i, n := range names {
		f.wantHistory(n, all(n), hub.Position(i+1))
	}
	f.commit(&hub.Batch{Erase: []hub.Erasure{{Room: "a"}, {Room: "\xff"}}})
	for i, n := range names {
		if n == "a" || n == "\xff" {
			f.wantHistory(n, all(n))
			continue
		}
		f.wantHistory(n, all(n), hub.Position(i+1))
	}
}

func testNamespaces(t *testing.T, f *fixture) {
	var logs []hub.Log
	for i, name := range []string{"", "/a", "/ab", "/a\x00"} {
		l := f.open(name)
		logs = append(logs, l)
		for p := range i + 1 {
			b := &hub.Batch{
				Messages: []hub.NewMessage{{Position: hub.Position(p + 1), Time: time.Now(), Body: []byte(name), Histories: []hub.RoomHistory{in("r")}}},
				Sessions: []hub.StoredSession{{ID: fmt.Sprint(p), Body: []byte(name)}},
			}
			if err := l.Commit(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := logs[3].Commit(&hub.Batch{Erase: []hub.Erasure{{Room: "r"}}, Trim: 4}); err != nil {
		t.Fatal(err)
	}
	for i, l := range logs[:3] {
		tape, err1 := l.Tape(0, 100)
		page, err2 := l.History("r", all("r"))
		n := 0
		for _, err := range l.Sessions() {
			if err != nil {
				t.Error(err)
			}
			n++
		}
		if err1 != nil || err2 != nil || len(tape) != i+1 || len(page) != i+1 || n != i+1 {
			t.Errorf("log %d has %d messages (%v), %d in the history (%v), %d sessions", i, len(tape), err1, len(page), err2, n)
		}
	}
}

func testClosed(t *testing.T, f *fixture) {
	f.publish(1)
	if err := f.store.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := f.store.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	if err := f.log.Commit(&hub.Batch{Messages: []hub.NewMessage{f.message()}}); !errors.Is(err, hub.ErrFailed) {
		t.Errorf("Commit after Close: %v, want ErrFailed", err)
	}
	if _, err := f.store.Open("/other"); err == nil {
		t.Error("Open after Close succeeded")
	}
}

// testConcurrent reads while one goroutine writes: what is read is a prefix
// without holes, in order, and never less than what was committed before.
func testConcurrent(t *testing.T, f *fixture) {
	const n = 300
	limit := hub.HistoryLimit{Count: 20}
	var wg sync.WaitGroup
	done := make(chan struct{})
	read := func(what string, f func() ([]hub.Stored, error)) {
		if err := readUntil(done, f); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	wg.Go(func() {
		read("tape", func() ([]hub.Stored, error) { return f.log.Tape(f.log.State().Floor, n) })
	})
	wg.Go(func() {
		read("page", func() ([]hub.Stored, error) { return f.log.History("a", hub.HistoryQuery{Limit: 50}) })
	})
	wg.Go(func() {
		read("page after", func() ([]hub.Stored, error) {
			return f.log.History("a", hub.HistoryQuery{After: f.log.State().Floor + 1, Limit: 50})
		})
	})
	for i := range n {
		b := &hub.Batch{Messages: []hub.NewMessage{f.message(in("a", limit))}}
		if i > 50 && i%10 == 0 {
			b.Trim = f.next - 50
		}
		f.commit(b)
		if list, err := f.log.Tape(f.next-1, 10); err != nil || len(list) != 1 {
			t.Fatalf("just committed: %v, %v", positions(list), err)
		}
	}
	close(done)
	wg.Wait()
}

// readUntil reads again and again, and says what was wrong with it.
func readUntil(done chan struct{}, f func() ([]hub.Stored, error)) error {
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		list, err := f()
		if errors.Is(err, hub.ErrTrimmed) {
			continue
		}
		if err != nil {
			return err
		}
		for i := 1; i < len(list); i++ {
			if list[i].Position != list[i-1].Position+1 {
				return fmt.Errorf("%d follows %d", list[i].Position, list[i-1].Position)
			}
		}
	}
	return nil
}
