package tutti_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/verb"
)

// tokens are a verifier that knows some, each good for a time.
type tokens struct {
	mu    sync.Mutex
	known map[string]pass
	away  bool // nobody can tell
}

func (k *tokens) fail(away bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.away = away
}

type pass struct {
	user, id string
	lasts    time.Duration
	rooms    auth.Rooms
	method   auth.Method
}

func (k *tokens) set(text string, t pass) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = make(map[string]pass)
	}
	k.known[text] = t
}

func (k *tokens) Verify(_ context.Context, c auth.Credentials) (*auth.Identity, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away {
		return nil, auth.Refuse(auth.Unavailable, "come again")
	}
	text := c.Token
	if c.Ambient && text == "" {
		text = c.Header.Get("Cookie")
	}
	t, ok := k.known[text]
	if !ok {
		return nil, nil
	}
	id := &auth.Identity{Subject: t.user, TokenID: t.id, Method: auth.ByToken, Issued: time.Now().Add(-time.Second), Rooms: t.rooms}
	if t.method != "" {
		id.Method = t.method
	}
	if t.lasts > 0 {
		id.Expiry = time.Now().Add(t.lasts)
	}
	return id, nil
}

// authority returns one that knows these tokens.
func (k *tokens) authority(t *testing.T, grants ...auth.Grant) *auth.Authority {
	t.Helper()
	a, err := auth.New(auth.Config{Verifiers: []auth.Verifier{k}, Grants: grants})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// patient is a server whose clients need not answer heartbeats.
func patient(a *auth.Authority) tutti.Config {
	return tutti.Config{Auth: a, Engine: engineio.Config{PingInterval: 24 * time.Hour}}
}

// identified is a server that asks who its peers are, with the verbs and with
// memory.
func identified(t *testing.T, k *tokens, grants ...auth.Grant) tutti.Config {
	cfg := chatMemory()
	cfg.Auth = k.authority(t, grants...)
	return cfg
}

func (w *world) serveGrants() {
	w.t.Helper()
	d, err := verb.New(verb.Config{Bearers: true})
	if err != nil {
		w.t.Fatal(err)
	}
	w.srv.Namespace("/").ServeVerbs(d)
}

// show connects with a token, and returns what a connection that is refused is
// told.
func (w *world) show(token string) (*client, string) {
	w.t.Helper()
	c := w.dial()
	auth, _ := json.Marshal(map[string]string{"token": token})
	c.send("0" + string(auth))
	reply, err := c.Receive()
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	if strings.HasPrefix(reply, "4") {
		return c, reply[1:]
	}
	var ids struct{ SID string }
	json.Unmarshal([]byte(reply[1:]), &ids)
	c.id = ids.SID
	return c, ""
}

func TestIdentity(t *testing.T) {
	k := &tokens{}
	k.set("ann's", pass{user: "ann"})
	inWorld(t, patient(k.authority(t)), func(w *world) {
		ns := w.srv.Namespace("/")
		seen := make(chan string, 1)
		ns.Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
			seen <- fmt.Sprint(s.Identity().Subject, " ", auth.FromContext(ctx).Method, " ", s.Person())
			return ctx, nil
		})
		if _, told := w.show("ann's"); told != "" || <-seen != "ann token ann" {
			t.Errorf("refused: %s", told)
		}
		for token, want := range map[string]string{
			"":       `{"data":{"code":"unauthorized"},"message":"a token is wanted"}`,
			"wrong!": `{"data":{"code":"invalid_token"},"message":"the token is not known"}`,
		} {
			if _, told := w.show(token); told != want {
				t.Errorf("%q is told %s, want %s", token, told, want)
			}
		}
		w.srv.Namespace("/open").AdmitAnonymous()
		c := w.connect("/open")
		s, ok := w.srv.Namespace("/open").Socket(c.id)
		if !ok {
			t.Fatalf("no socket %q", c.id)
		}
		if s.Identity().Method != auth.Anonymous {
			t.Error("who shows nothing is somebody")
		}
	})
}

// TestExpiry: who does not show another token in time is told so, and sent away
// when its own has expired.
func TestExpiry(t *testing.T) {
	k := &tokens{}
	k.set("short", pass{user: "ann", lasts: time.Minute})
	k.set("long", pass{user: "ann", lasts: time.Hour})
	k.set("bob's", pass{user: "bob"})
	const notice = `2["auth",{"code":"token_expired","error":"the token is about to expire","grace":10000}]`
	inWorld(t, patient(k.authority(t)), func(w *world) {
		handleProbe(w.srv.Namespace("/"))
		c, _ := w.show("short")
		lost, _ := w.show("short")
		time.Sleep(50 * time.Second)
		c.want(notice, "before the expiry")
		lost.want(notice, "before the expiry")
		c.wantNothing("events go on until then")
		c.send(`22["auth",{"token":"bob's"}]`)
		c.want(`32[{"code":"wrong_user","error":"the token is another user's: connect anew"}]`, "another user's token")
		c.send(`22["auth",{"token":"none"}]`)
		c.want(`32[{"code":"invalid_token","error":"the token is not known"}]`, "no token")
		c.send(`23["auth",{"token":"long"}]`)
		c.want(fmt.Sprintf(`33[{"expires":%d}]`, time.Now().Add(time.Hour).UnixMilli()), "another token")
		time.Sleep(10*time.Second - time.Millisecond)
		lost.wantNothing("it has not expired yet")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := len(w.srv.Users().Connections("ann")); n != 1 {
			t.Errorf("at the expiry %d connections are left, want the one that was renewed", n)
		}
		lost.want(`2["auth",{"code":"token_expired","error":"the token has expired"}]`, "at the expiry")
		lost.want(`1`, "and then it is over")
		c.wantNothing("the connection goes on")
		time.Sleep(time.Hour - 20*time.Second)
		c.want(notice, "before the next expiry")
		time.Sleep(10 * time.Second)
		c.want(`2["auth",{"code":"token_expired","error":"the token has expired"}]`, "at the next expiry")
		c.want(`1`, "and then it is over")
	})
}

func TestDisconnectUser(t *testing.T) {
	k := &tokens{}
	for i := range 3 {
		k.set(fmt.Sprint("ann ", i), pass{user: "ann", id: fmt.Sprint("t", i)})
	}
	k.set("bob's", pass{user: "bob"})
	inWorld(t, patient(k.authority(t)), func(w *world) {
		ns := w.srv.Namespace("/")
		handleProbe(ns)
		var clients []*client
		for i := range 3 {
			c, _ := w.show(fmt.Sprint("ann ", i))
			clients = append(clients, c)
		}
		bob, _ := w.show("bob's")
		n, err := w.srv.Users().Revoke(auth.Revocation{Token: "t0", Until: time.Now().Add(time.Hour)})
		if n != 1 || err != nil {
			t.Errorf("revoked %d, %v", n, err)
		}
		clients[0].want(`2["auth",{"code":"token_revoked","error":"the token has been revoked"}]`, "who came with it")
		clients[0].want(`1`, "is sent away")
		if _, told := w.show("ann 0"); !strings.Contains(told, "token_revoked") {
			t.Errorf("the revoked token is told %s", told)
		}
		if n, err := w.srv.DisconnectUser(t.Context(), "ann", "bye"); n != 2 || err != nil {
			t.Errorf("%d were disconnected, want 2; %v", n, err)
		}
		for _, c := range clients[1:] {
			c.want(`2["auth",{"code":"disconnected","error":"bye"}]`, "all of a user's")
			c.want(`1`, "are sent away")
		}
		bob.wantNothing("others stay")
		if n, _ := w.srv.DisconnectUser(t.Context(), "ann", ""); n != 0 {
			t.Errorf("%d are left", n)
		}
		if _, told := w.show("ann 1"); told != "" {
			t.Errorf("she may come back, and is told %s", told)
		}
		time.Sleep(time.Hour)
		if _, told := w.show("ann 0"); told != "" {
			t.Errorf("a revocation that is over: told %s", told)
		}
	})
}

// TestIdentifyInGuard: the register holds for applications without an authority.
func TestIdentifyInGuard(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		w.srv.Namespace("/").Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
			s.Identify("ann")
			return ctx, nil
		})
		c := w.connect("/")
		if n, _ := w.srv.DisconnectUser(t.Context(), "ann", ""); n != 1 {
			t.Fatalf("%d were disconnected", n)
		}
		c.want(`2["auth",{"code":"disconnected","error":"disconnected by the server"}]`, "she is told")
		w.srv.Users().Revoke(auth.Revocation{User: "ann", Since: time.Now(), Until: time.Now().Add(time.Hour)})
		if _, told := w.show(""); !strings.Contains(told, "token_revoked") {
			t.Errorf("after a revocation: told %s", told)
		}
	})
}

// returning is the claim of a client that comes back with a token.
func (w *world) returning(token, pid, offset string) (*client, bool) {
	w.t.Helper()
	c := w.dial()
	claim, _ := json.Marshal(map[string]string{"token": token, "pid": pid, "offset": offset})
	c.send("0" + string(claim))
	reply, err := c.Receive()
	if err != nil {
		w.t.Fatal(err)
	}
	return c, strings.Contains(reply, `"pid":"`+pid+`"`)
}

// TestRecoveryAsksAgain: who comes back has the rights that he has now.
func TestRecoveryAsksAgain(t *testing.T) {
	k := &tokens{}
	both := auth.Rooms{"chat:a": {"join"}, "chat:b": {"join"}}
	k.set("both", pass{user: "ann", rooms: both})
	k.set("one", pass{user: "ann", rooms: auth.Rooms{"chat:a": {"join"}}})
	k.set("bob's", pass{user: "bob", rooms: both})
	inWorld(t, identified(t, k), func(w *world) {
		w.serveGrants()
		ns := w.srv.Namespace("/")
		c := w.dial()
		c.send(`0{"token":"both"}`)
		reply, _ := c.Receive()
		var ids struct{ SID, PID string }
		json.Unmarshal([]byte(reply[1:]), &ids)
		c.wantAnswer("with the right", "join", `{"room":"chat:a"}`, `{"offset":`)
		c.wantAnswer("with the right", "join", `{"room":"chat:b"}`, `{"offset":`)
		s, _ := ns.Socket(ids.SID)
		s.Join("app") // the application's own doing
		head := string(ns.Space().Head())
		c.Close()
		synctest.Wait()
		for _, room := range []string{"chat:a", "chat:b", "app"} {
			ns.To(room).Emit("in", room)
		}

		if _, recovered := w.returning("bob's", ids.PID, head); recovered {
			t.Error("somebody else got the session")
		}
		c, recovered := w.returning("one", ids.PID, head)
		if !recovered {
			t.Fatal("not recovered")
		}
		var got []string
		for range 3 {
			text, err := c.Receive()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, text)
		}
		all := strings.Join(got, "\n")
		for _, want := range []string{`"rooms_removed"`, `"rooms":["chat:b"]`, `["in","chat:a"`, `["in","app"`} {
			if !strings.Contains(all, want) {
				t.Errorf("got %s, want %s in it", all, want)
			}
		}
		synctest.Wait()
		s, _ = ns.Socket(ids.SID)
		if rooms := strings.Join(s.Rooms(), " "); rooms != ids.SID+" chat:a app" {
			t.Errorf("it is in %s", rooms)
		}
	})
}

// TestRenewalAsksAgain: another token may say less.
func TestRenewalAsksAgain(t *testing.T) {
	k := &tokens{}
	k.set("both", pass{user: "ann", rooms: auth.Rooms{"chat:*": {"join"}}})
	k.set("one", pass{user: "ann", rooms: auth.Rooms{"chat:a": {"join"}}})
	inWorld(t, identified(t, k), func(w *world) {
		w.serveGrants()
		c, _ := w.show("both")
		c.ask("join", `{"room":"chat:a"}`)
		c.ask("join", `{"room":"chat:b"}`)
		c.wantAnswer("a token that says less", "auth", `{"token":"one"}`, `"removed":["chat:b"]`)
		s, _ := w.srv.Namespace("/").Socket(c.id)
		if rooms := strings.Join(s.Rooms(), " "); rooms != c.id+" chat:a" {
			t.Errorf("it is in %s", rooms)
		}
		c.wantAnswer("and now", "join", `{"room":"chat:b"}`, `"forbidden"`)
	})
}

// TestReloadedGrants: who is connected may do what grants say now.
func TestReloadedGrants(t *testing.T) {
	k := &tokens{}
	k.set("ann's", pass{user: "ann"})
	k.set("bob's", pass{user: "bob"})
	grant := func(rooms ...string) (all []auth.Grant) {
		for _, room := range rooms {
			all = append(all, auth.Grant{Rooms: room, May: []auth.Permission{"join"}})
		}
		return append(all, auth.Grant{Rooms: "own:{sub}", May: []auth.Permission{"join"}})
	}
	server := identified(t, k, grant("chat:*")...)
	inWorld(t, server, func(w *world) {
		w.serveGrants()
		handleProbe(w.srv.Namespace("/"))
		ann, _ := w.show("ann's")
		for _, room := range []string{"chat:a", "chat:b", "own:ann"} {
			ann.ask("join", `{"room":"`+room+`"}`)
		}
		s, _ := w.srv.Namespace("/").Socket(ann.id)
		s.Join("app") // the application's own doing
		bob, _ := w.show("bob's")
		reload := func(rooms ...string) {
			cfg := auth.Config{Verifiers: []auth.Verifier{k}, Grants: grant(rooms...)}
			if err := server.Auth.Reload(cfg); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		reload("chat:a")
		if rooms := strings.Join(s.Rooms(), " "); rooms != ann.id+" chat:a own:ann app" {
			t.Fatalf("it is in %s", rooms)
		}
		ann.want(`2["auth",{"code":"rooms_removed","error":"you may not be in these rooms any more","rooms":["chat:b"]}]`, "the grant is narrower")
		ann.wantAnswer("and now", "join", `{"room":"chat:b"}`, `"forbidden"`)
		bob.wantNothing("who has lost nothing")
		reload("chat:*")
		ann.wantNothing("more is no loss")
		ann.wantAnswer("with more", "join", `{"room":"chat:b"}`, `{`)
	})
}

// TestReloadOfUnasked: a reload of grants is no matter of sockets whose owner a guard
// has named, and whom nobody has asked anything.
func TestReloadOfUnasked(t *testing.T) {
	open := auth.Config{AllowAnonymous: true, AllowUnknown: true}
	a, err := auth.New(open)
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t, patient(a), func(w *world) {
		ns := w.srv.Namespace("/")
		handleProbe(ns)
		ns.Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
			s.Identify("ann")
			return ctx, nil
		})
		c := w.connect("/")
		open.Grants = []auth.Grant{{Rooms: "a", May: []auth.Permission{"join"}}}
		if err := a.Reload(open); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.wantNothing("it goes on")
		if n := len(w.srv.Users().Connections("ann")); n != 1 {
			t.Errorf("ann has %d connections", n)
		}
	})
}

// TestReloadMeetsPanic: an application's rule that panics when rooms are looked at
// again ends that socket and nothing else.
func TestReloadMeetsPanic(t *testing.T) {
	k := &tokens{}
	k.set("ann's", pass{user: "ann"})
	cfg := identified(t, k)
	inWorld(t, cfg, func(w *world) {
		var bad atomic.Bool
		d, err := verb.New(verb.Config{
			Rules: []verb.Rule{{Pattern: "chat:*", Join: verb.Token}},
			Permit: func(context.Context, verb.Caller, verb.Verb, string) error {
				if bad.Load() {
					panic("a mistake of the application's")
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.srv.Namespace("/").ServeVerbs(d)
		c, _ := w.show("ann's")
		c.wantAnswer("a room", "join", `{"room":"chat:a"}`, `{`)
		bad.Store(true)
		grants := []auth.Grant{{Rooms: "a", May: []auth.Permission{"join"}}}
		if err := cfg.Auth.Reload(auth.Config{Verifiers: []auth.Verifier{k}, Grants: grants}); err != nil {
			t.Fatal(err)
		}
		c.want(`2["auth",{"code":"disconnected","error":"what you may do has changed: connect anew"}]`, "nobody knows what it may do")
		c.want("1", "and it is sent away")
	})
}

// TestSessionIsAskedAgain: a cookie's session is verified anew before its time is
// over, and nobody has to do anything.
func TestSessionIsAskedAgain(t *testing.T) {
	k := &tokens{}
	k.set("", pass{user: "ann", lasts: time.Minute, method: auth.BySession})
	inWorld(t, patient(k.authority(t)), func(w *world) {
		handleProbe(w.srv.Namespace("/"))
		c, _ := w.show("")
		time.Sleep(time.Minute + time.Second)
		c.wantNothing("the session goes on")
		k.set("", pass{user: "bob", method: auth.BySession})
		time.Sleep(time.Minute)
		c.want(`2["auth",{"code":"token_expired","error":"the session has expired"}]`, "the session is another's")
		c.want(`1`, "the session is another's")

		k.set("", pass{user: "ann", lasts: time.Minute, method: auth.BySession})
		c, _ = w.show("")
		k.fail(true)
		time.Sleep(52 * time.Second)
		k.fail(false)
		time.Sleep(time.Minute)
		c.wantNothing("nobody could tell for a while")
		k.fail(true)
		time.Sleep(53*time.Second - time.Millisecond) // it was asked after 55 and after 105 s
		c.wantNothing("nobody can tell, and it has not expired")
		time.Sleep(time.Millisecond)
		c.want(`2["auth",{"code":"token_expired","error":"the token has expired"}]`, "but now")
		c.want(`1`, "but now")
	})
}

// TestSessionSaysLess: who is asked again and says less takes the socket out of
// rooms, and it is told.
func TestSessionSaysLess(t *testing.T) {
	k := &tokens{}
	session := pass{user: "ann", lasts: time.Minute, method: auth.BySession, rooms: auth.Rooms{"chat:*": {"join"}}}
	k.set("", session)
	cfg := identified(t, k)
	cfg.Engine.PingInterval = 24 * time.Hour
	inWorld(t, cfg, func(w *world) {
		w.serveGrants()
		handleProbe(w.srv.Namespace("/"))
		c, _ := w.show("")
		c.ask("join", `{"room":"chat:a"}`)
		c.ask("join", `{"room":"chat:b"}`)
		session.rooms = auth.Rooms{"chat:a": {"join"}}
		k.set("", session)
		time.Sleep(time.Minute)
		c.want(`2["auth",{"code":"rooms_removed","error":"you may not be in these rooms any more","rooms":["chat:b"]}]`, "the session says less")
		c.wantNothing("and it goes on")
	})
}

// TestTokensAreNotLogged looks for tokens in all that is logged.
func TestTokensAreNotLogged(t *testing.T) {
	var log bytes.Buffer
	k := &tokens{}
	k.set("SECRET-1", pass{user: "ann", id: "one", lasts: time.Minute})
	cfg := identified(t, k)
	cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
	inWorld(t, cfg, func(w *world) {
		w.serveGrants()
		for _, token := range []string{"SECRET-1", "SECRET-2", "SECRET-3.a.b"} {
			c, _ := w.show(token)
			if token == "SECRET-1" {
				c.ask("auth", `{"token":"SECRET-4"}`)
				c.ask("join", `{"room":"SECRET-5"}`)
			}
			time.Sleep(2 * time.Minute)
		}
		w.srv.Users().Revoke(auth.Revocation{Token: "one", Until: time.Now().Add(time.Hour)})
		w.show("SECRET-1")
	})
	if strings.Contains(log.String(), "SECRET") {
		t.Errorf("the log has a token:\n%s", &log)
	}
}

// TestTokensAreNotTraced: what watches a server sees that a token was shown, and
// not which.
func TestTokensAreNotTraced(t *testing.T) {
	k := &tokens{}
	k.set("SECRET", pass{user: "ann"})
	var seen []string
	cfg := patient(k.authority(t))
	cfg.Trace = &tutti.Trace{
		EventReceived: func(_ *tutti.Socket, m *tutti.Message) { seen = append(seen, m.Event+string(m.Args.AppendText(nil))) },
		EventHandled: func(_ *tutti.Socket, m *tutti.Message, _ time.Duration) {
			seen = append(seen, m.Event+string(m.Args.AppendText(nil)))
		},
	}
	inWorld(t, cfg, func(w *world) {
		handleProbe(w.srv.Namespace("/"))
		c, _ := w.show("SECRET")
		c.wantAnswer("a token", "auth", `{"token":"SECRET"}`, `{`)
		c.wantNothing("it goes on")
	})
	if got := strings.Join(seen, " "); got != "auth auth probe probe" {
		t.Errorf("traced were %s", got)
	}
}

// TestTokensInQueries: a client of Socket.IO 2 shows its token in the query, of its
// session or of a namespace. It is known by it, later too, and no handshake has it.
func TestTokensInQueries(t *testing.T) {
	k := &tokens{}
	k.set("SECRET 1", pass{user: "ann"})
	k.set("SECRET2", pass{user: "bob"})
	cfg := patient(k.authority(t))
	cfg.Engine.AllowEIO3 = true
	inWorld(t, cfg, func(w *world) {
		var mu sync.Mutex
		var seen []string
		for _, name := range []string{"/", "/late", "/other"} {
			w.srv.Namespace(name).OnConnect(func(_ context.Context, s *tutti.Socket) {
				h := s.Handshake()
				mu.Lock()
				seen = append(seen, s.Identity().Subject, h.Query.Get("color"))
				mu.Unlock()
				for _, text := range []string{h.URL, h.Query.Encode(), s.Session().Request().RequestURI, fmt.Sprint(s.Describe().Handshake)} {
					if strings.Contains(text, "SECRET") || strings.Contains(text, "token=") {
						t.Errorf("in %s it keeps %s", name, text)
					}
				}
			})
		}
		c := w.dial("EIO=3", "token=SECRET%201&color=red")
		c.want("0", "in without being asked")
		time.Sleep(time.Minute)
		c.send("0/late")
		c.want("0/late,", "the token counts later as well")
		synctest.Wait() // handlers run behind the reply
		c.send("0/other?token=SECRET2&color=blue")
		c.want("0/other,", "and that of a namespace there")
		synctest.Wait()
		if got := strings.Join(seen, " "); got != "ann red ann red bob blue" {
			t.Errorf("came: %s", got)
		}
	})
}

// TestRecoveryAsksAgainAfterRestart: which rooms a client had asked for itself
// is on the disk.
func TestRecoveryAsksAgainAfterRestart(t *testing.T) {
	k := &tokens{}
	k.set("both", pass{user: "ann", rooms: auth.Rooms{"chat:*": {"join"}}})
	k.set("one", pass{user: "ann", rooms: auth.Rooms{"chat:a": {"join"}}})
	store := &lastingStore{Store: hub.NewMemoryStore(), logs: make(map[string]hub.Log)}
	cfg := remembering(store)
	cfg.Auth = k.authority(t)
	var ids struct{ SID, PID string }
	var head string
	inWorld(t, cfg, func(w *world) {
		w.serveGrants()
		c := w.dial()
		c.send(`0{"token":"both"}`)
		reply, _ := c.Receive()
		json.Unmarshal([]byte(reply[1:]), &ids)
		c.ask("join", `{"room":"chat:a"}`)
		c.ask("join", `{"room":"chat:b"}`)
		s, _ := w.srv.Namespace("/").Socket(ids.SID)
		s.Join("app")
		head = string(w.srv.Namespace("/").Space().Head())
	})
	inWorld(t, cfg, func(w *world) {
		w.serveGrants()
		if _, recovered := w.returning("one", ids.PID, head); !recovered {
			t.Fatal("not recovered")
		}
		synctest.Wait()
		s, _ := w.srv.Namespace("/").Socket(ids.SID)
		if rooms := strings.Join(s.Rooms(), " "); rooms != ids.SID+" chat:a app" {
			t.Errorf("it is in %s", rooms)
		}
	})
}
