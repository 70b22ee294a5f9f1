package limit

import (
	"sync"
	"time"
)

// A Rate is how often something may happen. The zero Rate is no limit.
type Rate struct {
	PerSecond float64 // in the long run; 0 or less: no limit
	Burst     int     // at once; less than 1 counts as 1
}

// Limited reports whether r limits anything.
func (r Rate) Limited() bool { return r.PerSecond > 0 }

// longest is 36 years: as long as a bucket may take to fill up, so that no sum
// of times overflows.
const longest = float64(1 << 60)

// interval is what one costs. It is never 0, even for rates beyond a
// nanosecond's.
func (r Rate) interval() time.Duration {
	return time.Duration(max(min(float64(time.Second)/r.PerSecond, longest), 1))
}

// burst is what may be owed at a time.
func (r Rate) burst() time.Duration {
	return time.Duration(min(float64(r.interval())*float64(max(r.Burst, 1)), longest))
}

// A Bucket holds a caller to a rate. It is safe for concurrent use and must
// not be copied.
//
// It keeps no count of tokens but the moment at which it will be full again
// (the generic cell rate algorithm): a token taken moves that moment one
// interval on, and it may be at most a burst ahead.
type Bucket struct {
	rate Rate

	mu   sync.Mutex
	full time.Time
}

// NewBucket returns a full bucket.
func NewBucket(r Rate) *Bucket { return &Bucket{rate: r} }

// Take takes a token. If there is none it returns false, takes nothing, and
// says after what time there will be one.
func (b *Bucket) Take() (wait time.Duration, ok bool) {
	if !b.rate.Limited() {
		return 0, true
	}
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full, wait, ok = b.rate.take(b.full, now, 1)
	return wait, ok
}

// cost is what so many tokens cost, at most all that the bucket holds: what is
// larger than that must be possible at times.
func (r Rate) cost(tokens int) time.Duration {
	return r.interval() * time.Duration(min(tokens, max(r.Burst, 1)))
}

// take is the bucket as a function: from when it would have been full to when
// it will be.
func (r Rate) take(full, now time.Time, tokens int) (next time.Time, wait time.Duration, ok bool) {
	if full.Before(now) {
		full = now
	}
	next = full.Add(r.cost(tokens))
	if wait = next.Sub(now) - r.burst(); wait > 0 {
		return full, wait, false
	}
	return next, 0, true
}

// Take is the bucket as a function, for who keeps the time himself, as what has
// passed since some moment: from when it would have been full to when it will
// be. A refusal takes nothing. The rate must be limited.
func (r Rate) Take(full, now time.Duration, tokens int) (next, wait time.Duration, ok bool) {
	full = max(full, now)
	next = full + r.cost(tokens)
	if wait = next - now - r.burst(); wait > 0 {
		return full, wait, false
	}
	return next, 0, true
}
