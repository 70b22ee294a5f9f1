package hostile

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestEngineIO(t *testing.T) {
	s := start(t, nil, subject(t)...)
	survive(t, s, "Engine.IO", engineItems)
	survive(t, s, "Engine.IO", upgradeItems)
}

// flood sends a packet so often, as fast as the server takes it.
func flood(w *wire, packet string, times int) {
	many := bytes.Repeat(frame(fin|opText, []byte(packet)), 100)
	go func() { _, _ = io.Copy(io.Discard, w) }() // ends with the connection
	for range times / 100 {
		if _, err := w.Write(many); err != nil {
			return
		}
	}
}

// ending is an item of one text that ends the session.
func ending(name, tried, text, evidence string) item {
	return item{name, tried, "the session ends", []string{evidence}, func(t *testing.T, s *server) {
		w := must(t)(s.engine(""))
		w.text(t, text)
		w.closed(t)
	}}
}

var engineItems = []item{
	times(100_000, item{"pong flood", "{n} pongs that answer no ping (a heartbeat thread each elsewhere)", "ignored; then the session ends: too many events", []string{"tutti_unsolicited_pongs_total", limitEvents}, nil}, func(t *testing.T, s *server, n int) {
		tooManyEvents(t, s, "3", n)
	}),
	{"blind pongs", "pongs every 20 ms and nothing read, which must not keep a session alive", "the session ends", []string{limitWrite + " or " + closedPing}, func(t *testing.T, s *server) {
		w := must(t)(s.socket(""))
		w.text(t, `42["join",{"room":"room:blind"}]`)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		big := `42["publish",{"room":"room:blind","event":"e","data":"` + strings.Repeat("x", 60_000) + `"}]`
		for range tick.C {
			if w.send(opText, []byte("3")) != nil || w.send(opText, []byte(big)) != nil {
				return
			}
		}
	}},
	ending("ping of a client", "a ping where the server pings", "2", closedError),
	ending("probe outside of an upgrade", "a probe on a session's own WebSocket", "2probe", closedError),
	times(100_000, item{"noop flood", "{n} packets that say nothing", "ignored; then the session ends: too many events", []string{limitEvents}, nil}, func(t *testing.T, s *server, n int) {
		tooManyEvents(t, s, "6", n)
	}),
	ending("unknown packet", "a packet of type x", "x", closedParse),
	ending("empty packet", "a packet without a type", "", closedParse),
	times(1000, item{"data after the end", "a close packet, and {n} events after it, which another socket would hear", "the session ends, nothing is heard", []string{closedGone}, nil}, func(t *testing.T, s *server, n int) {
		other := must(t)(s.socket(""))
		w := must(t)(s.socket(""))
		w.text(t, "1")
		flood(w, `42["echo","late"]`, n)
		w.Close()
		other.text(t, `421["join",{"room":"room:x"}]`)
		for text := ""; !strings.HasPrefix(text, "431["); {
			_, data, err := other.read()
			if text = string(data); err != nil || strings.Contains(text, "late") {
				t.Fatalf("heard %s, %v", text, err)
			}
		}
	}),
	times(50, item{"no answer to pings", "{n} sessions that never answer", "the session ends", []string{closedPing}, nil}, func(t *testing.T, s *server, n int) {
		crowd(n, func(int) {
			if w, err := s.engine(""); err == nil {
				_ = w.send(opText, []byte("40"))
				_, _ = io.Copy(io.Discard, w)
				w.Close()
			}
		})
	}),
	times(50, item{"no GET any more", "{n} sessions that poll once and never again", "the session ends", []string{closedPing}, nil}, func(t *testing.T, s *server, n int) {
		for range n {
			s.request(t, "POST", s.poll(t), "40")
		}
	}),
	times(50, item{"no namespace", "{n} sessions that never connect to one", "the session ends after `timeout.connect`", []string{limitConfirm}, nil}, func(t *testing.T, s *server, n int) {
		crowd(n, func(int) {
			w, err := s.engine("")
			for err == nil {
				_, _, err = w.read() // and answers pings
			}
		})
	}),
}

// tooManyEvents sends a packet so often, and fails unless the session ends for it.
func tooManyEvents(t *testing.T, s *server, packet string, n int) {
	w := must(t)(s.socket(""))
	go func() { _, _ = w.Write(bytes.Repeat(frame(fin|opText, []byte(packet)), n)) }() // ends with the connection
	if code, words := w.closed(t); code != 1008 && code != 0 || code == 1008 && words != "too many events" {
		t.Errorf("closed with %d %q", code, words)
	}
}

// probing opens a WebSocket for a session that polls.
func (s *server) probing(t *testing.T, url string) *wire {
	t.Helper()
	return must(t)(s.open(strings.Replace(url, "=polling", "=websocket", 1), ""))
}

// wrongProbes are packets, | between, binary after a NUL.
var wrongProbes = []variant{
	{"another text", "2prob"}, {"without a text", "2"}, {"without a type", "probe"}, {"a message", "4"}, {"two in one", "2probe2probe"},
	{"empty", ""}, {"binary", "\x002probe"}, {"binary and empty", "\x00"}, {"right, and then another", "2probe|2prob"}, {"right, and then twenty more", "2probe" + strings.Repeat("|2probe", 20)},
}

var upgradeItems = []item{
	{"wrong probe", "a probe that is " + names(wrongProbes), "the WebSocket is closed, the session goes on", []string{opened}, func(t *testing.T, s *server) {
		for _, probe := range wrongProbes {
			url := s.poll(t)
			w := s.probing(t, url)
			for _, packet := range strings.Split(probe.text, "|") {
				op := byte(opText)
				if strings.HasPrefix(packet, "\x00") {
					op, packet = opBinary, packet[1:]
				}
				_ = w.send(op, []byte(packet)) // it may be closed by now
			}
			w.closed(t)
			if status, _ := s.request(t, "POST", url, "40"); status != 200 {
				t.Errorf("after %s the session is gone", probe.name)
			}
		}
	}},
	{"upgrade without a probe", "an upgrade packet first", "served: everything has its order", []string{"tutti_sessions_upgraded_total"}, func(t *testing.T, s *server) {
		w := s.probing(t, s.poll(t))
		w.text(t, "5")
		w.text(t, "40")
		w.until(t, "40{")
	}},
	times(20, item{"probe and silence", "{n} upgrades that are never completed", "the WebSocket is closed after `timeout.upgrade`", []string{limitUpgrade}, nil}, func(t *testing.T, s *server, n int) {
		crowd(n, func(int) {
			url := s.poll(t)
			w := s.probing(t, url)
			w.text(t, "2probe")
			crowd(2, func(i int) {
				if i == 0 {
					w.closed(t)
					return
				}
				for range 3 { // keeps the session alive meanwhile
					if _, body := s.request(t, "GET", url, ""); strings.Contains(body, "2") {
						s.request(t, "POST", url, "3")
					}
				}
			})
		})
	}),
	times(1000, item{"1000 upgrades of one session", "{n} WebSockets for the same session, a hundred at a time", "one is probed at a time, the others are closed", []string{opened}, nil}, func(t *testing.T, s *server, n int) {
		url := strings.Replace(s.poll(t), "=polling", "=websocket", 1)
		for range n / 100 {
			var probed atomic.Int32
			crowd(100, func(int) {
				w, err := s.open(url, "")
				if err != nil {
					return
				}
				_ = w.send(opText, []byte("2probe"))
				if _, data, err := w.read(); err == nil && string(data) == "3probe" {
					probed.Add(1)
				}
				w.Close()
			})
			if n := probed.Load(); n > 100/2 {
				t.Errorf("%d of a hundred are probed", n)
			}
		}
	}),
	{"upgrade of a dead session", "a WebSocket for a session that has ended", "400", []string{refused}, func(t *testing.T, s *server) {
		url := s.poll(t)
		s.request(t, "POST", url, "1")
		if !eventually(func() bool {
			w, err := s.open(strings.Replace(url, "=polling", "=websocket", 1), "")
			if err == nil {
				w.Close()
			}
			return err != nil
		}) {
			t.Error("it can be upgraded")
		}
	}},
	times(200, item{"reset during an upgrade", "{n} WebSockets that are reset right after the handshake (an exception elsewhere)", "the session goes on", []string{opened}, nil}, func(t *testing.T, s *server, n int) {
		crowd(n, func(int) {
			url := s.poll(t)
			if w, err := s.open(strings.Replace(url, "=polling", "=websocket", 1), ""); err == nil {
				reset(w.Conn)
			}
			if status, body := s.request(t, "POST", url, "40"); status != 200 {
				t.Errorf("the session is gone: %d %s", status, body)
			}
		})
	}),
	times(20, item{"messages over both transports", "{n} times: events by POST, an event by WebSocket before the upgrade; then an upgrade in the midst of events, and events by POST after it", "the event that comes too early ends the upgrade and is not heard, the session goes on; all others are heard once and in order", []string{"tutti_sessions_upgraded_total"}, nil}, func(t *testing.T, s *server, n int) {
		for range n {
			bothTransports(t, s)
		}
	}),
}

// bothTransports sends numbers over whichever transport, and hears them back.
func bothTransports(t *testing.T, s *server) {
	p := &poller{t: t, s: s, url: s.poll(t)}
	p.post("40")
	p.until("40{")
	number := func(i int) string { return fmt.Sprintf(`42["echo",%d]`, i) }
	early := s.probing(t, p.url)
	early.text(t, "2probe")
	early.until(t, "3probe")
	p.post(number(0) + "\x1e" + number(1))
	early.text(t, number(100))
	early.closed(t)
	p.post(number(2))
	w := s.probing(t, p.url)
	w.text(t, "2probe")
	w.until(t, "3probe")
	p.post(number(3) + "\x1e" + number(4))
	var heard []string
	for len(heard) < 4 { // the last may wait for the upgrade
		heard = append(heard, p.until(`42["echo",`))
	}
	w.text(t, "5")
	for i := 5; i < 10; i++ {
		w.text(t, number(i))
	}
	for len(p.waiting) > 0 && len(heard) < 5 {
		heard = append(heard, p.until(`42["echo",`))
	}
	for len(heard) < 10 {
		heard = append(heard, w.until(t, `42["echo",`))
		if status, _ := s.request(t, "POST", p.url, number(101)); status == 200 {
			t.Error("a session that has moved takes a POST")
		}
	}
	for i, text := range heard {
		if !strings.HasPrefix(text, fmt.Sprintf(`42["echo",%d,`, i)) && !strings.HasPrefix(text, fmt.Sprintf(`42["echo",%d]`, i)) {
			t.Errorf("number %d is %s", i, text)
		}
	}
	w.Close()
}

// A poller is a client that polls.
type poller struct {
	t       *testing.T
	s       *server
	url     string
	waiting []string // packets that were not looked at
}

func (p *poller) post(body string) {
	p.t.Helper()
	if status, text := p.s.request(p.t, "POST", p.url, body); status != 200 {
		p.t.Fatalf("POST %s: %d %s", body, status, text)
	}
}

// until returns the next packet that begins like that.
func (p *poller) until(prefix string) string {
	p.t.Helper()
	for {
		for len(p.waiting) > 0 {
			packet := p.waiting[0]
			p.waiting = p.waiting[1:]
			if strings.HasPrefix(packet, prefix) {
				return packet
			}
			if packet == "2" {
				p.post("3")
			}
		}
		status, body := p.s.request(p.t, "GET", p.url, "")
		if status != 200 {
			p.t.Fatalf("waiting for %s: %d %s", prefix, status, body)
		}
		p.waiting = strings.Split(body, "\x1e")
	}
}
