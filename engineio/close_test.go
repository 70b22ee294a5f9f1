package engineio_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws/wsutil"

	"github.com/tutti-rt/tutti/engineio"
)

// calm is a configuration without heartbeats within a test.
var calm = engineio.Config{PingInterval: time.Hour, PingTimeout: time.Hour}

func TestServerCloses(t *testing.T) {
	t.Run("polling, GET pending", func(t *testing.T) {
		run(t, calm, func(h *harness) {
			p := h.poll("")
			pending := p.later()
			h.last().Close(engineio.ReasonForcedServerClose)
			h.want("pending", <-pending, 200, "1")
			h.wantClosed(h.last(), "server closes", engineio.ReasonForcedServerClose)
			p.wantGone("closed")
		})
	})
	t.Run("polling, something to fetch", func(t *testing.T) {
		run(t, calm, func(h *harness) {
			p := h.poll("")
			e := h.last()
			e.say("last", "words")
			e.Close(engineio.ReasonForcedServerClose)
			h.wantClosed(e, "nothing more will be received", engineio.ReasonForcedServerClose)
			if err := e.Send(text("late")); !errors.Is(err, engineio.ErrClosed) {
				t.Errorf("Send after Close: %v", err)
			}
			if e.SendVolatile(text("late")) {
				t.Error("SendVolatile after Close")
			}
			p.send("4unheard")
			time.Sleep(29 * time.Second)
			p.want("4last\x1e4words")
			p.want("1")
			p.wantGone("closed")
			h.wantGot(e)
		})
	})
	t.Run("polling, more to fetch than one answer holds", func(t *testing.T) {
		cfg := calm
		cfg.MaxPayload = 50
		run(t, cfg, func(h *harness) {
			p := h.poll("")
			e := h.last()
			e.say(strings.Repeat("a", 40), strings.Repeat("b", 40))
			e.Close(engineio.ReasonForcedServerClose)
			p.want("4" + strings.Repeat("a", 40))
			p.want("4" + strings.Repeat("b", 40))
			p.want("1")
			p.wantGone("closed")
		})
	})
	t.Run("polling, nobody comes", func(t *testing.T) {
		run(t, calm, func(h *harness) {
			p := h.poll("")
			h.last().say("unread")
			h.last().Close(engineio.ReasonForcedServerClose)
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if n := h.srv.Sessions(); n != 0 {
				t.Errorf("%d sessions after 30 s", n)
			}
			p.wantGone("nobody came")
		})
	})
	t.Run("websocket", func(t *testing.T) {
		run(t, calm, func(h *harness) {
			w := h.socket("")
			e := h.last()
			e.say("last", "words")
			e.Close(engineio.ReasonForcedServerClose)
			w.want("4last", "4words")
			w.wantEnd("server closes", 1000)
			h.wantClosed(e, "server closes", engineio.ReasonForcedServerClose)
		})
	})
	t.Run("websocket, now", func(t *testing.T) {
		run(t, calm, func(h *harness) {
			w := h.socket("")
			h.last().Abort(engineio.ReasonForcedClose)
			w.wantEnd("server aborts", 0)
			h.wantClosed(h.last(), "server aborts", engineio.ReasonForcedClose)
		})
	})
}

func TestClientCloses(t *testing.T) {
	run(t, engineio.Config{AllowEIO3: true}, func(h *harness) {
		p := h.poll("")
		pending := p.later()
		p.send("1")
		h.want("the pending GET", <-pending, 200, "6")
		h.wantClosed(h.last(), "a close packet", engineio.ReasonTransportClose)
		p.wantGone("closed")

		p = h.poll("")
		closed := make(chan answer, 1)
		go func() { closed <- p.post("1") }()
		synctest.Wait()
		h.wantClosed(h.last(), "a close packet", engineio.ReasonTransportClose)
		p.want("6") // a GET at the same time that came a moment later
		h.want("the close packet", <-closed, 200, "ok")
		p.wantGone("closed")
		p = h.poll("")
		p.send("1")
		p.wantGone("a GET after the answer to the close packet")

		p = h.poll("EIO=3")
		pending = p.later()
		p.send("1:1")
		h.want("the pending GET", <-pending, 200, "1:6")
		p.wantGone("closed")

		w := h.socket("")
		w.send("1", "4late")
		w.wantEnd("a close packet", 1000)
		h.wantClosed(h.last(), "a close packet", engineio.ReasonTransportClose)
		h.wantGot(h.last())

		w = h.socket("")
		w.conn.Close()
		h.wantClosed(h.last(), "the connection ended", engineio.ReasonTransportClose)

		w = h.socket("")
		pipeOf(w).Cut(nil)
		h.wantClosed(h.last(), "the connection broke", engineio.ReasonTransportClose)
	})
}

func TestInvalidPacketOverWebSocket(t *testing.T) {
	for _, bad := range []string{"abc", "", "7", "b!"} {
		run(t, engineio.Config{AllowEIO3: true}, func(h *harness) {
			for _, query := range []string{"EIO=4", "EIO=3"} {
				w := h.socket(query)
				w.send(bad, "4late")
				w.wantEnd(bad, 1000)
				h.wantClosed(h.last(), bad, engineio.ReasonParseError)
				h.wantGot(h.last())
			}
		})
	}
	run(t, engineio.Config{AllowEIO3: true}, func(h *harness) {
		w := h.socket("EIO=3")
		w.sendBinary()
		w.wantEnd("bytes without a type", 1000)
		h.wantClosed(h.last(), "bytes without a type", engineio.ReasonParseError)
	})
}

func TestBinaryOverWebSocket(t *testing.T) {
	run(t, engineio.Config{AllowEIO3: true, PingInterval: time.Hour, PingTimeout: time.Hour}, func(h *harness) {
		w := h.socket("")
		h.last().echo()
		w.sendBinary(1, 2, 3)
		w.wantBinary(1, 2, 3)
		w.sendBinary()
		w.wantBinary()
		w.send("bAQID")
		w.wantBinary(1, 2, 3)

		w = h.socket("EIO=3")
		h.last().echo()
		w.sendBinary(4, 1, 2, 3)
		w.wantBinary(4, 1, 2, 3)
		w.send("b4AQID")
		w.wantBinary(4, 1, 2, 3)

		w = h.socket("EIO=4&b64=1")
		h.last().echo()
		w.sendBinary(1, 2, 3)
		w.want("bAQID")
		w = h.socket("EIO=3&b64=1")
		h.last().echo()
		w.sendBinary(4, 1, 2, 3)
		w.want("b4AQID")
	})
}

// A body that does not say how long it is may not be longer either.
func TestTooBigOverPolling(t *testing.T) {
	var hit []string
	cfg := calm
	cfg.MaxPayload = 100
	cfg.Trace = &engineio.Trace{LimitHit: func(l string) { hit = append(hit, l) }}
	run(t, cfg, func(h *harness) {
		p := h.poll("")
		for _, tt := range []struct {
			rule         string
			size, status int
			body         string
		}{
			{"as big as may be", 99, 200, "ok"},
			{"a byte too big", 100, 413, ""},
			{"the session has gone on", 10, 200, "ok"},
		} {
			body := "4" + strings.Repeat("x", tt.size)
			h.want(tt.rule, p.post(body), tt.status, tt.body)
			chunked := struct{ io.Reader }{strings.NewReader(body)} // of a length that nobody knows
			h.want(tt.rule+", chunked", h.doContext(context.Background(), "POST", p.query, chunked), tt.status, tt.body)
		}
		big, small := strings.Repeat("x", 99), strings.Repeat("x", 10)
		h.wantGot(h.last(), big, big, small, small)
		if got := strings.Join(hit, ","); got != "MaxPayload,MaxPayload" {
			t.Errorf("limits hit: %s", got)
		}
	})
}

func TestTooBigOverWebSocket(t *testing.T) {
	cfg := calm
	cfg.MaxPayload = 100
	run(t, cfg, func(h *harness) {
		w := h.socket("")
		w.send("4" + strings.Repeat("x", 99))
		w.send("4" + strings.Repeat("x", 100))
		w.wantEnd("too big", 1009)
		h.wantGot(h.last(), strings.Repeat("x", 99))
		h.wantClosed(h.last(), "too big", engineio.ReasonTransportError)
	})
}

// A peer that takes nothing is closed when its queue is full, and Closed tells why.
func TestSlowPeer(t *testing.T) {
	for _, transport := range []string{"polling", "websocket"} {
		t.Run(transport, func(t *testing.T) {
			var hit []string
			cfg := calm
			cfg.MaxQueue = 100_000
			cfg.Trace = &engineio.Trace{LimitHit: func(l string) { hit = append(hit, l) }}
			run(t, cfg, func(h *harness) {
				if transport == "polling" {
					h.poll("")
				} else {
					h.socket("")
				}
				e := h.last()
				var err error
				n := 0
				for ; err == nil && n < 10_000; n++ {
					err = e.Send(text(strings.Repeat("x", 1000)))
					synctest.Wait()
				}
				if !errors.Is(err, engineio.ErrTooSlow) {
					t.Errorf("after %d messages Send returns %v", n, err)
				}
				h.wantClosed(e, "too slow", engineio.ReasonTransportError)
				if !errors.Is(e.err, engineio.ErrTooSlow) || len(hit) != 1 || hit[0] != "MaxQueue" {
					t.Errorf("cause %v, limits hit %q", e.err, hit)
				}
				if err := e.Send(text("x")); !errors.Is(err, engineio.ErrClosed) {
					t.Errorf("Send afterwards: %v", err)
				}
			})
		})
	}
}

// Empty messages cannot fill the memory either, and one big message may pass.
func TestQueueLimits(t *testing.T) {
	cfg := calm
	cfg.MaxQueue = 100_000
	run(t, cfg, func(h *harness) {
		h.poll("")
		var err error
		n := 0
		for f := text(""); err == nil; n++ {
			err = h.last().Send(f)
		}
		if n < 1000 || n > 2000 {
			t.Errorf("%d empty messages were queued in 100 kB", n)
		}
		p := h.poll("")
		if err := h.last().Send(text(strings.Repeat("x", 500_000))); err != nil {
			t.Errorf("a message bigger than the queue, to a peer for which nothing waits: %v", err)
		}
		if a := p.get(); len(a.body) != 500_001 {
			t.Errorf("%d bytes arrived", len(a.body))
		}
	})
}

func TestSendVolatile(t *testing.T) {
	run(t, calm, func(h *harness) {
		p := h.poll("")
		e := h.last()
		if e.SendVolatile(text("dropped")) {
			t.Error("sent although no GET waits")
		}
		pending := p.later()
		if !e.SendVolatile(text("a"), text("b")) {
			t.Error("dropped although a GET waits")
		}
		h.want("pending", <-pending, 200, "4a\x1e4b")

		w := h.socket("")
		e = h.last()
		synctest.Wait()
		if !e.SendVolatile(text("a")) {
			t.Error("dropped although nothing is queued")
		}
		w.want("4a")
		pipeOf(w).Stall()
		e.say(strings.Repeat("x", 500_000))
		synctest.Wait()
		if e.SendVolatile(text("b")) {
			t.Error("sent although the peer is behind")
		}
		pipeOf(w).Resume()
	})
}

func TestShutdown(t *testing.T) {
	run(t, calm, func(h *harness) {
		waiting, between, w := h.poll(""), h.poll(""), h.socket("")
		h.last()
		ends := h.ends
		pending := waiting.later()
		ends[1].say("unread")
		ends[2].say("last")
		done := make(chan error, 1)
		go func() { done <- h.srv.Shutdown(context.Background()) }()
		synctest.Wait()
		h.want("a GET that waits", <-pending, 200, "1")
		h.want("no new sessions", h.do("GET", "EIO=4&transport=polling", ""), 503, "")
		h.want("no new sessions", h.refused("EIO=4&transport=websocket"), 503, "")
		between.want("4unread")
		between.want("1")
		w.want("4last")
		w.wantEnd("shutdown", 1000)
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		for _, e := range ends {
			h.wantClosed(e, "shutdown", engineio.ReasonShutdown)
		}
	})
}

func TestShutdownCutsAfterItsTime(t *testing.T) {
	run(t, calm, func(h *harness) {
		w := h.socket("")
		pipeOf(w).Vanish()
		h.last().say(strings.Repeat("x", 900_000))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		if err := h.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %v", d)
		}
		synctest.Wait()
		if n := h.srv.Sessions(); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}

// A receiver that panics ends its session, not the process.
func TestPanickingReceiver(t *testing.T) {
	run(t, calm, func(h *harness) {
		w := h.socket("")
		h.last().onMessage = func(engineio.Message) { panic("no") }
		w.send("4a")
		w.wantEnd("panic", 1000)
		h.wantClosed(h.last(), "panic", engineio.ReasonTransportError)
		p := h.poll("")
		h.last().onMessage = func(engineio.Message) { panic("no") }
		p.send("4a")
		h.wantClosed(h.last(), "panic", engineio.ReasonTransportError)
		p.wantGone("panic")
	})
}

// Closed is called once, after the last Receive, whatever happens at the same time.
func TestClosedOnceUnderFire(t *testing.T) {
	for range 100 {
		run(t, calm, func(h *harness) {
			w := h.socket("")
			e := h.last().echo()
			var wg sync.WaitGroup
			for _, f := range []func(){
				func() { e.Close(engineio.ReasonForcedServerClose) },
				func() { e.Abort(engineio.ReasonForcedClose) },
				func() { e.say("a", "b") },
				func() {
					for _, packet := range []string{"4a", "4b", "1"} {
						_ = wsutil.WriteClientText(w.conn, []byte(packet)) // the connection may be closed already
					}
				},
				func() { w.conn.Close() },
			} {
				wg.Go(f)
			}
			wg.Wait()
			synctest.Wait()
			if len(e.closed) != 1 || strings.Contains(strings.Join(e.got, ""), "after") {
				t.Errorf("closed %q, got %q", e.closed, e.got)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// Accept may close or send; what it sends follows the handshake.
func TestAcceptorSendsAndCloses(t *testing.T) {
	greet := func(h *harness) engineio.Acceptor {
		return acceptor(func(s *engineio.Session) engineio.Receiver {
			e := h.Accept(s).(*end)
			e.say("welcome")
			if s.Request().Query().Has("close") {
				e.Close(engineio.ReasonForcedServerClose)
			}
			return e
		})
	}
	runWith(t, calm, greet, func(h *harness) {
		h.socket("").want("4welcome")
		h.poll("").want("4welcome")
		w := h.socket("EIO=4&close=1")
		w.want("4welcome")
		w.wantEnd("closed at once", 1000)
		h.wantClosed(h.last(), "closed at once", engineio.ReasonForcedServerClose)
		p := h.poll("EIO=4&close=1")
		p.want("4welcome")
		p.want("1")
		h.wantClosed(h.last(), "closed at once", engineio.ReasonForcedServerClose)
	})
}

type acceptor func(s *engineio.Session) engineio.Receiver

func (f acceptor) Accept(s *engineio.Session) engineio.Receiver { return f(s) }

// The frames of one Send have nothing between them.
func TestOrderOfSends(t *testing.T) {
	run(t, calm, func(h *harness) {
		w := h.socket("")
		e := h.last()
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for range 50 {
					_ = e.Send(text(string(rune('a'+i))), text(string(rune('a'+i))), text(string(rune('a'+i))))
				}
			})
		}
		wg.Wait()
		for range 200 {
			first, _, _ := w.read()
			w.want(string(first), string(first))
		}
	})
}
