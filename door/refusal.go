package door

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/quota"
)

// A refusal is an error in words for the client: the only kind it gets to see.
// It holds nothing that the client did not send or may not know.
type refusal struct {
	status  int // HTTP
	code    string
	message string
	at      string        // where in the data, as a JSON pointer
	limit   string        // the limit that was hit, if any
	allow   string        // of 405: the method that works
	retry   time.Duration // of 429 and 503: when to come back
	late    bool          // it came too often: the answer may wait
	err     error         // for the log
}

// Error returns the message.
func (e *refusal) Error() string {
	if e.err != nil {
		return e.message + ": " + e.err.Error()
	}
	return e.message
}

// Unwrap returns what the client is not told.
func (e *refusal) Unwrap() error { return e.err }

// The refusals that never differ.
var (
	errInternal  = &refusal{status: http.StatusInternalServerError, code: "internal", message: "internal error"}
	errShutdown  = &refusal{status: http.StatusServiceUnavailable, code: "shutting_down", message: "the server is shutting down", retry: time.Second}
	errStreams   = &refusal{status: http.StatusServiceUnavailable, code: "too_many_streams", message: "too many streams are open", limit: "streams", retry: 5 * time.Second}
	errCrowded   = &refusal{status: http.StatusServiceUnavailable, code: quota.Code, message: "too much is on its way", retry: time.Second}
	errOrigin    = &refusal{status: http.StatusForbidden, code: "origin", message: "pages of this origin may not come in"}
	errClosed    = &refusal{status: http.StatusForbidden, code: "closed", message: "this door is closed: its configuration opens no room"}
	errRelay     = &refusal{status: http.StatusBadRequest, code: "bad_room", message: "a relay has no rooms"}
	errNoDesk    = &refusal{status: http.StatusForbidden, code: "forbidden", message: "this door does not serve that"}
	errKey       = &refusal{status: http.StatusUnauthorized, code: "unauthorized", message: "the key is not known"}
	errKeyWanted = &refusal{status: http.StatusUnauthorized, code: "unauthorized", message: "a key is wanted: Authorization: Bearer <key>"}
)

func badRequest(code, format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, code: code, message: fmt.Sprintf(format, args...)}
}

func methodNotAllowed(want string) *refusal {
	return &refusal{status: http.StatusMethodNotAllowed, code: "method_not_allowed", message: "the method is not " + want, allow: want}
}

func tooManyRooms(limit int) *refusal {
	e := badRequest("too_many_rooms", "too many rooms: the limit is %d", limit)
	e.limit = "rooms"
	return e
}

// tooMany is what strangers are told, who can wait for it. Who has a key may have
// many requests under way, for rooms that others fill, and goes by what it says:
// that is told at once.
func tooMany(wait time.Duration) *refusal {
	return &refusal{status: http.StatusTooManyRequests, code: "too_many_requests", message: "too many messages",
		limit: "rate", retry: max(wait, time.Millisecond), late: true}
}

// tooManyStreams translates what the quota says to a new stream.
func tooManyStreams(err error) error {
	e := &refusal{status: http.StatusServiceUnavailable, code: quota.Code, message: err.Error(), retry: time.Second, late: true}
	if x, ok := errors.AsType[*quota.Exceeded](err); ok && x.Wait > 0 {
		e.retry = x.Wait
	}
	return e
}

// roomRefusal translates what the hub says about joining a room.
func roomRefusal(err error) error {
	switch {
	case errors.Is(err, hub.ErrRoomName):
		return &refusal{status: http.StatusBadRequest, code: "bad_room", message: "a room cannot have that name", err: err}
	case errors.Is(err, hub.ErrTooManyRooms):
		return &refusal{status: http.StatusBadRequest, code: "too_many_rooms", message: "too many rooms", limit: "rooms", err: err}
	case errors.Is(err, hub.ErrUnavailable):
		return &refusal{status: http.StatusServiceUnavailable, code: "unavailable", message: "the server cannot reach its engine", retry: time.Second, err: err}
	}
	return err
}

// answer writes the refusal, if nothing else was written.
func (e *refusal) answer(w http.ResponseWriter) {
	h := w.Header()
	switch e.status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", e.allow)
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="tutti"`)
	case http.StatusUpgradeRequired:
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Version", "13")
	}
	if e.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.retry.Seconds()))))
	}
	type body struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		At      string `json:"at,omitempty"`
	}
	writeJSON(w, e.status, struct {
		Error body `json:"error"`
	}{body{e.code, e.message, e.at}})
}

// writeJSON answers with v. An error of writing has nobody to go to: the client
// is gone.
func writeJSON[T any](w http.ResponseWriter, status int, v T) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, nil
	}
	writeText(w, status, text)
}

// writeText answers with JSON.
func writeText(w http.ResponseWriter, status int, text []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
