package tutti_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
)

func TestTrustProxies(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ffff::/48")}
	for _, c := range []struct {
		rule, remote string
		header       []string
		want         string
	}{
		{"a stranger's header says nothing", "192.0.2.1:5", []string{"198.51.100.1"}, "192.0.2.1:5"},
		{"a proxy's does", "10.0.0.1:5", []string{"198.51.100.1"}, "198.51.100.1:0"},
		{"a proxy in the other notation", "[::ffff:10.0.0.1]:5", []string{"198.51.100.1"}, "198.51.100.1:0"},
		{"what the client made up stands left", "10.0.0.1:5", []string{"127.0.0.1, 198.51.100.1"}, "198.51.100.1:0"},
		{"proxies in a row", "10.0.0.1:5", []string{"203.0.113.9, 198.51.100.1, 10.1.2.3,10.4.5.6"}, "198.51.100.1:0"},
		{"in several lines", "10.0.0.1:5", []string{"198.51.100.1", "10.1.2.3"}, "198.51.100.1:0"},
		{"only proxies", "10.0.0.1:5", []string{"10.7.7.7, 10.1.2.3"}, "10.7.7.7:0"},
		{"with a port", "10.0.0.1:5", []string{"198.51.100.1:4711"}, "198.51.100.1:0"},
		{"version 6", "[2001:db8:ffff::1]:5", []string{"2001:db8::7"}, "[2001:db8::7]:0"},
		{"version 6 with a port", "10.0.0.1:5", []string{"[2001:db8::7]:80"}, "[2001:db8::7]:0"},
		{"what can't be read ends it", "10.0.0.1:5", []string{"198.51.100.1, unknown"}, "10.0.0.1:5"},
		{"behind a proxy's, too", "10.0.0.1:5", []string{"198.51.100.1, <script>, 10.9.9.9"}, "10.9.9.9:0"},
		{"empty", "10.0.0.1:5", []string{""}, "10.0.0.1:5"},
		{"none", "10.0.0.1:5", nil, "10.0.0.1:5"},
		{"no address", "@", []string{"198.51.100.1"}, "@"},
	} {
		got := ""
		h := tutti.TrustProxies(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }), proxies...)
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		r.Header["X-Forwarded-For"] = c.header
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got != c.want || r.RemoteAddr != c.remote {
			t.Errorf("%s: %s from %v is %s, want %s", c.rule, c.remote, c.header, got, c.want)
		}
	}
}

// TestProxiesEndTLS: what came to a trusted proxy over TLS has come over TLS.
func TestProxiesEndTLS(t *testing.T) {
	srv, err := tutti.New(tutti.Config{Engine: engineio.Config{Cookie: &http.Cookie{Name: "io"}}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(context.Background())
	var secure bool
	h := tutti.TrustProxies(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure = r.TLS != nil
		srv.ServeHTTP(w, r)
	}), netip.MustParsePrefix("10.0.0.0/8"))
	for _, c := range []struct {
		rule, remote string
		proto        []string
		tls          bool
		want         bool
	}{
		{"a proxy's https", "10.0.0.1:5", []string{"https"}, false, true},
		{"in capitals", "10.0.0.1:5", []string{"HTTPS"}, false, true},
		{"of several, the last", "10.0.0.1:5", []string{"http, https"}, false, true},
		{"what a client made up stands left", "10.0.0.1:5", []string{"https", "http"}, false, false},
		{"a proxy that comes by TLS with what did not", "10.0.0.1:5", []string{"http"}, true, false},
		{"what is no scheme", "10.0.0.1:5", []string{"gopher"}, true, true},
		{"nothing", "10.0.0.1:5", nil, false, false},
		{"a stranger's https", "192.0.2.1:5", []string{"https"}, false, false},
		{"a stranger's http", "192.0.2.1:5", []string{"http"}, true, true},
	} {
		ask := func(origin string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", "http://example.test/socket.io/?EIO=4&transport=polling", nil)
			r.RemoteAddr = c.remote
			r.Header["X-Forwarded-Proto"] = c.proto
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		opened := ask("https://example.test")
		if opened.Code != 200 || secure != c.want {
			t.Errorf("%s: %d, secure %v, want %v", c.rule, opened.Code, secure, c.want)
		}
		if cookies := opened.Result().Cookies(); len(cookies) != 1 || cookies[0].Secure != c.want {
			t.Errorf("%s: the cookie is %v", c.rule, cookies)
		}
		if got := ask("http://example.test").Code; got == 200 == c.want {
			t.Errorf("%s: a page that came without TLS is answered %d", c.rule, got)
		}
	}
}
