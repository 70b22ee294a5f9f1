package main

import (
	"fmt"
	"strings"

	"github.com/tutti-rt/tutti/internal/load"
)

// durableRows compare Tutti with itself, when every message is on the disk
// before it is acknowledged or handed out.
func durableRows() []row {
	acks := func(of func(load.Summary) float64) func(measurement) float64 {
		return func(m measurement) float64 {
			if m.Result.Acks == nil {
				return -1
			}
			return of(*m.Result.Acks)
		}
	}
	published := func(m measurement) float64 { return m.Result.Published }
	cpu := func(m measurement) float64 { return m.Result.Server.CPUPerOperation }
	return []row{
		{name: "deliveries/s, 1,000 members, 64 of them publish", from: "durable", ratio: 0.7, above: true, of: func(m measurement) float64 { return m.Result.PerSecond }},
		{name: "CPU per delivery, µs", from: "durable", of: cpu, digits: 2},
		{name: "messages/s with acks, 100 rooms of 2 who publish", from: "acks", of: published},
		{name: "p50 of their acks, ms", from: "acks", of: acks(func(s load.Summary) float64 { return s.P50 }), digits: 2},
		{name: "p99 of their acks, ms", from: "acks", of: acks(func(s load.Summary) float64 { return s.P99 }), digits: 2},
	}
}

// durableTable is the comparison of rooms with fsync and rooms without memory.
func (r *record) durableTable() string {
	var b strings.Builder
	b.WriteString("| rooms with memory and fsync | without | with | with : without | target | |\n|---|---|---|---|---|---|\n")
	for _, row := range durableRows() {
		without, with := r.values(row, "tutti"), r.values(row, "tutti-durable")
		x := ratio(with, without)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", row.name,
			figure(median(without), row.digits), figure(median(with), row.digits), figure(x, 2), row.target(), row.verdict(x, x, median(with)))
	}
	return b.String()
}
