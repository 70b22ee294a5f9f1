package chat

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
)

// A room is a room of the chat and the member that sits for it in the hub.
// Everything below opening is under Chat.mu.
type room struct {
	chat *Chat
	name string

	opening sync.Once
	seat    *hub.Seat
	err     error // of opening

	fixed    bool // it stays when it is empty
	closed   bool
	members  map[string]*stay // by person
	since    time.Time        // when the last person left
	recent   []Message        // the oldest first
	ours     map[string]Message
	queue    []Message // to be passed on to the people
	queued   int       // bytes of them
	relaying bool      // a goroutine is at it
}

// A stay is somebody in a room, with one socket or more.
type stay struct {
	person  *person
	sockets map[string]bool // by id; empty: gone, perhaps to come back at once
}

var _ hub.Member = (*room)(nil)

func newRoom(c *Chat, name string) *room {
	return &room{chat: c, name: name, members: make(map[string]*stay), ours: make(map[string]Message), since: time.Now()}
}

// public is the hub's room that doors use, and screens the one where people's
// sockets sit.
func (r *room) public() string  { return "chat:" + r.name }
func (r *room) screens() string { return "chat-screens:" + r.name }

// open takes the room's seat, once; who comes second waits for who came first.
func (r *room) open() error {
	r.opening.Do(func() {
		r.seat, r.err = r.chat.ns.Space().Enter(r, nil, r.public())
	})
	return r.err
}

func (r *room) close() {
	r.chat.mu.Lock()
	r.closed = true
	r.chat.mu.Unlock()
	if r.open() == nil {
		r.seat.Close()
	}
}

// Deliver implements [hub.Member]: it remembers what is said, and passes it on.
func (r *room) Deliver(m *hub.Message) {
	if m.Event != string(Said) {
		return
	}
	said, ok := r.read(m)
	r.chat.mu.Lock()
	defer r.chat.mu.Unlock()
	if !ok || r.closed || r.chat.closed {
		return
	}
	if len(said.Text)+r.queued > maxRelay {
		return // refuse: a message of ours stays in r.ours, and so its sender is told
	}
	if own, found := r.ours[said.ID]; found {
		said = own
		delete(r.ours, said.ID)
	} else {
		// Only what went through Send is known to come from whom it says.
		said.ID, said.From.ID, said.Nonce = string(m.Offset()), "", ""
	}
	r.recent = append(r.recent, said)
	if len(r.recent) > maxRecent {
		r.recent = slices.Clone(r.recent[len(r.recent)-maxRecent:])
	}
	r.queue = append(r.queue, said)
	r.queued += len(said.Text)
	if !r.relaying {
		r.relaying = true
		// Ends when the queue is empty; Close waits for it.
		r.chat.running.Go(r.relay)
	}
}

// relay passes on what Deliver has queued: Deliver itself must not publish.
func (r *room) relay() {
	for {
		r.chat.mu.Lock()
		batch := r.queue
		r.queue, r.queued = nil, 0
		if len(batch) == 0 {
			r.relaying = false
			r.chat.mu.Unlock()
			return
		}
		r.chat.mu.Unlock()
		for _, m := range batch {
			// The only error is that of an argument that is no JSON.
			Said.Emit(r.chat.ns.To(r.screens()), m)
		}
	}
}

// read makes a message of whatever was published: a [Message], an object with
// a text and perhaps a name, a bare string. Anything else is shown as it is.
func (r *room) read(m *hub.Message) (Message, bool) {
	said := Message{Room: r.name, From: Person{Name: "Someone"}, At: now()}
	if m.Args.Len() == 0 {
		return said, false
	}
	arg := m.Args.At(0)
	text, isString := arg.String()
	if !isString {
		var fields map[string]json.RawMessage
		if arg.Scan(&fields) == nil && fields != nil {
			said.ID = stringOf(fields["id"])
			said.From.Name = nameOf(fields, said.From.Name)
			text = stringOf(fields["text"])
		}
		if text == "" {
			text = string(m.Args.Slice(0, 1).AppendText(nil))
		}
	}
	said.Text = cut(cleanText(text), maxText)
	return said, said.Text != ""
}

// nameOf finds the name of a publisher: {"name":…}, {"from":{"name":…}} or
// {"from":…}.
func nameOf(fields map[string]json.RawMessage, otherwise string) string {
	var from struct{ Name string }
	name := stringOf(fields["name"])
	if name == "" && json.Unmarshal(fields["from"], &from) == nil {
		name = from.Name
	}
	if name == "" {
		name = stringOf(fields["from"])
	}
	if name = cut(cleanName(name), maxName); name == "" {
		return otherwise
	}
	return name
}

// stringOf returns a JSON string, or "" for anything else.
func stringOf(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func (r *room) countLocked() RoomCount { return RoomCount{Name: r.name, Members: len(r.members)} }

func (r *room) lineLocked() RoomLine {
	line := RoomLine{RoomCount: r.countLocked()}
	if n := len(r.recent); n > 0 {
		line.Last = &r.recent[n-1]
	}
	return line
}

func (r *room) viewLocked() RoomView {
	view := RoomView{Room: r.name, Messages: append([]Message{}, r.recent...), Members: make([]Person, 0, len(r.members))}
	for _, stay := range r.members {
		view.Members = append(view.Members, stay.person.Person)
	}
	slices.SortFunc(view.Members, func(a, b Person) int { return strings.Compare(a.Name, b.Name) })
	return view
}

// join brings a socket into a room.
func (c *Chat) join(ctx context.Context, s *tutti.Socket, to RoomName) (RoomView, error) {
	g := guestOf(ctx)
	if g.person == nil {
		return RoomView{}, &tutti.Refusal{Message: "Please enter with a name first."}
	}
	if err := checkRoom(to.Room); err != nil {
		return RoomView{}, err
	}
	if wait := g.steps.take(time.Now()); wait > 0 {
		return RoomView{}, slower(wait)
	}
	if g.rooms[to.Room] == nil && len(g.rooms) >= maxJoined {
		return RoomView{}, &tutti.Refusal{Message: "You are in very many rooms. Please leave one first."}
	}
	r, came, err := c.add(g.person, s.ID(), to.Room)
	if err != nil {
		return RoomView{}, err
	}
	g.rooms[r.name] = r
	if err := r.open(); err != nil {
		return RoomView{}, err
	}
	// First the seat, then the look back: what is said in between is in both,
	// and not in neither.
	if err := s.Join(r.screens()); err != nil {
		return RoomView{}, err
	}
	c.mu.Lock()
	view, who := r.viewLocked(), g.person.Person
	c.mu.Unlock()
	if came {
		if _, err := Joined.Emit(s.To(r.screens()), Presence{Room: r.name, Member: who}); err != nil {
			return RoomView{}, err
		}
	}
	return view, nil
}

// add notes that somebody is in a room, and makes the room if it is new. came
// says whether they were not in it with another socket already.
func (c *Chat) add(p *person, socket, name string) (r *room, came bool, err error) {
	c.mu.Lock()
	var old *room
	defer func() {
		c.mu.Unlock()
		if old != nil {
			old.close()
		}
	}()
	if c.closed {
		return nil, false, errClosed
	}
	if r = c.rooms[name]; r == nil {
		if len(c.rooms) >= maxRooms {
			if old = c.vacantLocked(); old == nil {
				return nil, false, &tutti.Refusal{Message: "There are very many rooms already. Please use one of them."}
			}
			delete(c.rooms, old.name)
		}
		r = newRoom(c, name)
		c.rooms[name] = r
	}
	at := r.members[p.ID]
	if at == nil {
		came = true
		at = &stay{person: p, sockets: make(map[string]bool)}
		r.members[p.ID] = at
		c.tellLocked()
	}
	at.sockets[socket] = true
	return r, came, nil
}

// vacantLocked returns the room that has been empty for longest.
func (c *Chat) vacantLocked() *room {
	var oldest *room
	for _, r := range c.rooms {
		if len(r.members) == 0 && !r.fixed && (oldest == nil || r.since.Before(oldest.since)) {
			oldest = r
		}
	}
	return oldest
}

// leave takes a socket out of a room.
func (c *Chat) leave(ctx context.Context, s *tutti.Socket, from RoomName) (struct{}, error) {
	g := guestOf(ctx)
	r := g.rooms[from.Room]
	if r == nil {
		return struct{}{}, nil
	}
	if wait := g.steps.take(time.Now()); wait > 0 {
		return struct{}{}, slower(wait)
	}
	delete(g.rooms, r.name)
	s.Leave(r.screens())
	c.mu.Lock()
	var left bool
	if at := r.members[g.person.ID]; at != nil {
		delete(at.sockets, s.ID())
		if left = len(at.sockets) == 0; left {
			c.removeLocked(r, g.person)
		}
	}
	who := g.person.Person
	c.mu.Unlock()
	if left {
		if _, err := Left.Emit(c.ns.To(r.screens()), Presence{Room: r.name, Member: who}); err != nil {
			return struct{}{}, err
		}
	}
	return struct{}{}, nil
}

// removeLocked takes somebody out of a room. A room that nobody is in and in
// which nothing was said is gone: most of them were a slip of the keyboard.
func (c *Chat) removeLocked(r *room, p *person) {
	delete(r.members, p.ID)
	c.tellLocked()
	if len(r.members) > 0 {
		return
	}
	r.since = time.Now()
	if !r.fixed && len(r.recent) == 0 && c.rooms[r.name] == r {
		delete(c.rooms, r.name)
		c.after(0, r.close)
	}
}
