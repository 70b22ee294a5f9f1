package websocket_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/internal/pipe"
	"github.com/tutti-rt/tutti/internal/websocket"
)

func TestFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, websocket.Options{MaxQueue: -1})
		for _, n := range []int{0, 1, 125, 126, 65535, 65536, 300_000} {
			payload := strings.Repeat("x", n)
			f := websocket.Prepare([]byte(payload), n%2 == 0)
			if head := f.Len() - n; head != 2 && n < 126 || head > 10 {
				t.Errorf("Len of a frame of %d bytes = %d", n, f.Len())
			}
			if err := p.conn.Send(f); err != nil {
				t.Error(err)
			}
			p.want(fin|byte(text+(n+1)%2), payload)
		}
		if err := p.conn.Send(websocket.PreparePing()); err != nil {
			t.Error(err)
		}
		p.want(fin|ping, "")
		p.stop()
	})
}

// Calls may mix with each other, frames of one call may not.
func TestSendIsContiguousAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, websocket.Options{MaxQueue: -1})
		const senders, calls = 8, 200
		for s := range senders {
			go func() {
				for i := range calls {
					a := websocket.Prepare(fmt.Appendf(nil, "%d %d a", s, i), false)
					b := websocket.Prepare(fmt.Appendf(nil, "%d %d b", s, i), false)
					if err := p.conn.Send(a, b); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		next := make([]int, senders)
		for range senders * calls {
			first, err := readFrame(p.r)
			if err != nil {
				t.Fatal(err)
			}
			var s, i int
			fmt.Sscanf(first.payload, "%d %d", &s, &i)
			if i != next[s] || !strings.HasSuffix(first.payload, "a") {
				t.Fatalf("got %q, want call %d of sender %d", first.payload, next[s], s)
			}
			next[s]++
			p.want(fin|text, strings.TrimSuffix(first.payload, "a")+"b")
		}
		p.stop()
	})
}

// counted counts the writes of a connection; gate, if set, holds them back.
type counted struct {
	net.Conn
	mu     sync.Mutex
	writes int
	gate   chan struct{}
}

func (c *counted) Write(p []byte) (int, error) {
	if c.gate != nil {
		<-c.gate
	}
	c.mu.Lock()
	c.writes++
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func TestPendingFramesLeaveInOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pipe.New(1 << 20)
		counter := &counted{Conn: server}
		p := accept(t, client, counter, websocket.Options{})
		p.run(p.record)
		counter.writes, counter.gate = 0, make(chan struct{})
		frame := websocket.Prepare([]byte(strings.Repeat("x", 98)), false) // 100 bytes
		for range 101 {
			if err := p.conn.Send(frame); err != nil {
				t.Error(err)
			}
			synctest.Wait() // the first is being written now; the others wait for it
		}
		if q := p.conn.Queued(); q != 101*(100+64) {
			t.Errorf("Queued = %d, want what has not been written, 16564", q)
		}
		close(counter.gate)
		synctest.Wait()
		if counter.writes != 2 || p.conn.Queued() != 0 {
			t.Errorf("%d writes, %d bytes queued; want the first frame and the other hundred together", counter.writes, p.conn.Queued())
		}
		for range 101 {
			p.want(fin|text, strings.Repeat("x", 98))
		}
		p.stop()
	})
}

func TestFlushedIsCalledAfterTheWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pipe.New(0)
		counter := &counted{Conn: server}
		p := accept(t, client, counter, websocket.Options{})
		p.run(p.record)
		counter.gate = make(chan struct{})
		var order []string
		note := func(s string) func() { return func() { order = append(order, s) } }
		big := websocket.Prepare(make([]byte, 40_000), true)
		p.conn.SendNotify(websocket.Prepare([]byte("a"), false), note("a"))
		synctest.Wait()
		p.conn.SendNotify(websocket.Prepare([]byte("b"), false), note("b"))
		p.conn.Send(big)
		p.conn.SendNotify(websocket.Prepare([]byte("c"), false), note("c"))
		synctest.Wait()
		if len(order) != 0 {
			t.Errorf("flushed %q before any write returned", order)
		}
		counter.gate <- struct{}{}
		synctest.Wait()
		if fmt.Sprint(order) != "[a]" {
			t.Errorf("flushed %q, want a", order)
		}
		counter.gate <- struct{}{}
		synctest.Wait()
		if fmt.Sprint(order) != "[a b]" {
			t.Errorf("flushed %q, want a and b", order)
		}
		p.conn.Abort(nil)
		close(counter.gate)
		p.stop()
		if fmt.Sprint(order) != "[a b]" {
			t.Errorf("flushed %q: what was never written must not be reported", order)
		}
		if err := p.conn.SendNotify(big, note("d")); !errors.Is(err, websocket.ErrClosed) {
			t.Errorf("SendNotify after Abort: %v", err)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, websocket.Options{MaxQueue: 100_000, WriteTimeout: -1})
		p.nc.(*pipe.Conn).Stall()
		frame := websocket.Prepare(make([]byte, 932), true) // 1,000 with its header and overhead
		sent := 0
		for ; sent < 1000; sent++ {
			if err := p.conn.Send(frame); err != nil {
				if !errors.Is(err, websocket.ErrQueueFull) {
					t.Errorf("Send = %v, want ErrQueueFull", err)
				}
				break
			}
			synctest.Wait()
		}
		if q := p.conn.Queued(); q > 100_000 || q < 99_000 {
			t.Errorf("Queued = %d, want the queue full to its 100,000 bytes", q)
		}
		if err := p.conn.Send(frame, frame); !errors.Is(err, websocket.ErrQueueFull) {
			t.Errorf("Send = %v", err)
		}
		p.nc.(*pipe.Conn).Resume()
		for range sent { // and none of the refused
			p.want(fin|bin, string(make([]byte, 932)))
		}
		synctest.Wait()
		huge := websocket.Prepare(make([]byte, 200_000), true)
		if err := p.conn.Send(huge); err != nil {
			t.Errorf("a message beyond MaxQueue with nothing waiting: %v, want it taken", err)
		}
		p.want(fin|bin, string(make([]byte, 200_000)))
		p.stop()
	})
}

// Answers of a few bytes cost more than these: a full queue of them must not
// hold many times what it may.
func TestQueueCountsFramesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, websocket.Options{MaxQueue: 100_000, WriteTimeout: -1})
		p.nc.(*pipe.Conn).Stall()
		if err := p.conn.Send(websocket.Prepare(make([]byte, pipe.DefaultBuffer), true)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the network takes no more: all that follows waits
		left := 100_000 - p.conn.Queued()
		sent := 0
		for p.conn.Send(websocket.Prepare(nil, false)) == nil {
			sent++
		}
		if want := left / (2 + 64); sent != want {
			t.Errorf("%d empty messages were queued in %d bytes, want %d", sent, left, want)
		}
		p.conn.Abort(nil)
		p.stop()
	})
}

// The probe of a slow reader: it is closed by the queue or by the write
// timeout, whichever comes first, and says why.
func TestSlowReaderIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, websocket.Options{})
		begin := time.Now()
		shared := websocket.Prepare(make([]byte, 1000), true)
		var err error
		for err == nil {
			if err = p.conn.Send(shared); err != nil {
				break
			}
			p.nc.Write(frame(fin|ping, "")) // it talks, as long as it can, but does not read
			time.Sleep(100 * time.Millisecond)
		}
		took := time.Since(begin)
		if reason := <-p.ended; !errors.Is(reason, websocket.ErrTooSlow) {
			t.Errorf("Run = %v, want ErrTooSlow", reason)
		}
		// The pipe's 64 KiB take 6.4 s; then nothing moves. The write under way had
		// made progress, at some moment: it gets the 10 s once more.
		if took < 16*time.Second || took > 27*time.Second {
			t.Errorf("closed after %v, want 10 s without progress, 20 s at most", took)
		}
		<-p.conn.Done()
		p.nc.Close()
	})
}

// Progress, however little, keeps a connection.
func TestSlowProgressIsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pipe.New(200)
		p := accept(t, client, server, websocket.Options{})
		p.run(p.record)
		payload := strings.Repeat("0123456789", 300)
		p.conn.Send(websocket.Prepare([]byte(payload), false))
		begin := time.Now()
		var got []byte
		for len(got) < 3004 {
			time.Sleep(9 * time.Second)
			buf := make([]byte, 200)
			n, err := io.ReadFull(client, buf[:min(200, 3004-len(got))])
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, buf[:n]...)
		}
		if string(got[4:]) != payload || time.Since(begin) < 2*time.Minute {
			t.Errorf("got %d bytes after %v", len(got), time.Since(begin))
		}
		p.stop()
	})
}

func TestSendNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, websocket.Options{MaxQueue: 1 << 30, WriteTimeout: -1})
		p.nc.(*pipe.Conn).Stall()
		begin := time.Now()
		for range 1000 {
			if err := p.conn.Send(websocket.Prepare(make([]byte, 10_000), true)); err != nil {
				t.Error(err)
			}
		}
		p.conn.Abort(nil)
		if time.Since(begin) != 0 {
			t.Errorf("Send and Abort waited %v", time.Since(begin))
		}
		if err := <-p.ended; !errors.Is(err, websocket.ErrClosed) {
			t.Errorf("Run = %v, want ErrClosed", err)
		}
		if q := p.conn.Queued(); q != 0 {
			t.Errorf("Queued = %d after Abort", q)
		}
		<-p.conn.Done()
	})
}
