package engineio_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tutti-rt/tutti/engineio"
)

// golden is a server configured as the one whose answers were captured, but for the length of its heartbeat.
func golden() engineio.Config {
	return engineio.Config{
		PingInterval: 25e9, PingTimeout: 20e9, MaxPayload: 1000, AllowEIO3: true,
		Origins: []string{"http://a.com"}, Credentials: true,
		Cookie: &http.Cookie{Name: "io", MaxAge: 86400, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode},
		NewID:  func(r *http.Request) string { return r.Header.Get("X-Id") },
		Allow: func(r *http.Request) error {
			switch r.URL.Query().Get("deny") {
			case "nope":
				return fmt.Errorf("wrapped: %w", &engineio.Refusal{Message: "nope"})
			case "private":
				return errors.New("database password is 1234")
			}
			return nil
		},
	}
}

// The answers are those of golden/http.txt, captured from the reference server.
func TestGoldenAnswers(t *testing.T) {
	const origin = "http://a.com"
	for _, tt := range []struct {
		name, method, query, body string
		header                    []string
		status                    int
		want                      string
		kind                      string // Content-Type
	}{
		{"polling handshake", "GET", "EIO=4&transport=polling", "", nil, 200,
			`0{"sid":"ID","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}`, "text/plain; charset=UTF-8"},
		{"polling handshake EIO3 b64", "GET", "EIO=3&transport=polling&b64=1", "", nil, 200,
			`97:0{"sid":"ID","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}`, "text/plain; charset=UTF-8"},
		{"polling handshake EIO3", "GET", "EIO=3&transport=polling", "", nil, 200,
			`97:0{"sid":"ID","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}`, "text/plain; charset=UTF-8"},
		{"no revision is revision 3", "GET", "transport=polling", "", nil, 200,
			`97:0{"sid":"ID","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}`, "text/plain; charset=UTF-8"},
		{"JSONP handshake", "GET", "EIO=4&transport=polling&j=3", "", nil, 200,
			`___eio[3]("0{\"sid\":\"ID\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000}");`, "text/plain; charset=UTF-8"},
		{"JSONP with code for a number", "GET", "EIO=4&transport=polling&j=alert(1)//2", "", nil, 200,
			`___eio[12]("0{\"sid\":\"ID\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000}");`, "text/plain; charset=UTF-8"},
		{"unknown transport", "GET", "EIO=4&transport=constructor", "", nil, 400, `{"code":0,"message":"Transport unknown"}`, "application/json"},
		{"no transport", "GET", "EIO=4", "", nil, 400, `{"code":0,"message":"Transport unknown"}`, "application/json"},
		{"unknown sid", "GET", "EIO=4&transport=polling&sid=nobody", "", nil, 400, `{"code":1,"message":"Session ID unknown"}`, "application/json"},
		{"unknown sid of 100 kB", "GET", "EIO=4&transport=polling&sid=" + strings.Repeat("x", 100_000), "", nil, 400, `{"code":1,"message":"Session ID unknown"}`, "application/json"},
		{"sid with escapes", "GET", "EIO=4&transport=polling&sid=%00%2F..%2F", "", nil, 400, `{"code":1,"message":"Session ID unknown"}`, "application/json"},
		{"bad method", "POST", "EIO=4&transport=polling", "4x", nil, 400, `{"code":2,"message":"Bad handshake method"}`, "application/json"},
		{"bad method", "PUT", "EIO=4&transport=polling", "", nil, 400, `{"code":2,"message":"Bad handshake method"}`, "application/json"},
		{"WebSocket over plain GET", "GET", "EIO=4&transport=websocket", "", nil, 400, `{"code":3,"message":"Bad request"}`, "application/json"},
		{"denied", "GET", "EIO=4&transport=polling&deny=nope", "", nil, 403, `{"code":4,"message":"nope"}`, "application/json"},
		{"denied, in private words", "GET", "EIO=4&transport=polling&deny=private", "", nil, 403, `{"code":4,"message":"Forbidden"}`, "application/json"},
		{"preflight", "OPTIONS", "EIO=4&transport=polling", "", []string{"Access-Control-Request-Headers", "content-type,x-foo"}, 204, "", ""},
		{"of repeated parameters the last counts", "GET", "EIO=3&transport=constructor&EIO=4&transport=polling", "", nil, 200,
			`0{"sid":"ID","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}`, "text/plain; charset=UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, golden(), func(h *harness) {
				a := h.do(tt.method, tt.query, tt.body, append(tt.header, "Origin", origin, "X-Id", "ID")...)
				h.want(tt.name, a, tt.status, tt.want)
				if kind := a.header.Get("Content-Type"); kind != tt.kind {
					t.Errorf("Content-Type %q, want %q", kind, tt.kind)
				}
				for key, want := range map[string]string{"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"} {
					if got := a.header.Get(key); got != want {
						t.Errorf("%s is %q, want %q", key, got, want)
					}
				}
				if vary := a.header.Get("Vary"); !strings.HasPrefix(vary, "Origin") {
					t.Errorf("Vary is %q", vary)
				}
				cookie, store := "", ""
				if a.status == 200 {
					cookie, store = "io=ID; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax", "no-store"
				}
				if got := a.header.Get("Set-Cookie"); got != cookie {
					t.Errorf("Set-Cookie is %q, want %q", got, cookie)
				}
				if got := a.header.Get("Cache-Control"); got != store {
					t.Errorf("Cache-Control is %q, want %q", got, store)
				}
			})
		})
	}
}

func TestGoldenAnswersOfASession(t *testing.T) {
	cfg := golden()
	cfg.NewID, cfg.Cookie = nil, nil
	for _, tt := range []struct {
		name, method, query, body string
		header                    []string
		status                    int
		want                      string
		goesOn                    bool
	}{
		{"POST", "POST", "", "4hello", nil, 200, "ok", true},
		{"too big", "POST", "", strings.Repeat("4", 1001), nil, 413, "", true},
		{"as big as allowed", "POST", "", "4" + strings.Repeat("x", 999), nil, 200, "ok", true},
		{"binary body", "POST", "", "4x", []string{"Content-Type", "application/octet-stream"}, 400, "", false},
		{"PUT", "PUT", "", "", nil, 500, "", true},
		{"DELETE", "DELETE", "", "", nil, 500, "", true},
		{"unparsable packet", "POST", "", "abc", nil, 200, "ok", false},
		{"other revision", "GET", "&EIO=3", "", nil, 400, `{"code":3,"message":"Bad request"}`, true},
		{"no revision", "GET", "&EIO=", "", nil, 400, `{"code":3,"message":"Bad request"}`, true},
		{"other transport", "GET", "&transport=websocket", "", nil, 400, `{"code":3,"message":"Bad request"}`, true},
		{"other transport", "POST", "&transport=websocket", "4x", nil, 400, `{"code":3,"message":"Bad request"}`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, cfg, func(h *harness) {
				p := h.poll("")
				h.want(tt.name, h.do(tt.method, p.query+tt.query, tt.body, tt.header...), tt.status, tt.want)
				if tt.goesOn {
					p.send("4still there")
				} else {
					p.wantGone(tt.name)
				}
			})
		})
	}
}

func TestWebSocketHandshakes(t *testing.T) {
	run(t, golden(), func(h *harness) {
		w, header, err := h.dialWith("", "", http.Header{"Origin": {"http://a.com"}, "X-Id": {"ID"}})
		if err != nil {
			t.Fatal(err)
		}
		w.want(`0{"sid":"ID","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}`)
		if header.Get("Access-Control-Allow-Origin") != "http://a.com" || header.Get("Set-Cookie") != "" {
			t.Errorf("headers %v, want the page's origin allowed and no cookie", header)
		}
		w.conn.Close()
	})
}

// refused asks for a WebSocket in a way that is to be refused.
func (h *harness) refused(query string, header ...string) answer {
	h.t.Helper()
	header = append([]string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, header...)
	return h.do("GET", query, "", header...)
}

func TestRefusedWebSockets(t *testing.T) {
	run(t, golden(), func(h *harness) {
		p := h.pollAs("ID")
		for _, tt := range []struct {
			name, query string
			header      []string
			status      int
			want        string
		}{
			{"denied", "EIO=4&transport=websocket&deny=nope", nil, 400, "nope"},
			{"foreign origin", "EIO=4&transport=websocket", []string{"Origin", "http://evil.com"}, 400, "Forbidden"},
			{"null origin", "EIO=4&transport=websocket", []string{"Origin", "null"}, 400, "Forbidden"},
			{"unknown transport", "EIO=4&transport=abc", nil, 400, "Transport unknown"},
			{"no transport", "EIO=4", nil, 400, "Transport unknown"},
			{"unknown sid", "EIO=4&transport=websocket&sid=nobody", nil, 400, "Session ID unknown"},
			{"other revision", "EIO=3&transport=websocket&sid=" + p.sid, nil, 400, "Bad request"},
			{"polling does not upgrade", "EIO=4&transport=polling", nil, 400, "Bad request"},
			{"polling does not upgrade", "EIO=4&transport=polling&sid=" + p.sid, nil, 400, "Bad request"},
			{"wrong version", "EIO=4&transport=websocket", []string{"Sec-WebSocket-Version", "12"}, 426, ""},
			{"bad key", "EIO=4&transport=websocket", []string{"Sec-WebSocket-Key", "short"}, 400, ""},
			{"id is taken", "EIO=4&transport=websocket", []string{"X-Id", "ID"}, 400, "Bad request"},
			{"id is empty", "EIO=4&transport=websocket", nil, 400, "Bad request"},
		} {
			a := h.refused(tt.query, tt.header...)
			h.want(tt.name, a, tt.status, tt.want)
			if tt.status == 426 && a.header.Get("Sec-WebSocket-Version") != "13" {
				t.Errorf("%s: no Sec-WebSocket-Version in %v", tt.name, a.header)
			}
		}
		if n := h.srv.Sessions(); n != 1 {
			t.Errorf("%d sessions, want the one that polls", n)
		}
		p.send("4still there")
	})
}

// pollAs opens a session over polling that gets this id.
func (h *harness) pollAs(id string) *poller {
	a := h.do("GET", "EIO=4&transport=polling", "", "X-Id", id)
	if a.status != 200 {
		h.t.Fatal(a)
	}
	return &poller{harness: h, open: a, sid: id, query: "EIO=4&transport=polling&sid=" + id}
}

func TestRevisions(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		for _, query := range []string{"", "EIO=3&", "EIO=abc&", "EIO=5&"} {
			h.want("only revision 4: "+query, h.do("GET", query+"transport=polling", ""), 400, `{"code":5,"message":"Unsupported protocol version"}`)
			h.want("only revision 4: "+query, h.refused(query+"transport=websocket"), 400, "Unsupported protocol version")
		}
	})
}

func TestTransportsOffered(t *testing.T) {
	run(t, engineio.Config{Transports: []string{"polling"}}, func(h *harness) {
		if p := h.poll(""); !strings.Contains(p.open.body, `"upgrades":[]`) {
			t.Errorf("upgrades offered without WebSocket: %s", p.open.body)
		}
		h.want("no WebSocket", h.refused("EIO=4&transport=websocket"), 400, "Transport unknown")
	})
	run(t, engineio.Config{NoUpgrade: true}, func(h *harness) {
		p := h.poll("")
		if !strings.Contains(p.open.body, `"upgrades":[]`) {
			t.Errorf("upgrades offered: %s", p.open.body)
		}
		p.probe().wantEnd("no upgrades", 1000)
		p.send("4goes on")
	})
	run(t, engineio.Config{Transports: []string{"websocket"}}, func(h *harness) {
		h.socket("")
		h.want("no polling", h.do("GET", "EIO=4&transport=polling", ""), 400, `{"code":0,"message":"Transport unknown"}`)
	})
}

// Pages of other origins are refused over polling as over WebSocket, and learn nothing.
func TestOrigins(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		for _, o := range []string{"http://evil.com", "null", "http://tutti.test.evil", "http://tutti.test:8080", "file://"} {
			a := h.do("GET", "EIO=4&transport=polling", "", "Origin", o)
			h.want(o, a, 403, `{"code":4,"message":"Forbidden"}`)
			if a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s is reflected", o)
			}
			h.want(o, h.refused("EIO=4&transport=websocket", "Origin", o), 400, "Forbidden")
		}
		a := h.do("GET", "EIO=4&transport=polling", "", "Origin", "http://tutti.test")
		if a.status != 200 {
			t.Errorf("own origin: %v", a)
		}
		h.want("no listed origins, no preflight", h.do("OPTIONS", "EIO=4&transport=polling", ""), 400, `{"code":2,"message":"Bad handshake method"}`)
	})
	run(t, engineio.Config{Origins: []string{"*"}}, func(h *harness) {
		a := h.do("GET", "EIO=4&transport=polling", "", "Origin", "http://evil.com")
		if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("every origin: %v %v", a, a.header)
		}
	})
}

func TestHeadersHook(t *testing.T) {
	cfg := engineio.Config{Headers: func(h http.Header, r *http.Request, first bool) { h.Set("X-First", fmt.Sprint(first)) }}
	run(t, cfg, func(h *harness) {
		want := func(rule string, a answer, value string) {
			t.Helper()
			if got := a.header.Get("X-First"); got != value {
				t.Errorf("%s: X-First is %q, want %q", rule, got, value)
			}
		}
		p := h.poll("")
		want("handshake", p.open, "true")
		want("POST", p.post("4x"), "false")
		want("GET", p.get(), "false")
		want("refusals are not touched", h.do("GET", "EIO=4", ""), "")
		w, header, err := h.dialWith("", "", nil)
		if err != nil || header.Get("X-First") != "true" {
			t.Fatalf("101 with %v (%v), want X-First true", header, err)
		}
		w.conn.Close()
	})
	run(t, engineio.Config{}, func(h *harness) {
		a := h.do("GET", "EIO=4&transport=polling", "", "User-Agent", "Mozilla/5.0 (Windows NT 6.3; Trident/7.0; rv:11.0) like Gecko")
		if a.header.Get("X-XSS-Protection") != "0" {
			t.Errorf("no X-XSS-Protection for Internet Explorer: %v", a.header)
		}
	})
}

func TestMaxSessions(t *testing.T) {
	var limits []string
	cfg := engineio.Config{MaxSessions: 2, Trace: &engineio.Trace{LimitHit: func(l string) { limits = append(limits, l) }}}
	run(t, cfg, func(h *harness) {
		h.socket("")
		p := h.poll("")
		a := h.do("GET", "EIO=4&transport=polling", "")
		h.want("full", a, 503, "")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		h.want("full", h.refused("EIO=4&transport=websocket"), 503, "")
		p.send("1")
		synctest.Wait()
		h.socket("")
		if len(limits) != 2 || limits[0] != "MaxSessions" {
			t.Errorf("limits hit: %q", limits)
		}
	})
}

func TestRequestInfo(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		a := h.do("GET", "EIO=4&transport=polling&token=a%20b", "", "X-Test", "one", "Cookie", "a=b; c=d")
		if a.status != 200 {
			t.Fatal(a)
		}
		r := h.last().Request()
		if got := r.Query().Get("token"); got != "a b" {
			t.Errorf("token %q", got)
		}
		if r.Header().Get("X-Test") != "one" || r.Header().Get("Cookie") != "a=b; c=d" {
			t.Errorf("header %v", r.Header())
		}
		if r.Host != "tutti.test" || !strings.HasPrefix(r.RemoteAddr, "192.0.2.") || r.TLS != nil || r.URL().Path != "/engine.io/" {
			t.Errorf("request %+v", r)
		}
	})
}

// TestSecret: what a peer shows in its query is in no URL that is kept, however it is written, and can be had apart.
func TestSecret(t *testing.T) {
	run(t, engineio.Config{Secret: "token"}, func(h *harness) {
		for query, want := range map[string][2]string{
			"token=a%20b&EIO=4&transport=polling&color=red":             {"a b", "/engine.io/?EIO=4&transport=polling&color=red"},
			"EIO=4&transport=polling&%74oken=one&token=two&tokens=3":    {"one", "/engine.io/?EIO=4&transport=polling&tokens=3"},
			"EIO=4&transport=polling&t%6Fken=a;b&color=%zz&to%6ben=%zz": {"a;b", "/engine.io/?EIO=4&transport=polling&color=%zz"},
			"EIO=4&transport=polling&color=token":                       {"", "/engine.io/?EIO=4&transport=polling&color=token"},
		} {
			if a := h.do("GET", query, ""); a.status != 200 {
				t.Fatal(a)
			}
			r := h.last().Request()
			if got := [2]string{r.Secret(), r.RequestURI}; got != want {
				t.Errorf("%s: got %q, want %q", query, got, want)
			}
			if r.Query().Has("token") || strings.Contains(r.URL().String(), "one") || r.RemoteAddr == "" || r.Host != "tutti.test" {
				t.Errorf("%s: kept %+v", query, r)
			}
		}
	})
}

func TestConfigErrors(t *testing.T) {
	_, err := engineio.New(engineio.Config{
		PingInterval: -1, PingTimeout: -1, UpgradeTimeout: -1, MaxPayload: -1, Transports: []string{"pigeon"},
		Origins: []string{"*", "nonsense"}, Credentials: true, Cookie: &http.Cookie{},
	}, nil)
	if err == nil {
		t.Fatal("passed")
	}
	for _, want := range []string{"PingInterval", "PingTimeout", "UpgradeTimeout", "MaxPayload", "pigeon", "every site", "nonsense", "Cookie", "acceptor"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not among the mistakes:\n%v", want, err)
		}
	}
}

// Ids are of 20 characters that need no escapes, and never come twice.
func TestIDs(t *testing.T) {
	run(t, engineio.Config{}, func(h *harness) {
		seen := map[string]bool{}
		for range 100 {
			id := h.poll("").sid
			if len(id) != 20 || seen[id] || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
				t.Errorf("id %q", id)
			}
			seen[id] = true
		}
	})
}

func TestPanickingAcceptor(t *testing.T) {
	acceptor := func(*harness) engineio.Acceptor { return panicking{} }
	runWith(t, engineio.Config{}, acceptor, func(h *harness) {
		if a := h.do("GET", "EIO=4&transport=polling", ""); a.err == nil {
			t.Errorf("answered %v", a)
		}
		if w, err := h.dial("", ""); err == nil {
			w.conn.Close()
		}
		synctest.Wait()
		if n := h.srv.Sessions(); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}

type panicking struct{}

func (panicking) Accept(*engineio.Session) engineio.Receiver { panic("no") }
