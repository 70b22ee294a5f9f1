package metrics

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tutti-rt/tutti/hub"
)

// memory counts what spaces with memory do.
type memory struct {
	failed    prometheus.Gauge
	commits   family // by durability
	batches   prometheus.Histogram
	waits     prometheus.Histogram
	tape      prometheus.Gauge
	sessions  prometheus.Gauge
	returns   family // by outcome
	replayed  prometheus.Counter
	evictions family // by cause
}

// Values of the labels.
const (
	commitFsync = "fsync"
	commitAsync = "async"
	commitError = "failed"

	returnRecovered = "recovered"
	returnUnknown   = "unknown session"
	returnForeign   = "foreign session"
	returnOffset    = "unknown offset"
	returnTrimmed   = "too late"

	evictReturned = "returned elsewhere"
	evictSlow     = "too slow"
)

func newMemory(mk *maker) memory {
	return memory{
		failed:    mk.gauge("store_failed", "1 once the store has stopped to acknowledge: nothing is published to namespaces with memory any more."),
		commits:   mk.family("commits_total", "Batches that a tape has written, by what it waited for.", "durability", commitFsync, commitAsync, commitError),
		batches:   mk.histogram("commit_messages", "Messages in one batch: how many publishers share an fsync.", 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
		waits:     mk.histogram("commit_seconds", "How long batches that wait for the disk took.", seconds...),
		tape:      mk.gauge("tape_bytes", "How much of the tapes' ends is held in memory."),
		sessions:  mk.gauge("sessions_kept", "Sessions of namespaces with memory, those that are gone and may come back included."),
		returns:   mk.family("returns_total", "Clients that asked for the session they had, by what became of it.", "outcome", returnRecovered, returnUnknown, returnForeign, returnOffset, returnTrimmed),
		replayed:  mk.counter("replayed_messages_total", "Messages read from a tape for a client that had missed them."),
		evictions: mk.family("evictions_total", "Members of namespaces with memory that lost their seat, by cause.", "cause", evictReturned, evictSlow),
	}
}

// StoreFailed says that the store has stopped to acknowledge. The hub's trace
// notices by itself when something is to be written.
func (m *Metrics) StoreFailed() { m.memory.failed.Set(1) }

func (m *memory) committed(_ string, c hub.Commit) {
	m.tape.Add(float64(c.TapeBytes))
	switch {
	case c.Err != nil:
		if errors.Is(c.Err, hub.ErrFailed) { // an engine comes back
			m.failed.Set(1)
		}
		m.commits.of(commitError).Inc()
		return
	case c.Sync:
		m.commits.of(commitFsync).Inc()
		m.waits.Observe(c.Took.Seconds())
	default:
		m.commits.of(commitAsync).Inc()
	}
	if c.Messages > 0 { // else it has sessions only
		m.batches.Observe(float64(c.Messages))
	}
}

func (m *memory) returned(_ string, err error) {
	outcome := other
	switch {
	case err == nil:
		outcome = returnRecovered
	case errors.Is(err, hub.ErrNoSession):
		outcome = returnUnknown
	case errors.Is(err, hub.ErrNotOwner):
		outcome = returnForeign
	case errors.Is(err, hub.ErrOffset):
		outcome = returnOffset
	case errors.Is(err, hub.ErrTrimmed):
		outcome = returnTrimmed
	}
	m.returns.of(outcome).Inc()
}

func (m *memory) evicted(_ string, err error) {
	cause := other
	switch {
	case errors.Is(err, hub.ErrFenced):
		cause = evictReturned
	case errors.Is(err, hub.ErrTrimmed):
		cause = evictSlow
	}
	m.evictions.of(cause).Inc()
}
