package hostile

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

const addressSessions = `tutti_limit_hits_total{limit="address sessions",stage="quota"}`

// sockets opens so many at once, says how many are let in, and closes them.
func (s *server) sockets(n int, header func(i int) string) (in int) {
	for i := range n {
		if w, err := s.socket(header(i)); err == nil {
			defer w.Close()
			in++
		}
	}
	return in
}

// TestLimits: what one address may have, and all together.
func TestLimits(t *testing.T) {
	const ofAddress, ofAll = 20, 300
	s := start(t, nil, append(subject(t), fmt.Sprintf("--limit-address=%d", ofAddress), "--rate-address-handshakes=100/s burst=200", "--limit-busy=1000", fmt.Sprintf("--limit-sessions=%d", ofAll),
		"--ping-interval=5s", "--ping-timeout=5s", "--timeout-connect=20s")...)
	survive(t, s, "Limits of addresses", []item{
		times(50, item{"sessions of one address", fmt.Sprintf("{n} sessions of one address, of which %d may be", ofAddress), "503 and `Retry-After`; connect_error at a stock client", []string{addressSessions}, nil}, func(t *testing.T, s *server, n int) {
			// The last is of another address.
			in := s.sockets(n+1, func(i int) string { return fmt.Sprintf("X-Forwarded-For: 203.0.113.%d\r\n", 7+i/n) })
			if in != ofAddress+1 {
				t.Errorf("%d are let in, one of another address with them", in)
			}
		}),
		times(1000, item{"handshakes of one address", "{n} handshakes of one address, one after the other", "503 and `Retry-After`, before anything is kept", []string{`tutti_limit_hits_total{limit="address handshakes",stage="quota"}`}, nil}, func(t *testing.T, s *server, n int) {
			r, _ := http.NewRequest("GET", "http://"+s.address+"/socket.io/?EIO=4&transport=websocket", nil)
			r.Header = http.Header{"X-Forwarded-For": {"203.0.113.9"}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
			got := map[int]int{}
			for range n {
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				got[resp.StatusCode]++
				if resp.StatusCode == 503 && resp.Header.Get("Retry-After") == "" {
					t.Error("not told when to come again")
				}
				resp.Body.Close()
			}
			if got[503] == 0 {
				t.Errorf("answered %v", got)
			}
		}),
		times(5000, item{"made up addresses", "{n} handshakes, each with another `X-Forwarded-For` in front of the true one", "held to the limits of the true one", []string{addressSessions, `tutti_limit_hits_total{limit="address handshakes",stage="quota"}`}, nil}, func(t *testing.T, s *server, n int) {
			if in := s.sockets(n, func(i int) string { return fmt.Sprintf("X-Forwarded-For: 10.%d.%d.1, 203.0.113.77\r\n", i/250, i%250) }); in != ofAddress {
				t.Errorf("%d are let in", in)
			}
		}),
		times(400, item{"too many sessions", fmt.Sprintf("{n} sessions of many addresses, of which %d may be", ofAll), "503 and `Retry-After`", []string{`tutti_limit_hits_total{limit="MaxSessions",stage="engine"}`}, nil}, func(t *testing.T, s *server, n int) {
			in := s.sockets(n, func(i int) string { return fmt.Sprintf("X-Forwarded-For: 198.51.100.%d\r\n", i/10+1) })
			if in != ofAll {
				t.Errorf("%d are let in", in)
			}
		}),
	})
}

// TestDescriptors: a process that may have few files open.
func TestDescriptors(t *testing.T) {
	const files = "160"
	few := []string{"sh", "-c", `ulimit -n ` + files + `; exec "$0" "$@"`}
	hold := func(reserve string, evidence ...string) item {
		return times(500, item{"no files left, reserve " + reserve, "{n} connections that say nothing, to a process that may have " + files + " files open", "503, or closed at once; the listener rests in between, operators get in", evidence, nil}, func(t *testing.T, s *server, n int) {
			for range n {
				c, err := net.Dial("tcp", s.address)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			if !eventually(func() bool { _, err := s.metrics(); return err == nil }) {
				t.Error("operators can't look")
			}
			// One that does not rest tries tens of thousands of times a second.
			if n := strings.Count(s.log.String(), "Accept error"); n > 2000 {
				t.Errorf("the listener tried %d times: it spins", n)
			}
		})
	}
	s := start(t, few, append(subject(t), "--limit-reserve=60")...)
	survive(t, s, "Resources: files", []item{hold("60", `tutti_limit_hits_total{limit="files",stage="listener"}`)})
	s = start(t, few, append(subject(t), "--limit-reserve=0")...)
	survive(t, s, "Resources: files", []item{hold("0", noRequest)})
}
