package gate

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// reply is the ResponseWriter of a request. It collects what the handler
// writes, and writes it when that has returned; or later, see Defer.
type reply struct {
	conn    *conn
	request *http.Request
	cancel  context.CancelFunc
	last    bool // the connection ends with it
	timeout time.Duration

	// The handler's until it has returned, then the answer's.
	header http.Header
	status int // 0: none yet
	body   []byte
	taken  bool // Release or Hijack was called
	// The answer leaves in chunks, see spill; and there are more of them to come.
	spilling, parted bool

	mu       sync.Mutex // conn.mu is not taken under it
	deferred bool
	returned bool   // the handler has
	fill     func() // given to Resume
	gone     func(error)
	lost     error // why nobody waits for the answer any more
	done     func(error)
}

// handle runs the handler.
func (w *reply) handle() {
	well := w.conn.protect(func() { w.conn.gate.handler.ServeHTTP(w, w.request) })
	w.mu.Lock()
	w.returned = true
	wait := w.deferred && w.fill == nil
	w.mu.Unlock()
	switch {
	case w.taken:
		w.cancel()
	case !well:
		w.cancel()
		w.conn.fail(errPanic)
	case !wait:
		w.finish()
	}
}

var errPanic = errors.New("gate: handler panicked")

// finish puts the answer together, and writes it.
func (w *reply) finish() {
	if w.fill != nil {
		w.fill()
	}
	w.cancel()
	w.wait()
	w.parted = false
	p := answers.Get().(*[]byte)
	*p = w.appendAnswer((*p)[:0])
	w.conn.write(w, *p) // which keeps nothing of it
	if cap(*p) <= keepAnswer {
		answers.Put(p)
	}
}

// wait says how long a peer may take nothing of the answer.
func (w *reply) wait() {
	if w.timeout <= 0 {
		w.timeout = patience
		if t := w.conn.gate.server.WriteTimeout; t > 0 {
			w.timeout = t
		}
	}
}

// keepAnswer is the size of the largest buffer that is kept.
const keepAnswer = 64 << 10

var answers = sync.Pool{New: func() any { return new([]byte) }}

// Header implements [http.ResponseWriter].
func (w *reply) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header, 4)
	}
	return w.header
}

// WriteHeader implements [http.ResponseWriter].
func (w *reply) WriteHeader(status int) {
	if w.status == 0 && status >= 200 { // nothing is told ahead
		w.status = status
	}
}

// Write implements [http.ResponseWriter].
func (w *reply) Write(p []byte) (int, error) {
	if w.taken {
		return 0, http.ErrHijacked
	}
	w.WriteHeader(http.StatusOK)
	if !hasBody(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	w.mu.Lock()
	putOff := w.deferred
	w.mu.Unlock()
	if putOff { // nothing may wait, and who fills it in knows how much that is
		w.body = append(w.body, p...)
		return len(p), nil
	}
	for rest := p; ; {
		n := min(len(rest), mostKept-len(w.body))
		w.body, rest = append(w.body, rest[:n]...), rest[n:]
		if len(rest) == 0 {
			return len(p), nil
		}
		if err := w.spill(); err != nil {
			return len(p) - len(rest), err
		}
	}
}

// Defer lets the handler return before it has answered; [reply.Resume] goes on
// with that. gone is called once if nobody waits for the answer any more, which
// must be given all the same. It must not wait, and may be called before Defer
// returns.
func (w *reply) Defer(gone func(error)) {
	w.mu.Lock()
	w.deferred, w.gone = true, gone
	lost := w.lost
	w.mu.Unlock()
	if lost != nil {
		gone(lost)
	}
}

// Resume has an answer given that was put off: fill writes it, as a handler
// does, by the time Resume returns or when the handler has. done is called when
// all of it has left, or cannot. The peer may take as long as some of it leaves
// within each timeout; 0 is the server's. Nothing of this waits.
func (w *reply) Resume(timeout time.Duration, fill func(), done func(error)) {
	w.mu.Lock()
	w.timeout, w.fill, w.done = timeout, fill, done
	returned := w.returned
	w.mu.Unlock()
	if returned {
		w.finish()
	}
}

// peerGone says that nobody waits for the answer.
func (w *reply) peerGone(err error) {
	w.mu.Lock()
	first := w.lost == nil
	if first {
		w.lost = err
	}
	gone := w.gone
	w.mu.Unlock()
	w.cancel()
	if first && gone != nil {
		gone(err)
	}
}

// left says that the answer has left, or cannot.
func (w *reply) left(err error) {
	w.mu.Lock()
	done := w.done
	w.done = nil
	w.mu.Unlock()
	if done != nil {
		done(err)
	}
}

// Release hands the connection's descriptor to the caller, with what was read
// behind the request. From then on the reply is nobody's.
func (w *reply) Release() (fd int, early []byte, ok bool) {
	c := w.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.taken || c.phase != serving {
		return 0, nil, false
	}
	early = c.kept
	c.reply, c.kept = nil, nil
	fd, ok = c.releaseLocked()
	w.taken = ok
	c.left(true)
	return fd, early, ok
}

// Hijack implements [http.Hijacker].
func (w *reply) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.taken {
		return nil, nil, http.ErrHijacked
	}
	fd, early, ok := w.Release()
	if !ok {
		return nil, nil, net.ErrClosed
	}
	h, err := w.conn.hand(fd, early)
	if err != nil {
		return nil, nil, err
	}
	rw := bufio.NewReadWriter(bufio.NewReader(h), bufio.NewWriter(h))
	_, _ = rw.Reader.Peek(len(early)) // fills it
	return h, rw, nil
}

func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// appendAnswer appends the answer as it is on the wire, or what has not left of
// it.
func (w *reply) appendAnswer(b []byte) []byte {
	if w.spilling {
		return w.appendLast(b)
	}
	return append(w.appendHead(b), w.body...)
}

// appendHead appends all that comes before the body.
func (w *reply) appendHead(b []byte) []byte {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(w.status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(w.status)...)
	for name, values := range w.header {
		switch name {
		case "Content-Length", "Transfer-Encoding", "Date", "Trailer":
			continue // ours
		case "Connection":
			w.last = len(values) > 0 && strings.EqualFold(values[0], "close")
		}
		for _, v := range values {
			b = append(b, "\r\n"...)
			b = append(b, cleanName.Replace(name)...)
			b = append(b, ": "...)
			b = append(b, cleanValue.Replace(v)...)
		}
	}
	if _, typed := w.header["Content-Type"]; !typed && len(w.body) > 0 {
		b = append(b, "\r\nContent-Type: "...)
		b = append(b, http.DetectContentType(w.body)...)
	}
	b = append(b, "\r\nDate: "...)
	b = append(b, w.conn.gate.today()...)
	switch {
	case w.spilling:
		b = append(b, "\r\nTransfer-Encoding: chunked"...)
	case hasBody(w.status):
		b = append(b, "\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(w.body)), 10)
	}
	return append(b, "\r\n\r\n"...)
}

// No handler can smuggle a line into an answer.
var (
	cleanName  = strings.NewReplacer("\r", "-", "\n", "-", ":", "-", " ", "-")
	cleanValue = strings.NewReplacer("\r", " ", "\n", " ")
)

// date is a second as HTTP writes it.
type date struct {
	second int64
	text   string
}

func (g *Gate) today() string {
	now := time.Now()
	if d := g.date.Load(); d != nil && d.second == now.Unix() {
		return d.text
	}
	d := &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
	g.date.Store(d)
	return d.text
}
