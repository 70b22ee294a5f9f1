package main

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/demo/chat"
	"github.com/tutti-rt/tutti/internal/config"
)

// A demo is an application that the program carries.
type demo struct {
	// rooms are the patterns of those that its doors open to anyone.
	rooms []string
	// durable are the rules of those that keep a history, if there is a folder
	// to keep it in.
	durable []config.RoomRule
	// mount puts it on a server and returns what ends it, after the server has
	// ended its sessions.
	mount func(*tutti.Server, *http.ServeMux) (end func(context.Context) error, err error)
}

var demos = map[string]demo{
	"chat": {
		rooms: []string{"chat:*"},
		durable: []config.RoomRule{
			{Pattern: "chat:*", Count: 100_000, Durability: "fsync"},
			{Pattern: "chat-screens:*", Count: 100_000, Durability: "fsync"},
			{Pattern: "chat-register", Count: 1000, Durability: "fsync"},
		},
		mount: mountChat,
	},
}

func demoNames() []string { return slices.Sorted(maps.Keys(demos)) }

func mountChat(srv *tutti.Server, mux *http.ServeMux) (func(context.Context) error, error) {
	c, err := chat.Mount(srv.Namespace("/"), mux)
	if err != nil {
		return nil, err
	}
	mux.Handle("GET /{$}", http.RedirectHandler("/chat/", http.StatusFound))
	return func(context.Context) error {
		c.Close()
		return nil
	}, nil
}
