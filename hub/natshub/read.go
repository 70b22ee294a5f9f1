package natshub

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tutti-rt/tutti/hub"
)

// inFlight is how many questions are put at a time, and fetched bounds what one
// Read looks at.
const (
	inFlight = 64
	fetched  = 4096
)

// Read returns messages of rooms and for everyone.
func (l *line) Read(ctx context.Context, rooms []string, after hub.Position, limit int) ([]hub.Stored, hub.Position, error) {
	if limit <= 0 {
		return nil, after, nil
	}
	var list []hub.Stored
	var upTo hub.Position
	err := l.asking(ctx, false, func(link *link) (err error) {
		list, upTo, err = l.read(ctx, link, readRange{rooms: rooms, after: after, limit: limit})
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return list, upTo, nil
}

// read reads up to where the log is known to stand, and beyond that if it is not
// enough.
func (l *line) read(ctx context.Context, link *link, r readRange) (list []hub.Stored, upTo hub.Position, err error) {
	l.mu.Lock()
	base := l.meta.Base
	r.to = max(l.known, l.head)
	l.mu.Unlock()
	after := r.after
	if after < base {
		return nil, 0, hub.ErrTrimmed
	}
	for again := false; ; again = true {
		if r.after < r.to {
			some, end, err := l.readRange(ctx, link, r)
			if err != nil {
				return nil, 0, err
			}
			list = append(list, some...)
			r.after, r.limit = end, r.limit-len(some)
		}
		first, last, err := l.look(ctx, link)
		switch {
		case err != nil:
			return nil, 0, err
		case first > after+1:
			return nil, 0, hub.ErrTrimmed
		case again || r.limit <= 0 || r.after < r.to || last <= r.to:
			return list, r.after, nil
		}
		r.to = last
	}
}

// asking does something with a link, again on another if it fails. Who is patient
// waits for one while the context lasts.
func (l *line) asking(ctx context.Context, patient bool, do func(*link) error) error {
	for tries := 0; ; tries++ {
		if l.run.Err() != nil {
			return hub.ErrClosed
		}
		link, err := l.e.await(ctx, patient)
		if err != nil {
			return err
		}
		if err = do(link); err == nil || errors.Is(err, hub.ErrTrimmed) || errors.Is(err, hub.ErrDamaged) {
			return err
		}
		if l.run.Err() != nil {
			return hub.ErrClosed
		}
		if tries > 0 && link.failure() == nil && !transient(err) && !errors.Is(err, errSilent) || ctx.Err() != nil {
			return fmt.Errorf("%w: %w", hub.ErrUnavailable, err)
		}
		call(l.e.cfg.Trace.Retried)
		if !pause(ctx, retryPause) {
			return fmt.Errorf("%w: %w", hub.ErrUnavailable, err)
		}
	}
}

// look asks where the stream stands.
func (l *line) look(ctx context.Context, link *link) (first, last hub.Position, err error) {
	l.mu.Lock()
	epoch := l.meta.Epoch
	l.mu.Unlock()
	info, err := l.e.streamInfo(ctx, link, l.names.tapeStream(epoch))
	if isCode(err, codeStreamMissing) {
		link.fail(errUnknown)
	}
	if err != nil {
		return 0, 0, err
	}
	first, last = l.stands(epoch, info)
	return first, last, nil
}

// A readRange is what is read: after a position up to another.
type readRange struct {
	rooms     []string
	after, to hub.Position
	limit     int
}

// A thread is a subject that is being read.
type thread struct {
	subject string
	seq     uint64 // from which it is read on
	found   int
	done    bool
}

// readRange reads messages of rooms and for everyone, by their subjects or one
// after another, whichever is less.
func (l *line) readRange(ctx context.Context, link *link, r readRange) ([]hub.Stored, hub.Position, error) {
	l.mu.Lock()
	base, epoch := l.meta.Base, l.meta.Epoch
	l.mu.Unlock()
	wanted := make(map[string]bool, len(r.rooms))
	for _, room := range r.rooms {
		wanted[room] = true
	}
	s := &search{l: l, link: link, stream: l.names.tapeStream(epoch), base: base, readRange: r, wanted: wanted}
	if uint64(r.to-r.after) <= 8*uint64(1+len(wanted)) {
		return s.scan(ctx)
	}
	return s.threads(ctx, l.names.tape+epoch+".")
}

// A search is a reading of a range.
type search struct {
	l      *line
	link   *link
	stream string
	base   hub.Position
	readRange
	wanted map[string]bool
	list   []hub.Stored
}

// take adds a message to the list, if it is wanted.
func (s *search) take(m *stored) (bool, error) {
	if len(m.data) == 0 || m.nonce == "" {
		return false, nil // a mark, or not of ours
	}
	p := s.base + hub.Position(m.seq)
	body, at, interest, ok := cutInterest(m.data, func(room []byte) bool { return s.wanted[string(room)] })
	if !ok {
		return false, fmt.Errorf("%w: %d in %s", hub.ErrDamaged, p, s.l.name)
	}
	if interest {
		s.list = append(s.list, hub.Stored{Position: p, Time: at, Body: body})
	}
	return interest, nil
}

// scan reads one after another.
func (s *search) scan(ctx context.Context) ([]hub.Stored, hub.Position, error) {
	from := s.after + 1
	for ; from <= s.to && len(s.list) < s.limit; from += inFlight {
		var questions []get
		for p := from; p <= s.to && p < from+inFlight; p++ {
			questions = append(questions, get{Seq: uint64(p - s.base)})
		}
		answers, err := s.l.e.gets(ctx, s.link, s.stream, questions)
		if err != nil {
			return nil, 0, err
		}
		for _, m := range answers {
			if m != nil {
				if _, err := s.take(m); err != nil {
					return nil, 0, err
				}
			}
		}
	}
	return s.cut(min(s.to, from-1))
}

// cut leaves as much as was asked for.
func (s *search) cut(upTo hub.Position) ([]hub.Stored, hub.Position, error) {
	slices.SortFunc(s.list, func(a, b hub.Stored) int { return int(int64(a.Position) - int64(b.Position)) })
	n := 0
	for n < len(s.list) && n < s.limit && s.list[n].Position <= upTo {
		n++
	}
	if n == s.limit && n < len(s.list) {
		upTo = s.list[n-1].Position
	}
	return s.list[:n], upTo, nil
}

// threads reads each subject, all of them at a time.
func (s *search) threads(ctx context.Context, prefix string) ([]hub.Stored, hub.Position, error) {
	first := uint64(s.after-s.base) + 1
	list := []*thread{{subject: prefix + manyPlace, seq: first}}
	for room := range s.wanted {
		list = append(list, &thread{subject: prefix + roomPlace(room), seq: first})
	}
	open := list
	for seen := 0; len(open) > 0 && seen < fetched; {
		for some := range slices.Chunk(open, inFlight) {
			n, err := s.round(ctx, some)
			if err != nil {
				return nil, 0, err
			}
			seen += n
		}
		open = slices.DeleteFunc(slices.Clone(open), func(t *thread) bool { return t.done })
	}
	upTo := s.to
	for _, t := range list {
		if !t.done || t.found >= s.limit {
			upTo = min(upTo, s.base+hub.Position(t.seq-1))
		}
	}
	return s.cut(upTo)
}

// round reads the next message of each thread.
func (s *search) round(ctx context.Context, list []*thread) (seen int, err error) {
	questions := make([]get, len(list))
	for i, t := range list {
		questions[i] = get{Next: t.subject, Seq: t.seq}
	}
	answers, err := s.l.e.gets(ctx, s.link, s.stream, questions)
	if err != nil {
		return 0, err
	}
	for i, m := range answers {
		t := list[i]
		if m == nil || s.base+hub.Position(m.seq) > s.to {
			t.done = true
			continue
		}
		seen++
		interest, err := s.take(m)
		if err != nil {
			return seen, err
		}
		t.seq = m.seq + 1
		if interest {
			t.found++
		}
		t.done = t.found >= s.limit
	}
	return seen, nil
}

// fill reads what was missed and hands it on.
func (l *line) fill(link *link, at, upTo hub.Position) error {
	const limit = 1000
	l.mu.Lock()
	rooms := make([]string, 0, len(l.rooms))
	for _, x := range l.rooms {
		rooms = append(rooms, x.room)
	}
	l.mu.Unlock()
	for at < upTo {
		list, next, err := l.readRange(link.ctx, link, readRange{rooms, at, upTo, limit})
		if err != nil {
			return err
		}
		first, _, err := l.look(link.ctx, link)
		if err != nil {
			return err
		}
		if first > at+1 {
			return hub.ErrTrimmed
		}
		if len(list) > 0 && l.e.cfg.Trace.Filled != nil {
			l.e.cfg.Trace.Filled(len(list))
		}
		for _, m := range list {
			l.feed.put(event{kind: evMessage, at: m.Position, time: m.Time, body: m.Body}, perEvent+len(m.Body))
		}
		at = next
		l.mu.Lock()
		l.head = max(l.head, at)
		l.mu.Unlock()
		if err := l.feed.room(link.ctx); err != nil {
			return hub.ErrClosed
		}
	}
	return nil
}
