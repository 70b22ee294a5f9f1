package engineio

import (
	"encoding/base64"
	"sync/atomic"

	"github.com/tutti-rt/tutti/internal/limit"
	"github.com/tutti-rt/tutti/internal/websocket"
)

// Message is what a session carries: a text or bytes.
type Message struct {
	Data   []byte
	Binary bool
}

// Frame is a message made ready to be sent, to any number of sessions. What each protocol revision and transport
// writes is made when the first session needs it, and once. A Frame is immutable and safe for concurrent use.
type Frame struct {
	// packet is the type of the packet and its data. For text it is what both revisions write, '4' and the text;
	// for bytes what revision 3 writes, 0x04 and the bytes.
	packet     []byte
	shared     limit.Shared
	binary     bool
	compress   bool
	base64     [2]atomic.Pointer[[]byte]          // binary only: the packet as text, for revisions 4 and 3
	webSockets [4]atomic.Pointer[websocket.Frame] // by form: see webSocket
}

// Prepare makes m ready to be sent. It copies m.Data.
func Prepare(m Message) *Frame { return prepare(m, true) }

// PrepareUncompressed is Prepare for a message that is never compressed, because it is already or holds a secret beside
// what an attacker can choose.
func PrepareUncompressed(m Message) *Frame { return prepare(m, false) }

func prepare(m Message, compress bool) *Frame {
	packet := make([]byte, 1+len(m.Data))
	packet[0] = packetMessage
	if m.Binary {
		packet[0] = packetMessage - '0'
	}
	copy(packet[1:], m.Data)
	return &Frame{packet: packet, binary: m.Binary, compress: compress}
}

// control returns the frame of a packet that is not a message.
func control(packet string) *Frame {
	return &Frame{packet: []byte(packet)}
}

// Len returns the size of the message in bytes.
func (f *Frame) Len() int { return len(f.packet) - 1 }

// kind returns the type of the packet.
func (f *Frame) kind() byte {
	if f.binary {
		return packetMessage
	}
	return f.packet[0]
}

// text returns the packet in the form of transports that only carry text, which for bytes is base64.
func (f *Frame) text(protocol int) []byte {
	if !f.binary {
		return f.packet
	}
	prefix, cache := "b", &f.base64[0]
	if protocol == 3 {
		prefix, cache = "b4", &f.base64[1]
	}
	return *lazy(cache, func() *[]byte {
		data := f.packet[1:]
		b := make([]byte, 0, len(prefix)+base64.StdEncoding.EncodedLen(len(data)))
		b = base64.StdEncoding.AppendEncode(append(b, prefix...), data)
		return &b
	})
}

// textLen returns len(f.text(protocol)) without making it.
func (f *Frame) textLen(protocol int) int {
	switch {
	case !f.binary:
		return len(f.packet)
	case protocol == 3:
		return 2 + base64.StdEncoding.EncodedLen(f.Len())
	default:
		return 1 + base64.StdEncoding.EncodedLen(f.Len())
	}
}

// webSocket returns the packet as a WebSocket frame, for a peer that takes binary frames or only text.
func (f *Frame) webSocket(protocol int, onlyText bool) *websocket.Frame {
	form := 0
	if f.binary && protocol == 3 {
		form++
	}
	if f.binary && onlyText {
		form += 2
	}
	return lazy(&f.webSockets[form], func() *websocket.Frame {
		payload, binary := f.packet, f.binary
		switch {
		case onlyText && binary:
			payload, binary = f.text(protocol), false
		case binary && protocol == 4:
			payload = f.packet[1:] // "binary frames are bare message payloads"
		}
		if f.compress {
			return websocket.Prepare(payload, binary)
		}
		return websocket.PrepareUncompressed(payload, binary)
	})
}

// lazy returns what p points to and makes it first if nobody has. Two goroutines may both make it; one result stays.
func lazy[T any](p *atomic.Pointer[T], mk func() *T) *T {
	if v := p.Load(); v != nil {
		return v
	}
	if v := mk(); p.CompareAndSwap(nil, v) {
		return v
	}
	return p.Load()
}

// The types of packets, as they stand at the beginning of a packet.
const (
	packetOpen    = '0'
	packetClose   = '1'
	packetPing    = '2'
	packetPong    = '3'
	packetMessage = '4'
	packetUpgrade = '5'
	packetNoop    = '6'
)

// The packets that are always the same.
var (
	frameClose = control("1")
	framePing  = control("2")
	framePong  = control("3")
	frameProbe = control("3probe")
	frameNoop  = control("6")
)

func (f *Frame) isBinary() bool    { return f.binary }
func (f *Frame) mayCompress() bool { return f.compress }
