package tutti_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
)

// A venue is a server on a real network, with and without TLS, whose sockets
// join the rooms that they name in the query.
type venue struct {
	srv        *tutti.Server
	ns         *tutti.Namespace
	plain, tls string // addresses
}

func openVenue(t *testing.T, cfg engineio.Config) *venue {
	t.Helper()
	srv, err := tutti.New(tutti.Config{Engine: cfg, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	v := &venue{srv: srv, ns: srv.Namespace("/")}
	v.ns.Guard(func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
		return ctx, s.Join(strings.Split(s.Handshake().Query.Get("rooms"), ",")...)
	})
	plain, secure := httptest.NewServer(srv), httptest.NewTLSServer(srv)
	v.plain, v.tls = plain.Listener.Addr().String(), secure.Listener.Addr().String()
	t.Cleanup(func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		plain.Close()
		secure.Close()
	})
	return v
}

// enter connects a socket. It returns when the socket is in its rooms.
func (v *venue) enter(t *testing.T, secure bool, rooms ...string) (net.Conn, *bufio.Reader) {
	t.Helper()
	address := v.plain
	if secure {
		address = v.tls
	}
	tcp, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	_ = tcp.(*net.TCPConn).SetReadBuffer(64 << 10) // so that the server soon finds no room
	conn := tcp
	if secure {
		conn = tls.Client(tcp, &tls.Config{InsecureSkipVerify: true})
	}
	fmt.Fprintf(conn, "GET /socket.io/?EIO=4&transport=websocket&rooms=%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", strings.Join(rooms, ","))
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			break
		}
	}
	conn.Write([]byte{0x81, 0x82, 0, 0, 0, 0, '4', '0'})
	for _, want := range []string{"0{", "40{"} {
		if got, err := readText(r); err != nil || !strings.HasPrefix(string(got), want) {
			t.Fatalf("got %q, %v; want %s…", got, err, want)
		}
	}
	return conn, r
}

// readText reads a text frame.
func readText(r *bufio.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	if head[0] != 0x81 {
		return nil, fmt.Errorf("frame that begins with %#x", head)
	}
	size := int(head[1])
	if size >= 126 {
		var long [8]byte
		n := map[int]int{126: 2, 127: 8}[size]
		if _, err := io.ReadFull(r, long[8-n:]); err != nil {
			return nil, err
		}
		size = int(binary.BigEndian.Uint64(long[:]))
	}
	text := make([]byte, size)
	_, err := io.ReadFull(r, text)
	return text, err
}

// song is the n-th message of a publisher to a room, of any size from a byte on.
func song(room, publisher, n int) string {
	sizes := []int{1, 20, 100, 124, 125, 126, 3000, 16 << 10, 65_535, 65_536, 200_000}
	size := sizes[(room*7+publisher*3+n)%len(sizes)]
	verse := fmt.Sprintf("%d.%d.%d-", room, publisher, n)
	return strings.Repeat(verse, size/len(verse)+1)[:size]
}

// slow reads a little at a time, giving way before.
type slow struct{ io.Reader }

func (s slow) Read(p []byte) (int, error) {
	for range 3 {
		runtime.Gosched()
	}
	return s.Reader.Read(p[:min(len(p), 3000)])
}

// TestCrowdReadsWhatWasPublished compares every byte that fast and slow members
// of many rooms get, with TLS and without. What many get is prepared once, and
// leaves through pooled buffers, long after the publisher has gone on: a buffer
// given back too early would show somebody else's message, or half of one.
func TestCrowdReadsWhatWasPublished(t *testing.T) {
	const rooms, publishers, songs = 6, 3, 33
	v := openVenue(t, engineio.Config{MaxQueue: -1, PingInterval: time.Hour})
	var readers, singers sync.WaitGroup
	for i := range 12 {
		secure, fast := i%3 != 0, i < 2
		in := []int{i % rooms, (i + 1 + i/rooms) % rooms}
		conn, r := v.enter(t, secure, fmt.Sprint("room", in[0]), fmt.Sprint("room", in[1]))
		if !fast {
			r = bufio.NewReaderSize(slow{io.MultiReader(bytesOf(r), conn)}, 16)
		}
		readers.Go(func() {
			next := map[[2]int]int{} // by room and publisher
			for range len(in) * publishers * songs {
				got, err := readText(r)
				var room, publisher, n int
				if _, scanErr := fmt.Sscanf(string(got[:min(len(got), 40)]), `42["song",%d,%d,%d,`, &room, &publisher, &n); err != nil || scanErr != nil {
					t.Errorf("member %d: %.60q, %v, %v", i, got, err, scanErr)
					return
				}
				want := fmt.Sprintf(`42["song",%d,%d,%d,"%s"]`, room, publisher, n, song(room, publisher, n))
				from := [2]int{room, publisher}
				if string(got) != want || n != next[from] || !slices.Contains(in, room) {
					t.Errorf("member %d of %v: got %.60q of %d bytes, want number %d and %d bytes", i, in, got, len(got), next[from], len(want))
					return
				}
				next[from]++
			}
		})
	}
	for p := range publishers {
		singers.Go(func() {
			for n := range songs {
				for room := range rooms {
					if _, err := v.ns.To(fmt.Sprint("room", room)).Emit("song", room, p, n, song(room, p, n)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	singers.Wait()
	readers.Wait()
}

// bytesOf returns what a reader has buffered.
func bytesOf(r *bufio.Reader) io.Reader {
	b, _ := r.Peek(r.Buffered()) // they are there
	return strings.NewReader(string(b))
}

// TestDeliveryAllocatesNothing: handing a message to a member, and writing it,
// costs no memory. What is allocated once for a message is told apart by
// publishing to few and to many.
func TestDeliveryAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools at random")
	}
	const few, many = 10, 210
	v := openVenue(t, engineio.Config{})
	var read atomic.Int64 // bytes
	for i := range many {
		room := []string{"many"}
		if i < few {
			room = append(room, "few")
		}
		conn, _ := v.enter(t, false, room...)
		go func() { // ends with the connection
			buf := make([]byte, 1<<10)
			for {
				n, err := conn.Read(buf)
				read.Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
	}
	text := any(strings.Repeat("x", 100)) // 2 bytes of header, and 42["m",""]
	allocs := func(room string, members int64) float64 {
		to := v.ns.To(room)
		return testing.AllocsPerRun(20, func() {
			want := read.Load() + members*(2+2+8+100)
			if _, err := to.Emit("m", text); err != nil {
				t.Fatal(err)
			}
			for read.Load() < want {
				runtime.Gosched()
			}
		})
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it empties pools too
	allocs("many", many)
	a, b := allocs("few", few), allocs("many", many)
	if perDelivery := (b - a) / (many - few); perDelivery > 0.01 {
		t.Errorf("%v allocations for %d members, %v for %d: %.2f for each", a, few, b, many, perDelivery)
	}
	t.Logf("%v allocations for a message to %d members, %v for %d", a, few, b, many)
}
