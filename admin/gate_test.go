package admin_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/admin"
)

// paths are what there is, and who may; "": anybody.
var paths = []struct {
	method, path string
	need         admin.Role
}{
	{"GET", "/healthz", ""},
	{"GET", "/readyz", ""},
	{"GET", "/", ""},
	{"GET", "/app.js", ""},
	{"GET", "/base.css", ""},
	{"GET", "/metrics", admin.View},
	{"GET", "/api/me", admin.View},
	{"POST", "/api/logout", admin.View},
	{"GET", "/api/stats", admin.View},
	{"GET", "/api/stats/history", admin.View},
	{"GET", "/api/stats/live", admin.View},
	{"GET", "/api/sockets", admin.View},
	{"GET", "/api/sockets/nobody", admin.View},
	{"GET", "/api/follow/socket?id=nobody", admin.View},
	{"GET", "/api/rooms", admin.View},
	{"GET", "/api/rooms/members?room=a", admin.View},
	{"GET", "/api/rooms/presence?room=a", admin.View},
	{"GET", "/api/rooms/history?room=kept&namespace=/kept", admin.View},
	{"GET", "/api/rooms/follow?room=a", admin.View},
	{"GET", "/api/users", admin.View},
	{"GET", "/api/nodes", admin.View},
	{"GET", "/api/audit", admin.View},
	{"GET", "/debug/pprof/", admin.Operate},
	{"GET", "/debug/pprof/goroutine", admin.Operate},
	{"GET", "/debug/pprof/cmdline", admin.Operate},
	{"GET", "/debug/pprof/profile?seconds=1", admin.Operate},
	{"GET", "/debug/pprof/symbol", admin.Operate},
	{"GET", "/debug/pprof/trace?seconds=1", admin.Operate},
	{"POST", "/api/publish", admin.Operate},
	{"POST", "/api/move", admin.Operate},
	{"POST", "/api/disconnect", admin.Operate},
	{"POST", "/api/drain", admin.Operate},
	{"POST", "/api/reload", admin.Operate},
}

// notInPaths are tested by themselves: who logs in has no role yet, and what is
// not there is so for everybody.
var notInPaths = []string{"POST /api/login", "/api/"}

// leaves is a request of somebody who does not wait for what takes long.
func leaves(r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	*r = *r.WithContext(ctx)
}

// TestRoles: each role may what it may, and nobody anything. There is nothing
// that no row is about.
func TestRoles(t *testing.T) {
	k := newKit(t, nil)
	without := slices.Clone(k.admin.Patterns())
	gone := func(pattern string) {
		without = slices.DeleteFunc(without, func(p string) bool { return p == pattern })
	}
	for _, pattern := range notInPaths {
		gone(pattern)
	}
	for _, p := range paths {
		gone(k.admin.PatternOf(httptest.NewRequest(p.method, p.path, nil)))
		for key, role := range map[string]admin.Role{"": "", viewKey: admin.View, operateKey: admin.Operate} {
			k.key = key
			w := k.request(p.method, p.path, "{}", leaves)
			switch {
			case p.need == "":
				if w.Code != http.StatusOK {
					t.Errorf("%s %s as %q: got %d", p.method, p.path, role, w.Code)
				}
			case role == "":
				refused(t, w, http.StatusUnauthorized, "unauthorized")
			case role != admin.Operate && p.need == admin.Operate:
				refused(t, w, http.StatusForbidden, "forbidden")
			case w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden:
				t.Errorf("%s %s as %q: got %d", p.method, p.path, role, w.Code)
			}
		}
	}
	if len(without) > 0 {
		t.Errorf("no row of paths says who may %q", without)
	}
	if n := len(k.admin.Patterns()); n < 30 {
		t.Errorf("only %d patterns", n)
	}
	if !strings.Contains(k.audit.String(), `"who":"watcher","role":"view","from":"192.0.2.1","action":"refused","target":"/api/drain","result":"forbidden"`) {
		t.Errorf("the audit log does not say who tried what he may not:\n%s", k.audit)
	}
}

// TestLogin: the page gets a cookie for a key, which it can lose again, and what
// it changes needs a header that other origins can't send.
func TestLogin(t *testing.T) {
	k := newKit(t, nil)
	k.key = ""
	page := func(r *http.Request) { r.Header.Set("X-Tutti-Admin", "1") }
	refused(t, k.request("POST", "/api/login", `{"key":"`+viewKey+`"}`), http.StatusForbidden, "csrf")
	refused(t, k.request("POST", "/api/login", `{"key":"wrong"}`, page), http.StatusUnauthorized, "unauthorized")
	w := k.request("POST", "/api/login", `{"key":"`+operateKey+`"}`, page)
	if w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || len(cookies[0].Value) < 40 {
		t.Fatalf("got the cookies %v", cookies)
	}
	as := func(r *http.Request) { r.AddCookie(cookies[0]) }
	if w := k.request("GET", "/api/stats", "", as); w.Code != http.StatusOK {
		t.Errorf("with the cookie: got %d", w.Code)
	}
	refused(t, k.request("POST", "/api/drain", "{}", as), http.StatusForbidden, "csrf")
	refused(t, k.request("POST", "/api/drain", "{}", as, page), http.StatusNotImplemented, "unsupported")
	if err := k.admin.Reload([]admin.Key{keys[0]}); err != nil {
		t.Fatal(err)
	}
	refused(t, k.request("GET", "/api/stats", "", as), http.StatusUnauthorized, "unauthorized") // the key is gone
	if err := k.admin.Reload(keys); err != nil {
		t.Fatal(err)
	}
	cookies = k.request("POST", "/api/login", `{"key":"`+viewKey+`"}`, page).Result().Cookies()
	k.request("POST", "/api/logout", "", as, page)
	refused(t, k.request("GET", "/api/stats", "", as), http.StatusUnauthorized, "unauthorized")
	for _, secret := range []string{viewKey, operateKey, cookies[0].Value} {
		if strings.Contains(k.audit.String(), secret) {
			t.Error("the audit log has a secret in it")
		}
	}
}

// TestTheLastKey: an address that took a key is not open when there is none any
// more, and who followed something with it is told nothing further.
func TestTheLastKey(t *testing.T) {
	k := newKit(t, nil)
	follower := k.watch("/api/rooms/follow?room=tea")
	follower.next()
	if err := k.admin.Reload(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := k.server.Namespace("/").To("tea").Emit("secret"); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(follower.lines); err != nil || len(text) > 0 {
		t.Errorf("the stream went on: %q, %v", text, err)
	}
	for _, k.key = range []string{viewKey, operateKey, ""} {
		refused(t, k.request("GET", "/api/me", ""), http.StatusUnauthorized, "unauthorized")
	}
	for _, p := range paths {
		if p.need != "" {
			refused(t, k.request(p.method, p.path, "{}", leaves), http.StatusUnauthorized, "unauthorized")
		}
	}
	if err := k.admin.Reload(keys); err != nil {
		t.Fatal(err)
	}
	k.key = operateKey
	if w := k.request("GET", "/api/me", ""); w.Code != http.StatusOK {
		t.Errorf("with a key again: got %d", w.Code)
	}
}

// TestForeignPages: a page of another origin can't have the browser of somebody
// who is let in without a key start a profile.
func TestForeignPages(t *testing.T) {
	k := newKit(t, func(cfg *admin.Config) { cfg.Keys = nil })
	k.key = ""
	for site, ok := range map[string]bool{"cross-site": false, "same-site": false, "same-origin": true, "none": true, "": true} {
		w := k.request("GET", "/debug/pprof/cmdline", "", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", site) })
		if ok && w.Code != http.StatusOK {
			t.Errorf("from %q: got %d", site, w.Code)
		} else if !ok {
			refused(t, w, http.StatusForbidden, "csrf")
		}
	}
}

// TestGuesses: who tries keys is stopped, and a right key still works.
func TestGuesses(t *testing.T) {
	k := newKit(t, nil)
	statuses := map[int]int{}
	for range 30 {
		k.key = "a wrong one"
		statuses[k.request("GET", "/api/stats", "").Code]++
	}
	if statuses[http.StatusUnauthorized] != 10 || statuses[http.StatusTooManyRequests] != 20 {
		t.Errorf("got %v, want 10 tries", statuses)
	}
	// The audit log has those that were answered, and the next line the others.
	if n := strings.Count(k.audit.String(), `"who":"nobody","from":"192.0.2.1","action":"key","target":"/api/stats","result":"unauthorized"`); n != 10 {
		t.Errorf("noted are %d tries:\n%s", n, k.audit)
	}
	k.request("GET", "/api/rooms", "", func(r *http.Request) { r.RemoteAddr = "192.0.2.9:1" })
	if !strings.Contains(k.audit.String(), `"from":"192.0.2.9","action":"key","target":"/api/rooms","detail":{"unnoted":20},"result":"unauthorized"`) {
		t.Errorf("the log does not say how many were not noted:\n%s", k.audit)
	}
	if strings.Contains(k.audit.String(), "a wrong one") {
		t.Error("the audit log has a key")
	}
	before := strings.Count(k.audit.String(), "\n")
	for i := range 200 { // of many addresses
		k.request("GET", "/api/stats", "", func(r *http.Request) { r.RemoteAddr = fmt.Sprintf("198.51.100.%d:1", i) })
	}
	if n := strings.Count(k.audit.String(), "\n") - before; n > 50 {
		t.Errorf("%d lines of people who try", n)
	}
	k.key = viewKey
	if w := k.request("GET", "/metrics", ""); !strings.Contains(w.Body.String(), "tutti_operators_refused_total 231\n") {
		t.Errorf("it is not counted: %s", regexp.MustCompile("tutti_operators.*").FindString(w.Body.String()))
	}
	if w := k.request("GET", "/api/stats", ""); w.Code != http.StatusOK {
		t.Errorf("got %d", w.Code)
	}
	refused(t, k.request("POST", "/api/login", `{"key":"x"}`, func(r *http.Request) { r.Header.Set("X-Tutti-Admin", "1") }), http.StatusTooManyRequests, "too_many_requests")
	// Who has a key gets in all the same.
	if w := k.request("POST", "/api/login", `{"key":"`+viewKey+`"}`, func(r *http.Request) { r.Header.Set("X-Tutti-Admin", "1"); r.Header.Del("Authorization") }); w.Code != http.StatusOK {
		t.Errorf("a right key after many wrong ones: %d %s", w.Code, w.Body)
	}
}

// TestLoginEnds: a cookie holds half a day.
func TestLoginEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, nil)
		k.key = ""
		w := k.request("POST", "/api/login", `{"key":"`+viewKey+`"}`, func(r *http.Request) { r.Header.Set("X-Tutti-Admin", "1") })
		as := func(r *http.Request) { r.AddCookie(w.Result().Cookies()[0]) }
		time.Sleep(11 * time.Hour)
		if w := k.request("GET", "/api/me", "", as); w.Code != http.StatusOK {
			t.Errorf("after 11 hours: got %d", w.Code)
		}
		time.Sleep(2 * time.Hour)
		refused(t, k.request("GET", "/api/me", "", as), http.StatusUnauthorized, "unauthorized")
		k.admin.Close()
	})
}

// TestKeyless: without keys, who reaches the handler operates, but no page of
// the web does: neither under a name of its own (DNS rebinding) nor by a form.
func TestKeyless(t *testing.T) {
	k := newKit(t, func(c *admin.Config) { c.Keys = nil })
	k.key = ""
	for host, ok := range map[string]bool{
		"localhost:9091": true, "127.0.0.1:9091": true, "[::1]:9091": true, "tutti.localhost": true, "127.9.9.9": true,
		"evil.example": false, "evil.example:9091": false, "localhost.evil.example": false, "192.168.1.10:9091": false, "": false, "127.0.0.1.evil.example": false,
	} {
		for _, path := range []string{"/api/stats", "/", "/metrics", "/debug/pprof/cmdline"} {
			w := k.request("GET", path, "", func(r *http.Request) { r.Host = host })
			if got := w.Code == http.StatusOK; got != ok {
				t.Errorf("%s with Host %q: got %d", path, host, w.Code)
			}
		}
	}
	refused(t, k.request("POST", "/api/disconnect", `{"room":"a"}`), http.StatusForbidden, "csrf")
	if w := k.request("POST", "/api/disconnect", `{"room":"a"}`, func(r *http.Request) { r.Header.Set("X-Tutti-Admin", "1") }); w.Code != http.StatusOK {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// TestHeaders: every answer has those that keep other pages away.
func TestHeaders(t *testing.T) {
	k := newKit(t, nil)
	for _, path := range []string{"/", "/app.js", "/api/stats", "/nowhere", "/metrics"} {
		h := k.request("GET", path, "").Header()
		policy := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy %q lacks %s", path, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") == "" {
			t.Errorf("%s: got %v", path, h)
		}
		if h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s is open to other origins", path)
		}
	}
	for _, path := range []string{"/../admin.go", "/page/index.html", "/%2e%2e/admin.go", "/app.js/", "//app.js"} {
		if w := k.request("GET", path, ""); w.Code == http.StatusOK {
			t.Errorf("%s is served", path)
		}
	}
}

// TestConfig: all that is wrong with keys is said at once.
func TestConfig(t *testing.T) {
	_, err := admin.New(admin.Config{Keys: []admin.Key{{Name: "", Role: "king", Hash: "x"}, {Name: "b", Role: admin.View, Hash: "sha256:00"}}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"without a name", `"king"`, `the key "b"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %s", err, part)
		}
	}
}
