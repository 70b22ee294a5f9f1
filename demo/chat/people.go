package chat

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/tutti-rt/tutti"
)

// A person is somebody the chat knows: present, or gone not long ago.
// Everything is under Chat.mu, but for the id.
type person struct {
	Person
	sockets int // connections that have entered as this person
	parted  int // how often the last of them went, to tell timers apart
	sent    map[string]*sending
	nonces  []string // of sent, the oldest first
}

// A sending is a message on its way, or one that arrived and may come again.
type sending struct {
	nonce   string
	receipt Receipt // set before done is closed
	err     error
	done    chan struct{}
}

// wait returns what became of the first try.
func (s *sending) wait(ctx context.Context) (Receipt, error) {
	select {
	case <-s.done:
		return s.receipt, s.err
	case <-ctx.Done():
		return Receipt{}, ctx.Err()
	}
}

// claim notes that a message with that nonce is being sent, or returns the one
// that is or was.
func (c *Chat) claim(p *person, nonce string) (sent *sending, again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sent := p.sent[nonce]; sent != nil {
		return sent, true
	}
	sent = &sending{nonce: nonce, done: make(chan struct{})}
	if nonce == "" {
		return sent, false
	}
	p.sent[nonce] = sent
	p.nonces = append(p.nonces, nonce)
	if len(p.nonces) > maxNonces {
		delete(p.sent, p.nonces[0])
		p.nonces = append([]string(nil), p.nonces[1:]...)
	}
	return sent, false
}

// settle ends what claim began. A message that was not said may be tried again.
func (c *Chat) settle(p *person, sent *sending, err error) {
	c.mu.Lock()
	if err != nil && p.sent[sent.nonce] == sent {
		delete(p.sent, sent.nonce)
		for i, nonce := range p.nonces {
			if nonce == sent.nonce {
				p.nonces = append(p.nonces[:i:i], p.nonces[i+1:]...)
				break
			}
		}
	}
	c.mu.Unlock()
	sent.err = err
	close(sent.done)
}

// A guest is what the chat keeps for a socket. Only the handlers of that
// socket touch it, and they run one at a time.
type guest struct {
	person *person // nil before enter
	rooms  map[string]*room
	words  bucket // messages
	steps  bucket // entering, joining and leaving
	keys   bucket // typing
}

func newGuest() *guest {
	return &guest{
		rooms: make(map[string]*room),
		words: bucket{rate: 4, burst: 12},
		steps: bucket{rate: 5, burst: 2 * maxJoined},
		keys:  bucket{rate: 4, burst: 8},
	}
}

type guestKey struct{}

func guestOf(ctx context.Context) *guest { return ctx.Value(guestKey{}).(*guest) }

// identify derives who somebody is from a secret of theirs.
func identify(key string) string {
	sum := sha256.Sum256([]byte("tutti chat\x00" + key))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// messageID derives the id of a message from what its author calls it, so that
// a second try has the id of the first.
func messageID(person, nonce string) string {
	sum := sha256.Sum256([]byte("tutti chat message\x00" + person + "\x00" + nonce))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

func newID() string {
	var b [12]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// enter introduces a socket, or gives its person another name.
func (c *Chat) enter(ctx context.Context, s *tutti.Socket, a Arrival) (Welcome, error) {
	g := guestOf(ctx)
	name, err := checkName(a.Name)
	if err != nil {
		return Welcome{}, err
	}
	if wait := g.steps.take(time.Now()); wait > 0 {
		return Welcome{}, slower(wait)
	}
	if len(a.Key) > maxKey {
		return Welcome{}, &tutti.Refusal{Message: "That key is too long."}
	}
	// Joined first: no list of rooms is missed between the answer and the next.
	if err := s.Join(lobby); err != nil {
		return Welcome{}, err
	}
	welcome, renamed, err := c.admit(g, a.Key, name)
	if err != nil {
		return Welcome{}, err
	}
	for _, r := range renamed {
		if _, err := Joined.Emit(c.ns.To(r.crowd()), Presence{Room: r.name, Member: welcome.You}); err != nil {
			return Welcome{}, err
		}
	}
	return welcome, nil
}

// admit finds or makes the person behind a key. It returns the rooms in which
// their new name is news.
func (c *Chat) admit(g *guest, key, name string) (w Welcome, renamed []*room, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.personLocked(g, key)
	if err != nil {
		return Welcome{}, nil, err
	}
	if owner := c.names[foldName(name)]; owner != nil && owner != p && owner.sockets > 0 {
		return Welcome{}, nil, &tutti.Refusal{Message: fmt.Sprintf("Somebody here is called %s already. Please pick another name.", owner.Name)}
	}
	if c.names[foldName(p.Name)] == p {
		delete(c.names, foldName(p.Name))
	}
	if p.Name != name {
		for _, r := range c.rooms {
			if r.members[p.ID] != nil {
				renamed = append(renamed, r)
			}
		}
	}
	p.Name = name
	c.names[foldName(name)] = p
	c.people[p.ID] = p
	if g.person == nil {
		g.person = p
		p.sockets++
	}
	w.You = p.Person
	w.Rooms = make([]RoomLine, 0, len(c.rooms))
	for _, r := range c.roomsLocked() {
		w.Rooms = append(w.Rooms, r.lineLocked())
	}
	return w, renamed, nil
}

func (c *Chat) personLocked(g *guest, key string) (*person, error) {
	var id string
	switch {
	case key != "":
		id = identify(key)
	case g.person != nil:
		id = g.person.ID
	default:
		id = newID()
	}
	if g.person != nil && g.person.ID != id {
		return nil, &tutti.Refusal{Message: "This connection is somebody else's already."}
	}
	if p := c.people[id]; p != nil {
		return p, nil
	}
	if c.closed {
		return nil, errClosed
	}
	if len(c.people) >= maxPeople {
		return nil, &tutti.Refusal{Message: "The chat is full. Please come back later."}
	}
	return &person{Person: Person{ID: id}, sent: make(map[string]*sending)}, nil
}

// gone is called when a socket has left. What it was in stays as it is for a
// moment: most people who vanish are back at once.
func (c *Chat) gone(ctx context.Context, s *tutti.Socket, _ tutti.Reason) {
	g := guestOf(ctx)
	if g.person == nil {
		return
	}
	p := g.person
	c.mu.Lock()
	for _, r := range g.rooms {
		if stay := r.members[p.ID]; stay != nil {
			delete(stay.sockets, s.ID())
		}
	}
	p.sockets--
	p.parted++
	parted := p.parted
	c.mu.Unlock()
	c.after(leaveGrace, func() { c.part(p, parted) })
}

// part takes somebody out of the rooms where no socket of theirs is any more,
// unless they came and went again since: then that going has a timer too.
func (c *Chat) part(p *person, parted int) {
	c.mu.Lock()
	if p.parted != parted {
		c.mu.Unlock()
		return
	}
	var left []*room
	for _, r := range c.rooms {
		if stay := r.members[p.ID]; stay != nil && len(stay.sockets) == 0 {
			left = append(left, r)
		}
	}
	for _, r := range left {
		c.removeLocked(r, p)
	}
	who, absent := p.Person, p.sockets == 0
	if absent && c.names[foldName(p.Name)] == p {
		delete(c.names, foldName(p.Name))
	}
	c.mu.Unlock()
	for _, r := range left {
		// The only error is that of an argument that is no JSON.
		Left.Emit(c.ns.To(r.crowd()), Presence{Room: r.name, Member: who})
	}
	if absent {
		c.after(rememberFor, func() { c.forget(p, parted) })
	}
}

// forget drops somebody who has not come back since.
func (c *Chat) forget(p *person, parted int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.sockets == 0 && p.parted == parted && c.people[p.ID] == p {
		delete(c.people, p.ID)
	}
}
