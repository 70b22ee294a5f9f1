package websocket_test

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/websocket"
)

// Each message is sent at the moment when the writer is about to leave for want
// of work: none may stay behind.
func TestNoMessageIsLeftBehind(t *testing.T) {
	client, server := pairOf(t, "tcp")
	p := accept(t, client, server, websocket.Options{Loop: &loop})
	p.run(p.record)
	go io.Copy(io.Discard, client)
	left := make(chan struct{}, 1)
	f := websocket.Prepare([]byte("x"), false)
	for i := range 20_000 {
		if err := p.conn.SendNotify(f, func() { left <- struct{}{} }); err != nil {
			t.Fatal(err)
		}
		within(t, left, "a write")
		for range i % 50 { // meet the writer at different points of its way out
			runtime.Gosched()
		}
	}
	p.stop()
}

// A peer that was slow once, and recovered, is as good as any other when the
// deadline of its slow time has passed.
func TestPeerRecovers(t *testing.T) {
	const timeout = time.Second // long enough for a busy machine not to be slow for
	eachNetwork(t, websocket.Options{MaxQueue: -1, WriteTimeout: timeout}, func(t *testing.T, p *peer) {
		p.run(p.record)
		size := 8 << 20 // more than the kernel's buffers
		begin := time.Now()
		p.conn.Send(websocket.Prepare(make([]byte, size), true))
		for p.conn.Queued() == 0 {
			runtime.Gosched()
		}
		if _, err := readFrame(p.r); err != nil {
			t.Fatal(err)
		}
		for time.Since(begin) < timeout*5/4 {
			if err := p.conn.Send(websocket.Prepare([]byte("x"), false)); err != nil {
				t.Fatalf("Send: %v, because of %v", err, p.conn.Err())
			}
			p.want(fin|text, "x")
		}
		p.stop()
	})
}

func TestReceiveAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget on purpose")
	}
	client, server := pairOf(t, "tcp")
	p := accept(t, client, server, websocket.Options{Loop: &loop})
	arrived := make(chan struct{}, 2)
	p.run(func([]byte, bool) error { arrived <- struct{}{}; return nil })
	two := join(frame(fin|text, strings.Repeat("x", 100)), frame(fin|bin, strings.Repeat("y", 10_000)))
	allocs := testing.AllocsPerRun(1000, func() {
		client.Write(two)
		<-arrived
		<-arrived
	})
	if allocs >= 1 {
		t.Errorf("%v allocations for two messages, want 0", allocs)
	}
	p.stop()
}
