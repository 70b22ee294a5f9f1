package metrics_test

import (
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/metrics"
)

// TestRead: a reading says what the page for Prometheus says, and the difference
// of two what happened between them.
func TestRead(t *testing.T) {
	m := metrics.New()
	trace := m.Hub()
	message := &hub.Message{Event: "x"}
	trace.Took(message, 50*time.Microsecond)
	before := m.Read()
	for range 90 {
		trace.Published(message, 3)
		trace.Took(message, 300*time.Microsecond)
	}
	for range 10 {
		trace.Took(message, 2*time.Second)
	}
	trace.Took(message, time.Minute)
	m.Door("events").Opened()
	m.Engine().LimitHit("MaxQueue")
	m.Engine().LimitHit("what nobody knows")
	r := m.Read()
	if r.Published != 90 || r.Deliveries != 270 || r.Streams != 1 || r.Sessions != 0 {
		t.Errorf("got %+v", r)
	}
	if len(r.Limits) != 2 || r.Limits["engine: MaxQueue"] != 1 || r.Limits["engine: other"] != 1 {
		t.Errorf("limits %v", r.Limits)
	}
	since := r.Publish.Since(before.Publish)
	if since.Count != 101 {
		t.Errorf("%d times, want 101", since.Count)
	}
	for q, want := range map[float64][2]time.Duration{
		.5:  {250 * time.Microsecond, 500 * time.Microsecond},
		.95: {time.Second, 2500 * time.Millisecond},
		1:   {10 * time.Second, 10 * time.Second}, // beyond the last bound
	} {
		if got := since.Quantile(q); got < want[0] || got > want[1] {
			t.Errorf("quantile %v is %v, want %v to %v", q, got, want[0], want[1])
		}
	}
	if got := (metrics.Times{}).Quantile(.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
}
