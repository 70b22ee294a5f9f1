package redishub

import "sync"

// A feed carries what has come to whom it is for, in order, on a goroutine of
// its own while there is something. It is bounded: whoever puts more waits.
type feed[T any] struct {
	hand func([]T)       // is called with what has come, one call at a time
	wg   *sync.WaitGroup // of the engine
	most int64

	mu      sync.Mutex
	changed sync.Cond
	list    []T
	bytes   int64
	busy    bool
	closed  bool
}

func newFeed[T any](wg *sync.WaitGroup, most int64, hand func([]T)) *feed[T] {
	f := &feed[T]{hand: hand, wg: wg, most: most}
	f.changed.L = &f.mu
	return f
}

// put hands on an item of a size. It waits for as long as there is too much.
func (f *feed[T]) put(item T, size int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.bytes > f.most && !f.closed {
		f.changed.Wait()
	}
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

func (f *feed[T]) work() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.list) > 0 {
		list := f.list
		f.list, f.bytes = nil, 0
		f.changed.Broadcast()
		f.mu.Unlock()
		f.hand(list)
		f.mu.Lock()
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
