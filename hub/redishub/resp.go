package redishub

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// The protocol is RESP3, in which a connection may have answers and pushes. What
// other clients of the server have chosen is in payloads and names only, but a
// server may be something else, so everything is bounded.
const (
	maxDepth = 8
	maxBulk  = 512 << 20 // Redis's own
	maxItems = 1 << 24
	chunk    = 64 << 10 // is allocated before it has come
)

var errProtocol = errors.New("protocol error")

// A value is what the server says. Its text is only valid until the next read
// if it is a push's, but for the last one.
type value struct {
	kind byte // RESP3's first byte: '+', '-', ':', '$', '*', '>', '%', …
	null bool
	text []byte
	list []value // of '*', '~', '>', and '%' with keys and values in turn
}

// err is what the server refused, nil if it did not.
func (v value) err() error {
	if v.kind == '-' || v.kind == '!' {
		return serverError(v.text)
	}
	return nil
}

// A serverError is an error that the server has answered.
type serverError string

func (e serverError) Error() string { return string(e) }

// strings returns the texts of a list.
func (v value) strings() []string {
	out := make([]string, len(v.list))
	for i, item := range v.list {
		out[i] = string(item.text)
	}
	return out
}

// A reader reads values.
type reader struct {
	*bufio.Reader
	push    [3]value // of a push as most are: kind, channel, payload
	scratch [2][]byte
}

func newReader(r io.Reader) *reader { return &reader{Reader: bufio.NewReaderSize(r, 64<<10)} }

func (r *reader) read() (value, error) { return r.readAt(0) }

func (r *reader) readAt(depth int) (value, error) {
	kind, line, err := r.head()
	if err != nil {
		return value{}, err
	}
	v := value{kind: kind}
	switch kind {
	case '+', '-', ':', ',', '(', '#':
		v.text = append([]byte{}, line...)
		return v, nil
	case '_':
		v.null = true
		return v, nil
	case '$', '!', '=':
		v.text, v.null, err = r.bulk(line, nil)
		return v, err
	case '*', '~', '%', '>':
		return r.items(v, line, depth)
	}
	return v, fmt.Errorf("%w: %q", errProtocol, kind)
}

// head reads a line, which is valid until the next read.
func (r *reader) head() (kind byte, line []byte, err error) {
	line, err = r.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			err = fmt.Errorf("%w: a line of more than %d bytes", errProtocol, r.Size())
		}
		return 0, nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return 0, nil, fmt.Errorf("%w: line %q", errProtocol, line[:min(len(line), 32)])
	}
	return line[0], line[1 : len(line)-2], nil
}

func (r *reader) count(line []byte, most int) (int, error) {
	n, err := strconv.Atoi(string(line))
	if err != nil || n < -1 || n > most {
		return 0, fmt.Errorf("%w: count %q", errProtocol, line[:min(len(line), 32)])
	}
	return n, nil
}

// bulk reads as many bytes as the line says, into buf if there is room.
func (r *reader) bulk(line, buf []byte) (text []byte, null bool, err error) {
	n, err := r.count(line, maxBulk)
	if err != nil || n < 0 {
		return nil, true, err
	}
	text = buf[:0]
	if text == nil {
		text = make([]byte, 0, min(n, chunk))
	}
	for len(text) < n {
		more := min(n-len(text), max(chunk, len(text)))
		at := len(text)
		text = append(text, make([]byte, more)...)
		if _, err := io.ReadFull(r, text[at:]); err != nil {
			return nil, false, err
		}
	}
	var end [2]byte
	if _, err := io.ReadFull(r, end[:]); err != nil {
		return nil, false, err
	}
	if end != [2]byte{'\r', '\n'} {
		return nil, false, fmt.Errorf("%w: no end of line after %d bytes", errProtocol, n)
	}
	return text, false, nil
}

func (r *reader) items(v value, line []byte, depth int) (value, error) {
	n, err := r.count(line, maxItems)
	if err != nil {
		return v, err
	}
	if n < 0 {
		v.null = true
		return v, nil
	}
	if depth == maxDepth {
		return v, fmt.Errorf("%w: deeper than %d", errProtocol, maxDepth)
	}
	if v.kind == '>' && n == len(r.push) && depth == 0 {
		return r.pushed(v)
	}
	if v.kind == '%' {
		n *= 2
	}
	for range n {
		item, err := r.readAt(depth + 1)
		if err != nil {
			return v, err
		}
		v.list = append(v.list, item)
	}
	return v, nil
}

// pushed reads a push without allocating but for its last item.
func (r *reader) pushed(v value) (value, error) {
	for i := range r.push {
		if next, err := r.Peek(1); err != nil || i == len(r.push)-1 || next[0] != '$' {
			if r.push[i], err = r.readAt(1); err != nil {
				return v, err
			}
			continue
		}
		_, line, err := r.head()
		if err != nil {
			return v, err
		}
		if r.scratch[i], _, err = r.bulk(line, r.scratch[i]); err != nil {
			return v, err
		}
		r.push[i] = value{kind: '$', text: r.scratch[i]}
	}
	v.list = r.push[:]
	return v, nil
}

// appendCommand appends a question to the server.
func appendCommand[T string | []byte](dst []byte, args ...T) []byte {
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(len(args)), 10)
	dst = append(dst, '\r', '\n')
	for _, a := range args {
		dst = append(dst, '$')
		dst = strconv.AppendInt(dst, int64(len(a)), 10)
		dst = append(dst, '\r', '\n')
		dst = append(dst, a...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}
