package nodehub_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/nodehub"
	"github.com/tutti-rt/tutti/packet"
)

// TestManyStreams: each of many streams is read at the same time.
func TestManyStreams(t *testing.T) {
	const many = 100
	s := startServer(t)
	cfg := nodehub.Config{Adapter: nodehub.Streams, StreamCount: many}
	a, b := s.node(cfg), s.node(cfg)
	var members []*member
	for i := range many {
		b.sp = b.hub.Space(fmt.Sprint("/", i))
		members = append(members, b.enter("y"))
	}
	for i := range many {
		a.sp = a.hub.Space(fmt.Sprint("/", i))
		a.say("hello", hub.Address{})
	}
	for _, m := range members {
		b.heard(m, "hello ")
	}
}

// TestCallsInOrder: a call has its place among the messages, wherever both go the
// same way.
func TestCallsInOrder(t *testing.T) {
	for _, adapter := range []nodehub.Adapter{nodehub.Classic, nodehub.Sharded} {
		t.Run(string(adapter), func(t *testing.T) {
			s := startServer(t)
			cfg := nodehub.Config{Adapter: adapter}
			a, b := s.node(cfg), s.node(cfg)
			y := b.enter("y")
			var want []string
			for i := range 50 {
				args, _ := packet.Marshal(i)
				m := &hub.Message{Event: "call", Args: args, Call: hub.NewCall()}
				if _, err := a.sp.Publish(t.Context(), m, hub.Address{}); err != nil {
					t.Fatal(err)
				}
				defer m.Call.Close()
				a.say("message", hub.Address{}, i)
				want = append(want, fmt.Sprint("call ", i), fmt.Sprint("message ", i))
			}
			s.until("y to hear all", func() bool {
				y.mu.Lock()
				defer y.mu.Unlock()
				return len(y.got) == len(want)
			})
			if !slices.Equal(y.got, want) {
				t.Errorf("heard %q", y.got)
			}
		})
	}
}

// TestRefusedByRedis: what Redis refuses is dropped, and nothing that was sent
// with it.
func TestRefusedByRedis(t *testing.T) {
	s := startServer(t)
	var dropped atomic.Int32
	a := s.node(nodehub.Config{Adapter: nodehub.Streams, Trace: &nodehub.Trace{Dropped: func() { dropped.Add(1) }}})
	if err := s.client.Set(t.Context(), "socket.io", "no stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	const many = 100
	for range many {
		a.say("refused", hub.Address{})
		if err := a.sp.TellNodes("taken", packet.Args{}); err != nil {
			t.Fatal(err)
		}
	}
	s.until("the refused to be counted", func() bool { return dropped.Load() >= many })
	if n := dropped.Load(); n != many {
		t.Errorf("%d dropped, of %d that were refused", n, many)
	}
}
