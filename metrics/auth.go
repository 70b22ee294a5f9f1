package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tutti-rt/tutti/auth"
)

// authResults are how somebody is identified, and why he is not.
var authResults = []string{
	string(auth.Anonymous), string(auth.ByToken), string(auth.ByKey), string(auth.BySession),
	string(auth.Unauthorized), string(auth.InvalidToken), string(auth.Expired), string(auth.Revoked), string(auth.Unavailable),
}

// Auth returns the trace for [auth.Config].
func (m *Metrics) Auth() *auth.Trace {
	return &auth.Trace{
		Identified: func(how auth.Method) { m.identities.of(string(how)).Inc() },
		Refused:    func(why auth.Code) { m.identities.of(string(why)).Inc() },
		LimitHit:   m.hit("auth"),
		Revoked: func(err error) {
			m.revocations.Inc()
			if err != nil {
				m.unkept.Inc()
			}
		},
	}
}

// newKeySets counts how the keys of issuers are got.
func (m *Metrics) newKeySets(mk *maker) {
	m.fetches = mk.family("key_set_fetches_total", "Fetches of the key sets of issuers of tokens.", "result", "fetched", "failed")
	mk.all = append(mk.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: prefix + "key_sets_failing", Help: "Key sets of issuers of tokens whose last fetch failed.",
	}, func() float64 {
		if failing := m.keySets.Load(); failing != nil {
			return float64((*failing)())
		}
		return 0
	}))
}

// KeySetFetched counts a fetch of an issuer's key set: it is for Fetched of the
// configuration of package auth/jwt.
func (m *Metrics) KeySetFetched(err error) {
	if err != nil {
		m.fetches.of("failed").Inc()
		return
	}
	m.fetches.of("fetched").Inc()
}

// WatchKeySets has the metrics say how many key sets could not be fetched. failing
// is asked by every scrape and must not wait.
func (m *Metrics) WatchKeySets(failing func() int) { m.keySets.Store(&failing) }

// OperatorRefused counts somebody who came to operators' addresses with a key that
// is none.
func (m *Metrics) OperatorRefused() { m.strangers.Inc() }
