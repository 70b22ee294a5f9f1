package nodehub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/redishub/nodewire"
)

// errFull is why something is not sent.
var errFull = errors.New("nodehub: too much waits to be sent")

// An outbox sends what is said, in order, many at a time. It has a goroutine
// while there is something to send.
type outbox struct {
	cluster *Cluster

	mu      sync.Mutex
	waiting []letter
	bytes   int // of those, and of what is being sent
	writing bool
	closed  bool
}

// A letter is a parcel, and who wants to know what became of it.
type letter struct {
	nodewire.Parcel
	sent func(error) // may be nil; must not wait
}

func (l letter) size() int {
	const overhead = 128
	n := overhead + len(l.To) + len(l.Body)
	for _, s := range l.Pair {
		n += len(s)
	}
	return n
}

// post has a parcel sent and does not wait.
func (o *outbox) post(p nodewire.Parcel, sent func(error)) {
	l := letter{p, sent}
	o.mu.Lock()
	var err error
	switch {
	case o.closed:
		err = hub.ErrClosed
	case o.bytes > 0 && o.bytes+l.size() > o.cluster.cfg.MaxPending:
		err = errFull
	default:
		o.waiting = append(o.waiting, l)
		o.bytes += l.size()
		if !o.writing {
			o.writing = true
			// Started by who posts while there is none, ended when nothing waits,
			// waited for by Cluster.Close.
			o.cluster.running.Go(o.write)
		}
	}
	o.mu.Unlock()
	if err != nil {
		o.cluster.dropped()
		l.tell(err)
	}
}

func (l letter) tell(err error) {
	if err != nil {
		err = fmt.Errorf("%w: %w", hub.ErrUnavailable, err)
	}
	if l.sent != nil {
		l.sent(err)
	}
}

// write sends what waits until nothing does.
func (o *outbox) write() {
	for {
		o.mu.Lock()
		batch := o.waiting[:min(len(o.waiting), 500)]
		if o.waiting = o.waiting[len(batch):]; len(o.waiting) == 0 {
			o.waiting = nil
		}
		if len(batch) == 0 {
			o.writing = false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		size := 0
		for i, err := range o.deliver(batch) {
			size += batch[i].size()
			if err != nil {
				o.cluster.dropped()
			}
			batch[i].tell(err)
		}
		o.mu.Lock()
		o.bytes -= size
		o.mu.Unlock()
	}
}

// deliver sends a batch, and returns what became of each. It tries again as long
// as nothing can have been sent.
func (o *outbox) deliver(batch []letter) []error {
	c := o.cluster
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Timeout)
	defer cancel()
	for wait := retryPause; ; wait = min(2*wait, retryPauseMax) {
		done, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, l := range batch {
				l.command(ctx, p, c.cfg.MaxLen)
			}
			return nil
		})
		dial, ok := errors.AsType[*net.OpError](err)
		if err == nil || !ok || dial.Op != "dial" || ctx.Err() != nil {
			return results(done, len(batch), err)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
		case <-c.ctx.Done():
			t.Stop()
			return slices.Repeat([]error{hub.ErrClosed}, len(batch))
		}
		t.Stop()
	}
}

// results are the errors of commands: Redis may refuse one and take the others.
func results(done []redis.Cmder, n int, err error) []error {
	errs := slices.Repeat([]error{err}, n)
	if len(done) == n {
		for i, cmd := range done {
			errs[i] = cmd.Err()
		}
	}
	return errs
}

func (l letter) command(ctx context.Context, p redis.Pipeliner, maxLen int64) {
	switch l.Via {
	case nodewire.SPublish:
		p.SPublish(ctx, l.To, l.Body)
	case nodewire.Add:
		p.XAdd(ctx, &redis.XAddArgs{Stream: l.To, MaxLen: maxLen, Approx: true, Values: l.Pair})
	default:
		p.Publish(ctx, l.To, l.Body)
	}
}

// close refuses what comes from now on. What waits is sent.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
}
