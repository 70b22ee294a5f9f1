package tutti_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/internal/siotest"
)

func Example_doors() {
	srv, _ := tutti.New(tutti.Config{})
	space := srv.Namespace("/").Space()
	news := door.Access{Rooms: []string{"news"}} // open to anyone; no other room is
	events, err1 := door.Events(space, door.EventsConfig{Listen: news})
	sockets, err2 := door.WebSocket(space, door.WebSocketConfig{Listen: news})
	publish, err3 := door.Publish(space, door.PublishConfig{Publish: news})
	if err := errors.Join(err1, err2, err3); err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", srv)
	mux.Handle("/events", events)
	mux.Handle("/ws", sockets)
	mux.Handle("/api/publish", publish)

	n := &network{srv: srv, net: siotest.Serve(mux)}
	defer n.close()
	a := n.join("/", "")
	srv.Namespace("/").To(a.id).Join("news")
	stream, err := n.net.HTTP().Get("http://example.test/events?room=news")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stream.Body.Close()
	w, err := n.net.HTTP().Post("http://example.test/api/publish", "application/json",
		strings.NewReader(`{"room":"news","event":"headline","data":"all together"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	w.Body.Close()

	fmt.Println(a.hear())
	for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
		if line := lines.Text(); strings.HasPrefix(line, "event:") || strings.HasPrefix(line, "data:") {
			fmt.Println(line)
		}
		if strings.HasPrefix(lines.Text(), "data:") {
			break
		}
	}
	// Output:
	// ["headline","all together"]
	// event: headline
	// data: "all together"
}
