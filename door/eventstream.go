package door

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/quota"
	"github.com/tutti-rt/tutti/verb"
)

// An eventStream is one client of [Events].
type eventStream struct {
	door  *events
	w     http.ResponseWriter
	out   *http.ResponseController
	inbox inbox
	peer  *quota.Peer // nil without a quota
}

var (
	errSlow       = errors.New("more waits for the client than may")
	heartbeatLine = []byte(":\n\n") // a comment
)

// run serves the stream on the goroutine of its request until it ends. A
// refusal means that nothing was written.
func (s *eventStream) run(ctx context.Context, in entry) (Reason, error) {
	// Whoever does not read is not waited for when Shutdown's time is up.
	defer context.AfterFunc(s.door.patient, s.expire)()
	if err := s.start(); err != nil {
		return s.lost(err)
	}
	if err := s.greet(in); err != nil {
		return s.lost(err)
	}
	return s.loop(ctx)
}

// start sends the headers and what the browser is to know at first.
func (s *eventStream) start() error {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would wait for a full buffer
	h.Set("X-Content-Type-Options", "nosniff")
	if err := s.write(); errors.Is(err, http.ErrNotSupported) {
		return &refusal{status: http.StatusInternalServerError, code: "internal", message: "the server cannot stream",
			err: fmt.Errorf("the ResponseWriter is wrapped in one that cannot flush: %w", err)}
	} else if err != nil {
		return err
	}
	retry := s.door.cfg.Retry
	if retry < 0 {
		return nil
	}
	return s.write(fmt.Appendf(nil, "retry: %d\n\n", (retry + rand.N(retry+1)).Milliseconds()))
}

func (s *eventStream) loop(ctx context.Context) (Reason, error) {
	var silence *time.Timer
	var beat <-chan time.Time
	if s.door.cfg.Heartbeat > 0 {
		silence = time.NewTimer(s.door.cfg.Heartbeat)
		defer silence.Stop()
		beat = silence.C
	}
	open := s.door.slice()
	for {
		var err error
		select {
		case <-open.Done():
			return ReasonShutdown, nil
		case <-ctx.Done():
			return ReasonLeft, ctx.Err()
		case <-beat:
			err = s.write(heartbeatLine)
		case <-s.inbox.news:
			if why := s.inbox.expelled(); why != nil {
				return ReasonExpelled, s.farewell(why)
			}
			chunks, evicted := s.inbox.take()
			if evicted != nil {
				s.door.limitHit("queue", s.peer)
				s.expire()
				return ReasonSlow, evicted
			}
			err = s.write(chunks...)
			s.inbox.sent(chunks)
		}
		if err != nil {
			return s.lost(err)
		}
		if silence != nil {
			silence.Reset(s.door.cfg.Heartbeat)
		}
	}
}

// lost says why a write did not work.
func (s *eventStream) lost(err error) (Reason, error) {
	switch {
	case s.door.patient.Err() != nil:
		return ReasonShutdown, err
	case errors.Is(err, http.ErrNotSupported):
		return ReasonFault, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.door.limitHit("write", s.peer)
		return ReasonSlow, err
	}
	return ReasonLeft, err
}

// write sends chunks now.
func (s *eventStream) write(chunks ...[]byte) error {
	for _, chunk := range chunks {
		if err := s.extend(); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if _, err := s.w.Write(chunk); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	if err := s.extend(); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// extend gives the next write its time, and takes the http.Server's, which is
// meant for answers that end. Who wraps the ResponseWriter and hides its
// deadlines bounds the writing itself.
func (s *eventStream) extend() error {
	var by time.Time
	if s.door.cfg.WriteTimeout > 0 {
		by = time.Now().Add(s.door.cfg.WriteTimeout)
	}
	if err := s.out.SetWriteDeadline(by); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if s.door.patient.Err() != nil { // perhaps just now, and we have undone it
		s.expire()
	}
	return nil
}

// expire lets every write fail from now on, also the one that net/http does
// when the handler has returned. Where deadlines are not supported it does
// nothing.
func (s *eventStream) expire() {
	_ = s.out.SetWriteDeadline(time.Unix(1, 0))
}

// An inbox is the member behind a stream of events: what was delivered and is
// not sent yet.
type inbox struct {
	limit    int  // bytes; negative: none
	window   int  // bytes; more waits on the tape, in a space with memory
	everyone bool // hears what is for everyone in the namespace
	news     chan struct{}
	seat     *hub.Seat // used by the stream's goroutine only

	by    grant
	rooms []string

	budget *limit.Budget

	mu      sync.Mutex    // the budget's is taken after it
	counted int           // of size, by the budget
	chunks  [][]byte      // shared with other streams
	size    int           // of what waits or is being written
	evicted error         // for good
	expel   *auth.Refusal // why it has to end; nil if it has not
	starved bool          // it was not ready when it was asked
}

var _ hub.Reader = (*inbox)(nil)

// Ready says whether little waits.
func (b *inbox) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ready := b.size < b.window
	b.starved = b.starved || !ready
	return ready
}

// Evicted ends the stream.
func (b *inbox) Evicted(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.evictLocked(err)
}

func (b *inbox) evictLocked(err error) {
	b.evicted, b.chunks = err, nil
	b.ring()
}

// debtor is an inbox as the budget sees it.
type debtor inbox

var _ limit.Debtor = (*debtor)(nil)

// Owes implements [limit.Debtor].
func (d *debtor) Owes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.size
}

// CutOff implements [limit.Debtor].
func (d *debtor) CutOff() { (*inbox)(d).Evicted(errSlow) }

// countLocked has the budget count what waits, if that is much.
func (b *inbox) countLocked() {
	now := b.size
	if now < b.budget.Heavy() {
		now = 0
	}
	switch {
	case b.counted == 0 && now > 0:
		b.budget.Enter((*debtor)(b))
	case b.counted > 0 && now == 0:
		b.budget.Leave((*debtor)(b))
	}
	b.budget.Add(now - b.counted)
	b.counted = now
}

// over gives back what the budget counts, when nothing is sent any more.
func (b *inbox) over() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size = 0
	b.evictLocked(errSlow) // nothing is delivered any more
	b.countLocked()
}

// Expiring implements [auth.Connection]. A stream has no way to show another token.
func (b *inbox) Expiring(time.Duration) {}

// Expel implements [auth.Connection].
func (b *inbox) Expel(why *auth.Refusal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.expel == nil {
		b.expel = why
	}
	b.ring()
}

func (b *inbox) expelled() *auth.Refusal {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.expel
}

// Regrant implements [auth.Regranted].
func (b *inbox) Regrant(review auth.Review) { regrant(b, b.by.id, review) }

var _ auth.Regranted = (*inbox)(nil)

// hearing implements [client].
func (b *inbox) hearing() hearing {
	return hearing{by: b.by, everyone: b.everyone, rooms: b.rooms} // and no presence
}

// farewell tells the client why its stream ends.
func (s *eventStream) farewell(why *auth.Refusal) error {
	text, err := json.Marshal(notice{why.Code, why.Message})
	if err == nil {
		err = s.write(fmt.Appendf(nil, "event: %s\ndata: %s\n\n", verb.AuthEvent, text))
	}
	if err != nil {
		return err
	}
	return why
}

// ring wakes the stream's goroutine.
func (b *inbox) ring() {
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// Deliver queues the message's event.
func (b *inbox) Deliver(m *hub.Message) {
	if len(m.Rooms) == 0 && !b.everyone {
		return
	}
	chunk := eventForm.Of(m)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.evicted != nil || m.Volatile && b.size > 0:
		return
	case b.limit >= 0 && b.size > 0 && b.size+len(chunk) > b.limit:
		b.evicted, b.chunks = errSlow, nil
	default:
		b.chunks = append(b.chunks, chunk)
		b.size += len(chunk)
		b.countLocked()
	}
	b.ring()
}

// take returns what is to be written next, or why it is too late for that.
func (b *inbox) take() (chunks [][]byte, evicted error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	chunks, b.chunks = b.chunks, nil
	return chunks, b.evicted
}

// sent takes off the account what was taken, and asks for more if there was no
// room for it before.
func (b *inbox) sent(chunks [][]byte) {
	b.mu.Lock()
	for _, c := range chunks {
		b.size -= len(c)
	}
	b.countLocked()
	resume := b.starved && b.size < b.window
	b.starved = b.starved && !resume
	b.mu.Unlock()
	if resume {
		b.seat.Resume()
	}
}
