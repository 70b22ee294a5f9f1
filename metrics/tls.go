package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// WatchCertificate has the metrics read until when the certificate holds, or the
// first of several to end; the zero time for none. It is called once, before the
// first reading.
func (m *Metrics) WatchCertificate(until func() time.Time) { m.certificate.Store(&until) }

func (m *Metrics) newCertificate(mk *maker) {
	mk.all = append(mk.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: prefix + "tls_certificate_expiry_timestamp_seconds",
		Help: "Until when the certificate holds, or the first of several to end; 0 without one.",
	}, func() float64 {
		until := m.certificate.Load()
		if until == nil {
			return 0
		}
		end := (*until)()
		if end.IsZero() {
			return 0
		}
		return float64(end.Unix())
	}))
}
