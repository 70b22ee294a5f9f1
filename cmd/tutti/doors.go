package main

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/internal/websocket"
	"github.com/tutti-rt/tutti/metrics"
)

// relaySpace is where plain WebSockets are relayed: a space of its own, whose
// name no Socket.IO client can ask for, so that they hear only each other.
const relaySpace = "relay:/ws"

// mountDoors opens the ways in that aren't Socket.IO, for every namespace: at
// /events, /ws and /api/publish for "/", and with the name of another behind.
// When the settings name no rooms, those of the demo are open to anyone.
func (a *app) mountDoors(s config.Settings, mux *http.ServeMux, log *slog.Logger, m *metrics.Metrics) error {
	open := demos[s.Demo].rooms
	if len(s.Door.Listen) == 0 && len(s.Door.Publish) == 0 && len(s.Door.Key) == 0 {
		s.Door.Listen, s.Door.Publish = open, open
	}
	var errs []error
	mount := func(pattern string, d *door.Door, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		mux.Handle(pattern, d)
		a.closers = append(a.closers, d.Shutdown)
	}
	for _, namespace := range append([]string{"/"}, s.Namespaces...) {
		space, suffix := a.server.Namespace(namespace).Space(), namespace
		if namespace == "/" {
			suffix = ""
		}
		listening := eventsConfig(s, log)
		listening.Trace = m.Door("events")
		events, err := door.Events(space, listening)
		mount("/events"+suffix, events, err)

		publishing := publishConfig(s, log)
		publishing.Trace = m.Door("publish")
		publish, err := door.Publish(space, publishing)
		mount("/api/publish"+suffix, publish, err)

		both := webSocketConfig(s, log)
		both.Trace = m.Door("websocket")
		if both.Relay = s.RelayText && namespace == "/"; both.Relay {
			space = a.server.Hub().Space(relaySpace)
		}
		sockets, err := door.WebSocket(space, both)
		mount("/ws"+suffix, sockets, err)
		if both.Relay {
			a.relayed = sockets
		}
	}
	return errors.Join(errs...)
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
