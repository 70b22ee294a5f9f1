package hub_test

import (
	"context"
	"fmt"

	"github.com/tutti-rt/tutti/hub"
)

// A screen is the simplest member: it shows what it gets. One that writes to a
// network would queue instead, since Deliver must not wait.
type screen string

func (s screen) Deliver(m *hub.Message) { fmt.Printf("%s: %s\n", s, m.Event) }

func ExampleSpace_Publish() {
	space := hub.New(hub.Config{}).Space("/")
	ann, err := space.Enter(screen("ann"), nil, "kitchen", "garden")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ann.Close()
	ben, err := space.Enter(screen("ben"), nil, "garden")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ben.Close()

	for _, message := range []struct {
		event string
		to    hub.Address
	}{
		{"soup's ready", hub.Address{Rooms: []string{"kitchen", "garden"}}},
		{"it rains", hub.Address{Rooms: []string{"garden"}, Except: []string{"kitchen"}}},
		{"good night", hub.Address{}},
	} {
		receipt, err := space.Publish(context.Background(), &hub.Message{Event: message.event}, message.to)
		fmt.Println(receipt.Members, err)
	}
	// Output:
	// ann: soup's ready
	// ben: soup's ready
	// 2 <nil>
	// ben: it rains
	// 1 <nil>
	// ann: good night
	// ben: good night
	// 2 <nil>
}

func ExampleForm() {
	shout := hub.NewForm(func(m *hub.Message) string {
		fmt.Println("encoding", m.Event)
		return m.Event + "!"
	})
	m := &hub.Message{Event: "soup"}
	fmt.Println(shout.Of(m), shout.Of(m))
	// Output:
	// encoding soup
	// soup! soup!
}
