package nodewire

import (
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// Emitter is the name of senders that are no servers.
const Emitter = "emitter"

// An Op is what a message is about.
type Op uint8

// What servers say. Those that ask have a Request, and the answers the same.
const (
	Broadcast  Op = iota + 1 // an event for members; with a Request: who gets it answers
	Count                    // to Broadcast: how many members were asked
	Ack                      // to Broadcast: what one of them has answered
	Join                     // let members join rooms
	Leave                    // let members leave rooms
	Disconnect               // let members leave the namespace
	Done                     // to Join, Leave and Disconnect of one socket, which wants to know
	Fetch                    // describe members
	Fetched                  // to Fetch, IDs and AllRooms
	IDs                      // name members
	AllRooms                 // name rooms
	Emit                     // an event for the applications of other servers; with a Request: they answer
	Emitted                  // to Emit: what one of them has answered
	Beat                     // a server is there
	Close                    // a server leaves
)

// A Message is one thing that is said.
type Message struct {
	Op      Op
	From    string // who says it; "": unknown
	Request string // which question it puts or answers; "": none
	To      Target

	Event string      // Broadcast, Emit
	Args  packet.Args // likewise

	// Value is the answer of Ack and Emitted. JavaScript's undefined is null.
	Value packet.Arg
	Rooms []string // Join, Leave: which; Fetched: the rooms, or ids, if these were asked for

	Count   int               // Count
	Whole   bool              // Disconnect: with all that shares their connections
	Sockets []hub.Description // Fetched
}

// A Target says which members are meant: those of any of the rooms, or all, but
// for those of Except.
type Target struct {
	Rooms  []string
	Except []string
	// Socket is the one that is meant by servers of old; "": none.
	Socket string
	Flags  Flags
}

// Address is the target in the hub's terms, as far as it is on this node.
func (t Target) Address() hub.Address {
	rooms := t.Rooms
	if t.Socket != "" {
		rooms = []string{t.Socket}
	}
	return hub.Address{Rooms: rooms, Except: t.Except, Local: true}
}

// Flags are how to send.
type Flags struct {
	Volatile     bool
	Uncompressed bool
	Timeout      time.Duration // for answers; 0: unknown
}

// A Via is how a parcel is sent.
type Via uint8

// The commands of Redis.
const (
	Publish  Via = iota // PUBLISH
	SPublish            // SPUBLISH
	Add                 // XADD
)

// A Parcel is a message as it is sent.
type Parcel struct {
	Via  Via
	To   string   // a channel, or a stream
	Body []byte   // of Publish and SPublish
	Pair []string // of Add: names and values of fields
}

// Sources are where messages come from.
type Sources struct {
	Patterns []string // PSUBSCRIBE
	Channels []string // SUBSCRIBE
	Shards   []string // SSUBSCRIBE
	Stream   string   // XREAD; "": none
	Counted  string   // the channel whose subscribers are the servers
}

// A Dialect is how an adapter speaks in a namespace. It may be used by any
// number of goroutines.
type Dialect interface {
	// Encode returns how a message of this server is sent. An answer is for the
	// server that To.Socket names.
	Encode(m *Message) (Parcel, error)
	// Decode reads what came on a channel, or as an entry of the stream.
	Decode(channel string, body []byte, pairs map[string]string) (*Message, error)
	// Sources says where messages come from.
	Sources() Sources
	// Room returns the channel of a room, if rooms have channels that must be
	// listened to.
	Room(room string) (channel string, ok bool)
	// Only returns the room whose members alone are meant by what comes on a
	// channel, if that says so.
	Only(channel string) (room string, ok bool)
}
