package tutti

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// Emit sends an event to the socket's peer and to nobody else. A []byte among
// or within args travels as binary.
//
// In a namespace without memory it queues and does not wait, and the offset is
// empty: the message is not one of the namespace's. In one with memory the
// message goes on the tape, to be received later if the peer is away for a
// while; Emit returns when it is there.
func (s *Socket) Emit(event string, args ...any) (Offset, error) {
	m, err := s.link.server.newMessage(event, args)
	if err != nil {
		return "", err
	}
	return s.send(m)
}

// Volatile returns the socket as the receiver of events that are dropped if it
// cannot be written to at once.
func (s *Socket) Volatile() Emitter { return volatileSocket{s} }

type volatileSocket struct{ *Socket }

func (s volatileSocket) Emit(event string, args ...any) (Offset, error) {
	m, err := s.link.server.newMessage(event, args)
	if err != nil {
		return "", err
	}
	m.Volatile = true
	return s.send(m)
}

// send sends m to the peer. In a namespace with memory it is published to the
// room of the socket's own, which gives it its place among all messages there.
func (s *Socket) send(m *hub.Message) (Offset, error) {
	s.mu.Lock()
	kept := s.welcomed && s.left == ""
	s.mu.Unlock()
	if !kept {
		return "", s.deliver(m)
	}
	r, err := s.ns.space.Publish(context.Background(), m, hub.Address{Rooms: []string{s.ID()}})
	return r.Offset, err
}

// newMessage checks and encodes what an application emits.
func (srv *Server) newMessage(event string, args []any) (*hub.Message, error) {
	if packet.Reserved(event) {
		return nil, ErrReserved
	}
	encoded, err := srv.marshal(args)
	if err != nil {
		return nil, err
	}
	return &hub.Message{Event: event, Args: encoded}, nil
}

// marshal encodes arguments that clients of either format can read.
func (srv *Server) marshal(values []any) (Args, error) {
	args, err := packet.Marshal(values...)
	if limit := srv.cfg.Packets.MaxAttachments; err == nil && limit > 0 && args.Attachments() > limit {
		err = fmt.Errorf("%w: %d, the limit is %d", ErrTooManyAttachments, args.Attachments(), limit)
	}
	return args, err
}

// deliver sends m to this socket alone.
func (s *Socket) deliver(m *hub.Message) error {
	s.mu.Lock()
	left := s.left != ""
	s.mu.Unlock()
	if left {
		return ErrDisconnected
	}
	m.Namespace = s.name
	return s.write(m)
}

// Deliver implements [hub.Member].
func (s *Socket) Deliver(m *hub.Message) {
	if m.Call != nil && s.expect(m.Call) != nil {
		return
	}
	// A session that cannot take more closes itself, and says why.
	s.write(m)
}

func (s *Socket) write(m *hub.Message) error {
	if trace := s.link.server.cfg.Trace.EventSent; trace != nil {
		trace(s, m)
	}
	frames := framesOf(s.format, s.returns, m)
	if c := s.credit.Load(); c > 0 {
		size := 0
		for _, f := range frames {
			size += f.Len()
		}
		s.credit.Store(int32(max(int(c)-size, 0)))
	}
	if m.Volatile {
		if !s.link.session.SendVolatile(frames...) {
			s.drop(m)
		}
		return nil
	}
	if m.Crowd {
		return sendError(s.link.session.Post(frames...))
	}
	return sendError(s.link.session.Send(frames...))
}

// drop is what becomes of a volatile message that cannot leave at once: nobody
// waits for an answer to it.
func (s *Socket) drop(m *hub.Message) {
	if m.Call != nil && s.take(m.Call.ID) != nil {
		m.Call.Lost()
	}
}

// sendPacket sends a packet that is not an event. The namespace is filled in.
func (s *Socket) sendPacket(p *packet.Packet) error {
	p.Namespace = s.name
	frames := prepare(s.format, p, false)
	if s.mailbox.Behind() { // more answers may follow at once, and leave together with this one
		return sendError(s.link.session.Post(frames...))
	}
	return sendError(s.link.session.Send(frames...))
}

// sendError hides which way a session ended: to whoever sends, the socket is
// gone.
func sendError(err error) error {
	if err != nil {
		return ErrDisconnected
	}
	return nil
}

// receive puts an event into the mailbox. A socket whose handlers don't keep
// up is ended: its peer would otherwise decide how much memory it costs.
func (s *Socket) receive(p *packet.Packet) {
	m := &Message{Event: p.Event, Args: p.Args, socket: s, id: p.ID, asks: p.HasID}
	size := packetSize(p)
	s.link.owe(size)
	err := s.mailbox.Put(size, func() {
		defer s.link.owe(-size)
		s.handle(m)
	})
	if err != nil {
		s.link.owe(-size)
	}
	if err != nil && !s.hasLeft() {
		s.link.limitHit("inbox")
		s.link.server.log.Warn("handlers too slow: inbox full", keySocket, s, keyEvent, m.Event)
		s.link.session.Close(engineio.ReasonForcedServerClose)
	}
}

// messageOverhead is what an event that waits keeps in memory besides its bytes
// and its place in the mailbox. Without it a full inbox of tiny events held
// twice what it may.
const messageOverhead = 96

// packetSize is what a packet that waits keeps in memory.
func packetSize(p *packet.Packet) int {
	return p.Args.Size() + len(p.Data) + len(p.Event) + len(p.Namespace) + messageOverhead
}

func (s *Socket) hasLeft() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left != ""
}

// handle runs the handler of an event and sees to it that the peer is
// answered if it asked.
func (s *Socket) handle(m *Message) {
	if !s.greeted {
		return // it was refused while this event was on its way
	}
	ns := s.Namespace()
	seen := m.forTraces()
	if trace := s.link.server.cfg.Trace.EventReceived; trace != nil {
		trace(s, seen)
	}
	handled := s.link.server.cfg.Trace.EventHandled
	var began time.Time
	if handled != nil {
		began = time.Now()
	}
	err := s.protect("handler", func() error { return s.serve(ns, m) })
	if handled != nil {
		handled(s, seen, time.Since(began))
	}
	switch {
	case errors.Is(err, ErrNoHandler):
		return
	case err == nil:
		m.reply(Args{}) // unless the handler has
		return
	case errors.Is(err, ErrDisconnected):
		return // mostly itself: then nobody is left to be answered, and who leaves must not fill our log
	}
	refusal := refusalOf(err)
	if refusal.Message == internalError && !errors.Is(err, errPanic) {
		s.link.server.log.Error("handle event", keySocket, s, keyEvent, m.Event, keyErr, err)
	}
	answer := map[string]any{"error": refusal.Message}
	if refusal.Data != nil {
		answer["data"] = refusal.Data
	}
	if m.Reply(answer) != nil {
		m.Reply(map[string]string{"error": refusal.Message})
	}
}

// serve has an event handled, if its sender is still who it was.
func (s *Socket) serve(ns *Namespace, m *Message) error {
	if s.link.server.cfg.Auth != nil {
		if m.Event == string(AuthEvent) {
			return s.showToken(s.ctx, m)
		}
		if s.Identity().Expired(time.Now()) {
			return m.Reply(lapsed)
		}
	}
	return ns.rules.load().serve(s.ctx, 0, s, m)
}

// connectError refuses a CONNECT. A Socket.IO 2 client gets the message bare,
// or the data instead of it, which is all that it hands on.
func connectError(protocol int, r *Refusal) *packet.Packet {
	p := &packet.Packet{Type: packet.ConnectError}
	var v any = struct {
		Data    any    `json:"data,omitempty"`
		Message string `json:"message"`
	}{r.Data, r.Message}
	if protocol == 3 {
		if v = r.Data; v == nil {
			v = r.Message
		}
	}
	data, err := json.Marshal(v)
	if err != nil { // the application's data is not JSON
		data, _ = json.Marshal(map[string]string{"message": r.Message})
	}
	p.Data = data
	return p
}
