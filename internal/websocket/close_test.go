package websocket_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/internal/pipe"
	"github.com/tutti-rt/tutti/internal/websocket"
)

func TestCloseFlushesThenShakesHands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, websocket.Options{})
		p.conn.Send(websocket.Prepare([]byte("last words"), false))
		p.conn.Close(1001, "bye")
		p.conn.Close(1011, "again") // changes nothing
		if err := p.conn.Send(websocket.Prepare(nil, false)); !errors.Is(err, websocket.ErrClosed) {
			t.Errorf("Send after Close: %v", err)
		}
		p.want(fin|text, "last words")
		p.want(fin|clos, closePayload(1001, "bye"))
		p.send(frame(fin|text, "too late"), frame(fin|ping, "too late"))
		synctest.Wait()
		select {
		case <-p.conn.Done():
			t.Error("the socket was closed before the peer's close frame came")
		default:
		}
		p.send(frame(fin|clos, closePayload(1001, "")))
		p.wantEOF()
		if err := p.stop(); !errors.Is(err, websocket.ErrClosed) {
			t.Errorf("Run = %v, want ErrClosed", err)
		}
		if m := p.messages(); len(m) != 0 {
			t.Errorf("messages %q after Close", m)
		}
	})
}

func TestCloseFrames(t *testing.T) {
	for _, tt := range []struct {
		code         int
		reason, want string
	}{
		{1000, "", closePayload(1000, "")},
		{4321, "why", closePayload(4321, "why")},
		{0, "lost", ""}, {1005, "", ""}, {1006, "", ""}, {70000, "", ""}, {-1, "", ""},
		{1000, strings.Repeat("x", 200), closePayload(1000, strings.Repeat("x", 123))},
		{1000, strings.Repeat("€", 60), closePayload(1000, strings.Repeat("€", 41))}, // 123 bytes
		{1000, "a" + strings.Repeat("€", 60), closePayload(1000, "a"+strings.Repeat("€", 40))},
		{1000, "\xff", closePayload(1000, "")},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := start(t, websocket.Options{})
			p.conn.Close(tt.code, tt.reason)
			p.want(fin|clos, tt.want)
			p.stop()
		})
	}
}

// What happens, and when, if the peer does not play along.
func TestCloseTimeouts(t *testing.T) {
	tests := []struct {
		name string
		do   func(p *peer)
		want time.Duration
	}{
		{"peer ignores our close", func(p *peer) { p.conn.Close(1000, "") }, 5 * time.Second},
		{"peer talks on", func(p *peer) {
			go func() {
				for !done(p.conn) {
					p.nc.Write(frame(fin|text, "x"))
					time.Sleep(time.Second)
				}
			}()
			p.conn.Close(1000, "")
		}, 5 * time.Second},
		{"peer ignores that it failed", func(p *peer) { p.send([]byte{fin | text, 0}) }, 5 * time.Second},
		{"peer vanished", func(p *peer) {
			p.nc.(*pipe.Conn).Vanish()
			p.conn.Close(1000, "")
		}, 5 * time.Second},
		{"peer stalled with a full buffer", func(p *peer) {
			p.nc.(*pipe.Conn).Stall()
			p.conn.Send(websocket.Prepare(make([]byte, 100_000), true))
			p.conn.Close(1000, "")
		}, 10 * time.Second},
		{"peer reads a little now and then", func(p *peer) {
			p.conn.Send(websocket.Prepare(make([]byte, 1_000_000), true))
			p.conn.Close(1000, "")
			go func() {
				buf := make([]byte, 1000)
				for {
					time.Sleep(time.Second)
					if _, err := p.nc.Read(buf); err != nil {
						return
					}
				}
			}()
		}, 10 * time.Second},
		{"connection cut", func(p *peer) { p.conn.Close(1000, ""); p.nc.(*pipe.Conn).Cut(nil) }, 0},
		{"aborted while closing", func(p *peer) { p.conn.Close(1000, ""); synctest.Wait(); p.conn.Abort(nil) }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, websocket.Options{})
				synctest.Wait()
				begin := time.Now()
				tt.do(p)
				<-p.conn.Done()
				if took := time.Since(begin); took != tt.want {
					t.Errorf("gone after %v, want %v", took, tt.want)
				}
				if err := <-p.ended; err == nil {
					t.Error("Run returned no reason")
				}
				p.nc.Close()
				time.Sleep(time.Minute) // the peer's goroutine ends
			})
		})
	}
}

func done(c *websocket.Conn) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

// Run tells of a failed peer at once, not when the peer has gone.
func TestRunReturnsBeforeThePeerHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, websocket.Options{})
		begin := time.Now()
		p.send(frame(fin|text, "\xff"))
		<-p.ended
		if time.Since(begin) != 0 {
			t.Errorf("Run returned after %v", time.Since(begin))
		}
		p.ended <- nil
		p.stop()
	})
}

func TestPeerIsCut(t *testing.T) {
	for name, tt := range map[string]struct {
		cut  func(*pipe.Conn)
		code int // of a CloseError, 0 = another error
	}{
		"closed without a close frame": {func(c *pipe.Conn) { c.Close() }, 1006},
		"half closed":                  {func(c *pipe.Conn) { c.CloseWrite() }, 1006},
		"reset":                        {func(c *pipe.Conn) { c.Cut(nil) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, websocket.Options{})
				p.send(frame(text, "half a message"))
				synctest.Wait()
				tt.cut(p.nc.(*pipe.Conn))
				err := <-p.ended
				<-p.conn.Done()
				var closed *websocket.CloseError
				if errors.As(err, &closed) != (tt.code != 0) || closed != nil && closed.Code != tt.code {
					t.Errorf("Run = %v, want code %d", err, tt.code)
				}
				p.nc.Close()
			})
		})
	}
}

func TestCloseBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pipePair()
		p := accept(t, client, server, websocket.Options{})
		p.conn.Close(1000, "")
		p.run(p.record)
		p.send(frame(fin|text, "x"))
		p.wantClose(1000)
		if err := p.stop(); !errors.Is(err, websocket.ErrClosed) {
			t.Errorf("Run = %v, want ErrClosed", err)
		}
		if m := p.messages(); len(m) != 0 {
			t.Errorf("messages %q", m)
		}
	})
}

func TestAbortKeepsTheFirstReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := errors.New("first")
		p := start(t, websocket.Options{})
		p.conn.Abort(first)
		p.conn.Abort(errors.New("second"))
		p.conn.Close(1000, "")
		if err := p.stop(); !errors.Is(err, first) {
			t.Errorf("Run = %v, want the first reason", err)
		}
	})
}

// Everything at once, from everywhere: no deadlock, no leak, one Done.
func TestEndsRace(t *testing.T) {
	for i := range 300 {
		synctest.Test(t, func(t *testing.T) {
			p := start(t, websocket.Options{})
			var wg sync.WaitGroup
			f := websocket.Prepare([]byte("x"), false)
			wg.Go(func() { p.conn.Send(f, f) })
			wg.Go(func() { p.conn.SendNotify(f, func() { p.conn.Queued() }) })
			wg.Go(func() { p.conn.Close(1000, "") })
			wg.Go(func() { p.nc.Write(frame(fin|ping, "")); p.nc.Write(frame(fin|clos, "")) })
			if i%2 == 0 {
				wg.Go(func() { p.conn.Abort(nil) })
			}
			wg.Wait()
			<-p.conn.Done()
			<-p.ended
			p.nc.Close()
		})
	}
}

func TestCloseHandshakesRace(t *testing.T) {
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			p := start(t, websocket.Options{})
			var wg sync.WaitGroup
			wg.Go(func() { p.conn.Close(1000, "") })
			wg.Go(func() { p.nc.Write(frame(fin|clos, "")) })
			begin := time.Now()
			wg.Wait()
			<-p.conn.Done()
			if time.Since(begin) != 0 {
				t.Errorf("both closed, yet somebody waited %v", time.Since(begin))
			}
			<-p.ended
			p.nc.Close()
		})
	}
}
