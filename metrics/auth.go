package metrics

import "github.com/tutti-rt/tutti/auth"

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
