package packet

import "strconv"

// Type is what a packet is for. BINARY_EVENT and BINARY_ACK of the protocol
// exist only on the wire: here they are an [Event] and an [Ack] whose [Args]
// hold attachments.
type Type uint8

// The packet types, numbered as on the wire.
const (
	Connect Type = iota
	Disconnect
	Event
	Ack
	ConnectError
)

// String returns the protocol's name of t, for logs and test failures.
func (t Type) String() string {
	switch t {
	case Connect:
		return "CONNECT"
	case Disconnect:
		return "DISCONNECT"
	case Event:
		return "EVENT"
	case Ack:
		return "ACK"
	case ConnectError:
		return "CONNECT_ERROR"
	}
	return "Type(" + strconv.Itoa(int(t)) + ")"
}

// MaxID is the largest ack id, 2^53-1: the largest integer a JavaScript peer
// can count to without skipping one.
const MaxID = 1<<53 - 1

// Packet is one Socket.IO packet, whole: after a [Decoder] has reassembled it,
// or before a [Format] has encoded it. A Packet is a plain value; whoever
// shares one between goroutines does not write to it.
type Packet struct {
	Type Type

	// Namespace begins with "/"; "/" is the main one. It is never "" after
	// decoding, and Encode takes "" as "/".
	Namespace string

	// Query is what followed "?" in the namespace of a Connect, without the
	// "?": how clients of Socket.IO 2 send credentials. Else "".
	Query string

	// HasID says that the sender wants (Event) or gives (Ack) an
	// acknowledgement, and that ID is valid.
	HasID bool
	ID    uint64 // at most MaxID

	// Event is the name, of an Event only. A peer may use a number as name;
	// its decimal text is kept, as JavaScript does for a property name.
	Event string

	// Args are what follows the name, or the values of an Ack.
	Args Args

	// Data is the payload of a Connect or a ConnectError: one JSON value
	// without white space between its tokens, or nil. It is not to be modified.
	Data []byte
}

// Reserved tells whether event is a name that only the two libraries
// themselves may raise. A peer that sends one is cut off, as the reference
// implementation does, and Encode refuses to send one.
func Reserved(event string) bool {
	switch event {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}
