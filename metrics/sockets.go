package metrics

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
)

// sockets counts what the Socket.IO server does.
type sockets struct {
	connected    prometheus.Gauge
	opened       prometheus.Counter
	disconnected family // by reason
	refused      family // by cause
	received     prometheus.Counter
	handled      prometheus.Histogram
	sent         prometheus.Counter
	namespaces   prometheus.Counter
	forwarded    prometheus.Counter // to other nodes
	astray       prometheus.Counter // to no avail
}

// Why a socket was refused.
const (
	causeRefusal = "refusal" // a guard's, or no such namespace
	causeError   = "error"   // ours: the log says what
)

func newSockets(mk *maker) sockets {
	reasons := slices.Concat(sessionReasons, []string{
		string(tutti.ReasonClientDisconnect),
		string(tutti.ReasonServerDisconnect),
	})
	return sockets{
		connected:    mk.gauge("sockets", "Sockets that are connected to a namespace."),
		opened:       mk.counter("sockets_connected_total", "Sockets let into a namespace."),
		disconnected: mk.family("sockets_disconnected_total", "Sockets that left their namespace, by reason.", "reason", reasons...),
		refused:      mk.family("sockets_refused_total", "Sockets not let into a namespace, by cause.", "cause", causeRefusal, causeError),
		received:     mk.counter("events_received_total", "Events that came from sockets and were handled."),
		handled:      mk.histogram("handler_seconds", "How long handlers of events took, middleware included.", seconds...),
		sent:         mk.counter("events_sent_total", "Events sent to sockets, dropped volatile ones included; a broadcast counts once for each."),
		namespaces:   mk.counter("namespaces_created_total", "Namespaces made because a peer asked for one of a family."),
		forwarded:    mk.counter("requests_forwarded_total", "Requests for sessions of other nodes that were passed on to these."),
		astray:       mk.counter("requests_unforwarded_total", "Those of them whose node could not be reached."),
	}
}

// Server returns the trace for [tutti.Config].
func (m *Metrics) Server() *tutti.Trace {
	s := &m.sockets
	return &tutti.Trace{
		SocketConnected: func(*tutti.Socket) {
			s.connected.Inc()
			s.opened.Inc()
		},
		SocketDisconnected: func(_ *tutti.Socket, reason tutti.Reason) {
			s.connected.Dec()
			s.disconnected.of(string(reason)).Inc()
		},
		SocketRefused: func(_ string, err error) {
			cause := causeError
			if _, ok := errors.AsType[*tutti.Refusal](err); ok {
				cause = causeRefusal
			}
			s.refused.of(cause).Inc()
		},
		EventReceived:    func(*tutti.Socket, *tutti.Message) { s.received.Inc() },
		EventHandled:     func(_ *tutti.Socket, _ *tutti.Message, took time.Duration) { s.handled.Observe(took.Seconds()) },
		EventSent:        func(*tutti.Socket, *hub.Message) { s.sent.Inc() },
		NamespaceCreated: func(*tutti.Namespace) { s.namespaces.Inc() },
		Forwarded:        s.forwarded.Inc,
		ForwardFailed:    func(error) { s.astray.Inc() },
		LimitHit:         m.hit("server"),
	}
}
