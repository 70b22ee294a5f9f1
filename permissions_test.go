package tutti_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

// The room of the table, and who comes to it.
const tableRoom = "chat:acme:tea"

// A role is a column of the table.
type role struct {
	name, token string
	strict      bool // to a server that lets no stranger in
}

var roles = []role{
	{"stranger, where they are not let in", "", true},
	{"stranger", "", false},
	{"user", "user", false},
	{"user with a grant", "granted", false},
	{"user with a claim", "claimed", false},
	{"user of another org", "other", false},
	{"user whom `Permit` lets", "permitted", false},
	{"user, expired", "expired", false},
	{"user, revoked", "revoked", false},
	{"unknown token", "unknown", false},
	{"admin key", "ops", false},
}

// holders are who shows these tokens.
type holders struct{}

func (holders) Verify(_ context.Context, c auth.Credentials) (*auth.Identity, error) {
	id := &auth.Identity{Subject: c.Token, Method: auth.ByToken, Issued: time.Now(), TokenID: "id of " + c.Token, Expiry: time.Now().Add(time.Hour)}
	switch c.Token {
	case "user", "permitted", "revoked":
	case "granted":
		id.Claims = map[string]any{"org": "acme"}
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
	authority, err := auth.New(auth.Config{
		Verifiers: []auth.Verifier{holders{}}, AllowAnonymous: !strict,
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
		Memory: func(string) *hub.Memory { return &hub.Memory{Rooms: []hub.RoomRule{{Pattern: "chat:*"}}} },
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := verb.Token
	desk, err := verb.New(verb.Config{
		Bearers: true,
		Rules:   []verb.Rule{{Pattern: "chat:*", Join: w, Publish: w, History: w, Presence: w, State: w}},
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
	d, err := door.Events(space, door.EventsConfig{Auth: authority, Desk: desk, Log: log})
	mount("/events", d, err)
	d, err = door.WebSocket(space, door.WebSocketConfig{Auth: authority, Desk: desk, Log: log})
	mount("/ws", d, err)
	d, err = door.Publish(space, door.PublishConfig{Auth: authority, Desk: desk, Rate: -1, Log: log})
	mount("/api/publish", d, err)
	d, err = door.History(space, door.ReadConfig{Auth: authority, Desk: desk, Rate: -1, Log: log})
	mount("/api/history", d, err)
	d, err = door.Presence(space, door.ReadConfig{Auth: authority, Desk: desk, Rate: -1, Log: log})
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

// A caller of one door: it does one verb, and says how it went.
type caller func(t *testing.T, url, token, verb string) string

func bySocketIO(t *testing.T, url, token, v string) string {
	t.Helper()
	conn, rw := dialTable(t, url+"/socket.io/?EIO=4&transport=websocket", nil)
	defer conn.Close()
	readTable(t, rw) // the session is open
	auth, _ := json.Marshal(map[string]string{"token": token})
	wsutil.WriteClientText(conn, append([]byte("40"), auth...))
	reply := readTable(t, rw)
	if rest, refused := strings.CutPrefix(reply, "44"); refused {
		return codeIn(rest)
	}
	ask := func(v, request string) string {
		wsutil.WriteClientText(conn, fmt.Appendf(nil, `427[%q,%s]`, v, request))
		for {
			text := readTable(t, rw)
			if answer, ok := strings.CutPrefix(text, "437["); ok {
				return codeIn(strings.TrimSuffix(answer, "]"))
			}
		}
	}
	room := fmt.Sprintf(`{"room":%q}`, tableRoom)
	switch v {
	case "publish":
		return ask(v, fmt.Sprintf(`{"room":%q,"event":"msg"}`, tableRoom))
	case "state":
		ask("join", room)
		return ask(v, fmt.Sprintf(`{"room":%q,"state":{}}`, tableRoom))
	}
	return ask(v, room)
}

func byWebSocket(t *testing.T, url, token, v string) string {
	t.Helper()
	request := map[string]string{
		"join":     `{"join":%q,"ack":1}`,
		"leave":    `{"leave":%q,"ack":1}`,
		"publish":  `{"event":"msg","room":%q,"ack":1}`,
		"history":  `{"history":%q,"ack":1}`,
		"presence": `{"presence":%q,"ack":1}`,
		"state":    `{"state":{},"room":%q,"ack":1}`,
	}
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	conn, rw := dialTable(t, url+"/ws?framing=json&room="+tableRoom, header)
	if conn == nil {
		return codeIn(answerTable(t, "GET "+url+"/ws?framing=json&room="+tableRoom, token, "", "Connection", "Upgrade", "Upgrade", "websocket",
			"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
	}
	defer conn.Close()
	ask := func(v string) string {
		wsutil.WriteClientText(conn, fmt.Appendf(nil, request[v], tableRoom))
		for {
			if text := readTable(t, rw); strings.HasPrefix(text, `{"ack":1`) {
				return codeIn(text)
			}
		}
	}
	if v == "state" {
		ask("join")
	}
	return ask(v)
}

func byEvents(t *testing.T, url, token, v string) string {
	t.Helper()
	if v != "join" {
		return ""
	}
	query := ""
	if token != "" {
		query = "&token=" + token
	}
	return codeIn(answerTable(t, "GET "+url+"/events?room="+tableRoom+query, "", ""))
}

func byHTTP(t *testing.T, url, token, v string) string {
	t.Helper()
	switch v {
	case "publish":
		return codeIn(answerTable(t, "POST "+url+"/api/publish", token, fmt.Sprintf(`{"room":%q,"event":"msg"}`, tableRoom)))
	case "history", "presence":
		return codeIn(answerTable(t, "GET "+url+"/api/"+v+"?room="+tableRoom, token, ""))
	case "disconnect":
		return codeIn(answerTable(t, "POST "+url+"/api/disconnect", token, `{"user":"nobody"}`))
	}
	return ""
}

// answerTable sends a request and returns its answer; of a stream {}.
func answerTable(t *testing.T, request, token, body string, headers ...string) string {
	t.Helper()
	method, url, _ := strings.Cut(request, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
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
		for _, d := range doors {
			fmt.Fprintf(&table, "| %s | %s |", r.name, d.name)
			for _, v := range verbs {
				got := ""
				if v != "disconnect" || d.name == "HTTP" {
					got = d.try(t, url, r.token, v)
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

// mustBe says of the cells that matter most what they have to be, whatever a
// document says.
func mustBe(t *testing.T, r role, v, door, got string) {
	t.Helper()
	may := map[string]bool{"granted": true, "claimed": true, "permitted": true, "ops": true}[r.token]
	if v == "disconnect" {
		may = r.token == "ops"
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
