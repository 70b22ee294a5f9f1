package hubtest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// A clusterLine is a node's part in a namespace. Its fields are guarded by the
// cluster's lock, but for handing.
type clusterLine struct {
	e         *clusterEngine
	namespace string
	follower  hub.Follower
	remembers bool
	window    time.Duration

	rooms  map[string]bool
	epoch  string
	cursor hub.Position // up to here the log was looked at
	level  hub.Position // what the follower was told; 0: nothing yet
	wanted hub.Position // somebody waits for this level
	closed bool

	handing sync.Mutex // held while something is handed on
	over    bool       // guarded by handing
}

var _ hub.Line = (*clusterLine)(nil)

// spaceLocked returns what the service has of the namespace.
func (l *clusterLine) spaceLocked() *sharedSpace { return l.e.c.spaces[l.namespace] }

func (l *clusterLine) State() hub.LogState {
	l.e.c.mu.Lock()
	defer l.e.c.mu.Unlock()
	s := l.spaceLocked()
	state := s.state(time.Now())
	if state.Epoch != l.epoch { // which the follower was not told of
		return hub.LogState{Epoch: l.epoch, Last: l.level, Floor: l.level}
	}
	return state
}

func (l *clusterLine) Commit(ctx context.Context, b *hub.SharedBatch) {
	err := l.ask(ctx, func() {
		s := l.spaceLocked()
		s.commit(l.e.name, b, time.Now())
		if len(b.Messages) > 0 {
			for _, e := range l.e.c.nodes {
				e.tellLocked()
			}
		}
	})
	if err == nil {
		return
	}
	for _, m := range b.Messages {
		m.Err = err
	}
	for _, s := range b.Sessions {
		s.Err = err
	}
	if len(b.Erase) > 0 {
		b.EraseErr = err
	}
}

// ask refuses what is asked of a line that is closed.
func (l *clusterLine) ask(ctx context.Context, do func()) error {
	var closed bool
	err := l.e.ask(ctx, func() {
		if closed = l.closed; !closed {
			do()
		}
	})
	if err == nil && closed {
		return hub.ErrClosed
	}
	return err
}

func (l *clusterLine) read(ctx context.Context, do func()) error {
	err := l.ask(ctx, do)
	if errors.Is(err, hub.ErrUnknown) {
		return errors.Join(hub.ErrUnavailable, ctx.Err())
	}
	return err
}

func (l *clusterLine) Listen(ctx context.Context, rooms ...string) (hub.Position, error) {
	for {
		var p hub.Position
		var epoch string
		err := l.read(ctx, func() {
			for _, r := range rooms {
				l.rooms[r] = true
			}
			if s := l.spaceLocked(); l.remembers {
				p, epoch = s.last, s.epoch
				l.wanted = max(l.wanted, p)
				l.e.tellLocked()
			}
		})
		if err != nil || !l.remembers {
			return 0, err
		}
		if done, err := l.wait(ctx, p, epoch); done || err != nil {
			return p, err
		}
	}
}

// wait returns when the follower has that level, or false if the log has begun
// a new life meanwhile.
func (l *clusterLine) wait(ctx context.Context, p hub.Position, epoch string) (bool, error) {
	for {
		l.e.c.mu.Lock()
		now, level, closed := l.spaceLocked().epoch, l.level, l.closed || l.e.closed
		same := l.epoch == epoch
		news := l.e.newsLocked()
		l.e.c.mu.Unlock()
		switch {
		case closed:
			return false, hub.ErrClosed
		case now != epoch:
			return false, nil
		case same && level >= p:
			return true, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return false, errors.Join(hub.ErrUnavailable, ctx.Err())
		}
	}
}

func (l *clusterLine) Ignore(rooms ...string) {
	l.e.c.mu.Lock()
	defer l.e.c.mu.Unlock()
	for _, r := range rooms {
		delete(l.rooms, r)
	}
}

func (l *clusterLine) Cast(rooms []string, body []byte) error {
	find := func(o *clusterEngine) *clusterLine {
		for _, k := range o.lines {
			if k.namespace == l.namespace && !k.closed && (len(rooms) == 0 || slices.ContainsFunc(rooms, func(r string) bool { return k.rooms[r] })) {
				return k
			}
		}
		return nil
	}
	return l.e.toOthers(func(o *clusterEngine) bool { return find(o) != nil }, func(o *clusterEngine) {
		k, body := find(o), bytes.Clone(body)
		o.events = append(o.events, event{func() { k.hand(func() { k.follower.Heard(l.e.name, body) }) }, true})
	})
}

func (l *clusterLine) Read(ctx context.Context, rooms []string, after hub.Position, limit int) (list []hub.Stored, upTo hub.Position, err error) {
	asked := l.read(ctx, func() {
		s := l.spaceLocked()
		s.trim(time.Now())
		list, upTo, err = s.read(after, limit, func(room string) bool { return slices.Contains(rooms, room) })
	})
	return list, upTo, errors.Join(asked, err)
}

func (l *clusterLine) History(ctx context.Context, room string, q hub.HistoryQuery) (list []hub.Stored, err error) {
	asked := l.read(ctx, func() { list, err = l.spaceLocked().log.History(room, q) })
	return list, errors.Join(asked, err)
}

func (l *clusterLine) Session(ctx context.Context, id string) (s *hub.SharedSession, err error) {
	err = l.read(ctx, func() { s = l.spaceLocked().session(id, time.Now()) })
	return s, err
}

func (l *clusterLine) Close() {
	l.e.c.mu.Lock()
	l.closed = true
	l.e.tellLocked()
	l.e.c.mu.Unlock()
	l.handing.Lock()
	defer l.handing.Unlock()
	l.over = true
}

// nextLocked returns what is to be handed on, nil if there is nothing.
func (l *clusterLine) nextLocked() func() {
	if !l.remembers || l.closed {
		return nil
	}
	s := l.spaceLocked()
	if s.epoch != l.epoch {
		l.epoch, l.cursor, l.wanted = s.epoch, s.last, s.last
		return l.moveTo(s.last, func() { l.follower.Lost(hub.ErrEpoch, s.last) })
	}
	if l.cursor >= s.last && l.level >= l.wanted {
		return nil
	}
	list, upTo, err := s.read(l.cursor, 1<<30, func(room string) bool { return l.rooms[room] })
	if err != nil {
		floor := s.log.State().Floor
		l.cursor = floor
		return l.moveTo(floor, func() { l.follower.Lost(hub.ErrTrimmed, floor) })
	}
	l.cursor = upTo
	if len(list) == 0 && l.wanted <= l.level {
		return nil
	}
	return l.moveTo(upTo, func() { l.follower.Follow(list, upTo) })
}

// moveTo hands something on, after which the follower has a level.
func (l *clusterLine) moveTo(level hub.Position, f func()) func() {
	return func() {
		l.hand(f)
		l.e.c.mu.Lock()
		defer l.e.c.mu.Unlock()
		l.level = level
		l.e.tellLocked()
	}
}

func (l *clusterLine) hand(f func()) {
	l.handing.Lock()
	defer l.handing.Unlock()
	if !l.over {
		f()
	}
}
