package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/nodehub"
)

// open takes part in the cluster that the flags name, and returns what to close
// at the end.
func (o options) open(cfg *hub.Config) (func() error, error) {
	if o.nodeCluster == "" {
		return func() error { return nil }, nil
	}
	c, err := nodehub.Open(context.Background(), nodehub.Config{URL: o.nodeCluster, Adapter: nodehub.Adapter(o.nodeAdapter), Prefix: o.nodePrefix})
	if err != nil {
		return nil, err
	}
	cfg.Share = c.Share
	return c.Close, nil
}

// handleServers has what the applications of several servers say to each other.
func handleServers(ns *tutti.Namespace) {
	ns.HandleNodes("server-note", func(_ context.Context, _ string, args tutti.Args) (any, error) {
		return nil, emit(ns.Everyone().Local(), "noted", values(args)...)
	})
	ns.HandleNodes("server-sum", func(_ context.Context, _ string, args tutti.Args) (any, error) {
		var a, b float64
		if err := args.Scan(&a, &b); err != nil {
			return nil, err
		}
		return map[string]any{"sum": a + b, "by": "tutti"}, nil
	})
}

// handleNodes has the events about other servers and their sockets.
func handleNodes(ns *tutti.Namespace) {
	handle(ns, "describe", func(ctx context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		var rooms []string
		if err := args.Scan(&rooms); err != nil {
			return nil, err
		}
		list := []map[string]any{}
		for info, err := range s.Namespace().To(rooms...).Sockets(ctx) {
			if err != nil {
				return nil, err
			}
			slices.Sort(info.Rooms)
			h := info.Handshake()
			list = append(list, map[string]any{
				"id": info.ID, "rooms": info.Rooms, "data": info.Data, "address": h.Remote, "secure": h.Secure, "url": h.URL,
				"who": h.Query.Get("who"), "header": h.Header.Get("X-Conformance"), "issued": h.Time.UnixMilli(),
			})
		}
		slices.SortFunc(list, func(a, b map[string]any) int { return cmp.Compare(a["id"].(string), b["id"].(string)) })
		return []any{list}, nil
	})
	handle(ns, "count-all", func(ctx context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		var rooms []string
		if err := args.Scan(&rooms); err != nil {
			return nil, err
		}
		n, err := s.Namespace().To(rooms...).Count(ctx)
		return []any{n}, err
	})
	handleTelling(ns)
}

// handleTelling has the events by which other servers' applications are told.
func handleTelling(ns *tutti.Namespace) {
	handle(ns, "tell-servers", func(_ context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		var event string
		if err := args.Scan(&event); err != nil {
			return nil, err
		}
		return []any{nil}, s.Namespace().EmitNodes(event, values(args.Slice(1, args.Len()))...)
	})
	handle(ns, "ask-servers", func(ctx context.Context, s *tutti.Socket, args tutti.Args) ([]any, error) {
		var event string
		if err := args.Scan(&event); err != nil {
			return nil, err
		}
		failed, replies := false, []any{}
		for answer, err := range s.Namespace().AskNodes(ctx, event, values(args.Slice(1, args.Len()))...) {
			if err != nil {
				failed = true
				break
			}
			replies = append(replies, answer.Args.At(0))
		}
		return []any{map[string]any{"failed": failed, "replies": replies}}, nil
	})
}
