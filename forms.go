package tutti

import (
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// The two ways in which Socket.IO clients read messages: the default parser's
// and the MessagePack parser's. Every message is encoded and framed at most
// once for each, and the same bytes go to all.
var (
	jsonForm    = hub.NewForm(func(m *hub.Message) []*engineio.Frame { return eventFrames(packet.JSON, m) })
	msgpackForm = hub.NewForm(func(m *hub.Message) []*engineio.Frame { return eventFrames(packet.MessagePack, m) })
)

// framesOf returns m as a client that speaks format reads it.
func framesOf(format packet.Format, m *hub.Message) []*engineio.Frame {
	if format == packet.MessagePack {
		return msgpackForm.Of(m)
	}
	return jsonForm.Of(m)
}

func eventFrames(format packet.Format, m *hub.Message) []*engineio.Frame {
	p := &packet.Packet{Type: packet.Event, Namespace: m.Namespace, Event: m.Event, Args: m.Args}
	if m.Call != nil {
		p.HasID, p.ID = true, m.Call.ID
	}
	return prepare(format, p, m.Uncompressed)
}

// prepare makes a packet ready to be sent. A packet that cannot be encoded is
// a mistake of ours, since arguments are checked when they are made: nothing
// is sent then.
func prepare(format packet.Format, p *packet.Packet, uncompressed bool) []*engineio.Frame {
	encoded, err := format.Encode(p)
	if err != nil {
		return nil
	}
	frames := make([]*engineio.Frame, len(encoded))
	for i, f := range encoded {
		if uncompressed {
			frames[i] = engineio.PrepareUncompressed(engineio.Message(f))
		} else {
			frames[i] = engineio.Prepare(engineio.Message(f))
		}
	}
	return frames
}
