package engineio

// What the tests of the codecs need to see.

// Decode hands the packets of a payload to handle as their type, data and whether that is binary.
func Decode(protocol int, binary bool, body []byte, limit int, handle func(kind byte, data []byte, binary bool)) error {
	h := func(p packet) error {
		handle(p.kind, p.data, p.binary)
		return nil
	}
	switch {
	case protocol == 4:
		return decodePayload(body, limit, h)
	case binary:
		return decodeBinaryPayloadV3(body, limit, h)
	default:
		return decodePayloadV3(body, limit, h)
	}
}

// Encode returns frames as a payload.
func Encode(protocol int, binary bool, frames []*Frame) []byte {
	switch {
	case protocol == 4:
		return appendPayload(nil, frames)
	case binary:
		return appendBinaryPayloadV3(nil, frames)
	default:
		return appendPayloadV3(nil, frames)
	}
}

// Query is a query as it was read.
type Query = struct {
	Protocol                 int
	Transport, SID, Callback string
	JSONP, Base64            bool
}

// ParseQuery reads a query.
func ParseQuery(raw string) Query {
	q := parseQuery(raw)
	return Query{q.protocol, q.transport, q.sid, q.callback, q.jsonp, q.base64}
}

// WebSocket returns the form of f for a WebSocket, as something to compare.
func (f *Frame) WebSocket(protocol int, onlyText bool) interface{ Len() int } {
	return f.webSocket(protocol, onlyText)
}

// Text returns the form of f for transports that carry text.
func (f *Frame) Text(protocol int) []byte { return f.text(protocol) }

// TextLen returns what should be the length of Text.
func (f *Frame) TextLen(protocol int) int { return f.textLen(protocol) }

// OnRelease has f called instead of giving memory back, in two steps.
func (srv *Server) OnRelease(f func()) { srv.releaser.steps = [...]func(){f, f} }

// ReleaseFrom is how many sessions must have come or gone.
const ReleaseFrom = releaseFrom
