package pebblehub

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// The kinds of keys. All of a namespace's keys begin with a kind and its
// number, so that what is read together lies together. Positions are
// big-endian, for keys are ordered as bytes.
const (
	kindNamespace = 'n' // name → number
	kindState     = 's' // number → state
	kindTape      = 't' // number, position → message
	kindHistory   = 'h' // number, length of room, room, position → message
	kindRoom      = 'r' // number, room → counters
	kindSession   = 'u' // number, id → body
)

var errCodec = errors.New("malformed")

// A nsID is a namespace's number in the keys.
type nsID uint32

func namespaceKey(name string) []byte { return append([]byte{kindNamespace}, name...) }

func key(kind byte, ns nsID) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, uint32(ns))
}

func tapeKey(ns nsID, p hub.Position) []byte {
	return binary.BigEndian.AppendUint64(key(kindTape, ns), uint64(p))
}

func sessionKey(ns nsID, id string) []byte { return append(key(kindSession, ns), id...) }

func roomKey(ns nsID, room string) []byte { return append(key(kindRoom, ns), room...) }

// historyKey puts the length of the room's name before it: no room's keys lie
// among those of another whose name begins like it.
func historyKey(ns nsID, room string, p hub.Position) []byte {
	k := make([]byte, 0, 5+2+len(room)+8)
	k = binary.BigEndian.AppendUint32(append(k, kindHistory), uint32(ns))
	k = binary.AppendUvarint(k, uint64(len(room)))
	k = append(k, room...)
	return binary.BigEndian.AppendUint64(k, uint64(p))
}

// after returns the first key behind all that begin with prefix.
func after(prefix []byte) []byte {
	end := slices.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return []byte{0xff} // no kind of ours
}

// position reads the end of a tape's or a history's key.
func position(key []byte) (hub.Position, error) {
	if len(key) < 5+8 {
		return 0, fmt.Errorf("%w key", errCodec)
	}
	return hub.Position(binary.BigEndian.Uint64(key[len(key)-8:])), nil
}

// splitKey reads the kind and the namespace of a key, and what follows.
func splitKey(key []byte) (kind byte, ns nsID, rest []byte, err error) {
	if len(key) < 5 {
		return 0, 0, nil, fmt.Errorf("%w key", errCodec)
	}
	return key[0], nsID(binary.BigEndian.Uint32(key[1:])), key[5:], nil
}

// A reader takes a value apart. After an error it reads zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail() { r.err, r.rest = errCodec, nil }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count reads a number that becomes a signed one.
func (r *reader) count() int64 {
	v := r.uvarint()
	if v > math.MaxInt64 {
		r.fail()
		return 0
	}
	return int64(v)
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

// strings reads a list. Its announced length is not trusted with memory.
func (r *reader) strings() []string {
	var list []string
	for i, n := uint64(0), r.uvarint(); i < n && r.err == nil; i++ {
		list = append(list, r.string())
	}
	return list
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// A message is what a tape or a history keeps under a position.
type message struct {
	time  time.Time
	rooms []string // whose histories have it; in a history: if there are several
	body  []byte   // not a copy
}

// appendMessage writes a message: time, rooms, and what is left is the body.
func appendMessage(dst []byte, m message) []byte {
	dst = binary.AppendVarint(dst, m.time.Unix())
	dst = binary.AppendUvarint(dst, uint64(m.time.Nanosecond()))
	dst = binary.AppendUvarint(dst, uint64(len(m.rooms)))
	for _, r := range m.rooms {
		dst = appendString(dst, r)
	}
	return append(dst, m.body...)
}

func readMessage(value []byte) (message, error) {
	r := reader{rest: value}
	m := message{time: r.time(), rooms: r.strings()}
	m.body = r.rest
	if r.err != nil {
		return message{}, fmt.Errorf("%w message", errCodec)
	}
	return m, nil
}

// bodySize returns the size of a message's body and its time, without taking
// the rest apart.
func bodySize(value []byte) (int64, time.Time, error) {
	m, err := readMessage(value)
	return int64(len(m.body)), m.time, err
}

func (r *reader) time() time.Time {
	s, ns := r.varint(), r.uvarint()
	if ns >= 1e9 {
		r.fail()
		return time.Time{}
	}
	return time.Unix(s, int64(ns))
}

// A room is what is known of a room's history: what it holds, and where its
// oldest message is at the earliest.
type room struct {
	limit  hub.HistoryLimit
	count  int64
	bytes  int64
	first  hub.Position // no message is before it
	last   hub.Position
	oldest time.Time // no message is older, but for clock jumps
}

func appendRoom(dst []byte, r *room) []byte {
	dst = binary.AppendUvarint(dst, uint64(r.limit.Count))
	dst = binary.AppendUvarint(dst, uint64(r.limit.Bytes))
	dst = binary.AppendUvarint(dst, uint64(r.limit.Age))
	dst = binary.AppendUvarint(dst, uint64(r.count))
	dst = binary.AppendUvarint(dst, uint64(r.bytes))
	dst = binary.AppendUvarint(dst, uint64(r.first))
	dst = binary.AppendUvarint(dst, uint64(r.last))
	dst = binary.AppendVarint(dst, r.oldest.Unix())
	return binary.AppendUvarint(dst, uint64(r.oldest.Nanosecond()))
}

func readRoom(value []byte) (room, error) {
	r := reader{rest: value}
	out := room{
		limit: hub.HistoryLimit{Count: int(r.count()), Bytes: r.count(), Age: time.Duration(r.count())},
		count: r.count(), bytes: r.count(),
		first: hub.Position(r.uvarint()), last: hub.Position(r.uvarint()),
		oldest: r.time(),
	}
	if r.err != nil || len(r.rest) > 0 {
		return room{}, fmt.Errorf("%w room", errCodec)
	}
	return out, nil
}

// A state is what a namespace's log must know before it is read.
type state struct {
	epoch string
	// reserved is the position up to which positions may have been given out.
	reserved hub.Position
	// floor is the position up to which the tape was deleted.
	floor hub.Position
}

func appendState(dst []byte, s state) []byte {
	dst = appendString(dst, s.epoch)
	dst = binary.AppendUvarint(dst, uint64(s.reserved))
	return binary.AppendUvarint(dst, uint64(s.floor))
}

func readState(value []byte) (state, error) {
	r := reader{rest: value}
	s := state{epoch: r.string(), reserved: hub.Position(r.uvarint()), floor: hub.Position(r.uvarint())}
	if r.err != nil || len(r.rest) > 0 || s.epoch == "" {
		return state{}, fmt.Errorf("%w state", errCodec)
	}
	return s, nil
}
