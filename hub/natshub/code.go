package natshub

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// errFormat means that something is not as we write it: of a later version, or of
// somebody else.
var errFormat = errors.New("not as it is written by this version")

// format begins what is stored, and is another when that is written otherwise.
const format = 1

// Numbers are varints, and strings have their length before them.
func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// A reader reads what was appended. After an error it reads zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) fixed() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	n := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

func (r *reader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// count reads how many there are of what takes a byte at least.
func (r *reader) count() int {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

// An entry is what is stored for a message and heard by nodes.
type entry struct {
	time      time.Time
	rooms     []string
	histories []hub.RoomHistory
	body      []byte
}

func appendEntry(dst []byte, at time.Time, m *hub.SharedMessage) []byte {
	dst = append(dst, format)
	dst = binary.BigEndian.AppendUint64(dst, uint64(at.UnixNano()))
	dst = appendRooms(dst, m.Rooms)
	dst = binary.AppendUvarint(dst, uint64(len(m.Histories)))
	for _, h := range m.Histories {
		dst = appendString(dst, h.Room)
		dst = binary.AppendUvarint(dst, uint64(max(0, h.Limit.Count)))
		dst = binary.AppendUvarint(dst, uint64(max(0, h.Limit.Bytes)))
		dst = binary.AppendUvarint(dst, uint64(max(0, h.Limit.Age)))
	}
	return append(dst, m.Body...)
}

func appendRooms(dst []byte, rooms []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(rooms)))
	for _, room := range rooms {
		dst = appendString(dst, room)
	}
	return dst
}

// entrySize bounds what appendEntry appends.
func entrySize(m *hub.SharedMessage) int {
	n := 24 + len(m.Body)
	for _, room := range m.Rooms {
		n += 4 + len(room)
	}
	for _, h := range m.Histories {
		n += 32 + len(h.Room)
	}
	return n
}

// cutEntry reads an entry, whose body is a part of b.
func cutEntry(b []byte) (entry, error) {
	r := reader{b: b}
	if r.byte() != format {
		return entry{}, errFormat
	}
	x := entry{time: time.Unix(0, int64(r.fixed()))}
	for range r.count() {
		x.rooms = append(x.rooms, string(r.bytes()))
	}
	for range r.count() {
		h := hub.RoomHistory{Room: string(r.bytes())}
		h.Limit = hub.HistoryLimit{Count: int(r.number() & maxInt), Bytes: int64(r.number() & maxInt), Age: time.Duration(r.number() & maxInt)}
		x.histories = append(x.histories, h)
	}
	if x.body = r.b; r.bad {
		return entry{}, errFormat
	}
	return x, nil
}

const maxInt = 1<<63 - 1

// cutInterest reads of an entry only the body and whether it is for everyone, or
// for a room that somebody listens to.
func cutInterest(b []byte, listens func(room []byte) bool) (body []byte, at time.Time, interest, ok bool) {
	r := reader{b: b}
	if r.byte() != format {
		return nil, at, false, false
	}
	at = time.Unix(0, int64(r.fixed()))
	interest = r.rooms(listens)
	for range r.count() {
		r.bytes()
		r.number()
		r.number()
		r.number()
	}
	return r.b, at, interest, !r.bad
}

// rooms reads a list of rooms and says whether it is empty, or has one that
// somebody listens to.
func (r *reader) rooms(listens func(room []byte) bool) (interest bool) {
	n := r.count()
	interest = n == 0
	for range n {
		room := r.bytes()
		interest = interest || !r.bad && listens(room)
	}
	return interest
}

// limit returns how much of a room's history is kept, as the message says.
func (x entry) limit(room string) hub.HistoryLimit {
	for _, h := range x.histories {
		if h.Room == room {
			return h.Limit
		}
	}
	return hub.HistoryLimit{}
}

func (x entry) keptBy(room string) bool {
	for _, h := range x.histories {
		if h.Room == room {
			return true
		}
	}
	return false
}

// A history has copies of entries, with their positions before them.
func appendKept(dst []byte, p hub.Position, entry []byte) []byte {
	return append(binary.BigEndian.AppendUint64(dst, uint64(p)), entry...)
}

func cutKept(b []byte) (hub.Position, entry, error) {
	r := reader{b: b}
	p := hub.Position(r.fixed())
	if r.bad {
		return 0, entry{}, errFormat
	}
	x, err := cutEntry(r.b)
	return p, x, err
}

// A record is what is stored of a session.
type record struct {
	generation uint64
	until      time.Time // zero: it was removed
	node       string    // who wrote it
	nonce      string    // of the write
	body       []byte
}

func (c record) append(dst []byte) []byte {
	dst = append(dst, format)
	dst = binary.AppendUvarint(dst, c.generation)
	ms := int64(0)
	if !c.until.IsZero() {
		ms = c.until.UnixMilli()
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(ms))
	dst = appendString(dst, c.node)
	dst = appendString(dst, c.nonce)
	return append(dst, c.body...)
}

func cutRecord(b []byte) (record, error) {
	r := reader{b: b}
	if r.byte() != format {
		return record{}, errFormat
	}
	c := record{generation: r.number()}
	if ms := int64(r.fixed()); ms != 0 {
		c.until = time.UnixMilli(ms)
	}
	c.node, c.nonce = string(r.bytes()), string(r.bytes())
	if c.body = r.b; r.bad {
		return record{}, errFormat
	}
	return c, nil
}

// What nodes say to each other begins with its kind and the node.
const (
	kindCast = 'c' // after which position it is heard, rooms, body
	kindTell = 't' // body
	kindBeat = 'b' // a number, what the node says about itself
	kindLeft = 'l'
	kindMark = 'k' // of a namespace without memory: a number
)

// appendSaid begins what a node says.
func appendSaid(kind byte, node string, size int) []byte {
	dst := make([]byte, 0, 2+len(node)+size)
	return appendString(append(dst, kind), node)
}

// cutSaid reads the kind and the node.
func cutSaid(b []byte) (kind byte, node string, rest []byte, ok bool) {
	r := reader{b: b}
	kind = r.byte()
	node = string(r.bytes())
	return kind, node, r.b, !r.bad && node != "" && len(node) <= maxName
}

func cutCast(b []byte, listens func(room []byte) bool) (after hub.Position, body []byte, interest, ok bool) {
	r := reader{b: b}
	after = hub.Position(r.number())
	interest = r.rooms(listens)
	return after, r.b, interest, !r.bad
}

func appendNumber(dst []byte, n uint64) []byte { return binary.AppendUvarint(dst, n) }

func cutNumber(b []byte) (n uint64, rest []byte, ok bool) {
	r := reader{b: b}
	n = r.number()
	return n, r.b, !r.bad
}

// A meta is what is known of a namespace: what its epoch is.
type meta struct {
	Epoch string `json:"epoch"`
	// Base is what has to be added to the stream's sequence for a position.
	// Positions of the epoch are beyond it.
	Base hub.Position `json:"base"`
	// Born says that the stream was there, so that it is lost if it is not.
	Born bool `json:"born"`
	// Server is the life of the only server, if there is one, in which somebody
	// has seen that nothing is lost.
	Server string `json:"server,omitempty"`
	// Import is the id of the import that is filling it.
	Import string `json:"import,omitempty"`
}

func cutMeta(b []byte) (meta, error) {
	var m meta
	if err := json.Unmarshal(b, &m); err != nil || m.Epoch == "" || len(m.Epoch) > maxName || token(m.Epoch) != "n"+m.Epoch {
		return meta{}, errFormat
	}
	return m, nil
}
