package packet

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// unpacker turns MessagePack into compact JSON and attachments.
//
// The JSON is at most about six times as long as the MessagePack: a control
// character becomes six bytes, nil five with its comma. Counts in front of
// containers are not believed: nothing is allocated for them.
type unpacker struct {
	in          []byte // what is left
	out         []byte
	attachments [][]byte
	limits      *Limits
	forged      bool // there was an object that poses as an attachment
	fault       string
}

// messagePack reads a packet that is one frame.
func (d *Decoder) messagePack(frame []byte) (p *Packet, fault string) {
	if len(frame) > d.limits.MaxBytes {
		return nil, faultSize
	}
	u := &unpacker{in: frame, limits: d.limits}
	fields, ok := u.fields()
	if !ok {
		return nil, u.fault
	}
	if !fields.hasType || fields.namespace == nil || fields.namespace[0] != '/' {
		return nil, faultPayload
	}
	if bytes.IndexByte(fields.namespace, ',') >= 0 { // nobody can reach it in the JSON form
		return nil, faultPayload
	}
	p = &Packet{Type: fields.kind, HasID: fields.hasID, ID: fields.id}
	if fault := d.setNamespace(p, fields.namespace); fault != "" {
		return nil, fault
	}
	return p, d.messagePackData(p, fields, u)
}

// packetFields are the members of the map that a packet is.
type packetFields struct {
	kind      Type
	hasType   bool
	namespace []byte
	id        uint64
	hasID     bool
	data      []byte // MessagePack, nil if it is absent, undefined or nil
}

// fields reads the map, whatever the order of its keys.
func (u *unpacker) fields() (f packetFields, ok bool) {
	n, rest, err := msgp.ReadMapHeaderBytes(u.in)
	if err != nil {
		return f, u.fail(faultMessagePack)
	}
	u.in = rest
	for range n {
		key, rest, err := msgp.ReadStringZC(u.in)
		if err != nil {
			return f, u.fail(faultMessagePack)
		}
		u.in = rest
		value, ok := u.skip()
		if !ok || !u.field(&f, string(key), value) {
			return f, false
		}
	}
	if len(u.in) > 0 {
		return f, u.fail(faultMessagePack)
	}
	return f, true
}

// field takes one member. Others than these four (options, which the reference
// server sends) mean nothing.
func (u *unpacker) field(f *packetFields, key string, value []byte) bool {
	absent := isUndefined(value) || msgp.IsNil(value)
	switch key {
	case "type":
		n, _, err := msgp.ReadUint64Bytes(value)
		if err != nil || n > uint64(ConnectError) {
			return u.fail(faultType)
		}
		f.kind, f.hasType = Type(n), true
	case "nsp":
		namespace, _, err := msgp.ReadStringZC(value)
		if err != nil || len(namespace) == 0 {
			return u.fail(faultPayload)
		}
		f.namespace = namespace
	case "id":
		if absent {
			return true
		}
		n, _, err := msgp.ReadUint64Bytes(value)
		if err != nil || n > MaxID {
			return u.fail(faultID)
		}
		f.id, f.hasID = n, true
	case "data":
		if !absent {
			f.data = value
		}
	}
	return true
}

// messagePackData reads the payload as the type of packet asks for.
func (d *Decoder) messagePackData(p *Packet, f packetFields, u *unpacker) (fault string) {
	u.in = f.data
	switch p.Type {
	case Disconnect:
		if f.data != nil {
			return faultPayload
		}
	case Connect, ConnectError:
		if f.data == nil {
			return ""
		}
		if !u.value(0) {
			return u.fault
		}
		if len(u.attachments) > 0 {
			return faultPayload
		}
		p.Data = u.out
		return checkData(p)
	case Event, Ack:
		count, rest, err := msgp.ReadArrayHeaderBytes(f.data)
		if err != nil {
			return faultPayload
		}
		u.in = rest
		if p.Type == Event {
			if count == 0 {
				return faultPayload
			}
			if !u.value(1) {
				return u.fault
			}
			if fault := d.setEvent(p, u.out); fault != "" {
				return fault
			}
			u.out, count = nil, count-1
		}
		return u.args(&p.Args, count)
	}
	return ""
}

// args reads count values.
func (u *unpacker) args(a *Args, count uint32) (fault string) {
	if count == 0 {
		return ""
	}
	u.out = make([]byte, 0, len(u.in)+len(u.in)/4+16)
	if !u.values(count, 1) {
		return u.fault
	}
	if u.forged && len(u.attachments) > 0 {
		return faultAttachments
	}
	*a = Args{elements: u.out, attachments: u.attachments, count: int(count)}
	if a.Size() > u.limits.MaxBytes {
		return faultSize
	}
	return ""
}

// values reads count values at a depth, with commas between.
func (u *unpacker) values(count uint32, depth int) bool {
	for i := range count {
		if i > 0 {
			u.out = append(u.out, ',')
		}
		if !u.value(depth) {
			return false
		}
	}
	return true
}

// value reads one value; depth is the number of containers around it.
func (u *unpacker) value(depth int) bool {
	if len(u.in) == 0 {
		return u.fail(faultMessagePack)
	}
	if isExtension(u.in[0]) {
		return u.extension()
	}
	var err error
	switch msgp.NextType(u.in) {
	case msgp.MapType:
		return u.object(depth + 1)
	case msgp.ArrayType:
		return u.array(depth + 1)
	case msgp.StrType:
		return u.str()
	case msgp.BinType:
		var data []byte
		if data, u.in, err = msgp.ReadBytesZC(u.in); err == nil {
			return u.binary(data)
		}
	case msgp.NilType:
		u.in = u.in[1:]
		u.out = append(u.out, "null"...)
	case msgp.BoolType:
		var v bool
		v, u.in, err = msgp.ReadBoolBytes(u.in)
		u.out = strconv.AppendBool(u.out, v)
	default:
		return u.number()
	}
	return err == nil || u.fail(faultMessagePack)
}

func (u *unpacker) number() bool {
	var err error
	switch msgp.NextType(u.in) {
	case msgp.IntType:
		var n int64
		n, u.in, err = msgp.ReadInt64Bytes(u.in)
		u.out = strconv.AppendInt(u.out, n, 10)
	case msgp.UintType:
		var n uint64
		n, u.in, err = msgp.ReadUint64Bytes(u.in)
		u.out = strconv.AppendUint(u.out, n, 10)
	case msgp.Float32Type:
		var f float32
		f, u.in, err = msgp.ReadFloat32Bytes(u.in)
		u.out = appendNumber(u.out, float64(f), 64)
	case msgp.Float64Type:
		var f float64
		f, u.in, err = msgp.ReadFloat64Bytes(u.in)
		u.out = appendNumber(u.out, f, 64)
	default:
		return u.fail(faultMessagePack)
	}
	return err == nil || u.fail(faultMessagePack)
}

func (u *unpacker) str() bool {
	s, rest, err := msgp.ReadStringZC(u.in)
	if err != nil {
		return u.fail(faultMessagePack)
	}
	if !utf8.Valid(s) {
		return u.fail(faultUTF8)
	}
	u.in = rest
	u.out = appendQuoted(u.out, s)
	return true
}

func (u *unpacker) array(depth int) bool {
	if depth > u.limits.MaxDepth {
		return u.fail(faultDepth)
	}
	n, rest, err := msgp.ReadArrayHeaderBytes(u.in)
	if err != nil {
		return u.fail(faultMessagePack)
	}
	u.in = rest
	u.out = append(u.out, '[')
	if !u.values(n, depth) {
		return false
	}
	u.out = append(u.out, ']')
	return true
}

func (u *unpacker) object(depth int) bool {
	if depth > u.limits.MaxDepth {
		return u.fail(faultDepth)
	}
	n, rest, err := msgp.ReadMapHeaderBytes(u.in)
	if err != nil {
		return u.fail(faultMessagePack)
	}
	u.in = rest
	u.out = append(u.out, '{')
	for i := range n {
		if i > 0 {
			u.out = append(u.out, ',')
		}
		from := len(u.out)
		if !u.key() {
			return false
		}
		poses := string(u.out[from:]) == `"_placeholder"`
		value := len(u.out) + 1
		u.out = append(u.out, ':')
		if !u.value(depth) {
			return false
		}
		if poses && string(u.out[value:]) == "true" {
			u.forged = true
		}
	}
	u.out = append(u.out, '}')
	return true
}

// key reads the name of a member. A number is taken for its text.
func (u *unpacker) key() bool {
	switch msgp.NextType(u.in) {
	case msgp.StrType:
		return u.str()
	case msgp.IntType, msgp.UintType:
		u.out = append(u.out, '"')
		if !u.number() {
			return false
		}
		u.out = append(u.out, '"')
		return true
	}
	return u.fail(faultMessagePack)
}

func (u *unpacker) binary(data []byte) bool {
	if len(u.attachments) >= u.limits.MaxBinaries {
		return u.fail(faultCount)
	}
	u.out = appendPlaceholder(u.out, len(u.attachments))
	u.attachments = append(u.attachments, append([]byte{}, data...))
	return true
}

// skip takes the next value off without reading it.
func (u *unpacker) skip() (value []byte, ok bool) {
	whole := u.in
	if !u.skipValues(1, 0) {
		return nil, false
	}
	n := len(whole) - len(u.in)
	return whole[:n:n], true
}

func (u *unpacker) skipValues(count uint64, depth int) bool {
	// The array of the arguments counts as one level, as it does in JSON.
	if depth > u.limits.MaxDepth {
		return u.fail(faultDepth)
	}
	for range count {
		if len(u.in) == 0 {
			return u.fail(faultMessagePack)
		}
		var n uint32
		var err error
		ok := true
		switch kind := msgp.NextType(u.in); {
		case isExtension(u.in[0]):
			_, _, _, u.in, ok = readExtension(u.in)
		case kind == msgp.MapType:
			if n, u.in, err = msgp.ReadMapHeaderBytes(u.in); err == nil {
				ok = u.skipValues(2*uint64(n), depth+1)
			}
		case kind == msgp.ArrayType:
			if n, u.in, err = msgp.ReadArrayHeaderBytes(u.in); err == nil {
				ok = u.skipValues(uint64(n), depth+1)
			}
		default:
			u.in, err = msgp.Skip(u.in)
		}
		if !ok || err != nil {
			return u.fail(faultMessagePack)
		}
	}
	return true
}

func (u *unpacker) fail(fault string) bool {
	if u.fault == "" {
		u.fault = fault
	}
	return false
}
