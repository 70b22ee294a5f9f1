package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
)

// A peer is a connection. Both return at once.
type peer interface {
	send(frame []byte)
	join(room string)
}

// publish sends a frame to a room.
type publish func(room string, frame []byte)

var (
	errDone     = errors.New("done")
	errProtocol = errors.New("not what the load generator says")
)

// handshake answers a request for a WebSocket with 101 and the packet that
// opens a session. used is 0 if the request isn't whole yet.
func handshake(data []byte) (reply []byte, used int, err error) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		return nil, 0, nil
	}
	_, key, found := bytes.Cut(data[:end+2], []byte("Sec-WebSocket-Key: "))
	if !found {
		return nil, 0, errProtocol
	}
	key, _, _ = bytes.Cut(key, []byte("\r\n"))
	sum := sha1.Sum(append(bytes.Clone(key), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	reply = append(reply, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	reply = base64.StdEncoding.AppendEncode(reply, sum[:])
	reply = append(reply, "\r\n\r\n"...)
	reply = appendText(reply, `0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`)
	return reply, end + 4, nil
}

// frames handles the frames in data and returns how much of it was used.
func frames(data []byte, p peer, to publish) (used int, err error) {
	for {
		d := data[used:]
		if len(d) < 2 {
			return used, nil
		}
		n, head := int(d[1]&127), 2
		switch n {
		case 126:
			if len(d) < 4 {
				return used, nil
			}
			n, head = int(binary.BigEndian.Uint16(d[2:])), 4
		case 127:
			return used, errProtocol
		}
		if len(d) < head+4+n {
			return used, nil
		}
		key := binary.LittleEndian.Uint32(d[head:])
		payload := d[head+4 : head+4+n]
		unmask(payload, key)
		used += head + 4 + n
		if d[0]&15 == 8 {
			p.send([]byte{0x88, 0})
			return used, errDone
		}
		if err := packet(payload, p, to); err != nil {
			return used, err
		}
	}
}

func unmask(data []byte, key uint32) {
	wide := uint64(key)<<32 | uint64(key)
	for len(data) >= 8 {
		binary.LittleEndian.PutUint64(data, binary.LittleEndian.Uint64(data)^wide)
		data = data[8:]
	}
	for i := range data {
		data[i] ^= byte(key >> (8 * (i & 3)))
	}
}

// packet handles `40`, `42["publish","room","text"]`, `42N["join","room"]` and
// `42N["echo","text"]`, written as the load generator writes them.
func packet(data []byte, p peer, to publish) error {
	switch {
	case string(data) == "40":
		p.send(appendText(nil, `40{"sid":"floor"}`))
		return nil
	case len(data) < 2 || string(data[:2]) != "42":
		return nil
	}
	id, args, _ := bytes.Cut(data[2:], []byte("["))
	name, args, found := bytes.Cut(args[:max(len(args)-1, 0)], []byte(","))
	if !found {
		return errProtocol
	}
	var out [256]byte
	b := append(out[:0], "43"...)
	b = append(append(b, id...), '[')
	switch string(name) {
	case `"echo"`:
		b = append(b, args...)
	case `"join"`:
		p.join(string(args))
	case `"publish"`:
		room, text, _ := bytes.Cut(args, []byte(","))
		m := append(out[:0], `42["message",`...)
		to(string(room), appendText(nil, string(append(append(m, text...), ']'))))
		return nil
	}
	p.send(appendText(nil, string(append(b, ']'))))
	return nil
}

// appendText appends a text frame.
func appendText(b []byte, text string) []byte {
	if n := len(text); n < 126 {
		b = append(b, 0x81, byte(n))
	} else if n < 1<<16 {
		b = append(b, 0x81, 126, byte(n>>8), byte(n))
	} else {
		panic("too long: " + strconv.Itoa(n))
	}
	return append(b, text...)
}
