package engineio

import "sync"

// tasks counts what Shutdown waits for: the goroutines of the server, the requests it is answering, the sessions that
// can be found, the WebSockets that are not gone, and the receivers that have not been told that theirs is over.
type tasks struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // made by who waits, closed when n is 0
}

// Go runs f on a goroutine. It is the only place of the package where one starts: for one call of Receiver.Closed, by
// what ended the session, or to give memory back. Shutdown waits for it.
func (t *tasks) Go(f func()) {
	t.enter()
	// Owner, end and waiter: see above.
	go func() {
		defer t.leave()
		f()
	}()
}

func (t *tasks) enter() {
	t.mu.Lock()
	t.n++
	t.mu.Unlock()
}

func (t *tasks) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// done returns a channel that is closed as soon as nothing runs.
func (t *tasks) done() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.idle == nil {
		t.idle = make(chan struct{})
		if t.n == 0 {
			close(t.idle)
			defer func() { t.idle = nil }()
		}
	}
	return t.idle
}
