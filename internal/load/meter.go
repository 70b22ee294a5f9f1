package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// longest is what a meter counts as at most: somebody who waits for two minutes
// has gone.
const longest = 2 * time.Minute

// A meter is a histogram of durations, in microseconds, to three digits.
type meter struct{ h *hdrhistogram.Histogram }

func newMeter() meter {
	return meter{hdrhistogram.New(1, longest.Microseconds(), 3)}
}

func (m meter) record(ns int64) {
	// Within the range, nothing can go wrong.
	_ = m.h.RecordValue(min(max(ns/1000, 1), longest.Microseconds()))
}

func (m meter) at(percentile float64) time.Duration {
	return time.Duration(m.h.ValueAtPercentile(percentile)) * time.Microsecond
}

// summary returns the figures of m.
func (m meter) summary() Summary {
	return Summary{
		Count: m.h.TotalCount(),
		Mean:  round(m.h.Mean() / 1000),
		P50:   milliseconds(m.at(50)),
		P90:   milliseconds(m.at(90)),
		P99:   milliseconds(m.at(99)),
		P999:  milliseconds(m.at(99.9)),
		Max:   milliseconds(time.Duration(m.h.Max()) * time.Microsecond),
	}
}

// curve returns the latency by percentile, denser towards the end: half of what
// is left, in four steps each.
func (m meter) curve() []Point {
	if m.h.TotalCount() == 0 {
		return nil
	}
	var points []Point
	for rest := 100.0; rest*float64(m.h.TotalCount()) >= 100; rest *= 0.8409 { // 2 to the power of -1/4
		points = append(points, Point{Percentile: 100 - rest, Value: milliseconds(m.at(100 - rest))})
	}
	return append(points, Point{Percentile: 100, Value: milliseconds(time.Duration(m.h.Max()) * time.Microsecond)})
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// round keeps three digits behind the point.
func round(v float64) float64 { return float64(int64(v*1000+0.5)) / 1000 }
