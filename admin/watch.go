package admin

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/websocket"
	"github.com/tutti-rt/tutti/packet"
)

// A watch is somebody who follows a room or a socket. What is not read in time
// is dropped: nobody may make the server wait for a page.
type watch struct {
	namespace, room string        // of a room
	socket          *tutti.Socket // or this

	queue   chan messageInfo
	dropped atomic.Int64
}

// watchQueue is how many messages may wait for a page.
const watchQueue = 256

func (w *watch) put(m messageInfo) {
	select {
	case w.queue <- m:
	default:
		w.dropped.Add(1)
	}
}

// watches are who follows something. Looking whether anybody does is one load.
type watches struct {
	streams atomic.Int64 // open ones, of all kinds
	list    atomic.Pointer[[]*watch]
	mu      sync.Mutex // held to change list
}

func (x *watches) all() []*watch {
	if p := x.list.Load(); p != nil {
		return *p
	}
	return nil
}

func (x *watches) add(w *watch) {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := append(slices.Clone(x.all()), w)
	x.list.Store(&list)
}

func (x *watches) remove(w *watch) {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(x.all()), func(other *watch) bool { return other == w })
	if len(list) == 0 {
		x.list.Store(nil)
		return
	}
	x.list.Store(&list)
}

// Observe makes a configuration tell the admin what happens, besides whoever is
// told already.
func (a *Admin) Observe(cfg *tutti.Config) {
	server, hubs, engine := orNew(cfg.Trace), orNew(cfg.Hub.Trace), orNew(cfg.Engine.Trace)
	cfg.Trace, cfg.Hub.Trace, cfg.Engine.Trace = server, hubs, engine

	published := hubs.Published
	hubs.Published = func(m *hub.Message, members int) {
		if published != nil {
			published(m, members)
		}
		a.published(m, members)
	}
	hubs.Joined = also(hubs.Joined, func(namespace, room string, m hub.Member) { a.moved("joined", namespace, room, m) })
	hubs.Left = also(hubs.Left, func(namespace, room string, m hub.Member) { a.moved("left", namespace, room, m) })

	received := server.EventReceived
	server.EventReceived = func(s *tutti.Socket, m *tutti.Message) {
		if received != nil {
			received(s, m)
		}
		a.ofSocket("received", s, m.Event, m.Args)
		if a.ui.watched() {
			a.ui.event("event_received", s, s.Namespace().Name(), m.Event, m.Args)
		}
	}
	sent := server.EventSent
	server.EventSent = func(s *tutti.Socket, m *hub.Message) {
		if sent != nil {
			sent(s, m)
		}
		a.ofSocket("sent", s, m.Event, m.Args)
		if a.ui.watched() {
			a.ui.event("event_sent", s, m.Namespace, m.Event, m.Args)
		}
	}
	a.observeSlow(server, engine)
	a.observeUI(server, hubs, engine)
}

// orNew returns a copy of a trace, or a new one.
func orNew[T any](p *T) *T {
	if p == nil {
		return new(T)
	}
	c := *p
	return &c
}

func also(first, second func(namespace, room string, m hub.Member)) func(namespace, room string, m hub.Member) {
	if first == nil {
		return second
	}
	return func(namespace, room string, m hub.Member) {
		first(namespace, room, m)
		second(namespace, room, m)
	}
}

// observeSlow remembers the names of those whose sessions were closed because
// they did not read.
func (a *Admin) observeSlow(server *tutti.Trace, engine *engineio.Trace) {
	var (
		mu   sync.Mutex
		slow []*engineio.Session // whose sockets are about to leave
	)
	closed := engine.SessionClosed
	engine.SessionClosed = func(s *engineio.Session, reason engineio.Reason, err error) {
		if closed != nil {
			closed(s, reason, err)
		}
		if errors.Is(err, engineio.ErrTooSlow) || errors.Is(err, websocket.ErrTooSlow) {
			mu.Lock()
			slow = append(slow[max(0, len(slow)-slowShown):], s)
			mu.Unlock()
		}
	}
	left := server.SocketDisconnected
	server.SocketDisconnected = func(s *tutti.Socket, reason tutti.Reason) {
		if left != nil {
			left(s, reason)
		}
		mu.Lock()
		is := slices.Contains(slow, s.Session())
		mu.Unlock()
		if is {
			a.slow.add(slowReader{
				ID: s.ID(), Namespace: s.Namespace().Name(), User: a.cfg.User(s), Address: hostOf(s.Session().Request().RemoteAddr),
				Closed: true, Since: time.Now().UTC(),
			})
		}
	}
}

// published tells who follows one of a message's rooms.
func (a *Admin) published(m *hub.Message, members int) {
	for _, w := range a.watches.all() {
		if w.socket != nil || w.namespace != m.Namespace || len(m.Rooms) > 0 && !slices.Contains(m.Rooms, w.room) {
			continue
		}
		info := a.show(m)
		info.Members = members
		w.put(info)
	}
}

// moved tells who follows a room that somebody came or went.
func (a *Admin) moved(kind, namespace, room string, m hub.Member) {
	for _, w := range a.watches.all() {
		if w.socket != nil || w.namespace != namespace || w.room != room {
			continue
		}
		info := messageInfo{Kind: kind, Namespace: namespace, Rooms: []string{room}, Time: time.Now().UTC(), Who: "a stream"}
		if s, ok := m.(*tutti.Socket); ok {
			info.Who = s.ID()
		}
		w.put(info)
	}
}

// ofSocket tells who follows a socket.
func (a *Admin) ofSocket(kind string, s *tutti.Socket, event string, args packet.Args) {
	for _, w := range a.watches.all() {
		if w.socket != s {
			continue
		}
		info := messageInfo{Kind: kind, Namespace: w.namespace, Event: event, Size: args.Size(), Time: time.Now().UTC()}
		info.Data, info.Cut = a.payload(event, args)
		w.put(info)
	}
}

// followRoom streams what happens in a room.
func (a *Admin) followRoom(w http.ResponseWriter, r *http.Request) {
	sp, room, err := a.roomOf(r)
	if err != nil {
		refuse(w, a.explain(r, err))
		return
	}
	a.follow(w, r, &watch{namespace: sp.Namespace(), room: room})
}

// followSocket streams the events of a socket, both ways.
func (a *Admin) followSocket(w http.ResponseWriter, r *http.Request) {
	e, err := a.find(r.URL.Query().Get("id"), r.URL.Query().Get("namespace"))
	if err != nil {
		refuse(w, a.explain(r, err))
		return
	}
	a.follow(w, r, &watch{namespace: e.namespace, socket: e.socket})
}

func (a *Admin) follow(w http.ResponseWriter, r *http.Request, x *watch) {
	s, ok := a.stream(w, r)
	if !ok {
		return
	}
	defer s.end()
	if a.cfg.Payloads {
		a.note(r, "follow", x.target(), nil, nil)
	}
	x.queue = make(chan messageInfo, watchQueue)
	a.watches.add(x)
	defer a.watches.remove(x)
	if s.send("ready", struct{}{}) != nil {
		return
	}
	alive := time.NewTicker(15 * time.Second)
	defer alive.Stop()
	for {
		var err error
		select {
		case m := <-x.queue:
			err = s.send("message", m)
		case <-alive.C:
			err = s.send("alive", struct{}{})
		case <-r.Context().Done():
			return
		case <-a.ended:
			return
		}
		if n := x.dropped.Swap(0); n > 0 && err == nil {
			err = s.send("dropped", n)
		}
		if err != nil {
			return
		}
	}
}

func (w *watch) target() string {
	if w.socket != nil {
		return "socket " + w.socket.ID()
	}
	return w.namespace + " " + w.room
}
