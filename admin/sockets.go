package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tutti-rt/tutti/hub"
)

// sessionShown is how much of a session's id is shown: enough to tell sessions
// apart, and too little to act as one, for whoever knows all of it can.
const sessionShown = 8

// A socketInfo is a socket on a page.
type socketInfo struct {
	ID        string    `json:"id"`
	Namespace string    `json:"namespace"`
	Session   string    `json:"session"`
	Transport string    `json:"transport"`
	Protocol  int       `json:"protocol"`
	User      string    `json:"user,omitempty"`
	Address   string    `json:"address"`
	Rooms     int       `json:"rooms"` // besides its own
	Since     time.Time `json:"since"`
	Queued    int       `json:"queued"` // bytes
}

func (e *entry) info() socketInfo {
	session := e.socket.Session()
	return socketInfo{
		ID: e.id, Namespace: e.namespace, Session: shown(session.ID()), Transport: session.Transport(), Protocol: session.Protocol(),
		User: e.user, Address: hostOf(session.Request().RemoteAddr),
		Rooms: max(len(e.socket.Rooms())-1, 0), Since: e.socket.Since().UTC(), Queued: session.Backlog(),
	}
}

func shown(session string) string { return session[:min(len(session), sessionShown)] }

// matches says whether a socket is what somebody looks for: a part of its id,
// user or address, or the beginning of its session's id.
func (e *entry) matches(q string) bool {
	if q == "" || containsFold(e.id, q) || containsFold(e.user, q) {
		return true
	}
	session := e.socket.Session()
	return containsFold(hostOf(session.Request().RemoteAddr), q) || containsFold(shown(session.ID()), q)
}

// containsFold says whether s contains part, which is in lower case, in any case
// of ASCII letters. It allocates nothing: it runs for every socket there is.
func containsFold(s, part string) bool {
	for i := 0; i+len(part) <= len(s); i++ {
		j := 0
		for j < len(part) && lower(s[i+j]) == part[j] {
			j++
		}
		if j == len(part) {
			return true
		}
	}
	return false
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// socketsPage answers GET /api/sockets: the newest first, or with sort=queued
// those with most bytes waiting.
func (a *Admin) socketsPage(r *http.Request) (any, error) {
	q := r.URL.Query()
	var list []entry
	if room := q.Get("room"); room != "" {
		sp, err := a.space(q.Get("namespace"))
		if err != nil {
			return nil, err
		}
		list = a.entries(nil, sp, hub.Address{Rooms: []string{room}})
	} else {
		list = a.roster.all().entries
	}
	return choose(list, q)
}

// socketList is a page of sockets.
type socketList struct {
	Sockets []socketInfo `json:"sockets"`
	Total   int          `json:"total"` // that match, on all pages
	Next    string       `json:"next,omitempty"`
}

// choose returns the page of a list that was asked for.
func choose(list []entry, q url.Values) (socketList, error) {
	c, err := newChooser[*entry](q)
	if err != nil {
		return socketList{}, err
	}
	rank := func(e *entry) int64 { return e.since }
	switch q.Get("sort") {
	case "", "since":
	case "queued":
		rank = func(e *entry) int64 { return int64(e.socket.Session().Backlog()) }
	default:
		return socketList{}, badRequest("sort: want since or queued")
	}
	namespace, user, search := q.Get("namespace"), q.Get("user"), strings.ToLower(q.Get("q"))
	for i := range list {
		e := &list[len(list)-1-i] // mostly the newest first, so that few have to make room
		if namespace != "" && e.namespace != namespace || user != "" && e.user != user || !e.matches(search) {
			continue
		}
		c.offer(place{rank(e), e.id}, e)
	}
	page := socketList{Sockets: []socketInfo{}, Total: c.total, Next: c.next()}
	for _, e := range c.items {
		page.Sockets = append(page.Sockets, e.info())
	}
	return page, nil
}

// find returns a socket by its id, in one namespace or any.
func (a *Admin) find(id, namespace string) (entry, error) {
	for _, sp := range a.spaces() {
		if namespace != "" && sp.Namespace() != namespace {
			continue
		}
		for _, e := range a.entries(nil, sp, hub.Address{Rooms: []string{id}}) {
			if e.id == id {
				return e, nil
			}
		}
	}
	return entry{}, notFound("there is no socket " + strconv.Quote(id))
}

// A socketDetail is all that there is to see of a socket.
type socketDetail struct {
	socketInfo
	RoomNames []string            `json:"roomNames"`
	Headers   map[string][]string `json:"headers"`
	Query     map[string]string   `json:"query"`
	Path      string              `json:"path"`
	Secure    bool                `json:"secure"`
	Recovered bool                `json:"recovered"`
	Others    []string            `json:"others"` // namespaces that the session is in besides
}

const maxRoomNames = 1000

// socketPage answers GET /api/sockets/{id}.
func (a *Admin) socketPage(r *http.Request) (any, error) {
	e, err := a.find(r.PathValue("id"), r.URL.Query().Get("namespace"))
	if err != nil {
		return nil, err
	}
	h := e.socket.Handshake()
	rooms := e.socket.Rooms()
	slices.Sort(rooms)
	path, _, _ := strings.Cut(h.URL, "?")
	d := socketDetail{
		socketInfo: e.info(), RoomNames: rooms[:min(len(rooms), maxRoomNames)], Headers: withoutSecrets(h.Header),
		Query: knownQuery(h.Query), Path: path, Secure: h.Secure, Recovered: e.socket.Recovered(), Others: []string{},
	}
	for _, other := range a.roster.all().entries {
		if other.socket.Session() == e.socket.Session() && other.socket != e.socket {
			d.Others = append(d.Others, other.namespace)
		}
	}
	return d, nil
}

// shownHeaders are those of a handshake that help and hold no secrets.
var shownHeaders = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Pragma", "Upgrade", "Host", "Origin", "Referer", "Sec-Websocket-Extensions", "Sec-Websocket-Version", "User-Agent", "Via",
	"X-Forwarded-For", "X-Forwarded-Proto", "Forwarded",
}

const hidden = "(hidden)"

// withoutSecrets hides the values of headers that may hold one: cookies,
// tokens, and whatever an application has made up.
func withoutSecrets(h http.Header) map[string][]string {
	out := make(map[string][]string, len(h))
	for name, values := range h {
		if !slices.Contains(shownHeaders, name) && !strings.HasPrefix(name, "Sec-Fetch-") && !strings.HasPrefix(name, "Sec-Ch-") {
			values = []string{hidden}
		}
		if name == "Referer" {
			values = []string{bare(values[0])}
		}
		out[name] = values
	}
	return out
}

// bare is a URL without its query.
func bare(text string) string {
	text, _, _ = strings.Cut(text, "?")
	return text
}

// knownQuery hides the values of what the protocol does not know: tokens are
// often passed like that.
func knownQuery(q url.Values) map[string]string {
	out := make(map[string]string, len(q))
	for name := range q {
		out[name] = hidden
		if slices.Contains([]string{"EIO", "transport", "t", "b64"}, name) {
			out[name] = q.Get(name)
		}
	}
	return out
}

// usersPage answers GET /api/users: by name.
func (a *Admin) usersPage(r *http.Request) (any, error) {
	q := r.URL.Query()
	limit, err := pageLimit(q)
	if err != nil {
		return nil, err
	}
	search, after := strings.ToLower(q.Get("q")), q.Get("after")
	page := struct {
		Users []userEntry `json:"users"`
		Total int         `json:"total"`
		Next  string      `json:"next,omitempty"`
	}{Users: []userEntry{}}
	for _, u := range a.roster.all().people() {
		if search != "" && !containsFold(u.ID, search) {
			continue
		}
		page.Total++
		if after != "" && u.ID <= after {
			continue
		}
		if len(page.Users) < limit {
			page.Users = append(page.Users, u)
		} else if page.Next == "" {
			page.Next = page.Users[limit-1].ID
		}
	}
	return page, nil
}

// slowQueue is from how many waiting bytes on a socket counts as slow.
const slowQueue = 64 << 10

// slowShown is how many slow readers are named.
const slowShown = 20

// A slowReader is a socket with much waiting for it, or one that was closed for
// that.
type slowReader struct {
	ID        string    `json:"id"`
	Namespace string    `json:"namespace"`
	User      string    `json:"user,omitempty"`
	Address   string    `json:"address"`
	Queued    int       `json:"queued"`
	Closed    bool      `json:"closed"`
	Since     time.Time `json:"since"` // of a closed one: when it was
}

// slowest returns the slow readers there are and were, and how many users there
// are.
func (r *roster) slowest() ([]slowReader, int) {
	all := r.all()
	c := &chooser[*entry]{limit: slowShown}
	for i := range all.entries {
		e := &all.entries[i]
		if n := e.socket.Session().Backlog(); n >= slowQueue {
			c.offer(place{int64(n), e.id}, e)
		}
	}
	slow := []slowReader{}
	for i, e := range c.items {
		slow = append(slow, slowReader{
			ID: e.id, Namespace: e.namespace, User: e.user, Address: hostOf(e.socket.Session().Request().RemoteAddr),
			Queued: int(c.places[i].rank), Since: e.socket.Since().UTC(),
		})
	}
	return append(slow, r.admin.slow.list()...), len(all.sizes())
}

// slowRing remembers the last sockets that were closed because they did not
// read.
type slowRing struct {
	mu   sync.Mutex
	last []slowReader // newest first
}

func (s *slowRing) add(r slowReader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = slices.Insert(s.last, 0, r)
	s.last = s.last[:min(len(s.last), slowShown)]
}

func (s *slowRing) list() []slowReader {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.last)
}
