package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// maxStreams is how many streams of events operators may have open.
const maxStreams = 64

// streamTimeout is how long one write of a stream may take.
const streamTimeout = 10 * time.Second

// A stream is an answer of Server-Sent Events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	open    *atomic.Int64
	still   func() bool // whether its operator would be let in now; nil: yes
}

// stream begins one, or refuses it.
func (a *Admin) stream(w http.ResponseWriter, r *http.Request) (*stream, bool) {
	if a.watches.streams.Add(1) > maxStreams {
		a.watches.streams.Add(-1)
		refuse(w, &failure{http.StatusTooManyRequests, "too_many_streams", "too many pages follow something"})
		return nil, false
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	return &stream{w, http.NewResponseController(w), &a.watches.streams, operatorOf(r).still}, true
}

// errOut ends the stream of somebody whose key was taken away.
var errOut = errors.New("the key is not valid any more")

// send writes one event. An error means that the peer is gone, reads nothing, or
// may not any more.
func (s *stream) send(event string, data any) error {
	if s.still != nil && !s.still() {
		return errOut
	}
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if err := s.control.SetWriteDeadline(time.Now().Add(streamTimeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", event, text); err != nil {
		return err
	}
	return s.control.Flush()
}

func (s *stream) end() { s.open.Add(-1) }
