package engineio

import (
	"net/http"
	"time"
)

// deferrer is a ResponseWriter whose answer may be given when the handler has returned, so that a GET that waits needs no
// goroutine. See internal/gate.
type deferrer interface {
	http.ResponseWriter
	// Defer has gone called, once, if nobody waits for the answer any more, which is given all the same.
	Defer(gone func(error))
	// Resume has fill write the answer, and done called when it has left or cannot.
	Resume(timeout time.Duration, fill func(), done func(error))
}

// waitingLater is a GET that waits without a goroutine. Its fields are guarded by the session's lock until it is called,
// and after that of who answers it.
type waitingLater struct {
	t      *pollTransport
	w      deferrer
	r      *http.Request
	called bool
	gone   error // why the peer does not wait any more

	frames  []*Frame
	refused bool
}

// getLater is get for a GET that need not wait here.
func (t *pollTransport) getLater(w deferrer, r *http.Request) {
	g := &waitingLater{t: t, w: w, r: r}
	t.s.srv.tasks.enter() // until it is answered
	w.Defer(g.peerGone)
	if refused := t.wait(g); refused != nil {
		g.answer(func() {
			t.s.tellHere()
			refused.write(t.s.srv, w, r, false)
			g.refused = true
		})
	}
}

// call implements waiter: others answer it, who hold no lock.
func (g *waitingLater) call() {
	if !g.called {
		g.called = true
		g.t.s.srv.loop.Do(g)
	}
}

func (g *waitingLater) peerGone(err error) {
	g.t.s.mu.Lock()
	defer g.t.s.mu.Unlock()
	g.gone = err
	if g.t.wake == g {
		g.call()
	}
}

// Do implements [websocket.Task].
func (g *waitingLater) Do() { g.answer(g.fill) }

func (g *waitingLater) answer(fill func()) {
	timeout := g.t.s.srv.cfg.WriteTimeout
	if timeout < 0 {
		timeout = forEver
	}
	g.w.Resume(timeout, fill, g.done)
}

const forEver = 365 * 24 * time.Hour

// fill takes what there is for the peer, and writes it.
func (g *waitingLater) fill() {
	t := g.t
	t.s.mu.Lock()
	gone := g.gone
	t.s.mu.Unlock()
	frames, refused := t.take(gone)
	if refused != nil {
		g.refused = true
		t.s.tellHere()
		refused.write(t.s.srv, g.w, g.r, false)
		return
	}
	g.frames = frames
	_, _ = g.w.Write(t.prepare(g.w, g.r, frames, false)) // it is only put down: done tells
}

// done says what became of the answer.
func (g *waitingLater) done(err error) {
	if !g.refused {
		g.t.left(g.frames, err)
	}
	g.t.s.srv.tasks.leave()
}
