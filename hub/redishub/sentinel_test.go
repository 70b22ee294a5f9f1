package redishub_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// startSentinel starts a Sentinel that watches a primary.
func startSentinel(t *testing.T, primary *server) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), addr: freeAddr(t)}
	host, port, _ := net.SplitHostPort(primary.addr)
	conf := fmt.Sprintf("sentinel monitor tutti %s %s 1\nsentinel down-after-milliseconds tutti 300\nsentinel failover-timeout tutti 3000\n", host, port)
	file := filepath.Join(s.dir, "sentinel.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.sentinel = file
	t.Cleanup(func() { s.kill() })
	s.start()
	return s
}

// follows waits until a replica has what its primary has.
func follows(t *testing.T, s *server, replica *server) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		<-tick.C
		if strings.HasPrefix(s.say("WAIT", "1", "100"), ":1") && strings.Contains(replica.tell("INFO", "replication"), "master_link_status:up") {
			return
		}
	}
	t.Fatal("the replica does not follow")
}

// TestFailover: a replica takes over. What it had goes on in the same epoch; if it
// lacks something that was acknowledged, the log begins a new one.
func TestFailover(t *testing.T) {
	for _, complete := range []bool{true, false} {
		t.Run(fmt.Sprintf("complete %t", complete), func(t *testing.T) { testFailover(t, complete) })
	}
}

func testFailover(t *testing.T, complete bool) {
	primary := startServer(t)
	host, port, _ := net.SplitHostPort(primary.addr)
	replica := startServer(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	follows(t, primary, replica)
	sentinel := startSentinel(t, primary)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(sentinel.tell("INFO", "sentinel"), "slaves=1") {
		<-tick.C
	}
	url := "redis://" + sentinel.addr + "/0?master_name=tutti"
	a, b := join(t, quick(url), "r"), join(t, quick(url), "r")
	a.say("r", numbers(0, 10)...)
	b.wants(numbers(0, 10))
	follows(t, primary, replica)
	epoch := a.State().Epoch
	if !complete {
		replica.signal(syscall.SIGSTOP)
		primary.say("CLIENT", "KILL", "TYPE", "replica") // else it is in the replica's socket
		a.say("r", numbers(10, 20)...)
		b.wants(numbers(0, 20))
	}
	primary.kill()
	replica.signal(syscall.SIGCONT)
	a.until("to know of it", func() bool { return a.away })
	a.say("r", "after")
	if complete {
		b.wants(append(numbers(0, 10), "after"))
		if a.State().Epoch != epoch {
			t.Error("a new epoch, and nothing was lost")
		}
		return
	}
	a.wantsEpoch()
	b.wantsEpoch()
	b.until("what comes after", func() bool { return slices.Contains(b.got, "after") })
	if _, _, err := b.Read(t.Context(), []string{"r"}, 1, 10); !errors.Is(err, hub.ErrTrimmed) {
		t.Errorf("what is from before: %v, want ErrTrimmed", err)
	}
}
