package hostile

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	tooSlow = `tutti_streams_closed_total{door="events",reason="client too slow"}`
	late    = limitWrite + " or " + closedPing // whichever of the two times is over first
)

// TestConsumers: peers that do not take what is sent to them.
func TestConsumers(t *testing.T) {
	const flooded = 40 // MB for everyone in the namespace
	s := start(t, nil, append(subject(t), "--relay=big", "--limit-queue=1MB", "--rate-connection-publishes=none", "--rate-room-publishes=none", "--rate-connection-events=none", "--door-publish-rate=none")...)
	survive(t, s, "Consumers", []item{
		times(30, item{"never reads", fmt.Sprintf("{n} sockets that read nothing, in a namespace where %d MB are sent to all", flooded), "closed after `timeout.write`, or for want of a heartbeat", []string{late}, nil}, func(t *testing.T, s *server, n int) { starve(t, s, n, flooded, nil) }),
		times(30, item{"never reads but pongs", "the same, with pongs every 20 ms", "closed all the same: a pong counts for the ping that was written", []string{late}, nil}, func(t *testing.T, s *server, n int) {
			starve(t, s, n, flooded, func(w *wire) {
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				for range tick.C {
					if w.send(opText, []byte("3")) != nil {
						return
					}
				}
			})
		}),
		times(10, item{"reads a byte at a time", "{n} sockets that read 20 bytes a second", "closed", []string{late}, nil}, func(t *testing.T, s *server, n int) {
			starve(t, s, n, flooded, func(w *wire) {
				tick := time.NewTicker(50 * time.Millisecond)
				defer tick.Stop()
				one := make([]byte, 1)
				for range tick.C {
					if _, err := w.Conn.Read(one); err != nil {
						return
					}
				}
			})
		}),
		times(300, item{"polls no more", "{n} sessions in a namespace that poll once, then 10 MB for it", "the session ends", []string{closedPing}, nil}, func(t *testing.T, s *server, n int) {
			for range n {
				s.request(t, "POST", s.poll(t), `40`)
			}
			fill(t, s, 10)
		}),
		times(100, item{"event streams that do not read", "{n} event streams that read nothing, in a room that gets 18 MB", "closed: too slow", []string{tooSlow}, nil}, func(t *testing.T, s *server, n int) {
			before, err := s.metrics()
			if err != nil {
				t.Fatal(err)
			}
			for range n {
				c := s.dial(t)
				small(c)
				fmt.Fprintf(c, "GET /events?room=news HTTP/1.1\r\nHost: localhost\r\n\r\n")
				defer c.Close()
			}
			const size = 900_000
			body := `{"room":"news","event":"e","data":"` + strings.Repeat("x", size) + `"}`
			for range 18_000_000 / size {
				if status, text := s.request(t, "POST", "/api/publish", body, "Content-Type: application/json"); status != 200 {
					t.Errorf("publishing is answered %d %s", status, text)
				}
			}
			if !eventually(func() bool {
				now, err := s.metrics()
				return err == nil && now[tooSlow] >= before[tooSlow]+float64(n)
			}) {
				t.Error("streams that nobody reads are still there, or ended otherwise")
			}
		}),
	})
}

// starve has sockets that do not read in the main namespace, while much is sent
// to all there. keep is what they do meanwhile, on goroutines that end with them.
func starve(t *testing.T, s *server, n, megabytes int, keep func(w *wire)) {
	t.Helper()
	var all []*wire
	for range n {
		w := must(t)(s.socket(""))
		small(w.Conn)
		if keep != nil {
			go keep(w)
		}
		all = append(all, w)
	}
	fill(t, s, megabytes)
	if !eventually(func() bool { r, err := s.metrics(); return err == nil && r["tutti_sessions"] == 0 }) {
		t.Error("those who do not read are still there")
	}
	for _, w := range all {
		w.Close()
	}
}

// fill sends so many MB to everyone in the main namespace. It is there itself,
// and waits for what it has sent to come back: so all of it was handed out.
func fill(t *testing.T, s *server, megabytes int) {
	t.Helper()
	w := must(t)(s.socket(""))
	const each, ahead = 100_000, 10
	back := 0
	for i := range megabytes * 1_000_000 / each {
		for ; i-back >= ahead; back++ {
			w.until(t, `42["big",`)
		}
		w.text(t, `42["big","`+strings.Repeat("x", each)+`"]`)
	}
	for ; back < megabytes*1_000_000/each; back++ {
		w.until(t, `42["big",`)
	}
	w.Close()
}

// TestPressure: a process with little memory, and peers for which far more
// waits.
func TestPressure(t *testing.T) {
	s := start(t, []string{"env", "GOMEMLIMIT=100MiB"}, append(subject(t), "--relay=big", "--limit-queue=4MB", "--timeout-write=10m", "--ping-timeout=1m",
		"--rate-connection-events=none", "--rate-connection-publishes=none", "--limit-tape=1MB")...)
	survive(t, s, "Resources: memory", []item{
		times(200, item{"memory pressure", "GOMEMLIMIT of 100 MiB, {n} sockets with 900 kB of a message each that does not end", "those for whom most waits are cut off", []string{`tutti_limit_hits_total{limit="waiting",stage="quota"}`, "tutti_shed_bytes_total"}, nil}, func(t *testing.T, s *server, n int) {
			for i := range n {
				w := must(t)(s.socket(""))
				defer w.Close()
				room := fmt.Sprintf("room:%d", i)
				w.call(t, 1, "join", `{"room":"`+room+`"}`)
				for range 2 {
					w.text(t, `42["publish",{"room":"`+room+`","event":"e","data":"`+strings.Repeat("y", 60_000)+`"}]`)
				}
				_, _ = w.Write(frame(opText, make([]byte, 900_000)))
			}
			if rss := s.resident(t); rss > 400<<20 {
				t.Errorf("%d MB are resident", rss>>20)
			}
		}),
	})
}

// resident is how many bytes of memory the process has.
func (s *server) resident(t *testing.T) int {
	t.Helper()
	r, err := s.metrics()
	if err != nil {
		t.Fatal(err)
	}
	return int(r["process_resident_memory_bytes"])
}
