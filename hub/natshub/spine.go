package natshub

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
)

// A spine is a consumer of the headers of all that is stored, for servers that do
// not publish again in that order, or are several.
type spine struct {
	name   string // of the consumer
	next   uint64 // the number of what it delivers next
	heard  time.Time
	silent time.Duration // after that it is broken
}

// missingFor is how long a body is waited for that was not heard before its place
// is known. Bodies come first, or with their places, unless one is lost.
const missingFor = 25 * time.Millisecond

// aheadBytes bounds the bodies that are heard before their places. What is dropped
// is read.
const aheadBytes = 4 << 20

// follow begins a spine from what is stored next.
func (l *line) follow(ctx context.Context, link *link) error {
	inbox := nats.NewInbox()
	beat := max(l.e.cfg.Lease/6, 100*time.Millisecond)
	l.mu.Lock()
	stream := l.names.tapeStream(l.meta.Epoch)
	l.spine = spine{next: 1, heard: time.Now(), silent: 3*beat + l.e.cfg.Timeout}
	sub, err := link.listen(inbox, target{line: l, kind: forSpine})
	if err == nil {
		l.base = append(l.base, sub)
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	type config struct {
		Deliver   string        `json:"deliver_subject"`
		Policy    string        `json:"deliver_policy"`
		Ack       string        `json:"ack_policy"`
		Replay    string        `json:"replay_policy"`
		Headers   bool          `json:"headers_only"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
		Replicas  int           `json:"num_replicas"`
		Memory    bool          `json:"mem_storage"`
	}
	request := struct {
		Stream string `json:"stream_name"`
		Config config `json:"config"`
	}{stream, config{inbox, "new", "none", "instant", true, beat, 1, true}}
	var answer struct {
		Name string `json:"name"`
	}
	if err := l.e.api(ctx, link, "CONSUMER.CREATE."+stream, request, &answer); err != nil {
		return err
	}
	l.mu.Lock()
	l.spine.name = answer.Name
	l.mu.Unlock()
	return nil
}

// unfollowLocked has the server forget the spine at once. It would after a while.
func (l *line) unfollowLocked() {
	if l.spine.name != "" {
		_ = l.link.say(l.e.site.api+"CONSUMER.DELETE."+l.names.tapeStream(l.meta.Epoch)+"."+l.spine.name, nil)
	}
}

// hearSpineLocked takes the headers of what was stored, in its order.
func (l *line) hearSpineLocked(m *nats.Msg) bool {
	l.spine.heard = time.Now()
	if status(m) != "" { // a heartbeat, which says what came before it
		if n, err := strconv.ParseUint(header(m, headerDelivered), 10, 64); err == nil && n >= l.spine.next {
			l.link.fail(errGap)
		}
		return true
	}
	place, ours := strings.CutPrefix(m.Subject, l.names.tape+l.meta.Epoch+".")
	about, err := m.Metadata()
	if err != nil || !ours {
		return false
	}
	if about.Sequence.Consumer != l.spine.next {
		l.link.fail(errGap)
		return true
	}
	l.spine.next++
	p := l.meta.Base + hub.Position(about.Sequence.Stream)
	nonce := header(m, headerNonce)
	if nonce == "" {
		return false // somebody else has written it
	}
	if place == markPlace(l.e.node) {
		l.passMarkLocked(p, nonce)
		l.releaseLocked()
		return true
	}
	if p <= l.passed || l.state == behind {
		return true
	}
	l.passed = p
	l.seeLocked(p, nonce)
	l.placeLocked(p, place)
	l.releaseLocked()
	return true
}

// placeLocked gives what was stored its place, if it is for somebody here.
func (l *line) placeLocked(p hub.Position, place string) {
	entry, heard := l.early[p]
	if heard {
		delete(l.early, p)
		l.ahead -= int64(len(entry))
	}
	x := &l.many
	if place != manyPlace {
		x = l.rooms[place]
	}
	switch {
	case x != nil && heard:
		l.addLocked(item{event: l.messageLocked(p, entry)})
	case x != nil && x.mark <= l.mark:
		l.addLocked(item{event: event{kind: evMessage, at: p}, missing: true})
	case len(l.queue) == 0 && l.state == following:
		l.head = p
	default:
		l.levelLocked(p)
	}
}

// levelLocked notes that there is nothing for anybody here up to p.
func (l *line) levelLocked(p hub.Position) {
	if n := len(l.queue); n > 0 {
		if last := &l.queue[n-1]; last.kind == evLevel && last.then == nil {
			last.at = p
			return
		}
	}
	l.addLocked(item{event: event{kind: evLevel, at: p}})
}

// messageLocked reads an entry of one of us. If nobody here listens to it, nothing
// is left of it but its place. If it cannot be read, it is of a later version, and
// lost to this node, which must not take it for nothing.
func (l *line) messageLocked(p hub.Position, entry []byte) event {
	body, at, interest, ok := cutInterest(entry, l.listensLocked)
	switch {
	case !ok:
		return event{kind: evLost, at: p, err: fmt.Errorf("%w: %d in %s is of a later version", hub.ErrDamaged, p, l.name)}
	case !interest:
		return event{kind: evLevel, at: p}
	}
	return event{kind: evMessage, at: p, time: at, body: body}
}

// hearBodyLocked takes what was heard, whose place may be known or not.
func (l *line) hearBodyLocked(p hub.Position, m *nats.Msg) bool {
	entry := m.Data
	if header(m, headerNonce) == "" {
		return false
	}
	if p <= l.passed {
		if l.completeLocked(p, entry) {
			l.pumpLocked()
		}
		return true
	}
	if l.ahead > aheadBytes {
		l.early, l.ahead = nil, 0
	}
	if l.early == nil {
		l.early = make(map[hub.Position][]byte)
	}
	if _, again := l.early[p]; !again {
		l.early[p] = entry
		l.ahead += int64(len(entry))
	}
	return true
}

// completeLocked gives a message that has its place its body. nil: it is no more.
func (l *line) completeLocked(p hub.Position, entry []byte) bool {
	for i := len(l.queue) - 1; i >= 0; i-- {
		x := &l.queue[i]
		if x.at != 0 && x.at < p {
			return false // it is in the order of positions
		}
		if x.missing && x.at == p {
			l.queued -= int64(x.size())
			x.missing = false
			x.event = event{kind: evLevel, at: p}
			if entry != nil {
				x.event = l.messageLocked(p, entry)
			}
			l.queued += int64(x.size())
			return true
		}
	}
	return false
}

// releaseLocked puts casts into their places that have waited for it.
func (l *line) releaseLocked() {
	n := 0
	for ; n < len(l.casts) && l.casts[n].after <= l.passed; n++ {
		l.addLocked(item{event: l.casts[n].event})
	}
	l.casts = l.casts[min(n, len(l.casts)):]
}

// fetch reads bodies that were not heard.
func (l *line) fetch() {
	const most = 64
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = nil
	link, base := l.link, l.meta.Base
	if link == nil {
		return
	}
	var list []hub.Position
	for i := range l.queue {
		if x := &l.queue[i]; x.missing && len(list) < most {
			list = append(list, x.at)
		}
	}
	b := link.newBatch(len(list), func(b *batch) {
		call(l.e.cfg.Trace.Retried)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.link != link || l.meta.Base != base {
			return
		}
		for i, p := range list {
			s, err := l.e.readGet(b.answers[i])
			switch {
			case err != nil: // it is asked again
			case s == nil:
				l.completeLocked(p, nil)
			default:
				l.completeLocked(p, s.data)
			}
		}
		l.pumpLocked()
	})
	stream := l.names.tapeStream(l.meta.Epoch)
	for i, p := range list {
		_ = b.ask(i, l.e.getQuestion(stream, get{Seq: uint64(p - base)})) // if it fails, the link ends
	}
}

// catchUp begins to read what was missed.
func (l *line) catchUp(link *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.catchUpLocked(link)
}

func (l *line) catchUpLocked(link *link) {
	if link == nil || l.closed {
		return
	}
	caught := make(chan struct{})
	l.caught = caught
	l.e.wg.Go(func() { // ends with the link, if not before; Engine.Close waits
		defer close(caught)
		if err := l.catching(link); err != nil {
			link.fail(fmt.Errorf("catch up with %s: %w", l.name, err))
		}
	})
}

// catching reads what is up to a mark, behind which what comes is kept.
func (l *line) catching(link *link) error {
	for {
		if l.feed.room(link.ctx) != nil {
			return nil // it has ended
		}
		l.mu.Lock()
		if l.link != link {
			l.mu.Unlock()
			return nil
		}
		catches := make(chan hub.Position, 1)
		l.catches = catches
		l.catch = l.sendMark(link)
		from := l.head
		l.mu.Unlock()
		timer := time.NewTimer(l.e.cfg.Timeout)
		var at hub.Position
		select {
		case at = <-catches:
			timer.Stop()
		case <-link.ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
			return errSilent
		}
		err := l.fill(link, from, at)
		switch {
		case errors.Is(err, hub.ErrTrimmed), errors.Is(err, hub.ErrDamaged):
			l.feed.put(event{kind: evLost, err: fmt.Errorf("%w: while nothing was followed", err), at: at}, perEvent)
		case link.ctx.Err() != nil || errors.Is(err, hub.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		if l.resume(link, at) {
			return nil
		}
	}
}

// resume hands on what has come behind the mark, unless that was too much.
func (l *line) resume(link *link, at hub.Position) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.link != link {
		return true
	}
	l.head = max(l.head, at)
	if l.state != holding {
		return false
	}
	late := l.late
	l.late = nil
	l.feed.put(event{kind: evLevel, at: at, then: func() {
		for _, w := range late {
			w(at, nil)
		}
	}}, perEvent)
	l.state, l.whole = following, at
	l.pumpLocked()
	return true
}
