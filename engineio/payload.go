package engineio

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"unicode/utf8"
)

// packet is a packet that was read. data is valid only while the buffer it was read into is.
type packet struct {
	kind   byte
	data   []byte
	binary bool
}

// separator stands between the packets of a revision 4 payload.
const separator = 0x1e

// errTooManyPackets says that a payload carries more than Config.MaxPackets.
var errTooManyPackets = errors.New("too many packets in one payload")

// parsePacket reads a packet in text form. It does not look at the encoding of the text.
func parsePacket(protocol int, p []byte) (packet, error) {
	if len(p) == 0 {
		return packet{}, errors.New("empty packet")
	}
	if p[0] == 'b' {
		return parseBase64(protocol, p[1:])
	}
	if p[0] < packetOpen || p[0] > packetNoop {
		return packet{}, fmt.Errorf("unknown packet type %q", p[0])
	}
	return packet{kind: p[0], data: p[1:]}, nil
}

// parseBase64 reads a binary packet in text form, after its 'b'. Revision 3 repeats the type, 4 knows only messages.
func parseBase64(protocol int, p []byte) (packet, error) {
	kind := byte(packetMessage)
	if protocol == 3 {
		if len(p) == 0 || p[0] < packetOpen || p[0] > packetNoop {
			return packet{}, errors.New("binary packet without a type")
		}
		kind, p = p[0], p[1:]
	}
	p = bytes.TrimRight(p, "=") // some clients pad, some do not
	data := make([]byte, base64.RawStdEncoding.DecodedLen(len(p)))
	n, err := base64.RawStdEncoding.Decode(data, p)
	if err != nil {
		return packet{}, fmt.Errorf("binary packet: %w", err)
	}
	return packet{kind: kind, data: data[:n], binary: true}, nil
}

// decodePayload reads the packets of a revision 4 payload and hands them to handle, one by one. It ends with the first
// error, its own or that of handle. limit is how many packets there may be; negative is no limit.
func decodePayload(body []byte, limit int, handle func(packet) error) error {
	if !utf8.Valid(body) {
		return unparsable(errors.New("payload is not UTF-8"))
	}
	for more := true; more; limit-- {
		if limit == 0 {
			return unparsable(errTooManyPackets)
		}
		var one []byte
		one, body, more = bytes.Cut(body, []byte{separator})
		p, err := parsePacket(4, one)
		if err != nil {
			return unparsable(err)
		}
		if err := handle(p); err != nil {
			return err
		}
	}
	return nil
}

// appendPayload appends frames as a revision 4 payload.
func appendPayload(b []byte, frames []*Frame) []byte {
	for i, f := range frames {
		if i > 0 {
			b = append(b, separator)
		}
		b = append(b, f.text(4)...)
	}
	return b
}
