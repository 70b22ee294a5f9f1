package config

import (
	"path/filepath"
	"slices"
	"time"
)

// checkAuth checks who is asked who he is, and decides about strangers where the
// settings say nothing.
func (l *loader) checkAuth() {
	a := &l.Auth
	l.checkIssuers()
	for i, k := range a.Key {
		if slices.IndexFunc(a.Key, func(other HashedKey) bool { return other.Name == k.Name }) < i ||
			slices.ContainsFunc(l.Door.Key, func(other Key) bool { return other.Name == k.Name }) {
			l.wrong(l.placeOf("auth.key", i), "auth.key: another key has the name %q", k.Name)
		}
	}
	for i, g := range a.Grant {
		known := func(k HashedKey) bool { return k.Name == g.Key }
		if g.Key != "" && !slices.ContainsFunc(a.Key, known) && !slices.ContainsFunc(l.Door.Key, func(k Key) bool { return k.Name == g.Key }) {
			l.wrong(l.placeOf("auth.grant", i), "auth.grant: key=%s: no auth.key has that name", g.Key)
		}
		if g.Issuer != "" && !slices.ContainsFunc(a.Token, func(t TokenIssuer) bool { return t.Name == g.Issuer }) {
			l.wrong(l.placeOf("auth.grant", i), "auth.grant: issuer=%s: no auth.token has that name", g.Issuer)
		}
	}
	for i, event := range l.Relay {
		if a.Identifies() && l.Demo == "" && slices.Contains(append([]string{"auth"}, verbs...), event) {
			l.wrong(l.placeOf("relay", i), "relay is %q, which auth makes a verb: choose another name", event)
		}
	}
	if len(a.Grant) > 0 && !a.Identifies() && len(l.Door.Key) == 0 {
		l.not("auth.grant", "is for identified clients, and nobody is asked who he is: want auth.token, auth.key or auth.session-url")
	}
	l.checkSessions()
	l.checkStrangers()
	for _, t := range []struct {
		name      string
		value     time.Duration
		low, high time.Duration
	}{
		{"auth.leeway", a.Leeway, 0, 10 * time.Minute},
		{"auth.grace", a.Grace, 0, time.Hour},
		{"auth.max-life", a.MaxLife, 0, 10 * 365 * 24 * time.Hour},
		{"auth.revoke-for", a.RevokeFor, time.Minute, 10 * 365 * 24 * time.Hour},
		{"auth.refresh", a.Refresh, time.Second, 24 * time.Hour},
		{"auth.retry", a.Retry, time.Second, time.Hour},
		{"auth.session-timeout", a.SessionTimeout, 100 * time.Millisecond, time.Minute},
		{"auth.session-cache", a.SessionCache, 0, time.Hour},
		{"auth.session-life", a.SessionLife, time.Second, 30 * 24 * time.Hour},
	} {
		if t.value < t.low || t.value > t.high {
			l.not(t.name, "is %v: want %s to %s", t.value, shortDuration(t.low), shortDuration(t.high))
		}
	}
	if a.MaxLife > a.RevokeFor {
		l.conflict("auth.max-life", "auth.revoke-for", "auth.max-life is %s, longer than revocations are remembered by auth.revoke-for: %s",
			shortDuration(a.MaxLife), shortDuration(a.RevokeFor))
	}
	if a.Revoked < 1 {
		l.not("auth.revoked", "is %d: want 1 or more", a.Revoked)
	}
	if a.SessionAsked < 1 {
		l.not("auth.session-asked", "is %d: want 1 or more", a.SessionAsked)
	}
	if a.Claim == "" {
		l.not("auth.claim", `is "": want the name of a claim, or none`)
	}
}

func (l *loader) checkIssuers() {
	for i := range l.Auth.Token {
		t, at := &l.Auth.Token[i], l.placeOf("auth.token", i)
		for _, file := range []*string{&t.KeysFile, &t.SecretFile} {
			if *file != "" && at.File != "" && !filepath.IsAbs(*file) {
				*file = filepath.Join(filepath.Dir(at.File), *file)
			}
		}
		first := slices.IndexFunc(l.Auth.Token, func(other TokenIssuer) bool { return other.Prefix == t.Prefix })
		if first < i {
			l.wrong(at, "auth.token: %s has the same prefix= as %s, so that users of one would be taken for users of the other: give each its own", t.Name, l.Auth.Token[first].Name)
		}
	}
}

func (l *loader) checkSessions() {
	a := &l.Auth
	switch {
	case a.SessionURL != "" && len(a.SessionCookie) == 0:
		l.not("auth.session-url", "is asked about cookies, and auth.session-cookie names none")
	case a.SessionURL == "" && len(a.SessionCookie) > 0:
		l.not("auth.session-cookie", "is sent to auth.session-url, which is not there")
	case a.SessionURL != "" && l.Cookie != "" && slices.Contains(a.SessionCookie, l.Cookie):
		l.conflict("auth.session-cookie", "cookie", "auth.session-cookie names the cookie that the server sets itself: want the application's")
	}
}

// checkStrangers demands a word about strangers where others than this machine
// can connect: what is open to anyone is open to the internet.
func (l *loader) checkStrangers() {
	a := &l.Auth
	if a.Anonymous != Auto || a.Identifies() || l.AllowsAnonymous() {
		return
	}
	const want = "and rooms are open to anyone: want auth.token, auth.key or auth.session-url to ask who comes, or auth.anonymous: true if anyone may"
	if isLoopback(l.Listen) {
		l.not("trusted-proxies", "say that others can reach the server, "+want)
		return
	}
	l.not("listen", "is %q, which others can reach, "+want, l.Listen)
}

// AllowsAnonymous says whether who shows nothing is let in.
func (s *Settings) AllowsAnonymous() bool {
	if s.Auth.Anonymous != Auto {
		return s.Auth.Anonymous == Yes
	}
	return s.Demo != "" || !s.Auth.Identifies() && (s.isPrivate() || !s.opensAnything())
}

// isPrivate says whether only this machine can reach the server: what a proxy
// on it passes on comes from anywhere.
func (s *Settings) isPrivate() bool { return isLoopback(s.Listen) && len(s.Proxies) == 0 }

// opensAnything says whether a stranger could do more than connect.
func (s *Settings) opensAnything() bool {
	return len(s.Open) > 0 || len(s.Relay) > 0 || s.RelayText || len(s.Door.Listen) > 0 || len(s.Door.Publish) > 0 ||
		slices.ContainsFunc(s.Allow, func(r VerbRule) bool {
			return slices.Contains([]string{r.Join, r.Publish, r.History, r.Presence, r.State}, "anyone")
		})
}
