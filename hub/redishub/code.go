package redishub

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// A position is the server's time in milliseconds since firstMilli, and a number
// of 12 bits; or one more than the last, if that is more. Lua's numbers hold it
// exactly until the year 2089.
const (
	firstMilli   = 1_577_836_800_000 // 2020
	positionBits = 12
	maxPosition  = hub.Position(1<<53 - 1)
)

func placeOf(t time.Time) hub.Position {
	return hub.Position(max(0, t.UnixMilli()-firstMilli)) << positionBits
}

// timeOf is when a message was written, as far as its position says: if the
// server's clock was put back, it stands still until it is level.
func timeOf(p hub.Position) time.Time {
	return time.UnixMilli(int64(p>>positionBits) + firstMilli)
}

func parsePosition(s string) (hub.Position, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return hub.Position(n), err == nil && hub.Position(n) <= maxPosition
}

// An entry is what is stored and published for a message, and cast: the rooms it
// is for, and the body.
//
//	count, then length and name of each room, then the body
//
// Numbers are varints.
func appendEntry(dst []byte, rooms []string, body []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(rooms)))
	for _, r := range rooms {
		dst = binary.AppendUvarint(dst, uint64(len(r)))
		dst = append(dst, r...)
	}
	return append(dst, body...)
}

// entrySize bounds what appendEntry appends.
func entrySize(rooms []string, body []byte) int {
	n := len(body) + binary.MaxVarintLen32
	for _, r := range rooms {
		n += len(r) + binary.MaxVarintLen32
	}
	return n
}

// cutEntry reads an entry. heard is called for each room, if there are any, and
// says whether somebody here listens to it; interest is whether somebody does, or
// it is for everyone.
func cutEntry(b []byte, heard func(room []byte) bool) (body []byte, interest, ok bool) {
	count, b, ok := cutUvarint(b)
	if !ok || count > uint64(len(b)) {
		return nil, false, false
	}
	interest = count == 0
	for range count {
		var size uint64
		if size, b, ok = cutUvarint(b); !ok || size > uint64(len(b)) {
			return nil, false, false
		}
		interest = interest || heard(b[:size])
		b = b[size:]
	}
	return b, interest, true
}

func cutUvarint(b []byte) (uint64, []byte, bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return 0, nil, false
	}
	return n, b[size:], true
}

// What is published begins with its kind.
const (
	kindMessage = 'm' // position, space, entry
	kindEpoch   = 'e' // epoch, space, the position it begins with
	kindCast    = 'c' // sender, entry
	kindTell    = 't' // sender, body
	kindJoined  = 'j' // node
	kindLeft    = 'l' // node
)

// cutMessage reads what follows kindMessage.
func cutMessage(b []byte) (p hub.Position, entry []byte, ok bool) {
	const digits = 16 // of maxPosition
	for i, c := range b[:min(len(b), digits+1)] {
		switch {
		case c == ' ' && i > 0:
			return p, b[i+1:], p > 0 && p <= maxPosition
		case c < '0' || c > '9':
			return 0, nil, false
		}
		p = p*10 + hub.Position(c-'0')
	}
	return 0, nil, false
}

// cutEpoch reads what follows kindEpoch.
func cutEpoch(b []byte) (epoch string, start hub.Position, ok bool) {
	epoch, number, ok := strings.Cut(string(b), " ")
	if !ok || epoch == "" || len(epoch) > maxName {
		return "", 0, false
	}
	start, ok = parsePosition(number)
	return epoch, start, ok
}

// appendSender and cutSender stand before what a node says.
func appendSender(dst []byte, kind byte, node string) []byte {
	dst = append(dst, kind, byte(len(node)))
	return append(dst, node...)
}

func cutSender(b []byte) (node string, rest []byte, ok bool) {
	if len(b) == 0 || int(b[0]) >= len(b) && len(b) != 1+int(b[0]) || b[0] == 0 || b[0] > maxName {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}
