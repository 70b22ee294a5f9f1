package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/auth/jwt"
	"github.com/tutti-rt/tutti/internal/config"
	"github.com/tutti-rt/tutti/metrics"
)

// identities is who clients are, by the settings.
type identities struct {
	authority *auth.Authority
	trace     *auth.Trace
	log       *slog.Logger
	fetched   func(err error)
	doorKeys  *atomic.Pointer[[]config.Key] // of door.key, those in use
	kept      revocations

	mu       sync.Mutex
	settings config.Settings // those in use
	tokens   *jwt.Verifier   // nil if no tokens are accepted
	issuers  jwt.Config      // what tokens was made of
	sessions *auth.Sessions  // nil if no cookies are
	asked    auth.SessionConfig
}

func newIdentities(s config.Settings, keys *atomic.Pointer[[]config.Key], m *metrics.Metrics, log *slog.Logger) (*identities, error) {
	i := &identities{log: log, doorKeys: keys, settings: s, kept: revocations{log: log}, fetched: m.KeySetFetched}
	i.trace = i.warns(m.Auth())
	m.WatchKeySets(i.failing)
	cfg, commit, err := i.config(s)
	if err != nil {
		return nil, err
	}
	if i.authority, err = auth.New(cfg); err != nil {
		return nil, err
	}
	commit()
	return i, nil
}

// warns makes a trace that says now and then in the log that revocations may not
// last as long as tokens do.
func (i *identities) warns(trace *auth.Trace) *auth.Trace {
	var last atomic.Int64 // seconds since 1970
	trace.Outlasts = func(id *auth.Identity) {
		now, before := time.Now().Unix(), last.Load()
		if now-before < int64(outlastsEvery.Seconds()) || !last.CompareAndSwap(before, now) {
			return
		}
		i.log.Warn("a token lasts longer than its user's revocation would be remembered: raise auth.revoke-for, or set auth.max-life",
			"issuer", id.Issuer)
	}
	return trace
}

// outlastsEvery is how often that is said at most.
const outlastsEvery = time.Hour

// close ends what the verifiers have under way.
func (i *identities) close(context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.tokens != nil {
		i.tokens.Close()
	}
	return i.kept.close()
}

// reload puts other settings to use.
func (i *identities) reload(s config.Settings) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	cfg, commit, err := i.config(s)
	if err != nil {
		return err
	}
	if err := i.authority.Reload(cfg); err != nil {
		return err
	}
	commit()
	i.settings = s
	return nil
}

// failing is how many key sets cannot be fetched.
func (i *identities) failing() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.tokens == nil {
		return 0
	}
	return i.tokens.Failing()
}

// inUse returns the settings that are.
func (i *identities) inUse() config.Settings {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.settings
}

// endKeys ends the connections of keys that are not there any more, or open less
// than they did. It is called when nobody accepts them any more.
func (i *identities) endKeys(old, now config.Settings) {
	end := func(name string) {
		i.authority.Register().EndKey(name, "the key is not valid any more")
	}
	for _, key := range old.Auth.Key {
		if !slices.Contains(now.Auth.Key, key) {
			end(key.Name)
		}
	}
	for _, key := range old.Door.Key {
		if !slices.ContainsFunc(now.Door.Key, func(other config.Key) bool {
			return other.Name == key.Name && other.Secret == key.Secret && !slices.ContainsFunc(key.Rooms, func(room string) bool { return !slices.Contains(other.Rooms, room) })
		}) {
			end(key.Name)
		}
	}
}

// config says in the authority's terms what the settings say. commit takes the
// new verifiers into use, and ends the old; those that stay as they were keep
// what they have fetched.
func (i *identities) config(s config.Settings) (cfg auth.Config, commit func(), err error) {
	cfg = auth.Config{
		AllowAnonymous: s.AllowsAnonymous(), AllowUnknown: !s.Auth.Identifies() && s.AllowsAnonymous(),
		Claim: s.Auth.Claim, Grace: s.Auth.Grace, RevokeFor: s.Auth.RevokeFor, MaxRevocations: int(s.Auth.Revoked), Revoked: i.kept.keep, Trace: i.trace,
	}
	if cfg.Claim == "none" {
		cfg.Claim = "-"
	}
	if cfg.Grace == 0 {
		cfg.Grace = -1
	}
	for _, g := range s.Auth.Grant {
		grant := auth.Grant{Rooms: g.Pattern, Key: g.Key, Issuer: g.Issuer, Claims: g.Claims}
		for _, may := range g.May {
			grant.May = append(grant.May, auth.Permission(may))
		}
		cfg.Grants = append(cfg.Grants, grant)
	}
	var hashed []auth.Key
	for _, k := range s.Auth.Key {
		hashed = append(hashed, auth.Key(k))
	}
	keys, err := auth.NewKeys(hashed...)
	if err != nil {
		return cfg, nil, err
	}
	if len(hashed) > 0 {
		cfg.Verifiers = append(cfg.Verifiers, keys)
	}
	if !cfg.AllowUnknown {
		cfg.Verifiers = append(cfg.Verifiers, doorKeys{i.doorKeys})
	}
	tokens, issuers, err := i.tokenVerifier(s)
	if err != nil {
		return cfg, nil, err
	}
	sessions, asked, err := i.sessionVerifier(s)
	if err != nil {
		return cfg, nil, err
	}
	if tokens != nil {
		cfg.Verifiers = append(cfg.Verifiers, tokens)
	}
	if sessions != nil {
		cfg.Verifiers = append(cfg.Verifiers, sessions)
	}
	return cfg, func() {
		if i.tokens != nil && i.tokens != tokens {
			i.tokens.Close()
		}
		i.tokens, i.issuers, i.sessions, i.asked = tokens, issuers, sessions, asked
	}, nil
}

func (i *identities) tokenVerifier(s config.Settings) (*jwt.Verifier, jwt.Config, error) {
	cfg, err := tokenConfig(s)
	if err != nil || len(cfg.Issuers) == 0 {
		return nil, cfg, err
	}
	if i.tokens != nil && reflect.DeepEqual(cfg, i.issuers) {
		return i.tokens, cfg, nil
	}
	made := cfg
	made.Log, made.Fetched = i.log, i.fetched
	v, err := jwt.New(made)
	return v, cfg, err
}

// tokenConfig reads the files that the settings name.
func tokenConfig(s config.Settings) (jwt.Config, error) {
	cfg := jwt.Config{Leeway: s.Auth.Leeway, MaxLife: s.Auth.MaxLife, Refresh: s.Auth.Refresh, MinRefresh: s.Auth.Retry}
	if cfg.Leeway == 0 {
		cfg.Leeway = -1
	}
	var errs []error
	for _, t := range s.Auth.Token {
		from := jwt.Issuer{Name: t.Name, KeySet: t.JWKS, Secret: []byte(t.Secret), Audience: t.Audience, Algorithms: t.Algorithms, Prefix: t.Prefix}
		if from.Name == "*" {
			from.Name = ""
		}
		var err error
		if t.SecretFile != "" {
			var text []byte
			text, err = os.ReadFile(t.SecretFile)
			from.Secret = []byte(strings.TrimRight(string(text), "\r\n"))
		} else if t.KeysFile != "" {
			from.Keys, err = os.ReadFile(t.KeysFile)
		}
		errs = append(errs, err)
		cfg.Issuers = append(cfg.Issuers, from)
	}
	if err := errors.Join(errs...); err != nil {
		return cfg, fmt.Errorf("auth.token: %w", err)
	}
	return cfg, nil
}

func (i *identities) sessionVerifier(s config.Settings) (*auth.Sessions, auth.SessionConfig, error) {
	cfg := sessionConfig(s)
	if cfg.URL == "" {
		return nil, cfg, nil
	}
	if i.sessions != nil && reflect.DeepEqual(cfg, i.asked) {
		return i.sessions, cfg, nil
	}
	made := cfg
	made.LimitHit = i.trace.LimitHit
	v, err := auth.NewSessions(made)
	return v, cfg, err
}

func sessionConfig(s config.Settings) auth.SessionConfig {
	cfg := auth.SessionConfig{
		URL: s.Auth.SessionURL, Cookies: s.Auth.SessionCookie, Headers: s.Auth.SessionHeader, Secret: string(s.Auth.SessionSecret),
		Timeout: s.Auth.SessionTimeout, Cache: s.Auth.SessionCache, Lifetime: s.Auth.SessionLife, MaxAsked: int(s.Auth.SessionAsked),
	}
	if cfg.Cache == 0 {
		cfg.Cache = -1
	}
	return cfg
}

// checkAuth finds what is wrong with what the settings of auth name.
func checkAuth(s config.Settings) error {
	keys := new(atomic.Pointer[[]config.Key])
	keys.Store(&s.Door.Key)
	i, err := newIdentities(s, keys, metrics.New(), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return i.close(context.Background())
}

// doorKeys knows the keys of door.key, so that who shows one is no stranger.
// What they open is the doors' and the verbs' to say.
type doorKeys struct {
	keys *atomic.Pointer[[]config.Key]
}

// Verify implements [auth.Verifier].
func (d doorKeys) Verify(ctx context.Context, c auth.Credentials) (*auth.Identity, error) {
	var known []auth.Key
	for _, k := range *d.keys.Load() {
		known = append(known, auth.Key{Name: k.Name, Hash: auth.HashSecret(k.Secret)})
	}
	keys, err := auth.NewKeys(known...)
	if err != nil {
		return nil, err
	}
	return keys.Verify(ctx, c)
}
