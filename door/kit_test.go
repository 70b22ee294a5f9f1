package door_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/leak"
	"github.com/tutti-rt/tutti/internal/pipe"
	"github.com/tutti-rt/tutti/packet"
)

// TestMain fails if a goroutine stays behind.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

const secret = "0123456789abcdef-secret"

// open is what most tests let anyone do.
var open = door.Access{Rooms: []string{"chat:*"}}

// A world is a space with doors on a network in memory.
type world struct {
	t        *testing.T
	hub      *hub.Hub
	space    *hub.Space
	mux      *http.ServeMux
	server   *http.Server
	listener *pipe.Listener
	client   *http.Client
	trace    *door.Trace
	doors    []*door.Door

	mu        sync.Mutex
	seen      []string // what the trace told
	published []int    // members that each message from a door was handed to
}

// bubble runs test in a world where time is fake. What a door leaves behind
// fails it.
func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, pipe.DefaultBuffer)
		defer w.close()
		test(t, w)
	})
}

func newWorld(t *testing.T, buffer int) *world {
	h := hub.New(hub.Config{})
	w := &world{t: t, hub: h, space: h.Space("/"), mux: http.NewServeMux(), listener: pipe.ListenBuffer(buffer)}
	note := func(format string, args ...any) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, fmt.Sprintf(format, args...))
	}
	w.trace = &door.Trace{
		Opened: func() { note("opened") },
		Closed: func(why door.Reason) { note("closed: %s", why) },
		Published: func(members int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.published = append(w.published, members)
		},
		Refused:  func(status int, code string) { note("refused: %d %s", status, code) },
		LimitHit: func(limit string) { note("limit: %s", limit) },
	}
	w.server = &http.Server{
		Handler: w.mux, ErrorLog: log.New(io.Discard, "", 0),
		ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, // streams must outlive them
	}
	w.client = &http.Client{Transport: &http.Transport{DialContext: w.listener.DialContext, DisableCompression: true}}
	go w.server.Serve(w.listener) // ended by close; the bubble waits for it
	return w
}

func (w *world) close() {
	for _, d := range w.doors {
		if err := d.Shutdown(w.t.Context()); err != nil {
			w.t.Errorf("shutdown: %v", err)
		}
		if n := d.Streams(); n != 0 {
			w.t.Errorf("%d streams are open after Shutdown", n)
		}
	}
	w.client.CloseIdleConnections()
	w.server.Close()
	w.listener.Close()
	<-time.After(time.Second) // net/http lingers half a second after some refusals
	synctest.Wait()
	if n := len(w.space.Members(hub.Address{})); n != 0 {
		w.t.Errorf("%d members are left in the space", n)
	}
}

// told returns what the trace was told since the last call.
func (w *world) told() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

func (w *world) wantTold(rule string, want ...string) {
	w.t.Helper()
	if got := w.told(); !slices.Equal(got, want) {
		w.t.Errorf("%s: the trace was told %q, want %q", rule, got, want)
	}
}

func (w *world) mount(path string, d *door.Door, err error) *door.Door {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	w.mux.Handle(path, d)
	w.doors = append(w.doors, d)
	return d
}

var quiet = slog.New(slog.DiscardHandler)

func (w *world) events(cfg door.EventsConfig) *door.Door {
	w.t.Helper()
	cfg.Log, cfg.Trace = quiet, w.trace
	d, err := door.Events(w.space, cfg)
	return w.mount("/events", d, err)
}

func (w *world) sockets(cfg door.WebSocketConfig) *door.Door {
	w.t.Helper()
	cfg.Log, cfg.Trace = quiet, w.trace
	d, err := door.WebSocket(w.space, cfg)
	return w.mount("/ws", d, err)
}

func (w *world) publisher(cfg door.PublishConfig) *door.Door {
	w.t.Helper()
	cfg.Log, cfg.Trace = quiet, w.trace
	d, err := door.Publish(w.space, cfg)
	return w.mount("/api/publish", d, err)
}

// publish puts a message into the space by no door.
func (w *world) publish(m *hub.Message, rooms ...string) hub.Receipt {
	w.t.Helper()
	r, err := w.space.Publish(w.t.Context(), m, hub.Address{Rooms: rooms})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) event(name string, values ...any) *hub.Message {
	w.t.Helper()
	args, err := packet.Marshal(values...)
	if err != nil {
		w.t.Fatal(err)
	}
	return &hub.Message{Event: name, Args: args}
}

// do sends a request. Headers are in pairs.
func (w *world) do(method, path, body string, headers ...string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, "http://example.test"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

// answer sends a request and returns the whole answer.
func (w *world) answer(method, path, body string, headers ...string) (*http.Response, string) {
	w.t.Helper()
	resp := w.do(method, path, body, headers...)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, strings.TrimSpace(string(text))
}

// wantRefusal checks that an answer refuses in the form that every door has.
func (w *world) wantRefusal(rule string, resp *http.Response, body string, status int, code string) {
	w.t.Helper()
	if resp.StatusCode != status || !strings.HasPrefix(body, `{"error":{"code":"`+code+`","message":"`) {
		w.t.Errorf("%s: %d %s, want %d with the code %q", rule, resp.StatusCode, body, status, code)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		w.t.Errorf("%s: Content-Type %q", rule, got)
	}
}

// A listener reads a stream of events, strictly: every line must be one that
// the door is to write.
type listener struct {
	t    *testing.T
	resp *http.Response
	r    *bufio.Reader
}

// An item of a stream is an event, or a comment or a retry hint.
type item struct{ id, event, data, other string }

func (w *world) listen(path string, headers ...string) *listener {
	w.t.Helper()
	resp := w.do("GET", path, "", headers...)
	if resp.StatusCode != 200 {
		text, _ := io.ReadAll(resp.Body)
		w.t.Fatalf("GET %s: %d %s", path, resp.StatusCode, text)
	}
	l := &listener{t: w.t, resp: resp, r: bufio.NewReader(resp.Body)}
	if got := l.next().other; !strings.HasPrefix(got, "retry: ") {
		w.t.Errorf("the stream begins with %q, want a retry hint", got)
	}
	return l
}

func (l *listener) close() { l.resp.Body.Close() }

// read returns the next item or the error that ended the stream.
func (l *listener) read() (item, error) {
	var lines []string
	for {
		line, err := l.r.ReadString('\n')
		if err != nil {
			if errors.Is(err, io.EOF) && len(lines)+len(line) > 0 {
				l.t.Errorf("the stream ends inside an item: %q %q", lines, line)
			}
			return item{}, err
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			break
		}
		if strings.Contains(line, "\r") {
			l.t.Errorf("a line with a carriage return: %q", line)
		}
		lines = append(lines, line)
	}
	if len(lines) == 1 {
		return item{other: lines[0]}, nil
	}
	var it item
	if len(lines) == 3 {
		var ok [3]bool
		it.id, ok[0] = strings.CutPrefix(lines[0], "id: ")
		it.event, ok[1] = strings.CutPrefix(lines[1], "event: ")
		it.data, ok[2] = strings.CutPrefix(lines[2], "data: ")
		if ok == [3]bool{true, true, true} {
			return it, nil
		}
	}
	l.t.Errorf("an item of the lines %q", lines)
	return it, nil
}

func (l *listener) next() item {
	l.t.Helper()
	it, err := l.read()
	if err != nil {
		l.t.Fatalf("read stream: %v", err)
	}
	return it
}

func (l *listener) want(event, data string) {
	l.t.Helper()
	if it := l.next(); it.event != event || it.data != data || it.id == "" {
		l.t.Errorf("got %+v, want the event %s with %s", it, event, data)
	}
}

// wantCut reads until the stream ends, which must not look like a proper end,
// and returns how many items came before.
func (l *listener) wantCut() int {
	l.t.Helper()
	for n := 0; ; n++ {
		if _, err := l.read(); errors.Is(err, io.EOF) {
			l.t.Error("the stream ends as if it were complete")
			return n
		} else if err != nil {
			return n
		}
	}
}

// A socket is a WebSocket client.
type socket struct {
	t    *testing.T
	conn net.Conn
	r    io.Reader
	resp http.Header
}

// refused is why a handshake was not accepted.
type refused struct {
	status int
	body   string
}

// dial opens a WebSocket. Headers are in pairs.
func (w *world) dial(path string, headers ...string) (*socket, *refused) {
	w.t.Helper()
	s := &socket{t: w.t, resp: http.Header{}}
	h := http.Header{}
	var protocols []string
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Sec-WebSocket-Protocol" {
			protocols = append(protocols, headers[i+1])
			continue
		}
		h.Add(headers[i], headers[i+1])
	}
	var no *refused
	d := ws.Dialer{
		NetDial:   func(ctx context.Context, _, _ string) (net.Conn, error) { return w.listener.DialContext(ctx, "", "") },
		Header:    ws.HandshakeHeaderHTTP(h),
		Protocols: protocols,
		OnHeader: func(key, value []byte) error {
			s.resp.Add(string(key), string(value))
			return nil
		},
		OnStatusError: func(status int, _ []byte, resp io.Reader) {
			r, err := http.ReadResponse(bufio.NewReader(resp), nil)
			if err != nil {
				w.t.Fatal(err)
			}
			body, _ := io.ReadAll(r.Body)
			no = &refused{status, strings.TrimSpace(string(body))}
		},
	}
	conn, early, _, err := d.Dial(w.t.Context(), "ws://example.test"+path)
	if no != nil {
		return nil, no
	}
	if err != nil {
		w.t.Fatalf("dial %s: %v", path, err)
	}
	s.conn = conn
	if s.r = io.Reader(conn); early != nil {
		s.r = early
	}
	return s, nil
}

func (w *world) connect(path string, headers ...string) *socket {
	w.t.Helper()
	s, no := w.dial(path, headers...)
	if no != nil {
		w.t.Fatalf("dial %s: %d %s", path, no.status, no.body)
	}
	return s
}

func (s *socket) close() { s.conn.Close() }

func (s *socket) send(text string) {
	s.t.Helper()
	if err := wsutil.WriteClientText(s.conn, []byte(text)); err != nil {
		s.t.Errorf("send %.60q: %v", text, err)
	}
}

// read returns the next text; a ping is "ping" and a close frame an error.
func (s *socket) read() (string, error) {
	h, err := ws.ReadHeader(s.r)
	if err != nil {
		return "", err
	}
	data := make([]byte, h.Length)
	if _, err := io.ReadFull(s.r, data); err != nil {
		return "", err
	}
	switch h.OpCode {
	case ws.OpText:
		return string(data), nil
	case ws.OpPing:
		return "ping", nil
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(data)
		return "", fmt.Errorf("closed: %d %s", code, reason)
	}
	return "", fmt.Errorf("opcode %v", h.OpCode)
}

func (s *socket) want(text string) {
	s.t.Helper()
	if got, err := s.read(); err != nil || got != text {
		s.t.Errorf("got %.200q and %v, want %.200q", got, err, text)
	}
}

// wantClose reads the close frame and answers it.
func (s *socket) wantClose(code int, reason string) {
	s.t.Helper()
	_, err := s.read()
	if want := fmt.Sprintf("closed: %d %s", code, reason); err == nil || err.Error() != want {
		s.t.Errorf("got %v, want %q", err, want)
	}
	s.close()
}

// wantQuiet checks that nothing is on its way.
func (s *socket) wantQuiet(rule string) {
	s.t.Helper()
	synctest.Wait()
	if n := s.conn.(*pipe.Conn).Buffered(); n != 0 {
		got, err := s.read()
		s.t.Errorf("%s: got %q, %v, want nothing", rule, got, err)
	}
}
