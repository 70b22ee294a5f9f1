package admin

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// limitedKept is how many who ran into a limit are remembered in a minute.
	limitedKept = 200
	// limitedShown is how many of them are named.
	limitedShown = 20
	// limitedFor is how long they are counted before they begin to be forgotten.
	limitedFor = time.Minute
)

// A limitedPeer is somebody who ran into a limit in the last minute, or that
// before.
type limitedPeer struct {
	Limit   string    `json:"limit"`
	Address string    `json:"address,omitempty"` // or network
	User    string    `json:"user,omitempty"`
	Count   int       `json:"count"`
	Last    time.Time `json:"last"`
}

// who names one.
type who struct {
	limit   string
	address netip.Prefix
	user    string
}

// limitedRing counts who ran into limits, in the minute that is and in the one
// before. It is as small as its constants say, whoever comes.
type limitedRing struct {
	mu     sync.Mutex
	began  time.Time
	is     map[who]*limitedPeer
	before map[who]*limitedPeer
}

// Limited says that somebody ran into a limit of that name: the network, the zero
// one if it has none, and the user, "" if nobody knows. It costs little, for who
// runs into limits does so often.
func (a *Admin) Limited(limit string, address netip.Prefix, user string) {
	a.limited.add(who{limit, address, user}, time.Now())
}

func (l *limitedRing) add(w who, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turnLocked(now)
	p := l.is[w]
	if p == nil {
		if len(l.is) >= limitedKept {
			l.makeRoomLocked()
		}
		p = &limitedPeer{Limit: w.limit, User: w.user}
		if w.address.IsValid() {
			p.Address = w.address.String()
			if w.address.IsSingleIP() {
				p.Address = w.address.Addr().String()
			}
		}
		l.is[w] = p
	}
	p.Count++
	p.Last = now.UTC()
}

// turnLocked begins another minute.
func (l *limitedRing) turnLocked(now time.Time) {
	if since := now.Sub(l.began); since >= limitedFor {
		l.before = l.is
		if since >= 2*limitedFor {
			l.before = nil
		}
		l.began, l.is = now, make(map[who]*limitedPeer)
	}
}

// makeRoomLocked forgets one of those who ran into a limit least often.
func (l *limitedRing) makeRoomLocked() {
	var least who
	n := 0
	for w, p := range l.is {
		if n == 0 || p.Count < n {
			least, n = w, p.Count
		}
		if n == 1 {
			break
		}
	}
	delete(l.is, least)
}

// list returns those who did so most often.
func (l *limitedRing) list(now time.Time) []limitedPeer {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turnLocked(now)
	all := []limitedPeer{}
	for w, p := range l.is {
		sum := *p
		if old := l.before[w]; old != nil {
			sum.Count += old.Count
		}
		all = append(all, sum)
	}
	for w, p := range l.before {
		if l.is[w] == nil {
			all = append(all, *p)
		}
	}
	slices.SortFunc(all, func(x, y limitedPeer) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Limit, y.Limit), cmp.Compare(x.User, y.User), cmp.Compare(x.Address, y.Address))
	})
	return all[:min(len(all), limitedShown)]
}
