package engineio

// Acceptor is told about new sessions.
type Acceptor interface {
	// Accept is called once for every session, before its first message, and returns who receives its messages. What it
	// sends follows the handshake. It must not wait. It may be called for several sessions at the same time.
	Accept(s *Session) Receiver
}

// Receiver takes what a session's peer sends. The methods are never called concurrently, and no lock is held.
type Receiver interface {
	// Receive takes the next message. Its Data is valid only during the call. It must not wait: the session reads
	// nothing else meanwhile.
	Receive(m Message)
	// Closed says that the session takes no more messages in either direction. It is called exactly once, last, after
	// the final Receive has returned, and never from within a method of the session. err is the cause where there is
	// one to tell.
	Closed(reason Reason, err error)
}

// Session is one peer's connection, whatever transport carries it. All methods are safe for concurrent use, also from
// within the Receiver.
type Session struct {
	id string
}

// ID returns the id of the session. It is a secret: who knows it can act as the peer.
func (s *Session) ID() string { return s.id }

// Protocol returns the revision of the protocol that the peer speaks, 3 or 4.
func (s *Session) Protocol() int { return 4 }

// Transport returns the name of the transport in use, "polling" or "websocket".
func (s *Session) Transport() string { return "" }

// Request returns what is known of the request that opened the session.
func (s *Session) Request() *RequestInfo { return nil }

// Confirm tells that the layer above wants the session; without it the session ends after [Config.ConfirmTimeout].
func (s *Session) Confirm() {}

// Send sends frames, in order and with nothing between them. It never waits. It returns [ErrClosed] if the session is
// closing or closed, and [ErrTooSlow] if the peer is too slow, in which case the session is now closed.
func (s *Session) Send(frames ...*Frame) error { return nil }

// SendVolatile sends frames if they can leave now, and reports whether it did. What is sent while the peer is not
// ready to take it is dropped.
func (s *Session) SendVolatile(frames ...*Frame) bool { return false }

// Close ends the session for reason after what was sent before has left, or after 30 s. It returns at once. The peer
// is not heard any more.
func (s *Session) Close(reason Reason) {}

// Abort ends the session for reason now. What has not left is dropped.
func (s *Session) Abort(reason Reason) {}
