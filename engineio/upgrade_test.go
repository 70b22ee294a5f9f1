package engineio_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/tutti-rt/tutti/engineio"
)

func TestUpgrade(t *testing.T) {
	for _, query := range []string{"EIO=4", "EIO=3"} {
		upgraded := 0
		cfg := engineio.Config{AllowEIO3: true, Trace: &engineio.Trace{SessionUpgraded: func(*engineio.Session) { upgraded++ }}}
		run(t, cfg, func(h *harness) {
			p := h.poll(query)
			e := h.last().echo()
			if e.Transport() != "polling" {
				t.Errorf("transport %q", e.Transport())
			}
			w := p.upgrade()
			if e.Transport() != "websocket" || upgraded != 1 {
				t.Errorf("transport %q after the upgrade, told %d times", e.Transport(), upgraded)
			}
			w.send("4hello")
			w.want("4hello")
			h.want("polling is over", p.get(), 400, `{"code":3,"message":"Bad request"}`)
			h.want("polling is over", p.post("4x"), 400, `{"code":3,"message":"Bad request"}`)
			p.probe().wantEnd("a second WebSocket is accepted and closed", 1000)
			w.send("4still there")
			w.want("4still there")
			h.wantGot(e, "hello", "still there")
			time.Sleep(interval - 50*time.Millisecond)
			h.wantOpen(e, "heartbeats go on")
			w.conn.Close()
			h.wantClosed(e, "the WebSocket ended", engineio.ReasonTransportClose)
		})
	}
}

// While a WebSocket is probed, every GET is sent home within 100 ms, the first at once.
func TestNoopsWhileProbing(t *testing.T) {
	run(t, engineio.Config{PingInterval: time.Hour, PingTimeout: time.Hour}, func(h *harness) {
		p := h.poll("")
		pending := p.later()
		w := p.probe()
		time.Sleep(time.Second)
		select {
		case a := <-pending:
			t.Errorf("a GET was answered before the probe: %v", a)
		default:
		}
		start := time.Now()
		w.send("2probe")
		w.want("3probe")
		h.want("the pending GET", <-pending, 200, "6")
		if d := time.Since(start); d != 0 {
			t.Errorf("the pending GET waited %v", d)
		}
		for range 5 {
			p.want("6")
		}
		if d := time.Since(start); d < 400*time.Millisecond || d > 500*time.Millisecond {
			t.Errorf("five GETs took %v, want one in 100 ms", d)
		}
		h.last().say("a")
		p.want("4a") // messages still go by polling
		w.send("2probe")
		w.want("3probe") // once more does no harm
		w.send("5")
		h.last().say("b")
		w.want("4b")
	})
}

// What was sent before the upgrade and not fetched comes first on the WebSocket.
func TestQueueMovesToTheWebSocket(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		w := p.probe()
		w.send("2probe")
		w.want("3probe")
		h.last().say("a", "b")
		_ = h.last().Send(engineio.Prepare(engineio.Message{Data: []byte{1, 2}, Binary: true}))
		w.send("5")
		synctest.Wait()
		h.last().say("c")
		w.want("4a", "4b")
		w.wantBinary(1, 2)
		w.want("4c")
	})
}

// A ping that was queued for polling is answered on the WebSocket.
func TestPingMovesToTheWebSocket(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		w := p.probe()
		time.Sleep(interval)
		w.send("2probe")
		w.want("3probe")
		w.send("5")
		w.want("2")
		w.send("3")
		w.want("2")
		w.send("3")
		synctest.Wait()
		h.wantOpen(h.last(), "pings were answered")
	})
}

// A GET that is pending when the upgrade completes is refused like one that comes just after.
func TestGETPendingAtUpgrade(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		w := p.probe()
		w.send("2probe")
		w.want("3probe")
		pending := p.later()
		w.send("5")
		h.want("pending", <-pending, 400, `{"code":3,"message":"Bad request"}`)
		h.last().say("a")
		w.want("4a")
	})
}

// An upgrade packet waits for the POST before it.
func TestPOSTInFlightAtUpgrade(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		r, pw := io.Pipe()
		posted := make(chan answer, 1)
		go func() { posted <- h.doContext(context.Background(), "POST", p.query, r) }()
		pw.Write([]byte("4first"))
		synctest.Wait()
		w := p.probe()
		w.send("2probe")
		w.want("3probe")
		w.send("5", "4third")
		synctest.Wait()
		if n := len(h.last().got); n != 0 {
			t.Errorf("%d messages overtook the POST", n)
		}
		pw.Write([]byte("\x1e4second"))
		pw.Close()
		h.want("the POST", <-posted, 200, "ok")
		h.wantGot(h.last(), "first", "second", "third")
	})
}

// A POST that never ends makes the upgrade fail, and nothing else.
func TestEndlessPOSTAtUpgrade(t *testing.T) {
	run(t, engineio.Config{PingInterval: time.Hour, PingTimeout: time.Hour, UpgradeTimeout: time.Second}, func(h *harness) {
		p := h.poll("")
		r, pw := io.Pipe()
		posted := make(chan answer, 1)
		go func() { posted <- h.doContext(context.Background(), "POST", p.query, r) }()
		pw.Write([]byte("4slow"))
		synctest.Wait()
		w := p.probe()
		w.send("2probe")
		w.want("3probe")
		w.send("5", "4lost with the WebSocket")
		w.wantEnd("the upgrade took too long", 1000)
		pw.Close()
		h.want("the POST", <-posted, 200, "ok")
		h.wantGot(h.last(), "slow")
		p.upgrade()
	})
}

func TestUpgradeTimeout(t *testing.T) {
	run(t, engineio.Config{PingInterval: time.Hour, PingTimeout: time.Hour, UpgradeTimeout: time.Second}, func(h *harness) {
		p := h.poll("")
		w := p.probe()
		w.send("2probe")
		w.want("3probe")
		start := time.Now()
		w.wantEnd("no upgrade packet", 1000)
		if d := time.Since(start); d != time.Second {
			t.Errorf("closed after %v", d)
		}
		p.send("4goes on")
		h.wantGot(h.last(), "goes on")
		h.last().say("polling goes on")
		p.want("4polling goes on")
		p.upgrade() // and may be tried again
	})
}

func TestBadProbes(t *testing.T) {
	for name, packets := range map[string][]string{
		"wrong text": {"2prob"}, "no text": {"2"}, "message": {"4hello"}, "noop": {"6"}, "close": {"1"}, "no packet": {"abc"},
		"message after the probe": {"2probe", "4hello"},
	} {
		run(t, engineio.Config{}, func(h *harness) {
			p := h.poll("")
			w := p.probe()
			w.send(packets...)
			if len(packets) > 1 {
				w.want("3probe")
			}
			w.wantEnd(name, 1000)
			p.send("4goes on")
			h.wantGot(h.last(), "goes on")
			p.upgrade()
		})
	}
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		w := p.probe()
		w.sendBinary(1)
		w.wantEnd("binary", 1000)
		w = p.probe()
		w.conn.Close() // the client gives up
		synctest.Wait()
		p.upgrade()
	})
}

// The reference server takes an upgrade packet without a probe; some clients may rely on it.
func TestUpgradeWithoutProbe(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		h.last().echo()
		w := p.probe()
		w.send("5", "4hello")
		w.want("4hello")
	})
}

// Of a thousand WebSockets for one session at the same time, one can win, and the others are closed.
func TestManyUpgradeSockets(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		h.last().echo()
		sockets := make([]*socket, 1000)
		var wg sync.WaitGroup
		for i := range sockets {
			wg.Go(func() {
				var err error
				if sockets[i], err = h.dial("", p.sid); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		won := 0
		for _, w := range sockets {
			_ = w.conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			_, _, err := w.read()
			if nerr, ok := err.(interface{ Timeout() bool }); !ok || !nerr.Timeout() {
				w.conn.Close()
				continue
			}
			won++
			_ = w.conn.SetReadDeadline(time.Time{})
			w.send("2probe")
			w.want("3probe")
			w.send("5", "4hello")
			w.want("4hello")
		}
		if won != 1 {
			t.Errorf("%d WebSockets won", won)
		}
		time.Sleep(30 * time.Second) // closed ones are gone by now
	})
}

func TestSessionEndsWhileProbing(t *testing.T) {
	for name, stop := range map[string]func(h *harness, p *poller){
		"server closes":  func(h *harness, p *poller) { h.last().Close(engineio.ReasonForcedServerClose) },
		"server aborts":  func(h *harness, p *poller) { h.last().Abort(engineio.ReasonForcedClose) },
		"client closes":  func(h *harness, p *poller) { p.send("1") },
		"client is gone": func(h *harness, p *poller) { time.Sleep(interval + timeout) },
		"parse error":    func(h *harness, p *poller) { p.send("x") },
	} {
		run(t, engineio.Config{}, func(h *harness) {
			p := h.poll("")
			w := p.probe()
			w.send("2probe")
			w.want("3probe")
			stop(h, p)
			w.wantEnd(name, 1000)
			time.Sleep(31 * time.Second)
		})
	}
}

// An upgrade that comes too late, to a session that has ended, gets an end and no more.
func TestUpgradeToADeadSession(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		p := h.poll("")
		h.last().Close(engineio.ReasonForcedClose) // it still waits for a GET
		p.probe().wantEnd("closing", 1000)
		p.want("1")
		synctest.Wait() // until who has answered has gone
		h.want("gone", h.refused("EIO=4&transport=websocket&sid="+p.sid), 400, "Session ID unknown")
	})
}

// Traffic in both directions while the session moves: nothing is lost, doubled or overtaken.
func TestOrderUnderUpgrade(t *testing.T) {
	for seed := range uint64(150) {
		orderUnderUpgrade(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

const orderCount = 60

func orderUnderUpgrade(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	pause := func(r *rand.Rand) { time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond) }
	query := []string{"EIO=4", "EIO=3"}[seed%2]
	cfg := engineio.Config{AllowEIO3: true, PingInterval: time.Hour, PingTimeout: time.Hour}
	run(t, cfg, func(h *harness) {
		p := h.poll(query)
		e := h.last()
		go func() { // the server's traffic
			r := rand.New(rand.NewPCG(seed, 2))
			for i := range orderCount {
				e.say(fmt.Sprintf("%d.", i))
				pause(r)
			}
		}()
		c := &movingClient{poller: p, rnd: rnd, v3: seed%2 == 1}
		c.move(time.Duration(rnd.IntN(100)) * time.Millisecond)
		want := ""
		for i := range orderCount {
			want += fmt.Sprintf("%d.", i)
		}
		if c.got != want {
			t.Errorf("client got %q", c.got)
		}
		synctest.Wait()
		if got := strings.Join(e.got, ""); got != want {
			t.Errorf("server got %q", got)
		}
	})
}

// movingClient polls and posts, upgrades after a while as the official clients do, and goes on over WebSocket.
type movingClient struct {
	*poller
	rnd *rand.Rand
	v3  bool

	got  string
	sent int
}

func (c *movingClient) take(payload string) {
	if !c.v3 {
		for part := range strings.SplitSeq(payload, "\x1e") {
			c.takeOne(part)
		}
		return
	}
	for payload != "" {
		var n int
		fmt.Sscanf(payload, "%d:", &n)
		at := strings.IndexByte(payload, ':') + 1
		c.takeOne(payload[at : at+n])
		payload = payload[at+n:]
	}
}

func (c *movingClient) takeOne(packet string) {
	if text, ok := strings.CutPrefix(packet, "4"); ok {
		c.got += text
	}
}

// next returns the next packet to send.
func (c *movingClient) next() string {
	c.sent++
	return fmt.Sprintf("4%d.", c.sent-1)
}

func (c *movingClient) postSome() {
	payload := ""
	for range 1 + c.rnd.IntN(3) {
		if c.sent == orderCount {
			break
		}
		packet := c.next()
		switch {
		case c.v3:
			payload += fmt.Sprintf("%d:%s", len(packet), packet)
		case payload != "":
			payload += "\x1e" + packet
		default:
			payload = packet
		}
	}
	if payload != "" {
		c.send(payload)
	}
}

func (c *movingClient) move(after time.Duration) {
	stop := make(chan struct{})
	var polling, posting sync.WaitGroup
	polling.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				c.take(c.get().body)
			}
		}
	})
	posting.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				c.postSome()
				time.Sleep(time.Duration(c.rnd.IntN(10)) * time.Millisecond)
			}
		}
	})
	time.Sleep(after)
	w := c.probe()
	w.send("2probe")
	w.want("3probe")
	close(stop) // pause: what is under way comes to its end
	polling.Wait()
	posting.Wait()
	w.send("5")
	for c.sent < orderCount {
		w.send(c.next())
	}
	for !strings.HasSuffix(c.got, fmt.Sprintf("%d.", orderCount-1)) {
		data, op, err := w.read()
		if err != nil || op != ws.OpText {
			c.t.Errorf("WebSocket: %q %v", data, err)
			return
		}
		c.takeOne(string(data))
	}
}
