package auth_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/auth"
)

// webhook is an application that knows some sessions.
type webhook struct {
	*httptest.Server
	asked  atomic.Int64
	answer atomic.Value // func(w http.ResponseWriter, r *http.Request)
}

func newWebhook(t *testing.T) *webhook {
	t.Helper()
	h := &webhook{}
	h.answers(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") == "sid=ann" {
			fmt.Fprint(w, `{"user":"ann","claims":{"org":"acme","n":12345678901234567890},"grants":{"rooms":{"own":["join"]}}}`)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.asked.Add(1)
		h.answer.Load().(func(http.ResponseWriter, *http.Request))(w, r)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *webhook) answers(f func(http.ResponseWriter, *http.Request)) { h.answer.Store(f) }

func (h *webhook) says(text string) {
	h.answers(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
}

func sessions(t *testing.T, cfg auth.SessionConfig) *auth.Sessions {
	t.Helper()
	cfg.Cookies = []string{"sid", "remember"}
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	cfg.Client = client
	s, err := auth.NewSessions(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func cookie(value string) auth.Credentials {
	return auth.Credentials{Ambient: true, Header: http.Header{"Cookie": {value}, "X-Device": {"d1"}, "X-Other": {"o"}}}
}

func TestSessions(t *testing.T) {
	h := newWebhook(t)
	s := sessions(t, auth.SessionConfig{URL: h.URL, Headers: []string{"X-Device"}, Secret: "ours"})
	var seen http.Header
	known := h.answer.Load().(func(http.ResponseWriter, *http.Request))
	h.answers(func(w http.ResponseWriter, r *http.Request) { seen = r.Header.Clone(); known(w, r) })
	id, err := s.Verify(t.Context(), cookie("theme=dark; sid=ann; tracking=1"))
	if err != nil || id == nil || id.Subject != "ann" || id.Method != auth.BySession || fmt.Sprint(id.Claims["n"]) != "12345678901234567890" || len(id.Rooms) != 1 {
		t.Fatalf("got %+v, %v", id, err)
	}
	if left := time.Until(id.Expiry); left > 30*time.Minute || left < 29*time.Minute {
		t.Errorf("it ends in %v", left)
	}
	if seen.Get("Cookie") != "sid=ann" || seen.Get("X-Device") != "d1" || seen.Get("X-Other") != "" || seen.Get("Authorization") != "Bearer ours" {
		t.Errorf("the application was sent %v", seen)
	}
	s.Verify(t.Context(), cookie("sid=ann; theme=light"))
	if n := h.asked.Load(); n != 1 {
		t.Errorf("it was asked %d times for one session", n)
	}
	for name, c := range map[string]auth.Credentials{
		"a cookie that nobody knows": cookie("sid=eve"),
		"other cookies":              cookie("theme=dark"),
		"with a token":               {Token: "x", Ambient: true, Header: cookie("sid=ann").Header},
		"of a page of anybody's":     {Header: cookie("sid=ann").Header},
		"nothing":                    {Ambient: true},
	} {
		if id, err := s.Verify(t.Context(), c); id != nil || err != nil {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}

func TestSessionsFail(t *testing.T) {
	h := newWebhook(t)
	redirected := newWebhook(t)
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"redirection": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, redirected.URL, http.StatusTemporaryRedirect)
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"user":"`+strings.Repeat("x", 70_000)+`"}`)
		},
		"bad rooms": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"user":"ann","grants":{"rooms":{"a":["fly"]}}}`)
		},
		"cut off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		h.answers(answer)
		cfg := auth.SessionConfig{URL: h.URL}
		s := sessions(t, cfg)
		if name == "redirection" {
			s, _ = auth.NewSessions(auth.SessionConfig{URL: h.URL, Cookies: []string{"sid"}})
		}
		if id, err := s.Verify(t.Context(), cookie("sid=ann")); code(err) != auth.Unavailable || id != nil {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		h.says(`{"user":"ann"}`)
		if id, err := s.Verify(t.Context(), cookie("sid=ann")); err != nil || id.User() != "ann" {
			t.Errorf("%s is remembered: %v", name, err)
		}
	}
	if redirected.asked.Load() != 0 {
		t.Error("a redirection was followed, with the cookie")
	}
	http.DefaultClient.CloseIdleConnections()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// TestSessionsWait: all who show the same cookie wait for one answer, others
// are turned away when too many wait, and nobody waits longer than he likes.
func TestSessionsWait(t *testing.T) {
	h := newWebhook(t)
	release, came := make(chan struct{}), make(chan struct{}, 9)
	h.answers(func(w http.ResponseWriter, _ *http.Request) {
		came <- struct{}{}
		<-release
		io.WriteString(w, `{"user":"ann"}`)
	})
	var hits atomic.Int64
	s := sessions(t, auth.SessionConfig{URL: h.URL, MaxAsked: 1, LimitHit: func(string) { hits.Add(1) }})
	var wg sync.WaitGroup
	wg.Go(func() {
		if id, err := s.Verify(t.Context(), cookie("sid=ann")); err != nil || id.User() != "ann" {
			t.Errorf("got %v, %v", id, err)
		}
	})
	<-came
	for range 5 {
		wg.Go(func() {
			if id, err := s.Verify(t.Context(), cookie("sid=ann")); err != nil || id.User() != "ann" {
				t.Errorf("who waits got %v, %v", id, err)
			}
		})
	}
	if _, err := s.Verify(t.Context(), cookie("sid=bob")); code(err) != auth.Unavailable || hits.Load() != 1 {
		t.Errorf("one too many: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Verify(ctx, cookie("sid=ann")); code(err) != auth.Unavailable {
		t.Errorf("who does not wait: %v", err)
	}
	close(release)
	wg.Wait()
	if n := h.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestSessionsAreBounded: visitors with cookies of their own invention take up
// no more than they may.
func TestSessionsAreBounded(t *testing.T) {
	h := newWebhook(t)
	s := sessions(t, auth.SessionConfig{URL: h.URL, MaxCache: 5})
	for i := range 50 {
		if id, err := s.Verify(t.Context(), cookie(fmt.Sprint("sid=", i))); id != nil || err != nil {
			t.Fatal(id, err)
		}
	}
	if n := s.Kept(); n > 5 {
		t.Errorf("%d answers are kept", n)
	}
	s = sessions(t, auth.SessionConfig{URL: h.URL, Cache: -1})
	before := h.asked.Load()
	s.Verify(t.Context(), cookie("sid=ann"))
	s.Verify(t.Context(), cookie("sid=ann"))
	if n := h.asked.Load() - before; n != 2 || s.Kept() != 0 {
		t.Errorf("without a cache asked %d times, %d kept", n, s.Kept())
	}
}

func TestSessionConfig(t *testing.T) {
	for _, url := range []string{"", "http://app.example.com/x", "ftp://127.0.0.1/", "https://u:p@app.example.com/", "app.example.com"} {
		if _, err := auth.NewSessions(auth.SessionConfig{URL: url, Cookies: []string{"a"}}); err == nil {
			t.Errorf("%q will do", url)
		}
	}
	if _, err := auth.NewSessions(auth.SessionConfig{URL: "https://app.example.com/x"}); err == nil {
		t.Error("no cookie will do")
	}
}

// TestSessionsShare: one address cannot have all questions to itself.
func TestSessionsShare(t *testing.T) {
	h := newWebhook(t)
	release, came := make(chan struct{}), make(chan struct{}, 9)
	h.answers(func(w http.ResponseWriter, _ *http.Request) {
		came <- struct{}{}
		<-release
		io.WriteString(w, `{"user":"ann"}`)
	})
	var hits atomic.Int64
	s := sessions(t, auth.SessionConfig{URL: h.URL, MaxAsked: 8, LimitHit: func(string) { hits.Add(1) }})
	from := func(remote string, n int) auth.Credentials {
		c := cookie(fmt.Sprintf("sid=%s-%d", strings.ReplaceAll(remote, ":", "-"), n))
		c.Remote = remote
		return c
	}
	var wg sync.WaitGroup
	asks := func(remote string) {
		wg.Go(func() {
			if id, err := s.Verify(t.Context(), from(remote, int(h.asked.Load())+100)); err != nil || id.User() != "ann" {
				t.Errorf("%s got %v, %v", remote, id, err)
			}
		})
		<-came
	}
	asks("192.0.2.1:1")
	asks("192.0.2.1:2")
	asks("[2001:db8::1]:1")
	asks("[2001:db8::2]:1")
	for i, remote := range []string{"192.0.2.1:3", "[::ffff:192.0.2.1]:4", "[2001:db8::3]:1"} {
		if _, err := s.Verify(t.Context(), from(remote, i)); code(err) != auth.Unavailable || hits.Load() != int64(i+1) {
			t.Fatalf("%s has more than its share: %v", remote, err)
		}
	}
	asks("192.0.2.2:1")
	for range 3 {
		asks("127.0.0.1:1") // a proxy, of which nobody has said so
	}
	close(release)
	wg.Wait()
	if _, err := s.Verify(t.Context(), from("192.0.2.1:3", 9)); err != nil {
		t.Errorf("when they are answered: %v", err)
	}
}
