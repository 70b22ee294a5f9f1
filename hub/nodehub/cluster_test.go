package nodehub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/nodehub"
	"github.com/tutti-rt/tutti/packet"
)

// each runs a test with every adapter, on a Redis of its own.
func each(t *testing.T, f func(t *testing.T, s *server, cfg nodehub.Config)) {
	for _, adapter := range nodehub.Adapters() {
		t.Run(string(adapter), func(t *testing.T) {
			f(t, startServer(t), nodehub.Config{Adapter: adapter})
		})
	}
}

// TestMessages: what one says to everyone, to rooms, and not to others is heard
// by who is on another node; who joins is reached as soon as Join returns.
func TestMessages(t *testing.T) {
	each(t, func(t *testing.T, s *server, cfg nodehub.Config) {
		a, b := s.node(cfg), s.node(cfg)
		x, y := a.enter("x", "r1"), b.enter("y", "r1", "r2")
		z := b.enter("z")
		a.say("all", hub.Address{}, 1, []byte{1, 255})
		a.say("r1", hub.Address{Rooms: []string{"r1"}})
		a.say("both", hub.Address{Rooms: []string{"r1", "r2"}})
		a.say("but r2", hub.Address{Except: []string{"r2"}})
		a.say("z", hub.Address{Rooms: []string{"z"}})
		a.say("here", hub.Address{Local: true})
		if err := z.seat.Join("late"); err != nil {
			t.Fatal(err)
		}
		a.say("late", hub.Address{Rooms: []string{"late"}})
		const all = `all 1,{"$binary":"Af8="}`
		a.heard(x, all, "r1 ", "both ", "but r2 ", "here ")
		b.heard(y, all, "r1 ", "both ")
		b.heard(z, all, "but r2 ", "z ", "late ")
		if cfg.Adapter != nodehub.Sharded && cfg.Adapter != nodehub.ShardedPrivate { // rooms have channels of their own
			y.mu.Lock()
			defer y.mu.Unlock()
			if !slices.Equal(y.got, []string{all, "r1 ", "both "}) {
				t.Errorf("not in order: %q", y.got)
			}
		}
	})
}

// TestCalls: calls are answered from elsewhere, and end when all have answered,
// or the asker's time is over.
func TestCalls(t *testing.T) {
	each(t, func(t *testing.T, s *server, cfg nodehub.Config) {
		a, b := s.node(cfg), s.node(cfg)
		a.enter("x")
		b.enter("y")
		ask := func(wait time.Duration) (names []string, err error) {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			m := &hub.Message{Event: "who", Call: hub.NewCall()}
			defer m.Call.Close()
			if _, err := a.sp.Publish(ctx, m, hub.Address{}); err != nil {
				return nil, err
			}
			for {
				args, ok, err := m.Call.Next(ctx)
				if !ok {
					slices.Sort(names)
					return names, err
				}
				name, _ := args.At(0).String()
				names = append(names, name)
			}
		}
		if names, err := ask(time.Minute); err != nil || !slices.Equal(names, []string{"x", "y"}) {
			t.Errorf("got %q, %v", names, err)
		}
		b.enter("z").silent = true
		if names, err := ask(300 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || !slices.Equal(names, []string{"x", "y"}) {
			t.Errorf("with one who says nothing: got %q, %v", names, err)
		}
	})
}

// TestMoves: members elsewhere are described, counted, moved and dismissed.
func TestMoves(t *testing.T) {
	each(t, func(t *testing.T, s *server, cfg nodehub.Config) {
		a, b := s.node(cfg), s.node(cfg)
		y := b.enter("y", "r1")
		a.enter("x", "r1")
		to := hub.Address{Rooms: []string{"r1"}}
		var got []string
		for d, err := range a.sp.Elsewhere(t.Context(), to) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(d.ID, d.Rooms, d.Handshake.URL, string(d.Data), d.Handshake.Time.UnixMilli()))
		}
		if want := []string{"y[y r1]/of/y{}1000000000000"}; !slices.Equal(got, want) {
			t.Errorf("described %q, want %q", got, want)
		}
		if n, err := a.sp.CountAll(t.Context(), to); n != 2 || err != nil {
			t.Errorf("counted %d, %v", n, err)
		}
		if err := a.sp.Join(to, "r2"); err != nil {
			t.Fatal(err)
		}
		s.until("y to be in r2", func() bool { return slices.Contains(y.seat.Rooms(), "r2") })
		a.sp.Leave(to, "r2")
		s.until("y to be out of r2", func() bool { return !slices.Contains(y.seat.Rooms(), "r2") })
		if err := a.sp.Dismiss(t.Context(), to, true); err != nil {
			t.Fatal(err)
		}
		s.until("y to be gone", func() bool { return b.sp.Size() == 0 })
	})
}

// TestEvents: the application elsewhere is told, and asked. One that does not
// answer is missed by name of how many.
func TestEvents(t *testing.T) {
	each(t, func(t *testing.T, s *server, cfg nodehub.Config) {
		cfg.Timeout = 2 * time.Second
		a, b := s.node(cfg), s.node(cfg)
		var told atomic.Int32
		b.sp.HandleNodes(func(_ context.Context, _, event string, args packet.Args) (packet.Args, error) {
			if event == "tell" {
				told.Add(1)
			}
			if event == "silence" {
				return packet.Args{}, errors.New("nothing to say")
			}
			return args, nil
		})
		args, _ := packet.Marshal(map[string]int{"a": 1}, 2)
		if err := a.sp.TellNodes("tell", args); err != nil {
			t.Fatal(err)
		}
		s.until("b to be told", func() bool { return told.Load() == 1 })
		answers := func(event string) (list []string, failed error) {
			for answer, err := range a.sp.AskNodes(t.Context(), event, args) {
				if err != nil {
					return list, err
				}
				list = append(list, string(answer.Args.AppendText(nil)))
			}
			return list, nil
		}
		if list, err := answers("ask"); err != nil || !slices.Equal(list, []string{`{"a":1}`}) {
			t.Errorf("got %q, %v", list, err)
		}
		_, err := answers("silence")
		if partial, ok := errors.AsType[*hub.PartialError](err); !ok || !strings.Contains(partial.Error(), "0 of 1 servers") {
			t.Errorf("got %v", err)
		}
	})
}

// TestAway: while Redis is away servers go on for their own, and find each other
// again.
func TestAway(t *testing.T) {
	each(t, func(t *testing.T, s *server, cfg nodehub.Config) {
		cfg.Timeout = time.Second
		var lost, connected atomic.Int32
		cfg.Trace = &nodehub.Trace{Lost: func(error) { lost.Add(1) }, Connected: func() { connected.Add(1) }}
		a, b := s.node(cfg), s.node(cfg)
		x, y := a.enter("x", "r"), b.enter("y", "r")
		s.until("both to be connected", func() bool { return connected.Load() == 2 })
		s.kill()
		s.until("both to notice", func() bool { return lost.Load() == 2 })
		a.say("alone", hub.Address{Local: true})
		a.heard(x, "alone ")
		if _, err := a.sp.CountAll(t.Context(), hub.Address{}); !errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("counting: %v", err)
		}
		late := b.enter("late", "r") // does not fail
		s.start()
		s.until("both to be back", func() bool { return connected.Load() == 4 })
		for _, m := range []*member{y, late} {
			s.until(m.name+" to be reached", func() bool {
				a.say("again", hub.Address{Rooms: []string{"r"}})
				m.mu.Lock()
				defer m.mu.Unlock()
				return slices.Contains(m.got, "again ")
			})
		}
	})
}

// TestForgotten: a space that is made anew is heard, and the one before is not
// counted any more.
func TestForgotten(t *testing.T) {
	each(t, func(t *testing.T, s *server, cfg nodehub.Config) {
		a, b := s.node(cfg), s.node(cfg)
		for range 3 {
			b.hub.Forget("/")
			b.sp = b.hub.Space("/")
		}
		y := b.enter("y", "r")
		if n, err := a.sp.CountAll(t.Context(), hub.Address{}); n != 1 || err != nil {
			t.Errorf("counted %d, %v", n, err)
		}
		a.say("hello", hub.Address{Rooms: []string{"r"}})
		b.heard(y, "hello ")
		a.hub.Forget("/")
		b.hub.Forget("/")
		s.until("nobody to listen any more", func() bool {
			channels, err := s.client.PubSubChannels(t.Context(), "*").Result()
			shards, err2 := s.client.PubSubShardChannels(t.Context(), "*").Result()
			patterns, err3 := s.client.PubSubNumPat(t.Context()).Result()
			if err := errors.Join(err, err2, err3); err != nil {
				t.Fatal(err)
			}
			return len(channels)+len(shards) == 0 && patterns == 0
		})
	})
}

// TestTooMuch: what waits is bounded, and what is beyond is dropped and counted.
func TestTooMuch(t *testing.T) {
	s := startServer(t)
	var dropped atomic.Int32
	cfg := nodehub.Config{MaxPending: 10_000, Timeout: time.Second, Trace: &nodehub.Trace{Dropped: func() { dropped.Add(1) }}}
	a := s.node(cfg)
	a.enter("x")
	s.kill()
	for range 100 {
		a.say("much", hub.Address{}, strings.Repeat("x", 1000))
	}
	s.until("the rest to be dropped", func() bool { return dropped.Load() == 100 })
}

// TestMaxCalls: calls beyond the limit are answered as if nobody was here.
func TestMaxCalls(t *testing.T) {
	s := startServer(t)
	var dropped atomic.Int32
	a := s.node(nodehub.Config{})
	b := s.node(nodehub.Config{MaxCalls: 1, Trace: &nodehub.Trace{Dropped: func() { dropped.Add(1) }}})
	b.enter("y").silent = true
	first := &hub.Message{Event: "who", Call: hub.NewCall()}
	defer first.Call.Close()
	if _, err := a.sp.Publish(t.Context(), first, hub.Address{}); err != nil {
		t.Fatal(err)
	}
	s.until("y to be asked", func() bool { n, _ := first.Call.Counts(); return n == 1 })
	second := &hub.Message{Event: "who", Call: hub.NewCall()}
	defer second.Call.Close()
	if _, err := a.sp.Publish(t.Context(), second, hub.Address{}); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := second.Call.Next(t.Context()); ok || err != nil || dropped.Load() != 1 {
		t.Errorf("got %t, %v, %d dropped", ok, err, dropped.Load())
	}
}

// TestJunk: what is no message is counted, and nothing else.
func TestJunk(t *testing.T) {
	s := startServer(t)
	var ignored atomic.Int32
	a := s.node(nodehub.Config{Trace: &nodehub.Trace{Ignored: func() { ignored.Add(1) }}})
	x := a.enter("x")
	for _, text := range []string{"", "{", "\x93", `{"type":99}`} {
		if err := s.client.Publish(t.Context(), "socket.io-request#/#", text).Err(); err != nil {
			t.Fatal(err)
		}
	}
	s.until("it to be counted", func() bool { return ignored.Load() == 4 })
	a.say("hello", hub.Address{})
	a.heard(x, "hello ")
}

// TestConfig: mistakes are told at once, and no password.
func TestConfig(t *testing.T) {
	_, err := nodehub.Open(t.Context(), nodehub.Config{URL: "redis://u:secret@127.0.0.1:1", Adapter: "other", Timeout: -1})
	if err == nil || !strings.Contains(err.Error(), `"other"`) || !strings.Contains(err.Error(), "negative") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err = nodehub.Open(ctx, nodehub.Config{URL: "redis://u:secret@127.0.0.1:1"}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
