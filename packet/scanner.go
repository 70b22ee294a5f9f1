package packet

import (
	"encoding/binary"
	"unicode/utf8"
)

// Why a text is refused. The same few words appear in [Error.Reason].
const (
	faultJSON  = "invalid JSON"
	faultUTF8  = "invalid UTF-8"
	faultDepth = "nested too deep"
)

// scanner validates JSON in one pass and without allocating: the grammar of
// RFC 8259, UTF-8 inside strings, and a limit on nesting. It keeps nothing of
// what it reads; positions are all that comes out.
//
// It exists because splitting the arguments is the one thing done to every
// packet, and encoding/json needs ten times as long for it (BenchmarkSplit).
type scanner struct {
	text  []byte
	pos   int
	limit int // levels of nesting allowed

	spaced bool   // there was white space between tokens
	fault  string // the reason for the first false
}

// value scans one value, and the white space around it. depth is the number
// of arrays and objects that are open around it.
func (s *scanner) value(depth int) bool {
	s.space()
	if s.pos == len(s.text) {
		return s.fail(faultJSON)
	}
	var ok bool
	switch c := s.text[s.pos]; c {
	case '"':
		ok = s.str()
	case '{':
		ok = s.object(depth + 1)
	case '[':
		ok = s.array(depth + 1)
	case 't':
		ok = s.literal("true")
	case 'f':
		ok = s.literal("false")
	case 'n':
		ok = s.literal("null")
	default:
		ok = s.number()
	}
	if ok {
		s.space()
	}
	return ok
}

func (s *scanner) object(depth int) bool {
	if depth > s.limit {
		return s.fail(faultDepth)
	}
	s.pos++
	s.space()
	if s.take('}') {
		return true
	}
	for {
		s.space()
		if s.pos == len(s.text) || s.text[s.pos] != '"' {
			return s.fail(faultJSON)
		}
		if !s.str() {
			return false
		}
		s.space()
		if !s.take(':') {
			return s.fail(faultJSON)
		}
		if !s.value(depth) {
			return false
		}
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return s.fail(faultJSON)
		}
	}
}

func (s *scanner) array(depth int) bool {
	if depth > s.limit {
		return s.fail(faultDepth)
	}
	s.pos++
	s.space()
	if s.take(']') {
		return true
	}
	for {
		if !s.value(depth) {
			return false
		}
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return s.fail(faultJSON)
		}
	}
}

// plain marks the bytes that stand for themselves inside a string.
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

func (s *scanner) str() bool {
	t := s.text
	i := s.pos + 1
	i += plainWords(t[i:])
	for i < len(t) {
		c := t[i]
		switch {
		case plain[c]:
			i++
		case c == '"':
			s.pos = i + 1
			return true
		case c == '\\':
			n := escapeLen(t[i:])
			if n == 0 {
				return s.fail(faultJSON)
			}
			i += n
			i += plainWords(t[i:])
		case c < 0x20:
			return s.fail(faultJSON)
		default:
			r, n := utf8.DecodeRune(t[i:])
			if r == utf8.RuneError && n == 1 {
				return s.fail(faultUTF8)
			}
			i += n
			i += plainWords(t[i:])
		}
	}
	return s.fail(faultJSON)
}

// plainWords is the number of bytes that t begins with, by eights, of which each
// stands for itself in a string: a megabyte in a tenth of a millisecond, and not
// in one.
func plainWords(t []byte) (n int) {
	const (
		each = 0x0101010101010101
		high = 0x8080808080808080
	)
	for ; len(t)-n >= 8; n += 8 {
		// A byte's highest bit is set in w if it is not ASCII, and in the differences
		// if it is below a space, a quote, or a backslash. A difference
		// may set that of the next byte by its borrow: then one is found too many,
		// which only costs the eight.
		w := binary.LittleEndian.Uint64(t[n:])
		odd := w | (w - each*' ') | ((w ^ each*'"') - each) | ((w ^ each*'\\') - each)
		if odd&high != 0 {
			break
		}
	}
	return n
}

// escapeLen is the length of the escape sequence that t begins with, 0 if it
// is none. Half a surrogate pair is a valid escape, as JSON.parse has it.
func escapeLen(t []byte) int {
	if len(t) < 2 {
		return 0
	}
	switch t[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(t[2:]); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads four hexadecimal digits.
func hex4(t []byte) (r rune, ok bool) {
	if len(t) < 4 {
		return 0, false
	}
	for _, c := range t[:4] {
		r <<= 4
		switch {
		case '0' <= c && c <= '9':
			r |= rune(c - '0')
		case 'a' <= c && c <= 'f':
			r |= rune(c - 'a' + 10)
		case 'A' <= c && c <= 'F':
			r |= rune(c - 'A' + 10)
		default:
			return 0, false
		}
	}
	return r, true
}

func (s *scanner) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return s.fail(faultJSON)
	}
	if s.take('.') && !s.digits() {
		return s.fail(faultJSON)
	}
	if s.take('e') || s.take('E') {
		_ = s.take('+') || s.take('-')
		if !s.digits() {
			return s.fail(faultJSON)
		}
	}
	return true
}

// digits takes one digit or more.
func (s *scanner) digits() bool {
	from := s.pos
	for s.pos < len(s.text) && '0' <= s.text[s.pos] && s.text[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > from
}

func (s *scanner) literal(word string) bool {
	if len(s.text)-s.pos < len(word) || string(s.text[s.pos:s.pos+len(word)]) != word {
		return s.fail(faultJSON)
	}
	s.pos += len(word)
	return true
}

func (s *scanner) take(c byte) bool {
	if s.pos < len(s.text) && s.text[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
			s.spaced = true
		default:
			return
		}
	}
}

func (s *scanner) fail(fault string) bool {
	if s.fault == "" {
		s.fault = fault
	}
	return false
}

// one scans a text that must be exactly one value.
func (s *scanner) one() bool {
	return s.value(0) && (s.pos == len(s.text) || s.fail(faultJSON))
}

// list is where the parts of a JSON array are in its text.
type list struct {
	first []byte // the first element without space around it, nil if there is none
	rest  []byte // the elements after the first, with commas between
	all   []byte // every element, with commas between
	count int
}

// list scans a text that must be exactly one array, and splits it.
func (s *scanner) list() (l list, ok bool) {
	s.space()
	if !s.take('[') {
		return l, s.fail(faultJSON)
	}
	if s.limit < 1 {
		return l, s.fail(faultDepth)
	}
	s.space()
	if s.take(']') {
		s.space()
		return l, s.pos == len(s.text) || s.fail(faultJSON)
	}
	from, rest := s.pos, 0
	for {
		if !s.value(1) {
			return l, false
		}
		l.count++
		if l.count == 1 {
			l.first = trimSpace(s.text[from:s.pos])
			rest = min(s.pos+1, len(s.text))
		}
		if s.take(']') {
			break
		}
		if !s.take(',') {
			return l, s.fail(faultJSON)
		}
	}
	end := s.pos - 1
	l.all = s.text[from:end]
	if l.count > 1 {
		l.rest = s.text[rest:end]
	}
	s.space()
	return l, s.pos == len(s.text) || s.fail(faultJSON)
}

func trimSpace(t []byte) []byte {
	for len(t) > 0 && isSpace(t[len(t)-1]) {
		t = t[:len(t)-1]
	}
	return t
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
