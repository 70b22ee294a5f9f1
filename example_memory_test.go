package tutti_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/pebblehub"
	"github.com/tutti-rt/tutti/internal/siotest"
	"github.com/tutti-rt/tutti/packet"
)

// keeper is a server with memory in a folder.
func keeper(dir string) (*tutti.Server, *pebblehub.Store, error) {
	store, err := pebblehub.Open(dir, pebblehub.Config{})
	if err != nil {
		return nil, nil, err // the folder is in use, damaged, or not ours
	}
	srv, err := tutti.New(tutti.Config{
		Hub: hub.Config{
			Store: store, // without one a memory ends with the program
			Memory: func(namespace string) *hub.Memory { // nil: the namespace has none
				return &hub.Memory{Rooms: []hub.RoomRule{
					{Pattern: "chat:*", Limit: hub.HistoryLimit{Count: 10_000, Age: 90 * 24 * time.Hour}},
					{Pattern: "cursor:*", Limit: hub.HistoryLimit{Count: 1}, Durability: hub.Async},
				}}
			},
		},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, err
	}
	if err := srv.Namespace("/").Space().Err(); err != nil {
		return nil, nil, err // its memory cannot be opened: it would refuse everything
	}
	return srv, store, nil
}

// Rooms with memory: what was acknowledged outlives the program.
func ExampleServer_memory() {
	dir, err := os.MkdirTemp("", "tutti")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	srv, store, err := keeper(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	tea := srv.Namespace("/").To("chat:tea")
	first, err := tea.Emit("msg", "hello") // returns when the disk has it
	fmt.Println(first != "", err)
	again(srv)
	srv.Shutdown(context.Background())
	store.Close()

	if srv, store, err = keeper(dir); err != nil {
		fmt.Println(err)
		return
	}
	again(srv)
	space := srv.Namespace("/").Space()
	page, err := space.History("chat:tea", hub.PageQuery{Limit: 50}) // the last 50, oldest first
	for _, m := range page.Messages {
		fmt.Println(m.Event, m.Args.Len(), m.Offset() == first)
	}
	older, err := space.History("chat:tea", hub.PageQuery{Before: page.Messages[0].Offset(), Limit: 50})
	fmt.Println(len(older.Messages), older.More, err)
	err = space.Erase(context.Background(), "chat:tea", first) // for good
	fmt.Println(err)
	srv.Shutdown(context.Background())
	store.Close()
	// Output:
	// true <nil>
	// false <nil>
	// true <nil>
	// msg 1 true
	// order 1 false
	// 0 false <nil>
	// <nil>
}

// again publishes with an id: however often it is called, there is one message.
func again(srv *tutti.Server) {
	space := srv.Namespace("/").Space()
	args, err := packet.Marshal("two cups")
	if err != nil {
		fmt.Println(err)
		return
	}
	order := &hub.Message{Event: "order", Args: args, Publisher: "shop", ID: "order-4711"}
	receipt, err := space.Publish(context.Background(), order, hub.Address{Rooms: []string{"chat:tea"}})
	fmt.Println(receipt.Repeated, err)
}

// A client that was away gets what it missed, and the server knows.
func ExampleSocket_Recovered() {
	srv, err := tutti.New(tutti.Config{
		Hub: hub.Config{Memory: func(string) *hub.Memory { return &hub.Memory{} }},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ns, connected := srv.Namespace("/"), make(chan string)
	ns.Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
		s.Identify("user:ann") // an application would check who it is
		return ctx, nil
	})
	ns.OnConnect(func(ctx context.Context, s *tutti.Socket) {
		if !s.Recovered() {
			s.Join("tea") // who came back is in its rooms already
		}
		connected <- fmt.Sprint(s.Recovered(), s.Rooms()[1:])
	})
	network := siotest.Serve(srv)
	defer network.Close()
	defer srv.Shutdown(context.Background())
	client, private := connectAs(network, "")
	fmt.Println(<-connected)
	client.Close()
	client, _ = connectAs(network, private)
	fmt.Println(<-connected)
	client.Close()
	// Output:
	// false [tea]
	// true [tea]
}

// connectAs connects as a stock client does that has a private id, "" at first.
func connectAs(network *siotest.Network, private string) (*siotest.Client, string) {
	client, err := network.Dial()
	if err != nil {
		fmt.Println(err)
		return nil, ""
	}
	client.Send(`0{"pid":"` + private + `"}`)
	reply, _ := client.Receive() // 0{"sid":"…","pid":"…"}
	var ids struct{ PID string }
	if err := json.Unmarshal([]byte(reply[1:]), &ids); err != nil {
		fmt.Println(err)
	}
	return client, ids.PID
}
