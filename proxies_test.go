package tutti_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/tutti-rt/tutti"
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
