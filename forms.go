package tutti

import (
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// The ways in which Socket.IO clients read messages: the default parser's and
// the MessagePack parser's, and each with or without the offset that lets a
// client come back. Every message is encoded and framed at most once for each,
// and the same bytes go to all.
var (
	jsonForm        = hub.NewForm(func(m *hub.Message) []*engineio.Frame { return eventFrames(packet.JSON, false, m) })
	msgpackForm     = hub.NewForm(func(m *hub.Message) []*engineio.Frame { return eventFrames(packet.MessagePack, false, m) })
	jsonKeptForm    = hub.NewForm(func(m *hub.Message) []*engineio.Frame { return eventFrames(packet.JSON, true, m) })
	msgpackKeptForm = hub.NewForm(func(m *hub.Message) []*engineio.Frame { return eventFrames(packet.MessagePack, true, m) })
)

// framesOf returns m as a client that speaks format reads it. A client that
// may come back gets offsets.
func framesOf(format packet.Format, returns bool, m *hub.Message) []*engineio.Frame {
	switch {
	case format == packet.MessagePack && returns:
		return msgpackKeptForm.Of(m)
	case format == packet.MessagePack:
		return msgpackForm.Of(m)
	case returns:
		return jsonKeptForm.Of(m)
	}
	return jsonForm.Of(m)
}

func eventFrames(format packet.Format, returns bool, m *hub.Message) []*engineio.Frame {
	p := &packet.Packet{Type: packet.Event, Namespace: m.Namespace, Event: m.Event, Args: m.Args}
	if m.Call != nil {
		p.HasID, p.ID = true, m.Call.ID
	}
	if returns && needsOffset(m) {
		args, err := m.Args.Append(string(m.Since()))
		if err != nil {
			return nil // a string can always be appended
		}
		p.Args = args
	}
	return prepare(format, p, m.Uncompressed)
}

// needsOffset says whether an offset follows the arguments. A stock client
// takes the last argument of any event for an offset if it is a string, and the
// event's name if there is none, so that one which is not kept but ends with a
// string would spoil the client's: it gets the offset of what came before. An
// event with an acknowledgement ends with a function.
func needsOffset(m *hub.Message) bool {
	switch {
	case m.Call != nil:
		return false
	case m.Kept():
		return true
	case m.Since() == "": // it was sent past the space, which has no offset for it
		return false
	case m.Args.Len() == 0:
		return true
	}
	_, isString := m.Args.At(m.Args.Len() - 1).String()
	return isString
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
