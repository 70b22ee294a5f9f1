package config

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// validate checks what each value on its own can't know: ranges, names, and
// settings that contradict each other.
func (l *loader) validate(facts Facts) {
	l.checkWhere()
	l.checkContent(facts)
	l.checkEvents(facts)
	l.checkOrigins()
	l.checkHosts()
	l.checkDoors()
	l.checkAuth()
	l.checkMemory()
	l.checkNode()
	l.checkVerbs(facts)
	l.checkAdmin()
	l.checkTraces()
	l.checkSchemas(facts)
	l.checkTLS()
	l.checkTransports()
	l.checkTimes()
	l.checkLimits()
	if f := l.Log.Format; f != "text" && f != "json" {
		l.not("log.format", "is %q: want text or json", f)
	}
}

// place is where the last value of a setting came from.
func (l *loader) place(name string) Place { return l.placeOf(name, len(l.places[name])-1) }

// Place is where the i-th value of a setting came from.
func (l *Loaded) Place(name string, i int) Place {
	if places := l.places[name]; i >= 0 && i < len(places) {
		return places[i]
	}
	return Place{}
}

// placeOf is where the i-th value of a list came from.
func (l *loader) placeOf(name string, i int) Place {
	return l.Place(name, i)
}

// not reports a setting whose value can't be.
func (l *loader) not(name, format string, args ...any) {
	l.wrong(l.place(name), "%s "+format, append([]any{name}, args...)...)
}

// conflict reports two settings that exclude each other, at the one that
// overrides more.
func (l *loader) conflict(a, b, format string, args ...any) {
	at, other := l.place(a), l.place(b)
	if other.rank() > at.rank() || at == (Place{}) {
		at, other = other, at
		b = a
	}
	l.wrong(at, "%s (%s: %s)", fmt.Sprintf(format, args...), b, other)
}

func (l *loader) checkWhere() {
	if !isAddress(l.Listen) {
		l.not("listen", "is %q: want HOST:PORT, such as 127.0.0.1:3000 or :3000", l.Listen)
	}
	if l.Metrics != "" && !isAddress(l.Metrics) {
		l.not("metrics", "is %q: want HOST:PORT, such as 127.0.0.1:9090", l.Metrics)
	}
	if l.Metrics == l.Listen && !strings.HasSuffix(l.Listen, ":0") {
		l.conflict("metrics", "listen", "metrics and listen are the same address: what operators read is not for clients")
	}
	switch p := l.Path; {
	case !strings.HasSuffix(p, "/") || !plainPath.MatchString(p[:len(p)-1]):
		l.not("path", "is %q: want a path with / at both ends, such as /socket.io/", p)
	case slices.Contains(ownPaths, strings.Split(p, "/")[1]):
		l.not("path", "is %q: what begins with /%s is served already", p, strings.Split(p, "/")[1])
	}
	if c := l.Cookie; c != "" && strings.ContainsFunc(c, notToken) {
		l.not("cookie", "is %q: want letters, digits, - and _", c)
	}
}

// ownPaths are the beginnings of the paths that doors, demos and operators use.
var ownPaths = []string{"api", "chat", "events", "healthz", "metrics", "ws"}

func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	n, convErr := strconv.Atoi(port)
	return err == nil && convErr == nil && n >= 0 && n <= 65535
}

func notToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

func (l *loader) checkContent(facts Facts) {
	if d := l.Demo; d != "" && !slices.Contains(facts.Demos, d) {
		l.not("demo", "is %q: want %s", d, alternatives(facts.Demos))
	}
	if l.Static != "" {
		info, err := os.Stat(string(l.Static))
		switch {
		case err != nil:
			l.not("static", "is %q, which can't be opened (%v): want a folder", l.Static, err)
		case !info.IsDir():
			l.not("static", "is %q, which is a file: want a folder", l.Static)
		}
	}
	if l.Demo != "" && l.Static != "" {
		l.conflict("static", "demo", "static and demo both serve /: choose one")
	}
	if l.Demo != "" && len(l.Relay) > 0 {
		l.conflict("relay", "demo", "relay and demo can't go together: a demo handles its events itself")
	}
}

func (l *loader) checkEvents(facts Facts) {
	for i, event := range l.Relay {
		at := l.placeOf("relay", i)
		switch {
		case event == "":
			l.wrong(at, `relay is "": want the name of an event`)
		case facts.Reserved != nil && facts.Reserved(event):
			l.wrong(at, "relay is %q, which belongs to the protocol: want a name of your own", event)
		case slices.Index(l.Relay, event) < i:
			l.wrong(at, "relay names %q twice", event)
		}
	}
	for i, name := range l.Namespaces {
		at := l.placeOf("namespace", i)
		switch {
		case !plainPath.MatchString(name):
			l.wrong(at, "namespace is %q: want a name of letters, digits, -, _ and . that starts with /, such as /chat", name)
		case slices.Index(l.Namespaces, name) < i:
			l.wrong(at, "namespace names %q twice", name)
		}
	}
}

// plainPath is a path that is the same however it is cleaned or escaped, so
// that a namespace's name can be a part of its doors' paths.
var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+$`)

func (l *loader) checkOrigins() {
	for i, origin := range l.Origin {
		at := l.placeOf("origin", i)
		if origin == "*" {
			if l.Credentials {
				l.wrong(at, "origin * can't go with credentials, it would let every site act as its visitors: name the origins (credentials: %s)", l.place("credentials"))
			}
			continue
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || strings.TrimSuffix(origin, "/") != u.Scheme+"://"+u.Host {
			l.wrong(at, "origin is %q: want a scheme and a host, such as https://app.example.com, or *", origin)
			continue
		}
		l.Origin[i] = strings.TrimSuffix(origin, "/")
	}
}

// checkHosts checks the names, which are compared as they are.
func (l *loader) checkHosts() {
	for i, host := range l.Hosts {
		if host != "*" && (host == "" || strings.ContainsAny(host, "*/@ ,")) {
			l.wrong(l.placeOf("hosts", i), "hosts is %q: want a name such as app.example.com, perhaps with a port, or *", host)
		}
		l.Hosts[i] = strings.ToLower(host)
	}
}

func (l *loader) checkDoors() {
	for _, other := range []struct {
		name string
		set  bool
	}{
		{"demo", l.Demo != ""},
		{"door.listen", len(l.Door.Listen) > 0},
		{"door.publish", len(l.Door.Publish) > 0},
		{"door.key", len(l.Door.Key) > 0},
	} {
		if l.RelayText && other.set {
			l.conflict("relay-text", other.name, "relay-text opens /ws to everyone, %s opens it for some rooms: choose one", other.name)
		}
	}
	for _, list := range []struct {
		name     string
		patterns []string
	}{
		{"door.listen", l.Door.Listen},
		{"door.publish", l.Door.Publish},
	} {
		if i := slices.Index(list.patterns, ""); i >= 0 {
			l.wrong(l.placeOf(list.name, i), `%s is "": want the pattern of a room, such as chat:*`, list.name)
		}
	}
	for i, k := range l.Door.Key {
		if slices.IndexFunc(l.Door.Key, func(other Key) bool { return other.Name == k.Name }) < i {
			l.wrong(l.placeOf("door.key", i), "door.key: a second key has the name %q", k.Name)
		}
	}
}

func (l *loader) checkTransports() {
	known := []string{"polling", "websocket"}
	if len(l.Transport) == 0 {
		l.not("transport", "is empty: want polling, websocket or both")
	}
	for i, t := range l.Transport {
		switch {
		case !slices.Contains(known, t):
			l.wrong(l.placeOf("transport", i), "transport is %q: want polling or websocket", t)
		case slices.Index(l.Transport, t) < i:
			l.wrong(l.placeOf("transport", i), "transport names %s twice", t)
		}
	}
}

func (l *loader) checkTimes() {
	const least = 100 * time.Millisecond
	for _, t := range []struct {
		name      string
		value     time.Duration
		low, high time.Duration
	}{
		{"ping.interval", l.Ping.Interval, least, time.Hour},
		{"ping.timeout", l.Ping.Timeout, least, time.Hour},
		{"timeout.upgrade", l.Timeout.Upgrade, least, 10 * time.Minute},
		{"timeout.connect", l.Timeout.Connect, least, time.Hour},
		{"timeout.attachment", l.Timeout.Attachment, least, time.Hour},
		{"timeout.write", l.Timeout.Write, least, 10 * time.Minute},
		{"timeout.header", l.Timeout.Header, least, 10 * time.Minute},
		{"timeout.idle", l.Timeout.Idle, least, time.Hour},
		{"timeout.drain", l.Timeout.Drain, 0, time.Hour},
		{"timeout.engine", l.Timeout.Engine, 10 * time.Millisecond, time.Minute},
		{"timeout.refusal", l.Timeout.Refusal, 0, 5 * time.Second},
		{"timeout.pace", l.Timeout.Pace, 0, time.Hour},
		{"door.retry", l.Door.Retry, least, time.Hour},
		{"window", l.Window, time.Second, 30 * 24 * time.Hour},
		{"presence.grace", l.Presence.Grace, 0, time.Hour},
		{"presence.tick", l.Presence.Tick, time.Millisecond, time.Minute},
	} {
		if t.value < t.low || t.value > t.high {
			l.not(t.name, "is %v: want %s to %s", t.value, shortDuration(t.low), shortDuration(t.high))
		}
	}
}

func (l *loader) checkLimits() {
	if p := l.Limit.Payload; p < 100 || p > 1<<30 {
		l.not("limit.payload", "is %s: want 100 to 1GiB", mustText(p))
	}
	if h := l.Limit.Header; h < 4<<10 || h > 16<<20 {
		l.not("limit.header", "is %s: want 4KiB to 16MiB", mustText(h))
	}
	for _, b := range []struct {
		name  string
		value Bytes
	}{
		{"limit.packet", l.Limit.Packet},
		{"limit.queue", l.Limit.Queue},
		{"limit.inbox", l.Limit.Inbox},
	} {
		if b.value >= 0 && b.value < l.Limit.Payload {
			l.conflict(b.name, "limit.payload", "%s is %s, less than the %s that one message may have: want at least that", b.name, mustText(b.value), mustText(l.Limit.Payload))
		}
	}
	if b := l.Limit.Busy; b < 1000 || b > 10_000_000 {
		l.not("limit.busy", "is %d: want 1000 to 10000000", b)
	}
	if r := l.Limit.Reserve; r < 0 {
		l.not("limit.reserve", "is none: want 0 or more")
	}
	if p := l.Limit.Page; p < 1 || p > 1000 {
		l.not("limit.page", "is %d: want 1 to 1000", p)
	}
	if t := l.Limit.Tape; t < 1 {
		l.not("limit.tape", "is %s: want a size", mustText(t))
	}
	// Zero means the default to the library, which is not what it says here.
	for _, c := range []struct {
		name  string
		value Count
	}{
		{"limit.address", l.Limit.Address},
		{"limit.gone", l.Limit.Gone},
		{"limit.ids", l.Limit.IDs},
		{"limit.user", l.Limit.User},
		{"limit.requests", l.Limit.Requests},
		{"limit.namespaces", l.Limit.Namespaces},
		{"limit.dynamic", l.Limit.Dynamic},
		{"limit.rooms", l.Limit.Rooms},
		{"limit.calls", l.Limit.Calls},
		{"limit.batch", l.Limit.Batch},
		{"limit.attachments", l.Limit.Attachments},
		{"limit.binaries", l.Limit.Binaries},
		{"limit.depth", l.Limit.Depth},
		{"limit.auth", Count(l.Limit.Auth)},
		{"limit.namespace-name", Count(l.Limit.NamespaceName)},
		{"limit.room-name", Count(l.Limit.RoomName)},
		{"limit.event-name", Count(l.Limit.EventName)},
		{"limit.data", Count(l.Limit.Data)},
		{"limit.state", Count(l.Limit.State)},
		{"limit.page-bytes", Count(l.Limit.PageBytes)},
		{"door.streams", l.Door.Streams},
		{"door.rooms", l.Door.Rooms},
		{"door.rate", l.Door.Rate},
		{"door.publish-rate", l.Door.PublishRate},
		{"door.key-rate", l.Door.KeyRate},
	} {
		if c.value == 0 {
			l.not(c.name, "is 0: want 1 or more, or none")
		}
	}
	for _, c := range []struct {
		name  string
		value Count
	}{
		{"door.burst", l.Door.Burst},
		{"door.publish-burst", l.Door.PublishBurst},
		{"door.key-burst", l.Door.KeyBurst},
	} {
		if c.value < 1 {
			l.not(c.name, "is %d: want 1 or more; the rate can be none", c.value)
		}
	}
}

func mustText(b Bytes) string {
	text, err := b.MarshalText()
	if err != nil {
		panic(err) // it never does
	}
	return string(text)
}

// alternatives is "a", "a or b", "a, b or c".
func alternatives(names []string) string {
	if len(names) == 0 {
		return "none, this program has none"
	}
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
