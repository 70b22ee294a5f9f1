package load

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

var errHTTP = errors.New("load: an answer that is not HTTP/1.1 as expected")

// An answer is what a server says to a request.
type answer struct {
	status int
	body   []byte
	close  bool // the server closes the connection after it
}

// parseAnswer takes the first HTTP answer from data. size is 0 if it isn't whole
// yet. An answer with status 101 has no body.
func parseAnswer(data []byte) (a answer, size int, err error) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		if len(data) > 64<<10 {
			return a, 0, errHTTP
		}
		return a, 0, nil
	}
	head, rest := data[:end], data[end+4:]
	line, fields, _ := bytes.Cut(head, []byte("\r\n"))
	if len(line) < 12 || string(line[:9]) != "HTTP/1.1 " {
		return a, 0, errHTTP
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, 0, errHTTP
	}
	length, chunked := 0, false
	for len(fields) > 0 {
		line, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Content-Length"):
			if length, err = strconv.Atoi(value); err != nil || length < 0 {
				return a, 0, errHTTP
			}
		case strings.EqualFold(name, "Transfer-Encoding"):
			chunked = strings.EqualFold(value, "chunked")
		case strings.EqualFold(name, "Connection"):
			a.close = strings.EqualFold(value, "close")
		}
	}
	switch {
	case a.status == 101:
		return a, end + 4, nil
	case chunked:
		n, err := a.chunks(rest)
		if n == 0 || err != nil {
			return a, 0, err
		}
		return a, end + 4 + n, nil
	case len(rest) < length:
		return a, 0, nil
	}
	a.body = rest[:length]
	return a, end + 4 + length, nil
}

// chunks reads a chunked body.
func (a *answer) chunks(data []byte) (size int, err error) {
	a.body = nil
	for at := 0; ; {
		line, _, found := bytes.Cut(data[at:], []byte("\r\n"))
		if !found {
			return 0, nil
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(strings.TrimSpace(string(digits)), 16, 30)
		if err != nil {
			return 0, errHTTP
		}
		from := at + len(line) + 2
		to := from + int(n)
		if len(data) < to+2 {
			return 0, nil
		}
		a.body = append(a.body, data[from:to]...)
		if at = to + 2; n == 0 {
			return at, nil
		}
	}
}
