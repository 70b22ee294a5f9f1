package engineio

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tutti-rt/tutti/internal/slab"
	"github.com/tutti-rt/tutti/internal/turn"
)

var errTooBig = errors.New("body too big")

// post takes what the peer sends with a POST. The body is read and its packets are handled before it is answered:
// the client sends the next POST, or completes an upgrade, only then, which keeps the order.
func (t *pollTransport) post(w http.ResponseWriter, r *http.Request) {
	if refused := t.beginPost(w); refused != nil {
		t.s.tellHere()
		refused.write(t.s.srv, w, r, false)
		return
	}
	defer t.endPost()
	binary := isBinary(r)
	if binary && t.s.protocol == 4 {
		t.bodyDone()
		t.s.fail(broken("binary body"))
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	conn := http.NewResponseController(w)
	body, err := readBody(r.ContentLength, &counted{t: t, body: r.Body, conn: conn}, t.s.srv.cfg.MaxPayload)
	defer slab.Put(body)
	defer t.arrive(0)
	switch {
	case t.bodyDone():
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusBadRequest)
		return
	case errors.Is(err, errTooBig):
		t.s.srv.trace.limit("MaxPayload", t.s.peer)
		w.WriteHeader(http.StatusRequestEntityTooLarge) // the session goes on
		return
	case err != nil:
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.s.srv.trace.limit("WriteTimeout", t.s.peer)
		}
		t.s.fail(&fault{ReasonTransportError, err})
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	_ = conn.SetReadDeadline(time.Time{}) // handlers may take longer than a piece of the body
	if err := t.decode(body, binary); err != nil {
		if errors.Is(err, errTooManyPackets) {
			t.s.srv.trace.limit("MaxPackets", t.s.peer)
		}
		t.s.fail(err)
		t.farewell()
	}
	h := t.s.srv.header(w, r, false)
	h.Set("Content-Type", "text/html") // "text/plain" makes some old browsers offer a download
	_, _ = io.WriteString(w, "ok")     // if it does not arrive, the peer's next request tells
}

func (t *pollTransport) beginPost(w http.ResponseWriter) *refusal {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case t.status == replaced:
		return refuse(CodeBadRequest)
	case t.status == ended:
		return refuse(CodeSessionUnknown)
	case t.posting:
		s.failLocked(broken("two POSTs at the same time"), endTell)
		return &refusal{status: http.StatusBadRequest}
	}
	t.posting = true
	t.body = http.NewResponseController(w)
	t.busy++
	return nil
}

func (t *pollTransport) endPost() {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.posting, t.body = false, nil
	t.leave()
}

// bodyDone says that nothing more is read of a body, and reports whether its connection was told to stop reading: then
// net/http takes the peer for gone, now or with the next request.
func (t *pollTransport) bodyDone() bool {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.body = nil
	return t.cut
}

// farewellTime is how long the answer to a close packet waits for a GET.
const farewellTime = 20 * time.Millisecond

// farewell waits a moment if the peer has sent a close packet while no GET was pending. Clients send the two at the
// same time on different connections, and goroutines take them in any order; a GET that comes too late would be
// told that there is no such session.
func (t *pollTransport) farewell() {
	s := t.s
	s.mu.Lock()
	coming := t.coming
	s.mu.Unlock()
	if coming == nil {
		return
	}
	moment := time.NewTimer(farewellTime)
	defer moment.Stop()
	select {
	case <-coming:
	case <-moment.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.coming = nil
	s.flushedLocked()
}

// isBinary reports whether the body of r is binary. Revision 3 clients say so for binary payloads.
func isBinary(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/octet-stream"
}

// leastBody is the size of the buffer that a body is first read into.
const leastBody = 4 << 10

// readBody reads a body into a buffer of slab's, which is returned in any case. It does not believe the declared length
// except when that is too big already: what is not there needs no memory.
func readBody(declared int64, r io.Reader, limit int64) ([]byte, error) {
	if declared > limit {
		return nil, errTooBig
	}
	b := slab.Get(leastBody)
	for {
		if len(b) == cap(b) {
			bigger := append(slab.Get(int(min(2*int64(cap(b)), max(limit+1, int64(cap(b))+1)))), b...)
			slab.Put(b)
			b = bigger
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > limit:
			return b, errTooBig
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return b, err
		}
	}
}

// fewPackets is how many packets are handled until the time is looked at.
const fewPackets = 32

// decode hands on the packets of a body.
func (t *pollTransport) decode(body []byte, binary bool) error {
	n, began := 0, time.Now()
	handle := func(p packet) error {
		if n++; n%fewPackets == 0 && time.Since(began) > turn.Slice { // a body may be ten thousand packets
			t.s.srv.line.Wait()
			began = time.Now()
		}
		return t.s.handle(t, p)
	}
	limit := t.s.srv.cfg.MaxPackets
	if t.script != nil {
		text, err := formField(string(body))
		if err != nil {
			return unparsable(err)
		}
		if text == "" {
			return nil
		}
		body = []byte(unescapeLines(text))
	}
	switch {
	case t.s.protocol == 4:
		return decodePayload(body, limit, handle)
	case binary:
		return decodeBinaryPayloadV3(body, limit, handle)
	default:
		return decodePayloadV3(body, limit, handle)
	}
}

// formField returns the field d of a form. Other fields cost nothing: half a million of them would fit a body.
func formField(form string) (string, error) {
	for pair := range strings.SplitSeq(form, "&") {
		if value, ok := strings.CutPrefix(pair, "d="); ok {
			return url.QueryUnescape(value)
		}
	}
	return "", nil
}

// unescapeLines undoes what JSONP clients do to line feeds, because browsers change those in form fields: a line feed
// is sent as \n, and a backslash before an n as two.
func unescapeLines(s string) string {
	return strings.NewReplacer(`\\n`, `\n`, `\n`, "\n").Replace(s)
}
