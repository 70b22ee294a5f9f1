package hub_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tutti-rt/tutti/hub"
)

// TestFormEncodesOnce: however many members, a message is encoded once per
// form.
func TestFormEncodesOnce(t *testing.T) {
	var encoded [3]int
	var forms [3]*hub.Form[*int]
	for i := range forms {
		forms[i] = hub.NewForm(func(*hub.Message) *int { encoded[i]++; return &encoded[i] })
	}
	sp := hub.New(hub.Config{}).Space("/")
	for i := range 999 {
		enter(t, sp, memberFunc(func(m *hub.Message) {
			if got := forms[i%3].Of(m); got != &encoded[i%3] {
				t.Errorf("form %d gave another's value", i%3)
			}
		}))
	}
	for n := range 5 {
		publish(t, sp, hub.Address{})
		if want := [3]int{n + 1, n + 1, n + 1}; encoded != want {
			t.Fatalf("after %d messages the forms have encoded %v, want %v", n+1, encoded, want)
		}
	}
}

// TestOldEncodingsAreLetGo: a tape keeps the encodings of its last messages, and
// who asks for an older one's has it encoded again.
func TestOldEncodingsAreLetGo(t *testing.T) {
	made := 0
	form := hub.NewForm(func(*hub.Message) *int { made++; return new(int) })
	sp := remembering(t, hub.NewMemoryStore(), hub.Memory{}).Space("/")
	m := message(t, "first")
	if _, err := sp.Publish(t.Context(), m, hub.Address{}); err != nil {
		t.Fatal(err)
	}
	first := form.Of(m)
	for range hub.EncodedRecently - 1 {
		say(t, sp, "more")
	}
	if form.Of(m) != first || made != 1 {
		t.Errorf("encoded %d times within %d messages", made, hub.EncodedRecently)
	}
	say(t, sp, "one too many")
	if again := form.Of(m); again == first || made != 2 {
		t.Errorf("encoded %d times after that", made)
	}
}

func TestFormsOfOneTypeAreApart(t *testing.T) {
	upper := hub.NewForm(func(m *hub.Message) string { return "upper " + m.Event })
	lower := hub.NewForm(func(m *hub.Message) string { return "lower " + m.Event })
	a, b := &hub.Message{Event: "a"}, &hub.Message{Event: "b"}
	for range 2 {
		if got := upper.Of(a) + lower.Of(a) + upper.Of(b); got != "upper alower aupper b" {
			t.Errorf("forms gave %q", got)
		}
	}
}

// TestFormFromManyGoroutines: a message that was delivered may be asked for its
// forms from anywhere, and everyone gets the same value.
func TestFormFromManyGoroutines(t *testing.T) {
	const goroutines, forms = 8, 4
	for range 200 {
		var (
			m     hub.Message
			all   [forms]*hub.Form[*int]
			got   [goroutines][forms]*int
			start = make(chan struct{})
			made  atomic.Int32
			wg    sync.WaitGroup
		)
		for i := range all {
			all[i] = hub.NewForm(func(*hub.Message) *int { made.Add(1); return new(int) })
		}
		for g := range goroutines {
			wg.Go(func() {
				<-start
				for i := range forms {
					i = (i + g) % forms
					got[g][i] = all[i].Of(&m)
				}
			})
		}
		close(start)
		wg.Wait()
		for g := range goroutines {
			if got[g] != got[0] {
				t.Fatalf("goroutine %d got other values than goroutine 0", g)
			}
		}
		for i, f := range all {
			if before := made.Load(); f.Of(&m) != got[0][i] || made.Load() != before {
				t.Fatal("a kept form was encoded again")
			}
		}
	}
}
