package websocket

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"iter"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// HandshakeError says why a request is not a WebSocket handshake that can be
// accepted. Nothing has been answered yet.
type HandshakeError struct {
	Status int // HTTP
	Reason string
}

// Error returns the reason.
func (e *HandshakeError) Error() string { return "websocket: handshake: " + e.Reason }

// Answer answers the request with the status and the reason as plain text, and
// with the version or the method we take if the client's was another.
func (e *HandshakeError) Answer(w http.ResponseWriter) {
	switch e.Status {
	case http.StatusUpgradeRequired:
		w.Header().Set("Sec-WebSocket-Version", "13")
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodGet)
	}
	http.Error(w, e.Reason, e.Status)
}

// IsUpgrade reports whether r asks to be upgraded to WebSocket, well or badly.
func IsUpgrade(r *http.Request) bool {
	return hasToken(r.Header["Upgrade"], "websocket")
}

// Check says whether r is a well-formed WebSocket handshake, RFC 6455 section
// 4.2.1. The error is a [*HandshakeError].
func Check(r *http.Request) error {
	switch {
	case r.Method != http.MethodGet:
		return &HandshakeError{http.StatusMethodNotAllowed, "method is not GET"}
	case !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1:
		return &HandshakeError{http.StatusBadRequest, "protocol is not HTTP/1.1"}
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		// A body would be read as frames, or frames as a body: request smuggling.
		return &HandshakeError{http.StatusBadRequest, "handshake with a body"}
	case !IsUpgrade(r):
		return &HandshakeError{http.StatusBadRequest, "no Upgrade: websocket"}
	case !hasToken(r.Header["Connection"], "upgrade"):
		return &HandshakeError{http.StatusBadRequest, "no Connection: Upgrade"}
	}
	if v := r.Header["Sec-Websocket-Version"]; len(v) == 0 {
		return &HandshakeError{http.StatusBadRequest, "no Sec-WebSocket-Version"}
	} else if len(v) != 1 || v[0] != "13" {
		return &HandshakeError{http.StatusUpgradeRequired, "Sec-WebSocket-Version is not 13"}
	}
	if !validKey(r.Header["Sec-Websocket-Key"]) {
		return &HandshakeError{http.StatusBadRequest, "invalid Sec-WebSocket-Key"}
	}
	return nil
}

// validKey reports whether there is one key, "a base64-encoded … value that,
// when decoded, is 16 bytes in length".
func validKey(keys []string) bool {
	if len(keys) != 1 || len(keys[0]) != 24 {
		return false
	}
	var key [18]byte
	n, err := base64.StdEncoding.Decode(key[:], []byte(keys[0]))
	return err == nil && n == 16
}

// Accept answers the handshake r with 101 and returns the connection, whose
// [Conn.Start] the caller must call. It checks r as [Check] does; the Origin is
// the caller's business.
//
// If the error is a [*HandshakeError] nothing has been answered and w can
// still be used; after any other the connection is gone.
func Accept(w http.ResponseWriter, r *http.Request, o Options) (*Conn, error) {
	if err := Check(r); err != nil {
		return nil, err
	}
	subprotocol := choose(o.Subprotocols, r.Header["Sec-Websocket-Protocol"])
	extension := o.Deflate.negotiate(r.Header["Sec-Websocket-Extensions"])
	c := &Conn{}
	if subprotocol != "" {
		c.rare = &rare{subprotocol: subprotocol}
	}
	nc, err := c.takeOver(w, o.limits(extension != ""), o.Loop)
	if err != nil {
		return nil, err
	}
	answer := handshakeAnswer(r.Header["Sec-Websocket-Key"][0], subprotocol, extension, o.Header)
	if c.line == nil {
		// It leaves with what is sent first, or when Start is called.
		c.pushLocked(&Frame{data: answer, plain: true}) // nobody else knows c yet
		return c, nil
	}
	if err := nc.SetDeadline(time.Time{}); err != nil { // the http.Server's
		c.Abort(err)
		return nil, fmt.Errorf("answer handshake: %w", err)
	}
	if err := c.writeOut(answer); err != nil {
		c.Abort(err)
		return nil, fmt.Errorf("answer handshake: %w", err)
	}
	return c, nil
}

// releaser is a ResponseWriter that can give away the descriptor of its
// connection, with what was read behind the request.
type releaser interface {
	Release() (fd int, early []byte, ok bool)
}

// takeOver takes the connection from net/http, or from who stands before it.
func (c *Conn) takeOver(w http.ResponseWriter, l limits, loop *Loop) (net.Conn, error) {
	for under := w; loop != nil; {
		if r, ok := under.(releaser); ok {
			if fd, early, ok := r.Release(); ok {
				return nil, c.initDescriptor(fd, early, l, loop)
			}
			break
		}
		wrapper, ok := under.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		under = wrapper.Unwrap()
	}
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, &HandshakeError{http.StatusInternalServerError, "connection cannot be upgraded"}
	}
	var early []byte
	if n := rw.Reader.Buffered(); n > 0 { // frames that came with the handshake
		early, _ = rw.Reader.Peek(n) // n bytes are there: no error
	}
	c.keepEarly(slices.Clone(early))
	c.init(nc, l, loop)
	return nc, nil
}

func handshakeAnswer(key, subprotocol, extension string, extra http.Header) []byte {
	var b bytes.Buffer
	b.Grow(256)
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	b.WriteString(acceptKey(key))
	b.WriteString("\r\n")
	if subprotocol != "" {
		b.WriteString("Sec-WebSocket-Protocol: " + subprotocol + "\r\n")
	}
	if extension != "" {
		b.WriteString("Sec-WebSocket-Extensions: " + extension + "\r\n")
	}
	if len(extra) > 0 {
		// A bytes.Buffer does not fail; line ends in values are made harmless.
		_ = extra.WriteSubset(&b, ours)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// ours are the headers of the answer that nobody else may set.
var ours = map[string]bool{
	"Upgrade": true, "Connection": true, "Sec-Websocket-Accept": true,
	"Sec-Websocket-Protocol": true, "Sec-Websocket-Extensions": true,
	"Content-Length": true, "Transfer-Encoding": true,
}

func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455 section 1.3
	return base64.StdEncoding.EncodeToString(sum[:])
}

// choose returns the first of our subprotocols that the client offers, or "".
func choose(mine, offered []string) string {
	if len(mine) == 0 {
		return ""
	}
	best := len(mine)
	for t := range tokens(offered) {
		if i := slices.Index(mine[:best], t); i >= 0 {
			best = i
		}
	}
	if best == len(mine) {
		return ""
	}
	return mine[best]
}

func hasToken(lines []string, want string) bool {
	for t := range tokens(lines) {
		if strings.EqualFold(t, want) {
			return true
		}
	}
	return false
}

// tokens yields the elements of comma-separated header lines, in linear time.
func tokens(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for t := range strings.SplitSeq(line, ",") {
				if !yield(strings.Trim(t, " \t")) {
					return
				}
			}
		}
	}
}
