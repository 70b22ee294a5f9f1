package nodehub

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/redishub/nodewire"
	"github.com/tutti-rt/tutti/packet"
)

// Why a question ends before all have answered.
var (
	errTooMuch = errors.New("nodehub: more answers than anybody reads")
	errGone    = errors.New("nodehub: server is gone")
)

// asked are the questions that are put to others.
type asked struct {
	most int // bytes of answers to one question that may wait

	mu     sync.Mutex
	open   map[string]*question
	closed bool
}

// A question waits for answers.
type question struct {
	of      *asked
	id      string
	servers int // others that were there

	mu      sync.Mutex
	answers []*nodewire.Message // not taken by next
	bytes   int
	err     error
	news    chan struct{} // holds a token when there is something to look at
}

// put notes a question. It must be closed.
func (x *asked) put(id string) *question {
	q := &question{of: x, id: id, news: make(chan struct{}, 1)}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		q.err = hub.ErrClosed
	}
	if x.open == nil {
		x.open = make(map[string]*question)
	}
	x.open[id] = q
	return q
}

func (q *question) close() {
	q.of.mu.Lock()
	defer q.of.mu.Unlock()
	delete(q.of.open, q.id)
}

// answered takes an answer. What nobody asked for is dropped.
func (x *asked) answered(m *nodewire.Message) {
	x.mu.Lock()
	q := x.open[m.Request]
	x.mu.Unlock()
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes += weight(m); q.bytes > x.most {
		q.err = errTooMuch
	} else {
		q.answers = append(q.answers, m)
	}
	q.tell()
}

// weight is about how many bytes an answer holds.
func weight(m *nodewire.Message) int {
	n := 256 + len(m.Value.JSON())
	for _, d := range m.Sockets {
		n += 1024 + len(d.Data) + 32*len(d.Rooms)
	}
	return n
}

func (q *question) tell() {
	select {
	case q.news <- struct{}{}:
	default:
	}
}

// close ends all questions.
func (x *asked) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	for _, q := range x.open {
		q.fail(hub.ErrClosed)
	}
}

// fail ends the question.
func (q *question) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
	q.tell()
}

// next waits for an answer.
func (q *question) next(ctx context.Context) (*nodewire.Message, error) {
	for {
		q.mu.Lock()
		if len(q.answers) > 0 {
			m := q.answers[0]
			q.answers = q.answers[1:]
			q.bytes -= weight(m)
			q.mu.Unlock()
			return m, nil
		}
		err := q.err
		q.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-q.news:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// partial is the error of a question that so many servers have answered.
func (q *question) partial(answered int, why error) error {
	return &hub.PartialError{Err: fmt.Errorf("%d of %d servers: %w", answered, q.servers, why)}
}

// Ask implements [hub.Others]. A call is put at once, and not when its answers
// are wanted, for it has its place among the messages.
func (s *shared) Ask(ctx context.Context, q hub.Question) iter.Seq2[hub.Answer, error] {
	m := &nodewire.Message{Event: q.Event, Args: q.Args, Rooms: q.Rooms, Whole: q.Whole}
	m.To = nodewire.Target{Rooms: q.To.Rooms, Except: q.To.Except}
	switch q.Kind {
	case hub.AskJoin:
		m.Op = nodewire.Join
	case hub.AskLeave:
		m.Op = nodewire.Leave
	case hub.AskDismiss:
		m.Op = nodewire.Disconnect
	case hub.AskTell, hub.AskEvent:
		m.Op = nodewire.Emit
	case hub.AskDescribe, hub.AskCount:
		m.Op = nodewire.Fetch
	case hub.AskCall:
		m.Op, m.To.Flags.Timeout = nodewire.Broadcast, q.Wait
		return s.call(ctx, m)
	default: // of a later version of the hub
		return func(func(hub.Answer, error) bool) {}
	}
	return func(yield func(hub.Answer, error) bool) {
		if err := s.ask(ctx, q.Kind, m, yield); err != nil {
			yield(hub.Answer{}, err)
		}
	}
}

// call puts a call, and yields what comes of it.
func (s *shared) call(ctx context.Context, m *nodewire.Message) iter.Seq2[hub.Answer, error] {
	m.Request = newID()
	q := s.asked.put(m.Request)
	s.post(m, func(err error) {
		if err != nil {
			q.fail(err)
		}
	})
	return func(yield func(hub.Answer, error) bool) {
		defer q.close()
		servers, err := s.others(ctx)
		if q.servers = servers; err == nil {
			err = s.collectAll(ctx, q, yield)
		}
		if err != nil {
			yield(hub.Answer{}, err)
		}
	}
}

// ask says m, and yields the answers if the kind of question has any. It returns
// nil if nobody wants more.
func (s *shared) ask(ctx context.Context, kind hub.Kind, m *nodewire.Message, yield func(hub.Answer, error) bool) error {
	switch kind {
	case hub.AskJoin, hub.AskLeave, hub.AskDismiss, hub.AskTell:
		return s.say(ctx, m)
	}
	servers, err := s.others(ctx)
	if err != nil || servers == 0 {
		return err
	}
	m.Request = newID()
	q := s.asked.put(m.Request)
	defer q.close()
	q.servers = servers
	if err := s.say(ctx, m); err != nil {
		return err
	}
	return s.gather(ctx, kind, q, yield)
}

// say sends a message and returns when Redis has it.
func (s *shared) say(ctx context.Context, m *nodewire.Message) error {
	done := make(chan error, 1)
	s.post(m, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// post has a message sent and does not wait. sent may be nil, and must not wait.
func (s *shared) post(m *nodewire.Message, sent func(error)) {
	p, err := s.dialect.Encode(m)
	if s.over() {
		err = hub.ErrClosed
	}
	switch {
	case err == nil:
		s.cluster.out.post(p, sent)
	case sent != nil:
		sent(err)
	}
}

// others counts the other servers.
func (s *shared) others(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cluster.cfg.Timeout)
	defer cancel()
	from := s.dialect.Sources()
	count := s.cluster.client.PubSubNumSub
	if len(from.Shards) > 0 {
		count = s.cluster.client.PubSubShardNumSub
	}
	n, err := count(ctx, from.Counted).Result()
	if err != nil {
		return 0, fmt.Errorf("%w: count servers: %w", hub.ErrUnavailable, err)
	}
	return max(0, int(n[from.Counted])-1), nil
}

// gather yields one answer of each server, of as many as come in time.
func (s *shared) gather(ctx context.Context, kind hub.Kind, q *question, yield func(hub.Answer, error) bool) error {
	ctx, cancel := context.WithTimeout(ctx, s.cluster.cfg.Timeout)
	defer cancel()
	for got := 0; got < q.servers; got++ {
		m, err := q.next(ctx)
		if err != nil {
			return q.partial(got, err)
		}
		var a hub.Answer
		switch a.Node = m.From; kind {
		case hub.AskDescribe:
			a.Members = m.Sockets
		case hub.AskCount:
			a.Count = len(m.Sockets)
		default:
			a.Replied = true
			a.Args, err = packet.Marshal(m.Value)
		}
		if err == nil && !yield(a, nil) {
			return nil
		}
	}
	return nil
}

// collectAll yields how many members each server has asked, and their answers,
// until all have come. A server that ends before it has answered all is noticed by
// there being fewer.
func (s *shared) collectAll(ctx context.Context, q *question, yield func(hub.Answer, error) bool) error {
	counted, missing := 0, 0
	for counted < q.servers || missing > 0 {
		look, cancel := context.WithTimeout(ctx, s.cluster.cfg.Timeout)
		m, err := q.next(look)
		cancel()
		if err != nil {
			if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
				return q.partial(counted, err)
			}
			if counted < q.servers {
				return q.partial(counted, err)
			}
			if left, err := s.others(ctx); err == nil && left < q.servers {
				return q.partial(counted, errGone)
			}
			continue
		}
		a := hub.Answer{Node: m.From}
		switch m.Op {
		case nodewire.Count:
			counted++
			missing += m.Count
			a.Count = m.Count
		case nodewire.Ack:
			missing--
			a.Replied = true
			if a.Args, err = packet.Marshal(m.Value); err != nil {
				a.Args = packet.Args{}
			}
		default:
			continue
		}
		if !yield(a, nil) {
			return nil
		}
	}
	return nil
}
