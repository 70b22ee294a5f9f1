package hostile

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"sync/atomic"
	"testing"
	"time"
)

// The frames of HTTP/2.
const (
	h2Headers      = 1
	h2Reset        = 3
	h2Settings     = 4
	h2Ping         = 6
	h2GoAway       = 7
	h2Continuation = 9

	h2EndStream  = 1
	h2EndHeaders = 4
)

// h2Frame makes one frame.
func h2Frame(kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	b := []byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// h2Get is the block of headers of a GET, without compression.
func h2Get(path string) []byte {
	b := []byte{0x82, 0x87} // GET, https
	for _, field := range []struct {
		index byte
		value string
	}{{4, path}, {1, "localhost"}} { // :path, :authority
		b = append(b, field.index)
		n := len(field.value)
		if n < 127 {
			b = append(b, byte(n))
		} else {
			b = append(b, 127, byte(n-127)) // below 255
		}
		b = append(b, field.value...)
	}
	return b
}

// An h2 is a client's connection that speaks HTTP/2.
type h2 struct {
	*tls.Conn
	resets atomic.Int32
	away   atomic.Bool
	ended  chan struct{}
}

// http2 opens one. What the server says is counted, and settings are confirmed.
func (s *server) http2(t *testing.T) *h2 {
	t.Helper()
	config := anyCertificate.Clone()
	config.NextProtos = []string{"h2"}
	c, err := tls.Dial("tcp", s.address, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if got := c.ConnectionState().NegotiatedProtocol; got != "h2" {
		t.Fatalf("the server speaks %q", got)
	}
	h := &h2{Conn: c, ended: make(chan struct{})}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, _ = h.Write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), h2Frame(h2Settings, 0, 0, nil)...))
	go h.listen() // ends with the connection
	return h
}

func (h *h2) listen() {
	defer close(h.ended)
	in := bufio.NewReader(h.Conn)
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if _, err := in.Discard(n); err != nil {
			return
		}
		switch head[3] {
		case h2Reset:
			h.resets.Add(1)
		case h2GoAway:
			h.away.Store(true)
		}
	}
}

// over fails unless the server ends the connection.
func (h *h2) over(t *testing.T) {
	t.Helper()
	select {
	case <-h.ended:
	case <-time.After(patience):
		t.Error("the server leaves the connection open")
	}
}

const unknownSession = polling + "&sid=nobody"

var streamItems = []item{
	times(10_000, item{"rapid reset", "{n} requests on one connection, each taken back at once", "GOAWAY, or answers to none", []string{refused}, nil}, func(t *testing.T, s *server, n int) {
		h := s.http2(t)
		var b bytes.Buffer
		for i := range n {
			stream := uint32(2*i + 1)
			b.Write(h2Frame(h2Headers, h2EndStream|h2EndHeaders, stream, h2Get(unknownSession)))
			b.Write(h2Frame(h2Reset, 0, stream, []byte{0, 0, 0, 8}))
		}
		_, _ = h.Write(b.Bytes()) // it may be closed in between
		s.fresh(t)                // while it is there
		h.Close()
	}),
	times(300, item{"streams of one connection", "{n} event streams over one connection, of which 250 may be", "REFUSED_STREAM for the others, or GOAWAY", []string{`tutti_streams_opened_total{door="events"}`}, nil}, func(t *testing.T, s *server, n int) {
		h := s.http2(t)
		for i := range n {
			_, _ = h.Write(h2Frame(h2Headers, h2EndStream|h2EndHeaders, uint32(2*i+1), h2Get("/events?room=news"))) // it may be closed in between
		}
		if !eventually(func() bool { return h.resets.Load() > 0 || h.away.Load() }) {
			t.Error("none is refused")
		}
		now, err := s.metrics()
		if err != nil || now.of("tutti_streams") > 250 {
			t.Errorf("%.0f streams are open (%v)", now.of("tutti_streams"), err)
		}
		s.fresh(t) // while they are there
		h.Close()
	}),
	times(10_000, item{"flood of continuations", "headers that do not end: {n} CONTINUATION frames of 10 kB", "the connection is closed", []string{noRequest}, nil}, func(t *testing.T, s *server, n int) {
		h := s.http2(t)
		_, _ = h.Write(h2Frame(h2Headers, h2EndStream, 1, h2Get("/")))
		field := append([]byte{0, 1, 'x', 0x7f, 0x80 | (9000-127)&0x7f, (9000 - 127) >> 7}, make([]byte, 9000)...)
		one := h2Frame(h2Continuation, 0, 1, field)
		for range n {
			if _, err := h.Write(one); err != nil {
				break
			}
		}
		h.over(t)
	}),
	times(50_000, item{"flood of settings", "{n} SETTINGS and as many PINGs, whose answers are not read", "the connection is closed, or they are answered", []string{noRequest}, nil}, func(t *testing.T, s *server, n int) {
		h := s.http2(t)
		one := append(h2Frame(h2Settings, 0, 0, nil), h2Frame(h2Ping, 0, 0, make([]byte, 8))...)
		_ = h.SetWriteDeadline(time.Now().Add(bearable))
		_, _ = h.Write(bytes.Repeat(one, n)) // it may be closed in between
		s.fresh(t)
		h.Close()
	}),
	{"frames that are none", "a frame of 16 MB, data for a stream that is not there, a reserved type, headers of stream 2, half a preface", "the connection is closed", []string{noRequest, "log: http2: server connection error"}, func(t *testing.T, s *server) {
		for _, raw := range [][]byte{
			append([]byte{0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1}, make([]byte, 100_000)...), h2Frame(0, 0, 5, make([]byte, 100)),
			h2Frame(h2Headers, h2EndHeaders, 2, h2Get("/")), h2Frame(h2Settings, 0, 0, []byte{1}), h2Frame(h2Continuation, 0, 1, nil),
		} {
			h := s.http2(t)
			_, _ = h.Write(raw)
			h.over(t)
			h.Close()
		}
	}},
}
