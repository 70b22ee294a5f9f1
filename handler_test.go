package tutti_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
)

func TestHandlersAnswer(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		type sum struct{ A, B int }
		const add tutti.Call[sum, int] = "add"
		add.Handle(ns, func(_ context.Context, _ *tutti.Socket, v sum) (int, error) { return v.A + v.B, nil })
		ns.Handle("silent", func(context.Context, *tutti.Socket, *tutti.Message) error { return nil })
		ns.Handle("twice", func(_ context.Context, _ *tutti.Socket, m *tutti.Message) error {
			m.Reply("first", 2)
			return m.Reply("second")
		})
		ns.Handle("refuse", func(context.Context, *tutti.Socket, *tutti.Message) error {
			return &tutti.Refusal{Message: "no", Data: map[string]int{"code": 4}}
		})
		ns.Handle("fail", func(context.Context, *tutti.Socket, *tutti.Message) error {
			return errors.New("password of the database is hunter2")
		})
		ns.Handle("panic", func(context.Context, *tutti.Socket, *tutti.Message) error { panic("boom") })
		handleProbe(ns)
		c := w.connect("/")
		for _, x := range []struct{ send, want, rule string }{
			{`21["add",{"A":1,"B":2}]`, `31[3]`, "the return value is the ack"},
			{`22["silent"]`, `32[]`, "a handler that returns has answered"},
			{`23["twice"]`, `33["first",2]`, "only the first reply counts"},
			{`24["refuse"]`, `34[{"data":{"code":4},"error":"no"}]`, "a refusal reaches the peer in its words"},
			{`25["fail"]`, `35[{"error":"internal error"}]`, "no other error does"},
			{`26["panic"]`, `36[{"error":"internal error"}]`, "a panic ends the handler only"},
		} {
			c.send(x.send)
			c.want(x.want, x.rule)
		}
		c.send(`27["add","one"]`)
		if got, err := c.Receive(); err != nil || !strings.HasPrefix(got, `37[{"error":"bad arguments for \"add\"`) {
			t.Errorf("arguments of another type: %s, %v", got, err)
		}
		c.send(`28["nobody handles this"]`)
		c.wantNothing("an event without handler is not answered")
	})
}

func TestMiddlewareAndOtherEvents(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		wrapped := make(map[string]int)
		trail := func(name string) tutti.Middleware {
			return func(next tutti.Handler) tutti.Handler {
				if wrapped[name]++; wrapped[name] > 1 {
					t.Errorf("middleware %s was called %d times, want once", name, wrapped[name])
				}
				return func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
					if m.Event == "stopped" {
						return &tutti.Refusal{Message: "stopped by " + name}
					}
					s.Emit("trail", name, m.Event)
					if err := next(ctx, s, m); err != nil {
						return fmt.Errorf("%s: %w", name, err)
					}
					return nil
				}
			}
		}
		ns.Handle("known", func(_ context.Context, s *tutti.Socket, m *tutti.Message) error { return m.Reply("known") })
		ns.Use(trail("outer"))
		ns.Use(trail("inner"))
		c := w.connect("/")
		c.send(`20["unknown"]`)
		c.Receive()
		c.Receive()
		c.send(`1`) // had it been answered, that would come first
		c.join("/")
		ns.HandleAny(func(_ context.Context, s *tutti.Socket, m *tutti.Message) error { return m.Reply("other", m.Event) })
		c.send(`21["known"]`)
		c.want(`2["trail","outer","known"]`, "the first added is the outermost")
		c.want(`2["trail","inner","known"]`, "then the next")
		c.want(`31["known"]`, "then the handler")
		c.send(`22["unknown"]`)
		c.Receive()
		c.Receive()
		c.want(`32["other","unknown"]`, "HandleAny gets what has no handler")
		c.send(`23["stopped"]`)
		c.want(`33[{"error":"stopped by outer"}]`, "middleware may refuse")
	})
}

func TestRegistrationMistakesPanic(t *testing.T) {
	srv, err := tutti.New(tutti.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ns := srv.Namespace("/")
	nothing := func(context.Context, *tutti.Socket, *tutti.Message) error { return nil }
	ns.Handle("once", nothing)
	for _, event := range []string{"once", "disconnect"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Handle(%q) did not panic", event)
				}
			}()
			ns.Handle(event, nothing)
		}()
	}
	ns.Handle("after the panic", nothing) // and the lock is free again
	defer func() {
		if recover() == nil {
			t.Error("a namespace that no client could ask for was made")
		}
	}()
	srv.Namespace("/a,b")
}

type userKey struct{}

func TestGuards(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		connected := 0
		ns.OnConnect(func(context.Context, *tutti.Socket) { connected++ })
		ns.OnDisconnect(func(context.Context, *tutti.Socket, tutti.Reason) { connected-- })
		ns.Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
			switch token := s.Handshake().Token(); token {
			case "panic":
				panic("boom")
			case "broken":
				return nil, errors.New("no connection to the database")
			case "":
				return nil, &tutti.Refusal{Message: "unauthorized", Data: map[string]int{"code": 401}}
			default:
				return context.WithValue(ctx, userKey{}, token), nil
			}
		})
		ns.Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
			s.Emit("early", ctx.Value(userKey{}))
			s.Join("mistake")
			s.Leave("mistake")
			return ctx, s.Join("room")
		})
		ns.Handle("who", func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
			return m.Reply(ctx.Value(userKey{}), s.Rooms()[1])
		})

		c := w.dial()
		for _, x := range []struct{ auth, want, rule string }{
			{"", `4{"data":{"code":401},"message":"unauthorized"}`, "a refusal is told with its data"},
			{`{"token":"broken"}`, `4{"message":"internal error"}`, "another error is not told"},
			{`{"token":"panic"}`, `4{"message":"internal error"}`, "nor is a panic"},
			{`{"token":"ann"}`, `2["early","ann"]`, "what a guard emits comes before the reply"},
		} {
			c.send("0" + x.auth)
			c.want(x.want, x.rule)
			synctest.Wait()
		}
		if got, _ := c.Receive(); !strings.HasPrefix(got, `0{"sid":"`) {
			t.Errorf("got %s, want the reply to CONNECT", got)
		}
		synctest.Wait()
		if connected != 1 {
			t.Errorf("%d sockets connected, want 1: who is refused was never connected", connected)
		}
		w.srv.Namespace("/").To("room").Emit("hello")
		c.want(`2["hello"]`, "rooms joined in a guard hold")
		c.send(`20["who"]`)
		c.want(`30["ann","room"]`, "a guard's context reaches the handlers")
	})
}

// What Rooms returned must not change under whoever reads it.
func TestRoomsDuringAGuard(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		w.srv.Namespace("/").Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
			var reading sync.WaitGroup
			for range 100 {
				s.Join("a", "b")
				reading.Go(func() {
					if len(s.Rooms()) > 2 {
						t.Errorf("rooms %s", s.Rooms())
					}
				})
				runtime.Gosched() // so that reading mostly comes first: the race detector sees what follows
				s.Leave("a", "b")
			}
			reading.Wait()
			return ctx, nil
		})
		w.connect("/")
	})
}

func TestLeavingDuringAGuard(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		ended := false
		ns.Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
			<-ctx.Done()
			ended = true
			return ctx, nil
		})
		ns.OnConnect(func(context.Context, *tutti.Socket) { t.Error("connected after it left") })
		c := w.dial()
		c.send("0")
		synctest.Wait()
		c.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		if !ended {
			t.Error("the guard's context did not end")
		}
		if n := len(w.srv.Hub().Space("/").Rooms()); n != 0 {
			t.Errorf("%d rooms are left", n)
		}
	})
}

// A socket that leaves in the moment after it was told that it is in was in: who
// counts the connected counts it twice.
func TestLeavingAtOnce(t *testing.T) {
	var once sync.Once
	leave := &hub.Trace{Joined: func(_, _ string, m hub.Member) { once.Do(m.(*tutti.Socket).Disconnect) }}
	inWorld(t, tutti.Config{Hub: hub.Config{Trace: leave}}, func(w *world) {
		var heard []string
		ns := w.srv.Namespace("/")
		ns.OnConnect(func(context.Context, *tutti.Socket) { heard = append(heard, "connect") })
		ns.OnDisconnect(func(_ context.Context, s *tutti.Socket, why tutti.Reason) {
			heard = append(heard, fmt.Sprint(why, ", of ", len(s.Rooms()), " rooms"))
		})
		w.connect("/")
		synctest.Wait()
		want := []string{"connect", "server namespace disconnect, of 1 rooms"}
		if !slices.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
		if n := len(w.srv.Hub().Space("/").Rooms()); n != 0 {
			t.Errorf("%d rooms are left", n)
		}
	})
}

func TestDynamicNamespaces(t *testing.T) {
	var limits []string
	cfg := tutti.Config{MaxDynamic: 2, Trace: &tutti.Trace{LimitHit: func(l string) { limits = append(limits, l) }}}
	inWorld(t, cfg, func(w *world) {
		family := w.srv.Dynamic(func(_ context.Context, name string, h tutti.Handshake) (bool, error) {
			if name == "/secret" {
				return false, &tutti.Refusal{Message: "go away"}
			}
			return strings.HasPrefix(name, "/game-"), nil
		})
		family.Handle("where", func(_ context.Context, s *tutti.Socket, m *tutti.Message) error {
			return m.Reply(s.Namespace().Name())
		})
		one, two := w.connect("/game-1"), w.connect("/game-2")
		one.send(`2/game-1,0["where"]`)
		one.want(`3/game-1,0["/game-1"]`, "handlers of the family hold for each")
		family.Emit("all")
		one.want(`2/game-1,["all"]`, "what is sent to the family reaches all of them")
		two.want(`2/game-2,["all"]`, "what is sent to the family reaches all of them")

		c := w.dial()
		c.send("0/secret,")
		c.want(`4/secret,{"message":"go away"}`, "a match may refuse in its words")
		c.send("0/other,")
		c.want(`4/other,{"message":"Invalid namespace"}`, "no match")
		c.send("0/game-3,")
		c.want(`4/game-3,{"message":"Too many namespaces"}`, "their number is limited")
		two.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		c.join("/game-3") // there is room again: the other is gone with its last socket
		if strings.Join(limits, ",") != "dynamic namespaces" {
			t.Errorf("limits hit: %q", limits)
		}
		spaces := 0
		for range w.srv.Hub().Spaces() {
			spaces++
		}
		if spaces != 3 { // "/", "/game-1", "/game-3"
			t.Errorf("%d spaces, want 3", spaces)
		}
	})
}

func TestLimits(t *testing.T) {
	var limits []string
	cfg := tutti.Config{
		MaxNamespaces: 2,
		MaxInbox:      1000,
		Trace:         &tutti.Trace{LimitHit: func(l string) { limits = append(limits, l) }},
	}
	inWorld(t, cfg, func(w *world) {
		w.srv.Dynamic(func(context.Context, string, tutti.Handshake) (bool, error) { return true, nil })
		ns := w.srv.Namespace("/")
		ns.Handle("slow", func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
			<-ctx.Done()
			return nil
		})
		c := w.connect("/")
		c.join("/1")
		c.send("0/2,")
		c.wantEnd("a session in too many namespaces")

		c = w.connect("/")
		for range 20 {
			c.Send(`2["slow","` + strings.Repeat("x", 50) + `"]`)
		}
		c.wantEnd("a socket that floods its handlers")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := strings.Join(limits, ","); got != "namespaces,inbox" {
			t.Errorf("limits hit: %s", got)
		}
	})
}

// Tiny events cost more than their bytes.
func TestInboxCountsEventsToo(t *testing.T) {
	inWorld(t, tutti.Config{MaxInbox: 16_000}, func(w *world) {
		w.srv.Namespace("/").Handle("slow", func(ctx context.Context, _ *tutti.Socket, _ *tutti.Message) error {
			<-ctx.Done()
			return nil
		})
		c := w.connect("/")
		for range 100 {
			c.Send(`2["slow"]`)
		}
		c.wantEnd("a hundred events of 160 bytes each in an inbox of 16 kB")
	})
}

// Who leaves a namespace whose handlers are slow, and comes back, again and
// again, would have any number of them running.
func TestComingBackDoesNotEscapeLimits(t *testing.T) {
	var limits []string
	cfg := tutti.Config{
		MaxNamespaces: 3,
		Trace:         &tutti.Trace{LimitHit: func(l string) { limits = append(limits, l) }},
	}
	inWorld(t, cfg, func(w *world) {
		running, release := 0, make(chan struct{})
		w.srv.Namespace("/").Handle("slow", func(context.Context, *tutti.Socket, *tutti.Message) error {
			running++
			<-release
			return nil
		})
		defer close(release)
		c := w.dial()
		for range 3 {
			c.join("/")
			c.send(`2["slow"]`)
			c.send("1")
			synctest.Wait()
		}
		c.send("0")
		c.wantEnd("a session that comes back while three of its handlers run")
		synctest.Wait()
		if running != 3 || strings.Join(limits, ",") != "namespaces" {
			t.Errorf("%d handlers run, limits hit: %s", running, limits)
		}
		c = w.connect("/")
		for range 10 {
			c.send("1")
			synctest.Wait()
			c.join("/")
		}
	})
}

func TestConfigMistakesAreListed(t *testing.T) {
	cfg := tutti.Config{}
	cfg.Engine.PingInterval = -1
	cfg.Engine.Transports = []string{"pigeon"}
	_, err := tutti.New(cfg)
	if err == nil || !strings.Contains(err.Error(), "PingInterval") || !strings.Contains(err.Error(), "pigeon") {
		t.Errorf("got %v, want both mistakes", err)
	}
}

// TestTooManyAttachments: a stock client closes the connection at the eleventh.
func TestTooManyAttachments(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		files := make([][]byte, 11)
		for i := range files {
			files[i] = []byte{1}
		}
		ns.Handle("files", func(_ context.Context, s *tutti.Socket, m *tutti.Message) error {
			_, direct := s.Emit("files", files)
			_, toAll := ns.Emit("files", files)
			if !errors.Is(direct, tutti.ErrTooManyAttachments) || !errors.Is(toAll, tutti.ErrTooManyAttachments) {
				t.Errorf("emit: %v, broadcast: %v", direct, toAll)
			}
			return m.Reply(files)
		})
		c := w.connect("/")
		c.send(`20["files"]`)
		c.want(`30[{"error":"internal error"}]`, "nothing was sent that would end the connection")
	})
}
