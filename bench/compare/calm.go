package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"
)

// calm waits until the machine has little else to do, for as long as the plan
// allows before one measurement and in all: on a shared one that's often only a
// minute away. It reports false if it has waited in vain.
func (p *plan) calm(ctx context.Context) bool {
	const enough = 0.7 // of the cores' time is idle
	began := time.Now()
	defer func() { p.waiting -= time.Since(began) }()
	patience := min(p.patience, p.waiting)
	if patience <= 0 {
		return true
	}
	for {
		idle, total := idleTime()
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Second):
		}
		idleNow, totalNow := idleTime()
		if totalNow > total && (idleNow-idle)/(totalNow-total) >= enough {
			return true
		}
		if time.Since(began) > patience {
			return false
		}
	}
}

// idleTime reads how long the cores have been idle, and all, in ticks.
func idleTime() (idle, total float64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		v, err := strconv.ParseFloat(field, 64)
		if err != nil {
			continue // the name of the line
		}
		if total += v; i == 4 || i == 5 { // idle, and waiting for a disk
			idle += v
		}
	}
	return idle, total
}
