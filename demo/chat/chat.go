package chat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// What a client may ask.
const (
	// Enter introduces a socket. It comes first, and again to change the name.
	Enter tutti.Call[Arrival, Welcome] = "enter"
	// Join brings the socket into a room, which is made if it is new.
	Join tutti.Call[Entrance, RoomView] = "join"
	// Leave takes the socket out of a room.
	Leave tutti.Call[RoomName, struct{}] = "leave"
	// Send says something in a room that the socket has joined.
	Send tutti.Call[Draft, Receipt] = "send"
	// History asks for what was said earlier in a room that the socket has
	// joined, if the namespace keeps it.
	History tutti.Call[Earlier, Page] = "history"
	// Type says that somebody writes, or stopped. It is not answered.
	Type tutti.Event[Keystroke] = "typing"
)

// What the server tells.
const (
	// Said is a message, to everyone in its room.
	Said tutti.Event[Message] = "message"
	// Typing says that somebody writes, to the others in the room.
	Typing tutti.Event[Writing] = "typing"
	// Joined says that somebody came into a room, or changed the name.
	Joined tutti.Event[Presence] = "joined"
	// Left says that somebody left a room.
	Left tutti.Event[Presence] = "left"
	// Rooms is the list of rooms, to everyone, when it changed.
	Rooms tutti.Event[[]RoomCount] = "rooms"
)

// A Person is somebody as the others see them. The id stays the same through
// reconnections and changes of name. It is empty for a program that publishes
// through a door.
type Person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// An Arrival introduces somebody. The key is a secret of theirs, any random
// text; who they are is derived from it. Without one they are somebody new on
// every connection.
type Arrival struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

// A Welcome answers [Enter].
type Welcome struct {
	You   Person     `json:"you"`
	Rooms []RoomLine `json:"rooms"`
}

// A RoomLine is a room in the list that one gets on entering.
type RoomLine struct {
	RoomCount
	Last *Message `json:"last"` // null if nothing was said
}

// A RoomCount is a room and how many people are in it.
type RoomCount struct {
	Name    string `json:"name"`
	Members int    `json:"members"`
}

// A RoomName names a room.
type RoomName struct {
	Room string `json:"room"`
}

// An Entrance names a room to join. Known says that the socket was in it
// before and has recovered what was said since: it needs no messages.
type Entrance struct {
	Room  string `json:"room"`
	Known bool   `json:"known"`
}

// A RoomView answers [Join]: what was said lately and who is there. The page is
// null if the room was known.
type RoomView struct {
	Room string `json:"room"`
	*Page
	Members []Person `json:"members"`
}

// An Earlier asks for the last messages before an offset.
type Earlier struct {
	Room   string       `json:"room"`
	Before tutti.Offset `json:"before"`
}

// A Page is a part of what was said, the oldest first.
type Page struct {
	Messages []Message `json:"messages"`
	// More says that there is more before the first of them.
	More bool `json:"more"`
}

// A Draft is something to be said. A draft with the nonce of an earlier one of
// the same person is taken for that one, sent again.
type Draft struct {
	Room  string `json:"room"`
	Text  string `json:"text"`
	Nonce string `json:"nonce"`
}

// A Receipt answers [Send].
type Receipt struct {
	ID     string       `json:"id"`
	At     time.Time    `json:"at"`
	Offset tutti.Offset `json:"offset,omitempty"`
}

// A Message is something that was said. It has an offset where it comes from a
// history.
type Message struct {
	ID     string       `json:"id"`
	Room   string       `json:"room"`
	From   Person       `json:"from"`
	Text   string       `json:"text"`
	At     time.Time    `json:"at"`
	Nonce  string       `json:"nonce,omitempty"`
	Offset tutti.Offset `json:"offset,omitempty"`
}

// A Keystroke says whether somebody writes in a room.
type Keystroke struct {
	Room   string `json:"room"`
	Typing bool   `json:"typing"`
}

// A Writing says who writes, or stopped.
type Writing struct {
	Room   string `json:"room"`
	From   Person `json:"from"`
	Typing bool   `json:"typing"`
}

// A Presence says who came into a room or left it.
type Presence struct {
	Room   string `json:"room"`
	Member Person `json:"member"`
}

// The rooms that are always there.
var fixedRooms = []string{"general", "ideas", "lounge"}

// lobby is the hub's room of everyone who has entered.
const lobby = "chat-lobby"

// A Chat is a chat in a namespace. It is safe for concurrent use.
type Chat struct {
	ns   *tutti.Namespace
	kept bool // the namespace keeps the history of our rooms

	// running counts relays (Deliver starts one, it ends when its room has
	// nothing more to pass on) and timers that went off. Close waits for them.
	running sync.WaitGroup

	// Nothing calls the namespace or its hub while holding mu: Deliver needs
	// it, in the middle of the hub's order.
	mu      sync.Mutex
	closed  bool
	rooms   map[string]*room
	people  map[string]*person // by id
	names   map[string]*person // by folded name, those present
	telling bool               // the list of rooms changed, and a timer runs
}

// Mount puts a chat into a namespace and its page at "/chat/". It registers
// handlers, so that it is called once for a namespace, before clients come.
func Mount(ns *tutti.Namespace, mux *http.ServeMux) (*Chat, error) {
	if ns.Space() == nil {
		return nil, errors.New("chat: a family of namespaces has no rooms of its own")
	}
	page, err := newPage(ns.Name())
	if err != nil {
		return nil, err
	}
	kept, err := keeps(ns.Space())
	if err != nil {
		return nil, err
	}
	c := &Chat{ns: ns, kept: kept, rooms: make(map[string]*room), people: make(map[string]*person), names: make(map[string]*person)}
	if err := c.openRooms(); err != nil {
		c.Close()
		return nil, err
	}
	ns.Guard(func(ctx context.Context, _ *tutti.Socket) (context.Context, error) {
		return context.WithValue(ctx, guestKey{}, newGuest()), nil
	})
	Enter.Handle(ns, c.enter)
	Join.Handle(ns, c.join)
	Leave.Handle(ns, c.leave)
	Send.Handle(ns, c.send)
	History.Handle(ns, c.history)
	Type.Handle(ns, c.typing)
	ns.OnDisconnect(c.gone)
	mux.Handle("GET /chat/", http.StripPrefix("/chat/", page))
	return c, nil
}

// openRooms makes the rooms that are always there, and those that were.
func (c *Chat) openRooms() error {
	names := fixedRooms
	if c.kept {
		before, err := c.roomsBefore()
		if err != nil {
			return fmt.Errorf("chat: %w", err)
		}
		names = append(before, fixedRooms...)
	}
	for i, name := range names {
		r := newRoom(c, name)
		r.fixed = i >= len(names)-len(fixedRooms)
		c.rooms[name] = r
		if err := r.open(); err != nil {
			return err
		}
	}
	return nil
}

// Close takes the chat out of its rooms, stops its timers, and waits until
// nothing of it runs. It does not end anybody's connection.
func (c *Chat) Close() {
	c.mu.Lock()
	c.closed = true
	rooms := c.rooms
	c.rooms = make(map[string]*room)
	c.mu.Unlock()
	for _, r := range rooms {
		r.close()
	}
	c.running.Wait()
}

// after runs f on a goroutine of its own after d, unless the chat is closed by
// then. Close waits for it.
func (c *Chat) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return
		}
		c.running.Add(1)
		c.mu.Unlock()
		defer c.running.Done()
		f()
	})
}

// tellLocked sees to it that everyone is told the list of rooms soon, once for
// many changes: a hundred people coming back at once make a hundred of them.
func (c *Chat) tellLocked() {
	if c.telling || c.closed {
		return
	}
	c.telling = true
	c.after(tellAfter, func() {
		c.mu.Lock()
		c.telling = false
		list := make([]RoomCount, 0, len(c.rooms))
		for _, r := range c.roomsLocked() {
			list = append(list, r.countLocked())
		}
		c.mu.Unlock()
		// The only error is that of an argument that is no JSON.
		Rooms.Emit(c.ns.To(lobby), list)
	})
}

func (c *Chat) roomsLocked() []*room {
	rooms := make([]*room, 0, len(c.rooms))
	for _, r := range c.rooms {
		rooms = append(rooms, r)
	}
	slices.SortFunc(rooms, func(a, b *room) int { return strings.Compare(a.name, b.name) })
	return rooms
}

// send says a draft in its room.
func (c *Chat) send(ctx context.Context, _ *tutti.Socket, d Draft) (Receipt, error) {
	g := guestOf(ctx)
	r := g.rooms[d.Room]
	if r == nil {
		return Receipt{}, &tutti.Refusal{Message: "You are not in that room."}
	}
	text, err := checkText(d.Text)
	if err != nil {
		return Receipt{}, err
	}
	if len(d.Nonce) > maxNonce {
		return Receipt{}, &tutti.Refusal{Message: "That nonce is too long."}
	}
	sent, again := c.claim(g.person, d.Nonce)
	if again {
		return sent.wait(ctx)
	}
	err = c.say(g, r, sent, text)
	c.settle(g.person, sent, err)
	return sent.receipt, err
}

// say publishes a message, at once where the people are and where doors listen:
// it has one place in the order of both.
func (c *Chat) say(g *guest, r *room, sent *sending, text string) error {
	if wait := g.words.take(time.Now()); wait > 0 {
		return slower(wait)
	}
	c.mu.Lock()
	from := g.person.Person
	c.mu.Unlock()
	said := Message{ID: newID(), Room: r.name, From: from, Text: text, At: now(), Nonce: sent.nonce}
	m := &hub.Message{Event: string(Said)}
	if sent.nonce != "" {
		// So that one who has not heard the answer may ask again, even if the
		// server was killed in between.
		said.ID = messageID(from.ID, sent.nonce)
		m.ID, m.Publisher = sent.nonce, "chat:"+from.ID
	}
	receipt, err := c.publish(m, said, r.public(), r.screens())
	sent.receipt = Receipt{ID: said.ID, At: said.At, Offset: receipt.Offset}
	return refusalOf(err)
}

// publish puts what was said into a message and hands it to the hub.
func (c *Chat) publish(m *hub.Message, said Message, rooms ...string) (hub.Receipt, error) {
	args, err := packet.Marshal(said)
	if err != nil {
		return hub.Receipt{}, err
	}
	m.Args = args
	return c.ns.Space().Publish(context.Background(), m, hub.Address{Rooms: rooms})
}

// refusalOf says in words that a store has failed: the person can try again,
// and is not told that the message was sent.
func refusalOf(err error) error {
	switch {
	case errors.Is(err, hub.ErrFailed):
		return &tutti.Refusal{Message: "The server cannot keep messages at the moment."}
	case errors.Is(err, hub.ErrOffset):
		return &tutti.Refusal{Message: "The conversation has changed. Here it is again."}
	}
	return err
}

// typing passes on that somebody writes. Too much of it, or in the wrong room,
// is dropped: it was not asked for an answer.
func (c *Chat) typing(ctx context.Context, s *tutti.Socket, k Keystroke) error {
	g := guestOf(ctx)
	r := g.rooms[k.Room]
	if r == nil || g.keys.take(time.Now()) > 0 {
		return nil
	}
	c.mu.Lock()
	from := g.person.Person
	c.mu.Unlock()
	_, err := Typing.Emit(s.To(r.crowd()).Volatile(), Writing{Room: r.name, From: from, Typing: k.Typing})
	return err
}

// now is the time as it goes over the wire: whole milliseconds are what a
// browser keeps.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

var errClosed = errors.New("chat: closed")
