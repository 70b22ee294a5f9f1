package websocket

import (
	"encoding/binary"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/tutti-rt/tutti/internal/limit"
)

const (
	finBit  = 0x80
	rsv1Bit = 0x40 // "this message is deflated", RFC 7692 section 6

	maxServerHeader = 10 // without a mask
	maxControl      = 125
)

// Frame is a message made ready to be written: header and payload in one slice
// that is never changed again. It may be sent on any number of connections,
// concurrently, and all of them write the very same bytes.
type Frame struct {
	data   []byte // as written, unmasked
	head   int    // bytes of header in data
	plain  bool   // never deflate
	shared limit.Shared
	shrink sync.Once
	shrunk []byte // the deflated form as written, nil if it is not smaller
}

// Prepare makes a frame of one message. Connections that negotiated
// permessage-deflate write it deflated if it is long enough; that form is made
// by the first that needs it. The payload is copied; of a text message it must
// be UTF-8.
func Prepare(payload []byte, binary bool) *Frame {
	return &Frame{data: appendFrame(nil, opcode(binary), payload), head: headerLen(len(payload))}
}

// PrepareUncompressed is [Prepare] for payloads not worth deflating, such as
// images, or dangerous to deflate, such as secrets beside a peer's text.
func PrepareUncompressed(payload []byte, binary bool) *Frame {
	f := Prepare(payload, binary)
	f.plain = true
	return f
}

// Len returns the size of the frame on the wire, not deflated, in bytes.
func (f *Frame) Len() int { return len(f.data) }

// cost is what the frame counts for in a queue.
func (f *Frame) cost() int { return len(f.data) + frameOverhead }

// wire returns the bytes to write on a connection that deflates payloads of at
// least threshold bytes; a negative one deflates nothing.
func (f *Frame) wire(threshold int) []byte {
	if threshold < 0 || f.plain || len(f.data)-f.head < threshold {
		return f.data
	}
	f.shrink.Do(func() { f.shrunk = deflateFrame(f.data[0], f.data[f.head:]) })
	if f.shrunk == nil {
		return f.data
	}
	return f.shrunk
}

func opcode(binary bool) ws.OpCode {
	if binary {
		return ws.OpBinary
	}
	return ws.OpText
}

// closeFrame returns a close frame. A code that may not be sent makes an empty
// one; a reason too long is cut between characters.
func closeFrame(code int, reason string) *Frame {
	var payload []byte
	if validCloseCode(code) {
		payload = binary.BigEndian.AppendUint16(nil, uint16(code))
		payload = append(payload, cut(reason, maxControl-2)...)
	}
	return &Frame{data: appendFrame(nil, ws.OpClose, payload), plain: true}
}

// cut returns valid UTF-8 of at most n bytes.
func cut(s string, n int) string {
	if !utf8.ValidString(s) {
		return ""
	}
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func headerLen(payload int) int {
	switch {
	case payload < 126:
		return 2
	case payload <= 0xffff:
		return 4
	}
	return maxServerHeader
}

// appendFrame appends a whole frame, final and unmasked: "A server MUST NOT
// mask any frames that it sends to the client." RFC 6455 section 5.1
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	if dst == nil {
		dst = make([]byte, 0, headerLen(len(payload))+len(payload))
	}
	dst = appendHeader(dst, finBit|byte(op), len(payload))
	return append(dst, payload...)
}

func appendHeader(dst []byte, first byte, payload int) []byte {
	dst = append(dst, first)
	switch headerLen(payload) {
	case 2:
		return append(dst, byte(payload))
	case 4:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(payload))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(payload))
}
