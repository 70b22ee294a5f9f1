package main

import (
	"strings"
	"testing"
)

// TestAgainst: rounds that overlap are the same, others are not.
func TestAgainst(t *testing.T) {
	made := func(tutti ...float64) *record {
		r := new(record)
		node := make([]float64, len(tutti))
		for i := range node {
			node[i] = 100
		}
		r.Measurements = append(rounds("echo", "node", node...), rounds("echo", "tutti", tutti...)...)
		return r
	}
	for name, tt := range map[string]struct {
		before, now *record
		want        string
	}{
		"same":       {made(20, 25, 30), made(28, 29, 40), "0.25 (0.20–0.30) | 0.29 (0.28–0.40) | 1.16 | same |"},
		"within 10%": {made(30), made(32), "0.30 | 0.32 | 1.07 | same |"},
		"higher":     {made(20, 25, 30), made(40, 41, 50), "HIGHER |"},
		"lower":      {made(40, 41, 50), made(20, 25, 30), "LOWER |"},
		"not there":  {made(), made(20), "| – | 0.20 | – | ? |"},
	} {
		if got := tt.now.against(tt.before); !strings.Contains(got, tt.want) {
			t.Errorf("%s: no line has %q in\n%s", name, tt.want, got)
		}
	}
}

// TestServing: servers take turns, and some are there in the first round only.
func TestServing(t *testing.T) {
	p := plan{servers: []string{"node", "tutti", "tutti-durable", "floor-net"}}
	c := scenario{servers: []string{"node", "tutti", "floor-net"}, once: []string{"floor-net"}}
	for round, want := range []string{"node tutti floor-net", "tutti node", "node tutti"} {
		if got := strings.Join(p.serving(c, round), " "); got != want {
			t.Errorf("round %d: %s, want %s", round, got, want)
		}
	}
}
