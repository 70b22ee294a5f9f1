package tutti_test

import (
	"context"
	"fmt"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/internal/siotest"
	"github.com/tutti-rt/tutti/verb"
)

// Who comes is asked for a token, and may do what its claims fill in.
func ExampleConfig_auth() {
	tokens := holders{} // in life: jwt.New(…)
	authority, err := auth.New(auth.Config{
		Verifiers: []auth.Verifier{tokens}, // of package auth/jwt, or your own
		Grants:    []auth.Grant{{Rooms: "chat:{org}:*", May: []auth.Permission{"*"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv, err := tutti.New(tutti.Config{Auth: authority})
	if err != nil {
		fmt.Println(err)
		return
	}
	desk, err := verb.New(verb.Config{Bearers: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv.Namespace("/").ServeVerbs(desk)

	net := siotest.Serve(srv)
	defer net.Close()
	defer srv.Shutdown(context.Background())
	c, err := net.Dial()
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Connect("/", `{"token":"granted"}`) // of the org acme
	c.Send(`20["join",{"room":"chat:acme:tea"}]`)
	fmt.Println(c.Receive())
	c.Send(`21["join",{"room":"chat:other:tea"}]`)
	fmt.Println(c.Receive())
	// Output:
	// 30[{}] <nil>
	// 31[{"error":"join is not open to you in this room","code":"forbidden"}] <nil>
}
