package tutti_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/siotest"
	"github.com/tutti-rt/tutti/verb"
)

// Clients use rooms without a line of code for them on the server. Rules say
// who may do what.
func ExampleNamespace_ServeVerbs() {
	srv, err := tutti.New(tutti.Config{
		Hub: hub.Config{Memory: func(string) *hub.Memory {
			return &hub.Memory{Rooms: []hub.RoomRule{{Pattern: "chat:*"}}}
		}},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	desk, err := verb.New(verb.Config{Rules: []verb.Rule{
		{Pattern: "news", Join: verb.Anyone, History: verb.Anyone}, // read only
		{Pattern: "chat:*", Join: verb.Token, Publish: verb.Members, History: verb.Members,
			Presence: verb.Members, State: verb.Members, Events: []string{"msg"}},
	}, Permit: func(ctx context.Context, c verb.Caller, v verb.Verb, room string) error {
		if c.Owner == "" { // what Socket.Identify was given in a guard
			return &verb.Refusal{Code: verb.Forbidden, Message: "sign in first"}
		}
		return nil
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv.Namespace("/").ServeVerbs(desk)

	network := siotest.Serve(srv)
	defer network.Close()
	defer srv.Shutdown(context.Background())
	client, err := network.Dial()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	client.Connect("/", "")
	client.Send(`20["join",{"room":"chat:tea"}]`)
	fmt.Println(client.Receive())
	client.Send(`21["publish",{"room":"news","event":"msg","data":"hello"}]`)
	fmt.Println(client.Receive())
	// Output:
	// 30[{"error":"sign in first","code":"forbidden"}] <nil>
	// 31[{"error":"publish is not open to you in this room","code":"forbidden"}] <nil>
}

// Tabs of one user are one member of a room's presence, if a guard says so.
func ExampleSocket_Introduce() {
	srv, err := tutti.New(tutti.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv.Namespace("/").Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
		user := s.Handshake().Query.Get("user") // an application would check who it is
		s.Introduce(user)
		return ctx, s.Join("tea")
	})
	network := siotest.Serve(srv)
	defer network.Close()
	defer srv.Shutdown(context.Background())
	for range 2 {
		tab, err := network.Dial("user=ann")
		if err != nil {
			fmt.Println(err)
			return
		}
		defer tab.Close()
		tab.Connect("/", "")
	}
	page, err := srv.Namespace("/").Space().Presence("tea", hub.PresenceQuery{})
	fmt.Println(page.Count, page.Members[0].ID, err)
	// Output: 1 ann <nil>
}
