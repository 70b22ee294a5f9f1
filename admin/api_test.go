package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tutti-rt/tutti/admin"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

type socket struct {
	ID, Namespace, Session, Transport, User, Address string
	Rooms, Queued                                    int
}

type socketPage struct {
	Sockets []socket
	Total   int
	Next    string
}

func ids(list []socket) []string {
	var out []string
	for _, s := range list {
		out = append(out, s.ID)
	}
	return out
}

// TestSockets: the list is searched and paged by the server.
func TestSockets(t *testing.T) {
	k := newKit(t, nil)
	var all []string
	for i := range 25 {
		rooms := []string{fmt.Sprintf("room %d", i%3)}
		all = append(all, k.join(fmt.Sprintf("user-%02d", i%10), rooms...).id)
	}
	var seen []string
	after := ""
	for pages := 0; pages < 10; pages++ {
		page := get[socketPage](k, "/api/sockets?limit=10&after="+after)
		seen = append(seen, ids(page.Sockets)...)
		if page.Total != 25 {
			t.Errorf("total %d", page.Total)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	slices.Reverse(seen) // the newest came first
	if !slices.Equal(seen, all) {
		t.Errorf("pages: got %v, want %v", seen, all)
	}
	if page := get[socketPage](k, "/api/sockets?user=user-03"); page.Total != 3 || page.Sockets[0].User != "user-03" || page.Sockets[0].Rooms != 1 {
		t.Errorf("by user: got %+v", page)
	}
	if page := get[socketPage](k, "/api/sockets?q=USER-04"); page.Total != 3 {
		t.Errorf("by a part of the user: got %+v", page)
	}
	if page := get[socketPage](k, "/api/sockets?q="+all[7]); !slices.Equal(ids(page.Sockets), all[7:8]) {
		t.Errorf("by id: got %+v", page)
	}
	if page := get[socketPage](k, "/api/sockets?room=room+1"); page.Total != 8 {
		t.Errorf("by room: got %d", page.Total)
	}
	if page := get[socketPage](k, "/api/sockets?namespace=/kept"); page.Total != 0 || page.Sockets == nil {
		t.Errorf("by namespace: got %+v", page)
	}
	for _, bad := range []string{"limit=0", "limit=x", "after=x", "sort=name", "room=a&namespace=/none"} {
		if w := k.request("GET", "/api/sockets?"+bad, ""); w.Code != http.StatusBadRequest && w.Code != http.StatusNotFound {
			t.Errorf("%s: got %d", bad, w.Code)
		}
	}
}

// TestSocket: a socket shows what helps, and no secret.
func TestSocket(t *testing.T) {
	k := newKit(t, nil)
	c, err := k.network.Dial("ticket=0123456789")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	g := guest{c, ""}
	if g.id, err = c.Connect("/", `{"token":"ada"}`); err != nil {
		t.Fatal(err)
	}
	k.enter(c, g.id, "tea", "cake")
	w := k.request("GET", "/api/sockets/"+g.id, "")
	d := decode[struct {
		socket
		RoomNames []string
		Headers   map[string][]string
		Query     map[string]string
		Path      string
	}](t, w)
	if d.User != "ada" || !slices.Contains(d.RoomNames, "cake") || d.Path != "/socket.io/" || d.Query["EIO"] != "4" {
		t.Errorf("got %+v", d)
	}
	if d.Query["ticket"] != "(hidden)" || strings.Contains(w.Body.String(), "0123456789") {
		t.Errorf("what may be a secret is shown: %s", w.Body)
	}
	sid := strings.Split(g.Open, `"`)[3]
	if strings.Contains(w.Body.String(), sid) || !strings.HasPrefix(sid, d.Session) || len(d.Session) != 8 {
		t.Errorf("the session's id is a secret; shown is %q", d.Session)
	}
	refused(t, k.request("GET", "/api/sockets/nobody", ""), http.StatusNotFound, "not_found")
}

type roomPage struct {
	Rooms []struct {
		Name, Namespace string
		Members         int
	}
	Total int
	Next  string
}

// TestRooms: rooms with most members come first, and those of sockets' own not
// at all.
func TestRooms(t *testing.T) {
	k := newKit(t, nil)
	for i := range 5 {
		k.join("", []string{"big", fmt.Sprintf("small %d", i)}...)
	}
	page := get[roomPage](k, "/api/rooms?limit=3")
	if page.Total != 6 || len(page.Rooms) != 3 || page.Rooms[0].Name != "big" || page.Rooms[0].Members != 5 || page.Next == "" {
		t.Errorf("got %+v", page)
	}
	page = get[roomPage](k, "/api/rooms?limit=3&after="+strings.ReplaceAll(strings.ReplaceAll(page.Next, " ", "%20"), "\x00", "%00"))
	if len(page.Rooms) != 3 || page.Rooms[2].Name != "small 4" || page.Next != "" {
		t.Errorf("the second page: got %+v", page)
	}
	if page := get[roomPage](k, "/api/rooms?own=1"); page.Total != 11 {
		t.Errorf("with their own: %d", page.Total)
	}
	if page := get[roomPage](k, "/api/rooms?q=SMALL&sort=name"); page.Total != 5 || page.Rooms[0].Name != "small 0" {
		t.Errorf("by name: got %+v", page)
	}
	members := get[struct {
		socketPage
		Members int
	}](k, "/api/rooms/members?room=big")
	if members.Members != 5 || len(members.Sockets) != 5 {
		t.Errorf("got %+v", members)
	}
	users := get[struct{ Users []struct{ ID string } }](k, "/api/users")
	if len(users.Users) != 0 {
		t.Errorf("nobody said who they are: %+v", users)
	}
}

// TestPublish: what an operator sends arrives, and the audit log has it without
// the payload.
func TestPublish(t *testing.T) {
	k := newKit(t, nil)
	g := k.join("ada", "tea")
	receipt := post[struct {
		Offset  string
		Members int
	}](k, "/api/publish", `{"rooms":["tea"],"event":"notice","data":{"text":"back at ten, said nobody else"}}`)
	if got, err := g.Receive(); got != `2["notice",{"text":"back at ten, said nobody else"}]` || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if receipt.Members != 1 || receipt.Offset == "" {
		t.Errorf("got %+v", receipt)
	}
	post[struct{}](k, "/api/publish", `{"rooms":["tea"],"event":"several","args":[1,"b"]}`)
	if got, _ := g.Receive(); got != `2["several",1,"b"]` {
		t.Errorf("got %q", got)
	}
	if text := k.audit.String(); !strings.Contains(text, `"who":"captain","role":"operate","from":"192.0.2.1","action":"publish","target":"/ tea","detail":{"bytes":`) || strings.Contains(text, "back at ten") {
		t.Errorf("the audit log is\n%s", text)
	}
	for body, code := range map[string]string{
		`{"event":"connect"}`:                        "bad_request",
		`{"rooms":["tea"]}`:                          "bad_request",
		`{"event":"a","data":1,"args":[]}`:           "bad_request",
		`{"event":"a","args":1}`:                     "bad_request",
		`{"event":"a","unknown":1}`:                  "bad_json",
		`{"event":"a"} {}`:                           "bad_json",
		`{"event":"a","namespace":"/x"}`:             "not_found",
		`"` + strings.Repeat("x", 1<<20) + `"`:       "too_large",
		`{"event":"a","namespace":"/","data":[1,2}`:  "bad_json",
		`{"event":"a","namespace":"/","args":[1 2]}`: "bad_json",
	} {
		var v struct{ Error struct{ Code string } }
		w := k.request("POST", "/api/publish", body)
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || v.Error.Code != code {
			t.Errorf("%.60s: got %d %s, want %s", body, w.Code, w.Body, code)
		}
	}
}

type count struct{ Sockets int }

// TestMove: sockets change rooms by id, by user and by room, and never everyone
// because nobody was found.
func TestMove(t *testing.T) {
	k := newKit(t, nil)
	ada, bob := k.join("ada", "tea"), k.join("bob", "tea")
	k.join("eve", "cake")
	rooms := func(g guest) []string {
		s, ok := k.server.Namespace("/").Socket(g.id)
		if !ok {
			return nil
		}
		return slices.DeleteFunc(s.Rooms(), func(r string) bool { return r == g.id })
	}
	if got := post[count](k, "/api/move", `{"user":"ada","join":["hall"],"leave":["tea"]}`); got.Sockets != 1 || !slices.Equal(rooms(ada), []string{"hall"}) {
		t.Errorf("by user: %v, rooms %v", got, rooms(ada))
	}
	if got := post[count](k, "/api/move", `{"room":"tea","join":["hall"],"leave":["tea"]}`); got.Sockets != 1 || !slices.Equal(rooms(bob), []string{"hall"}) {
		t.Errorf("by room: %v, rooms %v", got, rooms(bob))
	}
	if got := post[count](k, "/api/move", `{"sockets":["`+ada.id+`"],"join":["yard"]}`); got.Sockets != 1 || !slices.Equal(rooms(ada), []string{"hall", "yard"}) {
		t.Errorf("by id: %v, rooms %v", got, rooms(ada))
	}
	for _, nobody := range []string{`{"user":"nobody","join":["x"]}`, `{"room":"nowhere","join":["x"]}`} {
		if got := post[count](k, "/api/move", nobody); got.Sockets != 0 || k.server.Namespace("/").Space().Count("x") != 0 {
			t.Errorf("%s: moved %v", nobody, got)
		}
	}
	refused(t, k.request("POST", "/api/move", `{"join":["x"]}`), http.StatusBadRequest, "bad_request")
	refused(t, k.request("POST", "/api/move", `{"user":"ada","room":"tea","join":["x"]}`), http.StatusBadRequest, "bad_request")
	refused(t, k.request("POST", "/api/move", `{"user":"ada","join":[""]}`), http.StatusBadRequest, "bad_room")
}

// TestDisconnect: by user, socket, room, address and session, and only those.
func TestDisconnect(t *testing.T) {
	k := newKit(t, nil)
	ns := k.server.Namespace("/")
	gone := func(g guest) bool {
		_, there := ns.Socket(g.id)
		return !there
	}
	ada, ada2, bob, eve := k.join("ada", "tea"), k.join("ada"), k.join("bob", "cake"), k.join("eve", "tea")
	if got := post[count](k, "/api/disconnect", `{"user":"ada","reason":"spam"}`); got.Sockets != 2 || !gone(ada) || !gone(ada2) || gone(bob) {
		t.Errorf("by user: %v", got)
	}
	if got := post[count](k, "/api/disconnect", `{"room":"cake"}`); got.Sockets != 1 || !gone(bob) || gone(eve) {
		t.Errorf("by room: %v", got)
	}
	if got := post[count](k, "/api/disconnect", `{"socket":"nobody"}`); got.Sockets != 0 || gone(eve) {
		t.Errorf("nobody: %v", got)
	}
	if got := post[count](k, "/api/disconnect", `{"socket":"`+eve.id+`","namespace":"/"}`); got.Sockets != 1 || !gone(eve) {
		t.Errorf("by id: %v", got)
	}
	if got, err := eve.Receive(); got != "1" || err != nil {
		t.Errorf("the session of who left a namespace went too: %q, %v", got, err)
	}
	carl := k.join("carl")
	sid := strings.Split(carl.Open, `"`)[3]
	if got := post[count](k, "/api/disconnect", `{"session":"`+sid[:8]+`"}`); got.Sockets != 1 || !gone(carl) {
		t.Errorf("by session: %v", got)
	}
	refused(t, k.request("POST", "/api/disconnect", `{}`), http.StatusBadRequest, "bad_request")
	refused(t, k.request("POST", "/api/disconnect", `{"session":"a"}`), http.StatusBadRequest, "bad_request")
	if !strings.Contains(k.audit.String(), `"action":"disconnect","target":"user ada","detail":{"namespace":"","reason":"spam","sockets":2},"result":"ok"`) {
		t.Errorf("the audit log is\n%s", k.audit)
	}
}

// TestDisconnectStreams: by address, what is not a socket is ended too, and counted.
func TestDisconnectStreams(t *testing.T) {
	var asked []string
	k := newKit(t, func(c *admin.Config) {
		c.EndStreams = func(from netip.Prefix, namespace, reason string) int {
			asked = append(asked, strings.Join([]string{from.String(), namespace, reason}, " "))
			return 3
		}
	})
	for _, c := range []struct {
		body    string
		sockets int
		asked   []string
	}{
		{`{"address":"203.0.113.0/24","reason":"attack"}`, 3, []string{"203.0.113.0/24  attack"}},
		{`{"address":"::ffff:203.0.113.7","namespace":"/"}`, 3, []string{"203.0.113.7/32 / "}},
		{`{"address":"::ffff:203.0.113.0/120"}`, 3, []string{"203.0.113.0/24  "}},
		{`{"user":"ada"}`, 0, nil},
		{`{"room":"tea"}`, 0, nil},
	} {
		asked = nil
		if got := post[count](k, "/api/disconnect", c.body); got.Sockets != c.sockets || !slices.Equal(asked, c.asked) {
			t.Errorf("%s: %d, asked for %q", c.body, got.Sockets, asked)
		}
	}
	asked = nil
	refused(t, k.request("POST", "/api/disconnect", `{"address":"203.0.113"}`), http.StatusBadRequest, "bad_request")
	refused(t, k.request("POST", "/api/disconnect", `{"address":"::ffff:203.0.113.0/95"}`), http.StatusBadRequest, "bad_request")
	refused(t, k.request("POST", "/api/disconnect", `{"address":"::1","namespace":"/nowhere"}`), http.StatusNotFound, "not_found")
	if len(asked) > 0 {
		t.Errorf("asked for %q", asked)
	}
	if want := `"target":"address 203.0.113.0/24","detail":{"namespace":"","reason":"attack","sockets":3}`; !strings.Contains(k.audit.String(), want) {
		t.Errorf("the audit log is\n%s", k.audit)
	}
}

// TestFollow: a room is followed without being in it, with payloads only if
// that is allowed.
func TestFollow(t *testing.T) {
	for _, payloads := range []bool{false, true} {
		k := newKit(t, func(c *admin.Config) { c.Payloads = payloads })
		w := k.watch("/api/rooms/follow?room=tea")
		if event, _ := w.next(); event != "ready" {
			t.Fatalf("got %q", event)
		}
		g := k.join("ada", "tea")
		type message struct {
			Kind, Event, Who string
			Data             json.RawMessage
			Size, Members    int
		}
		next := func() (m message) {
			t.Helper()
			event, data := w.next()
			if err := json.Unmarshal([]byte(data), &m); err != nil || event != "message" {
				t.Fatalf("got %s %s", event, data)
			}
			return m
		}
		if m := next(); m.Kind != "joined" || m.Who != g.id {
			t.Errorf("got %+v", m)
		}
		k.server.Namespace("/").To("cake").Emit("elsewhere")
		k.server.Namespace("/").To("tea").Emit("said", "secret")
		want := message{Kind: "message", Event: "said", Size: len(`"secret"`), Members: 1}
		if payloads {
			want.Data = json.RawMessage(`["secret"]`)
		}
		if m := next(); m.Kind != want.Kind || m.Event != want.Event || string(m.Data) != string(want.Data) || m.Members != 1 || m.Size < 8 {
			t.Errorf("got %+v %s, want %+v", m, m.Data, want)
		}
		if n := k.server.Namespace("/").Space().Count("tea"); n != 1 {
			t.Errorf("who follows is in the room: %d members", n)
		}
		if payloads != strings.Contains(k.audit.String(), `"action":"follow"`) {
			t.Errorf("reading what others say is noted, and only that:\n%s", k.audit)
		}
	}
}

// TestHistory: the history of a room with memory, payloads if allowed.
func TestHistory(t *testing.T) {
	k := newKit(t, func(c *admin.Config) { c.Payloads = true })
	space := k.server.Namespace("/kept").Space()
	for i := range 5 {
		args, err := packet.Marshal(i)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := space.Publish(context.Background(), &hub.Message{Event: "n", Args: args}, hub.Address{Rooms: []string{"kept"}}); err != nil {
			t.Fatal(err)
		}
	}
	type page struct {
		Messages []struct {
			Offset string
			Data   json.RawMessage
		}
		More bool
	}
	last := get[page](k, "/api/rooms/history?namespace=/kept&room=kept&limit=2")
	if len(last.Messages) != 2 || !last.More || string(last.Messages[1].Data) != "[4]" {
		t.Fatalf("got %+v", last)
	}
	before := get[page](k, "/api/rooms/history?namespace=/kept&room=kept&limit=9&before="+last.Messages[0].Offset)
	if len(before.Messages) != 3 || before.More || string(before.Messages[0].Data) != "[0]" {
		t.Errorf("got %+v", before)
	}
	refused(t, k.request("GET", "/api/rooms/history?room=a", ""), http.StatusNotFound, "no_history")
	refused(t, k.request("GET", "/api/rooms/history?namespace=/kept&room=kept&before=x", ""), http.StatusBadRequest, "bad_offset")
}

// TestProcess: health tells why, a drain is asked for once the answer is out, and
// what is wrong with a configuration is told.
func TestProcess(t *testing.T) {
	var reasons []admin.Reason
	drained := 0
	k := newKit(t, func(c *admin.Config) {
		c.Unready = func() []admin.Reason { return reasons }
		c.Drain = func() { drained++ }
		c.Reload = func(context.Context) (admin.Reloaded, error) {
			return admin.Reloaded{}, errors.New("line 3: no such setting")
		}
	})
	ready := func(status int, part string) {
		t.Helper()
		if w := k.request("GET", "/readyz", ""); w.Code != status || !strings.Contains(w.Body.String(), part) {
			t.Errorf("got %d %s, want %d and %s", w.Code, w.Body, status, part)
		}
	}
	ready(200, `"ready":true`)
	reasons = []admin.Reason{{Code: "store_failed", Detail: "no space left"}, {Code: admin.ReasonDraining}}
	ready(503, `"reasons":[{"code":"store_failed","detail":"no space left"},{"code":"draining"}]`)
	if w := k.request("GET", "/healthz", ""); w.Code != 200 {
		t.Errorf("a server that drains is healthy: got %d", w.Code)
	}
	if w := k.request("POST", "/api/drain", "{}"); w.Code != http.StatusAccepted || drained != 1 {
		t.Errorf("got %d, drained %d times", w.Code, drained)
	}
	w := k.request("POST", "/api/reload", "{}")
	refused(t, w, http.StatusUnprocessableEntity, "mistakes")
	if !strings.Contains(w.Body.String(), "line 3") {
		t.Errorf("got %s", w.Body)
	}
	stats := get[struct {
		Node     string
		Draining bool
		Memory   struct{ Heap, Goroutines float64 }
	}](k, "/api/stats")
	if !stats.Draining || stats.Node != "test" || stats.Memory.Heap == 0 || stats.Memory.Goroutines == 0 {
		t.Errorf("got %+v", stats)
	}
	audit := get[struct {
		Entries []struct{ Action, Result string }
		Next    int
	}](k, "/api/audit?limit=1")
	if len(audit.Entries) != 1 || audit.Entries[0].Action != "reload" || audit.Entries[0].Result != "mistakes" || audit.Next == 0 {
		t.Errorf("got %+v", audit)
	}
}
