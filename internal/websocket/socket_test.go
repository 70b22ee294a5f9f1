package websocket_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/websocket"
)

// pairOf returns the two ends of a real connection.
func pairOf(tb testing.TB, network string) (client, server net.Conn) {
	tb.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		dir, err := os.MkdirTemp("", "ws") // t.TempDir may be too long a path for a socket
		if err != nil {
			tb.Fatal(err)
		}
		defer os.RemoveAll(dir)
		address = filepath.Join(dir, "s")
	}
	kind := network
	if network == "tls" || network == "goroutines" {
		kind = "tcp"
	}
	l, err := net.Listen(kind, address)
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial(kind, l.Addr().String()); err != nil {
		tb.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { client.Close() })
	if network != "tls" {
		return client, server
	}
	c := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	s := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{certificate(tb)}})
	var wg sync.WaitGroup
	wg.Go(func() { s.Handshake() })
	if err := c.Handshake(); err != nil {
		tb.Fatal(err)
	}
	wg.Wait()
	return c, s
}

var certificateOnce = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
})

func certificate(tb testing.TB) tls.Certificate {
	c, err := certificateOnce()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// networks are the kinds of connections. That of "goroutines" is "tcp" without
// a Loop.
var networks = []string{"tcp", "unix", "tls", "goroutines"}

// on returns o for a kind of network.
func on(network string, o websocket.Options) websocket.Options {
	if network != "goroutines" {
		o.Loop = &loop
	}
	return o
}

// eachNetwork runs test on every kind of real connection.
func eachNetwork(t *testing.T, o websocket.Options, test func(t *testing.T, p *peer)) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			client, server := pairOf(t, network)
			test(t, accept(t, client, server, on(network, o)))
		})
	}
}

// within fails the test if c does not happen; how long it takes is nobody's
// business.
func within[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v = <-c:
	case <-timer.C:
		t.Fatalf("%s did not happen", what)
	}
	return v
}

func TestEchoOverSockets(t *testing.T) {
	eachNetwork(t, websocket.Options{MaxMessage: 5 << 20, MaxQueue: -1}, func(t *testing.T, p *peer) {
		p.run(func(data []byte, binary bool) error { return p.conn.Send(websocket.Prepare(data, binary)) })
		sizes := []int{0, 1, 125, 126, 1000, 16370, 16384, 70_000, 3 << 20, 5}
		var wg sync.WaitGroup
		wg.Go(func() {
			for i, n := range sizes {
				message := frame(fin|bin, strings.Repeat(string(rune('a'+i)), n))
				if i%2 == 0 { // a pause in a header, and one in the payload
					p.nc.Write(message[:3])
					runtime.Gosched()
					p.nc.Write(message[3 : 3+len(message)/2])
					runtime.Gosched()
					message = message[3+len(message)/2:]
				}
				p.nc.Write(message)
			}
		})
		for i, n := range sizes {
			p.want(fin|bin, strings.Repeat(string(rune('a'+i)), n))
		}
		wg.Wait()
		p.send(frame(fin|clos, closePayload(1000, "")))
		p.wantClose(1000)
		p.wantEOF()
		p.stop()
	})
}

func TestCloseOverSockets(t *testing.T) {
	eachNetwork(t, websocket.Options{}, func(t *testing.T, p *peer) {
		p.run(p.record)
		p.conn.Close(1001, "bye")
		p.want(fin|clos, closePayload(1001, "bye"))
		p.send(frame(fin|clos, closePayload(1001, "")))
		p.wantEOF()
		if err := p.stop(); !errors.Is(err, websocket.ErrClosed) {
			t.Errorf("Run = %v", err)
		}
	})
}

// A peer with much under way must get the close frame, not a reset.
func TestFailedPeerSeesTheCloseFrame(t *testing.T) {
	eachNetwork(t, websocket.Options{MaxMessage: 1000}, func(t *testing.T, p *peer) {
		p.run(p.record)
		var wg sync.WaitGroup
		wg.Go(func() { p.nc.Write(frame(fin|bin, strings.Repeat("x", 10<<20))) })
		wg.Wait() // all of it written before anything is read
		p.wantClose(1009)
		p.stop()
	})
}

func TestCloseTimeoutOverSockets(t *testing.T) {
	eachNetwork(t, websocket.Options{CloseTimeout: time.Millisecond}, func(t *testing.T, p *peer) {
		p.run(p.record)
		p.conn.Close(1000, "")
		within(t, p.conn.Done(), "the end")
		if err := within(t, p.ended, "the end of Run"); !errors.Is(err, websocket.ErrClosed) {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestSlowReaderOverSockets(t *testing.T) {
	eachNetwork(t, websocket.Options{MaxQueue: 1 << 20, WriteTimeout: 20 * time.Millisecond}, func(t *testing.T, p *peer) {
		p.run(p.record)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		frame := websocket.Prepare(make([]byte, 100_000), true)
		for !done(p.conn) {
			p.conn.Send(frame) // refused when full: the queue is what it is
			runtime.Gosched()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
			t.Errorf("the heap grew by %d bytes", grown)
		}
		if err := within(t, p.ended, "the end of Run"); !errors.Is(err, websocket.ErrTooSlow) {
			t.Errorf("Run = %v, want ErrTooSlow", err)
		}
	})
}

// Abort must not wait, though the peer is stuck in the middle of a write.
func TestAbortOverSockets(t *testing.T) {
	eachNetwork(t, websocket.Options{MaxQueue: -1, WriteTimeout: -1}, func(t *testing.T, p *peer) {
		p.run(p.record)
		p.conn.Send(websocket.Prepare(make([]byte, 20<<20), true))
		for p.conn.Queued() == 0 {
			runtime.Gosched()
		}
		reason := errors.New("ping timeout")
		p.conn.Abort(reason)
		within(t, p.conn.Done(), "the end")
		if err := within(t, p.ended, "the end of Run"); !errors.Is(err, reason) {
			t.Errorf("Run = %v", err)
		}
	})
}

// Many connections share frames while their peers read slowly: every byte must
// arrive as prepared. Colyseus' leak of one client's messages to another was a
// shared buffer overwritten before a late write.
func TestSharedFramesAreExact(t *testing.T) {
	const members, messages = 12, 300
	frames := make([]*websocket.Frame, messages)
	want := make([]string, messages)
	for i := range frames {
		want[i] = fmt.Sprintf("%d:", i) + strings.Repeat(string(rune('a'+i%26)), i*i%5000)
		frames[i] = websocket.Prepare([]byte(want[i]), false)
	}
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			var wg sync.WaitGroup
			peers := make([]*peer, members)
			for i := range peers {
				o := websocket.Options{MaxQueue: -1}
				if i%3 == 0 {
					o.Deflate = &websocket.Deflate{Threshold: 100}
				}
				client, server := pairOf(t, network)
				p := accept(t, client, server, on(network, o))
				p.r = bufio.NewReaderSize(slowly{client}, 16)
				p.run(p.record)
				peers[i] = p
				wg.Go(func() {
					for j := range want {
						got, err := readFrame(p.r)
						if err == nil && got.first&rsv1 != 0 {
							got.payload = inflated(got.payload)
						}
						if err != nil || got.payload != want[j] {
							t.Errorf("member %d, message %d: %v, %v", i, j, got, err)
							return
						}
						p.want(fin|text, fmt.Sprint("own ", i, " ", j))
					}
				})
			}
			for j, f := range frames {
				for i, p := range peers {
					own := websocket.Prepare(fmt.Append(nil, "own ", i, " ", j), false)
					if err := p.conn.Send(f, own); err != nil {
						t.Error(err)
					}
				}
			}
			wg.Wait()
			for _, p := range peers {
				p.stop()
			}
		})
	}
}

// slowly reads a little at a time, giving way before.
type slowly struct{ net.Conn }

func (s slowly) Read(p []byte) (int, error) {
	runtime.Gosched()
	return s.Conn.Read(p[:min(len(p), 700)])
}

// At rest a plain socket owns no goroutine, any other the one that reads.
func TestGoroutinesAtRest(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			client, server := pairOf(t, network)
			p := accept(t, client, server, on(network, websocket.Options{}))
			want := 0
			if network == "tls" || network == "goroutines" || runtime.GOOS != "linux" {
				want = 1
			}
			p.run(func(data []byte, binary bool) error { return p.conn.Send(websocket.Prepare(data, binary)) })
			for range 100 {
				p.send(frame(fin|text, "hello"), frame(fin|ping, ""))
				for range 2 {
					if _, err := readFrame(p.r); err != nil {
						t.Fatal(err)
					}
				}
			}
			var n int
			var stacks string
			for range 100_000 { // the writer may be about to end
				if n, stacks = connGoroutines(); n == want {
					break
				}
				runtime.Gosched()
			}
			if n != want {
				t.Errorf("%d goroutines at rest, want %d\n%s", n, want, stacks)
			}
			p.stop()
		})
	}
}

// connGoroutines counts the goroutines of connections.
func connGoroutines() (int, string) {
	buf := make([]byte, 1<<20)
	stacks := string(buf[:runtime.Stack(buf, true)])
	n := 0
	for g := range strings.SplitSeq(stacks, "\n\n") {
		if strings.Contains(g, "internal/websocket.(*Conn)") {
			n++
		}
	}
	return n, stacks
}

func TestSendAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget on purpose")
	}
	client, server := pairOf(t, "tcp")
	p := accept(t, client, server, websocket.Options{Loop: &loop})
	p.run(p.record)
	f := websocket.Prepare([]byte(strings.Repeat("x", 98)), false)
	buf := make([]byte, 300)
	allocs := testing.AllocsPerRun(1000, func() {
		p.conn.Post(f) // wakes the writer
		p.conn.Send(f, f)
		io.ReadFull(client, buf)
	})
	if allocs >= 1 {
		t.Errorf("%v allocations per round of a Post and a Send, want 0", allocs)
	}
	if want := join([]byte{fin | text, 98}, bytes.Repeat([]byte("x"), 98)); !bytes.Equal(buf[200:], want) {
		t.Errorf("got %q", buf[200:])
	}
	p.stop()
}
