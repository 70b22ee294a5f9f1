package natshub

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
)

// An event is something for the follower.
type event struct {
	kind eventKind
	at   hub.Position
	time time.Time
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

// perEvent is what an event that waits costs besides its body.
const perEvent = 160

func (ev event) size() int { return perEvent + len(ev.body) }

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
			messages = append(messages, hub.Stored{Position: ev.at, Time: ev.time, Body: ev.body})
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

// A sequencer puts what comes into its order. The line's lock guards it.
type sequencer struct {
	state  followState
	head   hub.Position // up to which all was put into the feed
	passed hub.Position // up to which all has come
	whole  hub.Position // up to which all was read that did not come
	mark   uint64       // the number of the last mark that has passed
	queue  []item       // what is to be put into the feed, in order
	queued int64        // its bytes
	// Without an order of what is heard:
	spine   spine
	early   map[hub.Position][]byte // entries that were heard before their place was
	ahead   int64                   // their bytes
	casts   []cast                  // that are for later
	timer   *time.Timer             // is nil unless a body that is missing will be read
	catch   string                  // the mark behind which nothing is dropped any more
	catches chan hub.Position       // where it is
}

type followState uint8

const (
	behind    followState = iota // what comes is dropped: it will be read
	holding                      // what comes is queued, behind what is being read
	following                    // what comes is handed on
)

// An item is an event in its place. Its body may be missing yet.
type item struct {
	event
	missing bool
}

// A cast is for after a position.
type cast struct {
	event
	after hub.Position
}

// resetLocked drops what was not put into the feed.
func (l *line) resetLocked() {
	l.state = behind
	for _, x := range l.queue {
		if x.then != nil {
			then := x.then
			l.late = append(l.late, func(hub.Position, error) { then() })
		}
	}
	l.queue, l.queued, l.early, l.ahead, l.casts, l.catch = nil, 0, nil, 0, nil, ""
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// addLocked puts an event into its place, behind all others.
func (l *line) addLocked(x item) {
	switch {
	case l.state == behind:
		return
	case l.memory == nil && x.kind == evHeard && l.feed.full():
		call(l.e.cfg.Trace.Dropped) // at most once
		return
	}
	l.queue = append(l.queue, x)
	l.queued += int64(x.size())
	l.pumpLocked()
}

// pumpLocked puts what has its place, and its body, into the feed.
func (l *line) pumpLocked() {
	if l.state == following {
		n := 0
		for ; n < len(l.queue) && !l.queue[n].missing; n++ {
			x := l.queue[n]
			l.feed.put(x.event, x.size())
			l.queued -= int64(x.size())
			l.head = max(l.head, x.at)
		}
		clear(l.queue[:n])
		if l.queue = l.queue[n:]; len(l.queue) == 0 {
			l.queue = nil
		}
		if len(l.queue) > 0 && l.timer == nil {
			l.timer = time.AfterFunc(missingFor, l.fetch)
		}
	}
	if l.memory != nil && (l.queued > l.e.cfg.MaxPending || l.state == following && l.feed.full()) {
		l.fallBehindLocked()
	}
}

// fallBehindLocked gives up to hand on what comes. It will be read.
func (l *line) fallBehindLocked() {
	call(l.e.cfg.Trace.Dropped)
	was := l.state
	l.resetLocked()
	if was == following {
		l.catchUpLocked(l.link)
	}
}

// hear does what came on a subject of the line, and says whether it was one of us
// who said it. It is called by the connection's goroutine.
func (l *line) hear(link *link, t target, m *nats.Msg) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.link != link:
		return true
	case t.kind == forSpine:
		return l.hearSpineLocked(m)
	case l.memory == nil && t.kind == forMarks:
		kind, node, rest, ok := cutSaid(m.Data)
		number, _, ok2 := cutNumber(rest)
		if ok = ok && ok2 && kind == kindMark && node == l.e.node; ok {
			l.passMarkLocked(0, markName(l.e.node, number))
		}
		return ok
	case header(m, headerSequence) == "":
		return l.hearCastLocked(m)
	case l.memory == nil:
		return false
	}
	seq, err := strconv.ParseUint(header(m, headerSequence), 10, 48)
	last, err2 := strconv.ParseUint(header(m, headerLast), 10, 48)
	if err != nil || err2 != nil || seq == 0 || last >= seq {
		return false
	}
	p := l.meta.Base + hub.Position(seq)
	switch {
	case !l.ordered:
		return l.hearBodyLocked(p, m)
	case t.kind == forMarks:
		l.passMarkLocked(p, header(m, headerNonce))
		return true
	}
	return l.hearOrderedLocked(t, p, last, m)
}

// hearOrderedLocked takes a message that comes in its place.
func (l *line) hearOrderedLocked(t target, p hub.Position, last uint64, m *nats.Msg) bool {
	x := &l.many
	if t.kind == forRoom {
		if x = l.rooms[t.place]; x == nil {
			return true
		}
	}
	if before := l.meta.Base + hub.Position(last); last > 0 && x.last > 0 && before > max(x.last, l.whole) && l.state == following {
		if before <= l.head { // all up to there was said to have come
			l.feed.put(event{kind: evLost, err: fmt.Errorf("%w: %w", hub.ErrTrimmed, errGap), at: l.head}, perEvent)
		}
		l.link.fail(errGap)
		return true
	}
	x.last = max(x.last, p)
	nonce := header(m, headerNonce)
	if nonce == "" {
		return false
	}
	if p <= l.passed || l.state == behind {
		return true
	}
	l.passed = p
	l.seeLocked(p, nonce)
	if ev := l.messageLocked(p, m.Data); ev.kind != evLevel {
		l.addLocked(item{event: ev})
	}
	return true
}

// listensLocked says whether somebody here listens to a room.
func (l *line) listensLocked(room []byte) bool { return l.rooms[roomPlace(string(room))] != nil }

// seeLocked remembers a message by which it is known whether the log is the same.
func (l *line) seeLocked(p hub.Position, nonce string) {
	l.known = max(l.known, p)
	if p > l.witness.at && nonce != "" {
		l.witness = witness{p, nonce}
	}
}

func (l *line) hearCastLocked(m *nats.Msg) bool {
	kind, node, rest, ok := cutSaid(m.Data)
	if !ok || kind != kindCast {
		return false
	}
	after, body, interest, ok := cutCast(rest, l.listensLocked)
	if !ok || !interest || node == l.e.node {
		return ok
	}
	ev := event{kind: evHeard, node: node, body: body}
	switch {
	case l.ordered || l.memory == nil || after <= l.passed:
		l.addLocked(item{event: ev})
	case l.state != behind && len(l.casts) < maxCasts: // at most once
		l.casts = append(l.casts, cast{ev, after})
	}
	return true
}

// maxCasts bounds how many casts wait for what was committed before them.
const maxCasts = 1000

// passMarkLocked takes a mark in its place: what was stored before it has come, or
// is being read.
func (l *line) passMarkLocked(p hub.Position, nonce string) {
	number, ok := markNumber(l.e.node, nonce)
	if !ok || p < l.passed || number <= l.mark {
		return
	}
	l.mark = number
	l.passed = p
	l.seeLocked(p, nonce)
	if l.catch == nonce {
		l.catch = ""
		l.state = holding
		for at, b := range l.early {
			if at <= p {
				delete(l.early, at)
				l.ahead -= int64(len(b))
			}
		}
		l.catches <- p
		return
	}
	q := l.asked
	if q == nil || q.nonce != nonce {
		return
	}
	if l.asked = nil; len(l.next) > 0 {
		l.askLocked(l.link)
	}
	tell := func() {
		for _, w := range q.waiters {
			w(p, nil)
		}
	}
	if l.state == behind {
		l.late = append(l.late, q.waiters...)
		return
	}
	l.addLocked(item{event: event{kind: evLevel, at: p, then: tell}})
}

// markName is the nonce of a mark, and markNumber the number in it.
func markName(node string, number uint64) string {
	return node + "." + strconv.FormatUint(number, 36)
}

func markNumber(node, nonce string) (uint64, bool) {
	number, ours := strings.CutPrefix(nonce, node+".")
	n, err := strconv.ParseUint(number, 36, 64)
	return n, ours && err == nil
}

// askLocked asks for those who wait where the log stands.
func (l *line) askLocked(link *link) {
	q := &question{link: link, since: time.Now(), waiters: l.next}
	l.next, l.asked = nil, q
	q.nonce = l.sendMark(link)
}

// sendMark writes a mark, which comes back behind all that was written before.
func (l *line) sendMark(link *link) (nonce string) {
	number := l.e.serial.Add(1)
	nonce = markName(l.e.node, number)
	if l.memory == nil {
		payload := appendNumber(appendSaid(kindMark, l.e.node, 10), number)
		_ = link.say(l.livePlace(markPlace(l.e.node)), payload) // if it fails, the link ends
		return nonce
	}
	m := nats.NewMsg(l.names.tape + l.meta.Epoch + "." + markPlace(l.e.node))
	m.Header[headerNonce] = []string{nonce}
	b := link.newBatch(1, func(b *batch) {
		if _, err := readAck(b.answers[0]); err != nil {
			link.fail(err)
		}
	})
	_ = b.ask(0, m) // the same
	return nonce
}
