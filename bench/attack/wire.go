//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// from is the address that all attackers come from.
const from = "X-Forwarded-For: 203.0.113.66\r\n"

const handshake = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"

// The first byte of frames.
const (
	text = 0x81
	part = 0x01
	more = 0x00
	ping = 0x89
)

// A wire is the client's side of a WebSocket.
type wire struct {
	net.Conn
	in *bufio.Reader
}

func open(address, header string) (*wire, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	w := &wire{c, bufio.NewReader(c)}
	if _, err = fmt.Fprintf(c, handshake, header); err == nil {
		var resp *http.Response
		if resp, err = http.ReadResponse(w.in, nil); err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
			err = fmt.Errorf("answered %s", resp.Status)
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return w, nil
}

// socket connects to the main namespace.
func socket(address, header string) (*wire, error) {
	w, err := open(address, header)
	if err != nil {
		return nil, err
	}
	if err = w.send(text, []byte("40")); err == nil {
		for data := ""; err == nil && !strings.HasPrefix(data, "40{"); {
			data, err = w.read()
		}
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// frame makes a frame of a client, with a mask that changes nothing.
func frame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func (w *wire) send(first byte, payload []byte) error {
	_, err := w.Write(frame(first, payload))
	return err
}

// read returns the next message, and answers pings of Engine.IO.
func (w *wire) read() (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return "", err
	}
	n := int(head[1])
	if n == 126 {
		var b [2]byte
		if _, err := io.ReadFull(w.in, b[:]); err != nil {
			return "", err
		}
		n = int(binary.BigEndian.Uint16(b[:]))
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(w.in, data); err != nil {
		return "", err
	}
	switch {
	case head[0]&0xf == 8:
		return "", io.EOF
	case string(data) == "2":
		return "", w.send(text, []byte("3"))
	}
	return string(data), nil
}
