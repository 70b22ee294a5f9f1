package main

import (
	"context"
	"regexp"
	"strings"

	"github.com/tutti-rt/tutti"
)

// register gives every namespace of the tests its handlers.
func register(srv *tutti.Server) {
	dynamic := regexp.MustCompile(`^/dynamic-\d{1,3}$`)
	family := srv.Dynamic(func(_ context.Context, name string, _ tutti.Handshake) (bool, error) {
		return dynamic.MatchString(name), nil
	})
	guarded := srv.Namespace("/guarded")
	guarded.Guard(secret)
	for _, ns := range []*tutti.Namespace{srv.Namespace("/"), srv.Namespace("/custom"), family, guarded} {
		comeAndGo(ns)
		sendBack(ns)
		askBack(ns)
		handleRooms(ns)
		handleOthers(ns)
		handleNodes(ns)
	}
	handleServers(srv.Namespace("/"))
	handleServers(srv.Namespace("/custom"))
}

// secret lets in who knows the token, and tells others what they said.
func secret(ctx context.Context, s *tutti.Socket) (context.Context, error) {
	token := credentials(s)["token"]
	if token == "secret" {
		return ctx, nil
	}
	return nil, &tutti.Refusal{Message: "who are you?", Data: map[string]any{"code": 401, "token": token}}
}

// credentials is the auth payload. Clients before 3 have none: Node's server
// puts the query that came with the namespace in its place, Tutti leaves it
// where it is.
func credentials(s *tutti.Socket) map[string]any {
	h := s.Handshake()
	auth := map[string]any{}
	if err := h.ScanAuth(&auth); err != nil {
		panic(err) // a handshake always has an object
	}
	if s.Session().Protocol() == 3 && h.Query.Has("token") {
		auth["token"] = h.Query.Get("token")
	}
	return auth
}

// handle registers a handler that gets the arguments of an event and returns
// the values of the answer, if one is wanted.
func handle(ns *tutti.Namespace, event string, h func(ctx context.Context, s *tutti.Socket, args tutti.Args) ([]any, error)) {
	ns.Handle(event, func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
		reply, err := h(ctx, s, m.Args)
		if err != nil {
			return err
		}
		return m.Reply(reply...)
	})
}

// values are arguments as Emit and Reply take them.
func values(args tutti.Args) []any {
	list := make([]any, 0, args.Len())
	for _, arg := range args.All() {
		list = append(list, arg)
	}
	return list
}

func emit(to tutti.Emitter, event string, args ...any) error {
	_, err := to.Emit(event, args...)
	return err
}

// comeAndGo has what happens around a socket's life.
func comeAndGo(ns *tutti.Namespace) {
	ns.OnConnect(func(_ context.Context, s *tutti.Socket) {
		if err := emit(s, "auth", credentials(s)); err != nil {
			panic(err)
		}
	})
	ns.OnDisconnect(func(_ context.Context, s *tutti.Socket, reason tutti.Reason) {
		if err := emit(s.Namespace().To("observers"), "gone", s.ID(), string(reason)); err != nil {
			panic(err)
		}
	})
	handle(ns, "handshake", func(_ context.Context, s *tutti.Socket, _ tutti.Args) ([]any, error) {
		h := s.Handshake()
		return []any{map[string]any{
			"query": h.Query.Get("who"), "header": h.Header.Get("X-Conformance"), "auth": credentials(s),
			"address": h.Remote, "secure": h.Secure, "url": h.URL,
		}}, nil
	})
	handle(ns, "leave-me", func(_ context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		var session bool
		if err := args.Scan(&session); err != nil {
			return nil, err
		}
		if session {
			s.DisconnectSession()
		} else {
			s.Disconnect()
		}
		return nil, nil
	})
	// Hears every event, as socket.onAny does on Node; HandleAny would also
	// answer those that nobody handles.
	ns.Use(func(next tutti.Handler) tutti.Handler {
		return func(ctx context.Context, s *tutti.Socket, m *tutti.Message) error {
			if strings.HasPrefix(m.Event, "any:") {
				return emit(s, "any-back", append([]any{m.Event}, values(m.Args)...)...)
			}
			return next(ctx, s, m)
		}
	})
}

// sendBack has the events whose effect comes back to the socket.
func sendBack(ns *tutti.Namespace) {
	handle(ns, "message", func(_ context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		return nil, emit(s, "message-back", values(args)...)
	})
	handle(ns, "message-with-ack", func(_ context.Context, _ *tutti.Socket, args tutti.Args) ([]any, error) {
		return values(args), nil
	})
	handle(ns, "size", func(_ context.Context, _ *tutti.Socket, args tutti.Args) ([]any, error) {
		var text string
		err := args.Scan(&text)
		return []any{len(text)}, err
	})
	handle(ns, "make-binary", func(_ context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		var n int
		if err := args.Scan(&n); err != nil {
			return nil, err
		}
		bytes := make([]byte, n)
		for i := range bytes {
			bytes[i] = byte(i)
		}
		return nil, emit(s, "binary-made", bytes, map[string]any{"deep": []any{map[string]any{"bytes": bytes}, "text"}})
	})
	handle(ns, "count", func(_ context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		return nil, emit(s, "tick", values(args)...)
	})
	handle(ns, "burst", func(_ context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		var from, n int
		err := args.Scan(&from, &n)
		for i := from; i < from+n && err == nil; i++ {
			err = emit(s, "burst", i)
		}
		return nil, err
	})
	handle(ns, "volatile", func(_ context.Context, s *tutti.Socket, _ tutti.Args) ([]any, error) {
		if _, err := s.Volatile().Emit("maybe", "volatile"); err != nil {
			return nil, err
		}
		return nil, emit(s, "surely", "not volatile")
	})
}
