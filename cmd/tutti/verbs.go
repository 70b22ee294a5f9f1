package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"reflect"
	"slices"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/verb"
)

// verbConfig says in the verbs' terms who may do what. What a demo's rooms keep
// anyone may read, as anyone may listen there.
func verbConfig(s config.Settings) verb.Config {
	cfg := verb.Config{
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

// deskConfig is verbConfig with what belongs to this server.
func (a *app) deskConfig(s config.Settings) verb.Config {
	cfg := verbConfig(s)
	cfg.Permit, cfg.Check, cfg.Bearers = a.permit, a.schemas.Check, s.Auth.Identifies()
	return cfg
}

// serveVerbs lets sockets of all namespaces use the verbs that the settings
// open; those that they come to open later, when it is called again. A demo has
// events of its own.
func (a *app) serveVerbs(s config.Settings) {
	if len(s.Allow) == 0 && len(s.Open) == 0 && (s.Demo != "" || !s.Auth.Identifies()) {
		return
	}
	for _, name := range append([]string{"/"}, s.Namespaces...) {
		ns := a.server.Namespace(name)
		if !a.serving {
			ns.Guard(a.keyGuard)
		}
		ns.ServeVerbs(a.desk)
	}
	a.serving = true
}

// reviewSockets has those looked at that are in rooms, if the settings open others
// now. Who showed a key that opens less is disconnected, see endKeys.
func (a *app) reviewSockets(old, now config.Settings) {
	if !a.serving || reflect.DeepEqual(old.Allow, now.Allow) && slices.Equal(old.Open, now.Open) {
		return
	}
	for _, name := range append([]string{"/"}, now.Namespaces...) {
		a.server.Namespace(name).Review()
	}
}

type keyContext struct{}

// keyGuard notes whose key the token of a socket is, if it is one. It refuses
// nobody: who has no key may do what anyone may.
func (a *app) keyGuard(ctx context.Context, s *tutti.Socket) (context.Context, error) {
	hash, keys := sha256.Sum256([]byte(s.Handshake().Token())), *a.keys.Load()
	found := -1
	for i, k := range keys { // all of them, so that the time tells nothing
		known := sha256.Sum256([]byte(k.Secret))
		if subtle.ConstantTimeCompare(hash[:], known[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return ctx, nil
	}
	s.Identify("key:" + keys[found].Name)
	return context.WithValue(ctx, keyContext{}, keys[found]), nil
}

// permit is asked where a rule wants a token: which rooms a key opens is what
// the settings say now, if they have it still.
func (a *app) permit(ctx context.Context, _ verb.Caller, v verb.Verb, room string) error {
	shown, _ := ctx.Value(keyContext{}).(config.Key)
	for _, key := range *a.keys.Load() {
		if key.Name != shown.Name || key.Secret != shown.Secret {
			continue
		}
		for _, pattern := range key.Rooms {
			if hub.MatchRoom(pattern, room) {
				return nil
			}
		}
	}
	return &verb.Refusal{Code: verb.Forbidden, Message: fmt.Sprintf("%s takes a token in this room", v)}
}
