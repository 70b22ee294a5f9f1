package nodewire

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/tutti-rt/tutti/packet"
)

// What messages between the adapters of a newer make are about.
const (
	clusterFirstBeat = iota + 1
	clusterBeat
	clusterBroadcast
	clusterJoin
	clusterLeave
	clusterDisconnect
	clusterFetch
	clusterFetched
	clusterEmit
	clusterEmitted
	clusterCount
	clusterAck
	clusterClose
)

// cluster is what the sharded adapter and that of streams have in common.
type cluster struct {
	uid, namespace string
	channel        string
}

// clusterMessage is one of theirs.
type clusterMessage struct {
	Type int        `json:"type"`
	Data packet.Arg `json:"data"`
	UID  string     `json:"uid"`
	NSP  string     `json:"nsp"`
}

// clusterPacket is the packet of an event.
type clusterPacket struct {
	Type int         `json:"type"`
	Data packet.Args `json:"data"`
}

// message returns what is sent of a message, but for its form.
func (c *cluster) message(m *Message) (clusterMessage, error) {
	out := clusterMessage{UID: c.uid, NSP: c.namespace}
	var data any
	var err error
	switch m.Op {
	case Broadcast, Emit:
		out.Type, data, err = m.clusterEvent()
	default:
		if out.Type, data = m.clusterAsk(); data == nil {
			out.Type, data = m.clusterAnswer()
		}
	}
	if err == nil && data == nil {
		err = fmt.Errorf("nodewire: the adapter does not say %d", m.Op)
	}
	if err == nil {
		out.Data, err = value(data)
	}
	return out, err
}

func (m *Message) clusterEvent() (kind int, data any, err error) {
	list, err := m.list()
	if err != nil {
		return 0, nil, err
	}
	if m.Op == Broadcast {
		return clusterBroadcast, struct {
			Packet  clusterPacket `json:"packet"`
			Request string        `json:"requestId,omitempty"`
			Opts    written       `json:"opts"`
		}{clusterPacket{eventPacket, list}, m.Request, m.To.written(true)}, nil
	}
	return clusterEmit, struct {
		Request string      `json:"requestId,omitempty"`
		Packet  packet.Args `json:"packet"`
	}{m.Request, list}, nil
}

// clusterAsk is what is sent of a request, nil if the message is none.
func (m *Message) clusterAsk() (kind int, data any) {
	type move struct {
		Opts  written  `json:"opts"`
		Rooms []string `json:"rooms"`
	}
	opts := m.To.written(true)
	switch m.Op {
	case Join:
		return clusterJoin, move{opts, orEmpty(m.Rooms)}
	case Leave:
		return clusterLeave, move{opts, orEmpty(m.Rooms)}
	case Disconnect:
		return clusterDisconnect, struct {
			Opts  written `json:"opts"`
			Close bool    `json:"close"`
		}{opts, m.Whole}
	case Fetch:
		return clusterFetch, struct {
			Opts    written `json:"opts"`
			Request string  `json:"requestId"`
		}{opts, m.Request}
	}
	return 0, nil
}

// clusterAnswer is what is sent of an answer, nil if the message is none.
func (m *Message) clusterAnswer() (kind int, data any) {
	type reply struct {
		Request string     `json:"requestId"`
		Packet  packet.Arg `json:"packet"`
	}
	switch m.Op {
	case Fetched:
		return clusterFetched, struct {
			Request string   `json:"requestId"`
			Sockets []socket `json:"sockets"`
		}{m.Request, socketsOf(m.Sockets)}
	case Emitted:
		return clusterEmitted, reply{m.Request, m.Value}
	case Count:
		return clusterCount, struct {
			Request string `json:"requestId"`
			Count   int    `json:"clientCount"`
		}{m.Request, m.Count}
	case Ack:
		return clusterAck, reply{m.Request, m.Value}
	}
	return 0, nil
}

// answers says whether the message answers another.
func (m *Message) answers() bool {
	switch m.Op {
	case Fetched, Emitted, Count, Ack, Done:
		return true
	}
	return false
}

// clusterData is the data of a message of any type as it is read.
type clusterData struct {
	Request name       `json:"requestId"`
	Packet  packet.Arg `json:"packet"`
	Opts    options    `json:"opts"`
	Rooms   names      `json:"rooms"`
	Close   packet.Arg `json:"close"`
	Sockets packet.Arg `json:"sockets"`
	Count   float64    `json:"clientCount"`
}

// decode reads a message that has been parsed.
func (c *cluster) decode(kind int, uid string, a packet.Arg) (*Message, error) {
	m := &Message{From: uid}
	switch kind {
	case clusterFirstBeat, clusterBeat:
		m.Op = Beat
		return m, nil
	case clusterClose:
		m.Op = Close
		return m, nil
	}
	var d clusterData
	if err := a.Scan(&d); err != nil {
		return nil, err
	}
	m.Request, m.To, m.Rooms = string(d.Request), d.Opts.target(), d.Rooms
	return m, m.set(kind, &d)
}

// set takes what a type of message has of its own.
func (m *Message) set(kind int, d *clusterData) error {
	switch kind {
	case clusterBroadcast:
		m.Op = Broadcast
		return m.setPacket(d.Packet)
	case clusterJoin:
		m.Op = Join
	case clusterLeave:
		m.Op = Leave
	case clusterDisconnect:
		m.Op, m.Whole = Disconnect, string(d.Close.JSON()) == "true"
	case clusterFetch:
		m.Op = Fetch
	case clusterFetched:
		m.Op = Fetched
		return m.setSockets(d.Sockets)
	case clusterEmit:
		m.Op = Emit
		var list packet.Args
		if err := d.Packet.Scan(&list); err != nil {
			return err
		}
		return m.setEvent(list)
	case clusterEmitted:
		m.Op, m.Value = Emitted, d.Packet
	case clusterCount:
		m.Op = Count
		return m.count(d.Count)
	case clusterAck:
		m.Op, m.Value = Ack, d.Packet
	default:
		return errForm
	}
	return nil
}

func (m *Message) setSockets(a packet.Arg) (err error) {
	m.Sockets, err = readSockets(a)
	for i := range m.Sockets {
		m.Sockets[i].Node = m.From
	}
	return err
}

func (m *Message) setPacket(a packet.Arg) error {
	var p clusterPacket
	if err := a.Scan(&p); err != nil {
		return err
	}
	if p.Type != eventPacket {
		return errForm
	}
	return m.setEvent(p.Data)
}

// body reads a message from a channel.
func (c *cluster) body(body []byte) (*Message, error) {
	a, err := parse(body)
	if err != nil {
		return nil, err
	}
	var in struct {
		Type int        `json:"type"`
		Data packet.Arg `json:"data"`
		UID  name       `json:"uid"`
		NSP  string     `json:"nsp"`
	}
	if err := a.Scan(&in); err != nil {
		return nil, err
	}
	if in.NSP != c.namespace {
		return nil, errForm
	}
	return c.decode(in.Type, string(in.UID), in.Data)
}

// A Mode says which rooms have channels of their own with the sharded adapter.
type Mode uint8

// The values of its option subscriptionMode.
const (
	Dynamic        Mode = iota // those that are not a socket's own: the default
	DynamicPrivate             // all
	Static                     // none
)

// sharded is @socket.io/redis-adapter's createShardedAdapter.
type sharded struct {
	cluster
	mode Mode
}

// NewSharded returns the dialect of @socket.io/redis-adapter's sharded adapter.
// prefix is its option channelPrefix, "socket.io" by default; uid names this
// server.
func NewSharded(prefix, namespace, uid string, mode Mode) Dialect {
	return &sharded{cluster{uid, namespace, prefix + "#" + namespace + "#"}, mode}
}

// Sources implements [Dialect].
func (s *sharded) Sources() Sources {
	return Sources{Shards: []string{s.channel, s.channel + s.uid + "#"}, Counted: s.channel}
}

// Room implements [Dialect].
func (s *sharded) Room(room string) (string, bool) {
	ok := s.mode == DynamicPrivate || s.mode == Dynamic && !ownRoom(room)
	return s.channel + room + "#", ok
}

// ownRoom says whether a room looks like a socket's own: by as many characters
// as JavaScript counts in its id.
func ownRoom(room string) bool { return len(utf16.Encode([]rune(room))) == 20 }

// Only implements [Dialect]: what is for one room only comes to who listens.
func (s *sharded) Only(string) (string, bool) { return "", false }

// Encode implements [Dialect].
func (s *sharded) Encode(m *Message) (Parcel, error) {
	out, err := s.message(m)
	if err != nil {
		return Parcel{}, err
	}
	p := Parcel{Via: SPublish, To: s.channel}
	switch {
	case m.answers():
		p.To += m.To.Socket + "#"
	case m.Op == Broadcast && m.Request == "" && len(m.To.Rooms) == 1:
		if channel, ok := s.Room(m.To.Rooms[0]); ok {
			p.To = channel
		}
	}
	a, err := value(out)
	if p.Body = a.JSON(); a.HasBinary() {
		p.Body = a.AppendMessagePack(nil)
	}
	return p, err
}

// Decode implements [Dialect].
func (s *sharded) Decode(_ string, body []byte, _ map[string]string) (*Message, error) {
	return s.body(body)
}

// streams is @socket.io/redis-streams-adapter.
type streams struct {
	cluster
	stream string
}

// NewStreams returns the dialect of @socket.io/redis-streams-adapter 0.3. prefix
// is its options streamName and channelPrefix, "socket.io" by default; count is
// its option streamCount, 1 by default; uid names this server.
func NewStreams(prefix, namespace, uid string, count int) Dialect {
	stream := prefix
	if count > 1 {
		stream += "-" + strconv.Itoa(hashCode(namespace)%count)
	}
	return &streams{cluster{uid, namespace, prefix + "#" + namespace + "#"}, stream}
}

// hashCode is how the adapter spreads namespaces over streams.
func hashCode(s string) int {
	var h int32
	for _, c := range utf16.Encode([]rune(s)) {
		h = h*31 + int32(c)
	}
	return int(h)
}

// Sources implements [Dialect].
func (s *streams) Sources() Sources {
	return Sources{Channels: []string{s.channel, s.channel + s.uid + "#"}, Stream: s.stream, Counted: s.channel}
}

// Room implements [Dialect]: a stream is for all.
func (s *streams) Room(string) (string, bool) { return "", false }

// Only implements [Dialect].
func (s *streams) Only(string) (string, bool) { return "", false }

// Encode implements [Dialect]. What somebody waits for goes by channels, the
// rest into the stream.
func (s *streams) Encode(m *Message) (Parcel, error) {
	out, err := s.message(m)
	if err != nil {
		return Parcel{}, err
	}
	to := s.channel
	switch {
	case m.answers():
		to += m.To.Socket + "#"
	case m.Op == Broadcast && m.Request == "" || m.Op == Join || m.Op == Leave || m.Op == Disconnect:
		text := string(out.Data.JSON())
		if out.Data.HasBinary() {
			text = base64.StdEncoding.EncodeToString(out.Data.AppendMessagePack(nil))
		}
		return Parcel{Via: Add, To: s.stream, Pair: []string{
			"uid", s.uid, "nsp", s.namespace, "type", strconv.Itoa(out.Type), "data", text,
		}}, nil
	}
	a, err := value(out)
	return Parcel{To: to, Body: a.AppendMessagePack(nil)}, err
}

// Decode implements [Dialect].
func (s *streams) Decode(_ string, body []byte, pairs map[string]string) (*Message, error) {
	if pairs == nil {
		return s.body(body)
	}
	kind, err := strconv.Atoi(pairs["type"])
	if err != nil || pairs["nsp"] != s.namespace {
		return nil, errForm
	}
	text := []byte(pairs["data"])
	if len(text) == 0 {
		return s.decode(kind, pairs["uid"], packet.Arg{})
	}
	if text[0] != '{' {
		if text, err = base64.StdEncoding.DecodeString(strings.TrimSpace(string(text))); err != nil {
			return nil, err
		}
	}
	a, err := parse(text)
	if err != nil {
		return nil, err
	}
	return s.decode(kind, pairs["uid"], a)
}
