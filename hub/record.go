package hub

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tutti-rt/tutti/packet"
)

// recordVersion begins every record. A reader refuses versions it does not
// know; a later one keeps reading this one.
const recordVersion = 1

const (
	recordUncompressed = 1 << iota
	recordVolatile     // of what is said to other nodes, and kept nowhere
	recordOriginal     // an origin follows, see appendOriginal
)

var errRecord = errors.New("hub: not a record")

// appendRecord writes what a tape keeps of a message: the arguments as the
// Socket.IO packet that carries them, whose reader checks them again when they
// come back from the disk.
func appendRecord(dst []byte, m *Message) ([]byte, error) { return appendOriginal(dst, m, "") }

// appendOriginal writes besides by what name the node that publishes the message
// knows it again: nothing if that is "".
func appendOriginal(dst []byte, m *Message, origin string) ([]byte, error) {
	frames, err := packet.JSON.Encode(&packet.Packet{Type: packet.Event, Event: m.Event, Args: m.Args})
	if err != nil {
		return nil, err
	}
	var flags uint64
	if m.Uncompressed {
		flags |= recordUncompressed
	}
	if m.Volatile {
		flags |= recordVolatile
	}
	if origin != "" {
		flags |= recordOriginal
	}
	dst = append(slices.Grow(dst, len(origin)+recordSize(m, frames)), recordVersion)
	dst = binary.AppendUvarint(dst, flags)
	if origin != "" {
		dst = appendString(dst, origin)
	}
	dst = appendStrings(dst, m.Rooms)
	dst = appendStrings(dst, m.Except)
	dst = appendString(dst, m.ID)
	dst = appendString(dst, m.Publisher)
	dst = binary.AppendUvarint(dst, uint64(len(frames)))
	for _, f := range frames {
		dst = binary.AppendUvarint(dst, uint64(len(f.Data)))
		dst = append(dst, f.Data...)
	}
	return dst, nil
}

// recordSize is how large a record gets, or a little less: growing it costs a
// third of what a publish allocates.
func recordSize(m *Message, frames []packet.Frame) int {
	n := 16 + len(m.ID) + len(m.Publisher)
	for _, list := range [][]string{m.Rooms, m.Except} {
		for _, s := range list {
			n += 2 + len(s)
		}
	}
	for _, f := range frames {
		n += 5 + len(f.Data)
	}
	return n
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendStrings(dst []byte, list []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, s := range list {
		dst = appendString(dst, s)
	}
	return dst
}

// readRecord makes the message of a record. Namespace, epoch, position and time
// are the caller's to fill in.
func readRecord(body []byte) (*Message, error) {
	r := recordReader{rest: body}
	if v := r.byte(); v != recordVersion {
		return nil, fmt.Errorf("%w: version %d", errRecord, v)
	}
	m := new(Message)
	flags := r.uvarint()
	m.Uncompressed, m.Volatile = flags&recordUncompressed != 0, flags&recordVolatile != 0
	if flags&recordOriginal != 0 {
		r.bytes()
	}
	m.Rooms = r.strings()
	m.Except = r.strings()
	m.ID = string(r.bytes())
	m.Publisher = string(r.bytes())
	d := packet.NewDecoder(packet.Limits{MaxAttachments: -1, MaxDepth: -1, MaxNamespace: -1, MaxEvent: -1, MaxBytes: -1})
	var p *packet.Packet
	for i, n := uint64(0), r.uvarint(); i < n && r.err == nil; i++ {
		var err error
		if p, err = d.Add(packet.Frame{Data: r.bytes(), Binary: i > 0}); err != nil {
			return nil, fmt.Errorf("%w: %w", errRecord, err)
		}
	}
	if r.err != nil || p == nil || p.Type != packet.Event || len(r.rest) > 0 {
		return nil, errRecord
	}
	m.Event, m.Args = p.Event, p.Args
	return m, nil
}

// recordOrigin returns the origin of the message of a record, "" if it has none.
func recordOrigin(body []byte) string {
	r := recordReader{rest: body}
	if r.byte() != recordVersion || r.uvarint()&recordOriginal == 0 {
		return ""
	}
	return string(r.bytes())
}

// A recordReader takes a record apart. After an error it reads zeros.
type recordReader struct {
	rest []byte
	err  error
}

func (r *recordReader) byte() byte {
	if len(r.rest) == 0 {
		r.err = errRecord
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *recordReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.err, r.rest = errRecord, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// bytes returns a part of the record, not a copy.
func (r *recordReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.err, r.rest = errRecord, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// strings reads a list. Its announced length is not trusted with memory.
func (r *recordReader) strings() []string {
	var list []string
	for i, n := uint64(0), r.uvarint(); i < n && r.err == nil; i++ {
		list = append(list, string(r.bytes()))
	}
	return list
}

func appendErasure(dst []byte, e Erasure) []byte {
	return binary.AppendUvarint(appendString(dst, e.Room), uint64(e.Position))
}

func readErasures(body []byte) (list []Erasure, ok bool) {
	r := recordReader{rest: body}
	for len(r.rest) > 0 && r.err == nil {
		list = append(list, Erasure{Room: string(r.bytes()), Position: Position(r.uvarint())})
	}
	return list, r.err == nil
}

// rooms returns the names of the rooms.
func (s *sessionRecord) rooms() []string {
	names := make([]string, len(s.Rooms))
	for i, st := range s.Rooms {
		names[i] = st.Room
	}
	return names
}

// sharedVersion begins the records of sessions that several nodes share.
const sharedVersion = 2

// A sessionRecord is what a space remembers of a member that may come back.
type sessionRecord struct {
	Name       string // how the member is known, its room of its own
	Owner      string // whose it is; only the same may have it back
	Start      Position
	Generation uint64 // grows with every return: fences what went before
	Rooms      []standing
	Expires    time.Time // zero while the member is here

	// Of a session that several nodes share.
	Node   string // where the member is, or was last; "": it is not shared
	Epoch  string // of the log whose positions these are
	Handed Position
	Level  Position // see session
}

// A standing is a room that a member is in, and since when.
type standing struct {
	Room  string
	Since Position
	Asked bool // the member asked for it itself
}

func (s *sessionRecord) append(dst []byte) []byte {
	version := byte(recordVersion)
	if s.Node != "" {
		version = sharedVersion
	}
	dst = append(dst, version)
	dst = appendString(dst, s.Name)
	dst = appendString(dst, s.Owner)
	dst = binary.AppendUvarint(dst, uint64(s.Start))
	dst = binary.AppendUvarint(dst, s.Generation)
	var expires int64
	if !s.Expires.IsZero() {
		expires = s.Expires.UnixMilli()
	}
	dst = binary.AppendUvarint(dst, uint64(expires))
	dst = binary.AppendUvarint(dst, uint64(len(s.Rooms)))
	for _, st := range s.Rooms {
		dst = appendString(dst, st.Room)
		dst = binary.AppendUvarint(dst, uint64(st.Since))
	}
	if version == sharedVersion {
		dst = appendString(dst, s.Node)
		dst = appendString(dst, s.Epoch)
		dst = binary.AppendUvarint(dst, uint64(s.Handed))
		dst = binary.AppendUvarint(dst, uint64(s.Level))
	}
	// Behind the rest, so that a record without such rooms is as it always was.
	for i, st := range s.Rooms {
		if st.Asked {
			dst = binary.AppendUvarint(dst, uint64(i))
		}
	}
	return dst
}

func readSession(body []byte) (*sessionRecord, error) {
	r := recordReader{rest: body}
	version := r.byte()
	if version != recordVersion && version != sharedVersion {
		return nil, fmt.Errorf("%w: version %d", errRecord, version)
	}
	s := &sessionRecord{
		Name:       string(r.bytes()),
		Owner:      string(r.bytes()),
		Start:      Position(r.uvarint()),
		Generation: r.uvarint(),
	}
	if ms := int64(r.uvarint()); ms != 0 {
		s.Expires = time.UnixMilli(ms)
	}
	for i, n := uint64(0), r.uvarint(); i < n && r.err == nil; i++ {
		s.Rooms = append(s.Rooms, standing{Room: string(r.bytes()), Since: Position(r.uvarint())})
	}
	if version == sharedVersion {
		s.Node, s.Epoch = string(r.bytes()), string(r.bytes())
		s.Handed, s.Level = Position(r.uvarint()), Position(r.uvarint())
	}
	for r.err == nil && len(r.rest) > 0 {
		if i := r.uvarint(); i < uint64(len(s.Rooms)) {
			s.Rooms[i].Asked = true
		} else {
			r.err = errRecord
		}
	}
	if r.err != nil || len(r.rest) > 0 || (version == sharedVersion) != (s.Node != "") {
		return nil, errRecord
	}
	return s, nil
}
