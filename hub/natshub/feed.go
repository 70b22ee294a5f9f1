package natshub

import (
	"context"
	"sync"

	"github.com/tutti-rt/tutti/hub"
)

// A feed carries what has come to whom it is for, in order, on a goroutine of
// its own while there is something. It is bounded, for those who ask whether
// there is room.
type feed[T any] struct {
	hand func([]T)       // is called with what has come, one call at a time
	wg   *sync.WaitGroup // of the engine
	most int64

	mu      sync.Mutex
	changed sync.Cond
	list    []T
	bytes   int64 // of list, and of what is being handed on
	busy    bool
	closed  bool
}

func newFeed[T any](wg *sync.WaitGroup, most int64, hand func([]T)) *feed[T] {
	f := &feed[T]{hand: hand, wg: wg, most: most}
	f.changed.L = &f.mu
	return f
}

// put hands on an item of a size, also if there is no room.
func (f *feed[T]) put(item T, size int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.list = append(f.list, item)
	f.bytes += int64(size)
	if !f.busy {
		f.busy = true
		f.wg.Go(f.work) // ends when there is nothing more; Engine.Close and feed.close wait
	}
}

// full says whether there is more than there should be.
func (f *feed[T]) full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bytes > f.most
}

// room waits until there is room for a good part.
func (f *feed[T]) room(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.changed.Broadcast()
	})
	defer stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.bytes > f.most/2 && !f.closed && ctx.Err() == nil {
		f.changed.Wait()
	}
	if f.closed {
		return hub.ErrClosed
	}
	return ctx.Err()
}

func (f *feed[T]) work() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.list) > 0 {
		list, size := f.list, f.bytes
		f.list = nil
		f.mu.Unlock()
		f.hand(list)
		f.mu.Lock()
		f.bytes -= size
		f.changed.Broadcast()
	}
	f.busy = false
	f.changed.Broadcast()
}

// close drops what was not handed on, and waits for what is being.
func (f *feed[T]) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed, f.list = true, nil
	f.changed.Broadcast()
	for f.busy {
		f.changed.Wait()
	}
}
