package nodehub

import (
	"context"
	"testing"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/serial"
	"github.com/tutti-rt/tutti/packet"
)

// offline is a cluster that hears what a test says, and of which nobody hears.
func offline(adapter Adapter) *Cluster {
	cfg, err := Config{Adapter: adapter, MaxCalls: 3}.withDefaults()
	if err != nil {
		panic(err)
	}
	c := &Cluster{
		cfg: cfg, crew: &serial.Crew{Limit: cfg.MaxPending},
		streams: make(map[string]*stream), spaces: make(map[string]*shared),
	}
	c.ctx, c.end = context.WithCancel(context.Background())
	c.ears = newEars(c)
	close(c.ears.down)
	c.out = &outbox{cluster: c, closed: true}
	c.streams["socket.io"] = &stream{cluster: c, name: "socket.io", begun: make(chan struct{})}
	close(c.streams["socket.io"].begun)
	return c
}

type target struct{ seat *hub.Seat }

func (x *target) Deliver(m *hub.Message) {
	if m.Call != nil {
		m.Call.Ask(x)
		m.Call.Answer(m.Args)
	}
}

func (x *target) Forget(*hub.Call) {}

func (x *target) Describe() hub.Description { return hub.Description{ID: "x", Rooms: x.seat.Rooms()} }

func (x *target) Dismiss(bool) {}

// FuzzTake: whatever others say, in any adapter's form, is taken, and the space
// goes on.
func FuzzTake(f *testing.F) {
	for _, text := range []string{
		`{"uid":"y","type":2,"opts":{"rooms":["x"]},"rooms":["a","b"]}`, `{"uid":"y","type":3,"opts":{},"rooms":["a"]}`,
		`{"uid":"y","requestId":"q","type":4,"sid":"x","close":true}`, `{"uid":"y","requestId":"q","type":5,"opts":{"except":["z"]}}`,
		`{"uid":"y","requestId":"q","type":6,"data":["e",1]}`, `{"uid":"y","requestId":"q","type":0,"rooms":[]}`, `{"requestId":"q","type":1,"uid":"y"}`,
		`{"uid":"y","requestId":"q","type":7,"packet":{"type":2,"data":["e",{"a":[1]}],"nsp":"/"},"opts":{"rooms":[],"flags":{"timeout":5}}}`,
		`{"requestId":"q","type":8,"clientCount":2147483647}`, `{"requestId":"q","type":9,"packet":[1]}`, `{"requestId":"q","sockets":[{"id":"y"}]}`,
		`{"uid":"y","nsp":"/","type":3,"data":{"packet":{"type":2,"data":["e",1]},"requestId":"q","opts":{"rooms":["x"],"except":[],"flags":{}}}}`,
		`{"uid":"y","nsp":"/","type":4,"data":{"opts":{"rooms":["x"],"except":[]},"rooms":["a"]}}`,
		`{"uid":"y","nsp":"/","type":9,"data":{"requestId":"q","packet":["e"]}}`, `{"uid":"y","nsp":"/","type":7,"data":{"opts":{},"requestId":"q"}}`,
	} {
		for _, channel := range []string{"socket.io#/#", "socket.io#/#x#", "socket.io-request#/#", "socket.io-response#/#"} {
			f.Add(channel, text, "3")
		}
		f.Add("", text, "4")
	}
	var spaces []*shared
	for _, adapter := range []Adapter{Classic, Sharded, Streams} {
		c := offline(adapter)
		h := hub.New(hub.Config{Share: c.Share})
		f.Cleanup(func() { h.Close(); c.end() })
		sp, x := h.Space("/"), new(target)
		sp.HandleNodes(func(_ context.Context, _, _ string, args packet.Args) (packet.Args, error) { return args, nil })
		var err error
		if x.seat, err = sp.Enter(x, nil, "x"); err != nil {
			f.Fatal(err)
		}
		spaces = append(spaces, c.spaces["/"])
	}
	f.Fuzz(func(t *testing.T, channel, body, kind string) {
		for _, s := range spaces {
			q := s.asked.put("q")
			s.hear(channel, body)
			s.entry(map[string]string{"uid": "y", "nsp": "/", "type": kind, "data": body})
			s.inbox.Wait()
			q.close()
			if q.bytes > s.cluster.cfg.MaxPending || s.space.Size() != 1 {
				t.Fatalf("%d bytes of answers, %d members", q.bytes, s.space.Size())
			}
		}
	})
}
