package nodehub

import (
	"context"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/redishub/nodewire"
	"github.com/tutti-rt/tutti/packet"
)

// How long answers to a call are collected for who does not say how long it
// waits, and at most.
const (
	usualWait   = time.Minute
	longestWait = time.Hour
)

// take does what another server says. It runs in the inbox.
func (s *shared) take(m *nodewire.Message) {
	to := m.To.Address()
	switch m.Op {
	case nodewire.Broadcast:
		s.broadcast(m, to)
	case nodewire.Join:
		s.done(m, to)
		// Who would be in too many rooms stays out, and nobody is waiting to hear.
		_ = s.space.Join(to, m.Rooms...)
	case nodewire.Leave:
		s.done(m, to)
		s.space.Leave(to, m.Rooms...)
	case nodewire.Disconnect:
		s.done(m, to)
		_ = s.space.Dismiss(s.ctx, to, m.Whole) // those here: nothing can fail
	case nodewire.Fetch:
		s.answer(m, &nodewire.Message{Op: nodewire.Fetched, Sockets: s.described(to)})
	case nodewire.IDs:
		ids := []string{}
		for _, d := range s.described(to) {
			ids = append(ids, d.ID)
		}
		s.answer(m, &nodewire.Message{Op: nodewire.Fetched, Whole: true, Rooms: ids})
	case nodewire.AllRooms:
		s.answer(m, &nodewire.Message{Op: nodewire.Fetched, Rooms: s.space.Rooms()})
	case nodewire.Emit:
		s.event(m)
	case nodewire.Fetched, nodewire.Count, nodewire.Ack, nodewire.Emitted:
		s.asked.answered(m)
	}
}

// answer answers a question.
func (s *shared) answer(q, a *nodewire.Message) {
	if q.Request == "" {
		return
	}
	a.Request, a.To.Socket = q.Request, q.From
	s.post(a, nil) // what cannot be sent is missed by who asked
}

// done tells servers of old that their one socket is here. It is said before it
// is done, for a socket that leaves could not be found any more.
func (s *shared) done(m *nodewire.Message, to hub.Address) {
	if m.To.Socket != "" && m.Request != "" && s.space.Count(m.To.Socket) > 0 {
		s.answer(m, &nodewire.Message{Op: nodewire.Done})
	}
}

// described are the descriptions of those here; not nil.
func (s *shared) described(to hub.Address) []hub.Description {
	list := []hub.Description{}
	for _, m := range s.space.Members(to) {
		if d, ok := m.(hub.Described); ok {
			list = append(list, d.Describe())
		}
	}
	return list
}

// broadcast hands on an event, and collects answers if they are wanted.
func (s *shared) broadcast(in *nodewire.Message, to hub.Address) {
	if packet.Reserved(in.Event) {
		s.cluster.ignored()
		return
	}
	m := &hub.Message{Event: in.Event, Args: in.Args, Volatile: in.To.Flags.Volatile, Uncompressed: in.To.Flags.Uncompressed}
	if in.Request == "" {
		_, _ = s.space.Publish(s.ctx, m, to) // it fails only when the space ends
		return
	}
	asked := 0
	if s.begin() {
		m.Call = hub.NewCall()
		if _, err := s.space.Publish(s.ctx, m, to); err == nil {
			asked, _ = m.Call.Counts()
		}
	}
	s.answer(in, &nodewire.Message{Op: nodewire.Count, Count: asked})
	if m.Call == nil {
		return
	}
	if asked == 0 {
		m.Call.Close()
		<-s.serving
		return
	}
	// Started by a call of another server, ended with the last answer, or the
	// time it waits, waited for by Close.
	s.running.Go(func() {
		defer func() { <-s.serving }()
		defer m.Call.Close()
		s.collect(in, m.Call)
	})
}

// begin says whether one more call or event can be handled.
func (s *shared) begin() bool {
	select {
	case s.serving <- struct{}{}:
		return true
	default:
		s.cluster.dropped()
		return false
	}
}

func (s *shared) collect(in *nodewire.Message, call *hub.Call) {
	wait := in.To.Flags.Timeout
	if wait <= 0 {
		wait = usualWait
	}
	ctx, cancel := context.WithTimeout(s.ctx, min(wait, longestWait))
	defer cancel()
	for {
		args, ok, _ := call.Next(ctx)
		if !ok {
			return
		}
		s.answer(in, &nodewire.Message{Op: nodewire.Ack, Value: first(args)})
	}
}

// first is the one value that Node's servers take for an answer.
func first(args packet.Args) packet.Arg {
	if args.Len() == 0 {
		return packet.Arg{}
	}
	return args.At(0)
}

// event has the application take an event. Without a handler there is no answer,
// as with Node's servers.
func (s *shared) event(m *nodewire.Message) {
	if !s.begin() {
		return
	}
	// Started by an event of another server, ended with its handler, whose
	// context ends with Close, which waits.
	s.running.Go(func() {
		defer func() { <-s.serving }()
		ctx, cancel := context.WithTimeout(s.ctx, s.cluster.cfg.Timeout)
		defer cancel()
		args, err := s.space.TakeEvent(ctx, m.From, m.Event, m.Args)
		if err == nil {
			s.answer(m, &nodewire.Message{Op: nodewire.Emitted, Value: first(args)})
		}
	})
}
