package tutti_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/internal/leak"
	"github.com/tutti-rt/tutti/internal/siotest"
)

// TestMain fails if a goroutine stays behind.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// A world is a server in a bubble of fake time, and its clients.
type world struct {
	t   *testing.T
	srv *tutti.Server
	net *siotest.Network
}

// inWorld runs f against a server in a synctest bubble and shuts everything
// down after it.
func inWorld(t *testing.T, cfg tutti.Config, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		runWorld(t, cfg, f)
	})
}

// runWorld is inWorld in a bubble that is there.
func runWorld(t *testing.T, cfg tutti.Config, f func(w *world)) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	srv, err := tutti.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, srv: srv, net: siotest.Serve(srv)}
	defer w.net.Close()
	defer func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	}()
	f(w)
}

// A client is a siotest.Client whose errors end the test.
type client struct {
	*siotest.Client
	t  *testing.T
	id string
}

func (w *world) dial(query ...string) *client {
	w.t.Helper()
	c, err := w.net.Dial(query...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return &client{Client: c, t: w.t}
}

// connect dials and joins a namespace.
func (w *world) connect(namespace string) *client {
	w.t.Helper()
	c := w.dial()
	c.join(namespace)
	return c
}

func (c *client) join(namespace string) {
	c.t.Helper()
	id, err := c.Connect(namespace, "")
	if err != nil {
		c.t.Fatal(err)
	}
	c.id = id
	synctest.Wait() // the connect handlers have run
}

func (c *client) send(packet string) {
	c.t.Helper()
	if err := c.Send(packet); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) want(packet, rule string) {
	c.t.Helper()
	got, err := c.Receive()
	if err != nil || got != packet {
		c.t.Fatalf("%s: got %s, %v, want %s", rule, got, err, packet)
	}
}

func (c *client) wantEnd(rule string) {
	c.t.Helper()
	if got, err := c.Receive(); err == nil {
		c.t.Fatalf("%s: got %s, want the end of the session", rule, got)
	}
}

// wantNothing says that no packet is on its way: an event sent after what is
// to be silent is answered first.
func (c *client) wantNothing(rule string) {
	c.t.Helper()
	c.send(`2777["probe"]`)
	c.want(`3777["probe"]`, rule)
}

// handleProbe registers what wantNothing needs.
func handleProbe(ns *tutti.Namespace) {
	ns.Handle("probe", func(_ context.Context, _ *tutti.Socket, m *tutti.Message) error {
		return m.Reply("probe")
	})
}

func TestConnect(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		handleProbe(w.srv.Namespace("/"))
		w.srv.Namespace("chat") // a missing slash is added
		c := w.dial()
		id, err := c.Connect("/", `{"token":"x"}`)
		if err != nil || len(id) != 20 {
			t.Fatalf("socket id %q, %v, want 20 characters", id, err)
		}
		if strings.Contains(c.Open, id) {
			t.Error("the socket's id must not tell the session's, which is a secret")
		}
		if _, err := c.Connect("/chat", ""); err != nil {
			t.Fatal(err)
		}
		c.send(`0/random,`)
		c.want(`4/random,{"message":"Invalid namespace"}`, "an unknown namespace is refused in Socket.IO's words")
		c.wantNothing("the session goes on after a refusal")
	})
}

func TestProtocolViolationsEndTheSession(t *testing.T) {
	for rule, packets := range map[string][]string{
		"CONNECT twice":               {"0", "0"},
		"EVENT before CONNECT":        {`2["x"]`},
		"ACK before CONNECT":          {`30[1]`},
		"CONNECT_ERROR from a client": {"0", `4{"message":"x"}`},
		"no packet type":              {"abc"},
		"reserved event":              {"0", `2["disconnect"]`},
		"payload not an array":        {"0", `2{}`},
		"attachments missing":         {"0", `51-["x",{"_placeholder":true,"num":0}]`, `2["y"]`},
		"other namespace":             {"0", `2/admin,["x"]`},
	} {
		t.Run(rule, func(t *testing.T) {
			inWorld(t, tutti.Config{}, func(w *world) {
				c := w.dial()
				for _, p := range packets {
					c.send(p)
				}
				if packets[0] == "0" {
					c.Receive()
				}
				c.wantEnd(rule)
			})
		})
	}
}

func TestClientDisconnectKeepsTheSession(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		handleProbe(ns)
		var reason tutti.Reason
		var rooms []string
		ns.OnDisconnect(func(ctx context.Context, s *tutti.Socket, r tutti.Reason) {
			reason, rooms = r, s.Rooms()
		})
		c := w.connect("/")
		s, ok := ns.Socket(c.id)
		if !ok || s.Join("a") != nil {
			t.Fatal("no socket to join a room")
		}
		c.send("1")
		synctest.Wait()
		if reason != tutti.ReasonClientDisconnect || len(rooms) != 2 {
			t.Errorf("left for %q from %q, want the client's disconnect and the rooms it was in", reason, rooms)
		}
		if n := w.srv.Hub().Space("/").Count("a"); n != 0 {
			t.Errorf("%d members are left in its room", n)
		}
		if _, err := s.Emit("x"); err != tutti.ErrDisconnected {
			t.Errorf("emit to a socket that left: %v", err)
		}
		c.join("/")
		c.wantNothing("it may come back over the same session")
	})
}

func TestWhatWasSaidBeforeLeavingIsHandled(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		var log []string
		ns.Handle("say", func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
			time.Sleep(time.Second) // the next ones wait, the client is long gone
			var text string
			if err := m.Args.Scan(&text); err != nil || ctx.Err() != nil {
				t.Errorf("scan: %v, context: %v", err, ctx.Err())
			}
			log = append(log, text)
			return nil
		})
		ns.OnDisconnect(func(ctx context.Context, s *tutti.Socket, r tutti.Reason) {
			log = append(log, string(r))
			if ctx.Err() == nil {
				t.Error("the context must have ended")
			}
		})
		c := w.connect("/")
		c.send(`2["say","a"]`)
		c.send(`2["say","b"]`)
		c.send("1")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got, want := strings.Join(log, ","), "a,b,client namespace disconnect"; got != want {
			t.Errorf("handled %s, want %s", got, want)
		}
	})
}

func TestContextOfAStuckHandlerEnds(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		ended := false
		ns.Handle("stream", func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
			<-ctx.Done()
			ended = true
			return nil
		})
		c := w.connect("/")
		c.send(`2["stream"]`)
		synctest.Wait()
		c.Close()
		time.Sleep(time.Minute)
		synctest.Wait()
		if !ended {
			t.Error("a handler that waits for the end of its context waits for ever")
		}
	})
}

func TestServerDisconnect(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		var mu sync.Mutex // the handlers of two sockets run at the same time
		reasons := make(map[string]tutti.Reason)
		ns.OnDisconnect(func(_ context.Context, s *tutti.Socket, r tutti.Reason) {
			mu.Lock()
			defer mu.Unlock()
			reasons[s.ID()] = r
		})
		w.srv.Namespace("/other")
		a, b := w.connect("/"), w.connect("/")
		sa, _ := ns.Socket(a.id)
		sb, _ := ns.Socket(b.id)
		first := b.id
		sa.Emit("bye")
		sa.Disconnect()
		a.want(`2["bye"]`, "what was sent before a disconnect arrives before it")
		a.want("1", "the client is told")
		b.join("/other")
		sb.Emit("bye")
		sb.DisconnectSession()
		b.want(`2["bye"]`, "what was sent before the session ends arrives")
		b.want("1", "the client is told")
		b.want("1/other,", "for every namespace")
		b.wantEnd("the session ends")
		synctest.Wait()
		if reasons[a.id] != tutti.ReasonServerDisconnect || reasons[first] != tutti.ReasonServerDisconnect {
			t.Errorf("reasons %q", reasons)
		}
	})
}

func TestShutdown(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		var reason tutti.Reason
		finished := false
		ns.Handle("slow", func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
			time.Sleep(3 * time.Second)
			finished = ctx.Err() == nil
			return nil
		})
		ns.OnDisconnect(func(_ context.Context, _ *tutti.Socket, r tutti.Reason) { reason = r })
		c := w.connect("/")
		c.send(`2["slow"]`)
		synctest.Wait()
		if err := w.srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if !finished || reason != "server shutting down" {
			t.Errorf("handler finished: %v, reason %q; Shutdown waits for handlers", finished, reason)
		}
		c.wantEnd("the session ends")
	})
}

func TestBinary(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		type picture struct {
			Name string `json:"name"`
			Data []byte `json:"data"`
		}
		const draw tutti.Call[picture, picture] = "draw"
		draw.Handle(ns, func(_ context.Context, _ *tutti.Socket, p picture) (picture, error) {
			p.Data = append(p.Data, 9)
			return p, nil
		})
		c := w.connect("/")
		c.send(`51-7["draw",{"name":"x","data":{"_placeholder":true,"num":0}}]`)
		c.SendBinary([]byte{1, 2})
		c.want(`61-7[{"name":"x","data":{"_placeholder":true,"num":0}}]`, "a []byte in a struct travels as attachment")
		c.want("b:010209", "the attachment follows")
	})
}

func TestHandshake(t *testing.T) {
	inWorld(t, tutti.Config{}, func(w *world) {
		ns := w.srv.Namespace("/")
		var h tutti.Handshake
		ns.OnConnect(func(_ context.Context, s *tutti.Socket) { h = s.Handshake() })
		c := w.dial("room=a%20b")
		if _, err := c.Connect("/", `{"token":"secret"}`); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if h.Token() != "secret" || h.Query.Get("room") != "a b" || !json.Valid(h.Auth) || h.Remote == "" || h.Secure {
			t.Errorf("handshake %+v", h)
		}
	})
}
