package hub_test

import (
	"fmt"
	"testing"

	"github.com/tutti-rt/tutti/hub"
)

// counter is the cheapest member there is, so that the hub's own cost shows.
type counter struct{ n int }

func (c *counter) Deliver(m *hub.Message) {
	if lengthForm.Of(m) >= 0 {
		c.n++
	}
}

var lengthForm = hub.NewForm(func(m *hub.Message) int { return len(m.Event) })

func crowd(tb testing.TB, members int) *hub.Space {
	sp := hub.New(hub.Config{}).Space("/")
	for i := range members {
		enter(tb, sp, &counter{}, "all", fmt.Sprint("self:", i), []string{"odd", "even"}[i%2])
	}
	return sp
}

// TestPublishAllocatesNothingPerMember: what a publish allocates does not
// depend on how many it reaches, by whatever address.
func TestPublishAllocatesNothingPerMember(t *testing.T) {
	few, many := crowd(t, 2), crowd(t, 100_000)
	for _, to := range []hub.Address{
		{},
		{Rooms: []string{"all"}},
		{Rooms: []string{"odd", "even", "all"}},
		{Rooms: []string{"all"}, Except: []string{"odd"}},
	} {
		allocs := func(sp *hub.Space) float64 {
			return testing.AllocsPerRun(5, func() {
				if _, err := sp.Publish(t.Context(), &hub.Message{Event: "e"}, to); err != nil {
					t.Fatal(err)
				}
			})
		}
		if a, b := allocs(few), allocs(many); a != b || b > 12 {
			t.Errorf("%+v: %v allocations for 2 members and %v for 100,000; want the same, and at most 12", to, a, b)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, members := range []int{1, 1000, 100_000} {
		for name, to := range map[string]hub.Address{
			"everyone": {},
			"room":     {Rooms: []string{"all"}},
			"overlap":  {Rooms: []string{"odd", "even", "all"}, Except: []string{"self:0"}},
		} {
			b.Run(fmt.Sprintf("members=%d/%s", members, name), func(b *testing.B) {
				sp := crowd(b, members)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := sp.Publish(b.Context(), &hub.Message{Event: "e"}, to); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(members), "ns/member")
			})
		}
	}
}

// BenchmarkPublishParallel is many publishers at once, whom the order hands
// on in batches.
func BenchmarkPublishParallel(b *testing.B) {
	sp := crowd(b, 10)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := sp.Publish(b.Context(), &hub.Message{Event: "e"}, hub.Address{}); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkJoinLeave(b *testing.B) {
	sp := crowd(b, 100_000)
	seat := enter(b, sp, &counter{})
	b.ReportAllocs()
	for b.Loop() {
		if err := seat.Join("all"); err != nil {
			b.Fatal(err)
		}
		seat.Leave("all")
	}
}
