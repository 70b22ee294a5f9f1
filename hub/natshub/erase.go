package natshub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
)

// erase removes messages for good: the server writes over them.
func (l *line) erase(ctx context.Context, list []hub.Erasure) error {
	return l.asking(ctx, false, func(link *link) error {
		for _, e := range list {
			var err error
			if e.Position != 0 {
				err = l.eraseOne(ctx, link, e)
			} else {
				err = l.eraseRoom(ctx, link, e.Room)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// eraseOne removes a message that a room's history has, or had.
func (l *line) eraseOne(ctx context.Context, link *link, e hub.Erasure) error {
	l.mu.Lock()
	tape, base := l.names.tapeStream(l.meta.Epoch), l.meta.Base
	l.mu.Unlock()
	var found []entry
	var seq uint64
	if e.Position > base {
		list, err := l.e.gets(ctx, link, tape, []get{{Seq: uint64(e.Position - base)}})
		if err != nil {
			return err
		}
		if m := list[0]; m != nil && len(m.data) > 0 {
			x, err := cutEntry(m.data)
			if err != nil {
				return fmt.Errorf("%w: %d in %s", hub.ErrDamaged, e.Position, l.name)
			}
			found, seq = append(found, x), m.seq
		}
	}
	copies, err := l.copies(ctx, link, e.Room, e.Position)
	if err != nil {
		return err
	}
	for _, k := range copies {
		found = append(found, k.entry)
	}
	if len(found) == 0 || !found[0].keptBy(e.Room) {
		return nil
	}
	if seq != 0 {
		if err := l.remove(ctx, link, tape, []uint64{seq}); err != nil {
			return err
		}
	}
	for room := range historyRooms(found[0].histories) {
		copies, err := l.copies(ctx, link, room, e.Position)
		if err != nil {
			return err
		}
		var seqs []uint64
		for _, k := range copies {
			seqs = append(seqs, k.seq)
		}
		if err := l.remove(ctx, link, l.names.historyStream(), seqs); err != nil {
			return err
		}
	}
	return nil
}

// copies finds what a room's history has of a message.
func (l *line) copies(ctx context.Context, link *link, room string, p hub.Position) ([]kept, error) {
	b, err := l.book(ctx, link, room)
	if err != nil || b == nil {
		return nil, err
	}
	at, err := b.find(ctx, p)
	if err != nil {
		return nil, err
	}
	s, err := l.sweep(ctx, link, b.stream, b.subject, span{max(b.first+disorder, at) - disorder, b.seen})
	if err != nil {
		return nil, err
	}
	defer s.close()
	var found []kept
	for {
		some, err := s.pull(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range some {
			if m.seq > at+disorder {
				return found, nil
			}
			if k, err := b.kept(m); err != nil {
				return nil, err
			} else if k.at == p {
				found = append(found, k)
			}
		}
		if len(some) == 0 {
			return found, nil
		}
	}
}

// eraseRoom removes all of a room's history, and from the tape what no other
// history was to keep.
func (l *line) eraseRoom(ctx context.Context, link *link, room string) error {
	l.mu.Lock()
	epoch := l.meta.Epoch
	l.mu.Unlock()
	tape := l.names.tapeStream(epoch)
	var seqs []uint64
	for _, place := range []string{roomPlace(room), manyPlace} {
		err := l.each(ctx, link, tape, l.names.tape+epoch+"."+place, func(m *stored) error {
			if m.nonce == "" {
				return nil // not of ours
			}
			x, err := cutEntry(m.data)
			if err != nil {
				return fmt.Errorf("%w: %d in %s", hub.ErrDamaged, m.seq, tape)
			}
			other := slices.ContainsFunc(x.histories, func(h hub.RoomHistory) bool { return h.Room != room })
			if x.keptBy(room) && !other {
				seqs = append(seqs, m.seq)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := l.remove(ctx, link, tape, seqs); err != nil {
		return err
	}
	seqs = nil
	err := l.each(ctx, link, l.names.historyStream(), l.names.history+token(room), func(m *stored) error {
		seqs = append(seqs, m.seq)
		return nil
	})
	if isCode(err, codeStreamMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	return l.remove(ctx, link, l.names.historyStream(), seqs)
}

// remove has a stream write over messages, and forget them. Those that are not
// there are no error.
func (l *line) remove(ctx context.Context, link *link, stream string, seqs []uint64) error {
	for some := range slices.Chunk(seqs, inFlight) {
		questions := make([]*nats.Msg, len(some))
		for i, seq := range some {
			questions[i] = nats.NewMsg(l.e.site.api + "STREAM.MSG.DELETE." + stream)
			questions[i].Data = fmt.Appendf(nil, `{"seq":%d}`, seq)
		}
		answers, err := link.askAll(ctx, questions, l.e.cfg.Timeout)
		if err != nil {
			return err
		}
		for i, m := range answers {
			err := readAnswer(m, nil)
			if err == nil {
				continue
			}
			there, err2 := l.e.gets(ctx, link, stream, []get{{Seq: some[i]}})
			if err2 != nil || there[0] != nil {
				return errors.Join(err, err2)
			}
		}
	}
	return nil
}

// tidying is what is known of histories that grow beyond their limits, or lack
// something.
type tidying struct {
	made   *link          // on which the stream of histories was seen to be there
	counts map[string]int // of messages by this node since a room was tidied
	busy   bool

	left     []string // nodes of whose messages some may not be in their histories
	settling bool
}

const (
	tidyEvery = 64
	tidyRooms = 100_000
)

// tidyUp notes that a room's history has grown. From time to time what its limits
// do not leave is removed. Who reads honours them in any case.
func (l *line) tidyUp(room string, limit hub.HistoryLimit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &l.tidy
	if t.counts == nil || len(t.counts) > tidyRooms {
		t.counts = make(map[string]int)
	}
	t.counts[room]++
	if limit == (hub.HistoryLimit{}) || t.busy || t.counts[room] < tidyEvery || l.closed {
		return
	}
	delete(t.counts, room)
	t.busy = true
	l.e.wg.Go(func() { // ends by itself; Engine.Close waits
		if err := l.tidyRoom(room, limit); err != nil && l.run.Err() == nil {
			l.e.cfg.Log.Warn("the history of a room grows beyond its limits", "nsp", l.name, "err", err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.tidy.busy = false
	})
}

func (l *line) tidyRoom(room string, limit hub.HistoryLimit) error {
	link, err := l.e.await(l.run, false)
	if err != nil {
		return nil // another time
	}
	ctx := link.ctx
	request := map[string]any{"filter": l.names.history + token(room)}
	if limit.Count > 0 && limit.Bytes == 0 && limit.Age == 0 {
		request["keep"] = limit.Count + tidyEvery/2 // some may be in another order
	} else {
		b, err := l.book(ctx, link, room)
		if err != nil || b == nil {
			return err
		}
		list, err := b.page(ctx, hub.HistoryQuery{After: 1, Limit: 1 << 30})
		if err != nil || len(list) == 0 {
			return err
		}
		request["seq"] = list[0].seq
	}
	err = l.e.api(ctx, link, "STREAM.PURGE."+l.names.historyStream(), request, nil)
	if ctx.Err() != nil {
		return nil // another time
	}
	return err
}

// settle finishes what a node has begun that has died, or any if node is "": a
// message that is on the tape may not be in its histories. One node does it for
// all.
func (l *line) settle(node string) {
	if l.memory == nil || len(l.memory.Rooms) == 0 {
		return
	}
	for other := range l.e.Nodes() {
		if other < l.e.node {
			return
		}
	}
	l.mu.Lock()
	l.tidy.left = append(l.tidy.left, node)
	l.mu.Unlock()
	l.settleAll()
}

// settleAll finishes what there is to finish. If that fails it is tried again.
func (l *line) settleAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tidy.settling || len(l.tidy.left) == 0 || l.link == nil {
		return
	}
	l.tidy.settling = true
	link, node := l.link, l.tidy.left[0]
	l.e.wg.Go(func() { // ends by itself, or with the link; Engine.Close waits
		err := l.settling(link, node)
		l.mu.Lock()
		l.tidy.settling = false
		if err == nil {
			l.tidy.left = l.tidy.left[1:]
		}
		l.mu.Unlock()
		if err == nil {
			l.settleAll()
		} else if l.run.Err() == nil {
			l.e.cfg.Log.Warn("what a node has left unfinished was not finished yet", "nsp", l.name, "err", err)
		}
	})
}

func (l *line) settling(link *link, node string) error {
	l.mu.Lock()
	epoch, base := l.meta.Epoch, l.meta.Base
	l.mu.Unlock()
	var writes []*write
	err := l.each(link.ctx, link, l.names.tapeStream(epoch), l.names.tape+epoch+".>", func(m *stored) error {
		if len(m.data) == 0 || m.nonce == "" || node != "" && !strings.HasPrefix(m.nonce, node+".") {
			return nil
		}
		x, err := cutEntry(m.data)
		if err != nil {
			return err
		}
		p := base + hub.Position(m.seq)
		for room := range historyRooms(x.histories) {
			writes = append(writes, l.keptWrite(room, p, appendKept(nil, p, m.data)))
		}
		if len(writes) < maxParts {
			return nil
		}
		err = l.writeKept(link.ctx, writes)
		writes = nil
		return err
	})
	if err == nil && len(writes) > 0 {
		err = l.writeKept(link.ctx, writes)
	}
	return err
}
