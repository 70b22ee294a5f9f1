package admin

import (
	"context"
	"iter"
	"maps"
	"strings"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

func keysOf(m map[string]float64) iter.Seq[string] { return maps.Keys(m) }

// uiSocket is a socket as the UI knows it.
type uiSocket struct {
	ID        string         `json:"id"`
	ClientID  string         `json:"clientId"`
	Transport string         `json:"transport"`
	Namespace string         `json:"nsp"`
	Data      map[string]any `json:"data"`
	Handshake uiHandshake    `json:"handshake"`
	Rooms     []string       `json:"rooms"`
}

type uiHandshake struct {
	Address     string            `json:"address"`
	Headers     map[string]string `json:"headers"`
	Query       map[string]string `json:"query"`
	Issued      int64             `json:"issued"`
	Secure      bool              `json:"secure"`
	Time        string            `json:"time"`
	URL         string            `json:"url"`
	CrossDomain bool              `json:"xdomain"`
}

// describe says what a socket is. Node's server shows all headers and the query;
// what may be a secret is hidden here. Its rooms take a turn of the space, which
// who is in one can't have.
func describe(s *tutti.Socket, namespace string, rooms bool) uiSocket {
	h := s.Handshake()
	headers := make(map[string]string, len(h.Header))
	for name, values := range withoutSecrets(h.Header) {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	d := uiSocket{
		ID: s.ID(), ClientID: shown(s.Session().ID()), Transport: s.Session().Transport(), Namespace: namespace, Data: map[string]any{},
		Handshake: uiHandshake{
			Address: hostOf(h.Remote), Headers: headers, Query: knownQuery(h.Query), Issued: h.Time.UnixMilli(), Secure: h.Secure,
			Time: h.Time.Format("Mon Jan 02 2006 15:04:05 GMT-0700 (MST)"), URL: bare(h.URL), CrossDomain: h.Header.Get("Origin") != "",
		},
		Rooms: []string{s.ID()},
	}
	if user := s.Identity().User(); user != "" {
		d.Data["user"] = user
	}
	if rooms {
		d.Rooms = s.Rooms()
	}
	return d
}

// stamp is a time as JavaScript writes it.
func stamp() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

// observeUI has UIs in development mode told of everything.
func (a *Admin) observeUI(server *tutti.Trace, hubs *hub.Trace, engine *engineio.Trace) {
	u := &a.ui
	if !u.cfg.Development {
		return
	}
	connected := server.SocketConnected
	server.SocketConnected = func(s *tutti.Socket) {
		if connected != nil {
			connected(s)
		}
		if u.watched() {
			u.put("socket_connected", describe(s, s.Namespace().Name(), true), stamp())
		}
	}
	left := server.SocketDisconnected
	server.SocketDisconnected = func(s *tutti.Socket, reason tutti.Reason) {
		if left != nil {
			left(s, reason)
		}
		if u.watched() {
			u.put("socket_disconnected", s.Namespace().Name(), s.ID(), string(reason), stamp())
		}
	}
	upgraded := engine.SessionUpgraded
	engine.SessionUpgraded = func(session *engineio.Session) {
		if upgraded != nil {
			upgraded(session)
		}
		if u.watched() {
			u.put(transportChanged, session)
		}
	}
	room := func(event string) func(namespace, room string, m hub.Member) {
		return func(namespace, room string, m hub.Member) {
			if s, ok := m.(*tutti.Socket); ok && u.watched() {
				u.put(event, namespace, room, s.ID(), stamp())
			}
		}
	}
	hubs.Joined, hubs.Left = also(hubs.Joined, room("room_joined")), also(hubs.Left, room("room_left"))
}

// transportChanged is an event of ours that becomes those of a session's sockets:
// finding them takes more than a trace may.
const transportChanged = "transport changed"

// tellTransport tells of the sockets of a session that was upgraded.
func (u *ui) tellTransport(session any) {
	for _, e := range u.admin.roster.fresh().entries {
		if s := e.socket.Session(); session == any(s) {
			u.tell(uiEvent{"socket_updated", []any{map[string]string{"id": e.id, "nsp": e.namespace, "transport": s.Transport()}}})
		}
	}
}

// event tells of an event of a socket, with its arguments: development is for
// seeing them, but for tokens. The namespace of the UI itself would never be silent again.
func (u *ui) event(name string, s *tutti.Socket, namespace, event string, args packet.Args) {
	if namespace == UINamespace || !u.watched() {
		return
	}
	list := make([]any, 0, args.Len()+1)
	list = append(list, event)
	if withheld(event) {
		args = packet.Args{}
	}
	for _, arg := range args.All() {
		list = append(list, arg)
	}
	u.put(name, namespace, s.ID(), list, stamp())
}

// serveActions lets UIs act.
func (u *ui) serveActions() {
	u.act("emit", 3, func(ctx context.Context, q *uiAction) error {
		m := &hub.Message{Event: q.texts[2], Args: q.rest, Publisher: "admin"}
		if packet.Reserved(m.Event) {
			return tutti.ErrReserved
		}
		_, err := q.space.Publish(ctx, m, q.to(1))
		return err
	})
	u.act("join", 3, func(_ context.Context, q *uiAction) error { return q.space.Join(q.to(2), q.texts[1]) })
	u.act("leave", 3, func(_ context.Context, q *uiAction) error {
		q.space.Leave(q.to(2), q.texts[1])
		return nil
	})
	u.act("_disconnect", 3, func(_ context.Context, q *uiAction) error {
		for _, e := range u.admin.entries(nil, q.space, q.to(2)) {
			if q.texts[1] == "true" {
				e.socket.DisconnectSession()
			} else {
				e.socket.Disconnect()
			}
		}
		return nil
	})
}

// A uiAction is what a UI wants done: the first arguments as text, which the
// protocol gives a meaning, and the rest.
type uiAction struct {
	space *hub.Space
	texts []string
	rest  packet.Args
}

// to is whom an action is for: a room or socket, or everybody.
func (q *uiAction) to(i int) hub.Address {
	if q.texts[i] == "" {
		return hub.Address{}
	}
	return hub.Address{Rooms: []string{q.texts[i]}}
}

// act registers an action whose first n arguments are a namespace and others. A
// missing one is everybody, as is null.
func (u *ui) act(name string, n int, do func(context.Context, *uiAction) error) {
	u.ns.Handle(name, func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
		q := &uiAction{texts: make([]string, n)}
		for i := range min(n, m.Args.Len()) {
			text, ok := m.Args.At(i).String()
			if raw := string(m.Args.At(i).JSON()); !ok && raw != "null" {
				text = raw
			}
			q.texts[i] = text
		}
		if m.Args.Len() > n {
			q.rest = m.Args.Slice(n, m.Args.Len())
		}
		var err error
		if q.space, err = u.admin.space(q.texts[0]); err == nil {
			err = do(ctx, q)
		}
		u.admin.record(Entry{
			Who: u.cfg.User, Role: Operate, From: hostOf(s.Session().Request().RemoteAddr), Action: strings.TrimPrefix(name, "_"),
			Target: strings.Join(q.texts, " "), Detail: map[string]any{"by": "admin UI"},
		}, err)
		return err
	})
}
