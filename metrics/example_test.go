package metrics_test

import (
	"fmt"
	"net/http"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/metrics"
)

func Example() {
	m := metrics.New()
	srv, err := tutti.New(tutti.Config{
		Engine: engineio.Config{Trace: m.Engine()},
		Hub:    hub.Config{Trace: m.Hub()},
		Trace:  m.Server(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	events, err := door.Events(srv.Namespace("/").Space(), door.EventsConfig{
		Listen: door.Access{Rooms: []string{"news"}},
		Trace:  m.Door("events"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	public, private := http.NewServeMux(), http.NewServeMux()
	public.Handle("/socket.io/", srv)
	public.Handle("/events", events)
	private.Handle("GET /metrics", m.Handler()) // for operators, on an address of their own
	// Output:
}
