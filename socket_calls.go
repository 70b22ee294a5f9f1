package tutti

import (
	"context"

	"github.com/tutti-rt/tutti/hub"
)

// Call sends an event to the socket's peer and waits for its answer. It may be
// called from a handler of the same socket. The error is the context's if that
// ends first, and [ErrDisconnected] if the socket leaves.
func (s *Socket) Call(ctx context.Context, event string, args ...any) (Args, error) {
	m, err := s.link.server.newMessage(event, args)
	if err != nil {
		return Args{}, err
	}
	ns := s.Namespace()
	if ns == nil {
		return Args{}, ErrDisconnected
	}
	m.Call = hub.NewCall()
	m.Call.ID = ns.space.NextCall()
	defer m.Call.Close()
	if err := s.expect(m.Call); err != nil {
		return Args{}, err
	}
	if err := s.deliver(m); err != nil {
		return Args{}, err
	}
	answer, ok, err := m.Call.Next(ctx)
	if err == nil && !ok {
		err = ErrDisconnected
	}
	return answer, err
}

// expect notes that the peer owes an answer.
func (s *Socket) expect(c *hub.Call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.left != "":
		return ErrDisconnected
	case len(s.calls) >= s.link.server.cfg.MaxPendingCalls:
		s.link.limitHit("pending calls")
		return ErrTooManyCalls
	}
	if s.calls == nil {
		s.calls = make(map[uint64]*hub.Call)
	}
	s.calls[c.ID] = c
	c.Ask(s)
	return nil
}

// resolve hands in an answer, and says whether it answers a call that waits for
// it. Such an answer costs the peer nothing: we have asked for it.
func (s *Socket) resolve(id uint64, args Args) bool {
	c := s.take(id)
	if c == nil {
		return false
	}
	c.Answer(args)
	return true
}

// take returns the call of that number that the peer owes an answer to, nil if
// there is none, and it owes it no longer.
func (s *Socket) take(id uint64) *hub.Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[id]
	delete(s.calls, id)
	return c
}

// Forget implements [hub.Answerer].
func (s *Socket) Forget(c *hub.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, c.ID)
}
