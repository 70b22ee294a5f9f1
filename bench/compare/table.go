package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A scenario is what the generator is told to do.
type scenario struct {
	name    string
	args    []string
	servers []string      // that can do it
	once    []string      // of these, in the first round only: their figures are for orientation
	after   string        // at half of Node's most of that case, in the same round
	watch   time.Duration // how long to look at what the server tells of itself
}

// cases returns what is run, in order.
func cases(quick bool) []scenario {
	floors := []string{"floor-net", "floor-epoll"}
	real := []string{"node", "tutti"}
	all := append(real, floors...)
	both := []string{"tutti", "tutti-durable"}
	long, short := []string{"--duration", "5s"}, []string{"--duration", "1s", "--warm-up", "300ms", "--search-time", "40s"}
	watch, closed := 2500*time.Millisecond, []string{"durable", "--closed"}
	size := struct{ idle, rest, most string }{"15000", "8s", "20"}
	if quick {
		long, short = []string{"--duration", "1s", "--warm-up", "300ms"}, []string{"--duration", "400ms", "--warm-up", "200ms", "--search-time", "10s"}
		all = []string{"node", "tutti", "floor-epoll"} // one of the floors will do
		watch, floors = 300*time.Millisecond, nil
		size.idle, size.rest, size.most = "2000", "2s", "40"
	}
	with := func(more []string, args ...string) []string { return append(args, more...) }
	cases := []scenario{
		{name: "idle", servers: all, args: []string{"idle", "--clients", size.idle, "--duration", size.rest}},
		{name: "churn", servers: all, args: with(long, "churn", "--closed")},
		{name: "fan1000", servers: all, args: with(long, "fanout", "--rate", "10")},
		{name: "fan5000", servers: all, args: with(long, "fanout", "--clients", "5000", "--rate", "2")},
		{name: "most1000", servers: append(real, floors...), once: floors, args: with(short, "fanout", "--rate", size.most, "--p99", "100ms")},
		{name: "most5000", servers: append(real, floors...), once: floors, args: with(short, "fanout", "--clients", "5000", "--rate", "4", "--p99", "500ms")},
		{name: "rooms", servers: all, args: with(long, "rooms", "--rate", "500")},
		{name: "half", servers: all, args: with(long, "fanout"), after: "most1000", watch: watch},
		{name: "echo", servers: all, args: with(long, "echo", "--closed")},
		{name: "polling", servers: real, args: with(long, "polling", "--rate", "4")},
		{name: "durable", servers: both, args: append(with(long, closed...), "--clients", "1000")},
		{name: "acks", servers: both, args: append(with(long, closed...), "--clients", "200", "--rooms", "100", "--publishers", "2")},
	}
	if quick { // what takes long to connect says nothing in a second
		cases = slices.DeleteFunc(cases, func(c scenario) bool { return strings.HasSuffix(c.name, "5000") })
	}
	return cases
}

// A row is a line of the table: a figure, and what it is to be compared with
// Node's.
type row struct {
	name   string
	from   string // the case
	of     func(measurement) float64
	ratio  float64 // to Node's
	above  bool    // at least that, not at most
	floor  float64 // likewise to the better floor; 0 for none
	limit  float64 // the figure itself; 0 for none
	digits int
}

func rows() []row {
	cpu := func(m measurement) float64 { return m.Result.Server.CPUPerOperation }
	most := func(m measurement) float64 { return m.Result.Best }
	return []row{
		{name: "memory per idle connection, bytes", from: "idle", ratio: 1.0 / 8, limit: 1800, of: func(m measurement) float64 { return m.Result.Server.BytesPerClient }},
		{name: "CPU per connect and handshake, µs", from: "idle", ratio: 1.0 / 6, of: cpu, digits: 1},
		{name: "CPU per connect–use–leave cycle, µs", from: "churn", ratio: 1.0 / 4, of: cpu, digits: 1},
		{name: "CPU per delivery, 1,000 members, µs", from: "fan1000", ratio: 0.65, floor: 1.2, of: cpu, digits: 2},
		{name: "CPU per delivery, 5,000 members, µs", from: "fan5000", ratio: 0.65, floor: 1.2, of: cpu, digits: 2},
		{name: "most deliveries/s, p99 < 100 ms, 1,000 members", from: "most1000", ratio: 25, above: true, of: most},
		{name: "most deliveries/s, p99 < 500 ms, 5,000 members", from: "most5000", ratio: 12, above: true, of: most},
		{name: "CPU per delivery, 100 rooms of 10, µs", from: "rooms", ratio: 0.45, of: cpu, digits: 1},
		{name: "p50 at half of Node's most, ms", from: "half", ratio: 0.5, of: func(m measurement) float64 { return m.Result.Latency.P50 }, digits: 2},
		{name: "p99 at half of Node's most, ms", from: "half", ratio: 0.5, of: func(m measurement) float64 { return m.Result.Latency.P99 }, digits: 2},
		{name: "CPU per echo with ack, µs", from: "echo", ratio: 1.0 / 3, of: cpu, digits: 1},
		{name: "CPU per delivery by long-polling, µs", from: "polling", ratio: 0.4, of: cpu, digits: 1},
		{name: "share of CPU in the garbage collector, fan-out, %", from: "half", limit: 2, of: func(m measurement) float64 { return 100 * m.GC }, digits: 1},
		{name: "allocations per delivery", from: "half", of: func(m measurement) float64 { return m.Allocs }, digits: 2},
	}
}

// A record is all that was measured.
type record struct {
	Revision     string        `json:"revision"`
	Started      time.Time     `json:"started"`
	Machine      string        `json:"machine"`
	Measurements []measurement `json:"measurements"`
}

// half returns half the rate of messages that Node can do at most in a case, of
// this round or any.
func (r *record) half(round int, name string) float64 {
	rate := 20.0 // if Node was not measured
	for _, m := range r.Measurements {
		if m.Case == name && m.Server == "node" && m.Result.Best > 0 && m.Round <= round {
			rate = m.Result.Rate / 2
		}
	}
	return rate
}

// values returns the figures of a row for a server, by round.
func (r *record) values(row row, server string) map[int]float64 {
	values := make(map[int]float64)
	for _, m := range r.Measurements {
		if m.Case == row.from && m.Server == server && m.Result.Server != nil {
			if v := row.of(m); v >= 0 {
				values[m.Round] = v
			}
		}
	}
	return values
}

func median(values map[int]float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	var sorted []float64
	for _, v := range values {
		sorted = append(sorted, v)
	}
	slices.Sort(sorted)
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// ratio is the median of the ratios within each round.
func ratio(a, b map[int]float64) float64 {
	ratios := make(map[int]float64)
	for round, v := range a {
		if w := b[round]; w > 0 {
			ratios[round] = v / w
		}
	}
	return median(ratios)
}

// tables returns the comparisons as Markdown.
func (r *record) tables() string { return r.table() + "\n" + r.durableTable() }

// table returns the comparison with Node and the floors.
func (r *record) table() string {
	var b strings.Builder
	rounds := 0
	for _, m := range r.Measurements {
		rounds = max(rounds, m.Round+1)
	}
	fmt.Fprintf(&b, "%s, %s, revision %s. Medians of %d rounds; the ratio is the median of the rounds' ratios.\n", r.Started.Format("2006-01-02"), r.Machine, r.Revision, rounds)
	fmt.Fprintf(&b, "Servers had to wait for their core for %.0f %% of the time they needed (median).\n\n", r.waited())
	b.WriteString("| measure | Node | Tutti | floor net | floor epoll | Tutti : Node | target | | Tutti : floor |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, row := range rows() {
		node, tutti := r.values(row, "node"), r.values(row, "tutti")
		fmt.Fprintf(&b, "| %s |", row.name)
		for _, server := range []string{"node", "tutti", "floor-net", "floor-epoll"} {
			fmt.Fprintf(&b, " %s |", figure(median(r.values(row, server)), row.digits))
		}
		x := ratio(tutti, node)
		floor := r.toFloor(row, tutti)
		fmt.Fprintf(&b, " %s | %s | %s | %s |\n", figure(x, 2), row.target(), row.verdict(x, floor, median(tutti)), figure(floor, 2))
	}
	var problems int64
	for _, m := range r.Measurements {
		if m.Result.Limit == 0 {
			problems += m.Result.Lost + m.Result.Disorder
		}
	}
	fmt.Fprintf(&b, "\nLost or out of order at fixed rates: %d.\n", problems)
	if limits := r.limits(); limits != "" {
		fmt.Fprintf(&b, "The generator was, or may have been, the limit in %s.\n", limits)
	}
	return b.String()
}

// limits names where the generator says that it was the limit, and in how many
// rounds.
func (r *record) limits() string {
	var names []string
	times := make(map[string]int)
	for _, m := range r.Measurements {
		if m.Result.Bottleneck == "" {
			continue
		}
		name := m.Case + " of " + m.Server
		if times[name]++; times[name] == 1 {
			names = append(names, name)
		}
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s (%d×)", name, times[name])
	}
	return strings.Join(names, ", ")
}

// toFloor is the ratio to the better of the floors.
func (r *record) toFloor(row row, tutti map[int]float64) float64 {
	a, b := ratio(tutti, r.values(row, "floor-net")), ratio(tutti, r.values(row, "floor-epoll"))
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	case row.above:
		return min(a, b)
	}
	return max(a, b)
}

func (w row) target() string {
	var parts []string
	if w.ratio > 0 {
		sign := "≤"
		if w.above {
			sign = "≥"
		}
		parts = append(parts, fmt.Sprintf("%s %.3g", sign, w.ratio))
	}
	if w.limit > 0 {
		parts = append(parts, fmt.Sprintf("≤ %.0f", w.limit))
	}
	if w.floor > 0 {
		parts = append(parts, fmt.Sprintf("≤ %.1f × floor", w.floor))
	}
	return strings.Join(parts, ", ")
}

func (w row) verdict(ratio, floor, value float64) string {
	switch {
	case w.target() == "":
		return ""
	case math.IsNaN(value) || w.ratio > 0 && math.IsNaN(ratio):
		return "?"
	case w.ratio > 0 && w.above != (ratio >= w.ratio), w.limit > 0 && value > w.limit, w.floor > 0 && floor > w.floor:
		return "no"
	}
	return "yes"
}

func figure(v float64, digits int) string {
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%.*f", digits, v)
}
