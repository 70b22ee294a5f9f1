package main

import (
	"math"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/internal/load"
)

// rounds are measurements of one case with one CPU figure per round.
func rounds(name, server string, cpu ...float64) []measurement {
	var all []measurement
	for i, v := range cpu {
		all = append(all, measurement{Round: i, Case: name, Server: server, GC: -1, Allocs: -1, Result: &load.Result{
			Operation: "ack", Server: &load.Usage{CPUPerOperation: v},
		}})
	}
	return all
}

// TestTable: the ratio is that of the rounds and not of the medians, so that a
// busy minute hits both.
func TestTable(t *testing.T) {
	var r record
	r.Measurements = append(r.Measurements, rounds("echo", "node", 30, 60, 100)...)
	r.Measurements = append(r.Measurements, rounds("echo", "tutti", 9, 18, 99)...)
	r.Measurements = append(r.Measurements, rounds("echo", "floor-epoll", 3, 6, 9)...)
	table := r.table()
	if want := "| CPU per echo with ack, µs | 60.0 | 18.0 | – | 6.0 | 0.30 | ≤ 0.333 | yes | 3.00 |"; !strings.Contains(table, want) {
		t.Errorf("no line is %s in\n%s", want, table)
	}
	if want := "| CPU per connect and handshake, µs | – | – | – | – | – | ≤ 0.167 | ? | – |"; !strings.Contains(table, want) {
		t.Errorf("what was not measured has a verdict:\n%s", table)
	}
	if strings.Contains(table, "the limit in") {
		t.Errorf("the generator is blamed:\n%s", table)
	}
	r.Measurements[1].Result.Bottleneck = "busy"
	if want := "the limit in echo of node (1×).\n"; !strings.Contains(r.table(), want) {
		t.Errorf("nobody says %q:\n%s", want, r.table())
	}
	if chart := r.chart(); strings.Count(chart, "<rect") != 1 || strings.Contains(chart, "NaN") {
		t.Errorf("the chart has not one bar: %s", chart)
	}
}

func TestVerdicts(t *testing.T) {
	above := row{ratio: 25, above: true}
	below := row{ratio: 0.5, floor: 1.2}
	limited := row{limit: 2}
	for name, tt := range map[string]struct{ got, want string }{
		"more than asked for":     {above.verdict(30, math.NaN(), 1), "yes"},
		"less than asked for":     {above.verdict(20, math.NaN(), 1), "no"},
		"cheap":                   {below.verdict(0.4, 1.1, 1), "yes"},
		"cheap, but not by floor": {below.verdict(0.4, 1.3, 1), "no"},
		"dear":                    {below.verdict(0.6, 1.1, 1), "no"},
		"not compared":            {below.verdict(math.NaN(), 1.1, 1), "?"},
		"within the limit":        {limited.verdict(math.NaN(), math.NaN(), 1.5), "yes"},
		"beyond the limit":        {limited.verdict(math.NaN(), math.NaN(), 2.5), "no"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", name, tt.got, tt.want)
		}
	}
}

func TestCasesAreInTheTable(t *testing.T) {
	named := map[string]bool{}
	for _, c := range cases(false) {
		named[c.name] = true
	}
	for _, r := range append(rows(), durableRows()...) {
		if !named[r.from] {
			t.Errorf("nothing measures %q", r.name)
		}
	}
}
