package tutti_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/internal/siotest"
)

// The documents quote from these examples, and a test holds the two together:
// see docs_test.go.

// A network is a server of an example on a network in memory.
type network struct {
	srv    *tutti.Server
	net    *siotest.Network
	guests []*guest
}

func serve(srv *tutti.Server) *network { return &network{srv: srv, net: siotest.Serve(srv)} }

func (n *network) close() {
	for _, g := range n.guests {
		g.client.Close()
	}
	n.srv.Shutdown(context.Background())
	n.net.Close()
}

// A guest is a Socket.IO client of an example, in one namespace.
type guest struct {
	client    *siotest.Client
	namespace string // as packets begin with it: "" or "/admin,"
	id        string
}

// join connects a guest. The id of one who is refused is "", and it has heard
// why.
func (n *network) join(namespace, auth string) *guest {
	client, err := n.net.Dial()
	if err != nil {
		panic(err)
	}
	g := &guest{client: client}
	n.guests = append(n.guests, g)
	if namespace != "/" {
		g.namespace = namespace + ","
	}
	if g.id, err = client.Connect(namespace, auth); err != nil {
		fmt.Println(err)
	}
	return g
}

// say sends an event: a JSON array, with an id in front if it is to be
// answered.
func (g *guest) say(event string) { g.client.Send("2" + g.namespace + event) }

// answer hears a call, whose number is the first character, and answers it.
func (g *guest) answer(value string) {
	call := g.hear()
	g.client.Send("3" + g.namespace + call[:1] + "[" + value + "]")
}

// leave leaves the namespace.
func (g *guest) leave() { g.client.Send("1" + g.namespace) }

// hear returns the next event or answer without its type and namespace.
func (g *guest) hear() string {
	text, err := g.client.Receive()
	if err != nil {
		return err.Error()
	}
	return strings.TrimPrefix(text[1:], g.namespace)
}

func Example() {
	type Line struct {
		From string `json:"from"`
		Text string `json:"text"`
	}
	const (
		Enter tutti.Call[string, string] = "enter"
		Say   tutti.Call[string, int]    = "say"
		Said  tutti.Event[Line]          = "said"
	)

	srv, err := tutti.New(tutti.Config{})
	if err != nil {
		panic(err)
	}
	chat := srv.Namespace("/")
	Enter.Handle(chat, func(ctx context.Context, s *tutti.Socket, room string) (string, error) {
		return "welcome to " + room, s.Join(room)
	})
	Say.Handle(chat, func(ctx context.Context, s *tutti.Socket, text string) (int, error) {
		if text == "" {
			return 0, &tutti.Refusal{Message: "say something"}
		}
		_, err := Said.Emit(chat.To("lobby"), Line{From: "a guest", Text: text})
		return len(text), err
	})

	n := serve(srv) // an application would: http.Handle("/socket.io/", srv)
	defer n.close()
	a := n.join("/", "")
	a.say(`1["enter","lobby"]`)
	fmt.Println(a.hear())
	a.say(`2["say","hello"]`)
	fmt.Println(a.hear())
	fmt.Println(a.hear())
	a.say(`3["say",""]`)
	fmt.Println(a.hear())
	// Output:
	// 1["welcome to lobby"]
	// ["said",{"from":"a guest","text":"hello"}]
	// 2[5]
	// 3[{"error":"say something"}]
}

func ExampleNew() {
	srv, err := tutti.New(tutti.Config{
		MaxNamespaces: 10,        // a limit; 0 is the default, a negative one none
		MaxInbox:      256 << 10, // bytes
		Log:           slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err) // all that is wrong, not the first mistake alone
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", srv)
	fmt.Println(srv.Engine().Sessions(), "sessions")
	// Output: 0 sessions
}

func ExampleServer_Shutdown() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	ns := srv.Namespace("/")
	ns.OnConnect(func(ctx context.Context, s *tutti.Socket) { s.Emit("hello") })
	left := make(chan tutti.Reason, 1)
	ns.OnDisconnect(func(ctx context.Context, s *tutti.Socket, reason tutti.Reason) { left <- reason })
	a := n.join("/", "")
	a.hear()
	go func() { a.hear(); a.client.Close() }()

	err := srv.Shutdown(context.Background()) // a context with a deadline, mostly
	fmt.Println(<-left, err)
	n.net.Close()
	// Output: server shutting down <nil>
}

func ExampleServer_Hub() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	n.join("/", "")
	n.join("/", "")

	space := srv.Hub().Space("/") // who is there, whatever protocol they speak
	fmt.Println(len(space.Rooms()), "rooms, one for each socket")
	// Output: 2 rooms, one for each socket
}

func ExampleEvent() {
	type Move struct{ X, Y int }
	const Moved tutti.Event[Move] = "moved" // the name, and what comes with it

	srv, _ := tutti.New(tutti.Config{})
	board := srv.Namespace("/")
	Moved.Handle(board, func(ctx context.Context, s *tutti.Socket, m Move) error {
		m.X = min(m.X, 7)
		_, err := Moved.Emit(board, m) // to everyone, the sender included
		return err
	})

	n := serve(srv)
	defer n.close()
	a, b := n.join("/", ""), n.join("/", "")
	a.say(`["moved",{"X":9,"Y":2}]`)
	fmt.Println(a.hear())
	fmt.Println(b.hear())
	// Output:
	// ["moved",{"X":7,"Y":2}]
	// ["moved",{"X":7,"Y":2}]
}

func ExampleEvent_Emit() {
	const Ready tutti.Event[struct{}] = "ready" // an event without argument

	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	a := n.join("/", "")

	s, _ := ns.Socket(a.id)
	Ready.Emit(s, struct{}{})                     // one socket
	Ready.Emit(ns, struct{}{})                    // a namespace
	Ready.Emit(ns.To("x").To(a.id), struct{}{})   // any audience
	Ready.Emit(ns.Except(a.id), struct{}{})       // of nobody, here
	Ready.Emit(s.Broadcast().To("x"), struct{}{}) // nor is anybody here
	for range 3 {
		fmt.Println(a.hear())
	}
	// Output:
	// ["ready"]
	// ["ready"]
	// ["ready"]
}

func ExampleCall_Handle() {
	type Point struct{ X, Y float64 }
	const Move tutti.Call[Point, bool] = "move"

	srv, _ := tutti.New(tutti.Config{Log: slog.New(slog.DiscardHandler)})
	Move.Handle(srv.Namespace("/"), func(ctx context.Context, s *tutti.Socket, p Point) (bool, error) {
		if p.X < 0 || p.Y < 0 {
			return false, &tutti.Refusal{Message: "outside of the board", Data: p}
		}
		if p.X > 100 {
			return false, errors.New("dial tcp 10.0.0.7: connection refused") // for the log alone
		}
		return true, nil
	})

	n := serve(srv)
	defer n.close()
	a := n.join("/", "")
	for _, args := range []string{`{"X":1,"Y":2}`, `{"X":-1,"Y":2}`, `{"X":101,"Y":2}`} {
		a.say(`1["move",` + args + `]`)
		fmt.Println(a.hear())
	}
	// Output:
	// 1[true]
	// 1[{"data":{"X":-1,"Y":2},"error":"outside of the board"}]
	// 1[{"error":"internal error"}]
}

func ExampleCall_Do() {
	const Confirm tutti.Call[string, bool] = "confirm"
	const Delete tutti.Call[string, string] = "delete"

	srv, _ := tutti.New(tutti.Config{})
	ns := srv.Namespace("/")
	Delete.Handle(ns, func(ctx context.Context, s *tutti.Socket, file string) (string, error) {
		sure, err := Confirm.Do(ctx, s, "Delete "+file+"?") // asks the peer that asks us
		if err != nil {
			return "", err
		}
		if !sure {
			return "kept", nil
		}
		return "deleted", nil
	})

	n := serve(srv)
	defer n.close()
	a := n.join("/", "")
	a.say(`7["delete","a.txt"]`)
	a.answer(`false`)
	fmt.Println(a.hear())
	// Output: 7["kept"]
}

func ExampleCall_Ask() {
	const Vote tutti.Call[string, int] = "vote"

	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	a, b, c := n.join("/", ""), n.join("/", ""), n.join("/", "")
	go a.answer(`3`)
	go b.answer(`4`)
	go func() { c.hear(); c.leave() }()

	votes := 0
	for vote, err := range Vote.Ask(context.Background(), ns.Everyone(), "how many?") {
		if missing, ok := errors.AsType[*tutti.MissingError](err); ok {
			fmt.Println(missing)
			break
		} else if err != nil {
			fmt.Println("odd answer:", err)
			continue
		}
		votes += vote
	}
	fmt.Println(votes, "votes")
	// Output:
	// 1 of 3 sockets did not answer: tutti: socket disconnected
	// 7 votes
}
