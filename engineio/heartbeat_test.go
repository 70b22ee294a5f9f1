package engineio_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/engineio"
)

func TestHeartbeatOverPolling(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		for range 5 {
			start := time.Now()
			p.want("2")
			if d := time.Since(start); d != interval {
				t.Errorf("the ping came after %v, want %v after the pong", d, interval)
			}
			time.Sleep(timeout - 10*time.Millisecond) // a slow peer, just in time
			p.send("3")
		}
		h.wantOpen(h.last(), "pings were answered")
	})
}

func TestHeartbeatOverWebSocket(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		w := h.socket("")
		for range 100 {
			start := time.Now()
			w.want("2")
			if d := time.Since(start); d != interval {
				t.Errorf("the ping came after %v, want %v after the pong", d, interval)
			}
			w.send("3")
		}
		h.wantOpen(h.last(), "pings were answered")
	})
}

func TestPingTimeout(t *testing.T) {
	t.Run("polling", func(t *testing.T) {
		run(t, engineio.Config{}, func(h *harness) {
			p := h.poll("")
			p.want("2")
			pending := p.later()
			time.Sleep(timeout)
			h.want("a GET that waits is told", <-pending, 200, "1")
			h.wantClosed(h.last(), "no pong", engineio.ReasonPingTimeout)
			p.wantGone("no pong")
		})
	})
	t.Run("polling without a GET", func(t *testing.T) {
		run(t, engineio.Config{}, func(h *harness) {
			p := h.poll("")
			time.Sleep(interval + timeout)
			h.wantClosed(h.last(), "a peer that does not poll is reaped", engineio.ReasonPingTimeout)
			p.wantGone("no pong")
		})
	})
	t.Run("websocket", func(t *testing.T) {
		run(t, engineio.Config{}, func(h *harness) {
			w := h.socket("")
			start := time.Now()
			w.want("2")
			w.wantEnd("no pong", 1000)
			if d := time.Since(start); d != interval+timeout {
				t.Errorf("closed after %v, want %v", d, interval+timeout)
			}
			h.wantClosed(h.last(), "no pong", engineio.ReasonPingTimeout)
		})
	})
	t.Run("vanished peer", func(t *testing.T) {
		run(t, engineio.Config{}, func(h *harness) {
			w := h.socket("")
			pipeOf(w).Vanish()
			time.Sleep(interval + timeout)
			h.wantClosed(h.last(), "a dead peer", engineio.ReasonPingTimeout)
			time.Sleep(time.Minute) // the WebSocket gives up on its own
		})
	})
}

// An answer that nobody asked for must not count as a heartbeat, nor start anything.
func TestUnsolicitedPongs(t *testing.T) {
	var pongs atomic.Int64
	trace := &engineio.Trace{UnsolicitedPong: func(*engineio.Session) { pongs.Add(1) }}
	t.Run("ignored and counted", func(t *testing.T) {
		pongs.Store(0)
		run(t, engineio.Config{Trace: trace}, func(h *harness) {
			w := h.socket("")
			for range interval / time.Millisecond {
				w.send("3")
				time.Sleep(time.Millisecond)
			}
			w.want("2")
			w.wantEnd("pongs before the ping are none", 1000)
			h.wantClosed(h.last(), "blind pongs", engineio.ReasonPingTimeout)
			if n := pongs.Load(); n < 290 {
				t.Errorf("%d unsolicited pongs counted", n)
			}
		})
	})
	t.Run("over polling, for a ping that was not fetched", func(t *testing.T) {
		run(t, engineio.Config{Trace: trace}, func(h *harness) {
			p := h.poll("")
			for range 100 {
				if a := p.post("3"); a.status != 200 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			h.wantClosed(h.last(), "pongs of a peer that reads nothing", engineio.ReasonPingTimeout)
		})
	})
	t.Run("a second pong", func(t *testing.T) {
		pongs.Store(0)
		run(t, engineio.Config{Trace: trace}, func(h *harness) {
			w := h.socket("")
			w.want("2")
			w.send("3", "3", "3")
			start := time.Now()
			w.want("2")
			if d := time.Since(start); d != interval {
				t.Errorf("the next ping came after %v, want one timer of %v", d, interval)
			}
			w.send("3")
			synctest.Wait()
			if n := pongs.Load(); n != 2 {
				t.Errorf("%d unsolicited pongs counted, want 2", n)
			}
		})
	})
}

func TestWrongHeartbeatDirection(t *testing.T) {
	run(t, engineio.Config{AllowEIO3: true}, func(h *harness) {
		w := h.socket("EIO=4")
		w.send("2")
		w.wantEnd("revision 4 clients do not ping", 1000)
		h.wantClosed(h.last(), "revision 4 clients do not ping", engineio.ReasonTransportError)

		w = h.socket("EIO=3")
		w.send("3")
		w.wantEnd("revision 3 clients do not pong", 1000)
		h.wantClosed(h.last(), "revision 3 clients do not pong", engineio.ReasonTransportError)

		p := h.poll("EIO=4")
		p.send("2probe")
		p.wantGone("revision 4 clients do not ping")
	})
}

func TestHeartbeatOfRevision3(t *testing.T) {
	run(t, engineio.Config{AllowEIO3: true}, func(h *harness) {
		w := h.socket("EIO=3")
		for range 3 {
			time.Sleep(interval + timeout - 10*time.Millisecond)
			w.send("2")
			w.want("3")
		}
		h.wantOpen(h.last(), "the client pings in time")
		time.Sleep(interval + timeout)
		h.wantClosed(h.last(), "the client pings no more", engineio.ReasonPingTimeout)
		w.wantEnd("the client pings no more", 1000)

		p := h.poll("EIO=3&b64=1")
		for range 3 {
			time.Sleep(interval)
			p.send("1:2")
			p.want("1:3")
		}
		h.wantOpen(h.last(), "the client pings in time")
		time.Sleep(interval + timeout)
		h.wantClosed(h.last(), "the client pings no more", engineio.ReasonPingTimeout)
		p.wantGone("the client pings no more")
	})
}

func TestConfirm(t *testing.T) {
	cfg := engineio.Config{PingInterval: time.Hour, PingTimeout: time.Hour, ConfirmTimeout: time.Second}
	runWith(t, cfg, func(h *harness) engineio.Acceptor { return &unconfirming{h} }, func(h *harness) {
		w := h.socket("")
		e := h.last()
		time.Sleep(999 * time.Millisecond)
		h.wantOpen(e, "there is time left")
		w.wantEnd("nobody wanted the session", 1000)
		h.wantClosed(e, "nobody wanted the session", engineio.ReasonForcedServerClose)

		h.socket("")
		e = h.last()
		e.Confirm()
		time.Sleep(time.Minute)
		h.wantOpen(e, "confirmed")
	})
}

// unconfirming accepts sessions without confirming them.
type unconfirming struct{ h *harness }

func (a *unconfirming) Accept(s *engineio.Session) engineio.Receiver {
	e := &end{Session: s}
	a.h.mu.Lock()
	defer a.h.mu.Unlock()
	a.h.ends = append(a.h.ends, e)
	return e
}
