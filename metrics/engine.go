package metrics

import "github.com/prometheus/client_golang/prometheus"

// shared counts what happens between a node and the engine that it shares with
// others. Engines have traces of their own, which a program puts together with
// these methods: who imports this package does not compile their clients.
type shared struct {
	up       prometheus.Gauge
	lost     prometheus.Counter
	filled   prometheus.Counter
	retries  prometheus.Counter
	unwanted prometheus.Counter
}

func newShared(mk *maker) shared {
	return shared{
		up:       mk.gauge("engine_up", "1 while the engine that nodes share can be reached."),
		lost:     mk.counter("engine_connections_lost_total", "Times that the live connection to the engine has ended."),
		filled:   mk.counter("engine_filled_messages_total", "Messages that the live connection has missed, and that were read when it was back."),
		retries:  mk.counter("engine_retries_total", "Questions to the engine that were put again, because there was no answer."),
		unwanted: mk.counter("engine_ignored_total", "Messages on the channels of the cluster that no node has sent."),
	}
}

// EngineConnected says that the engine can be reached.
func (m *Metrics) EngineConnected() { m.shared.up.Set(1) }

// EngineLost says that the connection to the engine has ended.
func (m *Metrics) EngineLost() {
	m.shared.up.Set(0)
	m.shared.lost.Inc()
}

// EngineFilled counts messages that were missed and read.
func (m *Metrics) EngineFilled(messages int) { m.shared.filled.Add(float64(messages)) }

// EngineRetried counts a question that was put again.
func (m *Metrics) EngineRetried() { m.shared.retries.Inc() }

// EngineIgnored counts what came on a channel and is not ours.
func (m *Metrics) EngineIgnored() { m.shared.unwanted.Inc() }
