package admin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/tutti-rt/tutti"
)

// UINamespace is where the official Socket.IO admin UI connects.
const UINamespace = "/admin"

// UI lets the official Socket.IO admin UI connect.
type UI struct {
	// Development has it told of every socket, room and event. Else it is told
	// numbers.
	Development bool
	// User and PasswordHash are what it logs in with; the hash is bcrypt's.
	User, PasswordHash string
	// Readonly keeps it from acting.
	Readonly bool
}

func (u *UI) validate() error {
	if u == nil {
		return nil
	}
	if _, err := bcrypt.Cost([]byte(u.PasswordHash)); u.User == "" || err != nil {
		return errors.New("the admin UI needs a user and the bcrypt hash of a password")
	}
	return nil
}

// What the UI is limited to.
const (
	uiLogins       = 8                // that wait for one that is being checked
	uiSessions     = 256              // that may come back without a password
	uiSessionLife  = 24 * time.Hour   // as with the official server's Redis store
	uiQueue        = 4096             // events that wait to be told
	uiMostSockets  = 2000             // that it is told of when it connects
	uiStatsSeconds = 2                // between two reports
	uiReportKept   = 10 * time.Second // how far back the first report goes
)

// errCredentials is what Node's server says, and the UI looks for.
var errCredentials = &tutti.Refusal{Message: "invalid credentials"}

// errLogins is what those hear who try when enough others do: an operator is to
// wait for a few of them at most.
var errLogins = &tutti.Refusal{Message: "too many logins at a time: come again", Data: struct {
	Code  string `json:"code"`
	Retry int    `json:"retry"` // milliseconds
}{"unavailable", 5000}}

// ui serves the namespace of the official admin UI.
type ui struct {
	admin *Admin
	cfg   UI
	ns    *tutti.Namespace

	connected atomic.Int64  // UIs that are
	queue     chan uiEvent  // what they are to be told, see Admin.Run
	waiting   atomic.Int32  // logins, the one that is checked included
	checking  chan struct{} // one password at a time: each takes a processor for a while

	mu       sync.Mutex
	sessions map[string]time.Time // and until when

	reported time.Time // by Admin.Run only
}

// A uiEvent is what a UI is told.
type uiEvent struct {
	name string
	args []any
}

// serveUI opens the namespace.
func (a *Admin) serveUI(srv *tutti.Server) {
	u := &a.ui
	u.ns = srv.Namespace(UINamespace)
	u.ns.AdmitAnonymous() // it has credentials of its own
	u.ns.Guard(u.guard)
	u.ns.OnConnect(u.connect)
	u.ns.OnDisconnect(func(context.Context, *tutti.Socket, tutti.Reason) { u.connected.Add(-1) })
	if !u.cfg.Readonly {
		u.serveActions()
	}
}

// enabled says whether there is such a namespace.
func (u *ui) enabled() bool { return u.cfg.User != "" }

// watched says whether somebody wants to be told of everything.
func (u *ui) watched() bool { return u.cfg.Development && u.connected.Load() > 0 }

// guard lets in who has the password, or was let in before.
func (u *ui) guard(ctx context.Context, s *tutti.Socket) (context.Context, error) {
	var auth struct {
		Username, Password, SessionID string
	}
	if err := s.Handshake().ScanAuth(&auth); err != nil {
		return nil, errCredentials
	}
	if auth.SessionID != "" {
		if !u.known(auth.SessionID) {
			return nil, errCredentials
		}
		return ctx, nil
	}
	from := hostOf(s.Session().Request().RemoteAddr)
	if auth.Username == "" && auth.Password == "" {
		return nil, errCredentials // how it asks whether credentials are needed
	}
	if u.admin.guess(from) != nil {
		u.admin.cfg.Metrics.OperatorRefused()
		return nil, &tutti.Refusal{Message: "too many tries"}
	}
	defer u.waiting.Add(-1)
	if u.waiting.Add(1) > 1+uiLogins {
		u.admin.cfg.Metrics.Operators()("logins")
		s.Session().Peer().Reached("admin", "logins")
		return nil, errLogins
	}
	if !u.check(ctx, auth.Username, auth.Password) {
		u.admin.cfg.Metrics.OperatorRefused()
		u.admin.noteWrong(from, "login", UINamespace, errUnauthorized)
		return nil, errCredentials
	}
	u.admin.record(Entry{Who: u.cfg.User, From: from, Action: "login", Target: UINamespace}, nil)
	if _, err := s.Emit("session", u.remember()); err != nil {
		return nil, err
	}
	return ctx, nil
}

// check compares with name and password. Both are always looked at.
func (u *ui) check(ctx context.Context, name, password string) bool {
	select {
	case u.checking <- struct{}{}:
		defer func() { <-u.checking }()
	case <-ctx.Done():
		return false
	}
	err := bcrypt.CompareHashAndPassword([]byte(u.cfg.PasswordHash), []byte(password))
	return err == nil && name == u.cfg.User
}

// remember returns an id with which the UI gets in again.
func (u *ui) remember() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	id := hex.EncodeToString(b[:])
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	first := ""
	for other, until := range u.sessions {
		if now.After(until) {
			delete(u.sessions, other)
		} else if first == "" || until.Before(u.sessions[first]) {
			first = other
		}
	}
	if len(u.sessions) >= uiSessions {
		delete(u.sessions, first)
	}
	u.sessions[id] = now.Add(uiSessionLife)
	return id
}

func (u *ui) known(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return time.Now().Before(u.sessions[id])
}

// connect tells a UI what there is.
func (u *ui) connect(_ context.Context, s *tutti.Socket) {
	features := []string{}
	if !u.cfg.Readonly {
		features = append(features, "EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT")
	}
	features = append(features, "AGGREGATED_EVENTS")
	if u.cfg.Development {
		features = append(features, "ALL_EVENTS")
	}
	u.connected.Add(1)
	_, err := s.Emit("config", map[string][]string{"supportedFeatures": features})
	if err == nil && u.cfg.Development {
		all := u.admin.roster.fresh().entries
		sockets := make([]uiSocket, 0, min(len(all), uiMostSockets))
		for i := range all[:min(len(all), uiMostSockets)] {
			sockets = append(sockets, describe(all[i].socket, all[i].namespace, true))
		}
		_, err = s.Emit("all_sockets", sockets)
	}
	if err == nil {
		_, err = s.Emit("server_stats", u.stats(nil))
	}
	if err != nil && !errors.Is(err, tutti.ErrDisconnected) {
		u.admin.log.Error("tell the admin UI", keyErr, err)
	}
}

// uiStats is what a server says of itself.
type uiStats struct {
	ServerID       string        `json:"serverId"`
	Hostname       string        `json:"hostname"`
	PID            int           `json:"pid"`
	Uptime         float64       `json:"uptime"`
	Clients        int           `json:"clientsCount"`
	PollingClients int           `json:"pollingClientsCount"`
	Events         []uiCount     `json:"aggregatedEvents"`
	Namespaces     []uiNamespace `json:"namespaces"`
}

// uiCount is how often something happened in a second.
type uiCount struct {
	Timestamp int64   `json:"timestamp"`
	Type      string  `json:"type"`
	SubType   string  `json:"subType,omitempty"`
	Count     float64 `json:"count"`
}

type uiNamespace struct {
	Name    string `json:"name"`
	Sockets int    `json:"socketsCount"`
}

func (u *ui) stats(events []uiCount) uiStats {
	a := u.admin
	s := uiStats{
		ServerID: a.cfg.Node, Hostname: a.cfg.Node, PID: os.Getpid(), Uptime: time.Since(a.started).Seconds(),
		Clients: a.server.Engine().Sessions(), Events: append([]uiCount{}, events...), Namespaces: []uiNamespace{},
	}
	counts := map[string]int{}
	polling := map[any]bool{}
	all := a.roster.all().entries
	for i := range all {
		e := &all[i]
		counts[e.namespace]++
		if session := e.socket.Session(); session.Transport() == "polling" {
			polling[session] = true
		}
	}
	s.PollingClients = len(polling)
	for _, sp := range a.spaces() {
		s.Namespaces = append(s.Namespaces, uiNamespace{sp.Namespace(), counts[sp.Namespace()]})
	}
	return s
}

// report tells the UIs every other second how it goes. It is called by
// Admin.Run with each sample.
func (u *ui) report(now time.Time) {
	if u.connected.Load() == 0 || now.Sub(u.reported) < uiStatsSeconds*time.Second-100*time.Millisecond {
		return
	}
	since := u.reported
	if now.Sub(since) > uiReportKept {
		since = now.Add(-uiReportKept)
	}
	u.reported = now
	u.tell(uiEvent{"server_stats", []any{u.stats(u.admin.meter.uiCounts(since))}})
}

// uiCounts are the seconds after a time, as the UI counts.
func (m *meter) uiCounts(since time.Time) []uiCount {
	m.mu.Lock()
	samples := slices.Clone(m.samples)
	m.mu.Unlock()
	var counts []uiCount
	for i := 1; i < len(samples); i++ {
		if !samples[i].at.After(since) {
			continue
		}
		a, b, at := samples[i-1].reading, samples[i].reading, samples[i].at.Truncate(time.Second).UnixMilli()
		add := func(kind, sub string, n float64) {
			if n > 0 {
				counts = append(counts, uiCount{at, kind, sub, n})
			}
		}
		add("rawConnection", "", b.Opened-a.Opened)
		for _, reason := range slices.Sorted(keysOf(b.Reasons)) {
			add("rawDisconnection", reason, b.Reasons[reason]-a.Reasons[reason])
		}
		add("packetsIn", "", b.Received-a.Received)
		add("packetsOut", "", b.Sent-a.Sent)
		add("bytesIn", "", b.ReceivedBytes-a.ReceivedBytes)
		add("bytesOut", "", b.SentBytes-a.SentBytes)
	}
	return counts
}

// put has UIs told of something. It never waits: what is too much is dropped,
// as the UI is for looking and not for counting.
func (u *ui) put(name string, args ...any) { // the arguments of an event
	select {
	case u.queue <- uiEvent{name, args}:
	default:
	}
}

// tell tells them. It is called by Admin.Run only.
func (u *ui) tell(e uiEvent) {
	if _, err := u.ns.Emit(e.name, e.args...); err != nil && !errors.Is(err, tutti.ErrTooManyAttachments) {
		u.admin.log.Debug("tell the admin UI", keyErr, fmt.Errorf("%s: %w", e.name, err))
	}
}
