package metrics

// limitNames are the limits that each stage reports, in its words.
var limitNames = map[string][]string{
	"engine": {"ConfirmTimeout", "MaxPackets", "MaxPayload", "MaxQueue", "MaxSessions", "UpgradeTimeout", "WriteTimeout"},
	"server": {"attachment timeout", "auth", "data", "dynamic namespaces", "event", "id", "inbox", "namespaces", "pending calls"},
	"hub":    {"room name", "rooms"},
	"door":   {"body", "calls", "data", "event", "event name", "id", "message", "queue", "rate", "rooms", "streams", "write"},
}

func newLimits(mk *maker) map[string]family {
	vec := mk.counters("limit_hits_total", "How often a limit refused, dropped or ended something, by stage and limit.", "stage", "limit")
	stages := make(map[string]family, len(limitNames))
	for stage, names := range limitNames {
		stages[stage] = newFamily(vec, names, stage)
	}
	return stages
}

// hit returns the LimitHit function of a stage.
func (m *Metrics) hit(stage string) func(limit string) {
	limits := m.limits[stage]
	return func(limit string) { limits.of(limit).Inc() }
}
