package hub

import (
	"slices"
	"time"
)

// A parting is when a session's member went. It may be back since.
type parting struct {
	session    *session
	at         time.Time
	generation uint64 // of the session then
}

// stale says whether the member has come back since, and may have gone again,
// or the session is another's by now.
func (x *sessions) stale(p parting) bool {
	return p.session.seat != nil || p.session.generation != p.generation || !p.session.gone.Equal(p.at) || x.byID[p.session.id] != p.session
}

// leave notes that a session's member has gone.
func (x *sessions) leave(s *session, now time.Time) {
	s.rooms = s.seat.standings()
	s.handed, s.level = s.progress()
	s.seat, s.gone = nil, now
	if len(x.gone) >= leastTidy && len(x.gone) > 2*x.away {
		x.gone = slices.DeleteFunc(x.gone, x.stale)
	}
	x.gone = append(x.gone, parting{s, now, s.generation})
	x.away++
}

// leastTidy is from how many partings on it is worth looking for those that mean
// nothing any more.
const leastTidy = 1024

// expireSessions forgets those that have been gone for too long, and those that
// went first if too many are gone. It runs when
// others come and go, so an idle space does nothing.
func (sp *Space) expireSessions() {
	limit := time.Now().Add(-sp.memory.Window)
	n := 0
	var removed []*session
	for ; n < len(sp.sessions.gone); n++ {
		late, full := sp.sessions.gone[n].at.Before(limit), sp.sessions.away > sp.memory.MaxGone
		if !late && !full {
			break
		}
		// Who came back is left in the list, for finding it would take as long as
		// the list is.
		if p := sp.sessions.gone[n]; !sp.sessions.stale(p) {
			delete(sp.sessions.byID, p.session.id)
			removed = append(removed, p.session)
			sp.sessions.away--
			if !late {
				sp.hub.limitHit("sessions")
			}
		}
	}
	clear(sp.sessions.gone[:n])
	sp.sessions.gone = sp.sessions.gone[n:]
	if len(removed) > 0 {
		sp.kept(-len(removed))
		sp.keeper.expired(removed)
	}
}
