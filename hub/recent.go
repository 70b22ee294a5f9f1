package hub

import (
	"context"
	"slices"
	"time"
)

// recent is the end of a tape in memory: what returning members ask for most.
type recent struct {
	list  []*Message // by position
	bytes int64
	floor Position // everything after it that was written is in list
}

// encodedRecently is how many messages keep their encodings after they were handed
// out. Those of all were a third of the memory of a tape, and who comes back for an
// older one makes them again, for as long as that is on the tape.
const encodedRecently = 1000

func (r *recent) add(m *Message, limit int64) {
	if n := len(r.list); n >= encodedRecently {
		r.list[n-encodedRecently].forms.Store(nil)
	}
	r.list = append(r.list, m)
	r.bytes += int64(m.size)
	n := 0
	for r.bytes > limit && n < len(r.list)-1 {
		r.bytes -= int64(r.list[n].size)
		n++
	}
	r.drop(n)
}

// expired drops what is older than a time and returns the position up to which
// the tape may be forgotten, 0 if nothing.
func (r *recent) expired(before time.Time) Position {
	n := 0
	for n < len(r.list) && r.list[n].Time.Before(before) {
		r.bytes -= int64(r.list[n].size)
		n++
	}
	if n == 0 {
		return 0
	}
	r.drop(n)
	return r.floor
}

func (r *recent) drop(n int) {
	if n == 0 {
		return
	}
	r.floor = r.list[n-1].position
	clear(r.list[:n])
	r.list = r.list[n:]
}

// erase drops what a log erases from its tape. The list is made anew: who reads
// has a part of the old one.
func (r *recent) erase(gone func(*Message) bool) {
	if !slices.ContainsFunc(r.list, gone) {
		return
	}
	list := make([]*Message, 0, len(r.list))
	for _, m := range r.list {
		if gone(m) {
			r.bytes -= int64(m.size)
		} else {
			list = append(list, m)
		}
	}
	r.list = list
}

func (r *recent) after(p Position, limit int) ([]*Message, bool) {
	if p < r.floor {
		return nil, false
	}
	i, _ := slices.BinarySearchFunc(r.list, p+1, func(m *Message, p Position) int {
		return int(int64(m.position) - int64(p))
	})
	return slices.Clone(r.list[i:min(i+limit, len(r.list))]), true
}

// ids remembers which messages with an ID were appended, for one window at
// least and two at most: the older half is dropped as a whole.
type ids struct {
	young, old map[idKey]appended
	turned     time.Time
}

type idKey struct{ publisher, id string }

// appended is where a message with an ID went, and in which group.
type appended struct {
	position Position
	group    *group // nil: read back from the log
}

func (a appended) wait(ctx context.Context) error {
	if a.group == nil {
		return nil
	}
	return a.group.wait(ctx)
}

func (x *ids) find(m *Message) (appended, bool) {
	if m.ID == "" {
		return appended{}, false
	}
	k := idKey{m.Publisher, m.ID}
	if a, ok := x.young[k]; ok {
		return a, true
	}
	a, ok := x.old[k]
	return a, ok
}

// turn forgets what is older than two windows, and keeps what is younger than one.
func (x *ids) turn(now time.Time, window time.Duration) {
	if age := now.Sub(x.turned); x.young == nil || age > window {
		if age > 2*window {
			x.young = nil
		}
		x.young, x.old, x.turned = make(map[idKey]appended), x.young, now
	}
}

// full says whether as many are remembered as may be.
func (x *ids) full(now time.Time, m *Memory) bool {
	x.turn(now, m.Window)
	return len(x.young)+len(x.old) >= m.MaxIDs
}

func (x *ids) add(m *Message, g *group, window time.Duration) {
	if m.ID == "" {
		return
	}
	x.turn(m.Time, window)
	x.young[idKey{m.Publisher, m.ID}] = appended{m.position, g}
}
