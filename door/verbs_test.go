package door_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/packet"
	"github.com/tutti-rt/tutti/verb"
)

// reading mounts the doors that answer questions.
func (w *world) reading(cfg door.ReadConfig) {
	w.t.Helper()
	cfg.Log, cfg.Trace = quiet, w.trace
	history, err := door.History(w.space, cfg)
	w.mount("/api/history", history, err)
	presence, err := door.Presence(w.space, cfg)
	w.mount("/api/presence", presence, err)
}

// TestIdempotencyKey: a retry is answered with the first offset and reaches
// nobody, through whichever door it comes.
func TestIdempotencyKey(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		w.publisher(door.PublishConfig{Publish: door.Access{Rooms: []string{"chat:*"},
			Keys: []door.Key{{Name: "k", Secret: secret, Rooms: []string{"*"}}}}})
		w.sockets(chatty)
		s := w.connect("/ws?room=chat:a&framing=json")
		defer s.close()
		post := func(data, id string, headers ...string) string {
			t.Helper()
			headers = append(headers, "Content-Type", "application/json")
			if id != "" {
				headers = append(headers, "Idempotency-Key", id)
			}
			resp, body := w.answer("POST", "/api/publish", `{"room":"chat:a","event":"e","data":`+data+`}`, headers...)
			if resp.StatusCode != 200 {
				t.Fatalf("%d %s", resp.StatusCode, body)
			}
			return body
		}
		var first struct{ Offset string }
		json.Unmarshal([]byte(post("1", "one")), &first)
		s.want(fmt.Sprintf(`{"event":"e","data":1,"room":"chat:a","offset":%q}`, first.Offset))
		for rule, again := range map[string]string{
			"the same":         post(" 1 ", "one"),
			"as the draft has": post("1", `"one"`),
		} {
			if want := fmt.Sprintf(`{"offset":%q,"members":0,"repeated":true}`, first.Offset); again != want {
				t.Errorf("%s: answered %s, want %s", rule, again, want)
			}
		}
		s.send(`{"event":"e","data":1,"id":"one","ack":1}`)
		s.want(fmt.Sprintf(`{"ack":1,"offset":%q,"repeated":true}`, first.Offset))
		s.wantQuiet("retries")
		for rule, body := range map[string]string{
			"of a key's own":    post("1", "one", "Authorization", "Bearer "+secret),
			"another message's": post("2", "one"),
			"another":           post("1", "two"),
			"none":              post("1", ""),
		} {
			if strings.Contains(body, "repeated") {
				t.Errorf("an id that is %s: %s", rule, body)
			}
		}
		for range 4 {
			if _, err := s.read(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Minute) // past the window, and it turned
		post("9", "x")
		time.Sleep(3 * time.Minute)
		post("9", "y")
		if again := post("1", "one"); strings.Contains(again, "repeated") {
			t.Errorf("an id is known for ever: %s", again)
		}
		for _, id := range []string{`"`, `""`, strings.Repeat("x", 257)} {
			resp, body := w.answer("POST", "/api/publish", `{"room":"chat:a","event":"e"}`, "Content-Type", "application/json", "Idempotency-Key", id)
			w.wantRefusal("a bad key", resp, body, 400, "bad_message")
		}
		resp, body := w.answer("POST", "/api/publish", `{"room":"chat:a","event":"presence"}`, "Content-Type", "application/json")
		w.wantRefusal("an event of the server's", resp, body, 400, "bad_message")
	})
}

// TestReading: histories and presence over HTTP, for those who may.
func TestReading(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		w.reading(door.ReadConfig{
			Desk: w.desk(verb.Rule{Pattern: "chat:members", Join: verb.Anyone, History: verb.Members, Presence: verb.Members},
				verb.Rule{Pattern: "chat:token", History: verb.Token, Presence: verb.Token}, verb.Open("chat:*"), verb.Open("plain")),
			Read: door.Access{Keys: []door.Key{{Name: "k", Secret: secret, Rooms: []string{"chat:*"}}}},
			Rate: -1,
		})
		blob, err := packet.Marshal(map[string]any{"b": []byte("hello")})
		if err != nil {
			t.Fatal(err)
		}
		m := w.event("blob")
		m.Args, m.ID = blob, "id"
		first := w.publish(m, "chat:a").Offset
		at := time.Now().UnixMilli()
		second := w.publish(w.event("two", "a", ""), "chat:a").Offset
		epoch, _, _ := strings.Cut(string(first), "-")
		one := fmt.Sprintf(`{"offset":%q,"event":"blob","data":{"b":{"$binary":"aGVsbG8="}},"time":%d,"id":"id"}`, first, at)
		two := fmt.Sprintf(`{"offset":%q,"event":"two","args":["a",""],"time":%d}`, second, at)
		key := []string{"Authorization", "Bearer " + secret}
		for _, x := range []struct {
			path    string
			headers []string
			status  int
			want    string
		}{
			{"/api/history?room=chat:a", nil, 200, `{"epoch":"` + epoch + `","messages":[` + one + `,` + two + `],"more":false}`},
			{"/api/history?room=chat:a&limit=1", nil, 200, `{"epoch":"` + epoch + `","messages":[` + two + `],"more":true}`},
			{"/api/history?room=chat:a&before=" + string(second), nil, 200, `{"epoch":"` + epoch + `","messages":[` + one + `],"more":false}`},
			{"/api/history?room=chat:a&after=" + string(first), nil, 200, `{"epoch":"` + epoch + `","messages":[` + two + `],"more":false}`},
			{"/api/history?room=chat:empty", nil, 200, `{"epoch":"` + epoch + `","messages":[],"more":false}`},
			{"/api/history?room=chat:a&before=x&after=y", nil, 400, `bad_request`},
			{"/api/history?room=chat:a&before=x", nil, 400, `bad_offset`},
			{"/api/history?room=chat:a&limit=0", nil, 400, `bad_query`},
			{"/api/history?room=chat:a&limit=x", nil, 400, `bad_query`},
			{"/api/history?room=chat:a&room=chat:b", nil, 400, `bad_query`},
			{"/api/history?room=chat:a&%zz", nil, 400, `bad_query`},
			{"/api/history", nil, 400, `bad_request`},
			{"/api/history?room=plain", nil, 404, `no_history`},
			{"/api/history?room=other", key, 403, `forbidden`},
			{"/api/history?room=other", nil, 401, `unauthorized`},
			{"/api/history?room=chat:members", key, 403, `not_member`},
			{"/api/history?room=chat:token", nil, 401, `unauthorized`},
			{"/api/history?room=chat:token", []string{"Authorization", "Bearer wrong"}, 401, `unauthorized`},
			{"/api/history?room=chat:token", key, 200, `"messages":[]`},
			{"/api/presence?room=chat:a", nil, 200, `"count":0,"members":[]}`},
			{"/api/presence?room=chat:token", nil, 401, `unauthorized`},
			{"/api/presence?room=chat:a&after=!", nil, 400, `bad_offset`},
		} {
			resp, body := w.answer("GET", x.path, "", x.headers...)
			if resp.StatusCode != x.status || !strings.Contains(body, x.want) {
				t.Errorf("%s %v: %d %s, want %d %s", x.path, x.headers, resp.StatusCode, body, x.status, x.want)
			}
		}
		resp, body := w.answer("POST", "/api/history?room=chat:a", "")
		w.wantRefusal("another method", resp, body, 405, "method_not_allowed")
		closed, err := door.History(w.space, door.ReadConfig{Log: quiet})
		w.mount("/closed", closed, err)
		resp, body = w.answer("GET", "/closed?room=chat:a", "")
		w.wantRefusal("without a desk", resp, body, 403, "closed")
	})
}

// TestDeskOpensDoors: one set of rules holds for every door.
func TestDeskOpensDoors(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		desk := w.desk(verb.Rule{Pattern: "chat:read", Join: verb.Anyone}, verb.Open("chat:*"), verb.Rule{Pattern: "in", Join: verb.Anyone, Publish: verb.Members})
		w.events(door.EventsConfig{Desk: desk})
		w.sockets(door.WebSocketConfig{Desk: desk})
		w.publisher(door.PublishConfig{Desk: desk})
		l := w.listen("/events?room=chat:a&room=chat:read")
		defer l.close()
		resp, body := w.answer("GET", "/events?room=other", "")
		w.wantRefusal("a room that is not open", resp, body, 403, "forbidden")
		publish := func(room string) (int, string) {
			resp, body := w.answer("POST", "/api/publish", `{"room":"`+room+`","event":"e"}`, "Content-Type", "application/json")
			return resp.StatusCode, body
		}
		for room, want := range map[string]int{"chat:a": 200, "chat:read": 403, "in": 403, "other": 403} {
			if status, body := publish(room); status != want {
				t.Errorf("publish to %s: %d %s, want %d", room, status, body, want)
			}
		}
		s := w.connect("/ws?room=in&framing=json")
		s.send(`{"event":"e","room":"in","ack":1}`)
		if text, _ := s.read(); !strings.HasPrefix(text, `{"event":"e"`) {
			t.Errorf("a member publishes: %s", text)
		}
		s.read()
		s.send(`{"join":"chat:read","ack":2}`)
		s.want(fmt.Sprintf(`{"ack":2,"offset":%q}`, w.space.Head()))
		s.send(`{"event":"e","room":"chat:read","ack":3}`)
		s.want(`{"ack":3,"error":"room \"chat:read\" is not open to you","code":"forbidden"}`)
		s.close()
		if _, no := w.dial("/ws?room=other"); no == nil || no.status != 403 {
			t.Errorf("a room that is not open: %+v", no)
		}
	})
}

// TestFramingVerbs: the verbs in JSON framing.
func TestFramingVerbs(t *testing.T) {
	memoryBubble(t, func(t *testing.T, w *world) {
		cfg := chatty
		cfg.Desk, cfg.Heartbeat = w.desk(verb.Rule{Pattern: "chat:token", History: verb.Token}, verb.Open("chat:*")), -1
		w.sockets(cfg)
		a := w.connect("/ws?room=chat:a&framing=json")
		defer a.close()
		b := w.connect("/ws?framing=json&room=chat:b")
		var one verb.PresenceAnswer
		a.send(`{"presence":"chat:a","ack":1}`)
		text, _ := a.read()
		if json.Unmarshal([]byte(text), &one) != nil || one.Count != 1 || one.You == "" || one.Members[0].ID != one.You {
			t.Fatalf("presence: %s", text)
		}
		b.send(`{"join":"chat:a"}`)
		b.send(`{"state":{"name":"B"},"room":"chat:a","ack":2}`)
		b.want(`{"ack":2}`)
		time.Sleep(time.Second)
		if text, _ = a.read(); !strings.HasPrefix(text, fmt.Sprintf(`{"event":"presence","data":{"room":"chat:a","version":%d,"count":2,"joined":[{"id":"`, one.Version+1)) ||
			!strings.Contains(text, `"state":{"name":"B"}`) {
			t.Errorf("told %s", text)
		}
		b.close()
		time.Sleep(time.Second)
		if text, _ = a.read(); !strings.Contains(text, `"count":1,"left":["`) {
			t.Errorf("a stream cannot come back, so it has no grace: told %s", text)
		}
		a.send(`{"presence":"chat:a","watch":false,"limit":1,"ack":3}`)
		if text, _ = a.read(); !strings.Contains(text, `"ack":3,"version":`) {
			t.Errorf("presence: %s", text)
		}

		o := w.publish(w.event("e", 1), "chat:a").Offset
		a.read()
		a.send(`{"history":"chat:a","limit":10,"ack":4}`)
		epoch, _, _ := strings.Cut(string(o), "-")
		a.want(fmt.Sprintf(`{"ack":4,"epoch":%q,"messages":[{"offset":%q,"event":"e","data":1,"time":%d}],"more":false}`, epoch, o, time.Now().UnixMilli()))
		a.send(`{"history":"chat:token","ack":5}`) // what the door opens to listen counts as a token
		a.want(fmt.Sprintf(`{"ack":5,"epoch":%q,"messages":[],"more":false}`, epoch))
		for command, want := range map[string]string{
			`{"history":"other"}`:            `"code":"forbidden"`,
			`{"history":"chat:a","data":1}`:  `"data\" belongs`,
			`{"state":{}}`:                   `"code":"bad_request"`,
			`{"state":[],"room":"chat:a"}`:   `"code":"bad_state"`,
			`{"state":{},"room":"chat:x"}`:   `"code":"not_member"`,
			`{"join":"chat:a","id":"x"}`:     `"id\" belongs`,
			`{"join":"chat:a","limit":1}`:    `\"limit\" belong`,
			`{"presence":"a","before":"x"}`:  `"before\" belongs`,
			`{"history":"a","watch":true}`:   `"watch\" belongs`,
			`{"history":"a","presence":"b"}`: `want one of`,
		} {
			a.send(command)
			if text, err := a.read(); err != nil || !strings.HasPrefix(text, `{"error":"`) || !strings.Contains(text, want) {
				t.Errorf("%s: %s, %v, want %s", command, text, err, want)
			}
		}
		synctest.Wait()
	})
}
