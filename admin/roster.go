package admin

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
)

// snapshotLife is how old a list may be that a page is taken from. A page that
// is being looked at asks for many.
const snapshotLife = time.Second

// An entry is a socket in a snapshot.
type entry struct {
	socket    *tutti.Socket
	namespace string
	id        string
	user      string
	since     int64 // Unix nanoseconds
}

// A snapshot is the sockets that there were at a moment.
type snapshot struct {
	entries []entry

	count  sync.Once
	counts map[string]int // of sockets, by user
	sort   sync.Once
	users  []userEntry // by id
}

// A userEntry is somebody and how many sockets are theirs.
type userEntry struct {
	ID      string `json:"id"`
	Sockets int    `json:"sockets"`
}

// roster makes snapshots, one for all who ask at about the same time.
type roster struct {
	admin *Admin

	mu    sync.Mutex
	last  *snapshot
	taken time.Time
	clear *time.Timer // lets go of it all when nobody asks any more

	censuses map[*hub.Space]census
}

// spaces returns the spaces there are, by name.
func (a *Admin) spaces() []*hub.Space {
	if a.server == nil {
		return nil
	}
	spaces := slices.Collect(a.server.Hub().Spaces())
	slices.SortFunc(spaces, func(x, y *hub.Space) int { return strings.Compare(x.Namespace(), y.Namespace()) })
	return spaces
}

// space returns the space of a namespace that is there.
func (a *Admin) space(namespace string) (*hub.Space, error) {
	if namespace == "" {
		namespace = "/"
	}
	for _, sp := range a.spaces() {
		if sp.Namespace() == namespace {
			return sp, nil
		}
	}
	return nil, notFound("there is no namespace " + strconv.Quote(namespace))
}

// all returns the sockets there are, or were a second ago.
func (r *roster) all() *snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil && time.Since(r.taken) < snapshotLife {
		return r.last
	}
	s, n := &snapshot{}, 0
	for _, sp := range r.admin.spaces() {
		n += sp.Size()
	}
	s.entries = make([]entry, 0, n)
	for _, sp := range r.admin.spaces() {
		s.entries = r.admin.entries(s.entries, sp, hub.Address{})
	}
	// Timed from here: on a busy server taking it is what takes long.
	r.last, r.taken = s, time.Now()
	r.lingerLocked()
	return s
}

// lingerLocked keeps snapshots for a while.
func (r *roster) lingerLocked() {
	if r.clear == nil {
		r.clear = time.AfterFunc(10*snapshotLife, r.forget)
	} else {
		r.clear.Reset(10 * snapshotLife)
	}
}

// fresh returns the sockets there are now.
func (r *roster) fresh() *snapshot {
	r.mu.Lock()
	r.last = nil
	r.mu.Unlock()
	return r.all()
}

// forget lets go of the snapshot, and with it of sockets that are gone.
func (r *roster) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.censuses = nil, nil
	if r.clear != nil {
		r.clear.Stop()
	}
}

// entries appends the sockets of an address.
func (a *Admin) entries(list []entry, sp *hub.Space, to hub.Address) []entry {
	members := sp.Members(to)
	list = slices.Grow(list, len(members))
	for _, m := range members {
		if s, ok := m.(*tutti.Socket); ok {
			list = append(list, entry{s, sp.Namespace(), s.ID(), a.cfg.User(s), s.Since().UnixNano()})
		}
	}
	return list
}

// sizes returns the users of the snapshot, and how many sockets each has. Nobody
// may change it.
func (s *snapshot) sizes() map[string]int {
	s.count.Do(func() {
		s.counts = make(map[string]int)
		for i := range s.entries {
			if u := s.entries[i].user; u != "" {
				s.counts[u]++
			}
		}
	})
	return s.counts
}

// people returns the users of the snapshot, by id. It sorts them, which who only
// wants to know how many there are, once a second, should not pay for.
func (s *snapshot) people() []userEntry {
	s.sort.Do(func() {
		counts := s.sizes()
		s.users = make([]userEntry, 0, len(counts))
		for id, n := range counts {
			s.users = append(s.users, userEntry{id, n})
		}
		slices.SortFunc(s.users, func(a, b userEntry) int { return strings.Compare(a.ID, b.ID) })
	})
	return s.users
}

// Pages of lists.
const (
	defaultPage = 50
	maxPage     = 1000
)

func pageLimit(q url.Values) (int, error) {
	n, err := number(q.Get("limit"), defaultPage)
	if err != nil || n < 1 {
		return 0, badRequest("limit: want a number from 1 to " + strconv.Itoa(maxPage))
	}
	return min(int(n), maxPage), nil
}

func number(text string, otherwise int64) (int64, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 63)
	if err != nil || n < 0 {
		return 0, badRequest("want a number, not " + strconv.Quote(text))
	}
	return n, nil
}

// A place is where something stands in a list: by a number, the largest first,
// and by a name among equals.
type place struct {
	rank int64
	name string
}

func (p place) compare(other place) int {
	if c := cmp.Compare(other.rank, p.rank); c != 0 {
		return c
	}
	return strings.Compare(p.name, other.name)
}

// String is a cursor: who continues after it asks for what stands behind.
func (p place) String() string { return strconv.FormatInt(p.rank, 36) + "~" + p.name }

func parsePlace(text string) (place, error) {
	rank, name, ok := strings.Cut(text, "~")
	n, err := strconv.ParseInt(rank, 36, 64)
	if !ok || err != nil {
		return place{}, badRequest("after: want the next of a page before")
	}
	return place{n, name}, nil
}

// A chooser collects the first of a list that is not sorted and would be long
// to sort.
type chooser[T any] struct {
	limit  int
	after  *place
	places []place
	items  []T
	total  int  // that were offered, before after included
	more   bool // than fit
}

// newChooser reads limit and after.
func newChooser[T any](q url.Values) (*chooser[T], error) {
	limit, err := pageLimit(q)
	if err != nil {
		return nil, err
	}
	c := &chooser[T]{limit: limit}
	if text := q.Get("after"); text != "" {
		p, err := parsePlace(text)
		if err != nil {
			return nil, err
		}
		c.after = &p
	}
	return c, nil
}

// offer adds an item if it is among the first so far.
func (c *chooser[T]) offer(at place, item T) {
	c.total++
	if c.after != nil && at.compare(*c.after) <= 0 {
		return
	}
	if len(c.places) == c.limit {
		c.more = true
		if at.compare(c.places[c.limit-1]) > 0 {
			return
		}
		c.places, c.items = c.places[:c.limit-1], c.items[:c.limit-1]
	}
	i, _ := slices.BinarySearchFunc(c.places, at, place.compare)
	c.places = slices.Insert(c.places, i, at)
	c.items = slices.Insert(c.items, i, item)
}

// next is the cursor of the page behind, "" if there is none.
func (c *chooser[T]) next() string {
	if !c.more {
		return ""
	}
	return c.places[len(c.places)-1].String()
}

func order(a, b float64) int { return cmp.Compare(a, b) }
