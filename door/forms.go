package door

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/websocket"
	"github.com/tutti-rt/tutti/packet"
)

// The forms in which doors write messages out, each made once per message.
var (
	eventForm = hub.NewForm(encodeEvent)
	textForm  = hub.NewForm(encodeText)
	jsonForm  = hub.NewForm(encodeJSON)
)

// appendData appends what a door shows of a message's arguments: a single one
// as it is, several as an array, none as null. Binary data is inlined as
// {"$binary":"<base64>"}. The text has no line feed.
func appendData(dst []byte, args packet.Args) []byte {
	switch args.Len() {
	case 0:
		return append(dst, "null"...)
	case 1:
		return args.AppendText(dst)
	}
	return append(args.AppendText(append(dst, '[')), ']')
}

// encodeEvent writes a message as an event of a text/event-stream.
func encodeEvent(m *hub.Message) []byte {
	dst := make([]byte, 0, 64+len(m.Event)+m.Args.Size())
	// Without an offset of its own it has the id of what came before: an empty
	// one would make a browser forget that.
	if id := cmp.Or(m.Since(), m.Offset()); id != "" {
		dst = append(dst, "id: "...)
		dst = append(dst, id...)
		dst = append(dst, '\n')
	}
	dst = append(dst, "event: "...)
	dst = append(dst, eventName(m.Event)...)
	dst = append(dst, "\ndata: "...)
	dst = appendData(dst, m.Args)
	return append(dst, "\n\n"...)
}

// eventName makes an event's name fit for a line of a stream. Names are chosen
// by peers; one with a line break in it would write fields and events of its
// own into everybody's stream.
func eventName(name string) string {
	if !strings.ContainsAny(name, "\r\n\x00") {
		return name
	}
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return '\uFFFD'
		}
		return r
	}, name)
}

// encodeText writes a message for WebSockets that take mere text.
func encodeText(m *hub.Message) *websocket.Frame { return frame(m, appendText(nil, m)) }

// appendText appends a single string as it is, everything else as JSON.
func appendText(dst []byte, m *hub.Message) []byte {
	if m.Args.Len() == 1 {
		if text, ok := m.Args.At(0).String(); ok {
			return append(dst, text...)
		}
	}
	return appendData(dst, m.Args)
}

// encodeJSON writes a message for WebSockets with JSON framing.
func encodeJSON(m *hub.Message) *websocket.Frame {
	return frame(m, appendJSON(make([]byte, 0, 96+len(m.Event)+m.Args.Size()), m))
}

// appendJSON appends the message as an object of JSON framing.
func appendJSON(dst []byte, m *hub.Message) []byte {
	dst = append(dst, '{')
	if m.Call != nil {
		dst = strconv.AppendUint(append(dst, `"call":`...), m.Call.ID, 10)
		dst = append(dst, ',')
	}
	dst = appendString(append(dst, `"event":`...), m.Event)
	dst = appendData(append(dst, `,"data":`...), m.Args)
	if len(m.Rooms) == 1 {
		dst = appendString(append(dst, `,"room":`...), m.Rooms[0])
	}
	if o := m.Offset(); o != "" {
		dst = appendString(append(dst, `,"offset":`...), o)
	}
	return append(dst, '}')
}

func frame(m *hub.Message, text []byte) *websocket.Frame {
	if m.Uncompressed {
		return websocket.PrepareUncompressed(text, false)
	}
	return websocket.Prepare(text, false)
}

// appendString appends s as a JSON string.
func appendString[T ~string](dst []byte, s T) []byte {
	// The error says that s is not UTF-8; what is wrong in it is U+FFFD then.
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}
