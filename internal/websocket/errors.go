package websocket

import (
	"errors"
	"fmt"
)

// Close codes of RFC 6455, section 7.4.1, that this package and its users send
// or see.
const (
	CodeNormal      = 1000
	CodeGoingAway   = 1001
	CodeProtocol    = 1002 // the peer broke the protocol
	CodeUnsupported = 1003 // a kind of message the application does not take
	CodeNoStatus    = 1005 // never sent: the peer's close frame had no code
	CodeAbnormal    = 1006 // never sent: the connection ended without a close frame
	CodeInvalidData = 1007 // not UTF-8 in a text message, or bad deflate data
	CodePolicy      = 1008
	CodeTooBig      = 1009
	CodeInternal    = 1011
)

var (
	// ErrClosed is returned by Send after Close, Abort or the end of the
	// connection, and the reason to end if Close was it.
	ErrClosed = errors.New("websocket: connection closed")
	// ErrQueueFull is returned by Send when Options.MaxQueue bytes wait already.
	// Nothing of the call was queued; the connection goes on.
	ErrQueueFull = errors.New("websocket: too much waits to be written")
	// ErrTooSlow ends a connection that took not a byte for Options.WriteTimeout.
	ErrTooSlow = errors.New("websocket: peer reads too slowly")

	errPanic = errors.New("websocket: receiver panicked")
)

// CloseError is how the peer ended the connection, if Ended is told so: the code
// and reason of its close frame, CodeNoStatus if that had none, CodeAbnormal if
// there was no close frame. Returned by Receive it chooses what the close
// frame to the peer says; such a Reason is seen by the peer.
type CloseError struct {
	Code   int
	Reason string // at most 123 bytes of UTF-8
}

// Error returns the code and reason.
func (e *CloseError) Error() string {
	return fmt.Sprintf("websocket: closed with code %d %q", e.Code, e.Reason)
}

// ProtocolError is what the peer did wrong. The connection was failed with a
// close frame of Code and Reason.
type ProtocolError struct {
	Code   int
	Reason string
}

// Error returns the code and reason.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("websocket: peer failed with code %d: %s", e.Code, e.Reason)
}

func protocolError(code int, reason string) error {
	return &ProtocolError{Code: code, Reason: reason}
}
