package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/internal/load"
)

// TestBench drives the server under test through every scenario, shortly, and
// looks that what was sent has come.
func TestBench(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the load generator needs Linux")
	}
	p := startCommand(t, "bench", "server", "--listen", "127.0.0.1:0", "--debug", "127.0.0.1:0")
	durable := startCommand(t, "bench", "server", "--listen", "127.0.0.1:0", "--data", t.TempDir())
	tests := []struct {
		name string
		args string
	}{
		{"idle", "idle --clients 20"},
		{"fanout", "fanout --clients 20 --rate 50"},
		{"large messages", "fanout --clients 5 --rate 20 --size 70000"},
		{"rooms", "rooms --clients 20 --rooms 5 --rate 50"},
		{"durable", "durable --clients 20 --rate 50 --publishers 4"},
		{"durable, closed", "durable --clients 20 --rooms 2 --closed"},
		{"echo", "echo --clients 5 --rate 100"},
		{"echo, closed", "echo --clients 5 --closed"},
		{"echo by polling", "echo --clients 5 --rate 50 --transport polling"},
		{"polling", "polling --clients 10 --rate 20"},
		{"churn", "churn --rate 50"},
		{"churn by polling", "churn --rate 50 --transport polling"},
		{"churn, closed", "churn --closed --concurrency 4"},
		{"searching", "fanout --clients 5 --rate 20 --max-rate 40 --p99 20s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := p
			if strings.Contains(tt.args, "durable") {
				p = durable
			}
			page := filepath.Join(t.TempDir(), "report.html")
			args := append([]string{"bench"}, strings.Fields(tt.args)...)
			args = append(args, "--duration", "200ms", "--warm-up", "50ms", "--pid", strconv.Itoa(p.cmd.Process.Pid), "--json", "-", "--html", page, p.url)
			cmd := invoke(t, args...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, stderr.String())
			}
			var r load.Result
			if err := json.Unmarshal(out, &r); err != nil {
				t.Fatal(err)
			}
			if r.Handshake.Count == 0 || r.Lost != 0 || r.Disorder != 0 || len(r.Errors) > 0 {
				t.Errorf("%d connected, %d lost, %d out of order, errors %v", r.Handshake.Count, r.Lost, r.Disorder, r.Errors)
			}
			if r.Server == nil || r.Server.RSSAfter == 0 {
				t.Errorf("the server's memory is unknown: %+v", r.Server)
			}
			if strings.Contains(tt.args, "p99") && r.Best == 0 {
				t.Errorf("no rate is good: %+v", r.Steps)
			}
			if r.Scenario == load.Durable && (r.Published == 0 || r.Acks == nil || r.Acks.Count == 0) {
				t.Errorf("%v messages were acked per second: %+v", r.Published, r.Acks)
			}
			if info, err := os.Stat(page); err != nil || info.Size() == 0 {
				t.Errorf("the report: %v", err)
			}
		})
	}
}

func TestBenchCalledWrongly(t *testing.T) {
	for want, args := range map[string]string{
		"what is to be measured?":  "",
		"the URL of the server":    "fanout",
		"there is no scenario":     "--rate 3 dance http://127.0.0.1:1",
		"flags come before":        "idle http://127.0.0.1:1 --clients 3",
		"could connect":            "idle --clients 3 http://127.0.0.1:1",
		"not found in /proc":       "idle --pid 1073741824 http://127.0.0.1:1",
		"connections are more":     "idle --clients 100000000 http://127.0.0.1:1",
		"flag provided but not de": "idle --loud http://127.0.0.1:1",
	} {
		cmd := invoke(t, append([]string{"bench"}, strings.Fields(args)...)...)
		out, err := cmd.CombinedOutput()
		if runtime.GOOS != "linux" && strings.Contains(string(out), load.ErrUnsupported.Error()) {
			continue
		}
		if code := exitCode(t, err); code == exitOK || !strings.Contains(string(out), want) {
			t.Errorf("bench %s: exit code %d, %q, want something of %q", args, code, out, want)
		}
	}
}
