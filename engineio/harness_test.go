package engineio_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/internal/pipe"
)

// The heartbeat of most tests.
const (
	interval = 300 * time.Millisecond
	timeout  = 200 * time.Millisecond
)

// harness is a server on a network in memory, in a bubble of fake time.
type harness struct {
	t      *testing.T
	srv    *engineio.Server
	l      *pipe.Listener
	client *http.Client

	mu   sync.Mutex
	ends []*end // of sessions, in the order of their handshakes
}

// end is the server's end of a session: it notes what it receives and does what the test wants on it.
type end struct {
	*engineio.Session
	onMessage func(m engineio.Message)

	mu     sync.Mutex
	got    []string
	closed []string // reasons
	err    error
}

func (e *end) Receive(m engineio.Message) {
	e.mu.Lock()
	if len(e.closed) > 0 {
		e.got = append(e.got, "after Closed!")
	}
	e.got = append(e.got, show(m))
	f := e.onMessage
	e.mu.Unlock()
	if f != nil {
		f(m)
	}
}

func (e *end) Closed(reason engineio.Reason, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed, e.err = append(e.closed, string(reason)), err
}

func show(m engineio.Message) string {
	if m.Binary {
		return fmt.Sprintf("%x", m.Data)
	}
	return string(m.Data)
}

// echo makes the end answer every message with itself.
func (e *end) echo() *end {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.onMessage = func(m engineio.Message) { _ = e.Send(engineio.Prepare(m)) }
	return e
}

func (e *end) say(texts ...string) {
	for _, text := range texts {
		_ = e.Send(engineio.Prepare(engineio.Message{Data: []byte(text)}))
	}
}

func (h *harness) wantGot(e *end, want ...string) {
	h.t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if strings.Join(e.got, "|") != strings.Join(want, "|") {
		h.t.Errorf("the server's end received %q, want %q", e.got, want)
	}
}

func (h *harness) wantClosed(e *end, rule string, reason engineio.Reason) {
	h.t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.closed) != 1 || e.closed[0] != string(reason) {
		h.t.Errorf("%s: Closed called with %q, want once with %q", rule, e.closed, reason)
	}
}

func (h *harness) wantOpen(e *end, rule string) {
	h.t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.closed) != 0 {
		h.t.Errorf("%s: the session was closed: %q %v", rule, e.closed, e.err)
	}
}

// Accept makes the end of a new session.
func (h *harness) Accept(s *engineio.Session) engineio.Receiver {
	e := &end{Session: s}
	s.Confirm()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends = append(h.ends, e)
	return e
}

// last returns the end of the newest session.
func (h *harness) last() *end {
	h.t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ends) == 0 {
		h.t.Fatal("no session")
	}
	return h.ends[len(h.ends)-1]
}

// run runs test on a server of its own, and checks that nothing is left of it.
func run(t *testing.T, cfg engineio.Config, test func(h *harness)) {
	t.Helper()
	runWith(t, cfg, nil, test)
}

// runWith is run with another acceptor than the harness.
func runWith(t *testing.T, cfg engineio.Config, acceptor func(h *harness) engineio.Acceptor, test func(h *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &harness{t: t, l: pipe.Listen()}
		if cfg.PingInterval == 0 {
			cfg.PingInterval, cfg.PingTimeout = interval, timeout
		}
		if cfg.Log == nil {
			cfg.Log = slog.New(slog.DiscardHandler)
		}
		var a engineio.Acceptor = h
		if acceptor != nil {
			a = acceptor(h)
		}
		srv, err := engineio.New(cfg, a)
		if err != nil {
			t.Fatal(err)
		}
		h.srv = srv
		server := &http.Server{Handler: srv, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
		transport := &http.Transport{DialContext: h.l.DialContext, DisableCompression: true}
		h.client = &http.Client{Transport: transport}
		go server.Serve(h.l)
		defer h.end(server, transport)
		test(h)
	})
}

// end shuts down, also after a test that has given up, and checks that nothing is left.
func (h *harness) end(server *http.Server, transport *http.Transport) {
	t, srv := h.t, h.srv
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if n := srv.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	for _, e := range h.ends {
		if len(e.closed) != 1 {
			t.Errorf("Closed was called %d times: %q", len(e.closed), e.closed)
		}
	}
	transport.CloseIdleConnections()
	server.Close()
}

// answer is an answer over HTTP.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %s", a.status, a.body)
}

func (h *harness) do(method, query, body string, header ...string) answer {
	return h.doContext(context.Background(), method, query, strings.NewReader(body), header...)
}

func (h *harness) doContext(ctx context.Context, method, query string, body io.Reader, header ...string) answer {
	r, err := http.NewRequestWithContext(ctx, method, "http://tutti.test/engine.io/?"+query, body)
	if err != nil {
		return answer{err: err}
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := h.client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(b), err: err}
}

func (h *harness) want(rule string, a answer, status int, body string) {
	h.t.Helper()
	if a.err != nil || a.status != status || a.body != body {
		h.t.Errorf("%s: answered %v, want %d %s", rule, a, status, body)
	}
}

// poller is a client that polls.
type poller struct {
	*harness
	sid   string
	query string
	open  answer
}

// poll opens a session over polling. query replaces "EIO=4" if it is not empty.
func (h *harness) poll(query string) *poller {
	h.t.Helper()
	if query == "" {
		query = "EIO=4"
	}
	p := &poller{harness: h, open: h.do("GET", query+"&transport=polling", "")}
	body := strings.ReplaceAll(p.open.body, `\"`, `"`) // as JSONP has it
	i := strings.IndexByte(body, '{')
	var opened struct{ Sid string }
	if p.open.status != 200 || i < 0 || json.NewDecoder(strings.NewReader(body[i:])).Decode(&opened) != nil {
		h.t.Fatalf("no session: %v", p.open)
	}
	p.sid = opened.Sid
	p.query = query + "&transport=polling&sid=" + p.sid
	return p
}

func (p *poller) get() answer                            { return p.do("GET", p.query, "") }
func (p *poller) post(s string, header ...string) answer { return p.do("POST", p.query, s, header...) }

// later starts a GET.
func (p *poller) later() <-chan answer {
	c := make(chan answer, 1)
	go func() { c <- p.get() }()
	synctest.Wait()
	return c
}

func (p *poller) send(payload string) {
	p.t.Helper()
	p.harness.want("POST "+payload, p.post(payload), 200, "ok")
}

func (p *poller) want(payload string) {
	p.t.Helper()
	p.harness.want("GET", p.get(), 200, payload)
}

func (p *poller) wantGone(rule string) {
	p.t.Helper()
	p.harness.want(rule, p.get(), 400, `{"code":1,"message":"Session ID unknown"}`)
}

// socket is a client on a WebSocket.
type socket struct {
	*harness
	conn net.Conn
	sid  string
	rw   io.ReadWriter
}

// dial opens a WebSocket. query is as for poll; a sid makes it an upgrade.
func (h *harness) dial(query, sid string) (*socket, error) {
	w, _, err := h.dialWith(query, sid, nil)
	return w, err
}

// dialWith is dial with headers, and returns those of the answer.
func (h *harness) dialWith(query, sid string, header http.Header) (*socket, http.Header, error) {
	if query == "" {
		query = "EIO=4"
	}
	url := "ws://tutti.test/engine.io/?" + query + "&transport=websocket"
	if sid != "" {
		url += "&sid=" + sid
	}
	answer := http.Header{}
	d := ws.Dialer{NetDial: h.l.DialContext, Header: ws.HandshakeHeaderHTTP(header), OnHeader: func(key, value []byte) error {
		answer.Add(string(key), string(value))
		return nil
	}}
	conn, buffered, _, err := d.Dial(context.Background(), url)
	if err != nil {
		return nil, nil, err
	}
	w := &socket{harness: h, conn: conn, sid: sid, rw: conn}
	if buffered != nil {
		w.rw = struct {
			io.Reader
			io.Writer
		}{buffered, conn}
	}
	return w, answer, nil
}

// socket opens a session over WebSocket.
func (h *harness) socket(query string) *socket {
	h.t.Helper()
	w, err := h.dial(query, "")
	if err != nil {
		h.t.Fatal(err)
	}
	var opened struct{ Sid string }
	data, _, err := w.read()
	if err != nil || len(data) == 0 || data[0] != '0' || json.Unmarshal(data[1:], &opened) != nil {
		h.t.Fatalf("no open packet: %q %v", data, err)
	}
	w.sid = opened.Sid
	synctest.Wait() // the client sees the open packet before the acceptor has returned
	return w
}

func (w *socket) read() ([]byte, ws.OpCode, error) { return wsutil.ReadServerData(w.rw) }

func (w *socket) send(texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		if err := wsutil.WriteClientText(w.conn, []byte(text)); err != nil {
			w.t.Errorf("send %q: %v", text, err)
		}
	}
}

func (w *socket) sendBinary(data ...byte) {
	w.t.Helper()
	if err := wsutil.WriteClientBinary(w.conn, data); err != nil {
		w.t.Errorf("send %x: %v", data, err)
	}
}

func (w *socket) want(texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		data, op, err := w.read()
		if err != nil || op != ws.OpText || string(data) != text {
			w.t.Errorf("WebSocket carried %q %v %v, want %q", data, op, err, text)
			return
		}
	}
}

func (w *socket) wantBinary(want ...byte) {
	w.t.Helper()
	data, op, err := w.read()
	if err != nil || op != ws.OpBinary || string(data) != string(want) {
		w.t.Errorf("WebSocket carried %x %v %v, want bytes %x", data, op, err, want)
	}
}

// wantEnd expects that the connection ends, with a close frame of code, or 0 for any end.
func (w *socket) wantEnd(rule string, code ws.StatusCode) {
	w.t.Helper()
	data, _, err := w.read()
	var closed wsutil.ClosedError
	switch {
	case err == nil:
		w.t.Errorf("%s: WebSocket carried %q, want its end", rule, data)
	case code != 0 && (!errors.As(err, &closed) || closed.Code != code):
		w.t.Errorf("%s: WebSocket ended with %v, want close code %d", rule, err, code)
	}
	w.conn.Close()
}

// upgrade moves p to a WebSocket as clients do.
func (p *poller) upgrade() *socket {
	p.t.Helper()
	w := p.probe()
	pending := p.later()
	w.send("2probe")
	w.want("3probe")
	p.harness.want("the pending GET is sent home", <-pending, 200, p.noop())
	w.send("5")
	synctest.Wait()
	return w
}

func (p *poller) noop() string {
	if strings.Contains(p.query, "EIO=3") {
		return "1:6"
	}
	return "6"
}

// probe opens a WebSocket for the session of p.
func (p *poller) probe() *socket {
	p.t.Helper()
	w, err := p.dial(p.query[:5], p.sid)
	if err != nil {
		p.t.Fatal(err)
	}
	return w
}

// pipeOf returns the client's end of the connection, with its knobs.
func pipeOf(w *socket) *pipe.Conn { return w.conn.(*pipe.Conn) }
