package engineio

import (
	"errors"

	"github.com/tutti-rt/tutti/internal/websocket"
)

// wsTransport is a session on a WebSocket. One goroutine reads, in run; writing is up to the connection.
type wsTransport struct {
	s     *Session
	conn  *websocket.Conn
	probe *upgrade // until the session has moved here; only read and written by the reader
}

func (t *wsTransport) name() string { return webSocket }

func (t *wsTransport) send(f *Frame) error {
	frame := f.webSocket(int(t.s.protocol), t.s.onlyText)
	var err error
	if f == framePing {
		err = t.conn.SendNotify(frame, t.s.pingLeft)
	} else {
		err = t.conn.Send(frame)
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

func (t *wsTransport) ready() bool { return t.conn.Queued() == 0 }

func (t *wsTransport) backlog() int { return t.conn.Queued() }

func (t *wsTransport) whenDrained() bool { return t.conn.OnDrained(t.s.fireDrained) }

func (t *wsTransport) end(how ending) (over bool) {
	if how == endCut {
		t.conn.Abort(nil)
		return true
	}
	t.conn.Close(websocket.CodeNormal, "")
	return how != endFlush
}

// run reads until the connection has ended. It is the goroutine of the session.
func (t *wsTransport) run() {
	defer t.s.srv.leaveConn(t.conn)
	err := t.conn.Run(t.receive)
	if t.probe != nil {
		t.s.probeEnded(t.probe)
	} else {
		t.s.fail(t.s.srv.lost(err))
	}
	<-t.conn.Done()
}

// lost returns the fault of a connection that has ended with err.
func (srv *Server) lost(err error) *fault {
	var wrong *websocket.ProtocolError
	switch {
	case errors.As(err, &wrong):
		if wrong.Code == websocket.CodeTooBig {
			srv.trace.limit("MaxPayload")
		}
	case errors.Is(err, websocket.ErrTooSlow):
		srv.trace.limit("WriteTimeout")
	default:
		return &fault{ReasonTransportClose, err}
	}
	return &fault{ReasonTransportError, err}
}

// receive takes a WebSocket message, which is one packet.
func (t *wsTransport) receive(data []byte, binary bool) error {
	p, err := t.parse(data, binary)
	switch {
	case t.probe != nil:
		if t.s.onProbe(t, p, err) {
			t.probe = nil
		}
		return nil
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
