package engineio_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/quota"
)

// TestRefusalWaits says that who comes too often is answered later, by whatever
// carries the answer, and nobody else is.
func TestRefusalWaits(t *testing.T) {
	cfg := engineio.Config{Quota: quota.New(quota.Config{Handshakes: quota.Rate{PerSecond: 0.001, Burst: 1}, Refusal: 10 * time.Second})}
	run(t, cfg, func(h *harness) {
		began := time.Now()
		h.want("the first", h.do("GET", "EIO=5&transport=polling", ""), 400, `{"code":5,"message":"Unsupported protocol version"}`)
		if d := time.Since(began); d != 0 {
			t.Errorf("who is refused for another reason waited %v", d)
		}
		h.want("the second", h.do("GET", "EIO=4&transport=polling", ""), 503, "too many connections")
		wantWaited(t, "the second", began)
		began = time.Now()
		h.want("a WebSocket", h.refused("EIO=4&transport=websocket"), 503, "too many connections")
		wantWaited(t, "a WebSocket", began)
		began = time.Now()
		go h.do("GET", "EIO=4&transport=polling", "")
		synctest.Wait()
		if err := h.srv.Shutdown(context.Background()); err != nil || time.Since(began) != 0 {
			t.Errorf("shut down with somebody waiting to be refused: %v after %v", err, time.Since(began))
		}
	})
}

// TestMistakesWait says the same of requests that make no sense, if there are
// many: the answer is what it would be.
func TestMistakesWait(t *testing.T) {
	cfg := engineio.Config{Quota: quota.New(quota.Config{AddressHandshakes: quota.Rate{PerSecond: 0.001, Burst: 2}, Refusal: 10 * time.Second})}
	run(t, cfg, func(h *harness) {
		began := time.Now()
		h.want("the first", h.do("GET", "EIO=4&transport=polling&sid=nobody", ""), 400, `{"code":1,"message":"Session ID unknown"}`)
		h.want("no transport", h.do("GET", "EIO=4", ""), 400, `{"code":0,"message":"Transport unknown"}`)
		if d := time.Since(began); d != 0 {
			t.Errorf("the first two waited %v", d)
		}
		for what, method := range map[string]string{"another": "GET", "a POST": "POST"} {
			began = time.Now()
			h.want(what, h.do(method, "EIO=4&transport=polling&sid=nobody", ""), 400, `{"code":1,"message":"Session ID unknown"}`)
			wantWaited(t, what, began)
		}
		began = time.Now()
		h.want("a WebSocket", h.refused("EIO=4&transport=websocket&sid=nobody"), 400, "Session ID unknown")
		wantWaited(t, "a WebSocket", began)
	})
}

// TestRefusalWaitsWithoutAGoroutine is the same where an answer can be put off,
// and that it is not kept for somebody who is gone.
func TestRefusalWaitsWithoutAGoroutine(t *testing.T) {
	cfg := engineio.Config{Quota: quota.New(quota.Config{Handshakes: quota.Rate{PerSecond: 0.001, Burst: 0}, Refusal: 10 * time.Second})}
	run(t, cfg, func(h *harness) {
		r := httptest.NewRequest("GET", "/engine.io/?EIO=4&transport=polling", nil)
		first := httptest.NewRecorder()
		h.srv.ServeHTTP(first, r) // which takes the only place
		began := time.Now()
		w := &later{ResponseRecorder: httptest.NewRecorder(), resumed: make(chan struct{})}
		h.srv.ServeHTTP(w, r)
		if d := time.Since(began); d != 0 || w.gone == nil {
			t.Fatalf("the handler took %v; put off: %v", d, w.gone != nil)
		}
		<-w.resumed
		wantWaited(t, "who waits", began)
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d", w.Code)
		}
		w.gone(nil) // the answer was given: nothing

		began = time.Now()
		w = &later{ResponseRecorder: httptest.NewRecorder(), resumed: make(chan struct{})}
		h.srv.ServeHTTP(w, r)
		w.gone(http.ErrAbortHandler)
		<-w.resumed
		if d := time.Since(began); d != 0 {
			t.Errorf("who is gone was kept for %v", d)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.times != 1 {
			t.Errorf("answered %d times", w.times)
		}
	})
}

func wantWaited(t *testing.T, who string, since time.Time) {
	t.Helper()
	if d := time.Since(since); d < 5*time.Second || d > 10*time.Second {
		t.Errorf("%s waited %v, want 5 s to 10 s", who, d)
	}
}

// later is an answer that can be put off.
type later struct {
	*httptest.ResponseRecorder
	gone    func(error)
	resumed chan struct{}
	times   int
}

func (w *later) Defer(gone func(error)) { w.gone = gone }

func (w *later) Resume(_ time.Duration, fill func(), done func(error)) {
	fill()
	done(nil)
	if w.times++; w.times == 1 {
		close(w.resumed)
	}
}
