package hostile

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// dial opens a connection without a word. It is closed when the test ends.
func (s *server) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// say sends raw bytes and returns what the server answers at first.
func (s *server) say(t *testing.T, raw string) string {
	t.Helper()
	c := s.dial(t)
	defer c.Close()
	go func() { _, _ = io.WriteString(c, raw) }() // ends when it is written or the connection closed
	return listen(c, 2*time.Second)
}

// listen waits for something, and returns it.
func listen(c net.Conn, patience time.Duration) string {
	buf := make([]byte, 64<<10)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	n, _ := c.Read(buf) // nothing is an answer, too
	return string(buf[:n])
}

// ended reads until the server closes the connection. It fails if it does not.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the server leaves the connection open")
	}
}

// request sends a request and returns the status and the body.
func (s *server) request(t *testing.T, method, path, body string, header ...string) (int, string) {
	t.Helper()
	scheme := map[bool]string{true: "https://", false: "http://"}[s.encrypted]
	r, err := http.NewRequest(method, scheme+s.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

const polling = "/socket.io/?EIO=4&transport=polling"

// poll opens a session that polls and returns its URL.
func (s *server) poll(t *testing.T) string {
	t.Helper()
	status, body := s.request(t, "GET", polling, "")
	_, id, ok := strings.Cut(body, `"sid":"`)
	id, _, _ = strings.Cut(id, `"`)
	if status != 200 || !ok {
		t.Fatalf("no session: %d %s", status, body)
	}
	return polling + "&sid=" + id
}

// A wire is the client's side of a WebSocket.
type wire struct {
	net.Conn
	in *bufio.Reader
}

const upgrade = "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"

// connect opens a connection, with TLS if the server speaks it.
func (s *server) connect() (net.Conn, error) {
	if s.encrypted {
		return tls.Dial("tcp", s.address, anyCertificate)
	}
	return net.Dial("tcp", s.address)
}

// small has little room for what comes.
func small(c net.Conn) {
	if encrypted, ok := c.(*tls.Conn); ok {
		c = encrypted.NetConn()
	}
	if plain, ok := c.(*net.TCPConn); ok {
		_ = plain.SetReadBuffer(4096)
	}
}

// open opens a WebSocket.
func (s *server) open(path, header string) (*wire, error) {
	c, err := s.connect()
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	w := &wire{c, bufio.NewReader(c)}
	if _, err = fmt.Fprintf(c, upgrade, path, header); err == nil {
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

// engine opens a session on a WebSocket; the server's first packet is read.
func (s *server) engine(header string) (*wire, error) {
	w, err := s.open("/socket.io/?EIO=4&transport=websocket", header)
	if err != nil {
		return nil, err
	}
	if _, _, err := w.read(); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// socket connects to the main namespace.
func (s *server) socket(header string) (*wire, error) {
	w, err := s.engine(header)
	if err != nil {
		return nil, err
	}
	err = w.send(opText, []byte("40"))
	for err == nil {
		var data []byte
		if _, data, err = w.read(); strings.HasPrefix(string(data), "40{") {
			return w, nil
		}
	}
	w.Close()
	return nil, err
}

// must is for connections that have to come about.
func must(t *testing.T) func(w *wire, err error) *wire {
	return func(w *wire, err error) *wire {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close() })
		return w
	}
}

// The opcodes of frames.
const (
	opMore   = 0
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
)

// The first bits of a frame.
const (
	fin  = 0x80
	rsv1 = 0x40
	rsv2 = 0x20
	rsv3 = 0x10
)

// frame makes a masked frame of a client.
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
	b = append(b, 0, 0, 0, 0) // a mask that changes nothing
	return append(b, payload...)
}

func (w *wire) send(op byte, payload []byte) error {
	_, err := w.Write(frame(fin|op, payload))
	return err
}

func (w *wire) text(t *testing.T, payload string) {
	t.Helper()
	if err := w.send(opText, []byte(payload)); err != nil {
		t.Fatal(err)
	}
}

// read returns the next frame of the server, and answers pings of Engine.IO.
func (w *wire) read() (op byte, data []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(w.in, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(w.in, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if err != nil {
		return 0, nil, err
	}
	data = make([]byte, n)
	if _, err := io.ReadFull(w.in, data); err != nil {
		return 0, nil, err
	}
	op = head[0] & 0xf
	if op == opText && string(data) == "2" {
		return op, data, w.send(opText, []byte("3"))
	}
	return op, data, nil
}

// until returns the next text that begins like that.
func (w *wire) until(t *testing.T, prefix string) string {
	t.Helper()
	for {
		op, data, err := w.read()
		if err != nil {
			t.Fatalf("waiting for %q: %v", prefix, err)
		}
		if op == opClose {
			t.Fatalf("waiting for %q: closed with %s", prefix, closeText(data))
		}
		if strings.HasPrefix(string(data), prefix) {
			return string(data)
		}
	}
}

// closed returns with which code the server ends the connection, 0 without one.
func (w *wire) closed(t *testing.T) (code int, words string) {
	t.Helper()
	for {
		op, data, err := w.read()
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			t.Error("the server leaves the connection open")
			return -1, ""
		case err != nil:
			return code, words
		case op == opClose && len(data) >= 2:
			code, words = int(binary.BigEndian.Uint16(data)), string(data[2:])
			_ = w.send(opClose, data[:2])
		}
	}
}

func closeText(data []byte) string {
	if len(data) < 2 {
		return "no code"
	}
	return fmt.Sprintf("%d %s", binary.BigEndian.Uint16(data), data[2:])
}

// reset ends a connection without a word.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}
