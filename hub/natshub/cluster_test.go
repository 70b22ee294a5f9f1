package natshub_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/natshub"
)

// replicated has a node take part by any of the servers, the first if it is there.
func replicated(servers []*server, first int) natshub.Config {
	var addrs []string
	for i := range servers {
		addrs = append(addrs, servers[(first+i)%len(servers)].addr)
	}
	cfg := quick("nats://" + strings.Join(addrs, ",") + "?replicas=3")
	cfg.Timeout = 2 * time.Second
	return cfg
}

// replicates says whether the servers are such that streams may have replicas. If
// not, that is refused.
func replicates(t *testing.T, servers []*server) bool {
	t.Helper()
	v := servers[0].client().ConnectedServerVersion()
	if !strings.HasPrefix(v, "2.9.") && !strings.HasPrefix(v, "2.10.") {
		return true
	}
	t.Logf("nats-server %s must not replicate: NATS_SERVER names another", v)
	_, err := natshub.Open(t.Context(), replicated(servers, 0))
	var refused *natshub.RefusedError
	if !errors.As(err, &refused) || refused.Setting != "version "+v {
		t.Errorf("Open: %v, want a refusal", err)
	}
	return false
}

// leader is who leads a stream.
func leader(t *testing.T, servers []*server, stream string) int {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		for _, s := range servers {
			nc, err := nats.Connect(s.url())
			if err != nil {
				continue
			}
			js, err := nc.JetStream()
			if err != nil {
				t.Fatal(err)
			}
			info, err := js.StreamInfo(stream)
			nc.Close()
			if err == nil && info.Cluster != nil && info.Cluster.Leader != "" {
				return int(info.Cluster.Leader[1] - '0')
			}
		}
	}
	t.Fatal("nobody leads the stream")
	return 0
}

// TestCluster: three servers that keep each stream. Whoever leads the log is
// killed, and then stops for a while; nothing is lost, doubled or out of order.
func TestCluster(t *testing.T) {
	servers := startCluster(t)
	if !replicates(t, servers) {
		return
	}
	m := memory()
	m.Rooms = []hub.RoomRule{{Pattern: "h", Limit: hub.HistoryLimit{Count: 1000}}}
	var nodes []*node
	for i := range servers {
		nodes = append(nodes, joinWith(t, replicated(servers, i), m, "r", "h"))
	}
	stream, _ := natshub.Streams("tutti", "/", nodes[0].State().Epoch)
	want := numbers(0, 600)
	var wg sync.WaitGroup
	wg.Go(func() { nodes[0].say("r", want...) })
	for i := range 3 {
		nodes[1].until("progress", func() bool { return len(nodes[1].got) > 150*i })
		s := servers[leader(t, servers, stream)]
		if i == 1 {
			s.signal(syscall.SIGSTOP)
			nodes[1].until("progress", func() bool { return len(nodes[1].got) > 150*i+50 })
			s.signal(syscall.SIGCONT)
			continue
		}
		s.kill()
		nodes[1].until("progress", func() bool { return len(nodes[1].got) > 150*i+50 })
		s.start()
	}
	wg.Wait()
	for _, n := range nodes {
		n.wants(want)
	}
	kept := &hub.SharedMessage{Publisher: "p", ID: "h", Rooms: []string{"h"}, Body: []byte("kept"), Histories: []hub.RoomHistory{{Room: "h", Limit: m.Rooms[0].Limit}}}
	session := &hub.SharedSession{ID: "s", Generation: 1, Body: []byte("x"), Keep: time.Minute}
	for began := time.Now(); ; { // the server that was killed may not be back yet, without which no stream is made
		nodes[2].Commit(t.Context(), &hub.SharedBatch{Messages: []*hub.SharedMessage{kept}, Sessions: []*hub.SharedSession{session}})
		err := cmp.Or(kept.Err, session.Err)
		if err == nil {
			break
		}
		if time.Since(began) > time.Minute || !errors.Is(err, hub.ErrUnavailable) && !errors.Is(err, hub.ErrUnknown) {
			t.Fatalf("Commit: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
	for _, n := range nodes {
		if list, err := n.History(t.Context(), "h", hub.HistoryQuery{Limit: 10}); err != nil || len(list) != 1 {
			t.Errorf("history: %v, %v", list, err)
		}
		if s, err := n.Session(t.Context(), "s"); err != nil || s == nil {
			t.Errorf("session: %v, %v", s, err)
		}
		list, _, err := n.Read(t.Context(), []string{"r"}, n.State().Floor, 10)
		if err != nil || len(list) != 10 || string(list[0].Body) != "0" {
			t.Errorf("Read: %v, %v", list, err)
		}
	}
}

// TestMinority: a server without the others acknowledges nothing, and says so.
func TestMinority(t *testing.T) {
	servers := startCluster(t)
	if !replicates(t, servers) {
		return
	}
	cfg := replicated(servers[:1], 0)
	a := join(t, cfg, "r")
	a.say("r", "0")
	servers[1].kill()
	servers[2].kill()
	m := &hub.SharedMessage{Publisher: "p", ID: "1", Rooms: []string{"r"}, Body: []byte("1")}
	a.until("to know of it", func() bool { return a.away })
	a.Commit(t.Context(), &hub.SharedBatch{Messages: []*hub.SharedMessage{m}})
	if m.Err == nil {
		t.Error("a minority has acknowledged")
	}
	servers[1].start()
	servers[2].start()
	a.say("r", "1", "2")
	a.wants([]string{"0", "1", "2"})
}

// TestLonelyStream: a cluster of which one keeps each stream is warned of.
func TestLonelyStream(t *testing.T) {
	servers := startCluster(t)
	var log bytes.Buffer
	cfg := quick(servers[0].url() + "?sync=always")
	cfg.Timeout = 2 * time.Second
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	a := join(t, cfg, "r")
	b := join(t, quick(servers[1].url()), "r")
	c := join(t, quick(servers[2].url()), "r")
	if !strings.Contains(log.String(), "replicas=1") {
		t.Errorf("warned %q", log.String())
	}
	var wg sync.WaitGroup
	var want []string
	for i, n := range []*node{a, b, c} {
		wg.Go(func() { n.say("r", numbers(100*i, 100*i+100)...) })
		want = append(want, numbers(100*i, 100*i+100)...)
	}
	wg.Wait()
	for _, n := range []*node{a, b, c} {
		n.until("all", func() bool { return len(n.got) >= len(want) })
		n.mu.Lock()
		if got := slices.Clone(n.got); fmt.Sprint(got) != fmt.Sprint(a.got) || len(got) != len(want) {
			t.Errorf("followed %d, or in another order", len(got))
		}
		n.mu.Unlock()
	}
}
