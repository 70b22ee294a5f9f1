package tutti_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/tutti-rt/tutti"
)

func ExampleServer_Namespace() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	srv.Namespace("/news").OnConnect(func(ctx context.Context, s *tutti.Socket) {
		s.Emit("headline", "all together")
	})

	reader := n.join("/news", "")
	fmt.Println(reader.hear())
	n.join("/sports", "") // nobody made it
	// Output:
	// ["headline","all together"]
	// refused: 4/sports,{"message":"Invalid namespace"}
}

func ExampleServer_Dynamic() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	teams := srv.Dynamic(func(ctx context.Context, name string, h tutti.Handshake) (bool, error) {
		team, ok := strings.CutPrefix(name, "/team-")
		return ok && team != "", nil
	})
	teams.OnConnect(func(ctx context.Context, s *tutti.Socket) {
		s.Emit("welcome", "this is "+s.Namespace().Name())
	})

	red, blue := n.join("/team-red", ""), n.join("/team-blue", "")
	fmt.Println(red.hear())
	fmt.Println(blue.hear())
	n.join("/team-", "")
	teams.Emit("closing time") // to every namespace of the family
	fmt.Println(red.hear())
	fmt.Println(blue.hear())
	// Output:
	// ["welcome","this is /team-red"]
	// ["welcome","this is /team-blue"]
	// refused: 4/team-,{"message":"Invalid namespace"}
	// ["closing time"]
	// ["closing time"]
}

func ExampleNamespace_Guard() {
	type userKey struct{}                          // of the user in a context
	users := map[string]string{"t0ps3cret": "ada"} // who has which token

	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	ns.Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
		user, ok := users[s.Handshake().Token()]
		if !ok {
			return nil, &tutti.Refusal{Message: "unauthorized", Data: map[string]int{"code": 401}}
		}
		return context.WithValue(ctx, userKey{}, user), s.Join("user:" + user)
	})
	ns.Handle("whoami", func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
		return m.Reply(ctx.Value(userKey{}), s.Rooms()[1])
	})

	n.join("/", `{"token":"guess"}`)
	ada := n.join("/", `{"token":"t0ps3cret"}`)
	ada.say(`1["whoami"]`)
	fmt.Println(ada.hear())
	// Output:
	// refused: 4{"data":{"code":401},"message":"unauthorized"}
	// 1["ada","user:ada"]
}

func ExampleNamespace_Use() {
	logged := func(next tutti.Handler) tutti.Handler {
		return func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
			err := next(ctx, s, m)
			fmt.Println(m.Event, m.Args.Len(), "->", err)
			return err
		}
	}
	sober := func(next tutti.Handler) tutti.Handler {
		return func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
			if m.Event == "beer" {
				return &tutti.Refusal{Message: "not here"}
			}
			return next(ctx, s, m)
		}
	}

	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	ns.Use(logged, sober) // logged is the outermost
	ns.Handle("tea", func(context.Context, *tutti.Socket, *tutti.Message) error { return nil })

	a := n.join("/", "")
	a.say(`1["tea",2]`)
	a.hear()
	a.say(`2["beer",1]`)
	a.hear()
	// Output:
	// tea 1 -> <nil>
	// beer 1 -> not here
}

func ExampleNamespace_Handle() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	ns.Handle("draw", func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
		var (
			shape string
			x, y  int
		)
		if err := m.Args.Scan(&shape, &x, &y); err != nil {
			return &tutti.Refusal{Message: "draw what, and where?"}
		}
		return m.Reply("ok", fmt.Sprintf("%s at %d,%d", shape, x, y)) // as many values as one likes
	})

	a := n.join("/", "")
	a.say(`1["draw","circle",3,4]`)
	fmt.Println(a.hear())
	a.say(`2["draw","circle"]`)
	fmt.Println(a.hear())
	// Output:
	// 1["ok","circle at 3,4"]
	// 2[{"error":"draw what, and where?"}]
}

func ExampleNamespace_HandleAny() {
	srv, _ := tutti.New(tutti.Config{Log: slog.New(slog.DiscardHandler)})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	ns.HandleAny(func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
		return &tutti.Refusal{Message: "no such event: " + m.Event}
	})

	a := n.join("/", "")
	a.say(`1["tpyo"]`)
	fmt.Println(a.hear())
	// Output: 1[{"error":"no such event: tpyo"}]
}

func ExampleNamespace_OnDisconnect() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	ns.OnConnect(func(ctx context.Context, s *tutti.Socket) {
		s.Join("lobby")
		s.Emit("welcome")
	})
	gone := make(chan string)
	ns.OnDisconnect(func(ctx context.Context, s *tutti.Socket, reason tutti.Reason) {
		gone <- fmt.Sprint(reason, ", was in ", s.Rooms()[1])
	})

	polite, lost := n.join("/", ""), n.join("/", "")
	polite.hear()
	polite.leave()
	fmt.Println(<-gone)
	lost.hear()
	lost.client.Close()
	fmt.Println(<-gone)
	// Output:
	// client namespace disconnect, was in lobby
	// transport close, was in lobby
}

func ExampleHandshake_ScanAuth() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	srv.Namespace("/").Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
		var auth struct {
			Name string `json:"name"`
		}
		if err := s.Handshake().ScanAuth(&auth); err != nil || auth.Name == "" {
			return nil, &tutti.Refusal{Message: "what is your name?"}
		}
		s.Emit("hello", auth.Name) // arrives before the client knows that it is connected
		return ctx, nil
	})

	n.join("/", `{"name":7}`)
	n.join("/", `{"name":"ada"}`)
	// Output:
	// refused: 4{"message":"what is your name?"}
	// refused: 2["hello","ada"]
}
