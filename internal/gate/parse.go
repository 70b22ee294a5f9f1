package gate

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	// maxRequest is the size of the largest request that the gate takes, with
	// its body.
	maxRequest = 16 << 10
	// maxFields is how many header fields such a request may have.
	maxFields = 64
)

// headEnd ends a request's head.
var headEnd = []byte("\r\n\r\n")

// measure returns the size of the request that data begins with, and of its
// head: 0 if it is not all there, -1 if it is not for the gate, which takes those
// for paths. It is strict:
// what it lets through means the same to every reader of HTTP.
func measure(data []byte, paths []string) (size, head int) {
	end := bytes.Index(data, headEnd)
	if end < 0 {
		if len(data) > 0 && (!couldBegin(data) || endsLoosely(data)) {
			return -1, 0
		}
		return 0, 0
	}
	head = end + 4
	line, fields, _ := bytes.Cut(data[:end+2], []byte("\r\n"))
	post, ok := measureLine(line, paths)
	if !ok {
		return -1, 0
	}
	length, ok := measureFields(fields, post)
	switch {
	case !ok || head+length > maxRequest:
		return -1, 0
	case head+length > len(data):
		return 0, 0
	}
	return head + length, head
}

// couldBegin reports whether a request for the gate could begin so.
func couldBegin(data []byte) bool {
	n := min(len(data), 5)
	return string(data[:n]) == "GET /"[:n] || string(data[:n]) == "POST "[:n]
}

// endsLoosely reports whether a head ends with mere line feeds, which net/http
// takes for an end.
func endsLoosely(data []byte) bool {
	return bytes.Contains(data, []byte("\n\n")) || bytes.Contains(data, []byte("\n\r\n"))
}

// measureLine checks a request line.
func measureLine(line []byte, paths []string) (post, ok bool) {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, _ := bytes.Cut(rest, []byte(" "))
	post = string(method) == "POST"
	path, query, found := bytes.Cut(target, []byte("?"))
	if !post && string(method) != "GET" || string(version) != "HTTP/1.1" || !found || !isUnder(path, paths) {
		return post, false
	}
	for _, c := range target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return post, false
		}
	}
	return post, bytes.HasPrefix(query, []byte("EIO=")) || bytes.Contains(query, []byte("&EIO="))
}

// isUnder reports whether a path is one of those that end with a slash or lies
// under it, or is one of the others.
func isUnder(path []byte, paths []string) bool {
	for _, p := range paths {
		if string(path) == p || strings.HasSuffix(p, "/") && len(path) > len(p) && string(path[:len(p)]) == p {
			return true
		}
	}
	return false
}

// measureFields checks header fields, each with its line end, and returns the
// length of the body.
func measureFields(fields []byte, post bool) (length int, ok bool) {
	hosts, lengths := 0, 0
	for n := 0; len(fields) > 0; n++ {
		var line []byte
		line, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found || n == maxFields || !isName(name) || !isText(value) {
			return 0, false
		}
		value = bytes.Trim(value, " \t")
		switch strings.ToLower(string(name)) {
		case "host":
			hosts++
			ok = isHost(value)
		case "content-length":
			lengths++
			length, ok = parseLength(value)
			ok = ok && post
		case "connection":
			ok = isConnection(value)
		case "upgrade":
			ok = strings.EqualFold(string(value), "websocket") && !post
		case "transfer-encoding", "expect", "trailer", "te", "http2-settings", "keep-alive", "proxy-connection":
			ok = false
		default:
			ok = true
		}
		if !ok {
			return 0, false
		}
	}
	return length, hosts == 1 && lengths <= 1 && (!post || lengths == 1)
}

// isName reports whether a field has a name as all have that matter.
func isName(name []byte) bool {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return len(name) > 0
}

// isText reports whether a field's value has no control characters, so that no
// line hides in it.
func isText(value []byte) bool {
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isHost(value []byte) bool {
	for _, c := range value {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(".-:[]_", rune(c)) {
			return false
		}
	}
	return len(value) > 0
}

func isConnection(value []byte) bool {
	for token := range bytes.SplitSeq(value, []byte(",")) {
		token = bytes.Trim(token, " \t")
		if !strings.EqualFold(string(token), "keep-alive") && !strings.EqualFold(string(token), "upgrade") {
			return false
		}
	}
	return true
}

func parseLength(value []byte) (int, bool) {
	if len(value) == 0 || len(value) > 6 {
		return 0, false
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(string(value))
	return n, err == nil
}

// parser is what reads requests as net/http does.
type parser struct {
	bytes  bytes.Reader
	buffer *bufio.Reader
}

var parsers = sync.Pool{New: func() any { return &parser{buffer: bufio.NewReaderSize(nil, maxRequest)} }}

// parse returns the request in data, whose head is head bytes long. It keeps
// nothing of data.
func (c *conn) parse(data []byte, head int) (*http.Request, error) {
	p := parsers.Get().(*parser)
	defer parsers.Put(p)
	p.bytes.Reset(data[:head])
	p.buffer.Reset(&p.bytes)
	r, err := http.ReadRequest(p.buffer)
	if err != nil {
		return nil, fmt.Errorf("parse request: %w", err)
	}
	r.RemoteAddr = c.remote
	r.Body = http.NoBody
	if body := data[head:]; len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(bytes.Clone(body)))
	}
	return r, nil
}
