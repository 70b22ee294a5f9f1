package hub_test

import (
	"fmt"
	"testing"

	"github.com/tutti-rt/tutti/hub"
)

// BenchmarkPresence joins and leaves a room in which so many are present: what
// that costs must not depend on them.
func BenchmarkPresence(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := hub.New(hub.Config{})
			defer h.Close()
			sp := h.Space("/")
			for i := range n {
				enter(b, sp, &guest{id: fmt.Sprint(i)}, "r")
			}
			w := &guest{id: "w", people: map[string]string{}}
			if _, err := enter(b, sp, w).Watch("r", 1); err != nil {
				b.Fatal(err)
			}
			seat := enter(b, sp, &guest{id: "x"})
			b.ReportAllocs()
			for b.Loop() {
				if err := seat.Join("r"); err != nil {
					b.Fatal(err)
				}
				if page, err := sp.Presence("r", hub.PresenceQuery{Limit: 1}); err != nil || page.Count != n+1 {
					b.Fatal(page.Count, err)
				}
				seat.Leave("r")
			}
		})
	}
}
