package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tutti-rt/tutti/hub"
)

// messages counts what the hub does.
type messages struct {
	published  prometheus.Counter
	deliveries prometheus.Counter
	rooms      prometheus.Gauge
	took       prometheus.Histogram
}

func newMessages(mk *maker) messages {
	return messages{
		published:  mk.counter("messages_published_total", "Messages published, to whatever audience and by whatever door."),
		deliveries: mk.counter("deliveries_total", "Members that published messages were handed to: a message to 10 members counts 10."),
		took:       mk.histogram("publish_seconds", "How long publishers waited: for the message's turn, in memory for its commit, and until it was handed out.", seconds...),
		rooms:      mk.gauge("rooms", "Rooms that hold a member, the one of every socket's own included."),
	}
}

// Hub returns the trace for [hub.Config].
func (m *Metrics) Hub() *hub.Trace {
	s, mem := &m.messages, &m.memory
	return &hub.Trace{
		Published: func(_ *hub.Message, members int) {
			s.published.Inc()
			s.deliveries.Add(float64(members))
		},
		Took:        func(_ *hub.Message, d time.Duration) { s.took.Observe(d.Seconds()) },
		RoomCreated: func(string, string) { s.rooms.Inc() },
		RoomDeleted: func(string, string) { s.rooms.Dec() },
		LimitHit:    m.hit("hub"),

		Committed: mem.committed,
		Sessions:  func(_ string, more int) { mem.sessions.Add(float64(more)) },
		Returned:  mem.returned,
		Replayed:  func(_ string, messages int) { mem.replayed.Add(float64(messages)) },
		Evicted:   mem.evicted,
	}
}
