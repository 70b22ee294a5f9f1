package hostile

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A redis is a connection to a redis-server of the test's own.
type redis struct {
	net.Conn
	in  *bufio.Reader
	url string
}

func startRedis(t *testing.T) *redis {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("no redis-server, which this test starts: run scripts/debian.sh redis-server (%v)", err)
	}
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	p := exec.Command(binary, "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--appendonly", "yes")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait() // it was killed
	})
	r := &redis{url: "redis://" + address}
	if !eventually(func() bool { r.Conn, err = net.Dial("tcp", address); return err == nil }) {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	r.in = bufio.NewReader(r.Conn)
	return r
}

// do sends a command and returns the texts and numbers of the answer.
func (r *redis) do(t *testing.T, words ...string) []string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	_ = r.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(r, b.String()); err != nil {
		t.Fatal(err)
	}
	return r.answer(t)
}

func (r *redis) answer(t *testing.T) (all []string) {
	t.Helper()
	line, err := r.in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	line = strings.TrimSpace(line)
	n, _ := strconv.Atoi(line[1:]) // 0 for texts
	switch line[0] {
	case '*':
		for range n {
			all = append(all, r.answer(t)...)
		}
		return all
	case '$':
		text := make([]byte, max(n, 0)+2)
		if n < 0 {
			return []string{""}
		}
		if _, err := io.ReadFull(r.in, text); err != nil {
			t.Fatal(err)
		}
		return []string{string(text[:n])}
	case '-':
		t.Fatalf("redis: %s", line)
	}
	return []string{line[1:]}
}

// pretending are headers of who pretends to be another node.
func pretending(token string, peer string) []string {
	return []string{"X-Tutti-Token: " + token, "X-Tutti-Peer: " + peer}
}

// TestCluster: nodes take what other nodes pass on by their public address, and
// hear each other by the engine.
func TestCluster(t *testing.T) {
	const ofAddress = 20
	r := startRedis(t)
	flags := func() []string {
		var args []string
		for _, a := range subject(t) {
			if !strings.HasPrefix(a, "--data=") && !strings.HasPrefix(a, "--trusted-proxies=") {
				args = append(args, a)
			}
		}
		return append(args, "--engine="+r.url, "--engine-loss", "--limit-exempt=none", fmt.Sprintf("--limit-address=%d", ofAddress), "--rate-address-handshakes=none", "--ping-interval=2s", "--ping-timeout=5s")
	}
	s, other := start(t, nil, flags()...), start(t, nil, flags()...)
	survive(t, s, "Cluster", []item{
		times(50, item{"forged peers", fmt.Sprintf("{n} sessions whose requests claim to be passed on by another node, each for another client, of which one address may have %d: without the secret, with a guessed one", ofAddress), "503: held to the limits of the address that they come from", []string{addressSessions}, nil}, func(t *testing.T, s *server, n int) {
			in := s.sockets(n, func(i int) string {
				return strings.Join(pretending([]string{"", "guess", strings.Repeat("A", 20), strings.Repeat("x", 10_000)}[i%4], fmt.Sprintf("10.0.%d.1:1", i)), "\r\n") + "\r\n"
			})
			if in != ofAddress {
				t.Errorf("%d are let in", in)
			}
		}),
		{"requests in another node's name", "requests for sessions of the other node that claim to be passed on already, with no and with guessed secrets", "400: not passed on, and unknown here", []string{refused}, func(t *testing.T, s *server) {
			url := other.poll(t)
			for _, token := range []string{"", "guess", strings.Repeat("A", 20)} {
				if status, body := s.request(t, "POST", url, "40", pretending(token, "10.0.0.1:1")...); status != http.StatusBadRequest {
					t.Errorf("with %q: %d %s", token, status, body)
				}
			}
			if status, body := s.request(t, "POST", url, "40"); status != http.StatusOK {
				t.Errorf("an honest request is not passed on: %d %s", status, body)
			}
			other.request(t, "POST", url, "1")
		}},
		times(200, item{"sessions of nodes that are not there", "{n} ids that name nodes: unknown, empty, a path, an address, itself, many dots, 10 kB", "400", []string{refused}, nil}, func(t *testing.T, s *server, n int) {
			_, own, _ := strings.Cut(s.poll(t), "sid=")
			_, self, _ := strings.Cut(own, ".")
			for i := range n {
				node := []string{"nobody", "", "..%2f..%2fadmin", "127.0.0.1:1", "http:%2f%2f127.0.0.1", self, "a.b.c.d", strings.Repeat("x", 10_000)}[i%8]
				if status, body := s.request(t, "GET", polling+"&sid=x."+node, ""); status != http.StatusBadRequest {
					t.Fatalf("%.40s: %d %s", node, status, body)
				}
			}
		}),
		times(100, item{"foreign messages on the engine", "whoever may write to the engine publishes to all channels of the cluster, {n} times each: nothing, text, bytes, half of JSON, 1 MB", "not heard by anybody; nodes go on", []string{"tutti_engine_ignored_total"}, nil}, func(t *testing.T, s *server, n int) {
			w := must(t)(s.socket(""))
			w.call(t, 1, "join", `{"room":"room:shared"}`)
			channels := r.do(t, "PUBSUB", "CHANNELS", "*")
			if len(channels) == 0 {
				t.Fatal("no channels")
			}
			messages := []string{"", "foreign", "\x00\xff\x80", `{"a":`, strings.Repeat("\x7f", 1_000_000), strings.Repeat("\x00", 100)}
			for i := range n {
				message := messages[i%len(messages)]
				if len(message) > 1000 && i > 20 {
					continue
				}
				for _, c := range channels {
					r.do(t, "PUBLISH", c, message)
				}
			}
			to := must(t)(other.socket(""))
			to.call(t, 1, "publish", `{"room":"room:shared","event":"honest","data":1}`)
			if got := w.until(t, "42["); !strings.HasPrefix(got, `42["honest"`) {
				t.Errorf("heard %.100s", got)
			}
			to.Close()
			w.Close()
		}),
	})
	other.fresh(t)
}
