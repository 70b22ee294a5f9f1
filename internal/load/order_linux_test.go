package load

import "testing"

// TestOrder: the first member who gets a message decides its place, and one
// publisher's messages keep theirs.
func TestOrder(t *testing.T) {
	a, b := new(client), new(client)
	var o order
	for _, c := range []*client{a, b, a, b} { // a has 1 and 3, b has 2 and 4
		o.add(c)
	}
	for i, tt := range []struct {
		number, place uint32
		kept          bool
	}{
		{2, 1, true},  // b's first, before a's first: nobody has promised anything
		{1, 2, true},  //
		{2, 1, true},  // somebody else gets it
		{4, 3, true},  // b's second
		{1, 2, true},  //
		{3, 4, true},  // a's second
		{9, 0, false}, // nobody has published that
		{0, 0, false},
	} {
		if place, kept := o.place(tt.number); place != tt.place || kept != tt.kept {
			t.Errorf("look %d: message %d has place %d, kept %v; want %d, %v", i, tt.number, place, kept, tt.place, tt.kept)
		}
	}
	var swapped order
	swapped.add(a)
	swapped.add(a)
	if _, kept := swapped.place(2); !kept {
		t.Error("the first to come is out of order")
	}
	if _, kept := swapped.place(1); kept {
		t.Error("a publisher's messages are swapped, and it is not noticed")
	}
}

// TestRecent: what comes twice is told from what comes late.
func TestRecent(t *testing.T) {
	r, next := ^recent(0), uint32(5)
	for i, tt := range []struct {
		number      uint32
		late, again bool
	}{
		{4, true, true}, // of before
		{5, false, false},
		{5, true, true},
		{8, false, false},
		{7, true, false},
		{6, true, false},
		{7, true, true},
		{8, true, true},
		{200, false, false},
		{199, true, false},
		{8, true, false}, // too long ago
	} {
		if late, again := r.note(&next, tt.number); late != tt.late || again != tt.again {
			t.Errorf("look %d: %d is late %v, again %v; want %v, %v", i, tt.number, late, again, tt.late, tt.again)
		}
	}
}
