package websocket_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/leak"
	"github.com/tutti-rt/tutti/internal/pipe"
	"github.com/tutti-rt/tutti/internal/websocket"
)

const testKey = "dGhlIHNhbXBsZSBub25jZQ==" // of RFC 6455 section 1.3

// TestMain fails if a goroutine stays behind.
func TestMain(m *testing.M) { os.Exit(leak.Run(tests{m})) }

// tests ends what all tests share when they have run.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	defer loop.Close()
	return t.m.Run()
}

// Opcodes on the wire.
const (
	cont  = 0x0
	text  = 0x1
	bin   = 0x2
	clos  = 0x8
	ping  = 0x9
	pong  = 0xa
	fin   = 0x80
	rsv1  = 0x40
	rsv23 = 0x30
)

var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// frame encodes a masked client frame; first is the opcode with its flags.
func frame(first byte, payload string) []byte {
	return appendClientFrame(nil, first, payload)
}

func appendClientFrame(b []byte, first byte, payload string) []byte {
	b = append(b, first)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i&3])
	}
	return b
}

func closePayload(code int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// received is a frame that the server wrote.
type received struct {
	first   byte
	payload string
}

func (r received) op() byte { return r.first & 0xf }

func (r received) String() string { return fmt.Sprintf("%#x %.80q", r.first, r.payload) }

// readFrame reads a frame as a strict client.
func readFrame(r *bufio.Reader) (received, error) {
	var h [2]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return received{}, err
	}
	if h[1]&0x80 != 0 {
		return received{}, fmt.Errorf("the server masked a frame")
	}
	n := uint64(h[1])
	switch n {
	case 126:
		var b [2]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return received{}, err
		}
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return received{}, err
		}
		n = binary.BigEndian.Uint64(b[:])
	}
	p := make([]byte, n)
	_, err := io.ReadFull(r, p)
	return received{h[0], string(p)}, err
}

// peer is a raw client and the server's connection to it.
type peer struct {
	t     testing.TB
	nc    net.Conn
	r     *bufio.Reader
	conn  *websocket.Conn
	ended chan error // what Ended was told

	mu   sync.Mutex
	msgs []string
}

// response is a hijackable http.ResponseWriter over nc.
type response struct {
	http.ResponseWriter
	nc net.Conn
	rw *bufio.ReadWriter
}

func (r response) Hijack() (net.Conn, *bufio.ReadWriter, error) { return r.nc, r.rw, nil }

func emptyRW() *bufio.ReadWriter {
	return bufio.NewReadWriter(bufio.NewReaderSize(strings.NewReader(""), 16), bufio.NewWriterSize(io.Discard, 16))
}

func request(change func(*http.Request)) *http.Request {
	r, err := http.NewRequest(http.MethodGet, "http://test.invalid/", nil)
	if err != nil {
		panic(err)
	}
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {testKey},
	}
	if change != nil {
		change(r)
	}
	return r
}

// accept makes a connection over server and reads the 101 at client.
func accept(t testing.TB, client, server net.Conn, o websocket.Options) *peer {
	t.Helper()
	rw := bufio.NewReadWriter(bufio.NewReader(server), bufio.NewWriter(server))
	conn, err := websocket.Accept(response{nc: server, rw: rw}, request(func(r *http.Request) {
		if o.Deflate != nil {
			r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
		}
	}), o)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, nc: client, r: bufio.NewReader(client), conn: conn, ended: make(chan error, 1)}
	conn.Flush() // Start would, too
	if _, err := http.ReadResponse(p.r, nil); err != nil {
		t.Fatal(err)
	}
	return p
}

// start makes a connection in memory that records what it receives.
func start(t testing.TB, o websocket.Options) *peer {
	t.Helper()
	client, server := pipe.New(0)
	p := accept(t, client, server, o)
	p.run(p.record)
	return p
}

func (p *peer) run(receive func([]byte, bool) error) {
	p.conn.Start(&receiver{receive: receive, ended: p.ended})
}

// receiver puts a Receiver together.
type receiver struct {
	receive func([]byte, bool) error
	ended   chan<- error
	gone    func()
}

func (r *receiver) Receive(data []byte, binary bool) error { return r.receive(data, binary) }
func (r *receiver) Ended(err error)                        { r.ended <- err }

func (r *receiver) Gone() {
	if r.gone != nil {
		r.gone()
	}
}

// loop carries the connections of all tests that ask for it.
var loop websocket.Loop

func (p *peer) record(data []byte, binary bool) error {
	kind := "t:"
	if binary {
		kind = "b:"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.msgs = append(p.msgs, kind+string(data))
	return nil
}

func (p *peer) messages() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.msgs...)
}

func (p *peer) send(b ...[]byte) {
	p.t.Helper()
	if _, err := p.nc.Write(join(b...)); err != nil {
		p.t.Errorf("client write: %v", err)
	}
}

// want reads the next frame and compares it.
func (p *peer) want(first byte, payload string) {
	p.t.Helper()
	got, err := readFrame(p.r)
	if err != nil || got.first != first || got.payload != payload {
		p.t.Errorf("client got %v, %v; want %v", got, err, received{first, payload})
	}
}

// wantClose reads up to the close frame and checks its code; 0 means none.
func (p *peer) wantClose(code int) received {
	p.t.Helper()
	for {
		got, err := readFrame(p.r)
		if err != nil {
			p.t.Errorf("client got %v before a close frame", err)
			return got
		}
		if got.op() != clos {
			continue
		}
		have := 0
		if len(got.payload) >= 2 {
			have = int(binary.BigEndian.Uint16([]byte(got.payload)))
		}
		if have != code {
			p.t.Errorf("close code %d %q, want %d", have, got.payload, code)
		}
		return got
	}
}

// wantEOF checks that the server closed the socket and wrote nothing more.
func (p *peer) wantEOF() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.r); err != nil || len(rest) > 0 {
		p.t.Errorf("client got %q, %v, want the end", rest, err)
	}
}

// stop closes the client's socket and waits for the connection to be gone.
func (p *peer) stop() error {
	p.nc.Close()
	err := <-p.ended
	<-p.conn.Done()
	return err
}

// patience is how long real time may pass before a test calls it a hang.
const patience = 30 * time.Second
