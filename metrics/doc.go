// Package metrics counts what a Tutti server does, for Prometheus.
//
// A [Metrics] fills the Trace of every stage, and is both a
// [prometheus.Collector] for a registry of the application's own and the source
// of an [http.Handler]:
//
//	m := metrics.New()
//	srv, err := tutti.New(tutti.Config{
//		Engine: engineio.Config{Trace: m.Engine()},
//		Hub:    hub.Config{Trace: m.Hub()},
//		Trace:  m.Server(),
//	})
//	…
//	http.Handle("GET /metrics", m.Handler())
//
// # Cardinality
//
// The number of time series is fixed when New returns, and every one of them is
// there from then on, with the value 0: a peer can make none. Names that peers
// or applications choose (events, rooms, namespaces, ids) are never labels, and
// a label value that is not on the list of its metric counts as "other".
// docs/metrics.md lists them all.
//
// # Cost
//
// Counting is an atomic addition, or a look into a map and an addition. Nothing
// allocates and nothing waits.
//
// May import: tutti, engineio, hub, door.
package metrics
