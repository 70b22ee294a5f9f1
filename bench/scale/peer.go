package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/tutti-rt/tutti/internal/memnet"
)

// shards is over how many counters deliveries are spread, so that the counting
// is not what is measured.
const shards = 64

// A crowd is the peers of one server, and what they have seen.
type crowd struct {
	peers []peer

	connected  atomic.Int64 // CONNECT was answered
	ended      atomic.Int64
	heartbeats atomic.Int64
	strange    atomic.Int64
	change     chan struct{} // one of the above has changed

	left [shards]struct { // deliveries that are to come
		n atomic.Int64
		_ [56]byte
	}
	open atomic.Int64  // shards with some
	all  chan struct{} // every delivery has come
}

// A peer is a client of the server under test: it joins the namespace, answers
// pings, and counts.
type peer struct {
	memnet.Conn
	crowd *crowd
	index int
}

var _ memnet.Peer = (*peer)(nil)

func newCrowd(n int) *crowd {
	c := &crowd{peers: make([]peer, n), change: make(chan struct{}, 1), all: make(chan struct{}, 1)}
	for i := range c.peers {
		p := &c.peers[i]
		p.crowd, p.index = c, i
		p.Init(p)
	}
	return c
}

// What a client says, masked with zeros.
const (
	sayConnect = "\x81\x82\x00\x00\x00\x0040"
	sayPong    = "\x81\x81\x00\x00\x00\x003"
	sayLeave   = "\x81\x81\x00\x00\x00\x001" // the session's end
	sayClosed  = "\x88\x80\x00\x00\x00\x00"
)

// Took implements [memnet.Peer].
func (p *peer) Took(data []byte) {
	if bytes.HasPrefix(data, []byte("HTTP/1.1 101 ")) {
		_, data, _ = bytes.Cut(data, []byte("\r\n\r\n"))
	}
	for len(data) > 0 {
		op, payload, size := frame(data)
		if size == 0 {
			p.crowd.strange.Add(1)
			return
		}
		data = data[size:]
		if op == 0x88 {
			p.Send([]byte(sayClosed))
		} else {
			p.packet(payload)
		}
	}
}

// frame takes a frame apart; size is 0 if it isn't whole.
func frame(data []byte) (op byte, payload []byte, size int) {
	if len(data) < 2 {
		return 0, nil, 0
	}
	n, head := int(data[1]), 2
	if n == 126 && len(data) >= 4 {
		n, head = int(binary.BigEndian.Uint16(data[2:])), 4
	}
	if n > 1<<16-1 || len(data) < head+n {
		return 0, nil, 0
	}
	return data[0], data[head : head+n], head + n
}

func (p *peer) packet(data []byte) {
	c := p.crowd
	switch {
	case len(data) > 1 && data[0] == '4' && data[1] == '2':
		c.delivered(p.index)
	case len(data) > 0 && data[0] == '2':
		c.heartbeats.Add(1)
		p.Send([]byte(sayPong))
	case len(data) > 0 && data[0] == '0':
		p.Send([]byte(sayConnect))
	case len(data) > 1 && data[0] == '4' && data[1] == '0':
		c.connected.Add(1)
		c.changed()
	default:
		c.strange.Add(1)
	}
}

// Ended implements [memnet.Peer].
func (p *peer) Ended() {
	p.crowd.ended.Add(1)
	p.crowd.changed()
}

func (c *crowd) changed() {
	select {
	case c.change <- struct{}{}:
	default:
	}
}

// expect prepares for one message to the first n peers.
func (c *crowd) expect(n int) {
	used := 0
	for i := range c.left {
		size := (n + shards - 1 - i) / shards
		if c.left[i].n.Store(int64(size)); size > 0 {
			used++
		}
	}
	c.open.Store(int64(used))
}

func (c *crowd) delivered(index int) {
	if c.left[index%shards].n.Add(-1) == 0 && c.open.Add(-1) == 0 {
		c.all <- struct{}{}
	}
}

// A dialer brings peers to a server, one after the other: their handshakes are
// handed to the handler as net/http would, which takes no part in this.
type dialer struct {
	handler http.Handler
	address *url.URL
	buffers *bufio.ReadWriter // nothing comes with a handshake
	nc      net.Conn
	header  http.Header // of an answer that is none
}

func newDialer(handler http.Handler) (*dialer, error) {
	u, err := url.Parse("/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		return nil, err
	}
	none := bufio.NewReadWriter(bufio.NewReaderSize(strings.NewReader(""), 16), bufio.NewWriterSize(nil, 16))
	return &dialer{handler: handler, address: u, buffers: none, header: make(http.Header)}, nil
}

// dial has the peer connect. The rest of its handshake goes on without dial.
func (d *dialer) dial(p *peer) {
	d.nc = &p.Conn
	d.handler.ServeHTTP(d, &http.Request{
		Method: "GET", URL: d.address, RequestURI: d.address.String(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Host: "localhost:3000", RemoteAddr: "10.0.0.1:" + strconv.Itoa(p.index),
		Header: http.Header{
			"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key": {"dHV0dGkgYmVuY2ggbG9hZA=="},
		},
	})
}

// Hijack implements [http.Hijacker].
func (d *dialer) Hijack() (net.Conn, *bufio.ReadWriter, error) { return d.nc, d.buffers, nil }

// Header implements [http.ResponseWriter].
func (d *dialer) Header() http.Header { return d.header }

// Write implements [http.ResponseWriter]; what is written is a refusal.
func (d *dialer) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements [http.ResponseWriter].
func (d *dialer) WriteHeader(int) {}
