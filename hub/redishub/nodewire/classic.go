package nodewire

import (
	"fmt"
	"strings"

	"github.com/tutti-rt/tutti/packet"
)

// classic is @socket.io/redis-adapter's createAdapter.
type classic struct {
	uid, namespace             string
	channel, request, response string
}

// NewClassic returns the dialect of @socket.io/redis-adapter's classic adapter.
// prefix is its option key, "socket.io" by default; uid names this server.
func NewClassic(prefix, namespace, uid string) Dialect {
	return &classic{
		uid: uid, namespace: namespace,
		channel:  prefix + "#" + namespace + "#",
		request:  prefix + "-request#" + namespace + "#",
		response: prefix + "-response#" + namespace + "#",
	}
}

// Sources implements [Dialect].
func (c *classic) Sources() Sources {
	return Sources{
		Patterns: []string{globEscape(c.channel) + "*"},
		Channels: []string{c.request, c.response, c.response + c.uid + "#"},
		Counted:  c.request,
	}
}

// globEscape has a pattern mean the text itself.
func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// Room implements [Dialect]: the pattern hears all.
func (c *classic) Room(string) (string, bool) { return "", false }

// Only implements [Dialect].
func (c *classic) Only(channel string) (string, bool) {
	rest, ok := strings.CutPrefix(channel, c.channel)
	rest, ends := strings.CutSuffix(rest, "#")
	return rest, ok && ends && rest != ""
}

// What requests and responses are about.
const (
	classicSockets = iota
	classicAllRooms
	classicJoin
	classicLeave
	classicDisconnect
	classicFetch
	classicEmit
	classicBroadcast
	classicCount
	classicAck
)

// classicPacket is the packet of an event.
type classicPacket struct {
	Type int         `json:"type"`
	Data packet.Args `json:"data"`
	NSP  *string     `json:"nsp"`
}

// Encode implements [Dialect].
func (c *classic) Encode(m *Message) (Parcel, error) {
	switch m.Op {
	case Broadcast:
		return c.broadcast(m)
	case Count, Ack, Fetched, Done, Emitted:
		return c.answer(m)
	}
	body, err := c.ask(m)
	return Parcel{To: c.request, Body: body}, err
}

func (c *classic) broadcast(m *Message) (Parcel, error) {
	data, err := m.list()
	if err != nil {
		return Parcel{}, err
	}
	p := classicPacket{Type: eventPacket, Data: data, NSP: &c.namespace}
	if m.Request == "" {
		a, err := value([]any{c.uid, p, m.To.written(true)})
		if err != nil {
			return Parcel{}, err
		}
		to := c.channel
		if len(m.To.Rooms) == 1 {
			to += m.To.Rooms[0] + "#"
		}
		return Parcel{To: to, Body: a.AppendMessagePack(nil)}, nil
	}
	a, err := value(struct {
		UID     string        `json:"uid"`
		Request string        `json:"requestId"`
		Type    int           `json:"type"`
		Packet  classicPacket `json:"packet"`
		Opts    written       `json:"opts"`
	}{c.uid, m.Request, classicBroadcast, p, m.To.written(true)})
	return Parcel{To: c.request, Body: a.AppendMessagePack(nil)}, err
}

// classicAsk is a request in JSON; its keys are in the order of all of them.
type classicAsk struct {
	UID     string      `json:"uid"`
	Request string      `json:"requestId,omitempty"`
	Type    int         `json:"type"`
	Opts    *written    `json:"opts,omitempty"`
	Rooms   *[]string   `json:"rooms,omitempty"`
	Close   *bool       `json:"close,omitempty"`
	Data    *rawElement `json:"data,omitempty"`
}

// rawElement is a value that is written as it is.
type rawElement []byte

// MarshalJSON returns the text.
func (r rawElement) MarshalJSON() ([]byte, error) { return r, nil }

func (c *classic) ask(m *Message) ([]byte, error) {
	ask := classicAsk{UID: c.uid, Request: m.Request}
	opts, rooms := m.To.written(false), orEmpty(m.Rooms)
	switch m.Op {
	case IDs:
		to := orEmpty(m.To.Rooms)
		ask.Type, ask.Rooms = classicSockets, &to
	case AllRooms:
		ask.Type = classicAllRooms
	case Join:
		ask.Type, ask.Opts, ask.Rooms = classicJoin, &opts, &rooms
	case Leave:
		ask.Type, ask.Opts, ask.Rooms = classicLeave, &opts, &rooms
	case Disconnect:
		ask.Type, ask.Opts, ask.Close = classicDisconnect, &opts, &m.Whole
	case Fetch:
		ask.Type, ask.Opts = classicFetch, &opts
	case Emit:
		list, err := m.list()
		if err != nil {
			return nil, err
		}
		a, err := value(list)
		if err != nil {
			return nil, err
		}
		text := rawElement(stringify(a))
		ask.Type, ask.Data = classicEmit, &text
	default:
		return nil, fmt.Errorf("nodewire: the classic adapter does not say %d", m.Op)
	}
	a, err := value(ask)
	return a.JSON(), err
}

// answer is on the channel that all servers hear, as it is by default with Node.
func (c *classic) answer(m *Message) (Parcel, error) {
	var v any
	switch m.Op {
	case Count:
		v = struct {
			Type    int    `json:"type"`
			Request string `json:"requestId"`
			Count   int    `json:"clientCount"`
		}{classicCount, m.Request, m.Count}
	case Ack:
		a, err := value(struct {
			Type    int        `json:"type"`
			Request string     `json:"requestId"`
			Packet  packet.Arg `json:"packet"`
		}{classicAck, m.Request, m.Value})
		return Parcel{To: c.response, Body: a.AppendMessagePack(nil)}, err
	case Emitted:
		v = struct {
			Type    int        `json:"type"`
			Request string     `json:"requestId"`
			Data    rawElement `json:"data"`
		}{classicEmit, m.Request, stringify(m.Value)}
	case Fetched:
		return c.fetched(m)
	default:
		v = struct {
			Request string `json:"requestId"`
		}{m.Request}
	}
	a, err := value(v)
	return Parcel{To: c.response, Body: a.JSON()}, err
}

// fetched answers what was asked for, which Rooms and Sockets say.
func (c *classic) fetched(m *Message) (Parcel, error) {
	answer := struct {
		Request string    `json:"requestId"`
		Sockets any       `json:"sockets,omitempty"`
		Rooms   *[]string `json:"rooms,omitempty"`
	}{Request: m.Request}
	switch {
	case m.Sockets != nil:
		answer.Sockets = socketsOf(m.Sockets)
	case m.Whole: // ids
		answer.Sockets = orEmpty(m.Rooms)
	default:
		rooms := orEmpty(m.Rooms)
		answer.Rooms = &rooms
	}
	a, err := value(answer)
	return Parcel{To: c.response, Body: a.JSON()}, err
}

// Decode implements [Dialect].
func (c *classic) Decode(channel string, body []byte, _ map[string]string) (*Message, error) {
	switch {
	case strings.HasPrefix(channel, c.response):
		return c.decodeAnswer(body)
	case channel == c.request:
		return c.decodeAsk(body)
	case strings.HasPrefix(channel, c.channel):
		return c.decodeBroadcast(body)
	}
	return nil, errForm
}

func (c *classic) decodeBroadcast(body []byte) (*Message, error) {
	a, err := packet.ParseMessagePack(body, packet.Limits{})
	if err != nil {
		return nil, err
	}
	var list packet.Args
	if err := a.Scan(&list); err != nil {
		return nil, err
	}
	var from name
	var p classicPacket
	var opts options
	if err := list.Scan(&from, &p, &opts); err != nil {
		return nil, err
	}
	m := &Message{Op: Broadcast, From: string(from), To: opts.target()}
	return m, c.packet(m, p)
}

// packet takes the event. A packet that names no namespace is for the main one.
func (c *classic) packet(m *Message, p classicPacket) error {
	namespace := "/"
	if p.NSP != nil {
		namespace = *p.NSP
	}
	if p.Type != eventPacket || namespace != c.namespace {
		return errForm
	}
	return m.setEvent(p.Data)
}

// classicAsked is a request of any type as it is read.
type classicAsked struct {
	UID     name           `json:"uid"`
	Request name           `json:"requestId"`
	Type    *int           `json:"type"`
	Opts    *options       `json:"opts"`
	Rooms   names          `json:"rooms"`
	Room    name           `json:"room"`
	Socket  name           `json:"sid"`
	Close   packet.Arg     `json:"close"`
	Data    packet.Args    `json:"data"`
	Packet  *classicPacket `json:"packet"`
}

func (c *classic) decodeAsk(body []byte) (*Message, error) {
	a, err := parse(body)
	if err != nil {
		return nil, err
	}
	var ask classicAsked
	if err := a.Scan(&ask); err != nil {
		return nil, err
	}
	if ask.Type == nil {
		return nil, errForm
	}
	m := &Message{From: string(ask.UID), Request: string(ask.Request), Rooms: ask.Rooms}
	if ask.Opts != nil {
		m.To = ask.Opts.target()
	}
	switch *ask.Type {
	case classicSockets:
		m.Op, m.To.Rooms, m.Rooms = IDs, m.Rooms, nil
	case classicAllRooms:
		m.Op = AllRooms
	case classicJoin, classicLeave, classicDisconnect:
		return m, ask.move(m)
	case classicFetch:
		m.Op = Fetch
	case classicEmit:
		m.Op = Emit
		return m, m.setEvent(ask.Data)
	case classicBroadcast:
		if m.Op = Broadcast; ask.Packet == nil || m.Request == "" {
			return nil, errForm
		}
		return m, c.packet(m, *ask.Packet)
	default:
		return nil, errForm
	}
	return m, nil
}

// move reads who is to join, leave or be gone. Servers of old ask it of one
// socket and one room.
func (ask *classicAsked) move(m *Message) error {
	m.Op = map[int]Op{classicJoin: Join, classicLeave: Leave, classicDisconnect: Disconnect}[*ask.Type]
	m.Whole = string(ask.Close.JSON()) == "true"
	if ask.Opts != nil {
		return nil
	}
	if m.To.Socket = string(ask.Socket); m.To.Socket == "" {
		return errForm
	}
	if m.Op != Disconnect {
		m.Rooms = []string{string(ask.Room)}
	}
	return nil
}

func (c *classic) decodeAnswer(body []byte) (*Message, error) {
	a, err := parse(body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Request name       `json:"requestId"`
		Type    packet.Arg `json:"type"`
		Count   float64    `json:"clientCount"`
		Packet  packet.Arg `json:"packet"`
		Data    packet.Arg `json:"data"`
		Sockets packet.Arg `json:"sockets"`
		Rooms   names      `json:"rooms"`
	}
	if err := a.Scan(&answer); err != nil {
		return nil, err
	}
	m := &Message{Request: string(answer.Request)}
	if m.Request == "" {
		return nil, errForm
	}
	sockets, err := readSockets(answer.Sockets)
	if err != nil {
		return nil, err
	}
	switch string(answer.Type.JSON()) {
	case "6":
		m.Op, m.Value = Emitted, answer.Data
	case "8":
		m.Op = Count
		return m, m.count(answer.Count)
	case "9":
		m.Op, m.Value = Ack, answer.Packet
	default:
		if m.Op = Fetched; sockets == nil && answer.Rooms == nil {
			m.Op = Done
		}
		m.Sockets, m.Rooms = sockets, answer.Rooms
	}
	return m, nil
}
