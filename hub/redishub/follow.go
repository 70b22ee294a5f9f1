package redishub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// An event is something for the follower.
type event struct {
	kind eventKind
	at   hub.Position
	body []byte
	node string
	err  error
	then func() // when it is handed on
}

type eventKind uint8

const (
	evMessage eventKind = iota
	evLevel             // everything up to at has come
	evHeard
	evLost
)

// hand hands on what has come: messages together.
func (l *line) hand(events []event) {
	var messages []hub.Stored
	var level hub.Position
	var then []func()
	flush := func() {
		if len(messages) > 0 || level > 0 {
			l.follower.Follow(messages, level)
		}
		messages, level = nil, 0
		for _, f := range then {
			f()
		}
		then = nil
	}
	for _, ev := range events {
		switch ev.kind {
		case evMessage:
			messages = append(messages, hub.Stored{Position: ev.at, Time: timeOf(ev.at), Body: ev.body})
			level = ev.at
		case evLevel:
			level = max(level, ev.at)
		case evHeard:
			flush()
			l.follower.Heard(ev.node, ev.body)
		case evLost:
			flush()
			l.follower.Lost(ev.err, ev.at)
		}
		if ev.then != nil {
			then = append(then, ev.then)
		}
	}
	flush()
}

// hear does what was said on a channel of the line, and says whether it was one
// of us who said it.
func (l *line) hear(c *conn, t target, payload []byte, synced bool) bool {
	switch payload[0] {
	case kindMessage:
		p, entry, ok := cutMessage(payload[1:])
		if !ok || l.memory == nil {
			return false
		}
		body, interest, ok := l.cut(t, entry)
		if !ok {
			return false
		}
		if synced && p > placeOf(l.e.serverTime().Add(future)) {
			c.fail(errFuture) // whether it is there will be seen when it is read
			return false
		}
		if synced && interest {
			l.follow(p, body)
		}
		return true
	case kindCast:
		node, entry, ok := cutSender(payload[1:])
		if !ok {
			return false
		}
		body, interest, ok := l.cut(t, entry)
		if ok && interest && node != l.e.node {
			l.feed.put(event{kind: evHeard, node: node, body: body}, len(payload))
		}
		return ok
	case kindEpoch:
		epoch, start, ok := cutEpoch(payload[1:])
		if ok && synced && t.all && l.memory != nil {
			l.begin(epoch, start)
		}
		return ok
	}
	return false
}

// future is how far ahead of the server's clock positions may be. They are ahead
// when more than 4096 are given out in a millisecond.
const future = 10 * time.Minute

// cut reads an entry that came on a channel.
func (l *line) cut(t target, entry []byte) (body []byte, interest, ok bool) {
	body, interest, ok = cutEntry(entry, func(room []byte) bool {
		if !t.all {
			return true
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		_, listens := l.rooms[string(room)]
		return listens
	})
	return body, interest, ok
}

// follow hands on a message, unless it was.
func (l *line) follow(p hub.Position, body []byte) {
	l.mu.Lock()
	again := p <= l.head
	if !again {
		l.head = p
	}
	l.mu.Unlock()
	if !again {
		l.feed.put(event{kind: evMessage, at: p, body: body}, len(body)+overhead)
	}
}

// overhead is what a message that waits costs besides its body.
const overhead = 128

// fillRooms is how many rooms a line may listen to for what it missed to be read by
// rooms. With more, everything is read.
const fillRooms = 1000

// fill hands on what was missed, up to a position.
func (l *line) fill(ctx context.Context, link *link, upTo hub.Position) error {
	if l.memory == nil {
		return nil
	}
	l.mu.Lock()
	at := l.head
	rooms := make([]string, 0, len(l.rooms))
	for room := range l.rooms {
		rooms = append(rooms, room)
	}
	l.mu.Unlock()
	missed := 0
	for at < upTo {
		list, next, err := l.page(ctx, link, rooms, at)
		if errors.Is(err, hub.ErrTrimmed) {
			l.mu.Lock()
			l.head = max(l.head, upTo)
			l.mu.Unlock()
			l.feed.put(event{kind: evLost, err: fmt.Errorf("%w: while the connection was away", hub.ErrTrimmed), at: upTo}, 1)
			break
		}
		if err != nil {
			return fmt.Errorf("read what was missed in %s: %w", l.name, err)
		}
		for _, m := range list {
			if m.Position <= upTo { // the rest comes, or has come already
				l.follow(m.Position, m.Body)
				missed++
			}
		}
		at = next
	}
	l.mu.Lock()
	l.head = max(l.head, upTo)
	at = l.head
	l.mu.Unlock()
	l.feed.put(event{kind: evLevel, at: at}, 1)
	if missed > 0 && l.e.cfg.Trace.Filled != nil {
		l.e.cfg.Trace.Filled(missed)
	}
	return nil
}

// page reads some of what was missed.
func (l *line) page(ctx context.Context, link *link, rooms []string, at hub.Position) ([]hub.Stored, hub.Position, error) {
	const limit = 1000
	if len(rooms) <= fillRooms {
		return l.readFrom(ctx, link, rooms, at, limit)
	}
	from := fmt.Sprintf("(%d-0", at)
	entries, err := link.client.XRangeN(ctx, l.tape(), from, "+", limit).Result()
	if err != nil {
		return nil, 0, err
	}
	// Nothing was trimmed from it if nothing is now, nor lost with the log.
	if _, head, err := l.readFrom(ctx, link, nil, at, 1); err != nil || len(entries) == 0 {
		return nil, head, err
	}
	wanted := make(map[string]bool, len(rooms))
	for _, room := range rooms {
		wanted[room] = true
	}
	var list []hub.Stored
	for _, x := range entries {
		number, _, _ := strings.Cut(x.ID, "-")
		p, ok := parsePosition(number)
		entry, is := x.Values["b"].(string)
		if !ok || !is {
			return nil, 0, fmt.Errorf("%w: entry %q", errProtocol, x.ID)
		}
		at = p
		if m, interest, err := l.stored(p, entry, wanted); err != nil {
			return nil, 0, err
		} else if interest {
			list = append(list, m)
		}
	}
	return list, at, nil
}

// stored reads an entry that was kept.
func (l *line) stored(p hub.Position, entry string, wanted map[string]bool) (m hub.Stored, interest bool, err error) {
	body, interest, ok := cutEntry([]byte(entry), func(room []byte) bool { return wanted[string(room)] })
	if !ok {
		return m, false, fmt.Errorf("%w: %d in %s", hub.ErrDamaged, p, l.name)
	}
	return hub.Stored{Position: p, Time: timeOf(p), Body: body}, interest, nil
}

func (l *line) tape() string { return strings.TrimSuffix(l.names.meta, "m") + "t" }

// merge puts lists that are complete up to a position into one.
func merge(a, b []hub.Stored) []hub.Stored {
	all := append(a, b...)
	slices.SortFunc(all, func(x, y hub.Stored) int { return int(int64(x.Position) - int64(y.Position)) })
	return slices.CompactFunc(all, func(x, y hub.Stored) bool { return x.Position == y.Position })
}
