package gate_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/internal/gate"
	"github.com/tutti-rt/tutti/internal/leak"
)

// TestMain fails if a goroutine stays behind.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// through says whether a request came through the gate: net/http's writers can
// flush.
func through(w http.ResponseWriter) bool {
	_, flushes := w.(http.Flusher)
	return !flushes
}

// deferrer is what the gate's writers can do besides.
type deferrer interface {
	Defer(gone func(error))
	Resume(timeout time.Duration, fill func(), done func(error))
}

// serve starts a server behind a gate, which the test's end shuts down.
func serve(t *testing.T, change func(*http.Server), h http.HandlerFunc) (address string) {
	t.Helper()
	return serveAt(t, change, h, "/")
}

// serveAt is serve with a gate for some paths only.
func serveAt(t *testing.T, change func(*http.Server), h http.HandlerFunc, paths ...string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	if change != nil {
		change(server)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := gate.Serve(server, l, paths...); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	return l.Addr().String()
}

func dial(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, bufio.NewReader(c)
}

// answer reads an answer and its body.
func answer(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

const get = "GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: x\r\n\r\n"

// tell says how a request looked to its handler.
func tell(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	w.Header().Set("X-Gate", fmt.Sprint(through(w)))
	fmt.Fprintf(w, "%s %s %s %q %v %v", r.Method, r.RequestURI, r.Host, body, r.Header["X-A"], err)
}

// TestPaths: the gate takes what is for its paths and nothing else.
func TestPaths(t *testing.T) {
	address := serveAt(t, nil, tell, "/socket.io/", "/exact")
	for path, want := range map[string]string{
		"/socket.io/": "true", "/socket.io/more": "true", "/exact": "true",
		"/": "false", "/socket.io": "false", "/socket.iox/": "false", "/exact/more": "false", "/events": "false", "/x/socket.io/": "false", "/%73ocket.io/": "false",
	} {
		c, r := dial(t, address)
		io.WriteString(c, "GET "+path+"?EIO=4 HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, _ := answer(t, r); resp.Header.Get("X-Gate") != want {
			t.Errorf("%s: through the gate is %s, want %s", path, resp.Header.Get("X-Gate"), want)
		}
	}
}

// TestLongHeaders: the first request of a connection goes through the gate also
// with the cookies that browsers have.
func TestLongHeaders(t *testing.T) {
	address := serve(t, nil, tell)
	for _, n := range []int{1000, 2100, 4000, 8000, 15_000} {
		c, r := dial(t, address)
		io.WriteString(c, "GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: x\r\nCookie: a="+strings.Repeat("x", n)+"\r\n\r\n")
		if resp, _ := answer(t, r); resp.Header.Get("X-Gate") != "true" {
			t.Errorf("with a cookie of %d bytes: through the gate is %s", n, resp.Header.Get("X-Gate"))
		}
	}
}

// TestCutOff: a request whose body ends too early reaches its handler, which has
// to know that its peer is gone.
func TestCutOff(t *testing.T) {
	got := make(chan error, 1)
	address := serve(t, nil, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		got <- err
	})
	c, _ := dial(t, address)
	io.WriteString(c, "POST /socket.io/?EIO=4 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n4x")
	c.Close()
	if err := <-got; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the handler reads %v", err)
	}
}

func TestRequestsOneAfterAnother(t *testing.T) {
	address := serve(t, nil, tell)
	c, r := dial(t, address)
	for _, tt := range []struct{ send, want, gate string }{
		{get, `GET /socket.io/?EIO=4 x "" [] <nil>`, "true"},
		{"POST /?a=b&EIO=4 HTTP/1.1\r\nhost: y:1\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 5\r\n\r\nhello", `POST /?a=b&EIO=4 y:1 "hello" [1 2] <nil>`, "true"},
		{get, `GET /socket.io/?EIO=4 x "" [] <nil>`, "true"},
		// From here on the connection is net/http's.
		{"GET /other HTTP/1.1\r\nHost: x\r\n\r\n", `GET /other x "" [] <nil>`, "false"},
		{get, `GET /socket.io/?EIO=4 x "" [] <nil>`, "false"},
	} {
		io.WriteString(c, tt.send)
		resp, body := answer(t, r)
		if resp.StatusCode != 200 || body != tt.want || resp.Header.Get("X-Gate") != tt.gate || resp.Header.Get("Date") == "" {
			t.Errorf("%q: %v, %q", tt.send, resp, body)
		}
	}
}

// TestInPieces: how a request is cut changes nothing, and what follows it is
// not lost, in the gate or on the way through it.
func TestInPieces(t *testing.T) {
	address := serve(t, nil, tell)
	post := "POST /?EIO=4 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
	all := get + post + get + "GET /other HTTP/1.1\r\nHost: x\r\n\r\n" + get
	for size := 1; size < len(all); size += 1 + size/9 {
		c, r := dial(t, address)
		var wg sync.WaitGroup
		wg.Go(func() {
			for b := []byte(all); len(b) > 0; {
				n := min(size, len(b))
				c.Write(b[:n])
				b = b[n:]
			}
		})
		for i, want := range []string{"GET /s", "POST /", "GET /s", "GET /o", "GET /s"} {
			if _, body := answer(t, r); !strings.HasPrefix(body, want) {
				t.Errorf("pieces of %d, answer %d: %q", size, i, body)
			}
		}
		wg.Wait()
		c.Close()
	}
}

// TestOddRequests: whatever is unusual or wrong is answered as net/http does.
func TestOddRequests(t *testing.T) {
	plain := serve(t, func(s *http.Server) {
		s.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return ctx }
	}, tell)
	gated := serve(t, nil, tell)
	const line, host = "GET /?EIO=4 HTTP/1.1\r\n", "Host: x\r\n"
	post := "POST /?EIO=4 HTTP/1.1\r\n" + host
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, request := range []string{
		line + "\r\n", line + host + host + "\r\n", line + "Host: a b\r\n\r\n", line + "Host:\r\n\r\n", line + "Host : x\r\n\r\n",
		line + host + " folded: 1\r\n\r\n", line + host + "X-A: 1\r\n 2\r\n\r\n", line + host + "X-A: a\x00b\r\n\r\n", line + host + "X-A: a\nX-B: b\r\n\r\n",
		line + host + "no colon\r\n\r\n", line + host + ": 1\r\n\r\n", line + host + "X A: 1\r\n\r\n",
		"GET /?EIO=4 HTTP/1.0\r\n" + host + "\r\n", "GET /?EIO=4 HTTP/1.2\r\n" + host + "\r\n", "GET /?EIO=4\r\n\r\n", "get /?EIO=4 HTTP/1.1\r\n" + host + "\r\n",
		"GET  /?EIO=4 HTTP/1.1\r\n" + host + "\r\n", "GET http://y/?EIO=4 HTTP/1.1\r\n" + host + "\r\n", "GET /%zz?EIO=4 HTTP/1.1\r\n" + host + "\r\n",
		"PUT /?EIO=4 HTTP/1.1\r\n" + host + "\r\n", "GET /?EIO=4#a HTTP/1.1\r\n" + host + "\r\n", "GET /\x80?EIO=4 HTTP/1.1\r\n" + host + "\r\n",
		line + host + "Content-Length: 3\r\n\r\nabc", line + host + "Connection: close\r\n\r\n", line + host + "Upgrade: h2c\r\n\r\n",
		post + "\r\n", post + "Content-Length: -1\r\n\r\n", post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", post + "Content-Length: 0x2\r\n\r\nab",
		post + "Content-Length: +2\r\n\r\nab", post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", post + "Transfer-Encoding: identity\r\n\r\n", post + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\na",
		post + "Content-Length: 20000\r\n\r\n" + strings.Repeat("x", 20000), line + host + "X-A: " + strings.Repeat("y", 20000) + "\r\n\r\n",
		line + host + strings.Repeat("X-B: 1\r\n", 100) + "\r\n", "GET /?EIO=4 HTTP/1.1\nHost: x\n\n", "GET /?EIO=4 HTTP/1.1\r\nHost: x\n\r\n", "\r\n" + get, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x00\xff\x01\x00\x00\xfb\x03\x03....................",
	} {
		wg.Go(func() {
			want, got := dialogue(t, plain, request), dialogue(t, gated, request)
			if want != got {
				t.Errorf("%.80q:\nwithout a gate %q\nwith it        %q", request, want, got)
			}
		})
	}
}

// dialogue sends text, ends that direction, and returns all that is answered
// but for the date and what tells of the gate. An end by reset is an end.
func dialogue(t *testing.T, address, text string) string {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	io.WriteString(c, text)
	time.AfterFunc(200*time.Millisecond, func() { c.(*net.TCPConn).CloseWrite() }) // or a gated GET looks cut off
	all, _ := io.ReadAll(c)
	var lines []string
	for line := range strings.SplitSeq(string(all), "\r\n") {
		if !strings.HasPrefix(line, "Date:") && !strings.HasPrefix(line, "X-Gate:") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func TestDeferredAnswer(t *testing.T) {
	type waiting struct {
		w    http.ResponseWriter
		gone chan error
	}
	waits := make(chan waiting, 1)
	address := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		gone := make(chan error, 1)
		w.(deferrer).Defer(func(err error) { gone <- err })
		waits <- waiting{w, gone}
	})
	c, r := dial(t, address)
	for i := range 50 {
		io.WriteString(c, get)
		g := <-waits
		left := make(chan error, 1)
		text := strings.Repeat("x", i*i*1000)
		g.w.(deferrer).Resume(time.Minute, func() { io.WriteString(g.w, text) }, func(err error) { left <- err })
		resp, body := answer(t, r)
		if resp.ContentLength != int64(len(text)) || body != text {
			t.Errorf("answer %d: %v", i, resp)
		}
		if err := <-left; err != nil {
			t.Errorf("done: %v", err)
		}
	}
	io.WriteString(c, get)
	g := <-waits
	c.Close()
	if err := <-g.gone; err == nil {
		t.Error("gone without an error")
	}
	left := make(chan error, 1)
	g.w.(deferrer).Resume(time.Minute, func() {}, func(err error) { left <- err })
	<-left // whatever it says: the kernel may have taken it
}

// TestSlowReader: an answer that does not leave at once leaves whole, and one
// that does not leave at all is given up.
func TestSlowReader(t *testing.T) {
	text := strings.Repeat("0123456789", 4<<20) // more than the buffers of both ends take
	var timeout atomic.Int64
	left := make(chan error, 1)
	address := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.(deferrer).Defer(func(error) {})
		w.(deferrer).Resume(time.Duration(timeout.Load()), func() { io.WriteString(w, text) }, func(err error) { left <- err })
	})
	timeout.Store(int64(time.Minute))
	c, r := dial(t, address)
	io.WriteString(c, get)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, []byte(text)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := <-left; err != nil {
		t.Errorf("done: %v", err)
	}
	timeout.Store(int64(50 * time.Millisecond))
	io.WriteString(c, get) // and nothing is read
	if err := <-left; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("done: %v, want the deadline", err)
	}
}

func TestHandlersThatPanic(t *testing.T) {
	address := serve(t, nil, func(w http.ResponseWriter, r *http.Request) { panic("no") })
	c, r := dial(t, address)
	io.WriteString(c, get)
	if b, err := r.ReadByte(); err != io.EOF {
		t.Errorf("read %q, %v; want the end", b, err)
	}
}

func TestHijack(t *testing.T) {
	address := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		line, err := rw.ReadString('\n')
		fmt.Fprintf(nc, "%s%v", line, err)
		line, err = rw.ReadString('\n')
		fmt.Fprintf(nc, "%s%v", line, err)
	})
	c, r := dial(t, address)
	io.WriteString(c, get+"early\n")
	io.WriteString(c, "late\n")
	if all, err := io.ReadAll(r); string(all) != "early\n<nil>late\n<nil>" {
		t.Errorf("got %q, %v", all, err)
	}
}

// TestIdleTimeout: who says nothing is closed, if the server wants that.
func TestIdleTimeout(t *testing.T) {
	address := serve(t, func(s *http.Server) {
		s.IdleTimeout, s.ReadHeaderTimeout = 50*time.Millisecond, 50*time.Millisecond
	}, tell)
	for _, send := range []string{"", "GET /?EIO=4 HT", get} {
		c, r := dial(t, address)
		io.WriteString(c, send)
		if send == get {
			answer(t, r)
		}
		if b, err := r.ReadByte(); err != io.EOF {
			t.Errorf("after %q: read %q, %v; want the end", send, b, err)
		}
	}
}

// TestShutdownEndsConnectionsAtRest: and answers those that are not.
func TestShutdownEndsConnectionsAtRest(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan deferrer, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(deferrer).Defer(func(error) {})
		waits <- w.(deferrer)
	})}
	ended := make(chan error, 1)
	go func() { ended <- gate.Serve(server, l, "/") }()
	rests, resting := dial(t, l.Addr().String())
	_ = rests
	c, r := dial(t, l.Addr().String())
	io.WriteString(c, get)
	w := <-waits
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
	if _, err := resting.ReadByte(); err == nil {
		t.Error("a connection at rest is open")
	}
	w.Resume(0, func() {}, nil)
	if resp, _ := answer(t, r); resp.StatusCode != 200 {
		t.Errorf("answer after Shutdown: %v", resp)
	}
	if b, err := r.ReadByte(); err != io.EOF {
		t.Errorf("read %q, %v; want the end", b, err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("connected after Shutdown")
	}
}
