package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/verb"
)

// A roomInfo is a room on a page.
type roomInfo struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Members   int    `json:"members"`
}

// roomsPage answers GET /api/rooms: those with most members first, or with
// sort=name by name. The rooms of sockets' own are left out unless own=1.
func (a *Admin) roomsPage(r *http.Request) (any, error) {
	q := r.URL.Query()
	c, err := newChooser[roomInfo](q)
	if err != nil {
		return nil, err
	}
	byName := q.Get("sort") == "name"
	if s := q.Get("sort"); s != "" && s != "members" && !byName {
		return nil, badRequest("sort: want members or name")
	}
	namespace, search, own := q.Get("namespace"), strings.ToLower(q.Get("q")), q.Get("own") == "1"
	for _, sp := range a.spaces() {
		if namespace != "" && sp.Namespace() != namespace {
			continue
		}
		for _, o := range a.roster.rooms(sp) {
			if !own && isOwn(o) || search != "" && !containsFold(o.Room, search) {
				continue
			}
			at := place{int64(o.Members), o.Room + "\x00" + sp.Namespace()}
			if byName {
				at.rank = 0
			}
			c.offer(at, roomInfo{o.Room, sp.Namespace(), o.Members})
		}
	}
	return struct {
		Rooms []roomInfo `json:"rooms"`
		Total int        `json:"total"`
		Next  string     `json:"next,omitempty"`
	}{append([]roomInfo{}, c.items...), c.total, c.next()}, nil
}

// isOwn says whether a room is the one that each socket has for itself.
func isOwn(o hub.Occupancy) bool {
	s, ok := o.Alone.(*tutti.Socket)
	return ok && s.ID() == o.Room
}

// rooms returns the rooms of a space, as of a second ago at most.
func (r *roster) rooms(sp *hub.Space) []hub.Occupancy {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.censuses[sp]
	if c.rooms != nil && time.Since(c.taken) < snapshotLife {
		return c.rooms
	}
	c = census{rooms: sp.Census(), taken: time.Now()}
	if r.censuses == nil {
		r.censuses = make(map[*hub.Space]census)
	}
	r.censuses[sp] = c
	r.lingerLocked()
	return c.rooms
}

// A census is the rooms that there were at a moment.
type census struct {
	rooms []hub.Occupancy
	taken time.Time
}

// roomMembers answers GET /api/rooms/members: its sockets.
func (a *Admin) roomMembers(r *http.Request) (any, error) {
	q := r.URL.Query()
	sp, room, err := a.roomOf(r)
	if err != nil {
		return nil, err
	}
	q.Set("namespace", sp.Namespace())
	list, err := choose(a.entries(nil, sp, hub.Address{Rooms: []string{room}}), q)
	if err != nil {
		return nil, err
	}
	return struct {
		socketList
		Members int  `json:"members"` // streams and others included
		Memory  bool `json:"memory"`  // its namespace has one
	}{list, sp.Count(room), sp.Remembers()}, nil
}

// roomOf reads namespace and room.
func (a *Admin) roomOf(r *http.Request) (*hub.Space, string, error) {
	q := r.URL.Query()
	room := q.Get("room")
	if room == "" {
		return nil, "", badRequest("room: want the name of a room")
	}
	sp, err := a.space(q.Get("namespace"))
	return sp, room, err
}

// roomPresence answers GET /api/rooms/presence.
func (a *Admin) roomPresence(r *http.Request) (any, error) {
	sp, room, err := a.roomOf(r)
	if err != nil {
		return nil, err
	}
	limit, err := pageLimit(r.URL.Query())
	if err != nil {
		return nil, err
	}
	page, err := sp.Presence(room, hub.PresenceQuery{After: r.URL.Query().Get("after"), Limit: limit})
	if err != nil {
		return nil, explainHub(err)
	}
	if !a.cfg.Payloads {
		members := slices.Clone(page.Members)
		for i := range members {
			members[i].State = nil
		}
		page.Members = members
	}
	return page, nil
}

// A messageInfo is a message, its payload only if that is allowed.
type messageInfo struct {
	Offset    hub.Offset      `json:"offset,omitempty"`
	Namespace string          `json:"namespace"`
	Rooms     []string        `json:"rooms"` // none: everyone
	Event     string          `json:"event"`
	Data      json.RawMessage `json:"data,omitempty"` // an array of arguments
	Cut       bool            `json:"cut,omitempty"`  // the data is too long to be shown
	Size      int             `json:"size"`
	Time      time.Time       `json:"time"`
	Members   int             `json:"members,omitempty"`
	Volatile  bool            `json:"volatile,omitempty"`
	Kind      string          `json:"kind"` // message, received, sent, joined, left
	Who       string          `json:"who,omitempty"`
}

// maxShown is how long a payload may be to be shown.
const maxShown = 16 << 10

// show describes a message.
func (a *Admin) show(m *hub.Message) messageInfo {
	info := messageInfo{
		Kind: "message", Offset: m.Offset(), Namespace: m.Namespace, Rooms: m.Rooms, Event: m.Event,
		Size: m.Args.Size(), Time: m.Time.UTC(), Volatile: m.Volatile,
	}
	if m.Time.IsZero() {
		info.Time = time.Now().UTC()
	}
	info.Data, info.Cut = a.payload(m.Event, m.Args)
	return info
}

// withheld says whether the arguments of an event are for nobody's eyes: a client
// shows its token with it, by which whoever reads it could pass for that user.
func withheld(event string) bool { return event == verb.AuthEvent }

// payload returns the arguments of an event as they are shown.
func (a *Admin) payload(event string, args packet.Args) (data json.RawMessage, cut bool) {
	switch {
	case !a.cfg.Payloads || withheld(event):
		return nil, false
	case args.Size() > maxShown:
		return nil, true
	}
	text := append(args.AppendText([]byte("[")), ']')
	if len(text) > 2*maxShown {
		return nil, true
	}
	return text, false
}

// roomHistory answers GET /api/rooms/history: newest last, as it was said.
func (a *Admin) roomHistory(r *http.Request) (any, error) {
	sp, room, err := a.roomOf(r)
	if err != nil {
		return nil, err
	}
	limit, err := pageLimit(r.URL.Query())
	if err != nil {
		return nil, err
	}
	page, err := sp.History(room, hub.PageQuery{Before: hub.Offset(r.URL.Query().Get("before")), Limit: limit})
	if err != nil {
		return nil, explainHub(err)
	}
	messages := []messageInfo{}
	for _, m := range page.Messages {
		messages = append(messages, a.show(m))
	}
	if a.cfg.Payloads {
		a.note(r, "read history", sp.Namespace()+" "+room, nil, nil)
	}
	return struct {
		Epoch    string        `json:"epoch"`
		Messages []messageInfo `json:"messages"`
		More     bool          `json:"more"`
	}{page.Epoch, messages, page.More}, nil
}

// explainHub says in an answer what the hub refuses.
func explainHub(err error) error {
	switch {
	case errors.Is(err, hub.ErrNoHistory):
		return &failure{http.StatusNotFound, "no_history", "the room keeps no history"}
	case errors.Is(err, hub.ErrOffset):
		return &failure{http.StatusBadRequest, "bad_offset", "the offset is none of this tape"}
	case errors.Is(err, hub.ErrTrimmed):
		return &failure{http.StatusGone, "gone", "no longer kept"}
	case errors.Is(err, hub.ErrRoomName):
		return &failure{http.StatusBadRequest, "bad_room", err.Error()}
	case errors.Is(err, hub.ErrTooManyRooms):
		return &failure{http.StatusConflict, "too_many_rooms", "some sockets are in as many rooms as they may be, and stayed as they were"}
	case errors.Is(err, hub.ErrFailed), errors.Is(err, hub.ErrClosed), errors.Is(err, hub.ErrUnknown):
		return &failure{http.StatusServiceUnavailable, "unavailable", err.Error()}
	}
	return err
}
