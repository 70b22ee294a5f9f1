package natshub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// A kept message is one of a room's history.
type kept struct {
	at  hub.Position
	seq uint64
	entry
}

// disorder is how many messages of a history may be in another order than that of
// their positions, because nodes wrote them at the same time.
const disorder = 256

// A book reads the history of a room.
type book struct {
	l           *line
	link        *link
	room        string
	stream      string
	subject     string
	first, last uint64           // sequences, last of the room
	seen        uint64           // the room's last, 0 if that was not found
	limit       hub.HistoryLimit // that came with the last message
}

// History returns a page of a room's history.
func (l *line) History(ctx context.Context, room string, q hub.HistoryQuery) ([]hub.Stored, error) {
	if q.Before != 0 && q.After != 0 {
		return nil, errors.New("history: both Before and After")
	}
	if q.Limit <= 0 {
		return nil, nil
	}
	var page []hub.Stored
	err := l.asking(ctx, false, func(link *link) error {
		page = nil
		b, err := l.book(ctx, link, room)
		if err != nil || b == nil {
			return err
		}
		list, err := b.page(ctx, q)
		for _, k := range list {
			page = append(page, hub.Stored{Position: k.at, Time: k.time, Body: k.body})
		}
		return err
	})
	return page, err
}

// book opens the history of a room; nil: it has none.
func (l *line) book(ctx context.Context, link *link, room string) (*book, error) {
	b := &book{l: l, link: link, room: room, stream: l.names.historyStream(), subject: l.names.history + token(room)}
	info, err := l.e.streamInfo(ctx, link, b.stream)
	if isCode(err, codeStreamMissing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b.first, b.last = max(info.State.First, 1), info.State.Last
	list, err := l.e.gets(ctx, link, b.stream, []get{{Last: b.subject}})
	if err != nil {
		return nil, err
	}
	if m := list[0]; m != nil {
		last, err := b.kept(m)
		b.last, b.seen, b.limit = m.seq, m.seq, last.limit(room)
		return b, err
	}
	// nats-server 2.9 does not find the last if one behind it was erased.
	kept, _, err := b.tail(ctx, 0, 1)
	if err != nil || len(kept) == 0 {
		return nil, err
	}
	b.last, b.limit = kept[0].seq, kept[0].limit(room)
	return b, nil
}

func (b *book) kept(m *stored) (kept, error) {
	p, x, err := cutKept(m.data)
	if err != nil {
		return kept{}, fmt.Errorf("%w: %d in %s", hub.ErrDamaged, m.seq, b.stream)
	}
	return kept{p, m.seq, x}, nil
}

// page reads a page.
func (b *book) page(ctx context.Context, q hub.HistoryQuery) (list []kept, err error) {
	bounded := b.limit.Count > 0 || b.limit.Bytes > 0
	switch {
	case bounded && (q.Before != 0 || q.After != 0 || b.limit.Bytes > 0):
		list, err = b.window(ctx)
	case q.After != 0:
		list, err = b.forward(ctx, q.After, q.Limit)
	default:
		want := q.Limit
		if bounded {
			want = min(want, b.limit.Count)
		}
		list, _, err = b.tail(ctx, q.Before, want)
	}
	if err != nil {
		return nil, err
	}
	oldest := time.Now().Add(-b.limit.Age)
	list = slices.DeleteFunc(list, func(k kept) bool {
		return k.at <= q.After || q.Before != 0 && k.at >= q.Before || b.limit.Age > 0 && k.time.Before(oldest)
	})
	if n := len(list) - q.Limit; n > 0 && q.After != 0 {
		list = list[:q.Limit]
	} else if n > 0 {
		list = list[n:]
	}
	return list, nil
}

// window reads what the limits of count and bytes leave of the history.
func (b *book) window(ctx context.Context) ([]kept, error) {
	for want := pulled; ; {
		if b.limit.Count > 0 {
			want = min(want, b.limit.Count)
		}
		list, all, err := b.tail(ctx, 0, want)
		if err != nil {
			return nil, err
		}
		whole := all || want == b.limit.Count
		var bytes int64
		for i, k := range slices.Backward(list) {
			if bytes += int64(len(k.body)); b.limit.Bytes > 0 && bytes > b.limit.Bytes {
				list, whole = list[i+1:], true
				break
			}
		}
		switch {
		case !whole:
			want *= 4
		case len(list) == 0:
			return list, nil
		default:
			// If the oldest was removed while this was read, some behind it may have
			// been, which would not have left it.
			there, err := b.l.e.gets(ctx, b.link, b.stream, []get{{Seq: list[0].seq}})
			if err != nil || there[0] != nil {
				return list, err
			}
		}
	}
}

// tail reads the last messages before a position (0: of all), and says whether
// there are no others.
func (b *book) tail(ctx context.Context, before hub.Position, want int) (list []kept, all bool, err error) {
	end := b.last
	if before != 0 {
		at, err := b.find(ctx, before)
		if err != nil {
			return nil, false, err
		}
		end = min(end, at+disorder)
	}
	behind := uint64(0) // how many there are behind the end
	if end < b.last {
		s, err := b.l.sweep(ctx, b.link, b.stream, b.subject, span{end + 1, b.seen})
		if err != nil {
			return nil, false, err
		}
		s.close()
		behind = s.pending
	}
	s, from, err := b.aim(ctx, end, behind, uint64(want)+disorder/8)
	if err != nil {
		return nil, false, err
	}
	if list, err = b.take(ctx, s); err != nil {
		return nil, false, err
	}
	list = slices.DeleteFunc(list, func(k kept) bool { return before != 0 && k.at >= before })
	all = from == b.first && len(list) <= want
	return list[max(0, len(list)-want):], all, nil
}

// aim begins to read from where there are as many messages up to an end as are
// needed, or some more; or all. Behind that end there are so many.
func (b *book) aim(ctx context.Context, end, behind, need uint64) (*sweep, uint64, error) {
	enough, few := uint64(0), end+1 // from where there are enough (0: not known), and too few
	width := 4 * need
	for from := b.back(end, width); ; {
		s, err := b.l.sweep(ctx, b.link, b.stream, b.subject, span{from, b.seen})
		if err != nil {
			return nil, 0, err
		}
		if behind > 0 {
			s.pending -= min(s.pending, behind)
			s.last = 0 // who has what is behind the end has what is before
		}
		switch {
		case s.pending < need && from > b.first:
			few = from
			if width *= 8; enough == 0 {
				from = b.back(end, width)
				break
			}
			from = enough + (few-enough)/2
		case s.pending > 4*need+pulled && few-from > 1:
			enough = from
			from += (few - from) / 2
		default:
			return s, from, nil
		}
		s.close()
	}
}

func (b *book) back(end, width uint64) uint64 {
	if end < b.first+width {
		return b.first
	}
	return end - width + 1
}

// forward reads the first messages after a position.
func (b *book) forward(ctx context.Context, after hub.Position, want int) ([]kept, error) {
	from, err := b.find(ctx, after)
	if err != nil {
		return nil, err
	}
	s, err := b.l.sweep(ctx, b.link, b.stream, b.subject, span{max(b.first+disorder, from) - disorder, b.seen})
	if err != nil {
		return nil, err
	}
	defer s.close()
	var list []kept
	for {
		some, err := s.pull(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range some {
			if k, err := b.kept(m); err != nil {
				return nil, err
			} else if k.at > after {
				list = append(list, k)
			}
		}
		if len(some) == 0 || len(list) >= want+disorder/8 {
			return ordered(list), nil
		}
	}
}

// take reads what there is.
func (b *book) take(ctx context.Context, s *sweep) ([]kept, error) {
	defer s.close()
	list := make([]kept, 0, s.pending)
	for {
		some, err := s.pull(ctx)
		if err != nil {
			return nil, err
		}
		if len(some) == 0 {
			return ordered(list), nil
		}
		for _, m := range some {
			k, err := b.kept(m)
			if err != nil {
				return nil, err
			}
			list = append(list, k)
		}
	}
}

// ordered puts messages into the order of their positions, each once.
func ordered(list []kept) []kept {
	slices.SortStableFunc(list, func(a, b kept) int { return int(int64(a.at) - int64(b.at)) })
	return slices.CompactFunc(list, func(a, b kept) bool { return a.at == b.at })
}

// find returns about where a position is in the stream of histories.
func (b *book) find(ctx context.Context, p hub.Position) (uint64, error) {
	low, high := b.first, b.last+1
	imported := b.l.imported()
	for low < high {
		middle := low + (high-low)/2
		next := b.l.names.history + ">"
		if middle <= imported {
			next = b.subject // one room after another
		}
		list, err := b.l.e.gets(ctx, b.link, b.stream, []get{{Next: next, Seq: middle}})
		if err != nil {
			return 0, err
		}
		if list[0] == nil || list[0].seq >= high {
			high = middle
			continue
		}
		k, err := b.kept(list[0])
		if err != nil {
			return 0, err
		}
		if k.at < p {
			low = k.seq + 1
		} else {
			high = middle
		}
	}
	return low, nil
}
