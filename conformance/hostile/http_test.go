package hostile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What operators see, by series.
const (
	noRequest = `tutti_limit_hits_total{limit="request",stage="listener"}`
	refused   = `tutti_requests_refused_total`
	opened    = `tutti_sessions_opened_total`
	limits    = `tutti_limit_hits_total`

	closedParse   = `tutti_sessions_closed_total{reason="parse error"}`
	closedError   = `tutti_sessions_closed_total{reason="transport error"}`
	closedGone    = `tutti_sessions_closed_total{reason="transport close"}`
	closedPing    = `tutti_sessions_closed_total{reason="ping timeout"}`
	closedForced  = `tutti_sessions_closed_total{reason="forced server close"}`
	limitEvents   = `tutti_limit_hits_total{limit="connection events",stage="quota"}`
	limitPayload  = `tutti_limit_hits_total{limit="MaxPayload",stage="engine"}`
	limitConfirm  = `tutti_limit_hits_total{limit="ConfirmTimeout",stage="engine"}`
	limitUpgrade  = `tutti_limit_hits_total{limit="UpgradeTimeout",stage="engine"}`
	limitWrite    = `tutti_limit_hits_total{limit="WriteTimeout",stage="engine"}`
	doorRefused   = `tutti_door_requests_refused_total`
	socketRefused = `tutti_sockets_refused_total`
)

func TestHTTP(t *testing.T) {
	s := start(t, nil, subject(t)...)
	survive(t, s, "HTTP: requests that do not end", slowItems)
	survive(t, s, "HTTP: headers and shapes of requests", shapeItems())
	survive(t, s, "HTTP: the query", queryItems())
	survive(t, s, "HTTP: polling and its bodies", bodyItems())
	survive(t, s, "HTTP: pages of other origins", originItems)
}

// crowd runs f so many times at once, and waits.
func crowd(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// dribble writes one byte after the other, until the server has had enough.
func dribble(c net.Conn, b byte) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
	}
}

var slowItems = []item{
	times(40, item{"header a byte at a time", "{n} connections that send one byte of a header every 50 ms", "closed after `timeout.header`", []string{noRequest}, nil}, func(t *testing.T, s *server, n int) {
		crowd(n, func(int) {
			c := s.dial(t)
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nX: ")
			dribble(c, 'x')
		})
	}),
	times(20, item{"body a byte at a time", "POSTs to {n} sessions, one byte of the body every 50 ms", "the session ends for want of a heartbeat, the request is answered 400", []string{closedPing}, nil}, func(t *testing.T, s *server, n int) {
		crowd(n, func(int) {
			c := s.dial(t)
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n4", s.poll(t))
			dribble(c, 'x')
			if got := listen(c, patience); got != "" && !strings.HasPrefix(got, "HTTP/1.1 400 ") {
				t.Errorf("answered %.100q", got)
			}
		})
	}),
	times(20, item{"body that stops", "POSTs to {n} sessions that announce more than they send", "closed after `timeout.write` at most", []string{noRequest, closedPing + " or " + closedError}, nil}, func(t *testing.T, s *server, n int) {
		crowd(n, func(int) {
			c := s.dial(t)
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n4x", s.poll(t))
			ended(t, c)
		})
	}),
	times(10, item{"body shorter than its length", "{n} POSTs that announce 1,000 bytes, send 2 and end", "the session ends", []string{closedError}, nil}, func(t *testing.T, s *server, n int) {
		for range n {
			c := s.dial(t)
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n4x", s.poll(t))
			c.Close()
		}
	}),
	times(40, item{"body for nobody", "{n} POSTs for unknown sessions, to doors and to no path, whose bodies come a byte at a time", "the refusal, and the connection is closed after `timeout.header`", []string{refused, doorRefused}, nil}, func(t *testing.T, s *server, n int) {
		paths := []string{polling + "&sid=nobody", "/api/publish", "/nowhere", "/socket.io/?EIO=4"}
		crowd(n, func(i int) {
			c := s.dial(t)
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n", paths[i%len(paths)])
			dribble(c, 'x')
		})
	}),
	times(10_000, item{"connections without a byte", "{n} connections that say nothing", "closed after `timeout.header`", []string{noRequest}, nil}, func(t *testing.T, s *server, n int) {
		var all []net.Conn
		for range n {
			all = append(all, s.dial(t))
		}
		s.fresh(t) // while they are there
		for _, c := range all {
			ended(t, c)
			c.Close()
		}
	}),
	times(100, item{"GET abandoned", "{n} sessions whose poll is cut off, half of them while it waits, half while its answer is compressed and written", "the session ends", []string{closedError}, nil}, func(t *testing.T, s *server, n int) {
		crowd(n, func(i int) {
			url := s.poll(t)
			if status, _ := s.request(t, "POST", url, "40"); status != 200 {
				t.Errorf("POST: %d", status)
			}
			if status, _ := s.request(t, "GET", url, ""); status != 200 { // the answer to it
				t.Errorf("GET: %d", status)
			}
			c := s.dial(t)
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n", url)
			if i%2 > 0 { // who has it all before the reset is known to be gone by the next heartbeat only
				s.request(t, "POST", url, `42["echo","`+strings.Repeat("x", 50_000)+`"]`)
			}
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // a reset, not an end
			}
			c.Close()
		})
	}),
}

// shapeItems are single requests, by what is wrong with them.
func shapeItems() []item {
	var items []item
	raw := func(name, tried, told string, evidence string, statuses []int, requests ...string) {
		items = append(items, item{name, tried, told, []string{evidence}, func(t *testing.T, s *server) {
			for i := range 3 * len(requests) {
				request := requests[i%len(requests)]
				got := s.say(t, request)
				status := 0
				_, _ = fmt.Sscanf(strings.Replace(got, "HTTP/1.0", "HTTP/1.1", 1), "HTTP/1.1 %d", &status)
				if !slices.Contains(statuses, status) {
					t.Errorf("%.60q is answered %.200q, want one of %v", request, got, statuses)
				}
			}
		}})
	}
	get := "GET " + polling + " HTTP/1.1\r\nHost: localhost\r\n"
	ws := fmt.Sprintf(upgrade, "/socket.io/?EIO=4&transport=websocket", "%s")
	with := func(h string) string { return fmt.Sprintf(ws, h) }
	raw("2000 headers", "a request with 2,000 headers", "431", noRequest, []int{431}, get+strings.Repeat("X-Header: some value that takes room\r\n", 2000)+"\r\n")
	raw("one long header", "a header of 1 MB", "431", noRequest, []int{431}, get+"X: "+strings.Repeat("x", 1_000_000)+"\r\n\r\n")
	raw("spaces in Sec-WebSocket-Protocol", "30 kB of spaces (ReDoS elsewhere)", "101: nothing of it matters", opened, []int{101}, with("Sec-WebSocket-Protocol: a"+strings.Repeat(" ", 30_000)+"b\r\n"))
	for name, offer := range map[string]string{
		"constructor": "constructor", "semicolons": ";;;", "1000 offers": strings.Repeat("permessage-deflate, ", 1000) + "x",
		"parameters": "permessage-deflate; client_max_window_bits=99; server_max_window_bits=\"", "prototype": "__proto__; toString=1",
	} {
		raw("extensions "+name, "`Sec-WebSocket-Extensions: "+offer[:min(len(offer), 40)]+"`", "101 without the extension, or 4xx", opened, []int{101, 400}, with("Sec-WebSocket-Extensions: "+offer+"\r\n"))
	}
	raw("length and chunks", "`Transfer-Encoding: chunked` and `Content-Length` in one request", "the length is ignored", refused, []int{400}, "POST "+polling+"&sid=x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	raw("two lengths", "two different `Content-Length`", "400", noRequest, []int{400}, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde")
	raw("strange chunks", "`Transfer-Encoding: xchunked`", "501", noRequest, []int{501, 400}, "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n")
	raw("two hosts", "two `Host` headers, and none; for a page and for a session", "400", noRequest, []int{400}, "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET "+polling+" HTTP/1.1\r\n\r\n")
	raw("bare line feeds", "a request with LF instead of CRLF", "taken as it is meant", opened, []int{200}, "GET "+polling+" HTTP/1.1\nHost: localhost\n\n")
	raw("not HTTP", "TLS, SMTP, the protocol of Redis, 10 kB of zeroes", "400, or closed", noRequest, []int{0, 400}, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\r\n\r\n", "EHLO evil.example\r\n\r\n", "*1\r\n$4\r\nPING\r\n\r\n", strings.Repeat("\x00", 10_000)+"\r\n\r\n")
	raw("request behind an upgrade", "a second request in the same packet as the handshake of a WebSocket", "1002: it is no frame", closedError, []int{101}, with("")+"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	raw("upgrade with HTTP 1.0", "the handshake of a WebSocket in HTTP/1.0", "400", refused, []int{400, 505}, strings.Replace(with(""), "HTTP/1.1", "HTTP/1.0", 1))
	raw("Connection close and upgrade", "`Connection: close, upgrade`", "101", opened, []int{101}, strings.Replace(with(""), "Connection: Upgrade", "Connection: close, Upgrade", 1))
	raw("short key", "a `Sec-WebSocket-Key` of 3 bytes", "400", refused, []int{400}, strings.Replace(with(""), "dGhlIHNhbXBsZSBub25jZQ==", "YWJj", 1))
	raw("bad key", "a key that is no base64", "400", refused, []int{400}, strings.Replace(with(""), "dGhlIHNhbXBsZSBub25jZQ==", "!!!!!!!!!!!!!!!!!!!!!!!=", 1))
	raw("two keys", "two `Sec-WebSocket-Key`", "400", refused, []int{400}, with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
	raw("no key", "none", "400", refused, []int{400}, strings.Replace(with(""), "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 1))
	raw("another version", "`Sec-WebSocket-Version: 12`", "426 and the version that is served", refused, []int{426}, strings.Replace(with(""), "Version: 13", "Version: 12", 1))
	raw("no upgrade", "`transport=websocket` without a handshake", "400", refused, []int{400}, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n\r\n")
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.name, b.name) })
	return items
}

func queryItems() []item {
	long := strings.Repeat("x", 20_000)
	cases := []struct {
		name   string
		wrong  string // in the query, & between
		method string
		status int
	}{
		{"no revision", "transport=polling", "GET", 200}, // revision 3, which these settings allow
		{"two revisions", "EIO=4&EIO=9&transport=polling", "GET", 200},
		{"unknown revision", "EIO=constructor&transport=polling", "GET", 200},
		{"no transport", "EIO=4", "GET", 400},
		{"transport constructor", "EIO=4&transport=constructor", "GET", 400},
		{"transport __proto__", "EIO=4&transport=__proto__", "GET", 400},
		{"transport webtransport", "EIO=4&transport=webtransport", "GET", 400},
		{"two transports", "EIO=4&transport=polling&transport=x", "GET", 400},
		{"id of nobody", "EIO=4&transport=polling&sid=nobody", "GET", 400},
		{"id with a slash", "EIO=4&transport=polling&sid=a/../b", "GET", 400},
		{"id with a NUL", "EIO=4&transport=polling&sid=%00", "GET", 400},
		{"two ids", "EIO=4&transport=polling&sid=a&sid=b", "GET", 400},
		{"long id", "EIO=4&transport=polling&sid=" + long, "GET", 400},
		{"bad escapes", "EIO=4&transport=polling&sid=%zz%", "GET", 400},
		{"POST without id", "EIO=4&transport=polling", "POST", 400},
		{"PUT", "EIO=4&transport=polling", "PUT", 400},
		{"DELETE", "EIO=4&transport=polling", "DELETE", 400},
		{"OPTIONS", "EIO=4&transport=polling", "OPTIONS", 204},
		{"JSONP", "EIO=3&transport=polling&j=%3Cscript%3E", "GET", 200},
	}
	var items []item
	for _, c := range cases {
		evidence, told := refused, "400 and the protocol's code"
		switch {
		case c.status == 200:
			evidence, told = opened, "served: the last value counts, an unknown revision is 3"
		case c.status == 204:
			evidence, told = nothing, "a preflight's answer"
		}
		what := "`" + c.method + " ?" + c.wrong[:min(len(c.wrong), 60)] + "`"
		items = append(items, times(20, item{c.name, what + ", {n} times", told, []string{evidence}, nil}, func(t *testing.T, s *server, n int) {
			for range n {
				if status, body := s.request(t, c.method, "/socket.io/?"+c.wrong, ""); status != c.status {
					t.Fatalf("answered %d %s, want %d", status, body, c.status)
				}
			}
		}))
	}
	return append(items,
		item{"id of 1 MB", "`sid` of a million characters", "431, or closed", []string{noRequest}, func(t *testing.T, s *server) {
			if status, _ := s.request(t, "GET", polling+"&sid="+strings.Repeat("x", 1_000_000), ""); status != 431 && status != 0 {
				t.Errorf("answered %d", status)
			}
		}},
		item{"revision 3 with an id of revision 4", "another `EIO` than the session's", "400", []string{refused}, func(t *testing.T, s *server) {
			if status, _ := s.request(t, "GET", strings.Replace(s.poll(t), "EIO=4", "EIO=3", 1), ""); status != 400 {
				t.Errorf("answered %d", status)
			}
		}},
		item{"another transport without an upgrade", "`transport=websocket` for a session that polls, without a handshake", "400", []string{refused}, func(t *testing.T, s *server) {
			if status, _ := s.request(t, "GET", strings.Replace(s.poll(t), "=polling", "=websocket", 1), ""); status != 400 {
				t.Errorf("answered %d", status)
			}
		}},
		item{"the public id for the private", "the id of a socket as that of a session", "400", []string{refused}, func(t *testing.T, s *server) {
			w := must(t)(s.engine(""))
			w.text(t, "40")
			_, id, _ := strings.Cut(w.until(t, "40{"), `"sid":"`)
			id, _, _ = strings.Cut(id, `"`)
			if status, _ := s.request(t, "GET", polling+"&sid="+id, ""); status != 400 {
				t.Errorf("answered %d", status)
			}
		}})
}

func gzipped(n int) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(make([]byte, n)) // a Buffer takes all
	_ = z.Close()
	return b.String()
}

// bodyItems are POSTs of a session of their own each.
func bodyItems() []item {
	const separators, packets = 1_000_000, 500_000
	var items []item
	post := func(name, tried, told, evidence string, status int, body func() string, header ...string) {
		items = append(items, item{name, tried, told, []string{evidence}, func(t *testing.T, s *server) {
			for range 5 {
				got, text := s.request(t, "POST", s.poll(t), body(), header...)
				if got != status && (got != 0 || status != 413) { // who is refused may still be writing
					t.Fatalf("answered %d %.100s, want %d", got, text, status)
				}
			}
		}})
	}
	is := func(s string) func() string { return func() string { return s } }
	post("binary body", "`Content-Type: application/octet-stream` (never answered elsewhere)", "400, the session ends", closedError, 400, is("4x"), "Content-Type: application/octet-stream")
	post("gzip bomb", "`Content-Encoding: gzip`, 50 MB of zeroes in 50 kB", "the body is taken as it is: parse error", closedParse, 200, is(gzipped(50_000_000)), "Content-Encoding: gzip")
	post("body at the limit", "exactly `limit.payload` bytes, which are no packet", "200; the session ends", closedParse, 200, func() string { return "4" + strings.Repeat("9", 999_999) })
	post("body over the limit", "one byte more", "413", limitPayload, 413, func() string { return "4" + strings.Repeat("x", 1_000_000) })
	post("separators", count(separators)+" separators (100 MB and a CPU for minutes elsewhere)", "the session ends", closedParse, 200, func() string { return strings.Repeat("\x1e", separators) })
	post("many packets", count(packets)+" packets of one byte", "the session ends: too many events, or packets", limitEvents, 200, func() string { return strings.Repeat("6\x1e", packets-1) + "6" })
	post("empty body", "a POST without a body", "the session ends", closedParse, 200, is(""))
	post("invalid base64", "`b` and no base64", "the session ends", closedParse, 200, is("b!!!"))
	post("mixed", "good packets, then one that is none", "the session ends", closedParse, 200, is("40\x1e42[\"echo\",1]\x1eb?\x1e4"))
	items = append(items, bodyKinds, tinyChunks, twoPosts, twoGets, postAfterClose)
	return items
}

var bodyKinds = item{"packet types", "each of the 256 bytes as a packet's type", "ok, or the session ends", []string{closedParse}, func(t *testing.T, s *server) {
	for b := range 256 {
		if status, _ := s.request(t, "POST", s.poll(t), string([]byte{byte(b), 'x'})); status != 200 {
			t.Errorf("type %#x is answered %d", b, status)
		}
	}
}}

var tinyChunks = times(200_000, item{"chunks of one byte", "a body of {n} chunks of one byte, digits without an end (quadratic elsewhere)", "200; the session ends", []string{closedParse}, nil}, func(t *testing.T, s *server, n int) {
	c := s.dial(t)
	go fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n", s.poll(t), "1\r\n4\r\n"+strings.Repeat("1\r\n9\r\n", n-1))
	if got := listen(c, bearable); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("answered %.100q", got)
	}
})

var twoPosts = item{"two POSTs at a time", "a second POST while the first is under way", "400, the session ends", []string{closedError}, func(t *testing.T, s *server) {
	url := s.poll(t)
	c := s.dial(t)
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n", url)
	_ = listen(c, 200*time.Millisecond)
	if status, _ := s.request(t, "POST", url, "40"); status != 400 {
		t.Errorf("answered %d", status)
	}
}}

var twoGets = item{"two GETs at a time", "a second GET while the first waits", "400, the session ends", []string{closedError}, func(t *testing.T, s *server) {
	url := s.poll(t)
	var statuses [2]int
	crowd(2, func(i int) { statuses[i], _ = s.request(t, "GET", url, "") })
	if !slices.Contains(statuses[:], 400) {
		t.Errorf("answered %v", statuses)
	}
}}

var postAfterClose = item{"POST after the end", "packets for a session that has closed", "400", []string{refused}, func(t *testing.T, s *server) {
	url := s.poll(t)
	s.request(t, "POST", url, "1")
	if !eventually(func() bool { status, _ := s.request(t, "POST", url, "40"); return status == 400 }) {
		t.Error("a session that was closed takes packets")
	}
}}
