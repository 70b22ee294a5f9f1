package packet

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Frame is one Engine.IO message: text, or binary data. It travels in order
// and unchanged; several frames of one packet must not be interleaved with
// those of another.
type Frame struct {
	Data   []byte
	Binary bool
}

// Format is one of the ways to write packets. Both ends of a session use the
// same one; the client chooses.
type Format uint8

const (
	// JSON is what every stock client speaks: a text frame, and a binary frame
	// for every attachment. Socket.IO 2 clients read it too.
	JSON Format = iota

	// MessagePack is the form of socket.io-msgpack-parser: one binary frame.
	MessagePack
)

// String returns the name of f, for logs and metrics.
func (f Format) String() string {
	if f == MessagePack {
		return "msgpack"
	}
	return "json"
}

// Errors of Encode.
var (
	errNamespace = errors.New("packet: namespace must begin with / and have no comma or question mark")
	errType      = errors.New("packet: unknown type")
	errID        = errors.New("packet: ack id over 2^53-1")
	errData      = errors.New("packet: data is not valid JSON")
)

// Encode writes p. The frames are to be sent in order, and they share the
// memory of p's attachments: their data must not be modified. What no peer
// could read is an error: a namespace with a comma, a [Reserved] event name,
// data that is not JSON. Encode does not change p and is safe for concurrent
// use.
func (f Format) Encode(p *Packet) ([]Frame, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if f == MessagePack {
		return []Frame{{Data: appendMessagePack(make([]byte, 0, p.sizeHint()), p), Binary: true}}, nil
	}
	frames := make([]Frame, 1, 1+len(p.Args.attachments))
	if p.carriesArgs() {
		for _, data := range p.Args.attachments {
			frames = append(frames, Frame{Data: data, Binary: true})
		}
	}
	frames[0].Data = appendHeader(make([]byte, 0, p.sizeHint()), p)
	return frames, nil
}

func (p *Packet) check() error {
	switch {
	case p.Type > ConnectError:
		return fmt.Errorf("%w %d", errType, p.Type)
	case p.Namespace != "" && (p.Namespace[0] != '/' || strings.ContainsAny(p.Namespace, ",?")):
		return fmt.Errorf("%w: %q", errNamespace, p.Namespace)
	case p.Type == Connect && strings.Contains(p.Query, ","):
		return fmt.Errorf("%w: query %q", errNamespace, p.Query)
	case p.HasID && p.ID > MaxID:
		return errID
	case p.Type == Event && Reserved(p.Event):
		return fmt.Errorf("packet: event name %q is reserved", p.Event)
	case p.carriesData() && !(&scanner{text: p.Data, limit: hardDepth}).one():
		return errData
	}
	return nil
}

func (p *Packet) carriesArgs() bool { return p.Type == Event || p.Type == Ack }

func (p *Packet) carriesData() bool {
	return (p.Type == Connect || p.Type == ConnectError) && len(p.Data) > 0
}

// sizeHint is about the length of the text frame: a little over it if the
// event name needs no escaping.
func (p *Packet) sizeHint() int {
	const digitsAndBrackets = 32
	return digitsAndBrackets + len(p.Namespace) + len(p.Query) + len(p.Event) + len(p.Args.elements) + len(p.Data)
}

// fullNamespace is the namespace as it stands on the wire, "" for the main one.
func (p *Packet) fullNamespace() string {
	switch {
	case p.Type == Connect && p.Query != "":
		return orMain(p.Namespace) + "?" + p.Query
	case p.Namespace == "/":
		return ""
	}
	return p.Namespace
}

func orMain(namespace string) string {
	if namespace == "" {
		return "/"
	}
	return namespace
}

// wireBinary is how far the type digits of BINARY_EVENT and BINARY_ACK are
// from those of EVENT and ACK.
const wireBinary = 3

// appendHeader appends the text frame:
// <type>[<attachments>-][<namespace>,][<id>][<payload>].
func appendHeader(dst []byte, p *Packet) []byte {
	if n := len(p.Args.attachments); n > 0 && p.carriesArgs() {
		dst = append(dst, '0'+byte(p.Type)+wireBinary)
		dst = strconv.AppendInt(dst, int64(n), 10)
		dst = append(dst, '-')
	} else {
		dst = append(dst, '0'+byte(p.Type))
	}
	if namespace := p.fullNamespace(); namespace != "" {
		dst = append(dst, namespace...)
		dst = append(dst, ',')
	}
	if p.HasID {
		dst = strconv.AppendUint(dst, p.ID, 10)
	}
	switch {
	case p.Type == Event:
		dst = append(dst, '[')
		dst = appendQuoted(dst, p.Event)
		if p.Args.count > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, p.Args.elements...)
		dst = append(dst, ']')
	case p.Type == Ack:
		dst = append(dst, '[')
		dst = append(dst, p.Args.elements...)
		dst = append(dst, ']')
	case p.carriesData():
		dst = append(dst, p.Data...)
	}
	return dst
}
