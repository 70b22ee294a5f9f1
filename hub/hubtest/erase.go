package hubtest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

func testErase(_ *testing.T, f *fixture) {
	f.publish(2, in("a"), in("b"))
	f.publish(2, in("a"))
	f.publish(1)
	f.commit(&hub.Batch{Erase: []hub.Erasure{
		{Room: "a", Position: 2},
		{Room: "b", Position: 3},    // not in that room
		{Room: "a", Position: 5},    // in none
		{Room: "a", Position: 77},   // not there
		{Room: "none", Position: 1}, // not its
	}})
	f.wantHistory("a", all("a"), 1, 3, 4)
	f.wantHistory("b", all("b"), 1)
	f.wantTape(0, 10, 1, 3, 4, 5)
	f.commit(&hub.Batch{Erase: []hub.Erasure{{Room: "a", Position: 2}, {Room: "a", Position: 1}}})
	f.wantHistory("a", all("a"), 3, 4)
	f.wantHistory("b", all("b"))

	// What the history's limit has dropped is on the tape yet.
	f.publish(30, in("c", hub.HistoryLimit{Count: 1}))
	f.commit(&hub.Batch{Erase: []hub.Erasure{{Room: "c", Position: 6}}})
	f.wantTape(3, 3, 4, 5, 7)

	// Erased messages do not count.
	f.publish(3, in("d", hub.HistoryLimit{Count: 3}))
	f.commit(&hub.Batch{Erase: []hub.Erasure{{Room: "d", Position: f.next - 1}}})
	f.publish(1, in("d", hub.HistoryLimit{Count: 3}))
	f.wantHistory("d", all("d"), f.next-3, f.next-1, f.next)

	// Trimmed from the tape, it is in the histories yet.
	f.publish(1, in("e"), in("f"))
	f.commit(&hub.Batch{Trim: f.next})
	f.commit(&hub.Batch{Erase: []hub.Erasure{{Room: "e", Position: f.next}}})
	f.wantHistory("e", all("e"))
	f.wantHistory("f", all("f"))
}

func testEraseRoom(_ *testing.T, f *fixture) {
	f.publish(40, in("a", hub.HistoryLimit{Count: 2}))
	f.publish(1, in("a"), in("b"))
	f.publish(2, in("b"))
	f.publish(1)
	f.commit(&hub.Batch{Erase: []hub.Erasure{{Room: "a"}}})
	f.wantHistory("a", all("a"))
	f.wantHistory("b", all("b"), 41, 42, 43)
	f.wantTape(0, 100, 41, 42, 43, 44)
	f.publish(1, in("a"))
	f.wantHistory("a", all("a"), 45)
	f.wantHistory("a", hub.HistoryQuery{Before: 45, Limit: 10})
}

func testBatchOrder(_ *testing.T, f *fixture) {
	f.commit(&hub.Batch{
		Messages: []hub.NewMessage{f.message(in("a")), f.message(in("a")), f.message(in("b")), f.message(in("b")), f.message(in("a"))},
		Erase:    []hub.Erasure{{Room: "a", Position: 2}, {Room: "b"}},
		Trim:     1,
	})
	f.wantTape(1, 10, 5)
	f.wantHistory("a", all("a"), 1, 5)
	f.wantHistory("b", all("b"))
}

func testSessions(t *testing.T, f *fixture) {
	want := make(map[string]string)
	put := func(id, body string) {
		want[id] = body
		f.commit(&hub.Batch{Sessions: []hub.StoredSession{{ID: id, Body: []byte(body)}}})
	}
	for i := range 600 {
		put(fmt.Sprint("s", i), fmt.Sprint(i))
	}
	put("s1", "again")
	put("s2", "")
	delete(want, "s3")
	delete(want, "s4")
	f.commit(&hub.Batch{Sessions: []hub.StoredSession{
		{ID: "s3"}, {ID: "never"}, {ID: "s4", Body: []byte("x")}, {ID: "s4"}, {ID: "s5"}, {ID: "s5", Body: []byte("back")},
	}})
	want["s5"] = "back"
	got := make(map[string]string)
	for s, err := range f.log.Sessions() {
		if err != nil {
			t.Fatal(err)
		}
		if s.Body == nil {
			t.Errorf("session %q has no body", s.ID)
		}
		if _, twice := got[s.ID]; twice {
			t.Errorf("session %q twice", s.ID)
		}
		got[s.ID] = string(s.Body)
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d sessions, want %d, or others", len(got), len(want))
	}
	for s := range f.log.Sessions() { // a break holds nothing up
		f.commit(&hub.Batch{Sessions: []hub.StoredSession{{ID: s.ID}}})
		break
	}
}

func testCopies(t *testing.T, f *fixture) {
	body, session := []byte("body"), []byte("session")
	m := f.message(in("a"))
	m.Body = body
	f.commit(&hub.Batch{Messages: []hub.NewMessage{m}, Sessions: []hub.StoredSession{{ID: "s", Body: session}}})
	clear(body)
	clear(session)
	for range 2 {
		tape, err := f.log.Tape(0, 1)
		if err != nil || len(tape) != 1 || string(tape[0].Body) != "body" {
			t.Fatalf("tape: %v, %v", tape, err)
		}
		clear(tape[0].Body)
		page, err := f.log.History("a", all("a"))
		if err != nil || len(page) != 1 || string(page[0].Body) != "body" {
			t.Fatalf("history: %v, %v", page, err)
		}
		clear(page[0].Body)
		for s, err := range f.log.Sessions() {
			if err != nil || string(s.Body) != "session" {
				t.Fatalf("session: %q, %v", s.Body, err)
			}
			clear(s.Body)
		}
	}
}

// wantSessions compares the private ids of the sessions that are kept.
func (f *fixture) wantSessions(want ...string) {
	f.t.Helper()
	var ids []string
	for s, err := range f.log.Sessions() {
		if err != nil {
			f.t.Fatal(err)
		}
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	if !slices.Equal(ids, want) {
		f.t.Errorf("sessions %q, want %q", ids, want)
	}
}

func testReopen(t *testing.T, f *fixture) {
	if f.reopenStore == nil {
		t.Skip("nothing outlives this store")
	}
	limit := hub.HistoryLimit{Count: 4, Age: time.Hour}
	for i := range 40 {
		f.commit(&hub.Batch{
			Sync:     i%3 == 0,
			Messages: []hub.NewMessage{f.message(in("a", limit))},
			Sessions: []hub.StoredSession{{ID: fmt.Sprint(i % 7), Body: []byte{byte(i)}}},
		})
	}
	f.commit(&hub.Batch{Trim: 36, Sessions: []hub.StoredSession{{ID: "0"}}, Erase: []hub.Erasure{{Room: "a", Position: 39}}})
	before := f.log.State()
	for range 3 {
		f.reopen()
		s := f.log.State()
		if s.Epoch != before.Epoch {
			t.Errorf("epoch %q, want %q: nothing was lost", s.Epoch, before.Epoch)
		}
		if s.Last != f.next || s.Floor > before.Floor {
			t.Errorf("Last = %d, Floor = %d; want %d, %d at most", s.Last, s.Floor, f.next, before.Floor)
		}
		before = s
		want := []hub.Position{37, 38, 40}
		for p := hub.Position(41); p <= f.next; p++ {
			want = append(want, p)
		}
		f.wantTape(36, 100, want...)
		f.wantHistory("a", hub.HistoryQuery{Limit: 100}, want[max(0, len(want)-4):]...)
		f.wantSessions("1", "2", "3", "4", "5", "6")
		f.publish(2, in("a", limit))
	}
	if l := f.open("/other"); l.State().Last != 0 {
		t.Errorf("a new namespace begins at %d", l.State().Last)
	}
}
