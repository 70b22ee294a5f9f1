package engineio

import (
	"errors"

	"github.com/tutti-rt/tutti/internal/websocket"
)

// wsTransport is a session on a WebSocket.
type wsTransport struct {
	attached
	s     *Session
	probe *upgrade // until the session has moved here; only read and written by Receive and Ended
}

var _ websocket.Receiver = (*wsTransport)(nil)

func (t *wsTransport) name() string { return webSocket }

func (t *wsTransport) send(f *Frame, later bool) error {
	frame := f.webSocket(int(t.s.protocol), t.s.onlyText)
	var err error
	switch {
	case f == framePing:
		err = t.conn.SendNotify(frame, t.s.pingLeft)
	case later:
		err = t.conn.Post(frame)
	default:
		err = t.conn.Queue(frame)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, websocket.ErrQueueFull):
		return ErrTooSlow
	default:
		return ErrClosed // its reader is about to say why
	}
}

func (t *wsTransport) flush() { t.conn.Flush() }

func (t *wsTransport) ready() bool { return t.conn.Ready() }

func (t *wsTransport) backlog() int { return t.conn.Queued() }

func (t *wsTransport) whenDrained() bool { return t.conn.OnDrained(t.s.fireDrained) }

func (t *wsTransport) end(how ending) (over bool) {
	if how == endCut {
		t.conn.Abort(nil)
		return true
	}
	code, words := websocket.CodeNormal, ""
	if c := t.s.closing; c != nil && c.words != "" {
		code, words = websocket.CodePolicy, c.words
	}
	t.conn.Close(code, words)
	return how != endFlush
}

// start begins to read. Shutdown waits for the end.
func (t *wsTransport) start() {
	t.s.srv.tasks.enter()
	t.conn.Start(t)
}

// Ended implements [websocket.Receiver].
func (t *wsTransport) Ended(err error) {
	if t.probe != nil {
		t.s.probeEnded(t.probe)
	} else {
		t.s.fail(t.s.lost(err))
	}
}

// Gone implements [websocket.Receiver].
func (t *wsTransport) Gone() {
	t.s.srv.detach(&t.attached)
	t.s.srv.tasks.leave()
}

// unwanted is a WebSocket that its session cannot move to.
type unwanted wsTransport

func (*unwanted) Receive([]byte, bool) error { return nil }
func (*unwanted) Ended(error)                {}

// Gone implements [websocket.Receiver].
func (u *unwanted) Gone() { (*wsTransport)(u).Gone() }

// lost returns the fault of the session's connection, which has ended with err.
func (s *Session) lost(err error) *fault {
	var wrong *websocket.ProtocolError
	switch {
	case errors.As(err, &wrong):
		if wrong.Code == websocket.CodeTooBig {
			s.srv.trace.limit("MaxPayload", s.peer)
		}
	case errors.Is(err, websocket.ErrTooSlow):
		s.srv.trace.limit("WriteTimeout", s.peer)
	default:
		return &fault{ReasonTransportClose, err}
	}
	return &fault{ReasonTransportError, err}
}

// Receive implements [websocket.Receiver]: a WebSocket message is one packet.
func (t *wsTransport) Receive(data []byte, binary bool) error {
	p, err := t.parse(data, binary)
	switch {
	case t.probe != nil:
		return t.s.onProbe(t, p, err)
	case err != nil:
		err = unparsable(err)
	default:
		err = t.s.handle(t, p)
	}
	if err != nil {
		t.s.fail(err) // which closes the connection too
	}
	return nil
}

func (t *wsTransport) parse(data []byte, binary bool) (packet, error) {
	switch {
	case !binary:
		return parsePacket(int(t.s.protocol), data)
	case t.s.protocol == 3:
		return parseTyped(data)
	default:
		return packet{kind: packetMessage, data: data, binary: true}, nil
	}
}
