package engineio

import "errors"

var (
	// ErrClosed is returned by [Session.Send] once the session is closing or closed.
	ErrClosed = errors.New("engineio: session closed")
	// ErrTooSlow is returned by [Session.Send], and given to [Receiver.Closed], when more than [Config.MaxQueue] bytes
	// would wait for the peer. The session is closed: a peer that misses a message must not believe it missed none.
	ErrTooSlow = errors.New("engineio: peer too slow, queue full")
)

// Code is the number of an answer that refuses a request, as the protocol's clients know it.
type Code int

const (
	// CodeTransportUnknown: no such transport, or it is not served here.
	CodeTransportUnknown Code = iota
	// CodeSessionUnknown: no session has this id. Behind a load balancer it usually means a missing sticky session.
	CodeSessionUnknown
	// CodeBadMethod: a handshake that is not a GET.
	CodeBadMethod
	// CodeBadRequest: anything else that is wrong with the request.
	CodeBadRequest
	// CodeForbidden: refused by [Config.Allow] or because of its Origin.
	CodeForbidden
	// CodeUnsupportedVersion: the protocol revision is not served here.
	CodeUnsupportedVersion
)

var codeTexts = [...]string{
	CodeTransportUnknown:   "Transport unknown",
	CodeSessionUnknown:     "Session ID unknown",
	CodeBadMethod:          "Bad handshake method",
	CodeBadRequest:         "Bad request",
	CodeForbidden:          "Forbidden",
	CodeUnsupportedVersion: "Unsupported protocol version",
}

// String returns the text that goes to the client with the code.
func (c Code) String() string {
	if c < 0 || int(c) >= len(codeTexts) {
		return "Unknown"
	}
	return codeTexts[c]
}

// Refusal is the only kind of error whose words reach a peer: [Config.Allow] returns one (it may be wrapped) to say why
// a handshake is refused. Any other error is answered as "Forbidden" and logged.
type Refusal struct {
	Message string
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

// fault ends a session: the reason that its receiver sees, with the cause.
type fault struct {
	reason Reason
	err    error
}

func (f *fault) Error() string { return string(f.reason) + ": " + f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// broken returns the fault of a peer that does not keep to the protocol.
func broken(text string) *fault { return &fault{ReasonTransportError, errors.New(text)} }

// unparsable returns the fault of a peer that sent something that is no packet.
func unparsable(err error) *fault { return &fault{ReasonParseError, err} }
