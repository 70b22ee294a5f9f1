package engineio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tutti-rt/tutti/internal/websocket"
	"github.com/tutti-rt/tutti/quota"
)

// refusal is the answer to a request that is not served. Without a code it has no body.
type refusal struct {
	status int
	code   Code
	text   string
	retry  time.Duration // of 503: when to come back, 0: after a while
	why    string        // of 503: in words, perhaps
	late   bool          // it came too often: the answer may wait
}

// busy returns the answer to a handshake for which there is no room, err being what says so, or nil.
func busy(err error) *refusal {
	f := &refusal{status: http.StatusServiceUnavailable}
	var e *quota.Exceeded
	if errors.As(err, &e) {
		f.retry, f.why, f.late = e.Wait, e.Text, true
	}
	return f
}

func refuse(code Code) *refusal {
	return &refusal{status: http.StatusBadRequest, code: code, text: code.String()}
}

// forbid returns the answer to a request that err forbids.
func forbid(err error) *refusal {
	f := &refusal{status: http.StatusForbidden, code: CodeForbidden, text: CodeForbidden.String()}
	var public *Refusal
	if errors.As(err, &public) {
		f.text = public.Message
	}
	return f
}

// answer writes the refusal, when it is time to: see [quota.Config].Refusal.
func (f *refusal) answer(srv *Server, w http.ResponseWriter, r *http.Request, upgrade bool) {
	d := srv.cfg.Quota.Refusal()
	if !f.late || d == 0 {
		f.write(srv, w, r, upgrade)
		return
	}
	later, ok := w.(deferrer)
	if !ok {
		srv.wait(r.Context(), d)
		f.write(srv, w, r, upgrade)
		return
	}
	resume := func() { later.Resume(0, func() { f.write(srv, w, r, upgrade) }, func(error) {}) }
	t := time.AfterFunc(d, resume) // nobody waits for it: it only writes
	later.Defer(func(error) {
		if t.Stop() {
			resume() // or what it holds would be kept of somebody who is gone
		}
	})
}

// wait returns after d, or when ctx is done or the server is shutting down.
func (srv *Server) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-srv.ending:
	}
}

// write writes the refusal. To who asks for a WebSocket the answer is always 400 with the text: clients do not see
// more of it than that it failed.
func (f *refusal) write(srv *Server, w http.ResponseWriter, r *http.Request, upgrade bool) {
	h := w.Header()
	switch {
	case f.text == "":
		if f.status == http.StatusServiceUnavailable {
			h.Set("Retry-After", strconv.Itoa(max(retryAfter, int(math.Ceil(f.retry.Seconds())))))
		}
		if f.why != "" {
			h.Set("Content-Type", "text/plain; charset=utf-8")
		}
		w.WriteHeader(f.status)
		_, _ = io.WriteString(w, f.why)                // nobody is left to tell
		if f.status != http.StatusServiceUnavailable { // then a limit was hit, or the server ends
			srv.cfg.Log.Debug("request refused", "status", f.status)
			srv.trace.refused(r, CodeBadRequest)
		}
		return
	case upgrade:
		h.Set("Connection", "close")
		h.Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, f.text) // nobody is left to tell
	default:
		h.Set("Content-Type", "application/json")
		w.WriteHeader(f.status)
		_, _ = w.Write(f.body()) // nobody is left to tell
	}
	srv.cfg.Log.Debug("request refused", "code", int(f.code), "err", f.text)
	srv.trace.refused(r, f.code)
}

// retryAfter is how many seconds a client that was answered 503 should stay away; stock clients come back in one to
// five of their own.
const retryAfter = 5

func (f *refusal) body() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		Code    Code   `json:"code"`
		Message string `json:"message"`
	}{f.code, f.text})
	if err != nil { // a number and a string cannot fail
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// header returns the headers of a successful answer to a polling request, which the caller completes.
func (srv *Server) header(w http.ResponseWriter, r *http.Request, first bool) http.Header {
	h := w.Header()
	if ua := r.UserAgent(); strings.Contains(ua, ";MSIE") || strings.Contains(ua, "Trident/") {
		h.Set("X-XSS-Protection", "0") // its filter takes answers for attacks
	}
	h.Set("Cache-Control", "no-store")
	if srv.cfg.Headers != nil {
		srv.cfg.Headers(h, r, first)
	}
	return h
}

// accept answers the handshake of a WebSocket, which becomes that of a.
func (srv *Server) accept(a *attached, w http.ResponseWriter, r *http.Request, first bool) error {
	o := srv.wsOptions
	o.Header = http.Header{}
	srv.origins.Load().SetHeader(o.Header, r)
	if srv.cfg.Headers != nil {
		srv.cfg.Headers(o.Header, r, first)
	}
	conn, err := websocket.Accept(w, r, o)
	if err != nil {
		return err
	}
	if !srv.attach(a, conn) {
		conn.Abort(nil)
		return ErrClosed
	}
	return nil
}

func isUnsupported(err error) bool { return errors.Is(err, http.ErrNotSupported) }
