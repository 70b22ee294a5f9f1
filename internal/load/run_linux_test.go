package load

import (
	"math"
	"os"
	"testing"
	"time"
)

func TestScheduleIsOpenLoop(t *testing.T) {
	s := schedule{start: 100, end: 1000, interval: 100}
	var due []int64
	emit := func(at int64) { due = append(due, at) }
	if next := s.each(99, emit); next != 100 || len(due) != 0 {
		t.Errorf("before the start: next %d, %v due", next, due)
	}
	if next := s.each(350, emit); next != 400 || len(due) != 3 {
		t.Errorf("whoever is late does what was due, with its times: next %d, %v", next, due)
	}
	if next := s.each(5000, emit); next != math.MaxInt64 || len(due) != 9 || due[8] != 900 {
		t.Errorf("nothing is due at the end: next %d, %v", next, due)
	}
	burst := schedule{end: math.MaxInt64, interval: 1}
	if next := burst.each(1e9, func(int64) {}); next != 1e9 || burst.sent != maxBurst {
		t.Errorf("a burst of %d, next %d", burst.sent, next)
	}
}

// TestHunt finds the limit of servers that are good up to a rate, and forgives
// a failure that was chance.
func TestHunt(t *testing.T) {
	for _, limit := range []float64{0.7, 7, 10, 333, 19_000, 1e9} {
		h := hunt{rate: 10, highest: 20_000}
		steps := 1
		for h.next(h.rate <= limit && steps%3 != 0, h.rate < limit/8, false) {
			if steps++; steps > 60 {
				t.Fatalf("no end with limit %v: %+v", limit, h)
			}
		}
		want := min(limit, h.highest)
		if h.good > want || h.good < want/(fineness*1.01) {
			t.Errorf("limit %v: found %v", limit, h.good)
		}
	}
	h := hunt{rate: 10, highest: 20_000}
	for h.next(false, false, false) {
	}
	if h.good != 0 {
		t.Errorf("a server that is never good is good at %v", h.good)
	}
}

func TestJudge(t *testing.T) {
	for name, tt := range map[string]struct {
		own          Usage
		lag, latency Summary
		blamed       bool
	}{
		"idle":                  {Usage{Cores: .1}, Summary{P99: .1}, Summary{P99: 10}, false},
		"busy":                  {Usage{Cores: .95}, Summary{P99: .1}, Summary{P99: 10}, true},
		"late":                  {Usage{Cores: .1}, Summary{P99: 9}, Summary{P99: 10}, true},
		"late, but not by much": {Usage{Cores: .1}, Summary{P99: 9}, Summary{P99: 100}, false},
	} {
		if got := judge(tt.own, tt.lag, tt.latency); (got != "") != tt.blamed {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestReadProcess(t *testing.T) {
	before, err := readProcess(os.Getpid())
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	if before.rss <= 0 {
		t.Errorf("a process without memory: %+v", before)
	}
	u := usage(1, reading{cpu: time.Second}, reading{cpu: 3 * time.Second, waited: 2 * time.Second}, 4*time.Second, 1000)
	if u.Cores != 0.5 || u.CPUPerOperation != 2000 || u.Waited != 0.5 {
		t.Errorf("usage is %+v", u)
	}
	if _, err := readProcess(1 << 30); err == nil {
		t.Error("a process that isn't there is read")
	}
}
