package load

import (
	"encoding/binary"
	"errors"
)

// The opcodes of WebSocket frames that matter here.
const (
	opContinue = 0
	opText     = 1
	opBinary   = 2
	opClose    = 8
	opPing     = 9
	opPong     = 10
)

var errFrame = errors.New("load: a frame that no server may send")

// maxFrame is more than any server announces.
const maxFrame = 64 << 20

// frame takes the first WebSocket frame from data. size is 0 if it isn't whole
// yet.
func frame(data []byte) (op byte, fin bool, payload []byte, size int, err error) {
	if len(data) < 2 {
		return 0, false, nil, 0, nil
	}
	n, head := int(data[1]), 2
	switch {
	case n > 127 || data[0]&0x70 != 0: // masked, or an extension we didn't ask for
		return 0, false, nil, 0, errFrame
	case n == 126:
		if len(data) < 4 {
			return 0, false, nil, 0, nil
		}
		n, head = int(binary.BigEndian.Uint16(data[2:])), 4
	case n == 127:
		if len(data) < 10 {
			return 0, false, nil, 0, nil
		}
		long := binary.BigEndian.Uint64(data[2:])
		if long > maxFrame {
			return 0, false, nil, 0, errFrame
		}
		n, head = int(long), 10
	}
	if len(data) < head+n {
		return 0, false, nil, 0, nil
	}
	return data[0] & 15, data[0]&0x80 != 0, data[head : head+n], head + n, nil
}

// appendFrame appends a client's frame around payload, masked with key.
func appendFrame(b []byte, op byte, payload []byte, key uint32) []byte {
	b = append(b, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = append(b, 0x80|127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = binary.LittleEndian.AppendUint32(b, key)
	at := len(b)
	b = append(b, payload...)
	mask(b[at:], key)
	return b
}

func mask(data []byte, key uint32) {
	wide := uint64(key)<<32 | uint64(key)
	for len(data) >= 8 {
		binary.LittleEndian.PutUint64(data, binary.LittleEndian.Uint64(data)^wide)
		data = data[8:]
	}
	for i := range data {
		data[i] ^= byte(key >> (8 * (i & 3)))
	}
}
