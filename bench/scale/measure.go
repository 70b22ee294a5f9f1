package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
)

// A point is what was measured with so many members.
type point struct {
	Members int `json:"members"`
	// Bytes is reachable memory and stacks, per connection; what the network in
	// memory takes is not in it.
	Bytes      float64 `json:"bytes_per_connection"`
	Goroutines int     `json:"goroutines"`
	// CPU, user and system, in microseconds: of a delivery of 100 bytes; of a
	// ping with its pong; of somebody who comes, which is the handshake, CONNECT
	// and joining the room that the others are in, and goes.
	Delivery  float64 `json:"delivery_us"`
	Heartbeat float64 `json:"heartbeat_us"`
	Come      float64 `json:"come_us"`
	Go        float64 `json:"go_us"`
	// Beats is how many heartbeats there were per second.
	Beats float64 `json:"heartbeats_per_second"`
	// Sweep is how long a message takes until the last member has it, in
	// milliseconds, the median.
	Sweep float64 `json:"sweep_ms"`
	// Hand is how long a message's place in the order is taken until all members
	// have it in their queues, per member, in microseconds, the median: nothing
	// else of the namespace happens meanwhile, however many cores there are.
	Hand float64 `json:"hand_us"`
	// Join and Leave of the room that all are in, in microseconds.
	Join  float64 `json:"join_us"`
	Leave float64 `json:"leave_us"`
	// Allocs per delivery.
	Allocs float64 `json:"allocs_per_delivery"`
	// The garbage collector: pauses of everything in milliseconds, how many, and
	// how long a whole collection takes, beside the work.
	PauseP99  float64 `json:"pause_p99_ms"`
	PauseMax  float64 `json:"pause_max_ms"`
	Pauses    uint64  `json:"pauses"`
	GCSeconds float64 `json:"gc_seconds"`
	// Seconds is how long all this took.
	Seconds float64 `json:"seconds"`
}

// room is the one that everybody is in.
const room = "all"

// beats is how many heartbeats per second there are, whatever the number of
// members, so that each size has the same to do besides.
const beats = 40_000

// interval is that of a member's heartbeats.
func interval(members int) time.Duration {
	return max(time.Duration(members)*time.Second/beats, 10*time.Millisecond)
}

// A trial is a server with its crowd.
type trial struct {
	server *tutti.Server
	dialer *dialer
	crowd  *crowd
	some   chan *tutti.Socket // sockets that join and leave; the first to come
	spare  int                // peers at the end of the crowd that come and go
	beat   float64            // CPU seconds of a heartbeat, once known
}

func newTrial(members, spare int) (*trial, error) {
	t := &trial{crowd: newCrowd(members + spare), some: make(chan *tutti.Socket, 100), spare: spare}
	var err error
	t.server, err = tutti.New(tutti.Config{
		Engine: engineio.Config{
			PingInterval: interval(members),
			PingTimeout:  time.Minute,
		},
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return nil, err
	}
	ns := t.server.Namespace("/")
	ns.OnConnect(func(_ context.Context, s *tutti.Socket) {
		if err := s.Join(room); err != nil {
			t.crowd.strange.Add(1)
		}
		select {
		case t.some <- s:
		default:
		}
	})
	t.dialer, err = newDialer(t.server)
	return t, err
}

// measure does all of it for one size.
func measure(ctx context.Context, members int, effort time.Duration) (point, error) {
	const spare = 2000
	p := point{Members: members}
	began := time.Now()
	t, err := newTrial(members, spare)
	if err != nil {
		return p, err
	}
	empty := live()
	start := read()
	if err := t.connect(ctx, 0, members); err != nil {
		return p, err
	}
	full := time.Now()
	p.Bytes = float64(live()-empty) / float64(members)
	p.GCSeconds = time.Since(full).Seconds() / 2
	p.Goroutines = runtime.NumGoroutine()

	for _, phase := range []func(context.Context, *point, time.Duration) error{
		t.heartbeats, t.deliveries, t.moves, t.cycles,
	} {
		if err := phase(ctx, &p, effort); err != nil {
			return p, err
		}
	}
	end := read()
	p.PauseP99, p.PauseMax, p.Pauses = pauses(start, end)
	p.Seconds = time.Since(began).Seconds()
	if n := t.crowd.strange.Load(); n > 0 {
		return p, fmt.Errorf("%d members: %d times something came that nobody expected", members, n)
	}
	return p, nil // the process ends, and with it the server
}

// connect brings peers to the server and into the room.
func (t *trial) connect(ctx context.Context, from, to int) error {
	const atOnce = 256
	was := t.crowd.connected.Load()
	for i := from; i < to; i++ {
		t.dialer.dial(&t.crowd.peers[i])
		if err := t.crowd.await(ctx, func() bool { return int64(i-from)-(t.crowd.connected.Load()-was) < atOnce }); err != nil {
			return err
		}
	}
	return t.settle(ctx, from, to, was)
}

// settle waits until those who came have joined the room.
func (t *trial) settle(ctx context.Context, from, to int, was int64) error {
	err := t.crowd.await(ctx, func() bool { return t.crowd.connected.Load()-was == int64(to-from) })
	space := t.server.Namespace("/").Space()
	for err == nil && space.Count(room) < to {
		err = pause(ctx, time.Millisecond)
	}
	return err
}

// await waits for something that changes.
func (c *crowd) await(ctx context.Context, done func() bool) error {
	for !done() {
		select {
		case <-c.change:
		case <-time.After(30 * time.Second):
			return errors.New("nothing has happened for half a minute")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// heartbeats lets everybody rest.
func (t *trial) heartbeats(ctx context.Context, p *point, effort time.Duration) error {
	runtime.GC()                               // so that the collector's work for those who came is not in it
	window := max(effort, interval(p.Members)) // everybody has one, however unevenly they came
	was, from := t.crowd.heartbeats.Load(), cpuSeconds()
	if err := pause(ctx, window); err != nil {
		return err
	}
	n := max(t.crowd.heartbeats.Load()-was, 1)
	p.Beats = float64(n) / window.Seconds()
	t.beat = (cpuSeconds() - from) / float64(n)
	p.Heartbeat = 1e6 * t.beat
	return nil
}

// deliveries sends one message after the other to all, each when the one before
// has reached the last: nothing is joined.
func (t *trial) deliveries(ctx context.Context, p *point, effort time.Duration) error {
	ns := t.server.Namespace("/")
	text := strings.Repeat("x", 100)
	var sweeps, hands []float64
	cpu, from, began := t.meter(), read(), time.Now()
	for len(sweeps) < 5 || time.Since(began) < effort {
		t.crowd.expect(p.Members)
		start := time.Now()
		if _, err := ns.To(room).Emit("message", text); err != nil {
			return err
		}
		hands = append(hands, time.Since(start).Seconds())
		select {
		case <-t.crowd.all:
		case <-time.After(30 * time.Second):
			return errors.New("a message has not come in half a minute")
		case <-ctx.Done():
			return ctx.Err()
		}
		sweeps = append(sweeps, time.Since(start).Seconds())
	}
	to, n := read(), float64(len(sweeps)*p.Members)
	p.Delivery = 1e6 * cpu() / n
	p.Allocs = float64(to.allocs-from.allocs) / n
	p.Sweep = 1000 * median(sweeps)
	p.Hand = 1e6 * median(hands) / float64(p.Members)
	return nil
}

// moves lets members leave the room and join it again.
func (t *trial) moves(_ context.Context, p *point, effort time.Duration) error {
	var sockets []*tutti.Socket
	for len(t.some) > 0 {
		sockets = append(sockets, <-t.some)
	}
	var joins, leaves []float64
	for began := time.Now(); time.Since(began) < effort/2; {
		start := time.Now()
		for _, s := range sockets {
			s.Leave(room)
		}
		leaves = append(leaves, time.Since(start).Seconds()/float64(len(sockets)))
		start = time.Now()
		for _, s := range sockets {
			if err := s.Join(room); err != nil {
				return err
			}
		}
		joins = append(joins, time.Since(start).Seconds()/float64(len(sockets)))
	}
	p.Join, p.Leave = 1e6*median(joins), 1e6*median(leaves)
	return nil
}

// cycles lets the spare peers come and go.
func (t *trial) cycles(ctx context.Context, p *point, _ time.Duration) error {
	runtime.GC()
	came := t.meter()
	if err := t.connect(ctx, p.Members, p.Members+t.spare); err != nil {
		return err
	}
	p.Come = 1e6 * came() / float64(t.spare)
	left := t.meter()
	for i := p.Members; i < p.Members+t.spare; i++ {
		t.crowd.peers[i].Send([]byte(sayLeave))
	}
	if err := t.crowd.await(ctx, func() bool { return t.crowd.ended.Load() == int64(t.spare) }); err != nil {
		return err
	}
	space := t.server.Namespace("/").Space()
	for space.Count(room) > p.Members {
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	p.Go = 1e6 * left() / float64(t.spare)
	return nil
}

// meter returns what tells the CPU seconds since, but for heartbeats.
func (t *trial) meter() func() float64 {
	beats, from := t.crowd.heartbeats.Load(), cpuSeconds()
	return func() float64 {
		return max(cpuSeconds()-from-float64(t.crowd.heartbeats.Load()-beats)*t.beat, 0)
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
