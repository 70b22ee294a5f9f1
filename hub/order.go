package hub

import "sync"

// An order runs operations one after another. It is what makes a space's
// order: who comes while it is busy waits in a list, and whoever is first in
// that list runs the whole list, in the order of arrival, when its turn comes.
// No lock is held while an operation runs, so that what an operation calls may
// ask for a later turn (post), and many publishers that come at once cost one
// change of goroutine, not one each.
type order struct {
	mu      sync.Mutex
	busy    bool
	waiting []*waiter
}

// A waiter is an operation that waits for its turn, and whoever waits for it.
type waiter struct {
	run   func()
	woken chan struct{} // closed when run has run, or when its owner is to lead; nil: nobody waits
	batch []*waiter     // not nil: the owner leads, and runs these, itself first
	panic any           // what run panicked with
}

// do runs f in its turn and returns after that. It must not be called from
// inside an operation of the same order: it would wait for itself.
func (o *order) do(f func()) {
	o.mu.Lock()
	if !o.busy {
		o.busy = true
		o.mu.Unlock()
		defer o.passOn()
		f()
		return
	}
	t := &waiter{run: f, woken: make(chan struct{})}
	o.waiting = append(o.waiting, t)
	o.mu.Unlock()

	<-t.woken
	if t.batch != nil {
		o.lead(t)
	}
	if t.panic != nil {
		panic(t.panic)
	}
}

// post runs f in its turn: at once if nobody else's is on, otherwise later, by
// whoever leads then. It never waits, so it may be called from anywhere.
func (o *order) post(f func()) {
	o.mu.Lock()
	if o.busy {
		o.waiting = append(o.waiting, &waiter{run: f})
		o.mu.Unlock()
		return
	}
	o.busy = true
	o.mu.Unlock()
	defer o.passOn()
	f()
}

// lead runs a batch, own turn included, and wakes the others' owners.
func (o *order) lead(own *waiter) {
	defer o.passOn()
	for _, t := range own.batch {
		t.runSafely()
		if t != own && t.woken != nil {
			close(t.woken)
		}
	}
}

// passOn ends the turn: the first who waits leads next. Turns that nobody
// waits for (post) at the head of the list have no goroutine to lead them, so
// they run here.
func (o *order) passOn() {
	for {
		o.mu.Lock()
		batch := o.waiting
		o.waiting = nil
		if len(batch) == 0 {
			o.busy = false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()

		for len(batch) > 0 && batch[0].woken == nil {
			batch[0].runSafely()
			batch = batch[1:]
		}
		if len(batch) > 0 {
			batch[0].batch = batch
			close(batch[0].woken)
			return
		}
	}
}

// runSafely keeps a panic for the owner of the turn: it must not take down the
// goroutine of whoever happens to lead. A posted turn has no owner; its
// operations are the hub's own and do not call out.
func (t *waiter) runSafely() {
	defer func() {
		if t.woken != nil {
			t.panic = recover()
		}
	}()
	t.run()
}
