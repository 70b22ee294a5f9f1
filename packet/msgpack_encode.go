package packet

import (
	"bytes"
	"strconv"

	"github.com/tinylib/msgp/msgp"
)

// appendMessagePack appends p as socket.io-msgpack-parser writes it: a map with
// the keys type, nsp, data and id, the last two where they apply.
func appendMessagePack(dst []byte, p *Packet) []byte {
	keys := uint32(2)
	if p.carriesArgs() || p.carriesData() {
		keys++
	}
	if p.HasID {
		keys++
	}
	dst = msgp.AppendMapHeader(dst, keys)
	dst = msgp.AppendString(dst, "type")
	dst = msgp.AppendUint64(dst, uint64(p.Type))
	dst = msgp.AppendString(dst, "nsp")
	dst = msgp.AppendString(dst, orMain(p.fullNamespace()))
	switch {
	case p.Type == Event:
		dst = msgp.AppendString(dst, "data")
		dst = msgp.AppendArrayHeader(dst, uint32(p.Args.count+1))
		dst = msgp.AppendString(dst, p.Event)
		dst = appendTranscoded(dst, p.Args.elements, p.Args.attachments)
	case p.Type == Ack:
		dst = msgp.AppendString(dst, "data")
		dst = msgp.AppendArrayHeader(dst, uint32(p.Args.count))
		dst = appendTranscoded(dst, p.Args.elements, p.Args.attachments)
	case p.carriesData():
		dst = msgp.AppendString(dst, "data")
		dst = appendTranscoded(dst, compact(nil, p.Data), nil)
	}
	if p.HasID {
		dst = msgp.AppendString(dst, "id")
		dst = msgp.AppendUint64(dst, p.ID)
	}
	return dst
}

// transcoder writes compact JSON values as MessagePack. MessagePack says in
// front how many members a container has, so the containers are counted in a
// pass of their own; counting each when it is reached would read the innermost
// of n levels n times.
type transcoder struct {
	text        []byte
	out         []byte
	attachments [][]byte
	counts      []uint32 // of the containers still to come, in the order of the text
	scratch     []byte
}

// appendTranscoded appends the values of elements, which may be none.
func appendTranscoded(dst, elements []byte, attachments [][]byte) []byte {
	t := transcoder{text: elements, out: dst, attachments: attachments, counts: countMembers(elements)}
	for i := 0; i < len(elements); {
		i = t.value(i)
		i++ // the comma
	}
	return t.out
}

// countMembers returns, for each array and object in the order in which they
// begin, the number of elements or members.
func countMembers(text []byte) []uint32 {
	var counts []uint32
	var open []int
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = stringEnd(text, i) - 1
		case '[', '{':
			open = append(open, len(counts))
			members := uint32(1)
			if text[i+1] == ']' || text[i+1] == '}' {
				members = 0
			}
			counts = append(counts, members)
		case ']', '}':
			open = open[:len(open)-1]
		case ',':
			if len(open) > 0 {
				counts[open[len(open)-1]]++
			}
		}
	}
	return counts
}

// value writes the value at i and returns the index after it.
func (t *transcoder) value(i int) int {
	switch t.text[i] {
	case '{':
		return t.object(i)
	case '[':
		n := t.members()
		t.out = msgp.AppendArrayHeader(t.out, n)
		for range n {
			i = t.value(i + 1) // after the bracket or a comma
		}
		if n == 0 {
			i++
		}
		return i + 1
	case '"':
		return t.str(i)
	case 't', 'f':
		t.out = msgp.AppendBool(t.out, t.text[i] == 't')
		return valueEnd(t.text, i)
	case 'n':
		t.out = msgp.AppendNil(t.out)
		return i + len("null")
	}
	end := valueEnd(t.text, i)
	t.out = appendMessagePackNumber(t.out, t.text[i:end])
	return end
}

func (t *transcoder) members() uint32 {
	n := t.counts[0]
	t.counts = t.counts[1:]
	return n
}

func (t *transcoder) object(i int) int {
	n := t.members()
	if len(t.attachments) > 0 && bytes.HasPrefix(t.text[i:], []byte(marker)) {
		t.out = msgp.AppendBytes(t.out, t.attachments[0])
		t.attachments = t.attachments[1:]
		return valueEnd(t.text, i)
	}
	t.out = msgp.AppendMapHeader(t.out, n)
	for range n {
		i = t.str(i + 1)
		i = t.value(i + 1)
	}
	if n == 0 {
		i++
	}
	return i + 1
}

func (t *transcoder) str(i int) int {
	end := stringEnd(t.text, i)
	text := t.text[i:end]
	if bytes.IndexByte(text, '\\') < 0 {
		t.out = msgp.AppendStringFromBytes(t.out, text[1:len(text)-1])
		return end
	}
	t.scratch = appendUnquoted(t.scratch[:0], text)
	t.out = msgp.AppendStringFromBytes(t.out, t.scratch)
	return end
}

// appendMessagePackNumber writes a JSON number as JavaScript would after
// reading it: a whole number as far as a double counts without gaps is an
// integer, in the fewest bytes; anything else is a double.
func appendMessagePackNumber(dst, text []byte) []byte {
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil && -MaxID <= n && n <= MaxID {
		return appendMessagePackInt(dst, n)
	}
	f, _ := strconv.ParseFloat(string(text), 64) // 1e400 is Infinity, there as here
	if n := int64(f); -MaxID <= f && f <= MaxID && float64(n) == f {
		return appendMessagePackInt(dst, n)
	}
	return msgp.AppendFloat64(dst, f)
}

func appendMessagePackInt(dst []byte, n int64) []byte {
	if n >= 0 {
		return msgp.AppendUint64(dst, uint64(n))
	}
	return msgp.AppendInt64(dst, n)
}
