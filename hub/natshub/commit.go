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

// What is written at a time, without a round trip for each.
const (
	maxParts = 512
	maxBytes = 4 << 20
)

// A write is something on its way into a stream.
type write struct {
	message func(epoch string) *nats.Msg // is made anew for each epoch
	nonce   string
	size    int

	sent  time.Time // when it was first, zero: never, or it is known that it was in vain
	lost  bool      // an answer did not come
	epoch string    // for which
	done  bool
	ack   ack
	err   error
}

// finish says what became of it.
func (w *write) finish(a ack, err error) { w.done, w.ack, w.err = true, a, err }

// Commit writes a batch.
func (l *line) Commit(ctx context.Context, b *hub.SharedBatch) {
	if len(b.Messages) > 0 {
		l.commitMessages(ctx, b.Messages)
	}
	if len(b.Sessions) > 0 {
		l.commitSessions(ctx, b.Sessions)
	}
	if len(b.Erase) > 0 {
		b.EraseErr = l.erase(ctx, b.Erase)
	}
}

func (l *line) commitMessages(ctx context.Context, messages []*hub.SharedMessage) {
	now := time.Now()
	writes := make([]*write, len(messages))
	for i, m := range messages {
		writes[i] = l.messageWrite(m, now)
	}
	failed := false
	for some := range chunks(writes) {
		if failed {
			for _, w := range some {
				w.finish(ack{}, fmt.Errorf("%w: what was before it was not written", hub.ErrUnavailable))
			}
			continue
		}
		l.writeAll(ctx, some)
		failed = slices.ContainsFunc(some, func(w *write) bool { return w.err != nil && !isTooLarge(w.err) })
	}
	l.settleMessages(ctx, messages, writes, now)
	l.keepAll(ctx, messages, writes)
}

// messageWrite makes what is stored of a message. A loss of its answer does not
// have it stored twice: it has an id in any case.
func (l *line) messageWrite(m *hub.SharedMessage, now time.Time) *write {
	nonce := l.e.nonce()
	id := nonce
	if m.ID != "" {
		id = idName(m.Publisher, m.ID)
	}
	data := appendEntry(make([]byte, 0, entrySize(m)), now, m)
	at := manyPlace // for everyone, whatever history keeps it
	if len(m.Rooms) > 0 {
		at = place(allRooms(m))
	}
	return &write{nonce: nonce, size: len(data), message: func(epoch string) *nats.Msg {
		return &nats.Msg{
			Subject: l.names.tape + epoch + "." + at, Data: data,
			Header: nats.Header{headerNonce: []string{nonce}, headerID: []string{id}},
		}
	}}
}

// allRooms are the rooms of a message, also those that only keep it in their
// history.
func allRooms(m *hub.SharedMessage) []string {
	rooms := slices.Compact(slices.Clone(m.Rooms))
	for _, h := range m.Histories {
		if !slices.Contains(rooms, h.Room) {
			rooms = append(rooms, h.Room)
		}
	}
	return rooms
}

// chunks yields writes that go together.
func chunks(writes []*write) func(func([]*write) bool) {
	return func(yield func([]*write) bool) {
		first, size := 0, 0
		for i, w := range writes {
			if n := i - first; n > 0 && (n == maxParts || size+w.size > maxBytes) {
				if !yield(writes[first:i]) {
					return
				}
				first, size = i, 0
			}
			size += w.size
		}
		if first < len(writes) {
			yield(writes[first:])
		}
	}
}

// errTooLarge means that no server takes it.
var errTooLarge = errors.New("larger than the server's max_payload")

func isTooLarge(err error) bool { return errors.Is(err, errTooLarge) }

// writeAll writes until it is known what became of each. They get into the
// stream in their order.
func (l *line) writeAll(ctx context.Context, writes []*write) {
	for tries := 0; ; tries++ {
		list := slices.DeleteFunc(slices.Clone(writes), func(w *write) bool { return w.done })
		if len(list) == 0 {
			return
		}
		sent := slices.ContainsFunc(list, func(w *write) bool { return !w.sent.IsZero() })
		link, err := l.e.await(ctx, sent)
		if l.run.Err() != nil {
			err = hub.ErrClosed
		}
		if err == nil && tries > 0 {
			call(l.e.cfg.Trace.Retried)
			if !pause(ctx, min(time.Duration(tries)*retryPause, retryPauseMax)) {
				err = ctx.Err()
			}
		}
		if err != nil {
			giveUp(list, err)
			return
		}
		l.try(ctx, link, list)
		settleOrder(list)
	}
}

// giveUp says of writes that they were not made, or that nobody knows.
func giveUp(list []*write, err error) {
	for _, w := range list {
		switch {
		case !w.sent.IsZero():
			w.finish(ack{}, fmt.Errorf("%w: %w", hub.ErrUnknown, err))
		case errors.Is(err, hub.ErrClosed), errors.Is(err, hub.ErrUnavailable):
			w.finish(ack{}, err)
		default:
			w.finish(ack{}, fmt.Errorf("%w: %w", hub.ErrUnavailable, err))
		}
	}
}

// try writes once, all at a time. Those of which it is known what became of them
// are done; of the others err says why it may be tried again.
func (l *line) try(ctx context.Context, link *link, list []*write) {
	l.mu.Lock()
	epoch := l.meta.Epoch
	l.mu.Unlock()
	b := link.newBatch(len(list), nil)
	for i, w := range list {
		if !w.sent.IsZero() && w.epoch == epoch && time.Since(w.sent) > l.memory.Window/2 {
			w.finish(ack{}, fmt.Errorf("%w: the server may have forgotten it by now", hub.ErrUnknown))
			b.answer(i, new(nats.Msg))
			continue
		}
		err := b.ask(i, w.message(epoch))
		if errors.Is(err, nats.ErrMaxPayload) {
			w.finish(ack{}, fmt.Errorf("%w: %w: %d bytes", hub.ErrUnavailable, errTooLarge, w.size))
			b.answer(i, new(nats.Msg))
			continue
		}
		if w.sent.IsZero() || w.epoch != epoch {
			w.sent, w.epoch, w.lost = time.Now(), epoch, false
		}
	}
	_ = b.wait(ctx, l.e.cfg.Timeout) // who has no answer is asked again
	for i, w := range list {
		if !w.done {
			l.answered(link, w, b.answers[i])
		}
	}
}

// answered takes the answer to a write; nil: there is none.
func (l *line) answered(link *link, w *write, m *nats.Msg) {
	if m == nil {
		w.err, w.lost = errSilent, true
		return
	}
	a, err := readAck(m)
	switch {
	case err == nil:
		w.finish(a, nil)
	case transient(err):
		if w.err = err; !w.lost {
			w.sent = time.Time{}
		}
		if isNobody(err) {
			link.fail(errUnknown) // it will be seen what there is
		}
	case isCode(err, codeWrongSequence):
		w.finish(ack{}, err)
	default:
		w.finish(ack{}, fmt.Errorf("%w: %w", hub.ErrUnavailable, err))
	}
}

// settleOrder gives those up for good that would be tried again behind what was
// written after them. Of those that were sent nobody knows.
func settleOrder(list []*write) {
	last := -1
	for i, w := range list {
		if w.done && w.err == nil {
			last = i
		}
	}
	for _, w := range list[:last+1] {
		switch {
		case w.done:
		case w.sent.IsZero():
			w.finish(ack{}, fmt.Errorf("%w: %w", hub.ErrUnavailable, w.err))
		default:
			w.finish(ack{}, fmt.Errorf("%w: %w", hub.ErrUnknown, w.err))
		}
	}
}

// settleMessages fills in what became of messages.
func (l *line) settleMessages(ctx context.Context, messages []*hub.SharedMessage, writes []*write, now time.Time) {
	var again []int
	l.mu.Lock()
	base, epoch := l.meta.Base, l.meta.Epoch
	for i, m := range messages {
		w := writes[i]
		m.Err, m.Repeated = w.err, false
		if m.Err != nil {
			continue
		}
		if w.epoch != epoch {
			m.Err = fmt.Errorf("%w: %w", hub.ErrUnknown, hub.ErrEpoch)
			continue
		}
		m.Position, m.Time = base+hub.Position(w.ack.Seq), time.Unix(0, now.UnixNano())
		if w.ack.Duplicate {
			again = append(again, i)
			continue
		}
		l.seeLocked(m.Position, w.nonce)
	}
	l.mu.Unlock()
	for some := range slices.Chunk(again, inFlight) {
		l.settleAgain(ctx, messages, writes, some)
	}
}

// settleAgain looks at what was written before: by this very write, or another
// time.
func (l *line) settleAgain(ctx context.Context, messages []*hub.SharedMessage, writes []*write, list []int) {
	questions := make([]get, len(list))
	for i, n := range list {
		questions[i] = get{Seq: writes[n].ack.Seq}
	}
	stream := l.names.tapeStream(writes[list[0]].epoch)
	var answers []*stored
	err := l.asking(ctx, true, func(link *link) (err error) {
		answers, err = l.e.gets(ctx, link, stream, questions)
		return err
	})
	for i, n := range list {
		m := messages[n]
		switch {
		case err != nil:
			m.Err = fmt.Errorf("%w: %w", hub.ErrUnknown, err)
		case answers[i] == nil:
			m.Repeated = true // it was erased meanwhile
		default:
			m.Repeated = answers[i].nonce != writes[n].nonce
			if x, err := cutEntry(answers[i].data); err == nil {
				m.Time = x.time
			}
		}
	}
}

// keepAll writes messages into the histories of their rooms, also those that were
// there before: whoever wrote them may have been interrupted.
func (l *line) keepAll(ctx context.Context, messages []*hub.SharedMessage, writes []*write) {
	var kept []*write
	var of []*hub.SharedMessage
	for i, m := range messages {
		if m.Err != nil || len(m.Histories) == 0 {
			continue
		}
		data := appendKept(make([]byte, 0, 8+writes[i].size), m.Position, writes[i].message("").Data)
		for room := range historyRooms(m.Histories) {
			kept = append(kept, l.keptWrite(room, m.Position, data))
			of = append(of, m)
		}
	}
	if len(kept) == 0 {
		return
	}
	for some := range chunks(kept) {
		_ = l.writeKept(ctx, some) // each says it itself
	}
	for i, w := range kept {
		if w.err != nil {
			of[i].Err = fmt.Errorf("%w: it is not in the history of every room: %w", hub.ErrUnknown, w.err)
		}
	}
	for _, m := range messages {
		for room, limit := range historyRooms(m.Histories) {
			l.tidyUp(room, limit)
		}
	}
}

// historyRooms yields each room once.
func historyRooms(list []hub.RoomHistory) func(func(string, hub.HistoryLimit) bool) {
	return func(yield func(string, hub.HistoryLimit) bool) {
		for i, h := range list {
			again := slices.ContainsFunc(list[:i], func(o hub.RoomHistory) bool { return o.Room == h.Room })
			if !again && !yield(h.Room, h.Limit) {
				return
			}
		}
	}
}

func (l *line) keptWrite(room string, p hub.Position, data []byte) *write {
	subject := l.names.history + token(room)
	id := strconv.FormatUint(uint64(p), 36) + "." + token(room)
	return &write{size: len(data), message: func(string) *nats.Msg {
		return &nats.Msg{Subject: subject, Data: data, Header: nats.Header{headerID: []string{id}}}
	}}
}

// writeKept writes into histories, and returns the first error. The stream is made
// with the first.
func (l *line) writeKept(ctx context.Context, writes []*write) error {
	err := l.asking(ctx, true, func(link *link) error {
		l.mu.Lock()
		made := l.tidy.made == link
		l.mu.Unlock()
		if made {
			return nil
		}
		err := l.create(ctx, link, l.historyConfig())
		if err == nil {
			l.mu.Lock()
			l.tidy.made = link
			l.mu.Unlock()
		}
		return err
	})
	if err != nil {
		giveUp(writes, err)
		return err
	}
	l.writeAll(ctx, writes)
	for _, w := range writes {
		err = cmp.Or(err, w.err)
	}
	return err
}
