package hub

import (
	"bytes"
	"encoding/binary"
)

// A build with the tag "later" plays a later version, for the tests of clusters
// in which both are: it says all that one may say which goes along with this one,
// and this one is to take it for nothing.
const (
	laterKind = '~'
	laterMore = `"later":{"than":["this"]},`
)

// laterAbout has a node say more of itself.
func laterAbout(about []byte) []byte {
	if rest, ok := bytes.CutPrefix(about, []byte("{")); ok {
		return append([]byte("{"+laterMore), rest...)
	}
	return about
}

// sayLater says to a node what it does not know, and asks what it cannot answer.
func (n *node) sayLater(to string) {
	body := appendString([]byte{tellQuestion, 0xff, 0x7f}, "/")
	_ = n.engine.Tell(to, append(body, laterKind))
	body = append(appendString([]byte{tellPresence}, "/"), laterKind)
	_ = n.engine.Tell(to, binary.AppendUvarint(binary.AppendUvarint(body, 1), 1))
	_ = n.engine.Tell(to, []byte{laterKind, 1, 2, 3})
}

// castLater says to the other nodes of a namespace what they do not know.
func castLater(l Line) { _ = l.Cast(nil, []byte{laterKind, 1, 2, 3}) }
