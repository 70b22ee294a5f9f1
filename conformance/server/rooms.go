package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/packet"
)

// askBack has the events that make the server ask, and answers with what it
// was told.
func askBack(ns *tutti.Namespace) {
	type question struct {
		MS    int      `json:"ms"`
		Rooms []string `json:"rooms"`
	}
	// limited reads the options and returns a context that ends when the time for answering is over.
	limited := func(ctx context.Context, args tutti.Args) (question, context.Context, context.CancelFunc, error) {
		var q question
		err := args.Scan(&q)
		ctx, cancel := context.WithTimeout(ctx, time.Duration(q.MS)*time.Millisecond)
		return q, ctx, cancel, err
	}

	handle(ns, "ask", func(ctx context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		_, ctx, cancel, err := limited(ctx, args)
		defer cancel()
		if err != nil {
			return nil, err
		}
		reply, err := s.Call(ctx, "question", values(args.Slice(1, args.Len()))...)
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		return []any{map[string]any{"timedOut": err != nil, "reply": values(reply)}}, nil
	})
	handle(ns, "ask-all", func(ctx context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		q, ctx, cancel, err := limited(ctx, args)
		defer cancel()
		if err != nil {
			return nil, err
		}
		timedOut, replies := false, []packet.Arg{}
		for reply, err := range s.Namespace().To(q.Rooms...).Ask(ctx, "question", values(args.Slice(1, args.Len()))...) {
			if _, missing := errors.AsType[*tutti.MissingError](err); missing {
				timedOut = true
			} else if err != nil {
				return nil, err
			} else {
				replies = append(replies, reply.At(0))
			}
		}
		return []any{map[string]any{"timedOut": timedOut, "replies": replies}}, nil
	})
}

// handleRooms has the events about the rooms of the socket itself.
func handleRooms(ns *tutti.Namespace) {
	change := func(event string, f func(s *tutti.Socket, room string) error) {
		handle(ns, event, func(_ context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
			var room string
			if err := args.Scan(&room); err != nil {
				return nil, err
			}
			if err := f(s, room); err != nil {
				return nil, err
			}
			rooms := slices.DeleteFunc(s.Rooms(), func(room string) bool { return room == s.ID() })
			slices.Sort(rooms)
			return []any{rooms}, nil
		})
	}
	change("join", func(s *tutti.Socket, room string) error { return s.Join(room) })
	change("leave", func(s *tutti.Socket, room string) error { s.Leave(room); return nil })

	handlePublish(ns)
}

// handlePublish has the event by which a socket publishes to an audience.
func handlePublish(ns *tutti.Namespace) {
	handle(ns, "publish", func(_ context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		var to struct {
			Rooms    []string `json:"rooms"`
			Except   []string `json:"except"`
			Others   bool     `json:"others"`
			Volatile bool     `json:"volatile"`
			Local    bool     `json:"local"`
			Plain    bool     `json:"plain"`
		}
		var event string
		if err := args.Scan(&to, &event); err != nil {
			return nil, err
		}
		audience := s.Namespace().Everyone()
		if to.Others {
			audience = s.Broadcast()
		}
		audience = audience.To(to.Rooms...).Except(to.Except...)
		if to.Volatile {
			audience = audience.Volatile()
		}
		if to.Local {
			audience = audience.Local()
		}
		if to.Plain {
			audience = audience.Uncompressed()
		}
		return []any{nil}, emit(audience, event, values(args.Slice(2, args.Len()))...)
	})
}

// handleOthers has the events about other sockets.
func handleOthers(ns *tutti.Namespace) {
	handle(ns, "members", func(ctx context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		var rooms []string
		if err := args.Scan(&rooms); err != nil {
			return nil, err
		}
		ids := []string{}
		for info, err := range s.Namespace().To(rooms...).Sockets(ctx) {
			if err != nil {
				return nil, err
			}
			ids = append(ids, info.ID)
		}
		slices.Sort(ids)
		return []any{ids}, nil
	})
	handle(ns, "sockets-join", func(_ context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		var from, to string
		if err := args.Scan(&from, &to); err != nil {
			return nil, err
		}
		return []any{nil}, s.Namespace().To(from).Join(to)
	})
	handle(ns, "sockets-leave", func(_ context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		var from, room string
		if err := args.Scan(&from, &room); err != nil {
			return nil, err
		}
		s.Namespace().To(from).Leave(room)
		return []any{nil}, nil
	})
	handle(ns, "sockets-disconnect", func(_ context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		var room string
		var session bool
		if err := args.Scan(&room, &session); err != nil {
			return nil, err
		}
		if session {
			s.Namespace().To(room).DisconnectSessions()
		} else {
			s.Namespace().To(room).Disconnect()
		}
		return []any{nil}, nil
	})
}
