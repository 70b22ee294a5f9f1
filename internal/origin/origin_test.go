package origin_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/internal/origin"
)

func policy(t *testing.T, credentials bool, origins ...string) *origin.Policy {
	t.Helper()
	p, err := origin.New(origins, credentials)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func request(method, host string, secure bool, origins ...string) *http.Request {
	r := httptest.NewRequest(method, "http://"+host+"/", nil)
	if secure {
		r.TLS = &tls.ConnectionState{}
	}
	for _, o := range origins {
		r.Header.Add("Origin", o)
	}
	return r
}

func TestAllowed(t *testing.T) {
	own := policy(t, false)
	listed := policy(t, true, "https://app.example.com", "HTTP://Dev.example.com:8080/", "https://port.example.com:443")
	null := policy(t, false, "null")
	all := policy(t, false, "*")
	for _, tt := range []struct {
		rule   string
		p      *origin.Policy
		host   string
		secure bool
		origin []string
		want   bool
	}{
		{"no Origin is no browser", own, "a.com", false, nil, true},
		{"the server's own", own, "a.com", false, []string{"http://a.com"}, true},
		{"the default port does not count", own, "a.com:80", false, []string{"http://a.com"}, true},
		{"the default port does not count with TLS", own, "a.com", true, []string{"https://a.com:443"}, true},
		{"case does not count", own, "A.com", false, []string{"HTTP://a.COM"}, true},
		{"TLS ends at a proxy", own, "a.com", false, []string{"https://a.com"}, true},
		{"http page, https server", own, "a.com", true, []string{"http://a.com"}, false},
		{"another port", own, "a.com:3000", false, []string{"http://a.com:3001"}, false},
		{"another host", own, "a.com", false, []string{"http://evil.com"}, false},
		{"a suffix", own, "a.com", false, []string{"http://a.com.evil"}, false},
		{"a prefix", own, "a.com", false, []string{"http://evil-a.com"}, false},
		{"null", own, "a.com", false, []string{"null"}, false},
		{"empty", own, "a.com", false, []string{""}, false},
		{"another scheme", own, "a.com", false, []string{"file://a.com"}, false},
		{"two headers", own, "a.com", false, []string{"http://a.com", "http://evil.com"}, false},
		{"listed", listed, "a.com", false, []string{"https://app.example.com"}, true},
		{"listed, written otherwise", listed, "a.com", false, []string{"http://dev.example.com:8080"}, true},
		{"listed with the default port", listed, "a.com", false, []string{"https://port.example.com"}, true},
		{"listed, other scheme", listed, "a.com", false, []string{"http://app.example.com"}, false},
		{"listed, other port", listed, "a.com", false, []string{"https://app.example.com:8443"}, false},
		{"listed, suffix", listed, "a.com", false, []string{"https://app.example.com.evil"}, false},
		{"listed, path", listed, "a.com", false, []string{"https://app.example.com/x"}, false},
		{"listed, user", listed, "a.com", false, []string{"https://u@app.example.com"}, false},
		{"listed null", null, "a.com", false, []string{"null"}, true},
		{"everybody", all, "a.com", false, []string{"http://evil.com"}, true},
		{"everybody, null", all, "a.com", false, []string{"null"}, true},
	} {
		if got := tt.p.Allowed(request("GET", tt.host, tt.secure, tt.origin...)); got != tt.want {
			t.Errorf("%s: origin %q at host %s: allowed %v, want %v", tt.rule, tt.origin, tt.host, got, tt.want)
		}
	}
}

func TestNewRefusesMistakes(t *testing.T) {
	for _, o := range []string{"app.example.com", "https://", "https://*.example.com", "https://a.com/path", "https://a.com?x", "://a", "%"} {
		if _, err := origin.New([]string{o}, false); err == nil {
			t.Errorf("origin %q passed", o)
		}
	}
	if _, err := origin.New([]string{"*"}, true); err == nil {
		t.Error(`"*" with credentials passed`)
	}
}

func TestHeaders(t *testing.T) {
	set := func(p *origin.Policy, r *http.Request) http.Header {
		h := http.Header{}
		p.SetHeader(h, r)
		return h
	}
	want := func(rule string, h http.Header, key, value string) {
		t.Helper()
		if got := h.Get(key); got != value {
			t.Errorf("%s: %s is %q, want %q", rule, key, got, value)
		}
	}
	listed := policy(t, true, "http://a.com")

	h := set(listed, request("GET", "b.com", false, "http://a.com"))
	want("as captured", h, "Access-Control-Allow-Origin", "http://a.com")
	want("as captured", h, "Vary", "Origin")
	want("as captured", h, "Access-Control-Allow-Credentials", "true")

	h = set(listed, request("GET", "b.com", false, "http://evil.com"))
	want("an unlisted origin is never reflected", h, "Access-Control-Allow-Origin", "")
	want("a cache must tell origins apart", h, "Vary", "Origin")
	want("no credentials for the unlisted", h, "Access-Control-Allow-Credentials", "")

	h = set(listed, request("GET", "b.com", false))
	want("a cache must tell origins apart", h, "Vary", "Origin")
	want("nobody asked", h, "Access-Control-Allow-Origin", "")

	h = set(policy(t, false, "*"), request("GET", "b.com", false, "http://evil.com"))
	want("everybody", h, "Access-Control-Allow-Origin", "*")
	want("everybody gets the same", h, "Vary", "")

	if h := set(policy(t, false), request("GET", "b.com", false, "http://b.com")); len(h) != 0 {
		t.Errorf("without listed origins: headers %v, want none", h)
	}
}

func TestPreflight(t *testing.T) {
	r := request("OPTIONS", "b.com", false, "http://a.com")
	r.Header.Set("Access-Control-Request-Headers", "content-type,x-foo")
	w := httptest.NewRecorder()
	if !policy(t, true, "http://a.com").Preflight(w, r) {
		t.Fatal("not answered")
	}
	for key, want := range map[string]string{
		"Access-Control-Allow-Origin":      "http://a.com",
		"Vary":                             "Origin, Access-Control-Request-Headers",
		"Access-Control-Allow-Credentials": "true",
		"Access-Control-Allow-Methods":     "GET,HEAD,PUT,PATCH,POST,DELETE",
		"Access-Control-Allow-Headers":     "content-type,x-foo",
		"Content-Length":                   "0",
	} {
		if got := w.Header().Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if w.Code != http.StatusNoContent {
		t.Errorf("status %d, want 204", w.Code)
	}
	if policy(t, false).Preflight(httptest.NewRecorder(), r) {
		t.Error("a server without listed origins answered")
	}
	if policy(t, false, "*").Preflight(httptest.NewRecorder(), request("GET", "b.com", false)) {
		t.Error("a GET is no preflight")
	}
}

func TestValid(t *testing.T) {
	for o, want := range map[string]bool{"http://a.com": true, "": true, "http://ä.com": true, "a\tb": true, "a\x00": false, "a\nb": false, "\x7f": false} {
		if got := origin.Valid(request("GET", "b.com", false, o)); got != want {
			t.Errorf("origin %q: valid %v, want %v", o, got, want)
		}
	}
}

func FuzzAllowed(f *testing.F) {
	p, err := origin.New([]string{"https://app.example.com"}, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("https://app.example.com", "a.com")
	f.Add("https://app.example.com.evil", "a.com")
	f.Add("http://a.com:80", "a.com")
	f.Fuzz(func(t *testing.T, o, host string) {
		r := &http.Request{Host: host, Header: http.Header{"Origin": {o}}}
		if !p.Allowed(r) {
			return
		}
		_, rest, _ := strings.Cut(strings.ToLower(o), "://")
		bare := func(s string) string {
			return strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(s), ":80"), ":443")
		}
		if rest = strings.TrimSuffix(rest, "/"); bare(rest) != bare(host) && bare(rest) != "app.example.com" {
			t.Errorf("%q allowed at host %q", o, host)
		}
	})
}
