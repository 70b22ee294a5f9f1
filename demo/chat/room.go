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

	fixed   bool // it stays when it is empty
	closed  bool
	members map[string]*stay // by person
	since   time.Time        // when the last person left
	recent  []Message        // the oldest first; the last one only, if the namespace keeps them
	relay   relay
}

// A stay is somebody in a room, with one socket or more.
type stay struct {
	person  *person
	sockets map[string]bool // by id; empty: gone, perhaps to come back at once
}

var _ hub.Member = (*room)(nil)

func newRoom(c *Chat, name string) *room {
	return &room{chat: c, name: name, members: make(map[string]*stay), since: time.Now()}
}

// public is the hub's room that doors use, screens the one where people's
// sockets hear what is said, and crowd where they hear who comes and goes.
func (r *room) public() string  { return "chat:" + r.name }
func (r *room) screens() string { return "chat-screens:" + r.name }
func (r *room) crowd() string   { return "chat-crowd:" + r.name }

// open takes the room's seat, once; who comes second waits for who came first.
func (r *room) open() error {
	r.opening.Do(func() {
		r.seat, r.err = r.chat.ns.Space().Enter(r, nil, r.public(), r.screens())
		if r.err == nil && r.chat.kept {
			r.err = r.resume()
		}
	})
	return r.err
}

func (r *room) close() {
	r.chat.mu.Lock()
	r.closed = true
	r.chat.mu.Unlock()
	if r.open(); r.seat != nil {
		r.seat.Close()
	}
}

// Deliver implements [hub.Member]: it remembers what is said. What came through
// a door is not in its final form, and not on the screens; it is passed on.
func (r *room) Deliver(m *hub.Message) {
	if m.Event != string(Said) {
		return
	}
	var said Message
	final := slices.Contains(m.Rooms, r.screens())
	ok := final && m.Args.Scan(&said) == nil
	if !final {
		said, ok = r.read(m)
	}
	r.chat.mu.Lock()
	defer r.chat.mu.Unlock()
	switch {
	case !ok || r.closed || r.chat.closed:
	case final:
		r.rememberLocked(said)
	default:
		r.relayLocked(said)
	}
}

func (r *room) rememberLocked(said Message) {
	r.recent = append(r.recent, said)
	keep := maxRecent
	if r.chat.kept {
		keep = 1
	}
	if len(r.recent) > keep {
		r.recent = slices.Clone(r.recent[len(r.recent)-keep:])
	}
}

// read makes a message of whatever was published: a [Message], an object with
// a text and perhaps a name, a bare string. Anything else is shown as it is.
// Its id is its place in the order; whatever it says of its author is a name
// and no more, for only what went through [Send] is known to come from whom it
// says.
func (r *room) read(m *hub.Message) (Message, bool) {
	said := Message{ID: string(m.Offset()), Room: r.name, From: Person{Name: "Someone"}, At: now()}
	if !m.Time.IsZero() {
		said.At = m.Time.UTC().Truncate(time.Millisecond)
	}
	if m.Args.Len() == 0 {
		return said, false
	}
	arg := m.Args.At(0)
	text, isString := arg.String()
	if !isString {
		var fields map[string]json.RawMessage
		if arg.Scan(&fields) == nil && fields != nil {
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
	view := RoomView{Room: r.name, Members: make([]Person, 0, len(r.members))}
	for _, stay := range r.members {
		view.Members = append(view.Members, stay.person.Person)
	}
	slices.SortFunc(view.Members, func(a, b Person) int { return strings.Compare(a.Name, b.Name) })
	return view
}

// join brings a socket into a room.
func (c *Chat) join(ctx context.Context, s *tutti.Socket, to Entrance) (RoomView, error) {
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
	if err := s.Join(r.screens(), r.crowd()); err != nil {
		return RoomView{}, err
	}
	var page *Page
	if !to.Known {
		if page, err = r.page(""); err != nil {
			return RoomView{}, refusalOf(err)
		}
	}
	c.mu.Lock()
	view, who := r.viewLocked(), g.person.Person
	c.mu.Unlock()
	view.Page = page
	if came {
		if _, err := Joined.Emit(s.To(r.crowd()), Presence{Room: r.name, Member: who}); err != nil {
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
		c.running.Go(func() { c.noteRoom(name) }) // Close waits for it
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
	s.Leave(r.screens(), r.crowd())
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
		if _, err := Left.Emit(c.ns.To(r.crowd()), Presence{Room: r.name, Member: who}); err != nil {
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
