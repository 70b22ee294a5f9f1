package packet

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"
)

// The extensions that the stock parsers write. notepack.io 2, which clients
// use, has type 0 for everything: undefined in 1 byte, a Date in 8, and typed
// arrays with a length in front. Its later versions use the timestamp of the
// MessagePack specification.
const (
	extensionNotepack  = 0
	extensionTimestamp = -1
)

func (u *unpacker) extension() bool {
	kind, data, fixed, rest, ok := readExtension(u.in)
	if !ok {
		return u.fail(faultMessagePack)
	}
	u.in = rest
	switch {
	case kind == extensionNotepack && !fixed:
		return u.binary(data)
	case kind == extensionNotepack && len(data) == 1:
		u.out = append(u.out, "null"...)
	case kind == extensionNotepack && len(data) == 8:
		u.out = appendDate(u.out, int64(binary.BigEndian.Uint64(data)))
	case kind == extensionTimestamp && len(data) == 4:
		u.out = appendDate(u.out, 1000*int64(binary.BigEndian.Uint32(data)))
	case kind == extensionTimestamp && len(data) == 8:
		v := binary.BigEndian.Uint64(data) // 30 bits of ns, 34 of s
		u.out = appendDate(u.out, 1000*int64(v&(1<<34-1))+int64(v>>34)/1e6)
	case kind == extensionTimestamp && len(data) == 12:
		ns := int64(binary.BigEndian.Uint32(data))
		s := int64(binary.BigEndian.Uint64(data[4:]))
		if s > math.MaxInt64/2000 || s < math.MinInt64/2000 {
			s = math.MaxInt64 / 2000
		}
		u.out = appendDate(u.out, 1000*s+ns/1e6)
	default:
		return u.fail(faultMessagePack)
	}
	return true
}

// appendDate appends what JSON.stringify makes of a Date of ms milliseconds.
func appendDate(dst []byte, ms int64) []byte {
	const maxDate = 8_640_000_000_000_000 // ECMAScript, Time Values and Time Range
	if ms < -maxDate || ms > maxDate {
		return append(dst, "null"...)
	}
	t := time.UnixMilli(ms).UTC()
	dst = append(dst, '"')
	if year := t.Year(); year < 0 || year > 9999 {
		sign := byte('+')
		if year < 0 {
			sign, year = '-', -year
		}
		digits := strconv.Itoa(1_000_000 + year)
		dst = append(append(dst, sign), digits[1:]...)
	} else {
		dst = t.AppendFormat(dst, "2006")
	}
	dst = t.AppendFormat(dst, "-01-02T15:04:05.000Z")
	return append(dst, '"')
}

// Lead bytes of the MessagePack specification.
const (
	leadExt8      = 0xc7
	leadExt32     = 0xc9
	leadFixExt1   = 0xd4
	leadFixExt16  = 0xd8
	undefinedLen  = 3
	undefinedZero = 0
)

func isExtension(lead byte) bool {
	return leadExt8 <= lead && lead <= leadExt32 || leadFixExt1 <= lead && lead <= leadFixExt16
}

// isUndefined tells whether value is undefined as notepack.io 2 writes it.
func isUndefined(value []byte) bool {
	return len(value) == undefinedLen && value[0] == leadFixExt1 && value[1] == undefinedZero
}

// readExtension reads an extension without copying. fixed tells which of the
// two ways to write a length was used.
func readExtension(in []byte) (kind int8, data []byte, fixed bool, rest []byte, ok bool) {
	lead, in := in[0], in[1:]
	var size uint64
	if fixed = lead >= leadFixExt1; fixed {
		size = 1 << (lead - leadFixExt1)
	} else {
		width := 1 << (lead - leadExt8)
		if len(in) < width {
			return 0, nil, false, nil, false
		}
		for _, b := range in[:width] {
			size = size<<8 | uint64(b)
		}
		in = in[width:]
	}
	if uint64(len(in)) < 1+size {
		return 0, nil, false, nil, false
	}
	return int8(in[0]), in[1 : 1+size], fixed, in[1+size:], true
}
