package engineio

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"
)

// Revision 3 writes a length before every packet. In a payload of text it counts UTF-16 code units, because JavaScript
// does; in a binary payload, bytes.

// maxLengthDigits bounds the length before a packet: no body is longer than ten digits tell.
const maxLengthDigits = 10

var errLength = errors.New("invalid length of a packet")

// decodePayloadV3 is decodePayload for a revision 3 payload of text: "<length>:<packet>" again and again.
func decodePayloadV3(body []byte, limit int, handle func(packet) error) error {
	if len(body) == 0 {
		return unparsable(errors.New("empty payload"))
	}
	if !utf8.Valid(body) {
		return unparsable(errors.New("payload is not UTF-8"))
	}
	for ; len(body) > 0; limit-- {
		if limit == 0 {
			return unparsable(errTooManyPackets)
		}
		units, rest, err := cutLength(body)
		if err != nil {
			return unparsable(err)
		}
		size, ok := utf16Prefix(rest, units)
		if !ok {
			return unparsable(errLength)
		}
		one := rest[:size]
		body = rest[size:]
		if len(one) == 0 {
			continue // clients of revision 3 write "0:" for nothing to say
		}
		p, err := parsePacket(3, one)
		if err != nil {
			return unparsable(err)
		}
		if err := handle(p); err != nil {
			return err
		}
	}
	return nil
}

// cutLength reads "<digits>:".
func cutLength(b []byte) (n int, rest []byte, err error) {
	i := bytes.IndexByte(b[:min(len(b), maxLengthDigits+1)], ':')
	if i <= 0 {
		return 0, nil, errLength
	}
	for _, c := range b[:i] {
		if c < '0' || c > '9' {
			return 0, nil, errLength
		}
		n = n*10 + int(c-'0')
	}
	return n, b[i+1:], nil
}

// utf16Prefix returns the size in bytes of the prefix of b that is units UTF-16 code units long, if there is one.
// b is valid UTF-8.
func utf16Prefix(b []byte, units int) (size int, ok bool) {
	for units > 0 && size < len(b) {
		if b[size] < utf8.RuneSelf {
			size++
			units--
			continue
		}
		_, n := utf8.DecodeRune(b[size:])
		size += n
		units -= utf16Units(n)
	}
	return size, units == 0
}

// utf16Units returns how many UTF-16 code units a character of n bytes in UTF-8 is.
func utf16Units(n int) int {
	if n == utf8.UTFMax {
		return 2 // a surrogate pair
	}
	return 1
}

// utf16Len returns the length of b in UTF-16 code units.
func utf16Len(b []byte) int {
	n := 0
	for _, c := range b {
		switch {
		case c >= 0xf0:
			n += 2 // begins a character of four bytes
		case c&0xc0 != 0x80:
			n++ // begins a character
		}
	}
	return n
}

// decodeBinaryPayloadV3 is decodePayload for a revision 3 payload that is binary. Every packet is preceded by 0 for text
// or 1 for bytes, the decimal digits of its length as bytes 0 to 9, and 0xff.
func decodeBinaryPayloadV3(body []byte, limit int, handle func(packet) error) error {
	for ; len(body) > 0; limit-- {
		if limit == 0 {
			return unparsable(errTooManyPackets)
		}
		text := body[0] == 0
		size, rest, err := cutBinaryLength(body[1:])
		if err != nil || body[0] > 1 || size > len(rest) {
			return unparsable(errLength)
		}
		p, err := parseBinaryPart(text, rest[:size])
		if err != nil {
			return unparsable(err)
		}
		body = rest[size:]
		if err := handle(p); err != nil {
			return err
		}
	}
	return nil
}

// cutBinaryLength reads digits, each a byte from 0 to 9, up to 0xff.
func cutBinaryLength(b []byte) (n int, rest []byte, err error) {
	for i, c := range b[:min(len(b), maxLengthDigits+1)] {
		switch {
		case c == 0xff && i > 0:
			return n, b[i+1:], nil
		case c > 9:
			return 0, nil, errLength
		}
		n = n*10 + int(c)
	}
	return 0, nil, errLength
}

func parseBinaryPart(text bool, p []byte) (packet, error) {
	if text {
		if !utf8.Valid(p) {
			return packet{}, errors.New("text packet is not UTF-8")
		}
		return parsePacket(3, p)
	}
	return parseTyped(p)
}

// parseTyped reads a binary packet of revision 3: a byte with its type, then the data.
func parseTyped(p []byte) (packet, error) {
	if len(p) == 0 || p[0] > packetNoop-'0' {
		return packet{}, errors.New("binary packet without a type")
	}
	return packet{kind: p[0] + '0', data: p[1:], binary: true}, nil
}

// appendPayloadV3 appends frames as a revision 3 payload of text.
func appendPayloadV3(b []byte, frames []*Frame) []byte {
	for _, f := range frames {
		text := f.text(3)
		b = strconv.AppendInt(b, int64(utf16Len(text)), 10)
		b = append(b, ':')
		b = append(b, text...)
	}
	return b
}

// appendBinaryPayloadV3 appends frames as a binary revision 3 payload.
func appendBinaryPayloadV3(b []byte, frames []*Frame) []byte {
	for _, f := range frames {
		kind := byte(0)
		if f.binary {
			kind = 1
		}
		b = append(b, kind)
		start := len(b)
		b = strconv.AppendInt(b, int64(len(f.packet)), 10)
		for i := start; i < len(b); i++ {
			b[i] -= '0'
		}
		b = append(b, 0xff)
		b = append(b, f.packet...)
	}
	return b
}
