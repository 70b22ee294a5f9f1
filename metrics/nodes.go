package metrics

import "github.com/prometheus/client_golang/prometheus"

// nodes counts what happens between this server and a cluster of Node's.
type nodes struct {
	up      prometheus.Gauge
	lost    prometheus.Counter
	ignored prometheus.Counter
	dropped prometheus.Counter
}

func newNodes(mk *maker) nodes {
	return nodes{
		up:      mk.gauge("node_cluster_up", "1 while the servers on Node.js can be heard."),
		lost:    mk.counter("node_cluster_connections_lost_total", "Times that the connection by which they are heard has ended."),
		ignored: mk.counter("node_cluster_ignored_total", "Messages on their channels that are none of their adapter."),
		dropped: mk.counter("node_cluster_dropped_total", "Messages from them and to them that were dropped, because too much waited or Redis was away."),
	}
}

// NodesConnected says that the cluster of Node's servers can be heard.
func (m *Metrics) NodesConnected() { m.nodes.up.Set(1) }

// NodesLost says that the connection to it has ended.
func (m *Metrics) NodesLost() {
	m.nodes.up.Set(0)
	m.nodes.lost.Inc()
}

// NodesIgnored counts what came and is no message.
func (m *Metrics) NodesIgnored() { m.nodes.ignored.Inc() }

// NodesDropped counts what was dropped on the way.
func (m *Metrics) NodesDropped() { m.nodes.dropped.Inc() }
