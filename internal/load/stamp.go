package load

import (
	"bytes"
	"encoding/json"
)

// stampSize is the size of a stamp: '@', the time when the message was due in 16
// hexadecimal digits of nanoseconds, its number in 8.
const stampSize = 1 + 16 + 8

const hexDigits = "0123456789abcdef"

// appendStamp appends a payload of size bytes that begins with a stamp.
func appendStamp(b []byte, due int64, seq uint32, size int) []byte {
	b = append(b, '@')
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[due>>shift&15])
	}
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[seq>>shift&15])
	}
	for n := size - stampSize; n > 0; {
		k := min(n, len(filler))
		b = append(b, filler[:k]...)
		n -= k
	}
	return b
}

const filler = "................................................................................................................................"

// readStamp finds a stamp in data, which is mostly where the usual form of an
// event has it: at, a hint that is updated.
func readStamp(data []byte, at *int) (due int64, seq uint32, ok bool) {
	if *at >= len(data) || data[*at] != '@' {
		i := bytes.IndexByte(data, '@')
		if i < 0 {
			return 0, 0, false
		}
		*at = i
	}
	stamp := data[*at:]
	if len(stamp) < stampSize {
		return 0, 0, false
	}
	d, ok1 := unhex(stamp[1:17])
	s, ok2 := unhex(stamp[17:25])
	return int64(d), uint32(s), ok1 && ok2
}

func unhex(digits []byte) (v uint64, ok bool) {
	bad := byte(0)
	for _, c := range digits {
		x := unhexed[c]
		bad |= x
		v = v<<4 | uint64(x&15)
	}
	return v, bad < 16
}

// unhexed is the value of a digit, and 255 for what is none.
var unhexed = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range []byte(hexDigits) {
		t[c] = byte(i)
	}
	return t
}()

// appendString appends s as JSON.
func appendString(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // a string cannot fail
		panic(err)
	}
	return append(b, text...)
}
