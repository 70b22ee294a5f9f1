package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A keeper keeps the sessions of a space where they outlive the process. Its
// methods are operations of the space's order, but for recall.
type keeper interface {
	// recall returns the record of a session that this process does not know,
	// nil if it does, or might. It fails with [ErrNoSession].
	recall(ctx context.Context, id string) (*sessionRecord, error)
	// unknown is what it means that it does not, after all.
	unknown() error
	// renew gives a session another generation: its record is about to be
	// written, with a change that none of before may undo.
	renew(x *session)
	// record makes what is written of a session.
	record(x *session) *SharedSession
	// sat notes that a session's member is here.
	sat(x *session)
	// parted notes that it has gone, and may be back.
	parted(x *session)
	// expired notes that sessions have been gone for too long.
	expired(list []*session)
}

// ownSessions are kept by a store: written when they change, and as they were
// left if the process dies.
type ownSessions struct{ space *Space }

var _ keeper = (*ownSessions)(nil)

func (k *ownSessions) recall(context.Context, string) (*sessionRecord, error) { return nil, nil }

func (k *ownSessions) unknown() error { return ErrNoSession }

func (k *ownSessions) renew(x *session) { x.generation++ }

func (k *ownSessions) record(x *session) *SharedSession {
	rec := sessionRecord{Name: x.name, Owner: x.owner, Start: x.start, Generation: x.generation, Rooms: x.standings()}
	return &SharedSession{ID: x.id, Body: rec.append(nil)}
}

func (k *ownSessions) sat(*session) {}

func (k *ownSessions) parted(*session) {}

func (k *ownSessions) expired(list []*session) {
	removed := make([]*SharedSession, len(list))
	for i, x := range list {
		removed[i] = &SharedSession{ID: x.id}
	}
	k.space.tape.enqueue(false, removed)
}

// sharedSessions are kept by an engine, for any node to take over: those whose
// member is here are written again and again, so that they outlive this node by
// a window, with how far their member has got.
type sharedSessions struct {
	space *Space
	tape  *sharedTape
	due   []parting // sessions whose member is here, by when they were written
}

var _ keeper = (*sharedSessions)(nil)

func (k *sharedSessions) recall(ctx context.Context, id string) (*sessionRecord, error) {
	known := false
	k.space.order.do(func() { known = k.space.sessions.byID[id] != nil })
	if known {
		return nil, nil
	}
	stored, err := k.tape.line.Session(ctx, id)
	if err != nil {
		return nil, err
	}
	if stored == nil {
		return nil, ErrNoSession
	}
	rec, err := readSession(stored.Body)
	if err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	if rec.Epoch != k.tape.life() {
		return nil, ErrNoSession
	}
	return rec, nil
}

// unknown: another node has taken it over a moment ago.
func (k *sharedSessions) unknown() error { return ErrFenced }

// renew goes one beyond what is known to be written: another node that has
// written that meanwhile fences this one.
func (k *sharedSessions) renew(x *session) { x.generation = x.committed + 1 }

func (k *sharedSessions) record(x *session) *SharedSession {
	rec := sessionRecord{
		Name: x.name, Owner: x.owner, Start: x.start, Generation: x.generation, Rooms: x.standings(),
		Node: k.tape.node.engine.Node(), Epoch: k.tape.life(),
	}
	rec.Handed, rec.Level = x.progress()
	keep := 2 * k.tape.memory.Window
	if x.seat == nil {
		keep = k.tape.memory.Window
	}
	return &SharedSession{ID: x.id, Generation: x.generation, Body: rec.append(nil), Keep: keep}
}

func (k *sharedSessions) sat(x *session) { k.due = append(k.due, parting{session: x, at: time.Now()}) }

func (k *sharedSessions) parted(x *session) {
	k.tape.enqueue(false, []*SharedSession{k.record(x)})
}

func (k *sharedSessions) expired([]*session) {} // the engine forgets them by itself

// refreshed is how many records are written at a time.
const refreshed = 500

// tend keeps the space's place in the log, and its sessions, from growing old
// while nothing happens. It is a goroutine of the space.
func (k *sharedSessions) tend() {
	t := k.tape
	tick := time.NewTicker(t.memory.Window / 8)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-t.node.ctx.Done():
			return
		}
		ctx, cancel := t.node.patient()
		_, err := t.line.Listen(ctx)
		cancel()
		for err == nil {
			var written *pending
			k.space.order.do(func() { written = k.refresh(time.Now().Add(-t.memory.Window / 2)) })
			if written == nil {
				break
			}
			err = written.wait(t.node.ctx)
			if errors.Is(err, ErrFenced) {
				err = nil
			}
		}
	}
}

// refresh writes the records again that were written before a time, some of
// them; it returns nil when there are none.
func (k *sharedSessions) refresh(before time.Time) *pending {
	var records []*SharedSession
	n := 0
	for ; n < len(k.due) && !k.due[n].at.After(before) && len(records) < refreshed; n++ {
		if x := k.due[n].session; x.seat != nil && k.space.sessions.byID[x.id] == x {
			records = append(records, k.record(x))
			k.due = append(k.due, parting{session: x, at: time.Now()})
		}
	}
	k.due = slices.Delete(k.due, 0, n)
	if len(records) == 0 {
		return nil
	}
	return k.tape.enqueue(false, records)
}

// saved notes what became of records that were written.
func (sp *Space) saved(list []*SharedSession) {
	var fenced []*Seat
	sp.order.do(func() {
		for _, s := range list {
			x := sp.sessions.byID[s.ID]
			switch {
			case x == nil:
			case s.Err == nil:
				x.committed = max(x.committed, s.Generation)
			case errors.Is(s.Err, ErrFenced) && s.Generation == x.generation:
				fenced = sp.fence(x, fenced)
			}
		}
	})
	sp.evictedAll(fenced, ErrFenced)
}

// fenceBelow lets go of a session that another node has taken over.
func (sp *Space) fenceBelow(by, id string, generation uint64) {
	if !sp.opened.Load() || sp.err != nil {
		return // it has no sessions, and is not to be opened by who must not wait
	}
	var fenced []*Seat
	sp.order.do(func() {
		if x := sp.sessions.byID[id]; x != nil && x.generation < generation {
			sp.presence.near.handOver(x.seat, by)
			fenced = sp.fence(x, fenced)
		}
	})
	sp.evictedAll(fenced, ErrFenced)
}

// fence forgets a session that is another node's, and adds the seat that must be
// told. Who is about to take a seat is told by that.
func (sp *Space) fence(x *session, told []*Seat) []*Seat {
	delete(sp.sessions.byID, x.id)
	sp.kept(-1)
	s := x.seat
	if s == nil {
		sp.sessions.away--
		return told
	}
	x.seat = nil
	s.session, s.lost = nil, true
	s.rise()
	if s.claims {
		return told
	}
	return append(told, s)
}

// lost evicts everybody: something that they are owed is not there any more.
func (sp *Space) lost(err error, level Position) {
	var gone []*Seat
	sp.order.do(func() {
		for _, s := range slices.Clone(sp.seats) {
			if s.reader == nil {
				continue
			}
			sp.forget(s)
			s.rise()
			if !s.claims {
				gone = append(gone, s)
			}
		}
		if errors.Is(err, ErrEpoch) {
			sp.kept(-len(sp.sessions.byID))
			clear(sp.sessions.byID)
			sp.sessions.gone, sp.sessions.away = nil, 0
			sp.head = level
			return
		}
		sp.head = max(sp.head, level)
	})
	sp.evictedAll(gone, err)
}

func (sp *Space) evictedAll(seats []*Seat, err error) {
	for _, s := range seats {
		sp.evicted(s, err)
	}
}
