package tutti_test

import (
	"context"
	"fmt"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
)

func ExampleAudience() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	ns.Handle("join", func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
		var room string
		if err := m.Args.Scan(&room); err != nil {
			return err
		}
		return s.Join(room)
	})
	a, b := n.join("/", ""), n.join("/", "")
	for _, join := range []string{`1["join","tea"]`, `2["join","cake"]`} {
		a.say(join)
		a.hear()
	}
	b.say(`1["join","tea"]`)
	b.hear()

	tea := ns.To("tea") // a value, to be kept and shared
	tea.Emit("ready", "tea")
	tea.To("cake").Emit("ready", "tea or cake") // a member of both gets it once
	tea.Except("cake").Emit("ready", "nothing but tea")
	ns.Emit("closing")

	for range 3 {
		fmt.Println("a", a.hear())
	}
	for range 4 {
		fmt.Println("b", b.hear())
	}
	// Output:
	// a ["ready","tea"]
	// a ["ready","tea or cake"]
	// a ["closing"]
	// b ["ready","tea"]
	// b ["ready","tea or cake"]
	// b ["ready","nothing but tea"]
	// b ["closing"]
}

func ExampleAudience_Emit() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	a := n.join("/", "")

	first, _ := ns.Emit("news", 1, []string{"several", "arguments"})
	second, _ := ns.Emit("image", []byte("\x89PNG")) // bytes travel as binary
	fmt.Println(a.hear())
	fmt.Println(a.hear(), a.hear())
	fmt.Println(first != second)

	_, err := ns.Emit("disconnect")
	fmt.Println(err)
	// Output:
	// ["news",1,["several","arguments"]]
	// 1-["image",{"_placeholder":true,"num":0}] :89504e47
	// true
	// tutti: reserved event name
}

func ExampleAudience_Volatile() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	n.join("/", "")

	// Dropped for whoever is still busy with earlier bytes: for what is
	// outdated by the next one.
	_, err := ns.To("players").Volatile().Emit("position", 3, 4)
	fmt.Println(err)
	// Output: <nil>
}

func ExampleAudience_Ask() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	a := n.join("/", "")
	go a.answer(`1280,720`)

	for answer, err := range ns.Everyone().Ask(context.Background(), "size") {
		if err != nil {
			fmt.Println(err)
			break
		}
		var width, height int
		fmt.Println(answer.Scan(&width, &height), width, height)
	}
	// Output: <nil> 1280 720
}

func ExampleAudience_Join() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	a, b := n.join("/", ""), n.join("/", "")

	ns.To(a.id, b.id).Join("game:7")
	ns.To("game:7").Emit("start")
	fmt.Println(a.hear(), b.hear())
	ns.To(b.id).Leave("game:7")
	fmt.Println(ns.Space().Count("game:7"), "is left")
	// Output:
	// ["start"] ["start"]
	// 1 is left
}

func ExampleAudience_Sockets() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	a := n.join("/", `{"name":"ada"}`)

	for info, err := range ns.Sockets(context.Background()) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(info.ID == a.id, len(info.Rooms), string(info.Handshake().Auth))
	}
	// Output: true 1 {"name":"ada"}
}

func ExampleAudience_Disconnect() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	a := n.join("/", "")

	ns.Emit("bye")
	ns.Everyone().DisconnectSessions() // Disconnect would leave the session, for other namespaces
	for range 3 {
		fmt.Printf("%q\n", a.hear())
	}
	// Output:
	// "[\"bye\"]"
	// ""
	// "EOF"
}

func ExampleSocket_Emit() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	srv.Namespace("/").OnConnect(func(ctx context.Context, s *tutti.Socket) {
		s.Emit("hello", map[string]any{"you": "are connected"})
		s.Volatile().Emit("load", 0.7) // dropped if it cannot be written at once
	})

	fmt.Println(n.join("/", "").hear())
	// Output: ["hello",{"you":"are connected"}]
}

func ExampleSocket_Call() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	a := n.join("/", "")
	go a.answer(`"Linux",true`)

	s, ok := ns.Socket(a.id)
	if !ok {
		return // it has left
	}
	answer, err := s.Call(context.Background(), "system", "name", "dark mode")
	if err != nil {
		fmt.Println(err)
		return
	}
	var (
		name string
		dark bool
	)
	fmt.Println(answer.Scan(&name, &dark), name, dark)
	// Output: <nil> Linux true
}

func ExampleSocket_To() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	ns.OnConnect(func(ctx context.Context, s *tutti.Socket) { s.Join("lobby") })
	ns.Handle("typing", func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
		_, err := s.To("lobby").Emit("typing", s.ID()) // to the others there
		return err
	})
	ns.Handle("done", func(context.Context, *tutti.Socket, *tutti.Message) error { return nil })

	a, b := n.join("/", ""), n.join("/", "")
	a.say(`1["done"]`) // so that both are known to be in
	a.hear()
	b.say(`["typing"]`)
	fmt.Println(a.hear() == `["typing","`+b.id+`"]`)
	// Output: true
}

func ExampleSocket_Disconnect() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/admin")
	ns.Handle("quit", func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
		m.Reply("goodbye") // an answer after Disconnect would come too late
		s.Disconnect()
		fmt.Println("connected:", s.Connected())
		return nil
	})

	a := n.join("/admin", "")
	a.say(`1["quit"]`)
	fmt.Println(a.hear())
	fmt.Printf("%q\n", a.hear()) // the DISCONNECT packet, 1/admin,
	// Unordered output:
	// connected: false
	// 1["goodbye"]
	// ""
}

// A diary is a member of a room that is no socket.
type diary struct{ pages chan string }

func (d diary) Deliver(m *hub.Message) {
	select {
	case d.pages <- fmt.Sprintf("%s(%s)", m.Event, m.Args.AppendText(nil)):
	default: // it must not wait; what does not fit is lost to this diary
	}
}

func ExampleNamespace_Space() {
	srv, _ := tutti.New(tutti.Config{})
	n := serve(srv)
	defer n.close()
	ns := srv.Namespace("/")
	d := diary{pages: make(chan string, 100)}
	seat, err := ns.Space().Enter(d, nil, "lobby")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer seat.Close()

	ns.To("lobby").Emit("said", "hello", 7)
	fmt.Println(<-d.pages)
	// Output: said("hello",7)
}
