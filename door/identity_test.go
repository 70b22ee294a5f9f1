package door_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/quota"
	"github.com/tutti-rt/tutti/verb"
)

// pass is what a token is good for.
type pass struct {
	user, id string
	lasts    time.Duration
	rooms    auth.Rooms
}

// passes are a verifier: of tokens, and of cookies with the same texts.
type passes map[string]pass

func (k passes) Verify(_ context.Context, c auth.Credentials) (*auth.Identity, error) {
	p, ok := k[c.Token]
	method := auth.ByToken
	if !ok && c.Ambient && c.Token == "" {
		request := http.Request{Header: c.Header}
		if cookie, err := request.Cookie("sid"); err == nil {
			p, ok = k[cookie.Value]
			method = auth.BySession
		}
	}
	if !ok {
		return nil, nil
	}
	id := &auth.Identity{Subject: p.user, TokenID: p.id, Method: method, Issued: time.Now().Add(-time.Second), Rooms: p.rooms}
	if p.lasts > 0 {
		id.Expiry = time.Now().Add(p.lasts)
	}
	return id, nil
}

// known is who comes to the doors of these tests.
var known = passes{
	"ann":  {user: "ann", id: "t-ann", rooms: auth.Rooms{"chat:*": {"*"}}},
	"bob":  {user: "bob", rooms: auth.Rooms{"other": {"join"}}},
	"soon": {user: "ann", lasts: time.Minute, rooms: auth.Rooms{"chat:*": {"*"}}},
	"ops":  {user: "ops", rooms: auth.Rooms{"*": {"admin"}}},
}

func authority(t *testing.T, k passes) *auth.Authority {
	t.Helper()
	a, err := auth.New(auth.Config{Verifiers: []auth.Verifier{k}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// guarded mounts all doors, open to those whom an authority knows.
func (w *world) guarded(a *auth.Authority, log *slog.Logger) {
	w.t.Helper()
	desk, err := verb.New(verb.Config{Bearers: true})
	if err != nil {
		w.t.Fatal(err)
	}
	listed := []string{"https://app.test"}
	events, err := door.Events(w.space, door.EventsConfig{Auth: a, Desk: desk, Origins: listed, Credentials: true, Log: log, Trace: w.trace})
	w.mount("/events", events, err)
	sockets, err := door.WebSocket(w.space, door.WebSocketConfig{Auth: a, Desk: desk, Origins: listed, Credentials: true, Log: log, Trace: w.trace})
	w.mount("/ws", sockets, err)
	publish, err := door.Publish(w.space, door.PublishConfig{Auth: a, Desk: desk, Origins: listed, Credentials: true, Log: log, Trace: w.trace})
	w.mount("/api/publish", publish, err)
	history, err := door.History(w.space, door.ReadConfig{Auth: a, Desk: desk, Origins: listed, Credentials: true, Log: log, Trace: w.trace})
	w.mount("/api/history", history, err)
	disconnect, err := door.Disconnect(w.space, door.DisconnectConfig{Auth: a, Origins: listed, Log: log, Trace: w.trace})
	w.mount("/api/disconnect", disconnect, err)
}

// try asks at each door, and returns how it answers.
func (w *world) try(query string, headers ...string) map[string]string {
	w.t.Helper()
	if query != "" {
		query = "&" + query
	}
	got := map[string]string{}
	resp := w.do("GET", "/events?room=chat:a"+query, "", headers...)
	got["events"] = fmt.Sprint(resp.StatusCode)
	resp.Body.Close()
	if s, refused := w.dial("/ws?framing=json&room=chat:a"+query, headers...); refused != nil {
		got["websocket"] = fmt.Sprint(refused.status)
	} else {
		got["websocket"] = "200"
		s.close()
	}
	resp, _ = w.answer("POST", "/api/publish?x=1"+query, `{"room":"chat:a","event":"e"}`, append(headers, "Content-Type", "application/json")...)
	got["publish"] = fmt.Sprint(resp.StatusCode)
	resp, _ = w.answer("GET", "/api/history?room=chat:a"+query, "", headers...)
	got["history"] = fmt.Sprint(resp.StatusCode)
	synctest.Wait()
	return got
}

func (w *world) wantAll(rule, status, query string, headers ...string) {
	w.t.Helper()
	for name, got := range w.try(query, headers...) {
		if got != status {
			w.t.Errorf("%s: %s answers %s, want %s", rule, name, got, status)
		}
	}
}

// TestOneIdentity: whoever shows something, in whatever way, is the same at all
// doors.
func TestOneIdentity(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		w.guarded(authority(t, known), quiet)
		w.wantAll("a bearer token", "200", "", "Authorization", "Bearer ann")
		w.wantAll("a token in the query", "200", "token=ann")
		w.wantAll("a cookie", "200", "", "Cookie", "theme=dark; sid=ann")
		w.wantAll("nothing", "401", "")
		w.wantAll("a token that nobody knows", "401", "", "Authorization", "Bearer eve")
		w.wantAll("one in the query", "401", "token=eve")
		w.wantAll("no token at all", "401", "token=")
		w.wantAll("two tokens", "401", "token=ann&token=bob")
		w.wantAll("the header counts", "401", "token=ann", "Authorization", "Bearer eve")
		w.wantAll("not a token", "401", "", "Authorization", "Basic ann")
		w.wantAll("somebody without the right", "403", "token=bob")
	})
}

// TestCookiesOfOtherPages: a page of another origin cannot use its visitor's
// cookies, at any door; one that is listed can.
func TestCookiesOfOtherPages(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		w.guarded(authority(t, known), quiet)
		w.wantAll("a listed page", "200", "", "Cookie", "sid=ann", "Origin", "https://app.test")
		for _, origin := range []string{"https://evil.test", "https://app.test.evil", "http://app.test", "https://app.test:444", "null", "https://sub.app.test"} {
			w.wantAll("a page of "+origin, "403", "", "Cookie", "sid=ann", "Origin", origin)
		}
		// What a page may send without asking has no Origin, but says this.
		w.wantAll("an image of another page", "401", "", "Cookie", "sid=ann", "Sec-Fetch-Site", "cross-site")
		w.wantAll("an image of a sibling", "401", "", "Cookie", "sid=ann", "Sec-Fetch-Site", "same-site")
		w.wantAll("the own page", "200", "", "Cookie", "sid=ann", "Sec-Fetch-Site", "same-origin")
		resp, _ := w.answer("GET", "/api/history?room=chat:a", "", "Cookie", "sid=ann", "Origin", "https://app.test")
		if h := resp.Header; h.Get("Access-Control-Allow-Origin") != "https://app.test" || h.Get("Access-Control-Allow-Credentials") != "true" || h.Get("Vary") != "Origin" {
			t.Errorf("a listed page may not read: %v", h)
		}
	})
}

// TestAnyPage: that any page may come in does not make its visitor's cookies
// its own.
func TestAnyPage(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		a := authority(t, known)
		history, err := door.History(w.space, door.ReadConfig{Auth: a, Desk: openDesk(t), Origins: []string{"*"}, Log: quiet})
		w.mount("/api/history", history, err)
		for headers, want := range map[string]int{"Authorization Bearer_ann": 200, "Cookie sid=ann": 401} {
			name, value, _ := strings.Cut(headers, " ")
			resp, _ := w.answer("GET", "/api/history?room=chat:a", "", name, strings.ReplaceAll(value, "_", " "), "Origin", "https://any.test")
			if resp.StatusCode != want {
				t.Errorf("%s of any page: %d, want %d", name, resp.StatusCode, want)
			}
		}
	})
}

func openDesk(t *testing.T) *verb.Desk {
	t.Helper()
	d, err := verb.New(verb.Config{Rules: []verb.Rule{verb.Open("chat:*")}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestStreamsEnd: at the expiry, and when somebody who may asks for it.
func TestStreamsEnd(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		a := authority(t, known)
		w.guarded(a, quiet)
		l := w.listen("/events?room=chat:a&token=soon")
		l.next() // from where it hears everything
		s := w.connect("/ws?framing=json&room=chat:a&token=soon")
		time.Sleep(59 * time.Second)
		w.publish(w.event("e", 1), "chat:a")
		for l.next().event != "e" { // and heartbeats
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if text := l.rest(); !strings.Contains(text, "event: auth\ndata: {\"code\":\"token_expired\",\"error\":\"the token has expired\"}\n\n") {
			t.Errorf("the stream ends with %q", text)
		}
		s.wantLast(1008, "the token has expired")

		l = w.listen("/events?room=chat:a&token=ann")
		s = w.connect("/ws?framing=json&room=chat:a", "Authorization", "Bearer ann")
		bob := w.connect("/ws?framing=json&room=other&token=bob")
		post := func(token, body string) (int, string) {
			resp, text := w.answer("POST", "/api/disconnect", body, "Content-Type", "application/json", "Authorization", "Bearer "+token)
			return resp.StatusCode, strings.TrimSpace(text)
		}
		if status, text := post("ann", `{"user":"bob"}`); status != 403 {
			t.Errorf("anybody may disconnect others: %d %s", status, text)
		}
		if status, text := post("ops", `{"user":"ann","reason":"signed out"}`); status != 200 || text != `{"connections":2}` {
			t.Errorf("disconnect: %d %s", status, text)
		}
		if text := l.rest(); !strings.Contains(text, `{"code":"disconnected","error":"signed out"}`) {
			t.Errorf("the stream ends with %q", text)
		}
		s.wantLast(1008, "signed out")
		bob.wantQuiet("others")
		w.wantAll("she may come back", "200", "token=ann")

		s = w.connect("/ws?framing=json&room=chat:a&token=ann")
		if status, text := post("ops", `{"token":"t-ann"}`); status != 200 || text != `{"connections":1}` {
			t.Errorf("revoke: %d %s", status, text)
		}
		s.wantLast(1008, "the token has been revoked")
		w.wantAll("with a token that was revoked", "401", "token=ann")
		s = w.connect("/ws?framing=json&room=chat:a&token=soon")
		if status, text := post("ops", `{"user":"ann","revoke":true}`); status != 200 || text != `{"connections":1}` {
			t.Errorf("revoke all: %d %s", status, text)
		}
		s.wantLast(1008, "the token has been revoked")
		for _, body := range []string{`{}`, `{"user":"a","token":"b"}`, `{"user":""}`, `{"token":"x","revoke":true}`, `{"user":"x","expires":1}`, `{"token":"x","expires":-1}`, `{"nobody":1}`, `[]`, `{"user":1}`} {
			if status, text := post("ops", body); status != 400 {
				t.Errorf("%s: %d %s", body, status, text)
			}
		}
		bob.close()
	})
}

// patience is how long a stream may go on that is to end, in the bubble's time.
const patience = 10 * time.Minute

// rest returns all that is left of a stream that ends.
func (l *listener) rest() string {
	l.t.Helper()
	defer time.AfterFunc(patience, l.close).Stop()
	var b bytes.Buffer
	if _, err := b.ReadFrom(l.r); err != nil {
		l.t.Errorf("the stream is cut off: %v", err)
	}
	return b.String()
}

// wantLast reads over messages to the close frame.
func (s *socket) wantLast(code int, reason string) {
	s.t.Helper()
	defer time.AfterFunc(patience, s.close).Stop()
	want := fmt.Sprintf("close %d %s", code, reason)
	for {
		if _, err := s.read(); err != nil {
			if !strings.Contains(err.Error(), reason) || !strings.Contains(err.Error(), fmt.Sprint(code)) {
				s.t.Errorf("it ends with %v, want %s", err, want)
			}
			s.close()
			synctest.Wait() // until the server knows
			return
		}
	}
}

// TestTokensAreNotLogged looks at all that doors log, of good and bad tokens.
func TestTokensAreNotLogged(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	memoryBubble(t, func(t *testing.T, w *world) {
		a := authority(t, passes{"SECRET-good": {user: "ann", rooms: auth.Rooms{"chat:*": {"*"}}}, "SECRET-poor": {user: "bob"}})
		handler := slog.NewTextHandler(&locked{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug - 4, AddSource: false})
		w.guarded(a, slog.New(handler))
		for _, token := range []string{"SECRET-good", "SECRET-poor", "SECRET-bad", "SECRET-a.b.c"} {
			w.try("token=" + token)
			w.try("token=" + token + "&after=nonsense&framing=strange")
			w.try("", "Authorization", "Bearer "+token)
			w.try("", "Authorization", token)
			w.try("", "Cookie", "sid="+token)
			w.try("token=%zz" + token)
		}
		a.Register().Disconnect("ann", "")
	})
	if text := log.String(); strings.Contains(text, "SECRET") || len(text) == 0 {
		t.Errorf("the log has a token, or nothing:\n%s", text)
	}
}

// TestLogoutNotKept: who revokes is told if it will not last, and the connections
// are ended all the same.
func TestLogoutNotKept(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		keys, err := auth.NewKeys(auth.Key{Name: "backend", Hash: auth.HashSecret(secret)})
		if err != nil {
			t.Fatal(err)
		}
		full := errors.New("no space left")
		a, err := auth.New(auth.Config{
			Verifiers: []auth.Verifier{keys}, Grants: []auth.Grant{{Rooms: "*", May: []auth.Permission{auth.Admin}, Key: "backend"}},
			Revoked: func(auth.Revocation) error { return full },
		})
		if err != nil {
			t.Fatal(err)
		}
		d, err := door.Disconnect(w.space, door.DisconnectConfig{Auth: a, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan string, 10)
		if _, err := a.Register().Enter(expelled(ended), &auth.Identity{Subject: "ann"}); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/api/disconnect", strings.NewReader(`{"user":"ann","revoke":true}`))
		r.Header.Set("Authorization", "Bearer "+secret)
		r.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		d.ServeHTTP(answer, r)
		for _, wrong := range []string{`{"user":"ann","since":1}`, `{"user":"ann","revoke":true,"since":99999999999}`, `{"token":"a","since":1}`} {
			r := httptest.NewRequest("POST", "/api/disconnect", strings.NewReader(wrong))
			r.Header = map[string][]string{"Authorization": {"Bearer " + secret}, "Content-Type": {"application/json"}}
			answer := httptest.NewRecorder()
			if d.ServeHTTP(answer, r); answer.Code != http.StatusBadRequest {
				t.Errorf("%s: %d %s", wrong, answer.Code, answer.Body)
			}
		}
		issued := time.Now().Add(5 * time.Second).Truncate(time.Second) // by a clock that is ahead
		r = httptest.NewRequest("POST", "/api/disconnect", strings.NewReader(fmt.Sprintf(`{"user":"ann","revoke":true,"since":%d}`, issued.Unix())))
		r.Header = map[string][]string{"Authorization": {"Bearer " + secret}, "Content-Type": {"application/json"}}
		d.ServeHTTP(httptest.NewRecorder(), r)
		if _, err := a.Register().Enter(expelled(ended), &auth.Identity{Subject: "ann", Issued: issued}); err == nil {
			t.Error("what was issued by a clock that is ahead is accepted after the logout")
		}
		if answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), `"not_kept"`) || strings.Contains(answer.Body.String(), "space") || len(ended) != 2 {
			t.Errorf("got %d %s, and %d were ended", answer.Code, answer.Body, len(ended))
		}
	})
}

// TestLogoutRate: who may not ask is slowed down by address, and who may is not
// by that.
func TestLogoutRate(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		a := authority(t, passes{"operator": {user: "op", rooms: auth.Rooms{"*": {"admin"}}}, "user": {user: "ann"}})
		d, err := door.Disconnect(w.space, door.DisconnectConfig{Auth: a, Rate: 1, Burst: 5, KeyRate: 1, KeyBurst: 3, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		statuses := func(n int, token string) map[int]int {
			all := map[int]int{}
			for range n {
				r := httptest.NewRequest("POST", "/api/disconnect", strings.NewReader(`{"user":"bob"}`))
				r.Header = map[string][]string{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
				answer := httptest.NewRecorder()
				d.ServeHTTP(answer, r)
				all[answer.Code]++
			}
			return all
		}
		if got := statuses(9, "guess"); got[401] != 5 || got[429] != 4 {
			t.Errorf("guesses: %v", got)
		}
		if got := statuses(2, "user"); got[429] != 2 {
			t.Errorf("somebody else of that address: %v", got)
		}
		if got := statuses(4, "operator"); got[200] != 3 || got[429] != 1 {
			t.Errorf("who may: %v", got)
		}
	})
}

// expelled is a connection that tells when it is ended.
type expelled chan string

func (e expelled) Expiring(time.Duration)  {}
func (e expelled) Expel(why *auth.Refusal) { e <- why.Message }

type locked struct {
	mu  *sync.Mutex
	buf *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// TestRevokedFor: a user's revocation holds for as long as the authority says.
func TestRevokedFor(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		a, err := auth.New(auth.Config{Verifiers: []auth.Verifier{known}, RevokeFor: 30 * 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		w.guarded(a, quiet)
		resp, body := w.answer("POST", "/api/disconnect", `{"user":"ann","revoke":true}`, "Authorization", "Bearer ops", "Content-Type", "application/json")
		if resp.StatusCode != 200 {
			t.Fatalf("answered %d %s", resp.StatusCode, body)
		}
		if got := a.Register().Revocations(); len(got) != 1 || time.Until(got[0].Until) != 30*24*time.Hour {
			t.Errorf("remembered: %+v", got)
		}
	})
}

// TestReloadedGrants: a stream ends when its client may do less, and comes back to
// what is left.
func TestReloadedGrants(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		grants := func(rooms ...string) auth.Config {
			cfg := auth.Config{Verifiers: []auth.Verifier{passes{"eve": {user: "eve"}}}}
			for _, room := range rooms {
				cfg.Grants = append(cfg.Grants, auth.Grant{Rooms: room, May: []auth.Permission{"join"}})
			}
			return cfg
		}
		a, err := auth.New(grants("chat:*", "other"))
		if err != nil {
			t.Fatal(err)
		}
		w.guarded(a, quiet)
		l := w.listen("/events?room=chat:a&token=eve")
		l.next() // from where it hears everything
		s := w.connect("/ws?framing=json&room=chat:a&token=eve")
		if err := a.Reload(grants("other", "chat:*", "more")); err != nil {
			t.Fatal(err)
		}
		w.publish(w.event("e", 1), "chat:a")
		if m := l.next(); m.event != "e" {
			t.Errorf("more is no loss: got %+v", m)
		}
		if err := a.Reload(grants("other")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if left := a.Register().Connections("eve"); len(left) > 1 { // the WebSocket is there until its client closes it
			t.Fatalf("%d streams that may hear less go on", len(left))
		}
		if text := l.rest(); !strings.Contains(text, `event: auth
data: {"code":"disconnected","error":"what you may do has changed: connect anew"}`) {
			t.Errorf("the stream ends with %q", text)
		}
		s.wantLast(1008, "what you may do has changed: connect anew")
		if got := w.try("token=eve"); got["events"] != "403" || got["websocket"] != "403" {
			t.Errorf("who comes back: %v", got)
		}
	})
}

// counted is a verifier that says how often it was asked.
type counted struct {
	passes
	asked *atomic.Int64
}

func (k counted) Verify(ctx context.Context, c auth.Credentials) (*auth.Identity, error) {
	k.asked.Add(1)
	return k.passes.Verify(ctx, c)
}

// TestRatesComeFirst: who comes too often is told so before anybody is asked who
// it is.
func TestRatesComeFirst(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		asked := new(atomic.Int64)
		a, err := auth.New(auth.Config{Verifiers: []auth.Verifier{counted{known, asked}}})
		if err != nil {
			t.Fatal(err)
		}
		desk, err := verb.New(verb.Config{Bearers: true})
		if err != nil {
			t.Fatal(err)
		}
		mount := func(path string, q *quota.Quota) {
			events, err := door.Events(w.space, door.EventsConfig{Auth: a, Desk: desk, Log: quiet, Quota: q})
			w.mount(path+"/events", events, err)
			sockets, err := door.WebSocket(w.space, door.WebSocketConfig{Auth: a, Desk: desk, Log: quiet, Quota: q})
			w.mount(path+"/ws", sockets, err)
			publish, err := door.Publish(w.space, door.PublishConfig{Auth: a, Desk: desk, Log: quiet, Rate: 1, Burst: 3})
			w.mount(path+"/api/publish", publish, err)
			history, err := door.History(w.space, door.ReadConfig{Auth: a, Desk: desk, Log: quiet, Rate: 1, Burst: 3})
			w.mount(path+"/api/history", history, err)
			disconnect, err := door.Disconnect(w.space, door.DisconnectConfig{Auth: a, Log: quiet, Rate: 1, Burst: 3})
			w.mount(path+"/api/disconnect", disconnect, err)
		}
		mount("", quota.New(quota.Config{AddressHandshakes: quota.Rate{PerSecond: 1, Burst: 3}}))
		try := func(path string, headers ...string) int {
			if strings.HasSuffix(strings.Split(path, "?")[0], "/ws") {
				if s, refused := w.dial(path, headers...); refused != nil {
					return refused.status
				} else {
					s.close()
					return 200
				}
			}
			method, body := "GET", ""
			if strings.Contains(path, "publish") || strings.Contains(path, "disconnect") {
				method, body = "POST", `{"room":"chat:a","event":"e","user":"x"}`
			}
			resp := w.do(method, path, body, append(headers, "Content-Type", "application/json")...)
			resp.Body.Close()
			return resp.StatusCode
		}
		for path, over := range map[string]int{"/events?room=chat:a": 503, "/ws?room=chat:a": 503, "/api/publish": 429, "/api/history?room=chat:a": 429, "/api/disconnect": 429} {
			time.Sleep(time.Minute)
			for i := range 5 {
				before := asked.Load()
				want := []int{401, 401, 401, over, over}[i]
				if got := try(path, "Cookie", "sid=made-up"); got != want || want == over && asked.Load() != before {
					t.Errorf("%s, time %d: answered %d, want %d, and asked %d times", path, i, got, want, asked.Load()-before)
				}
			}
		}
		mount("/free", nil)
		for _, path := range []string{"/free/events?room=chat:a", "/free/ws?room=chat:a"} {
			for i := range 52 {
				want := 401
				if i >= 50 {
					want = 429
				}
				if got := try(path, "Authorization", "Bearer guess"); got != want {
					t.Fatalf("%s, guess %d: answered %d, want %d", path, i, got, want)
				}
			}
		}
	})
}
