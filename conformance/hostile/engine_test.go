package hostile

import (
	"bytes"
	"io"
	"strings"
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
	{"pong flood", "100,000 pongs that answer no ping (a heartbeat thread each elsewhere)", "ignored; then the session ends: too many events", []string{"tutti_unsolicited_pongs_total"}, func(t *testing.T, s *server) {
		w := must(t)(s.socket(""))
		flood(w, "3", 100_000)
		w.Close()
	}},
	{"blind pongs", "pongs every 20 ms and nothing read, which must not keep a session alive", "the session ends", []string{closed}, func(t *testing.T, s *server) {
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
	{"noop flood", "100,000 packets that say nothing", "ignored; then the session ends: too many events", []string{`tutti_limit_hits_total{limit="connection events",stage="quota"}`}, func(t *testing.T, s *server) {
		w := must(t)(s.socket(""))
		flood(w, "6", 100_000)
		w.Close()
	}},
	ending("unknown packet", "a packet of type x", "x", closedParse),
	ending("empty packet", "a packet without a type", "", closedParse),
	{"data after the end", "a close packet, and events after it", "the session ends, nothing is heard", []string{closedGone}, func(t *testing.T, s *server) {
		w := must(t)(s.socket(""))
		w.text(t, "1")
		flood(w, `42["echo",1]`, 1000)
		w.Close()
	}},
	{"no answer to pings", "50 sessions that never answer", "the session ends", []string{closedPing}, func(t *testing.T, s *server) {
		crowd(50, func(int) {
			if w, err := s.engine(""); err == nil {
				_ = w.send(opText, []byte("40"))
				_, _ = io.Copy(io.Discard, w)
				w.Close()
			}
		})
	}},
	{"no GET any more", "50 sessions that poll once and never again", "the session ends", []string{closedPing}, func(t *testing.T, s *server) {
		for range 50 {
			s.request(t, "POST", s.poll(t), "40")
		}
	}},
	{"no namespace", "50 sessions that never connect to one", "the session ends after `timeout.connect`", []string{limitConfirm}, func(t *testing.T, s *server) {
		crowd(50, func(int) {
			w, err := s.engine("")
			for err == nil {
				_, _, err = w.read() // and answers pings
			}
		})
	}},
}

// probing opens a WebSocket for a session that polls.
func (s *server) probing(t *testing.T, url string) *wire {
	t.Helper()
	return must(t)(s.open(strings.Replace(url, "=polling", "=websocket", 1), ""))
}

var upgradeItems = []item{
	{"wrong probe", "a probe with another text, binary, empty", "the WebSocket is closed, the session goes on", []string{opened}, func(t *testing.T, s *server) {
		for _, probe := range []string{"2prob", "2", "probe", "4", "2probe2probe"} {
			url := s.poll(t)
			w := s.probing(t, url)
			w.text(t, probe)
			w.closed(t)
			if status, _ := s.request(t, "POST", url, "40"); status != 200 {
				t.Errorf("after %q the session is gone", probe)
			}
		}
	}},
	{"upgrade without a probe", "an upgrade packet first", "served: everything has its order", []string{"tutti_sessions_upgraded_total"}, func(t *testing.T, s *server) {
		w := s.probing(t, s.poll(t))
		w.text(t, "5")
		w.text(t, "40")
		w.until(t, "40{")
	}},
	{"probe and silence", "20 upgrades that are never completed", "the WebSocket is closed after `timeout.upgrade`", []string{limitUpgrade}, func(t *testing.T, s *server) {
		crowd(20, func(int) {
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
	}},
	{"1000 upgrades of one session", "1,000 WebSockets for the same session", "one is probed, the others are closed", []string{opened}, func(t *testing.T, s *server) {
		url := strings.Replace(s.poll(t), "=polling", "=websocket", 1)
		for range 10 {
			crowd(100, func(int) {
				if w, err := s.open(url, ""); err == nil {
					_ = w.send(opText, []byte("2probe"))
					w.Close()
				}
			})
		}
	}},
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
	{"reset during an upgrade", "200 WebSockets that are reset right after the handshake (an exception elsewhere)", "the session goes on", []string{opened}, func(t *testing.T, s *server) {
		crowd(200, func(int) {
			url := strings.Replace(s.poll(t), "=polling", "=websocket", 1)
			if w, err := s.open(url, ""); err == nil {
				reset(w.Conn)
			}
		})
	}},
	{"messages over both transports", "events by POST and by WebSocket while a session moves", "those by WebSocket end the upgrade, the session goes on", []string{opened}, func(t *testing.T, s *server) {
		for range 20 {
			url := s.poll(t)
			w := s.probing(t, url)
			w.text(t, "2probe")
			crowd(2, func(i int) {
				if i == 0 {
					_ = w.send(opText, []byte("40"))
				} else {
					s.request(t, "POST", url, "40")
				}
			})
			w.Close()
		}
	}},
}
