package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tutti-rt/tutti/engineio"
)

// sessions counts what the Engine.IO server does.
type sessions struct {
	open         prometheus.Gauge
	opened       family // by transport
	upgraded     prometheus.Counter
	closed       family // by reason
	refused      family // by code
	received     family // packets, by type
	sent         family
	bytesIn      prometheus.Counter
	bytesOut     prometheus.Counter
	strangePongs prometheus.Counter
	roundTrip    prometheus.Histogram
}

// packetTypes are the names of Engine.IO's packets, by their number.
var packetTypes = []string{"open", "close", "ping", "pong", "message", "upgrade", "noop"}

// refusals are the codes of the protocol, by their number.
var refusals = []string{
	engineio.CodeTransportUnknown:   "transport unknown",
	engineio.CodeSessionUnknown:     "session unknown",
	engineio.CodeBadMethod:          "bad method",
	engineio.CodeBadRequest:         "bad request",
	engineio.CodeForbidden:          "forbidden",
	engineio.CodeUnsupportedVersion: "unsupported version",
}

// sessionReasons are the reasons why a session ends.
var sessionReasons = []string{
	string(engineio.ReasonTransportError),
	string(engineio.ReasonTransportClose),
	string(engineio.ReasonForcedClose),
	string(engineio.ReasonPingTimeout),
	string(engineio.ReasonParseError),
	string(engineio.ReasonShutdown),
	string(engineio.ReasonForcedServerClose),
}

func newSessions(mk *maker) sessions {
	return sessions{
		open:         mk.gauge("sessions", "Engine.IO sessions that are open."),
		opened:       mk.family("sessions_opened_total", "Sessions opened, by the transport that they began with.", "transport", "polling", "websocket"),
		upgraded:     mk.counter("sessions_upgraded_total", "Sessions that moved from polling to WebSocket."),
		closed:       mk.family("sessions_closed_total", "Sessions closed, by reason.", "reason", sessionReasons...),
		refused:      mk.family("requests_refused_total", "Engine.IO requests refused, by the protocol's code.", "code", refusals...),
		received:     mk.family("packets_received_total", "Engine.IO packets received, by type.", "type", packetTypes...),
		sent:         mk.family("packets_sent_total", "Engine.IO packets sent, by type.", "type", packetTypes...),
		bytesIn:      mk.counter("received_bytes_total", "Bytes in Engine.IO packets received, without framing."),
		bytesOut:     mk.counter("sent_bytes_total", "Bytes in Engine.IO packets sent, without framing and before compression."),
		roundTrip:    mk.histogram("heartbeat_seconds", "How long peers took to answer a heartbeat: there and back, and what was queued before it.", seconds...),
		strangePongs: mk.counter("unsolicited_pongs_total", "Pongs that answered no ping, and were ignored."),
	}
}

// Engine returns the trace for [engineio.Config].
func (m *Metrics) Engine() *engineio.Trace {
	s := &m.sessions
	return &engineio.Trace{
		SessionOpened: func(session *engineio.Session) {
			s.open.Inc()
			s.opened.of(session.Transport()).Inc()
		},
		SessionUpgraded: func(*engineio.Session) { s.upgraded.Inc() },
		SessionClosed: func(_ *engineio.Session, reason engineio.Reason, _ error) {
			s.open.Dec()
			s.closed.of(string(reason)).Inc()
		},
		Refused:  func(_ *http.Request, code engineio.Code) { s.refused.of(nameOf(refusals, int(code))).Inc() },
		LimitHit: m.hit("engine"),
		PacketReceived: func(kind byte, size int) {
			s.received.of(nameOf(packetTypes, int(kind)-'0')).Inc()
			s.bytesIn.Add(float64(size))
		},
		PacketSent: func(kind byte, size int) {
			s.sent.of(nameOf(packetTypes, int(kind)-'0')).Inc()
			s.bytesOut.Add(float64(size))
		},
		Pong:            func(_ *engineio.Session, took time.Duration) { s.roundTrip.Observe(took.Seconds()) },
		UnsolicitedPong: func(*engineio.Session) { s.strangePongs.Inc() },
	}
}

// nameOf returns the i-th name, or other.
func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return other
	}
	return names[i]
}
