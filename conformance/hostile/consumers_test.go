package hostile

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestConsumers: peers that do not take what is sent to them.
func TestConsumers(t *testing.T) {
	s := start(t, nil, append(subject(t), "--relay=big", "--limit-queue=1MB", "--rate-connection-publishes=none", "--rate-room-publishes=none")...)
	survive(t, s, "Consumers", []item{
		{"never reads", "30 sockets that read nothing, in a room that gets 40 MB", "closed after `timeout.write`, or when `limit.queue` waits", []string{limits, closed}, func(t *testing.T, s *server) { starve(t, s, 30, nil) }},
		{"never reads but pongs", "the same, with pongs every 20 ms", "closed all the same: a pong counts for the ping that was written", []string{limits, closed}, func(t *testing.T, s *server) {
			starve(t, s, 30, func(w *wire) {
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				for range tick.C {
					if w.send(opText, []byte("3")) != nil {
						return
					}
				}
			})
		}},
		{"reads a byte at a time", "10 sockets that read 20 bytes a second", "closed", []string{closed}, func(t *testing.T, s *server) {
			starve(t, s, 10, func(w *wire) {
				tick := time.NewTicker(50 * time.Millisecond)
				defer tick.Stop()
				one := make([]byte, 1)
				for range tick.C {
					if _, err := w.Conn.Read(one); err != nil {
						return
					}
				}
			})
		}},
		{"polls no more", "300 sessions in a room that poll once, then 10 MB for it", "the session ends", []string{closed}, func(t *testing.T, s *server) {
			for range 300 {
				s.request(t, "POST", s.poll(t), `40`)
			}
			fill(t, s, 10)
		}},
		{"event streams that do not read", "100 event streams that read nothing", "closed", []string{"tutti_streams_closed_total"}, func(t *testing.T, s *server) {
			for range 100 {
				c := s.dial(t)
				if tcp, ok := c.(*net.TCPConn); ok {
					_ = tcp.SetReadBuffer(4096)
				}
				fmt.Fprintf(c, "GET /events?room=news HTTP/1.1\r\nHost: localhost\r\n\r\n")
				defer c.Close()
			}
			body := `{"room":"news","event":"e","data":"` + strings.Repeat("x", 900_000) + `"}`
			for range 20 {
				s.request(t, "POST", "/api/publish", body, "Content-Type: application/json")
			}
		}},
	})
}

// starve has sockets that do not read in the main namespace, while much is sent
// to all there. keep is what they do meanwhile, on goroutines that end with them.
func starve(t *testing.T, s *server, n int, keep func(w *wire)) {
	t.Helper()
	var all []*wire
	for range n {
		w := must(t)(s.socket(""))
		if tcp, ok := w.Conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4096)
		}
		if keep != nil {
			go keep(w)
		}
		all = append(all, w)
	}
	fill(t, s, 40)
	if !eventually(func() bool { r, err := s.metrics(); return err == nil && r["tutti_sessions"] == 0 }) {
		t.Error("those who do not read are still there")
	}
	for _, w := range all {
		w.Close()
	}
}

// fill sends so many MB to everyone in the main namespace.
func fill(t *testing.T, s *server, megabytes int) {
	t.Helper()
	w := must(t)(s.socket(""))
	done := make(chan struct{})
	go func() { // ends with the connection
		defer close(done)
		_, _ = io.Copy(io.Discard, w)
	}()
	event := frame(fin|opText, []byte(`42["big","`+strings.Repeat("x", 99_980)+`"]`))
	for range megabytes * 10 {
		if _, err := w.Write(event); err != nil {
			break
		}
	}
	w.Close()
	<-done
}

// TestPressure: a process with little memory, and peers for which far more
// waits.
func TestPressure(t *testing.T) {
	s := start(t, []string{"env", "GOMEMLIMIT=100MiB"}, append(subject(t), "--relay=big", "--limit-queue=4MB", "--timeout-write=10m", "--ping-timeout=1m",
		"--rate-connection-events=none", "--rate-connection-publishes=none", "--limit-tape=1MB")...)
	survive(t, s, "Resources: memory", []item{
		{"memory pressure", "GOMEMLIMIT of 100 MiB, 200 sockets with 900 kB of a message each that does not end", "those for whom most waits are cut off", []string{`tutti_limit_hits_total{limit="waiting",stage="quota"}`, "tutti_shed_bytes_total"}, func(t *testing.T, s *server) {
			for i := range 200 {
				w := must(t)(s.socket(""))
				defer w.Close()
				room := fmt.Sprintf("room:%d", i)
				w.call(t, 1, "join", `{"room":"`+room+`"}`)
				for range 2 {
					w.text(t, `42["publish",{"room":"`+room+`","event":"e","data":"`+strings.Repeat("y", 60_000)+`"}]`)
				}
				_, _ = w.Write(frame(opText, make([]byte, 900_000)))
			}
			r, err := s.metrics()
			if err != nil {
				t.Fatal(err)
			}
			if rss := r["process_resident_memory_bytes"]; rss > 400<<20 {
				t.Errorf("%.0f MB are resident", rss/1e6)
			}
		}},
	})
}
