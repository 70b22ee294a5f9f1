package tutti_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/auth"
	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/verb"
)

var updateDocs = flag.Bool("update", false, "write the tables in docs anew")

// The rooms of the table: what is open in them, whoever comes.
const (
	tableRoom = "chat:acme:tea" // what tokens, grants and Permit open
	openRoom  = "open:tea"      // anyone
	clubRoom  = "club:tea"      // anyone joins, members do the rest
)

// tableKey is a key of the doors, for what begins with chat:acme:
const tableKey = "a key of the doors"

// A role is who comes to the table's doors, and to which room.
type role struct {
	name, token string
	may         string // "": nothing, "all": everything in the room, "admin": and disconnect, "join": that and leave, "doors": everything but by Socket.IO
	strict      bool   // to a server that lets no stranger in
	room        string // tableRoom unless it says otherwise
	cookie      string // shown instead of a token
	origin      string // of the page that shows it; "own" is the server's
	member      bool   // joins before
	before      string // the token with which it came first, joined, and lost its connection
}

var roles = []role{
	{name: "stranger, where they are not let in", strict: true},
	{name: "stranger"},
	{name: "stranger, by a rule `anyone`", room: openRoom, may: "all"},
	{name: "stranger, by a rule `members`, not in the room", room: clubRoom, may: "join"},
	{name: "stranger, by a rule `members`, in the room", room: clubRoom, may: "all", member: true},
	{name: "user", token: "user"},
	{name: "user with a grant", token: "granted", may: "all"},
	{name: "user with a claim", token: "claimed", may: "all"},
	{name: "user of another org", token: "other"},
	{name: "user whom `Permit` lets", token: "permitted", may: "all"},
	{name: "user by cookie, from a page of the server", cookie: "ann", origin: "own", may: "all"},
	{name: "user by cookie, from a page of another origin", cookie: "ann", origin: "https://elsewhere.example", strict: true},
	{name: "nobody's cookie", cookie: "eve", origin: "own"},
	{name: "user, expired", token: "expired"},
	{name: "user, revoked", token: "revoked"},
	{name: "user, recovered with the same rights", before: "granted", token: "granted", may: "all"},
	{name: "user, recovered with fewer", before: "granted", token: "demoted"},
	{name: "unknown token", token: "unknown"},
	{name: "key of `door.key`", token: tableKey, may: "doors"},
	{name: "key of `auth.key` with `admin`", token: "ops", may: "admin"},
}

// holders are who shows these tokens.
type holders struct{}

func (holders) Verify(_ context.Context, c auth.Credentials) (*auth.Identity, error) {
	id := &auth.Identity{Subject: c.Token, Method: auth.ByToken, Issued: time.Now(), TokenID: "id of " + c.Token, Expiry: time.Now().Add(time.Hour)}
	switch c.Token {
	case "user", "permitted", "revoked":
	case "granted":
		id.Claims = map[string]any{"org": "acme"}
	case "demoted":
		id.Subject = "granted"
	case tableKey:
		id = &auth.Identity{Subject: "key:doors", Method: auth.ByKey}
	case "other":
		id.Claims = map[string]any{"org": "acme:*"}
	case "claimed":
		id.Claims = map[string]any{"tutti": map[string]any{"rooms": map[string]any{"chat:acme:*": "*"}}}
	case "expired":
		id.Expiry = time.Now().Add(-time.Minute)
	case "ops":
		id = &auth.Identity{Subject: "key:ops", Method: auth.ByKey}
	default:
		return nil, nil
	}
	return id, nil
}

// tableServer serves all doors.
func tableServer(t *testing.T, strict bool) *httptest.Server {
	t.Helper()
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("session"); err == nil && c.Value == "ann" {
			io.WriteString(w, `{"user":"ann","claims":{"org":"acme"}}`)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(application.Close)
	sessions, err := auth.NewSessions(auth.SessionConfig{URL: application.URL, Cookies: []string{"session"}})
	if err != nil {
		t.Fatal(err)
	}
	authority, err := auth.New(auth.Config{
		Verifiers: []auth.Verifier{holders{}, sessions}, AllowAnonymous: !strict,
		Grants: []auth.Grant{
			{Rooms: "chat:{org}:*", May: []auth.Permission{"*"}},
			{Rooms: "*", May: []auth.Permission{"*", auth.Admin}, Key: "ops"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	authority.Register().Revoke(auth.Revocation{Token: "id of revoked", Until: time.Now().Add(time.Hour)})
	srv, err := tutti.New(tutti.Config{Auth: authority, Log: slog.New(slog.DiscardHandler), Hub: hub.Config{
		Memory: func(string) *hub.Memory {
			return &hub.Memory{Rooms: []hub.RoomRule{{Pattern: "chat:*"}, {Pattern: "open:*"}, {Pattern: "club:*"}}}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w, m := verb.Token, verb.Members
	desk, err := verb.New(verb.Config{
		Bearers: true,
		Rules: []verb.Rule{
			{Pattern: "chat:*", Join: w, Publish: w, History: w, Presence: w, State: w},
			{Pattern: "club:*", Join: verb.Anyone, Publish: m, History: m, Presence: m, State: m},
			verb.Open("open:*"),
		},
		Permit: func(ctx context.Context, _ verb.Caller, v verb.Verb, _ string) error {
			if auth.FromContext(ctx).User() == "permitted" {
				return nil
			}
			return &verb.Refusal{Code: verb.Forbidden, Message: "not you"}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Namespace("/").ServeVerbs(desk)
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", srv)
	space, log := srv.Namespace("/").Space(), slog.New(slog.DiscardHandler)
	var doors []*door.Door
	mount := func(path string, d *door.Door, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		mux.Handle(path, d)
		doors = append(doors, d)
	}
	keys := door.Access{Keys: []door.Key{{Name: "doors", Secret: tableKey, Rooms: []string{"chat:acme:*"}}}}
	d, err := door.Events(space, door.EventsConfig{Listen: keys, Auth: authority, Desk: desk, Log: log})
	mount("/events", d, err)
	d, err = door.WebSocket(space, door.WebSocketConfig{Listen: keys, Publish: keys, Auth: authority, Desk: desk, Log: log})
	mount("/ws", d, err)
	d, err = door.Publish(space, door.PublishConfig{Publish: keys, Auth: authority, Desk: desk, Rate: -1, Log: log})
	mount("/api/publish", d, err)
	d, err = door.History(space, door.ReadConfig{Read: keys, Auth: authority, Desk: desk, Rate: -1, Log: log})
	mount("/api/history", d, err)
	d, err = door.Presence(space, door.ReadConfig{Read: keys, Auth: authority, Desk: desk, Rate: -1, Log: log})
	mount("/api/presence", d, err)
	d, err = door.Disconnect(space, door.DisconnectConfig{Auth: authority, Log: log})
	mount("/api/disconnect", d, err)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		for _, d := range doors {
			d.Shutdown(context.Background())
		}
		srv.Shutdown(context.Background())
		server.Close()
	})
	return server
}

// codeIn finds what an answer says: "yes", or why not.
func codeIn(text string) string {
	var answer struct {
		Code  string
		Error json.RawMessage
		Data  struct{ Code string }
	}
	var nested struct{ Code string }
	if json.Unmarshal([]byte(text), &answer) != nil {
		return "? " + text
	}
	json.Unmarshal(answer.Error, &nested) // text, or an object with a code
	for _, code := range []string{answer.Code, nested.Code, answer.Data.Code} {
		if code != "" {
			return code
		}
	}
	return "yes"
}

// A caller of one door: somebody does one verb there, and it says how that went.
type caller func(t *testing.T, url string, r role, verb string) string

// header is what r's requests say about it.
func (r role) header(url string) http.Header {
	h := http.Header{}
	if r.cookie != "" {
		h.Set("Cookie", "session="+r.cookie)
	}
	switch r.origin {
	case "":
	case "own":
		h.Set("Origin", url)
	default:
		h.Set("Origin", r.origin)
	}
	if r.token != "" {
		h.Set("Authorization", "Bearer "+r.token)
	}
	return h
}

// A tableSocket is a socket of Socket.IO.
type tableSocket struct {
	t    *testing.T
	conn io.ReadWriteCloser
	rw   io.ReadWriter
}

// connect connects one, with what it says of itself, and returns the answer.
func connectTable(t *testing.T, url string, r role, auth map[string]string) (s *tableSocket, reply string) {
	t.Helper()
	h := r.header(url)
	h.Del("Authorization") // it says so when it connects to the namespace
	conn, rw := dialTable(t, url+"/socket.io/?EIO=4&transport=websocket", h)
	if conn == nil {
		var refusal struct{ Message string } // of Engine.IO, whose codes are numbers
		text := answerTable(t, "GET "+url+"/socket.io/?EIO=4&transport=polling", h, "")
		if err := json.Unmarshal([]byte(text), &refusal); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return nil, fmt.Sprintf(`44{"code":%q}`, refusal.Message)
	}
	s = &tableSocket{t, conn, rw}
	readTable(t, rw) // the session is open
	text, _ := json.Marshal(auth)
	wsutil.WriteClientText(conn, append([]byte("40"), text...))
	return s, readTable(t, rw)
}

// ask does a verb and returns the answer.
func (s *tableSocket) ask(v, request string) string {
	s.t.Helper()
	wsutil.WriteClientText(s.conn, fmt.Appendf(nil, `427[%q,%s]`, v, request))
	for {
		text := readTable(s.t, s.rw)
		if answer, ok := strings.CutPrefix(text, "437["); ok {
			return strings.TrimSuffix(answer, "]")
		}
	}
}

// lose has somebody come with r's token of before, join, and lose the
// connection; it returns what r comes back with.
func lose(t *testing.T, url string, r role) map[string]string {
	t.Helper()
	s, reply := connectTable(t, url, r, map[string]string{"token": r.before})
	var ids struct{ SID, PID string }
	var joined struct{ Offset string }
	answer := s.ask("join", fmt.Sprintf(`{"room":%q}`, r.room))
	if json.Unmarshal([]byte(strings.TrimPrefix(reply, "40")), &ids) != nil || json.Unmarshal([]byte(answer), &joined) != nil || ids.PID == "" || joined.Offset == "" {
		t.Fatalf("before: %s, %s", reply, answer)
	}
	s.conn.Close()
	return map[string]string{"token": r.token, "pid": ids.PID, "offset": joined.Offset, "sid": ids.SID}
}

func bySocketIO(t *testing.T, url string, r role, v string) string {
	t.Helper()
	auth, sid := map[string]string{"token": r.token}, ""
	if r.before != "" {
		auth = lose(t, url, r)
		sid = auth["sid"]
		delete(auth, "sid")
	}
	s, reply := connectTable(t, url, r, auth)
	if s != nil {
		defer s.conn.Close()
	}
	if rest, refused := strings.CutPrefix(reply, "44"); refused {
		return codeIn(rest)
	}
	if !strings.Contains(reply, sid) {
		t.Errorf("%s: not recovered: %s", r.name, reply)
	}
	room := fmt.Sprintf(`{"room":%q}`, r.room)
	if r.member {
		s.ask("join", room)
	}
	switch v {
	case "publish":
		return codeIn(s.ask(v, fmt.Sprintf(`{"room":%q,"event":"msg"}`, r.room)))
	case "state":
		if r.may != "join" {
			s.ask("join", room)
		}
		return codeIn(s.ask(v, fmt.Sprintf(`{"room":%q,"state":{}}`, r.room)))
	}
	return codeIn(s.ask(v, room))
}

func byWebSocket(t *testing.T, url string, r role, v string) string {
	t.Helper()
	request := map[string]string{
		"join":     `{"join":%q,"ack":1}`,
		"leave":    `{"leave":%q,"ack":1}`,
		"publish":  `{"event":"msg","room":%q,"ack":1}`,
		"history":  `{"history":%q,"ack":1}`,
		"presence": `{"presence":%q,"ack":1}`,
		"state":    `{"state":{},"room":%q,"ack":1}`,
	}
	// Who names a room is in it from the start, and must name one that is open to
	// get in as a stranger.
	at := url + "/ws?framing=json&room=" + r.room
	if r.may == "join" {
		at = url + "/ws?framing=json&room=" + openRoom
	}
	conn, rw := dialTable(t, at, r.header(url))
	if conn == nil {
		return codeIn(answerTable(t, "GET "+at, r.header(url), "", "Connection", "Upgrade", "Upgrade", "websocket",
			"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
	}
	defer conn.Close()
	ask := func(v string) string {
		wsutil.WriteClientText(conn, fmt.Appendf(nil, request[v], r.room))
		for {
			if text := readTable(t, rw); strings.HasPrefix(text, `{"ack":1`) {
				return codeIn(text)
			}
		}
	}
	if v == "state" && r.may != "join" {
		ask("join")
	}
	return ask(v)
}

func byEvents(t *testing.T, url string, r role, v string) string {
	t.Helper()
	if v != "join" {
		return ""
	}
	query, h := "", r.header(url)
	if r.token != "" && r.token != tableKey { // a browser's stream can't send the header, which keys take
		query = "&token=" + neturl.QueryEscape(r.token)
		h.Del("Authorization")
	}
	return codeIn(answerTable(t, "GET "+url+"/events?room="+r.room+query, h, ""))
}

func byHTTP(t *testing.T, url string, r role, v string) string {
	t.Helper()
	switch v {
	case "publish":
		return codeIn(answerTable(t, "POST "+url+"/api/publish", r.header(url), fmt.Sprintf(`{"room":%q,"event":"msg"}`, r.room)))
	case "history", "presence":
		return codeIn(answerTable(t, "GET "+url+"/api/"+v+"?room="+r.room, r.header(url), ""))
	case "disconnect":
		return codeIn(answerTable(t, "POST "+url+"/api/disconnect", r.header(url), `{"user":"nobody"}`))
	}
	return ""
}

// answerTable sends a request and returns its answer; of a stream {}.
func answerTable(t *testing.T, request string, header http.Header, body string, headers ...string) string {
	t.Helper()
	method, url, _ := strings.Cut(request, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header = header.Clone()
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK && res.Header.Get("Content-Type") == "text/event-stream" {
		return "{}"
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// dialTable opens a WebSocket, nil if it is refused.
func dialTable(t *testing.T, url string, header http.Header) (conn io.ReadWriteCloser, rw io.ReadWriter) {
	t.Helper()
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(header)}
	c, br, _, err := d.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http"))
	if err != nil {
		return nil, nil
	}
	var r io.Reader = c
	if br != nil {
		r = io.MultiReader(br, c)
	}
	return c, struct {
		io.Reader
		io.Writer
	}{r, c}
}

func readTable(t *testing.T, rw io.ReadWriter) string {
	t.Helper()
	text, err := wsutil.ReadServerText(rw)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPermissions tries every verb at every door in every role, and holds the
// table in docs/auth.md to what came out.
func TestPermissions(t *testing.T) {
	open, strict := tableServer(t, false), tableServer(t, true)
	var table bytes.Buffer
	table.WriteString("| who | door |")
	verbs := []string{"join", "leave", "publish", "history", "presence", "state", "disconnect"}
	for _, v := range verbs {
		fmt.Fprintf(&table, " %s |", v)
	}
	table.WriteString("\n|---|---" + strings.Repeat("|---", len(verbs)) + "|\n")
	doors := []struct {
		name string
		try  caller
	}{{"Socket.IO", bySocketIO}, {"event stream", byEvents}, {"WebSocket", byWebSocket}, {"HTTP", byHTTP}}
	for _, r := range roles {
		url := open.URL
		if r.strict {
			url = strict.URL
		}
		r.room = cmp.Or(r.room, tableRoom)
		for _, d := range doors {
			if r.before != "" && d.name != "Socket.IO" {
				continue // no other has sessions
			}
			fmt.Fprintf(&table, "| %s | %s |", r.name, d.name)
			for _, v := range verbs {
				got := ""
				if v != "disconnect" || d.name == "HTTP" {
					got = d.try(t, url, r, v)
				}
				mustBe(t, r, v, d.name, got)
				switch got {
				case "", "yes":
				default:
					got = "`" + got + "`"
				}
				fmt.Fprintf(&table, " %s |", got)
			}
			table.WriteString("\n")
		}
	}
	holdTable(t, "docs/auth.md", table.String())
}

// mustBe says of each cell what it has to be, whatever a document says.
func mustBe(t *testing.T, r role, v, door, got string) {
	t.Helper()
	may := r.may == "all" || r.may == "admin"
	switch {
	case v == "disconnect":
		may = r.may == "admin"
	case r.may == "join":
		may = v == "join" || v == "leave"
	case r.may == "doors":
		may = door != "Socket.IO"
	case r.member && door == "HTTP":
		may = false // a request is in no room
	}
	if got != "" && may != (got == "yes") {
		t.Errorf("%s, %s by %s: %q", r.name, v, door, got)
	}
}

// holdTable compares a table with what stands in a document between two
// comments, or writes it there.
func holdTable(t *testing.T, name, table string) {
	t.Helper()
	const begin, end = "<!-- permissions: written by go test -run TestPermissions -update -->\n", "<!-- end -->"
	text := read(t, name)
	before, rest, ok := strings.Cut(text, begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", name)
	}
	if *updateDocs {
		if err := os.WriteFile(name, []byte(before+begin+"\n"+table+"\n"+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if strings.TrimSpace(old) != strings.TrimSpace(table) {
		t.Errorf("%s is not up to date (go test -run TestPermissions -update):\n%s", name, table)
	}
}
