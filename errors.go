package tutti

import (
	"errors"
	"fmt"

	"github.com/tutti-rt/tutti/engineio"
)

// Errors of sending and calling.
var (
	// ErrDisconnected means that the socket has left its namespace.
	ErrDisconnected = errors.New("tutti: socket disconnected")
	// ErrReserved means that an event's name belongs to the protocol:
	// connect, connect_error, disconnect, disconnecting, newListener and
	// removeListener.
	ErrReserved = errors.New("tutti: reserved event name")
	// ErrNoHandler is what middleware gets for an event that nobody handles.
	ErrNoHandler = errors.New("tutti: no handler")
	// ErrTooManyAttachments means that an event or answer has more binary values
	// than packet.Limits.MaxAttachments: a stock client would close the
	// connection.
	ErrTooManyAttachments = errors.New("tutti: too many attachments")
	// ErrTooManyCalls means that a socket owes as many answers as
	// [Config.MaxPendingCalls] allows.
	ErrTooManyCalls = errors.New("tutti: too many calls pending")
)

// A Refusal is an error in words for the peer. It is the only kind of error
// whose text a peer ever sees; any other reaches it as "internal error" and is
// written to the log. A guard that returns one refuses the connection with it;
// a handler that returns one answers with it, if an answer was asked for, as
// the object {"error": Message, "data": Data}.
type Refusal struct {
	Message string
	Data    any // encoded as JSON if not nil
}

func (r *Refusal) Error() string { return r.Message }

// internalError is what peers get to see of errors that are not for them.
const internalError = "internal error"

// errAway is what a peer hears that cannot come in because the engine of the
// cluster is away.
var errAway = &Refusal{
	Message: "the server cannot reach its engine: try again",
	Data:    overload{Code: "unavailable", Retry: 1000},
}

// refusalOf returns what a peer may know of err.
func refusalOf(err error) *Refusal {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	return &Refusal{Message: internalError}
}

// A MissingError says that not everybody who was asked has answered.
type MissingError struct {
	Asked, Answered int
	Err             error // why nobody waits longer: the context's error, or ErrDisconnected
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%d of %d sockets did not answer: %v", e.Asked-e.Answered, e.Asked, e.Err)
}

// Unwrap returns Err.
func (e *MissingError) Unwrap() error { return e.Err }

// A Reason says why a socket is gone, in the words that Socket.IO uses.
type Reason = engineio.Reason

// The reasons that concern a socket and not its session.
const (
	// ReasonClientDisconnect: the client left the namespace. Final.
	ReasonClientDisconnect Reason = "client namespace disconnect"
	// ReasonServerDisconnect: [Socket.Disconnect] was called. Final: a client
	// does not come back by itself.
	ReasonServerDisconnect Reason = "server namespace disconnect"
)
