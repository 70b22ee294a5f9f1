package load

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// patience is how long nothing may happen before somebody gives up.
const patience = 10 * time.Second

// A room is who is in it, and how many messages it was sent.
type room struct {
	name      string
	members   []*client
	published uint32
	turn      int   // of the publisher who is next
	order     order // of several publishers' messages
}

// A crowd is clients that stay.
type crowd struct {
	run     *run
	rooms   []room    // none: nobody joins anything
	clients []*client // connected and joined
	coming  int       // on their way
	lost    int       // since the last look
	next    int       // whose turn it is to ask
	hint    int       // where the stamp was in the last message
	until   int64     // who has an answer before that time asks again

	publishers int  // of each room
	acks       bool // for messages to rooms
}

// ready joins a room, if there are any.
func (w *crowd) ready(c *client) {
	if len(w.rooms) == 0 {
		w.arrived(c)
		return
	}
	w.run.args = appendString(append(w.run.args[:0], `"join",`...), w.rooms[c.room].name)
	c.event(w.run.args, true)
}

func (w *crowd) arrived(c *client) {
	w.coming--
	w.run.connected++
	w.clients = append(w.clients, c)
	if len(w.rooms) > 0 {
		r := &w.rooms[c.room]
		c.next = r.published + 1
		if w.publishers > 1 {
			c.next = r.order.seen + 1
		}
		c.got = ^recent(0) // what was sent before is for others
		r.members = append(r.members, c)
	}
}

// message counts a delivery.
func (w *crowd) message(c *client, data []byte) {
	due, seq, ok := readStamp(data, &w.hint)
	if !ok {
		w.run.counts.strange++
		return
	}
	if w.publishers > 1 {
		var kept bool
		if seq, kept = w.rooms[c.room].order.place(seq); !kept {
			w.run.counts.disorder++
		}
	}
	late, again := c.got.note(&c.next, seq)
	if late {
		w.run.counts.disorder++
	}
	if !again { // or it would make up for one that is lost
		w.run.completed(due)
	}
}

// acked counts an answer, of which the first may be that the room was joined.
func (w *crowd) acked(c *client, id uint64, data []byte) {
	if len(w.rooms) > 0 {
		if id == 1 {
			w.arrived(c)
		} else {
			w.confirmed(c)
		}
		return
	}
	due, _, ok := readStamp(data, &w.hint)
	if !ok {
		w.run.counts.strange++
		return
	}
	if uint32(id) < c.next {
		w.run.counts.disorder++
	}
	c.next = max(c.next, uint32(id)+1)
	w.run.completed(due)
	if now := w.run.loop.now; now < w.until {
		w.put(c, now)
	}
}

// confirmed takes the ack of a message.
func (w *crowd) confirmed(c *client) {
	r := w.run
	if len(c.waits) == 0 {
		r.counts.strange++
		return
	}
	due := c.waits[0]
	c.waits = c.waits[1:]
	r.counts.answered++
	if due >= r.window.from && due < r.window.to {
		r.window.acks.record(r.loop.now - due)
	}
	if now := r.loop.now; now < w.until {
		w.say(&w.rooms[c.room], c, now)
	}
}

// left forgets a client.
func (w *crowd) left(c *client, err error) {
	if err != nil {
		w.run.failed(err)
	}
	w.lost++
	for i, other := range w.clients {
		if other == c {
			last := len(w.clients) - 1
			w.clients[i] = w.clients[last]
			w.clients = w.clients[:last]
			w.run.connected--
			if len(w.rooms) > 0 {
				w.rooms[c.room].remove(c)
			}
			return
		}
	}
	w.coming-- // it never arrived
}

func (r *room) remove(c *client) {
	for i, other := range r.members {
		if other == c {
			r.members = append(r.members[:i], r.members[i+1:]...)
			return
		}
	}
}

// gather brings the crowd to its size, a few at a time.
func (w *crowd) gather() error {
	r := w.run
	r.ticker.phase = "connecting"
	w.lost = 0
	r.lastFail = nil
	limit := r.opts.Clients/10 + 100 // who is refused is tried again, within reason
	due := func(now int64) int64 {
		for len(w.clients)+w.coming < r.opts.Clients && w.coming < r.opts.Concurrency && w.lost < limit {
			if err := w.invite(now); err != nil {
				r.failed(err)
				w.lost++
				break
			}
		}
		return math.MaxInt64
	}
	seen, since := 0, r.loop.clock()
	err := r.spin(math.MaxInt64, due, func() bool {
		if n := len(w.clients); n != seen {
			seen, since = n, r.loop.now
		}
		return len(w.clients) >= r.opts.Clients || w.lost >= limit || r.loop.now-since > int64(patience)
	})
	if err == nil && len(w.clients) < r.opts.Clients {
		err = fmt.Errorf("%d of %d clients could connect", len(w.clients), r.opts.Clients)
		if r.lastFail != nil {
			err = fmt.Errorf("%w; the last: %w", err, r.lastFail)
		}
	}
	w.lost = 0
	return err
}

// invite begins to connect one client, to the room with the fewest members.
func (w *crowd) invite(now int64) error {
	c, err := w.run.connect(w, now)
	if err != nil {
		return err
	}
	w.coming++
	if n := len(w.rooms); n > 0 {
		c.room = w.next % n
		w.next++
	}
	return nil
}

// publish sends the next message to the next room.
func (w *crowd) publish(now, due int64) {
	room := &w.rooms[w.next%len(w.rooms)]
	w.next++
	if len(room.members) == 0 {
		return
	}
	room.turn = (room.turn + 1) % min(w.publishers, len(room.members))
	w.say(room, room.members[room.turn], due)
	w.run.lagged(now, due)
}

// say has a member of a room publish.
func (w *crowd) say(room *room, c *client, due int64) {
	r := w.run
	room.published++
	if w.publishers > 1 {
		room.order.add(c)
	}
	b := appendString(append(r.args[:0], `"publish",`...), room.name)
	b = append(b, ',', '"')
	b = appendStamp(b, due, room.published, r.opts.Size)
	r.args = append(b, '"')
	c.event(r.args, w.acks)
	if w.acks {
		c.waits = append(c.waits, due)
		r.counts.asked++
	}
	r.counts.expected += int64(len(room.members))
}

// ask lets the next client ask.
func (w *crowd) ask(now, due int64) {
	if len(w.clients) == 0 {
		return
	}
	w.put(w.clients[w.next%len(w.clients)], due)
	w.next++
	w.run.lagged(now, due)
}

// put lets a client ask.
func (w *crowd) put(c *client, due int64) {
	r := w.run
	b := appendStamp(append(r.args[:0], `"echo","`...), due, uint32(c.asked), r.opts.Size)
	r.args = append(b, '"')
	c.event(r.args, true)
	r.counts.expected++
}

// start lets everybody ask, or all publishers publish, and again when they are
// answered until a time.
func (w *crowd) start(until int64) {
	w.until = until
	now := w.run.loop.clock()
	for i := range w.rooms {
		room := &w.rooms[i]
		for _, c := range room.members[:min(w.publishers, len(room.members))] {
			w.say(room, c, now)
		}
	}
	for _, c := range w.clients {
		if len(w.rooms) == 0 {
			w.put(c, now)
		}
	}
}

// makeRooms returns n rooms.
func makeRooms(n int) []room {
	rooms := make([]room, n)
	for i := range rooms {
		rooms[i].name = "room-" + strconv.Itoa(i)
	}
	return rooms
}
