package door

import (
	"context"
	"math/rand/v2"
	"time"
)

// drainSlices is how many parts the streams of a door are in, each of which ends
// at once in a [Door.Drain].
const drainSlices = 64

// A slice is some of the streams: its context ends with theirs.
type slice struct {
	// It outlives any request, as the door's own does of which it is a part.
	open  context.Context
	close context.CancelFunc
}

// newSlices returns as many, in the life of a door.
func newSlices(open context.Context) []slice {
	all := make([]slice, drainSlices)
	for i := range all {
		all[i].open, all[i].close = context.WithCancel(open)
	}
	return all
}

// slice returns the context of a new stream. Who is in which is left to chance.
func (d *Door) slice() context.Context { return d.slices[rand.N(len(d.slices))].open }

// Drain refuses new streams and ends those that are there: not all at once, so
// that another server can take them, but spread over a time, in no order. Other
// requests are served. It returns when all are ending, or when ctx ends;
// [Door.Shutdown] is to follow.
func (d *Door) Drain(ctx context.Context, over time.Duration) error {
	d.mu.Lock()
	d.draining = true
	d.mu.Unlock()
	began := time.Now()
	for i, s := range d.slices {
		rest := time.NewTimer(time.Until(began.Add(over * time.Duration(i) / drainSlices)))
		select {
		case <-rest.C:
			s.close()
		case <-ctx.Done():
			rest.Stop()
			return ctx.Err()
		}
	}
	return nil
}
