package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/internal/websocket"
	"github.com/tutti-rt/tutti/metrics"
	"github.com/tutti-rt/tutti/verb"
)

// relaySpace is where plain WebSockets are relayed: a space of its own, whose
// name no Socket.IO client can ask for, so that they hear only each other.
const relaySpace = "relay:/ws"

// mountDoors opens the ways in that aren't Socket.IO, for every namespace: at
// /events, /ws, /api/publish, /api/history and /api/presence for "/", and with
// the name of another behind. When the settings name no rooms, those of the
// demo are open to anyone. What the desk opens is open besides.
func (a *app) mountDoors(s config.Settings, mux *http.ServeMux, log *slog.Logger, m *metrics.Metrics) error {
	desk := a.desk
	s = withDemo(s)
	var (
		errs  []error
		doors []mounted
	)
	for _, namespace := range append([]string{"/"}, s.Namespaces...) {
		space, suffix := a.server.Namespace(namespace).Space(), namespace
		if namespace == "/" {
			suffix = ""
		}
		mount := func(path string, d *door.Door, err error) {
			if err != nil {
				errs = append(errs, err)
				return
			}
			mux.Handle(path+suffix, d)
			doors = append(doors, mounted{path, d})
			a.closers = append(a.closers, d.Shutdown)
		}
		events := eventsConfig(s, log)
		events.Desk, events.Quota, events.Auth, events.Trace = desk, a.quota, a.who.authority, m.Door("events")
		d, err := door.Events(space, events)
		mount("/events", d, err)

		publish := publishConfig(s, log)
		publish.Check = a.schemas.Check
		publish.Desk, publish.Quota, publish.Auth, publish.Trace = desk, a.quota, a.who.authority, m.Door("publish")
		d, err = door.Publish(space, publish)
		mount("/api/publish", d, err)

		read := readConfig(s, log)
		read.Desk, read.Quota, read.Auth, read.Trace = desk, a.quota, a.who.authority, m.Door("history")
		d, err = door.History(space, read)
		mount("/api/history", d, err)
		read.Trace = m.Door("presence")
		d, err = door.Presence(space, read)
		mount("/api/presence", d, err)

		d, err = a.webSockets(s, space, desk, log, m)
		mount("/ws", d, err)
		if namespace == "/" {
			d, err = door.Disconnect(space, door.DisconnectConfig{
				Auth: a.who.authority, Origins: s.Origin, Done: a.recordLogout, Log: log, Trace: m.Door("disconnect"),
				Rate: publish.Rate, Burst: publish.Burst, KeyRate: publish.KeyRate, KeyBurst: publish.KeyBurst,
			})
			mount("/api/disconnect", d, err)
		}
	}
	a.doors.Store(&doors)
	return errors.Join(errs...)
}

// withDemo opens the rooms of the demo, when the settings name none.
func withDemo(s config.Settings) config.Settings {
	if len(s.Door.Listen) == 0 && len(s.Door.Publish) == 0 && len(s.Door.Key) == 0 {
		s.Door.Listen, s.Door.Publish = demos[s.Demo].rooms, demos[s.Demo].rooms
	}
	return s
}

// A mounted door is one at a path, the namespace's name apart.
type mounted struct {
	path string
	*door.Door
}

// reloadDoors tells the doors who may come in now.
func (a *app) reloadDoors(s config.Settings) error {
	s = withDemo(s)
	var errs []error
	for _, d := range *a.doors.Load() {
		errs = append(errs, d.Reload(liveDoor(s, d.path)))
	}
	return errors.Join(errs...)
}

// endStreams ends those that come from a network, in a namespace or in all.
func (a *app) endStreams(from netip.Prefix, namespace, reason string) (n int) {
	for _, d := range *a.doors.Load() {
		if namespace == "" || namespace == d.Namespace() {
			n += d.DisconnectNetwork(from, reason)
		}
	}
	return n
}

// liveDoor is what can change of a door, by its path.
func liveDoor(s config.Settings, path string) door.Live {
	events, sockets, publish, read := eventsConfig(s, nil), webSocketConfig(s, nil), publishConfig(s, nil), readConfig(s, nil)
	switch path {
	case "/events":
		return door.Live{Listen: events.Listen, Origins: events.Origins, Credentials: events.Credentials, MaxStreams: events.MaxStreams}
	case "/ws":
		return door.Live{
			Listen: sockets.Listen, Publish: sockets.Publish, Origins: sockets.Origins, Credentials: sockets.Credentials,
			MaxStreams: sockets.MaxStreams, Rate: sockets.Rate, Burst: sockets.Burst,
		}
	case "/api/disconnect":
		return door.Live{Origins: s.Origin, Rate: publish.Rate, Burst: publish.Burst, KeyRate: publish.KeyRate, KeyBurst: publish.KeyBurst}
	case "/api/publish":
		return door.Live{
			Publish: publish.Publish, Origins: publish.Origins, Credentials: publish.Credentials,
			Rate: publish.Rate, Burst: publish.Burst, KeyRate: publish.KeyRate, KeyBurst: publish.KeyBurst,
		}
	}
	return door.Live{
		Listen: read.Read, Origins: read.Origins, Credentials: read.Credentials,
		Rate: read.Rate, Burst: read.Burst, KeyRate: read.KeyRate, KeyBurst: read.KeyBurst,
	}
}

// webSockets makes the door of plain WebSockets, which in "/" may be a relay.
func (a *app) webSockets(s config.Settings, space *hub.Space, desk *verb.Desk, log *slog.Logger, m *metrics.Metrics) (*door.Door, error) {
	cfg := webSocketConfig(s, log)
	cfg.Quota, cfg.Auth, cfg.Trace, cfg.Check = a.quota, a.who.authority, m.Door("websocket"), a.schemas.Check
	if !s.RelayText || space.Namespace() != "/" {
		cfg.Desk = desk
		return door.WebSocket(space, cfg)
	}
	cfg.Relay = true
	d, err := door.WebSocket(a.server.Hub().Space(relaySpace), cfg)
	a.relayed = d
	return d, err
}

// orRelay sends WebSockets that come to / to the relay, if there is one: the
// first line of many a tutorial is new WebSocket("ws://localhost:3000").
// Everything else is next's, and so is what comes to other paths.
func (a *app) orRelay(next http.Handler) http.Handler {
	if a.relayed == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && websocket.IsUpgrade(r) {
			a.relayed.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// access is who may use the rooms of patterns; keys open theirs besides.
func access(patterns []string, keys []config.Key) door.Access {
	a := door.Access{Rooms: patterns}
	for _, k := range keys {
		a.Keys = append(a.Keys, door.Key{Name: k.Name, Secret: k.Secret, Rooms: k.Rooms})
	}
	return a
}

func eventsConfig(s config.Settings, log *slog.Logger) door.EventsConfig {
	return door.EventsConfig{
		Listen:       access(s.Door.Listen, s.Door.Key),
		Origins:      s.Origin,
		Credentials:  s.Credentials,
		Heartbeat:    s.Ping.Interval,
		Retry:        s.Door.Retry,
		MaxRooms:     int(s.Door.Rooms),
		MaxStreams:   int(s.Door.Streams),
		MaxQueue:     int(s.Limit.Queue),
		WriteTimeout: s.Timeout.Write,
		Log:          log,
	}
}

func webSocketConfig(s config.Settings, log *slog.Logger) door.WebSocketConfig {
	return door.WebSocketConfig{
		Listen:       access(s.Door.Listen, s.Door.Key),
		Publish:      access(s.Door.Publish, s.Door.Key),
		Origins:      s.Origin,
		Credentials:  s.Credentials,
		Heartbeat:    s.Ping.Interval,
		MaxRooms:     int(s.Door.Rooms),
		MaxStreams:   int(s.Door.Streams),
		Rate:         float64(s.Door.Rate),
		Burst:        int(s.Door.Burst),
		MaxMessage:   int64(s.Limit.Payload),
		MaxQueue:     int(s.Limit.Queue),
		WriteTimeout: s.Timeout.Write,
		Log:          log,
	}
}

func publishConfig(s config.Settings, log *slog.Logger) door.PublishConfig {
	return door.PublishConfig{
		Publish:     access(s.Door.Publish, s.Door.Key),
		Origins:     s.Origin,
		Credentials: s.Credentials,
		MaxBody:     int64(s.Limit.Payload),
		MaxRooms:    int(s.Door.Rooms),
		Rate:        float64(s.Door.PublishRate),
		Burst:       int(s.Door.PublishBurst),
		KeyRate:     float64(s.Door.KeyRate),
		KeyBurst:    int(s.Door.KeyBurst),
		ReadTimeout: s.Timeout.Write,
		Log:         log,
	}
}

func readConfig(s config.Settings, log *slog.Logger) door.ReadConfig {
	return door.ReadConfig{
		Read:        access(s.Door.Listen, s.Door.Key),
		Origins:     s.Origin,
		Credentials: s.Credentials,
		Rate:        float64(s.Door.PublishRate),
		Burst:       int(s.Door.PublishBurst),
		KeyRate:     float64(s.Door.KeyRate),
		KeyBurst:    int(s.Door.KeyBurst),
		Log:         log,
	}
}
