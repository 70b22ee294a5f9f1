package natshub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tutti-rt/tutti/hub"
)

// A chart tells where the positions of another log are here. What was on its tape
// is one after another in the stream; what only histories have is far before that.
type chart struct {
	old, now []hub.Position  // where stretches begin
	last     [2]hub.Position // that was placed: there, and here
	base     hub.Position    // what is in the stream is beyond it
	started  bool            // something is in the stream
}

// older is how many positions there are for what only histories have.
const older = 1 << 40

// add gives a position a place behind those before.
func (c *chart) add(old hub.Position, tape bool) {
	n := len(c.old)
	if n > 0 && old <= c.last[0] {
		return
	}
	at := c.last[1] + 1
	switch {
	case tape && !c.started:
		c.started, at = true, c.base+1
	case n == 0:
		at = c.base - older
	}
	if n == 0 || old != c.last[0]+1 || at != c.last[1]+1 {
		c.old, c.now = append(c.old, old), append(c.now, at)
	}
	c.last = [2]hub.Position{old, at}
}

// at returns where a position is: of one that was not placed, the place of the one
// before.
func (c *chart) at(old hub.Position) hub.Position {
	i, is := slices.BinarySearch(c.old, old)
	if is {
		return c.now[i]
	}
	if i == 0 {
		return c.base - older - 1
	}
	at := min(c.now[i-1]+(old-c.old[i-1]), c.last[1])
	if i < len(c.now) {
		at = min(at, c.now[i-1]+c.length(i-1)-1)
	}
	return at
}

// length bounds how long a stretch is.
func (c *chart) length(i int) hub.Position {
	n := c.old[i+1] - c.old[i]
	if c.now[i+1] > c.base == (c.now[i] > c.base) {
		n = min(n, c.now[i+1]-c.now[i])
	}
	return n
}

// moved is what is kept of a chart: of the positions on the tape, and for how long
// members may have them.
type moved struct {
	From, To    string // epochs
	Until       time.Time
	Floor, Last hub.Position // of the old log
	First       hub.Position // its first message on the tape, or the place after Last
	Base, End   hub.Position // here: where the log begins, and where it stood when it was made of this
	Old, Now    []hub.Position
	// Histories is up to where the stream of histories has one room after
	// another.
	Histories uint64
}

// finish makes what is kept.
func (c *chart) finish(e hub.MoveEnding, epoch string) *moved {
	m := &moved{From: e.State.Epoch, To: epoch, Floor: e.State.Floor, Last: max(e.State.Last, 1), First: e.First, Base: c.base, End: c.base}
	if c.started {
		m.End = c.last[1]
	}
	if e.First == 0 {
		m.First = m.Last + 1
		return m
	}
	i, is := slices.BinarySearch(c.old, e.First)
	if !is && i > 0 {
		i--
	}
	m.Old, m.Now = c.old[i:], c.now[i:]
	return m
}

// shorten forgets the oldest half of where positions are.
func (m *moved) shorten() {
	n := (len(m.Old) + 1) / 2
	m.Old, m.Now = m.Old[n:], m.Now[n:]
	if len(m.Old) > 0 {
		m.First = m.Old[0]
		m.Floor = max(m.Floor, m.First)
	}
}

// position returns where a position of the old log is, if it was given out.
func (m *moved) position(old hub.Position) (hub.Position, bool) {
	switch {
	case old < m.Floor:
		return m.Base - 1, true // which is trimmed, as it was
	case old > m.Last+1:
		return 0, false
	case old == m.Last+1:
		return m.End + 1, true
	case len(m.Old) == 0:
		return m.End, true
	case old < m.First:
		return m.Base, true
	}
	c := chart{old: m.Old, now: m.Now, last: [2]hub.Position{m.Last, m.End}, base: m.Base}
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
	is := m != nil && m.From == epoch && m.To == l.meta.Epoch && time.Now().Before(m.Until)
	l.mu.Unlock()
	if !is {
		return 0, false
	}
	return m.position(p)
}

// Quiet returns p: positions here are places in the stream.
func (l *line) Quiet(p hub.Position) hub.Position { return p }

// imported is up to where the stream of histories is in the order of an import.
func (l *line) imported() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.moved == nil {
		return 0
	}
	return l.moved.Histories
}

// recallMove reads whether the log was imported, once.
func (l *line) recallMove(ctx context.Context, link *link) error {
	l.mu.Lock()
	known := l.moved != nil
	l.mu.Unlock()
	if known {
		return nil
	}
	answer, err := link.ask(ctx, l.e.leaderQuestion(l.e.names.stream, get{Last: l.names.moved}), l.e.cfg.Timeout)
	if err != nil {
		return fmt.Errorf("read where positions were: %w", err)
	}
	s, err := readGetJSON(answer)
	if err != nil {
		return fmt.Errorf("read where positions were: %w", err)
	}
	m := new(moved)
	if s != nil {
		if err := json.Unmarshal(s.data, m); err != nil || len(m.Old) != len(m.Now) {
			return fmt.Errorf("%w: where positions of %s were", hub.ErrDamaged, l.name)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moved = m
	return nil
}

// writeMoved writes down where positions are, or of fewer if that is too much.
func (l *line) writeMoved(ctx context.Context, link *link, m *moved) error {
	for {
		text, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("write down where positions are: %w", err)
		}
		if int64(len(text)+overhead) > link.nc.MaxPayload() && len(m.Old) > 1 {
			m.shorten()
			continue
		}
		q := nats.NewMsg(l.names.moved)
		q.Data = text
		answer, err := link.ask(ctx, q, importTimeout)
		if err == nil {
			_, err = readAck(answer)
		}
		if err != nil {
			return fmt.Errorf("write down where positions are: %w", err)
		}
		return nil
	}
}
