package engineio

import (
	"errors"
	"net/http"
	"os"
	"slices"
	"time"
)

// pollTransport is a session that polls: GET requests wait for what is sent, POST requests bring what the peer sends.
// Between requests it owns no goroutine. Its fields are guarded by the session's lock.
type pollTransport struct {
	s      *Session
	script *script // how to answer a peer that loads scripts (JSONP), else nil

	queue []*Frame
	size  int // of queue, in bytes
	light int // how many of queue the budget does not count: the first

	wake   waiter // the GET that waits, nil if none does
	status status

	arrived int  // bytes of the POST under way that the budget counts
	owing   bool // the budget may cut the session off

	coming chan struct{} // after a close packet: see farewell

	posting bool
	body    *http.ResponseController // of the POST whose body is being read, while it is
	cut     bool                     // that was ended, and its connection with it
	busy    int                      // requests that are reading or writing
	idle    chan struct{}            // made by who waits for busy to be 0, closed when it is
}

// waiter is a GET that waits.
type waiter interface {
	// call says that there is something to take. It does not wait, and may be called again. The session's lock is held.
	call()
}

// waitingHere is a GET whose goroutine waits; it holds one token when there is something to take.
type waitingHere chan struct{}

func (w waitingHere) call() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// status is where a pollTransport is in its life.
type status uint8

const (
	serving  status = iota
	draining        // what is queued and a close packet are to leave
	ended           // what is queued is the last word for the GET that waits
	replaced        // a WebSocket has taken over
)

// frameOverhead is counted for every queued frame besides its bytes: a million empty messages are not nothing.
const frameOverhead = 64

func (t *pollTransport) name() string { return polling }

func (t *pollTransport) send(f *Frame, _ bool) error {
	if t.status != serving {
		return ErrClosed
	}
	size := f.Len() + frameOverhead
	if limit := t.s.srv.cfg.MaxQueue; limit > 0 && len(t.queue) > 0 && t.size+size > limit {
		return ErrTooSlow
	}
	t.queue = append(t.queue, f)
	t.size += size
	t.count(f)
	t.signal()
	return nil
}

// flush has nothing to do: who polls comes for what was sent.
func (t *pollTransport) flush() {}

func (t *pollTransport) backlog() int { return t.size }

// whenDrained: a GET that takes the whole queue fires, see left.
func (t *pollTransport) whenDrained() bool { return t.size > 0 }

// ready reports whether a GET waits for which there is nothing yet.
func (t *pollTransport) ready() bool {
	return t.status == serving && t.wake != nil && len(t.queue) == 0
}

func (t *pollTransport) end(how ending) (over bool) {
	if t.status == ended || t.status == replaced {
		return true
	}
	t.status = ended
	switch how {
	case endFlush:
		t.status = draining
	case endAgree:
		t.last(frameNoop)
		if t.wake == nil {
			t.coming = make(chan struct{})
		}
	default:
		t.last(frameClose)
	}
	if t.status == ended && t.body != nil {
		// The rest of the body is not worth waiting for, and may never come.
		_ = t.body.SetReadDeadline(time.Unix(1, 0)) // a connection without deadlines is read to its end
		t.body, t.cut = nil, true
	}
	t.signal()
	return t.status == ended && t.coming == nil
}

// last makes f the only thing to leave.
func (t *pollTransport) last(f *Frame) {
	old := t.queue
	t.queue, t.size = nil, 0
	t.uncount(old)
	t.queue, t.light = []*Frame{f}, 1
}

// signal wakes the GET that waits.
func (t *pollTransport) signal() {
	if t.wake != nil {
		t.wake.call()
	}
}

// noop sends the GET that waits home with nothing, for the peer that probes a WebSocket and wants polling to rest.
func (t *pollTransport) noop() {
	if t.ready() {
		_ = t.send(frameNoop, true) // there is room: nothing is queued
	}
}

// replace ends polling for good and returns what has not left. A GET that waits is refused: a client completes an
// upgrade only after its last GET was answered.
func (t *pollTransport) replace() []*Frame {
	rest := t.queue
	t.status, t.queue, t.size = replaced, nil, 0
	t.uncount(rest)
	t.signal()
	return rest
}

// rest returns a channel that is closed when no request is reading or writing; nil if none is now.
func (t *pollTransport) rest() <-chan struct{} {
	if t.busy > 0 && t.idle == nil {
		t.idle = make(chan struct{})
	}
	return t.idle
}

func (t *pollTransport) leave() {
	if t.busy--; t.busy == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// serve answers a request for a session that polls.
func (t *pollTransport) serve(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		t.get(w, r)
	case http.MethodPost:
		t.post(w, r)
	default:
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// get answers a GET with what has been sent, and waits for it if there is nothing yet.
func (t *pollTransport) get(w http.ResponseWriter, r *http.Request) {
	if later, ok := w.(deferrer); ok {
		t.getLater(later, r)
		return
	}
	wake := make(waitingHere, 1)
	if refused := t.wait(wake); refused != nil {
		t.s.tellHere()
		refused.write(t.s.srv, w, r, false)
		return
	}
	// A server's ReadTimeout is about requests; this one has been read.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // not every ResponseWriter has deadlines
	select {
	case <-wake:
	case <-r.Context().Done():
	}
	frames, refused := t.take(r.Context().Err())
	if refused != nil {
		t.s.tellHere()
		refused.write(t.s.srv, w, r, false)
		return
	}
	t.left(frames, t.write(w, r, frames, false))
}

// wait registers a GET.
func (t *pollTransport) wait(wake waiter) *refusal {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case t.status == replaced:
		return refuse(CodeBadRequest)
	case t.coming != nil:
		close(t.coming)
		t.coming = nil
	case t.status == ended:
		return refuse(CodeSessionUnknown)
	case t.wake != nil:
		s.failLocked(broken("two GETs at the same time"), endTell)
		return &refusal{status: http.StatusBadRequest}
	}
	t.wake = wake
	if len(t.queue) > 0 || t.status == draining {
		t.signal()
	}
	return nil
}

// take returns what leaves with the GET that has waited: as much of the queue as Config.MaxPayload allows. gone is not
// nil if the peer has not waited.
func (t *pollTransport) take(gone error) ([]*Frame, *refusal) {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	t.wake = nil
	switch {
	case t.status == replaced:
		return nil, refuse(CodeBadRequest)
	case gone != nil:
		s.failLocked(&fault{ReasonTransportError, gone}, endCut)
		return nil, &refusal{status: http.StatusBadRequest} // to nobody
	}
	n, size := 0, 0
	for n < len(t.queue) {
		size += t.queue[n].textLen(int(s.protocol)) + maxLengthDigits
		if n > 0 && int64(size) > s.srv.cfg.MaxPayload {
			break
		}
		n++
	}
	frames := t.queue[:n:n]
	t.queue = t.queue[n:]
	t.uncount(frames)
	t.size = 0
	for _, f := range t.queue {
		t.size += f.Len() + frameOverhead
	}
	if len(t.queue) == 0 {
		t.queue = nil
		// The close packet leaves in an answer of its own. A stock client puts off what a packet says until it has
		// read the whole answer, so that a close packet in the same one would overtake a namespace's farewell.
		if t.status == draining && n == 0 {
			t.status = ended
			frames = append(frames, frameClose)
		}
	}
	t.busy++
	return frames, nil
}

// left says what became of the answer to a GET.
func (t *pollTransport) left(frames []*Frame, err error) {
	s := t.s
	s.mu.Lock()
	t.leave()
	if t.status == ended {
		s.flushedLocked()
	}
	drained := t.size == 0
	s.mu.Unlock()
	if drained {
		s.fireDrained()
	}
	switch {
	case err != nil:
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.srv.trace.limit("WriteTimeout", s.peer)
		}
		s.fail(&fault{ReasonTransportError, err})
	case slices.Contains(frames, framePing):
		s.pingLeft()
	}
}
