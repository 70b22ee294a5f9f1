package engineio

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// script is the way to answer a peer that polls by loading scripts.
type script struct {
	callback string // the number of the function to call
}

// wrap returns a script that calls back with the text payload. A JSON string is one in JavaScript too, since the
// encoder escapes U+2028 and U+2029; it escapes <, > and & as well, so that no answer can pass for HTML.
func (c *script) wrap(payload []byte) []byte {
	text, err := json.Marshal(string(payload))
	if err != nil { // a string cannot fail
		return nil
	}
	return fmt.Appendf(nil, "___eio[%s](%s);", c.callback, text)
}

// write answers a GET with frames.
func (t *pollTransport) write(w http.ResponseWriter, r *http.Request, frames []*Frame, first bool) error {
	return writeAll(w, t.prepare(w, r, frames, first), t.s.srv.cfg.WriteTimeout)
}

// prepare sets the headers of the answer to a GET, and returns its body.
func (t *pollTransport) prepare(w http.ResponseWriter, r *http.Request, frames []*Frame, first bool) []byte {
	payload, binary := t.encode(frames)
	h := t.s.srv.header(w, r, first)
	h.Set("Content-Type", "text/plain; charset=UTF-8") // explicit for pages in another encoding
	if binary {
		h.Set("Content-Type", "application/octet-stream")
	}
	if from := t.s.srv.cfg.HTTPCompression; from >= 0 && len(payload) >= from && slices.ContainsFunc(frames, (*Frame).mayCompress) {
		payload = compress(h, r, payload)
	}
	h.Set("Content-Length", strconv.Itoa(len(payload)))
	return payload
}

// encode returns frames as one payload.
func (t *pollTransport) encode(frames []*Frame) (payload []byte, binary bool) {
	switch {
	case t.s.protocol == 4 && len(frames) == 1:
		payload = frames[0].text(4)
	case t.s.protocol == 4:
		payload = appendPayload(nil, frames)
	case !t.s.onlyText && t.script == nil && slices.ContainsFunc(frames, (*Frame).isBinary):
		return appendBinaryPayloadV3(nil, frames), true
	default:
		payload = appendPayloadV3(nil, frames)
	}
	if t.script != nil {
		payload = t.script.wrap(payload)
	}
	return payload, false
}

// writePiece is how much is written with one deadline.
const writePiece = 16 << 10

// writeAll writes b, however long it takes, as long as every piece leaves in time, and returns when all of it has left.
func writeAll(w http.ResponseWriter, b []byte, timeout time.Duration) error {
	rc := http.NewResponseController(w)
	for timeout > 0 {
		if err := rc.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			break // no deadlines here: the server's must do
		}
		if len(b) <= writePiece {
			defer rc.SetWriteDeadline(time.Time{}) // the connection may serve others next
			break
		}
		if _, err := w.Write(b[:writePiece]); err != nil {
			return fmt.Errorf("answer poll: %w", err)
		}
		b = b[writePiece:]
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("answer poll: %w", err)
	}
	if err := rc.Flush(); err != nil && !isUnsupported(err) { // or the deadline would not be that of what leaves
		return fmt.Errorf("answer poll: %w", err)
	}
	return nil
}

// compressors are the writers for the two content codings that there are, fastest first: answers are short-lived.
var (
	gzips = sync.Pool{New: func() any {
		z, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is valid
		return z
	}}
	zlibs = sync.Pool{New: func() any {
		z, _ := zlib.NewWriterLevel(io.Discard, zlib.BestSpeed) // the level is valid
		return z
	}}
)

// compress returns payload as the peer accepts it, and says so in h.
func compress(h http.Header, r *http.Request, payload []byte) []byte {
	var out bytes.Buffer
	var err error
	coding := acceptedCoding(r.Header.Get("Accept-Encoding"))
	switch coding {
	case "gzip":
		z := gzips.Get().(*gzip.Writer)
		defer gzips.Put(z)
		z.Reset(&out)
		_, err = z.Write(payload)
		err = firstError(err, z.Close())
		z.Reset(io.Discard)
	case "deflate": // which in HTTP means zlib
		z := zlibs.Get().(*zlib.Writer)
		defer zlibs.Put(z)
		z.Reset(&out)
		_, err = z.Write(payload)
		err = firstError(err, z.Close())
		z.Reset(io.Discard)
	default:
		return payload
	}
	if err != nil { // a bytes.Buffer does not fail
		return payload
	}
	h.Set("Content-Encoding", coding)
	return out.Bytes()
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// acceptedCoding returns the better of gzip and deflate that an Accept-Encoding allows, or "".
func acceptedCoding(accept string) string {
	best, bestQ := "", 0.0
	for part := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(part, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "*" || name == "x-gzip" {
			name = "gzip"
		}
		if name != "gzip" && name != "deflate" {
			continue
		}
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				q = 0
			}
		}
		if q > bestQ || q == bestQ && q > 0 && name == "gzip" {
			best, bestQ = name, q
		}
	}
	return best
}
