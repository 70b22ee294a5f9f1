package verb_test

import (
	"context"
	"fmt"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/verb"
)

func ExampleDesk_Publish() {
	h := hub.New(hub.Config{Memory: func(string) *hub.Memory { return &hub.Memory{} }})
	defer h.Close()
	desk, err := verb.New(verb.Config{Rules: []verb.Rule{{Pattern: "chat:*", Publish: verb.Anyone}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := packet.Marshal("hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	caller := verb.Caller{Space: h.Space("/")}
	for _, room := range []string{"chat:tea", "chat:tea", "secret"} {
		r, err := desk.Publish(context.Background(), caller, verb.Publication{Room: room, Event: "msg", Args: text, ID: "1"})
		if err != nil {
			fmt.Println(verb.RefusalOf(err).Code)
			continue
		}
		fmt.Println("repeated:", r.Repeated)
	}
	// Output:
	// repeated: false
	// repeated: true
	// forbidden
}
