package natshub_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/natshub"
)

// tapeOf is the stream of a node's namespace.
func tapeOf(n *node) (stream, subject string) {
	epoch := n.State().Epoch
	stream, _ = natshub.Streams("tutti", "/", epoch)
	return stream, strings.Replace(natshub.Subjects("tutti", n.engine.Node(), "/", epoch, "r")[3], ".l.", ".t.", 1)
}

// TestChangedStream: somebody has the server not publish again what it stores.
// That is noticed although nobody says anything, and set right.
func TestChangedStream(t *testing.T) {
	s := startServer(t, "")
	var connected atomic.Int64
	cfg := quick(s.url())
	cfg.Trace = &natshub.Trace{Connected: func() { connected.Add(1) }}
	a, b := join(t, cfg, "r"), join(t, cfg, "r")
	a.say("r", "0")
	js, err := s.client().JetStream()
	if err != nil {
		t.Fatal(err)
	}
	stream, _ := tapeOf(a)
	info, err := js.StreamInfo(stream)
	if err != nil {
		t.Fatal(err)
	}
	changed := info.Config
	changed.RePublish = nil
	if _, err := js.UpdateStream(&changed); err != nil {
		if strings.Contains(err.Error(), "can not change RePublish") {
			t.Logf("this nats-server does not let anybody: %v", err) // 2.9; NATS_SERVER names another
			return
		}
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for connected.Load() < 3 && time.Now().Before(deadline) {
		<-time.After(10 * time.Millisecond)
	}
	if connected.Load() < 3 { // one of them, who sets it right for both
		t.Error("nobody has noticed")
	}
	for _, n := range []*node{a, b} {
		n.until("it to be set right", func() bool { return !n.away })
	}
	a.say("r", "1")
	for _, n := range []*node{a, b} {
		n.wants([]string{"0", "1"})
	}
}

// TestMissedInPlace: something that was stored does not come, and what comes after
// it does. Who has been told that all has come is told that it has not.
func TestMissedInPlace(t *testing.T) {
	a, b, _ := orderedNodes(t)
	if v := natshub.Client(a.engine).ConnectedServerVersion(); strings.HasPrefix(v, "2.9.") {
		t.Logf("nats-server %s does not publish again in order: NATS_SERVER names another", v)
		return
	}
	a.say("r", "0")
	b.wants([]string{"0"})
	natshub.Deafen(b.Line, "r", true)
	a.say("r", "1")
	if _, err := b.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	natshub.Deafen(b.Line, "r", false)
	a.say("r", "2")
	b.until("it to be told", func() bool { return len(b.lost) > 0 })
}

// spined has a node follow the headers of the stream, as it does where streams
// have leaders elsewhere.
func spined(t *testing.T) (a, b *node, ignored *atomic.Int64) {
	t.Helper()
	ignored = new(atomic.Int64)
	servers := startCluster(t)
	var nodes []*node
	for _, s := range servers[:2] {
		cfg := quick(s.url())
		cfg.Timeout = 2 * time.Second
		cfg.Trace = &natshub.Trace{Ignored: func() { ignored.Add(1) }}
		nodes = append(nodes, join(t, cfg, "r"))
	}
	return nodes[0], nodes[1], ignored
}

// orderedNodes is the same with one server.
func orderedNodes(t *testing.T) (a, b *node, ignored *atomic.Int64) {
	t.Helper()
	ignored = new(atomic.Int64)
	cfg := quick(startServer(t, "").url())
	cfg.Trace = &natshub.Trace{Ignored: func() { ignored.Add(1) }}
	return join(t, cfg, "r"), join(t, cfg, "r"), ignored
}

// TestForeignStored: somebody else writes into the stream. Nobody takes it for
// anything, when it is heard or when it is read.
func TestForeignStored(t *testing.T) {
	for name, start := range map[string]func(*testing.T) (*node, *node, *atomic.Int64){"one server": orderedNodes, "several": spined} {
		t.Run(name, func(t *testing.T) {
			a, b, ignored := start(t)
			js := natshub.Client(a.engine)
			_, subject := tapeOf(a)
			for i, text := range []string{"x", "\x01", "{}", strings.Repeat("\xff", 40)} {
				if err := js.Publish(subject, []byte(text)); err != nil {
					t.Fatal(err)
				}
				a.say("r", fmt.Sprint(i))
			}
			b.wants(numbers(0, 4))
			if ignored.Load() == 0 {
				t.Error("nothing was ignored")
			}
			list, _, err := b.Read(t.Context(), []string{"r"}, b.State().Floor, 100)
			if err != nil || len(list) != 4 {
				t.Errorf("Read: %d, %v", len(list), err)
			}
			natshub.Disconnect(b.engine)
			b.until("it to notice", func() bool { return b.away })
			a.say("r", "4")
			b.wants(numbers(0, 5))
		})
	}
}

// TestLaterVersion: a node that writes what this one cannot read takes part. It is
// never taken for nothing: members are told that something is lost.
func TestLaterVersion(t *testing.T) {
	for name, start := range map[string]func(*testing.T) (*node, *node, *atomic.Int64){"one server": orderedNodes, "several": spined} {
		t.Run(name, func(t *testing.T) {
			a, b, _ := start(t)
			_, subject := tapeOf(a)
			later := binary.BigEndian.AppendUint64([]byte{9}, 1)
			m := &nats.Msg{Subject: subject, Header: nats.Header{"Tutti": {"nx.1"}}, Data: later}
			a.say("r", "0")
			if err := natshub.Client(a.engine).PublishMsg(m); err != nil {
				t.Fatal(err)
			}
			damaged := func(err error) bool { return errors.Is(err, hub.ErrDamaged) }
			b.until("it to be told", func() bool { return slices.ContainsFunc(b.lost, damaged) })
			a.say("r", "1")
			b.until("what comes after", func() bool { return slices.Equal(b.got, []string{"0", "1"}) })
			if _, _, err := b.Read(t.Context(), []string{"r"}, b.State().Floor, 100); !damaged(err) {
				t.Errorf("Read: %v", err)
			}
			// While it is away, too, and it comes back nevertheless.
			natshub.Disconnect(b.engine)
			b.until("it to notice", func() bool { return b.away })
			if err := natshub.Client(a.engine).PublishMsg(m); err != nil {
				t.Fatal(err)
			}
			a.say("r", "2")
			b.until("it to be told", func() bool { return len(b.lost) >= 2 })
			a.say("r", "3")
			b.until("what comes after", func() bool { return b.got[len(b.got)-1] == "3" })
		})
	}
}

// TestForEveryone: a message for everyone that a room keeps is heard by those who
// are not in the room.
func TestForEveryone(t *testing.T) {
	s := startServer(t, "")
	a, b := join(t, quick(s.url())), join(t, quick(s.url()))
	m := &hub.SharedMessage{Body: []byte("x"), Histories: []hub.RoomHistory{{Room: "h"}}}
	a.Commit(t.Context(), &hub.SharedBatch{Messages: []*hub.SharedMessage{m}})
	if m.Err != nil {
		t.Fatal(m.Err)
	}
	b.wants([]string{"x"})
	if list, _, err := b.Read(t.Context(), nil, b.State().Floor, 10); err != nil || len(list) != 1 {
		t.Errorf("Read: %v, %v", list, err)
	}
	if list, err := b.History(t.Context(), "h", hub.HistoryQuery{Limit: 10}); err != nil || len(list) != 1 {
		t.Errorf("History: %v, %v", list, err)
	}
}

// TestLearned: servers that were not configured want the same password.
func TestLearned(t *testing.T) {
	s := startServer(t, "authorization { user: u, password: geheim }\n")
	e := open(t, quick("nats://u:geheim@"+s.addr))
	if urls, want := natshub.Learned(e, "nats://h:4222"), "nats://u:geheim@h:4222"; !slices.Contains(urls, want) {
		t.Errorf("it connects to %q, want %s", urls, want)
	}
}

// TestOverslept: a node that was paused has not heard the others, and does not take
// them for dead.
func TestOverslept(t *testing.T) {
	s := startServer(t, "")
	a := join(t, quick(s.url()))
	join(t, quick(s.url()))
	a.until("the other", func() bool { return len(a.engine.Nodes()) == 1 })
	if n := natshub.Oversleep(a.engine, peer{a}); n != 1 {
		t.Errorf("it knows %d nodes", n)
	}
}

// TestSettleOrder: nothing is written again behind what was to come after it.
func TestSettleOrder(t *testing.T) {
	errs := natshub.SettleOrder("w?rw?r")
	for i, want := range []error{nil, hub.ErrUnknown, hub.ErrUnavailable, nil, nil, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("%d: %v, want %v", i, errs[i], want)
		}
	}
}
