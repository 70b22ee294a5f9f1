package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/verb"
)

// verbConfig says in the verbs' terms who may do what. What a demo's rooms keep
// anyone may read, as anyone may listen there.
func verbConfig(s config.Settings) verb.Config {
	cfg := verb.Config{
		Permit:       permit,
		MaxData:      int(s.Limit.Data),
		MaxPage:      int(s.Limit.Page),
		MaxPageBytes: int(s.Limit.PageBytes),
	}
	for _, r := range s.Allow {
		cfg.Rules = append(cfg.Rules, verb.Rule{
			Pattern: r.Pattern, Events: r.Events,
			Join: who(r.Join), Publish: who(r.Publish), History: who(r.History), Presence: who(r.Presence), State: who(r.State),
		})
	}
	for _, pattern := range s.Open {
		cfg.Rules = append(cfg.Rules, verb.Open(pattern))
	}
	for _, pattern := range demos[s.Demo].rooms {
		cfg.Rules = append(cfg.Rules, verb.Rule{Pattern: pattern, History: verb.Anyone})
	}
	return cfg
}

func who(name string) verb.Who {
	var w verb.Who
	if name != "" && w.UnmarshalText([]byte(name)) != nil {
		return verb.Nobody // the settings have been checked
	}
	return w
}

// serveVerbs lets sockets of all namespaces use the verbs that the settings
// open. A demo has events of its own.
func (a *app) serveVerbs(s config.Settings, desk *verb.Desk) {
	if len(s.Allow) == 0 && len(s.Open) == 0 {
		return
	}
	for _, name := range append([]string{"/"}, s.Namespaces...) {
		ns := a.server.Namespace(name)
		if len(s.Door.Key) > 0 {
			ns.Guard(keyGuard(s.Door.Key))
		}
		ns.ServeVerbs(desk)
	}
}

type keyContext struct{}

// keyGuard notes which rooms the token of a socket opens, if it is one of the
// keys. It refuses nobody: who has no key may do what anyone may.
func keyGuard(keys []config.Key) tutti.Guard {
	hashes := make([][sha256.Size]byte, len(keys))
	for i, k := range keys {
		hashes[i] = sha256.Sum256([]byte(k.Secret))
	}
	return func(ctx context.Context, s *tutti.Socket) (context.Context, error) {
		hash, found := sha256.Sum256([]byte(s.Handshake().Token())), -1
		for i := range hashes { // all of them, so that the time tells nothing
			if subtle.ConstantTimeCompare(hash[:], hashes[i][:]) == 1 {
				found = i
			}
		}
		if found < 0 {
			return ctx, nil
		}
		s.Identify("key:" + keys[found].Name)
		return context.WithValue(ctx, keyContext{}, &keys[found]), nil
	}
}

// permit is asked where a rule wants a token.
func permit(ctx context.Context, _ verb.Caller, v verb.Verb, room string) error {
	if key, ok := ctx.Value(keyContext{}).(*config.Key); ok {
		for _, pattern := range key.Rooms {
			if hub.MatchRoom(pattern, room) {
				return nil
			}
		}
	}
	return &verb.Refusal{Code: verb.Forbidden, Message: fmt.Sprintf("%s takes a token in this room", v)}
}
