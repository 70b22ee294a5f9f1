package redishub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-rt/tutti/hub"
)

// A chart tells where the positions of another log are here. Stretches of them
// keep their distances; each begins where the time says, so that a position tells
// the time within a second.
type chart struct {
	old, now []hub.Position // where stretches begin
	last     [2]hub.Position
}

const (
	chartSlack = 1000 << positionBits // a second
	chartGap   = 1 << positionBits    // positions that were skipped
)

func newChart() *chart { return new(chart) }

// add has a position be at a place, or soon after it. It is after those before.
func (c *chart) add(old, place hub.Position) {
	n := len(c.old)
	at := max(place, c.last[1]+1, 2)
	if n > 0 && old <= c.last[0] {
		return
	}
	if n > 0 && old-c.last[0] <= chartGap {
		if follows := c.now[n-1] + (old - c.old[n-1]); at <= follows+chartSlack {
			c.last = [2]hub.Position{old, follows}
			return
		}
	}
	c.old, c.now = append(c.old, old), append(c.now, at)
	c.last = [2]hub.Position{old, at}
}

// at returns where a position is. What was before the first is before it.
func (c *chart) at(old hub.Position) hub.Position {
	i, is := slices.BinarySearch(c.old, old)
	if is {
		return c.now[i]
	}
	if i == 0 {
		return 1
	}
	at := c.now[i-1] + (old - c.old[i-1])
	if i < len(c.now) {
		at = min(at, c.now[i]-1)
	}
	return at
}

// moved is what is kept of a chart for the offsets that members have: of the
// positions on the tape.
type moved struct {
	From, To      string       // epochs
	Floor, Last   hub.Position // of the old log
	First         hub.Position // its first message on the tape, or the place after Last
	Start, Newest hub.Position // here: before the first on the tape, and the last
	End           hub.Position // where the log stood when it was made of this
	Old, Now      []hub.Position
}

// finish makes what is kept.
func (c *chart) finish(e hub.MoveEnding, now hub.Position) *moved {
	m := &moved{From: e.State.Epoch, To: e.Epoch, Floor: e.State.Floor, Last: max(e.State.Last, 1), First: e.First}
	m.End = max(now, c.at(m.Last), c.last[1]+1)
	if e.First == 0 {
		m.First, m.Start, m.Newest = m.Last+1, m.End, m.End
		return m
	}
	m.Start, m.Newest = c.at(e.First)-1, c.at(e.Newest)
	i, is := slices.BinarySearch(c.old, e.First)
	if !is && i > 0 {
		i--
	}
	m.Old, m.Now = c.old[i:], c.now[i:]
	return m
}

// position returns where a position of the old log is, if it was given out.
func (m *moved) position(old hub.Position) (hub.Position, bool) {
	switch {
	case old < m.Floor:
		return m.Start - 1, true // which is trimmed, as it was
	case old > m.Last+1:
		return 0, false
	case old == m.Last+1:
		return m.End + 1, true
	case old < m.First && old < m.Last:
		return m.Start, true
	case m.First > m.Last:
		return m.End, true
	}
	c := chart{old: m.Old, now: m.Now}
	return min(c.at(old), m.End), true
}

func (m *moved) session(old hub.Position) hub.Position {
	if at, is := m.position(old); is {
		return at
	}
	return m.End // nobody can have been there
}

var _ hub.Mover = (*line)(nil)

// Moved returns where a position is of the log that this one was imported from.
func (l *line) Moved(epoch string, p hub.Position) (hub.Position, bool) {
	l.mu.Lock()
	m := l.moved
	is := m != nil && m.From == epoch && m.To == l.epoch
	l.mu.Unlock()
	if !is {
		return 0, false
	}
	return m.position(p)
}

// Quiet goes beyond the time between the last message that was imported and the
// end of the import, in which nothing was published.
func (l *line) Quiet(p hub.Position) hub.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.moved; m != nil && m.To == l.epoch && p >= m.Newest && p < m.End {
		return m.End
	}
	return p
}

// recallMove reads whether the log was imported.
func (l *line) recallMove(ctx context.Context, link *link) error {
	text, err := link.client.Get(ctx, strings.TrimSuffix(l.names.meta, "m")+"o").Bytes()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	m := new(moved)
	if err == nil {
		err = json.Unmarshal(text, m)
	}
	if err != nil {
		return fmt.Errorf("read where positions were: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moved = m
	return nil
}
