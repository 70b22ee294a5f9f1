package natshub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
)

// A line is a node's part in a namespace.
type line struct {
	e        *Engine
	name     string
	number   int
	names    names
	memory   *hub.Memory // nil: none
	follower hub.Follower
	feed     *feed[event]
	run      context.Context // until the line is closed
	stop     context.CancelFunc
	entering chan struct{} // holds one: who brings the line onto a link
	tidy     tidying

	mu      sync.Mutex
	closed  bool
	link    *link                // on which it takes part, nil: none
	ordered bool                 // what is heard on it is in order
	rooms   map[string]*ear      // by their places
	base    []*nats.Subscription // the others
	many    ear
	meta    meta
	moved   *moved // nil: not known yet
	floor   hub.Position
	known   hub.Position // the last that anybody here knows of: of what was committed, too
	witness witness
	asked   *question
	next    []waiter      // for the answer to the question after that
	late    []waiter      // whose marks have passed while nothing was handed on
	caught  chan struct{} // closed when there is no catching up

	looked   *batch // where the log stands was asked with it, by tick
	lookedAt time.Time
	sequencer
}

var _ hub.Line = (*line)(nil)

// An ear is where a room is heard.
type ear struct {
	room string
	link *link
	sub  *nats.Subscription
	last hub.Position // of the messages that were heard there
	mark uint64       // behind marks of this number and later ones, all is heard
}

// A waiter waits until what was published before is handed on.
type waiter func(hub.Position, error)

// A question is a mark on its way.
type question struct {
	link    *link
	nonce   string
	since   time.Time
	waiters []waiter
}

// A witness remembers a message, by which it is seen whether the log is still the
// same.
type witness struct {
	at    hub.Position
	nonce string
}

// Open takes part in a namespace.
func (e *Engine) Open(ctx context.Context, namespace string, memory *hub.Memory, f hub.Follower) (hub.Line, error) {
	l := &line{
		e: e, name: namespace, names: e.names.space(namespace), memory: memory, follower: f,
		entering: make(chan struct{}, 1), rooms: make(map[string]*ear), caught: make(chan struct{}),
	}
	close(l.caught)
	l.run, l.stop = context.WithCancel(context.Background())
	l.feed = newFeed(&e.wg, e.cfg.MaxPending, l.hand)
	e.mu.Lock()
	switch {
	case e.closed:
		e.mu.Unlock()
		l.stop()
		return nil, hub.ErrClosed
	case e.lines[namespace] != nil:
		e.mu.Unlock()
		l.stop()
		return nil, fmt.Errorf("open %s: already open", namespace)
	}
	e.opened++
	l.number = e.opened
	e.lines[namespace] = l
	e.mu.Unlock()
	if err := l.introduce(ctx); err != nil {
		l.Close()
		return nil, fmt.Errorf("open %s: %w", namespace, err)
	}
	if memory != nil && len(memory.Rooms) > 0 && len(e.Nodes()) == 0 {
		l.settle("")
	}
	return l, nil
}

// introduce brings the line onto a link. A reconnection meanwhile does the same.
func (l *line) introduce(ctx context.Context) error {
	for {
		link, err := l.e.await(ctx, true)
		if err != nil {
			return err
		}
		if err = l.attach(ctx, link); err == nil {
			if _, err = l.Listen(ctx); err == nil {
				return nil
			}
		}
		var refused *RefusedError
		if errors.Is(err, hub.ErrClosed) || errors.As(err, &refused) {
			return err
		}
		if !pause(ctx, 5*retryPause) {
			return fmt.Errorf("%w: %w", hub.ErrUnavailable, err)
		}
	}
}

// attach brings the line onto a link, unless it is there.
func (l *line) attach(ctx context.Context, link *link) error {
	select {
	case l.entering <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.entering }()
	l.mu.Lock()
	there, closed, caught := l.link == link, l.closed, l.caught
	l.mu.Unlock()
	switch {
	case closed:
		return hub.ErrClosed
	case there:
		return nil
	}
	select { // the last one's end
	case <-caught:
	case <-ctx.Done():
		return ctx.Err()
	}
	ordered := true
	if l.memory != nil {
		m, info, err := l.enter(ctx, link)
		if err != nil {
			return err
		}
		if err := l.recallMove(ctx, link); err != nil {
			return err
		}
		l.entered(m, info)
		ordered = link.server.orders && link.server.alone && l.e.direct() && info.Cluster != nil && info.Cluster.Leader == link.server.name
	}
	if err := l.subscribe(link, ordered); err != nil {
		return err
	}
	if l.memory == nil {
		return nil
	}
	if !ordered {
		if err := l.follow(ctx, link); err != nil {
			return fmt.Errorf("follow: %w", err)
		}
	}
	l.catchUp(link)
	return nil
}

// subscribe hears on a link what the line listens to.
func (l *line) subscribe(link *link, ordered bool) error {
	if err := l.subscribeBase(link, ordered); err != nil {
		return err
	}
	l.mu.Lock()
	rooms := make([]string, 0, len(l.rooms))
	for _, x := range l.rooms {
		rooms = append(rooms, x.room)
	}
	l.mu.Unlock()
	for some := range slices.Chunk(rooms, atATime) {
		if !l.hearAll(link, some, false) {
			return cmp.Or(link.failure(), hub.ErrClosed)
		}
	}
	return nil
}

// atATime is how many rooms are subscribed to while nothing else happens.
const atATime = 200

// hearAll hears rooms on a link, those that it does not hear. fresh: also those
// that it does not know. It returns whether the line takes part in the link.
func (l *line) hearAll(link *link, rooms []string, fresh bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	there := l.link == link && !l.closed
	for _, room := range rooms {
		place := roomPlace(room)
		x := l.rooms[place]
		if x == nil && fresh {
			x = &ear{room: room}
			l.rooms[place] = x
		}
		if there && x != nil && x.link != link {
			if err := l.hearLocked(link, place, x); err != nil {
				there = false // it has ended
			}
		}
	}
	return there
}

func (l *line) subscribeBase(link *link, ordered bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return hub.ErrClosed
	}
	l.link, l.ordered = link, ordered
	l.resetLocked()
	if l.memory == nil {
		l.state = following
	}
	l.many, l.base, l.spine = ear{}, nil, spine{}
	for place, kind := range map[string]targetKind{manyPlace: forMany, markPlace(l.e.node): forMarks} {
		if kind == forMarks && !ordered {
			continue
		}
		sub, err := link.listen(l.livePlace(place), target{line: l, kind: kind})
		if err != nil {
			return err
		}
		l.base = append(l.base, sub)
	}
	return nil
}

func (l *line) livePlace(place string) string { return l.names.live + l.epochToken() + "." + place }

// epochToken stands in subjects. What has no memory has no epoch.
func (l *line) epochToken() string {
	if l.memory == nil {
		return "0"
	}
	return l.meta.Epoch
}

func (l *line) hearLocked(link *link, place string, x *ear) error {
	*x = ear{room: x.room, link: link, mark: l.e.serial.Load() + 1}
	var err error
	x.sub, err = link.listen(l.livePlace(place), target{line: l, kind: forRoom, place: place})
	return err
}

// detach takes the line off a link that has ended.
func (l *line) detach(link *link) {
	l.mu.Lock()
	var waiting []waiter
	if l.link == link {
		l.link = nil
		l.resetLocked()
	}
	if l.asked != nil && l.asked.link == link {
		waiting = append(l.asked.waiters, l.next...)
		l.asked, l.next = nil, nil
	}
	waiting = append(waiting, l.late...)
	l.late = nil
	l.mu.Unlock()
	for _, w := range waiting {
		w(0, link.failure())
	}
}

// State says where the log stands, as far as the node knows.
func (l *line) State() hub.LogState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return hub.LogState{Epoch: l.meta.Epoch, Last: max(l.head, l.known), Floor: max(l.meta.Base, l.floor)}
}

// keep is how long messages are kept: longer than members may come back.
func (l *line) keep() time.Duration { return l.memory.Window + l.memory.Window/4 }

// Listen follows rooms, and waits for what was published before.
func (l *line) Listen(ctx context.Context, rooms ...string) (hub.Position, error) {
	type answer struct {
		at  hub.Position
		err error
	}
	for {
		link, err := l.e.await(ctx, false)
		if err != nil {
			return 0, err
		}
		answered := make(chan answer, 1)
		if err := l.listen(link, rooms, func(at hub.Position, err error) { answered <- answer{at, err} }); err != nil {
			return 0, err
		}
		select {
		case a := <-answered:
			if a.err == nil {
				return a.at, nil
			}
			if !pause(ctx, time.Millisecond) {
				return 0, fmt.Errorf("%w: %w", hub.ErrUnavailable, a.err)
			}
		case <-l.run.Done():
			return 0, hub.ErrClosed
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: %w", hub.ErrUnavailable, ctx.Err())
		}
	}
}

func (l *line) listen(link *link, rooms []string, w waiter) error {
	there := true
	for some := range slices.Chunk(rooms, atATime) {
		there = l.hearAll(link, some, true) && there
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return hub.ErrClosed
	}
	if !there || l.link != link {
		l.mu.Unlock()
		w(0, hub.ErrUnavailable) // of this link: it is asked again on the next
		return nil
	}
	l.next = append(l.next, w)
	if l.asked == nil {
		l.askLocked(link)
	}
	l.mu.Unlock()
	return nil
}

// Ignore ends what Listen began.
func (l *line) Ignore(rooms ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, room := range rooms {
		place := roomPlace(room)
		x := l.rooms[place]
		if x == nil {
			continue
		}
		delete(l.rooms, place)
		if x.sub != nil && x.link == l.link {
			x.link.ignore(x.sub)
		}
	}
}

// Cast says something to the nodes that listen to rooms.
func (l *line) Cast(rooms []string, body []byte) error {
	l.mu.Lock()
	closed, subject, after := l.closed, l.livePlace(place(rooms)), l.known
	l.mu.Unlock()
	if closed {
		return hub.ErrClosed
	}
	payload := appendRooms(appendNumber(appendSaid(kindCast, l.e.node, 32+len(body)), uint64(after)), rooms)
	return l.e.say(subject, append(payload, body...))
}

// Close ends the following. The namespace may be opened again.
func (l *line) Close() {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	link := l.link
	if first && link != nil {
		for _, x := range l.rooms {
			if x.link == link {
				link.ignore(x.sub)
			}
		}
		for _, sub := range l.base {
			link.ignore(sub)
		}
		l.unfollowLocked()
	}
	l.link = nil
	l.resetLocked()
	l.mu.Unlock()
	l.stop()
	if first {
		l.e.mu.Lock()
		delete(l.e.lines, l.name)
		l.e.mu.Unlock()
	}
	l.feed.close()
}
