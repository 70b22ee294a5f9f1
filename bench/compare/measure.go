package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tutti-rt/tutti/internal/load"
)

// A measurement is one run of one case against one server.
type measurement struct {
	Round  int    `json:"round"`
	Case   string `json:"case"`
	Server string `json:"server"`
	// GC is the share of the server's CPU in its garbage collector, and Allocs
	// how often it allocated per operation, for a part of the run; -1 if it
	// doesn't tell.
	GC     float64      `json:"gc"`
	Allocs float64      `json:"allocs"`
	Result *load.Result `json:"result"`
}

// line is a measurement for who watches.
func (m measurement) line() string {
	r := m.Result
	s := fmt.Sprintf("round %d  %-10s %-11s ", m.Round+1, m.Case, m.Server)
	if r.Limit > 0 {
		s += fmt.Sprintf("%9.0f/s at most, ", r.Best)
	}
	if r.Published > 0 {
		s += fmt.Sprintf("%9.0f/s, %6.0f messages/s with acks, ", r.PerSecond, r.Published)
	}
	if r.Server != nil {
		s += fmt.Sprintf("%7.2f µs per %s, waited %2.0f %%, ", r.Server.CPUPerOperation, r.Operation, r.Server.Waited*100)
	}
	if m.Case == "idle" {
		s += fmt.Sprintf("%.0f bytes per client, ", r.Server.BytesPerClient)
	}
	s += fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", r.Latency.P50, r.Latency.P99)
	if r.Lost+r.Disorder > 0 {
		s += fmt.Sprintf(", %d LOST, %d OUT OF ORDER", r.Lost, r.Disorder)
	}
	if r.Bottleneck != "" {
		s += " (" + r.Bottleneck + ")"
	}
	return s
}

// measure starts a server, runs a case against it, and ends it.
func (p plan) measure(ctx context.Context, name string, c scenario) (measurement, error) {
	m := measurement{Case: c.name, Server: name, GC: -1, Allocs: -1}
	s, err := p.start(ctx, name)
	if err != nil {
		return m, err
	}
	defer s.stop()
	out, err := os.CreateTemp("", "tutti-bench-*.json")
	if err != nil {
		return m, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	args := append([]string{"bench"}, c.args...)
	args = append(args, "--pid", strconv.Itoa(s.cmd.Process.Pid), "--json", out.Name(), "http://"+s.address)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := p.pinned(ctx, p.loadCPU, p.tutti, args...)
	watched := make(chan [2]insight, 1)
	if c.watch > 0 {
		// Looks at the server while it is measured; ends by itself, waited for
		// below.
		go func() { watched <- s.watch(ctx, c.watch) }()
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		return m, fmt.Errorf("%s: %w", strings.TrimSpace(string(text)), err)
	}
	m.Result = new(load.Result)
	if err := json.NewDecoder(out).Decode(m.Result); err != nil {
		return m, err
	}
	if c.watch > 0 {
		m.look(<-watched)
	}
	m.Result.Series, m.Result.Curve = nil, nil // too long for the record
	return m, nil
}

// look notes what a server told of itself.
func (m *measurement) look(seen [2]insight) {
	if total := seen[1].CPU - seen[0].CPU; seen[0].ok && seen[1].ok && total > 0 {
		m.GC = (seen[1].GC - seen[1].Idle - seen[0].GC + seen[0].Idle) / total
		m.Allocs = (seen[1].Allocs - seen[0].Allocs) / max(m.Result.PerSecond*seen[1].at.Sub(seen[0].at).Seconds(), 1)
	}
}

// A server is a running process under test.
type server struct {
	cmd            *exec.Cmd
	address, debug string
	data           string // its folder, removed when it stops
}

// pinned is a command on one core.
func (p plan) pinned(ctx context.Context, core, program string, args ...string) *exec.Cmd {
	if core == "" {
		return exec.CommandContext(ctx, program, args...)
	}
	return exec.CommandContext(ctx, "taskset", append([]string{"-c", core, program}, args...)...)
}

// start starts a server and waits until it listens.
func (p plan) start(ctx context.Context, name string) (*server, error) {
	s := &server{}
	var err error
	if s.address, err = free(); err != nil {
		return nil, err
	}
	if s.cmd, err = p.command(ctx, name, s); err != nil {
		return nil, err
	}
	s.cmd.Stderr = os.Stderr
	output, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(output).ReadString('\n'); err != nil {
		s.stop()
		return nil, fmt.Errorf("%s said nothing: %w", name, err)
	}
	if err := s.reach(ctx); err != nil {
		s.stop()
		return nil, fmt.Errorf("%s doesn't listen: %w", name, err)
	}
	return s, nil
}

// command is what starts a server.
func (p plan) command(ctx context.Context, name string, s *server) (*exec.Cmd, error) {
	var err error
	args := []string{"bench", "server", "--listen", s.address, "--debug"}
	switch name {
	case "node":
		return p.pinned(ctx, p.serverCPU, "node", filepath.Join(p.node, "server.mjs"), s.address), nil
	case "floor-net", "floor-epoll":
		return p.pinned(ctx, p.serverCPU, p.floor, "-mode", strings.TrimPrefix(name, "floor-"), "-listen", s.address), nil
	case "tutti", "tutti-durable":
		if s.debug, err = free(); err != nil {
			return nil, err
		}
		args = append(args, s.debug)
	default:
		return nil, fmt.Errorf("there is no server %q", name)
	}
	if name == "tutti-durable" {
		if s.data, err = os.MkdirTemp(p.data, "tutti-bench-*"); err != nil {
			return nil, err
		}
		args = append(args, "--data", s.data)
	}
	return p.pinned(ctx, p.serverCPU, p.tutti, args...), nil
}

// reach waits until the server accepts: what it says and what it does may differ
// by a moment.
func (s *server) reach(ctx context.Context) error {
	for {
		c, err := net.DialTimeout("tcp", s.address, time.Second)
		if err == nil {
			return c.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill() // it may have ended by itself
	_ = s.cmd.Wait()
	if s.data != "" {
		_ = os.RemoveAll(s.data) // in a folder for such things
	}
}

// free returns an address that is free at the moment.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// An insight is what a server tells of itself: seconds of CPU in all, in the
// garbage collector, and there on otherwise idle cores; allocations.
type insight struct {
	CPU    float64
	GC     float64 `json:"/cpu/classes/gc/total:cpu-seconds"`
	Idle   float64 `json:"/cpu/classes/gc/mark/idle:cpu-seconds"`
	Allocs float64 `json:"/gc/heap/allocs:objects"`
	at     time.Time
	ok     bool
}

// watch looks at the server twice, that long apart: when its clients have
// connected and it has warmed up, most likely, and before they leave.
func (s *server) watch(ctx context.Context, apart time.Duration) (seen [2]insight) {
	if s.debug == "" {
		return seen
	}
	for i, pause := range []time.Duration{max(apart, 700*time.Millisecond), apart} {
		select {
		case <-ctx.Done():
			return seen
		case <-time.After(pause):
			seen[i] = s.insight()
		}
	}
	return seen
}

func (s *server) insight() insight {
	var in insight
	if s.debug == "" {
		return in
	}
	answer, err := http.Get("http://" + s.debug + "/debug/runtime")
	if err != nil {
		return in
	}
	defer answer.Body.Close()
	if json.NewDecoder(answer.Body).Decode(&in) != nil {
		return in
	}
	// utime and stime, in ticks of 10 ms; the name before them is in brackets.
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return in
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) > 12 {
		user, _ := strconv.ParseFloat(fields[11], 64)
		system, _ := strconv.ParseFloat(fields[12], 64)
		in.CPU, in.at, in.ok = (user+system)/100, time.Now(), true
	}
	return in
}
