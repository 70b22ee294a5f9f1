package verb

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// Publisher returns whose ids those of a message are: the owner's if there is
// one, else those of all who publish the same to the same room. Two strangers
// that happen to choose the same id for different messages, as counters do, are
// so never taken for one, and a retry over another door is recognised.
func Publisher(owner string, m *hub.Message, room string) string {
	if owner != "" {
		return "owner:" + owner
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s%d:%s", len(room), room, len(m.Event), m.Event)
	h.Write(m.Args.AppendText(nil))
	return "same:" + base64.RawStdEncoding.EncodeToString(h.Sum(nil)[:16])
}

// AuthEvent is the event by which a server tells a client what became of its
// identity, and a client shows another token.
const AuthEvent = "auth"

// Reserved says whether an event's name belongs to the protocol or to the
// server: peers must not be able to say it to each other.
func Reserved(event string) bool {
	return packet.Reserved(event) || event == hub.PresenceEvent || event == "unrecovered" || event == AuthEvent
}
