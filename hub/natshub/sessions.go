package natshub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
)

// A sessionWrite is a record on its way.
type sessionWrite struct {
	s       *hub.SharedSession
	subject string
	record  record
	done    bool
	sent    bool
	write   *write
}

// commitSessions writes records, each if what is there may be replaced by it.
func (l *line) commitSessions(ctx context.Context, list []*hub.SharedSession) {
	l.mu.Lock()
	epoch := l.meta.Epoch
	l.mu.Unlock()
	left := make([]*sessionWrite, 0, len(list))
	for _, s := range list {
		x := &sessionWrite{s: s, subject: l.sessionSubject(epoch, s.ID)}
		x.record = record{generation: s.Generation, node: l.e.node, nonce: l.e.nonce(), body: s.Body}
		if s.Body != nil {
			x.record.until = time.Now().Add(s.Keep)
		}
		if s.Keep > l.maxKeep() {
			s.Err = fmt.Errorf("%w: a session is to be kept for %v, and none is for longer than %v", hub.ErrUnavailable, s.Keep, l.maxKeep())
			continue
		}
		left = append(left, x)
	}
	for tries := 0; len(left) > 0; tries++ {
		some := distinct(left)
		if tries > 0 && ctx.Err() != nil {
			failSessions(left, ctx.Err())
			return
		}
		if err := l.writeSessions(ctx, some); err != nil {
			failSessions(left, err)
			return
		}
		var rest []*sessionWrite
		for _, x := range left {
			if !x.done {
				rest = append(rest, x)
			}
		}
		left = rest
	}
	l.mu.Lock()
	again := l.meta.Epoch != epoch
	l.mu.Unlock()
	for _, s := range list {
		if again && s.Err == nil { // what it refers to is void
			s.Err = fmt.Errorf("%w: the record is of the one before", hub.ErrEpoch)
		}
	}
}

func failSessions(list []*sessionWrite, err error) {
	for _, x := range list {
		if !x.done {
			x.finish(outcome(err, x.sent))
		}
	}
}

// outcome is what it means that something failed that was sent, or was not.
func outcome(err error, sent bool) error {
	switch {
	case sent:
		return fmt.Errorf("%w: %w", hub.ErrUnknown, err)
	case errors.Is(err, hub.ErrClosed), errors.Is(err, hub.ErrUnavailable):
		return err
	}
	return fmt.Errorf("%w: %w", hub.ErrUnavailable, err)
}

func (x *sessionWrite) finish(err error) { x.done, x.s.Err = true, err }

// distinct returns the first of each session, as many as go together.
func distinct(list []*sessionWrite) []*sessionWrite {
	var some []*sessionWrite
	seen := make(map[string]bool)
	size := 0
	for _, x := range list {
		if !seen[x.subject] && len(some) < maxParts && (size == 0 || size+len(x.s.Body) <= maxBytes) {
			some = append(some, x)
			size += len(x.s.Body)
		}
		seen[x.subject] = true
	}
	return some
}

// sessionSubject hides the id, which is a secret.
func (l *line) sessionSubject(epoch, id string) string {
	return l.names.sessions + epoch + "." + digest(id)
}

// writeSessions reads what is there of sessions and writes those that may be.
// Those that were not in time are not done.
func (l *line) writeSessions(ctx context.Context, list []*sessionWrite) error {
	sent := slices.ContainsFunc(list, func(x *sessionWrite) bool { return x.sent })
	return l.asking(ctx, sent, func(link *link) error {
		there, err := l.records(ctx, link, list)
		if err != nil {
			return err
		}
		var open []*sessionWrite
		for i, x := range list {
			if !x.done && !x.judge(there[i], l.e.node) {
				open = append(open, x)
			}
		}
		b := link.newBatch(len(open), nil)
		for i, x := range open {
			x.sent = true
			if err := b.ask(i, x.write.message("")); errors.Is(err, nats.ErrMaxPayload) {
				x.finish(fmt.Errorf("%w: %w: %d bytes", hub.ErrUnavailable, errTooLarge, x.write.size))
				b.answer(i, new(nats.Msg))
			}
		}
		if err := b.wait(ctx, l.e.cfg.Timeout); err != nil {
			return nil // what became of them will be read
		}
		for i, x := range open {
			if !x.done {
				_, err := readAck(b.answers[i])
				switch {
				case err == nil:
					x.finish(nil)
				case isNobody(err):
					return cmp.Or(l.create(ctx, link, l.sessionConfig()), err)
				case !isCode(err, codeWrongSequence) && !transient(err):
					x.finish(fmt.Errorf("%w: %w", hub.ErrUnavailable, err))
				}
			}
		}
		return nil
	})
}

// records reads what is there.
func (l *line) records(ctx context.Context, link *link, list []*sessionWrite) ([]*stored, error) {
	var all []*stored
	for len(list) > 0 {
		some := list[:min(len(list), 4*inFlight)]
		list = list[len(some):]
		questions := make([]get, len(some))
		for i, x := range some {
			questions[i] = get{Last: x.subject}
		}
		answers, err := l.e.gets(ctx, link, l.names.sessionStream(), questions)
		if isNobody(err) || errors.Is(err, errSilent) || isCode(err, codeStreamMissing) {
			err = cmp.Or(l.create(ctx, link, l.sessionConfig()), err)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, answers...)
	}
	return all, nil
}

// judge says whether nothing is to be written, or prepares it.
func (x *sessionWrite) judge(there *stored, node string) (done bool) {
	var rev uint64
	if there != nil {
		rev = there.seq
		c, err := cutRecord(there.data)
		gone := err != nil || c.until.IsZero() || time.Now().After(c.until)
		switch {
		case err == nil && c.nonce == x.record.nonce: // a try whose answer was lost
			x.finish(nil)
		case gone && x.s.Body == nil:
			x.finish(nil)
		case !gone && (c.generation > x.s.Generation || c.generation == x.s.Generation && c.node != node):
			x.finish(hub.ErrFenced)
		}
	} else if x.s.Body == nil {
		x.finish(nil)
	}
	data := x.record.append(nil)
	x.write = &write{size: len(data), message: func(string) *nats.Msg {
		return &nats.Msg{Subject: x.subject, Data: data, Header: nats.Header{headerExpected: []string{strconv.FormatUint(rev, 10)}}}
	}}
	return x.done
}

// Session returns the record of a session.
func (l *line) Session(ctx context.Context, id string) (*hub.SharedSession, error) {
	var found *hub.SharedSession
	err := l.asking(ctx, false, func(link *link) error {
		l.mu.Lock()
		subject := l.sessionSubject(l.meta.Epoch, id)
		l.mu.Unlock()
		list, err := l.records(ctx, link, []*sessionWrite{{subject: subject}})
		if err != nil || list[0] == nil {
			return err
		}
		c, err := cutRecord(list[0].data)
		if err != nil {
			return fmt.Errorf("%w: record of a session: %w", hub.ErrDamaged, err)
		}
		if !c.until.IsZero() && time.Now().Before(c.until) {
			found = &hub.SharedSession{ID: id, Generation: c.generation, Body: c.body}
		}
		return nil
	})
	return found, err
}
