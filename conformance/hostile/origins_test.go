package hostile

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// allowed is the origin whose pages may connect to a subject.
const allowed = "https://app.example.com"

// evils are origins that may not.
var evils = []variant{
	{"null", "null"}, {"evil", "https://evil.example"}, {"a suffix", allowed + ".evil"}, {"a prefix", "https://notapp.example.com"},
	{"another port", allowed + ":8443"}, {"http for https", "http://app.example.com"}, {"a user", allowed + "@evil.example"},
	{"a path", allowed + "/../"}, {"a file", "file://"}, {"a dot", "https://APP.example.com."}, {"a star", "*"},
}

// fromPage sends a request with a header of Origin for each of origins, as a
// browser does that has a cookie.
func (s *server) fromPage(t *testing.T, method, path string, header http.Header, origins ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+s.address+path, strings.NewReader(`{"room":"news","event":"e"}`))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header.Clone()
	}
	r.Header["Origin"] = origins
	r.Header.Set("Cookie", "session=secret")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// methods of the paths that take requests of pages.
var pagePaths = map[string]string{polling: "GET", "/events?room=news": "GET", "/api/publish": "POST"}

var socketPaths = []string{"/socket.io/?EIO=4&transport=websocket", "/ws?room=news"}

var originItems = []item{
	{"foreign origins", "pages of other origins: " + names(evils) + "; polling, WebSocket, event stream, plain WebSocket, publishing", "403 (400 for a WebSocket), and no `Access-Control-Allow-Origin`", []string{refused, doorRefused}, func(t *testing.T, s *server) {
		for _, evil := range evils {
			s.refusesPage(t, evil.text)
			for _, path := range socketPaths {
				if w, err := s.open(path, "Origin: "+evil.text+"\r\n"); err == nil {
					w.Close()
					t.Errorf("%s from %s is let in", path, evil.text)
				}
			}
		}
	}},
	{"two origins", "two `Origin`, the allowed one first and second, with another and twice: polling, WebSocket, event stream, plain WebSocket, publishing", "403 (400 for a WebSocket), and no `Access-Control-Allow-Origin`", []string{refused, doorRefused}, func(t *testing.T, s *server) {
		for _, pair := range [][]string{{allowed, "https://evil.example"}, {"https://evil.example", allowed}, {allowed, allowed}} {
			s.refusesPage(t, pair...)
			for _, path := range socketPaths {
				if w, err := s.open(path, fmt.Sprintf("Origin: %s\r\nOrigin: %s\r\n", pair[0], pair[1])); err == nil {
					w.Close()
					t.Errorf("%s from %v is let in", path, pair)
				}
			}
		}
	}},
	{"no origin", "no `Origin`, as from a program, which no page can do: polling, WebSocket, plain WebSocket, publishing; and an empty one", "served, and no `Access-Control-Allow-Origin`; 403 for an empty one", []string{opened}, noOrigin},
	{"preflight", "preflights of pages of other origins, and of the allowed one: polling, publishing", "no `Access-Control-Allow-Origin` but for the allowed one", []string{nothing}, func(t *testing.T, s *server) {
		ask := http.Header{"Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type"}}
		for _, path := range []string{polling, "/api/publish"} {
			for _, evil := range evils {
				if resp := s.fromPage(t, "OPTIONS", path, ask, evil.text); resp.Header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s from %s: %d %v", path, evil.text, resp.StatusCode, resp.Header)
				}
			}
			if resp := s.fromPage(t, "OPTIONS", path, ask, allowed); resp.Header.Get("Access-Control-Allow-Origin") != allowed || !strings.HasPrefix(resp.Header.Get("Vary"), "Origin") {
				t.Errorf("%s from the allowed one: %d %v", path, resp.StatusCode, resp.Header)
			}
		}
	}},
	{"foreign hosts", "a page whose name resolves to this machine (DNS rebinding), same-origin by its `Host`", "421", []string{`tutti_limit_hits_total{limit="host",stage="listener"}`}, func(t *testing.T, s *server) {
		for _, path := range []string{polling, "/api/publish", "/events?room=news"} {
			got := s.say(t, "GET "+path+" HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 421 ") {
				t.Errorf("%s: %.100q", path, got)
			}
		}
	}},
}

// refusesPage fails unless requests of a page with these origins are refused.
func (s *server) refusesPage(t *testing.T, origins ...string) {
	t.Helper()
	for path, method := range pagePaths {
		resp := s.fromPage(t, method, path, nil, origins...)
		if resp.StatusCode != 403 || resp.Header.Get("Access-Control-Allow-Origin") != "" || !slices.Contains(resp.Header.Values("Vary"), "Origin") {
			t.Errorf("%s from %v: %d %v", path, origins, resp.StatusCode, resp.Header)
		}
	}
}

func noOrigin(t *testing.T, s *server) {
	json := http.Header{"Content-Type": {"application/json"}}
	for path, method := range pagePaths {
		if method == "GET" && path != polling {
			continue // a stream does not end
		}
		if resp := s.fromPage(t, method, path, json); resp.StatusCode == 403 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", path, resp.StatusCode, resp.Header)
		}
		if resp := s.fromPage(t, method, path, json, ""); resp.StatusCode != 403 {
			t.Errorf("%s with an empty one: %d %v", path, resp.StatusCode, resp.Header)
		}
	}
	for _, path := range socketPaths {
		w := must(t)(s.open(path, ""))
		w.Close()
		if w, err := s.open(path, "Origin: \r\n"); err == nil {
			w.Close()
			t.Errorf("%s with an empty one is let in", path)
		}
		w = must(t)(s.open(path, "Origin: "+allowed+"\r\n"))
		w.Close()
	}
}
