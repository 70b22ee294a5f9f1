package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tutti-rt/tutti/door"
)

// doorKinds are the doors there are.
var doorKinds = []string{"events", "websocket", "publish", "history", "presence"}

// doorReasons are the reasons why a stream ends.
var doorReasons = []string{
	string(door.ReasonLeft),
	string(door.ReasonSlow),
	string(door.ReasonMisuse),
	string(door.ReasonShutdown),
	string(door.ReasonFault),
	string(door.ReasonExpelled),
}

// doorCodes are the codes with which doors refuse.
var doorCodes = []string{
	"bad_body", "bad_data", "bad_event", "bad_framing", "bad_handshake", "bad_json", "bad_message", "bad_offset", "bad_query",
	"bad_request", "bad_room", "bad_state", "closed", "disconnected", "forbidden", "incomplete", "internal", "method_not_allowed", "no_history", "not_kept", "not_member",
	"invalid_token", "origin", "shutting_down", "timeout", "token_expired", "token_revoked", "too_large", "too_many_requests", "too_many_rooms", "too_many_streams",
	"unauthorized", "unavailable", "unknown", "unsupported_encoding", "unsupported_media_type", "upgrade_required", "wrong_user",
}

// A doorway counts what one kind of door does.
type doorway struct {
	streams   prometheus.Gauge
	opened    prometheus.Counter
	closed    family // by reason
	published prometheus.Counter
	refused   family // by code
}

func newDoors(mk *maker) map[string]*doorway {
	streams := mk.gauges("streams", "Event streams and plain WebSockets that are open, by door.", "door")
	opened := mk.counters("streams_opened_total", "Streams opened, by door.", "door")
	closed := mk.counters("streams_closed_total", "Streams closed, by door and reason.", "door", "reason")
	published := mk.counters("door_messages_published_total", "Messages that came in through a door and were published, by door.", "door")
	refused := mk.counters("door_requests_refused_total", "Requests that a door refused, by door and code.", "door", "code")

	doors := make(map[string]*doorway, len(doorKinds)+1)
	for _, kind := range append([]string{other}, doorKinds...) {
		doors[kind] = &doorway{
			streams:   streams.WithLabelValues(kind),
			opened:    opened.WithLabelValues(kind),
			closed:    newFamily(closed, doorReasons, kind),
			published: published.WithLabelValues(kind),
			refused:   newFamily(refused, doorCodes, kind),
		}
	}
	return doors
}

// Door returns the trace for the configuration of a door. kind is which it is:
// "events", "websocket", "publish", "history" or "presence".
func (m *Metrics) Door(kind string) *door.Trace {
	d := m.doors[kind]
	if d == nil {
		d = m.doors[other]
	}
	return &door.Trace{
		Opened: func() {
			d.streams.Inc()
			d.opened.Inc()
		},
		Closed: func(why door.Reason) {
			d.streams.Dec()
			d.closed.of(string(why)).Inc()
		},
		Published: func(int) { d.published.Inc() },
		Refused:   func(_ int, code string) { d.refused.of(code).Inc() },
		LimitHit:  m.hit("door"),
	}
}
