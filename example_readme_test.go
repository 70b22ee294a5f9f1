package tutti_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tutti-rt/tutti"
)

// The program of README.md, on a network in memory: see docs_test.go.
func Example_readme() {
	const (
		Say  tutti.Call[string, int] = "say"  // socket.emit("say", "hello", (people) => …)
		Said tutti.Event[string]     = "said" // socket.on("said", (text) => …)
	)

	srv, err := tutti.New(tutti.Config{})
	if err != nil {
		log.Fatal(err)
	}
	chat := srv.Namespace("/")
	chat.OnConnect(func(ctx context.Context, s *tutti.Socket) { s.Join("lobby") })
	Say.Handle(chat, func(ctx context.Context, s *tutti.Socket, text string) (int, error) {
		_, err := Said.Emit(chat.To("lobby"), text)
		return chat.Space().Count("lobby"), err // the return value is the ack
	})

	n := serve(srv)
	defer n.close()
	a := n.join("/", "")
	a.say(`0["say","hello"]`)
	fmt.Println(a.hear())
	fmt.Println(a.hear())
	// Output:
	// ["said","hello"]
	// 0[1]
}
