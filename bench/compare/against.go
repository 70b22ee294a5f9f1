package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// noise is how far ratios may be apart, as a factor beyond what the rounds of
// either record were, and still be the same.
const noise = 1.1

// A spread is a ratio's median, and how far the rounds were apart.
type spread struct {
	median, low, high float64
	rounds            int
}

// spreadOf is that of the ratios within each round.
func spreadOf(a, b map[int]float64) spread {
	ratios := make(map[int]float64)
	for round, v := range a {
		if w := b[round]; w > 0 {
			ratios[round] = v / w
		}
	}
	s := spread{median: median(ratios), rounds: len(ratios)}
	if all := slices.Sorted(maps.Values(ratios)); len(all) > 0 {
		s.low, s.high = all[0], all[len(all)-1]
	}
	return s
}

func (s spread) String() string {
	switch s.rounds {
	case 0:
		return "–"
	case 1:
		return fmt.Sprintf("%.2f", s.median)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median, s.low, s.high)
}

// verdict says whether two spreads are the same within noise.
func (s spread) verdict(before spread) string {
	switch {
	case s.rounds == 0 || before.rounds == 0:
		return "?"
	case s.low <= before.high*noise && before.low <= s.high*noise:
		return "same"
	case s.median > before.median:
		return "HIGHER"
	}
	return "LOWER"
}

// against compares the ratios of r with those of an earlier record.
func (r *record) against(before *record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Before: %s, revision %s, %s. Servers waited for their core for %.0f %% of their time; now %.0f %%.\n\n",
		before.Started.Format("2006-01-02 15:04"), before.Revision, before.Machine, before.waited(), r.waited())
	b.WriteString("| ratio, with its rounds | before | now | now : before | |\n|---|---|---|---|---|\n")
	apart := 0
	add := func(row row, a, b2 string) {
		then, now := spreadOf(before.values(row, a), before.values(row, b2)), spreadOf(r.values(row, a), r.values(row, b2))
		change, verdict := math.NaN(), now.verdict(then)
		if then.rounds > 0 && now.rounds > 0 {
			change = now.median / then.median
		}
		if verdict == "HIGHER" || verdict == "LOWER" {
			apart++
		}
		fmt.Fprintf(&b, "| %s | %v | %v | %s | %s |\n", row.name, then, now, figure(change, 2), verdict)
	}
	for _, row := range rows() {
		if row.ratio > 0 {
			add(row, "tutti", "node")
		}
	}
	for _, row := range durableRows() {
		add(row, "tutti-durable", "tutti")
	}
	fmt.Fprintf(&b, "\n%d ratios are not the same within noise: their rounds do not overlap, by more than %.0f %%.\n", apart, 100*(noise-1))
	return b.String()
}

// waited is for how many percent of their time servers had to wait for their
// core.
func (r *record) waited() float64 {
	waited := make(map[int]float64)
	for i, m := range r.Measurements {
		if m.Result.Server != nil {
			waited[i] = 100 * m.Result.Server.Waited
		}
	}
	return median(waited)
}
