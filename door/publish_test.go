package door_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/quota"
)

var asJSON = []string{"Content-Type", "application/json"}

func TestPublish(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var got []*hub.Message
		for _, room := range []string{"a", "b", "a"} {
			seat, err := w.space.Enter(memberFunc(func(m *hub.Message) { got = append(got, m) }), nil, room)
			if err != nil {
				t.Fatal(err)
			}
			defer seat.Close()
		}
		w.publisher(door.PublishConfig{Publish: door.Access{Rooms: []string{"*"}}})
		for _, tt := range []struct {
			body, event, data string
			members           int
		}{
			{`{"room":"a","event":"e","data":{"x": [1, "ü"]}}`, "e", `{"x":[1,"ü"]}`, 2},
			{`{"rooms":["a","b"],"event":"e","data":"text"}`, "e", `"text"`, 3},
			{`{"event":"everyone","data":null}`, "everyone", `null`, 3},
			{`{"room":"a","event":"nothing"}`, "nothing", ``, 2},
			{`{"room":"a","event":"a list is one argument","data":[1,2]}`, "a list is one argument", `[1,2]`, 2},
			{"\n{ \"data\" : 0 , \"event\" : \"e\" }\n", "e", `0`, 3},
			{`{"room":"a","event":"e","data":{"_placeholder":true,"num":0}}`, "e", `{"_placeholder":true,"num":0}`, 2},
		} {
			got = nil
			resp, body := w.answer("POST", "/api/publish", tt.body, "Content-Type", "application/json; charset=utf-8")
			if len(got) != tt.members {
				t.Fatalf("%s reached %d members, want %d: %s", tt.body, len(got), tt.members, body)
			}
			want := fmt.Sprintf(`{"offset":"%s","members":%d}`, got[0].Offset(), tt.members)
			if resp.StatusCode != 200 || body != want || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %s, want %s", tt.body, resp.StatusCode, body, want)
			}
			if data := string(got[0].Args.AppendText(nil)); got[0].Event != tt.event || data != tt.data {
				t.Errorf("%s was published as %s %s", tt.body, got[0].Event, data)
			}
		}
		resp, body := w.answer("POST", "/api/publish", `{"room":"nobody is here","event":"e"}`, asJSON...)
		if resp.StatusCode != 200 || !strings.HasSuffix(body, `,"members":0}`) {
			t.Errorf("an empty room: %d %s", resp.StatusCode, body)
		}
		if want := []int{2, 3, 3, 2, 2, 3, 2, 0}; !slices.Equal(w.published, want) {
			t.Errorf("the trace was told of messages to %v members, want %v", w.published, want)
		}
	})
}

func TestPublishRefusals(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.publisher(door.PublishConfig{Rate: -1, MaxBody: 1000, MaxRooms: 2, Publish: door.Access{
			Rooms: []string{"chat:*"},
			Keys:  []door.Key{{Name: "backend", Secret: secret, Rooms: []string{"news"}}},
		}})
		key := []string{"Authorization", "Bearer " + secret}
		for _, tt := range []struct {
			rule, body string
			headers    []string
			status     int
			code       string
		}{
			{"no body", ``, nil, 400, "bad_json"},
			{"no JSON", `room=a`, nil, 400, "bad_json"},
			{"a list", `[{"room":"chat:a","event":"e"}]`, nil, 400, "bad_json"},
			{"two bodies", `{"room":"chat:a","event":"e"}{"room":"chat:a","event":"e"}`, nil, 400, "bad_json"},
			{"half a body", `{"room":"chat:a","event":"e"`, nil, 400, "bad_json"},
			{"a field twice", `{"room":"chat:a","room":"chat:b","event":"e"}`, nil, 400, "bad_json"},
			{"a field we don't know", `{"room":"chat:a","event":"e","dat":1}`, nil, 400, "bad_json"},
			{"another case", `{"Room":"chat:a","event":"e"}`, nil, 400, "bad_json"},
			{"an event that is no string", `{"room":"chat:a","event":1}`, nil, 400, "bad_json"},
			{"a room that is none", `{"room":null,"event":"e"}`, key, 400, "bad_json"},
			{"rooms that are none", `{"rooms":null,"event":"e"}`, key, 400, "bad_json"},
			{"bytes that are no UTF-8", "{\"room\":\"chat:a\",\"event\":\"\xff\"}", nil, 400, "bad_json"},
			{"half a surrogate pair", `{"room":"chat:a","event":"e","data":"\ud800"}`, nil, 400, "bad_json"},
			{"no event", `{"room":"chat:a"}`, nil, 400, "bad_message"},
			{"an empty event", `{"room":"chat:a","event":""}`, nil, 400, "bad_message"},
			{"a reserved event", `{"room":"chat:a","event":"connect"}`, nil, 400, "bad_message"},
			{"a long event", `{"room":"chat:a","event":"` + strings.Repeat("e", 300) + `"}`, nil, 400, "bad_message"},
			{"no rooms", `{"rooms":[],"event":"e"}`, key, 400, "bad_message"},
			{"room and rooms", `{"room":"chat:a","rooms":["chat:b"],"event":"e"}`, nil, 400, "bad_message"},
			{"too many rooms", `{"rooms":["chat:a","chat:b","chat:c"],"event":"e"}`, nil, 400, "too_many_rooms"},
			{"deep", `{"room":"chat:a","event":"e","data":` + strings.Repeat("[", 900) + `}`, nil, 400, "bad_json"},
			{"without a key", `{"room":"news","event":"e"}`, nil, 401, "unauthorized"},
			{"everyone, without a key", `{"event":"e"}`, nil, 401, "unauthorized"},
			{"one room of two", `{"rooms":["chat:a","news"],"event":"e"}`, nil, 401, "unauthorized"},
			{"a wrong key", `{"room":"chat:a","event":"e"}`, []string{"Authorization", "Bearer " + secret + "x"}, 401, "unauthorized"},
			{"a key for others", `{"room":"ops","event":"e"}`, key, 403, "forbidden"},
			{"everyone, with a key", `{"event":"e"}`, key, 403, "forbidden"},
			{"a long body", `{"room":"chat:a","event":"e","data":"` + strings.Repeat("x", 1000) + `"}`, nil, 413, "too_large"},
			{"encoded", `{"room":"chat:a","event":"e"}`, []string{"Content-Encoding", "gzip"}, 415, "unsupported_encoding"},
		} {
			resp, body := w.answer("POST", "/api/publish", tt.body, append(tt.headers, asJSON...)...)
			w.wantRefusal(tt.rule, resp, body, tt.status, tt.code)
			if strings.Contains(body, secret) {
				t.Errorf("%s: the answer tells the secret: %s", tt.rule, body)
			}
		}
		// What a page may send to another origin without asking is not taken.
		for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=latin1", ";", "application/jsonx"} {
			resp, body := w.answer("POST", "/api/publish", `{"room":"chat:a","event":"e"}`, "Content-Type", contentType)
			w.wantRefusal(contentType, resp, body, 415, "unsupported_media_type")
		}
		for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS", "PATCH"} {
			resp, body := w.answer(method, "/api/publish", `{"room":"chat:a","event":"e"}`, asJSON...)
			w.wantRefusal(method, resp, body, 405, "method_not_allowed")
			if got := resp.Header.Get("Allow"); got != "POST" {
				t.Errorf("%s: Allow %q", method, got)
			}
		}
		if resp, body := w.answer("POST", "/api/publish", `{"rooms":["chat:a","news"],"event":"e"}`, append(key, asJSON...)...); resp.StatusCode != 200 {
			t.Errorf("a good request after all that: %d %s", resp.StatusCode, body)
		}
	})
}

func TestPublishRate(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.publisher(door.PublishConfig{Rate: 0.5, Burst: 2, KeyRate: 10, KeyBurst: 1, Publish: door.Access{
			Rooms: []string{"chat:*"}, Keys: []door.Key{{Name: "backend", Secret: secret, Rooms: []string{"news"}}},
		}})
		post := func(rule string, status int, headers ...string) *http.Response {
			t.Helper()
			resp, body := w.answer("POST", "/api/publish", `{"room":"chat:a","event":"e"}`, append(headers, asJSON...)...)
			if resp.StatusCode != status {
				t.Errorf("%s: %d %s, want %d", rule, resp.StatusCode, body, status)
			}
			return resp
		}
		post("the first", 200)
		post("a wrong key costs too", 401, "Authorization", "Bearer nonsense")
		resp := post("the third of two", 429)
		if got := resp.Header.Get("Retry-After"); got != "2" {
			t.Errorf("Retry-After %q, want 2", got)
		}
		post("guessing on is no use", 429, "Authorization", "Bearer nonsense2")
		post("a key has a rate of its own", 200, "Authorization", "Bearer "+secret)
		post("of its own", 429, "Authorization", "Bearer "+secret)
		w.wantTold("rates", "refused: 401 unauthorized", "limit: rate", "refused: 429 too_many_requests",
			"limit: rate", "refused: 429 too_many_requests", "limit: rate", "refused: 429 too_many_requests")
		time.Sleep(2 * time.Second)
		post("after the time said", 200)
	})
}

// TestPublishTooOftenWaits: who is told to come later is told so later.
func TestPublishTooOftenWaits(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.publisher(door.PublishConfig{
			Rate: 0.01, Burst: 1, KeyRate: 1, KeyBurst: 1, Quota: quota.New(quota.Config{Refusal: 4 * time.Second}),
			Publish: door.Access{Rooms: open.Rooms, Keys: []door.Key{{Name: "backend", Secret: secret, Rooms: []string{"chat:*"}}}},
		})
		withKey := append([]string{"Authorization", "Bearer " + secret}, asJSON...)
		for i, want := range []struct {
			status      int
			least, most time.Duration
			headers     []string
		}{
			{200, 0, 0, asJSON}, {429, 2 * time.Second, 4 * time.Second, asJSON},
			{200, 0, 0, withKey}, {429, 0, 0, withKey}, // who has a key goes by what it says
		} {
			began := time.Now()
			resp, body := w.answer("POST", "/api/publish", `{"room":"chat:a","event":"e"}`, want.headers...)
			if d := time.Since(began); resp.StatusCode != want.status || d < want.least || d > want.most {
				t.Errorf("request %d: %d %s after %v, want %+v", i, resp.StatusCode, body, d, want)
			}
		}
		w.wantTold("rates", "limit: rate", "refused: 429 too_many_requests", "limit: rate", "refused: 429 too_many_requests")
	})
}

// TestPublishRefusedAtTheEnd: nobody who waits to be refused holds up the end.
func TestPublishRefusedAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		d := w.publisher(door.PublishConfig{Rate: 0.01, Burst: 1, Quota: quota.New(quota.Config{Refusal: time.Hour}), Publish: open})
		w.answer("POST", "/api/publish", `{"room":"chat:a","event":"e"}`, asJSON...)
		began := time.Now()
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://example.test/api/publish", strings.NewReader(`{"room":"chat:a","event":"e"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		answered := make(chan int, 1)
		go func() {
			status := 0
			if resp, err := w.client.Do(r); err == nil {
				resp.Body.Close()
				status = resp.StatusCode
			}
			answered <- status
		}()
		synctest.Wait()
		if err := d.Shutdown(t.Context()); err != nil || time.Since(began) != 0 {
			t.Errorf("a door was shut with somebody waiting to be refused: %v after %v", err, time.Since(began))
		}
		if status := <-answered; status != http.StatusTooManyRequests {
			t.Errorf("who waited was answered %d", status)
		}
	})
}

// TestPublishSlowBody: every request is answered, whatever its body does.
func TestPublishSlowBody(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.publisher(door.PublishConfig{Publish: open})
		start := time.Now()
		conn, err := w.listener.Dial()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "POST /api/publish HTTP/1.1\r\nHost: example.test\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		var drip sync.WaitGroup
		drip.Go(func() { // a byte per second, as long as the connection is there
			for {
				time.Sleep(time.Second)
				if _, err := conn.Write([]byte(" ")); err != nil {
					return
				}
			}
		})
		defer drip.Wait()
		defer conn.Close()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		w.wantRefusal("a slow body", resp, string(body), 408, "timeout")
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("after %v, want 10 s", took)
		}
		w.wantTold("a slow body", "limit: body", "refused: 408 timeout")
	})
}

// TestPublishChunked: a body whose length is not known is bounded as well.
func TestPublishChunked(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.publisher(door.PublishConfig{Publish: open, MaxBody: 100})
		for size, want := range map[int]int{100: 200, 101: 413, 100_000: 413} {
			head, tail := `{"room":"chat:a","event":"e","data":"`, `"}`
			body := head + strings.Repeat("x", size-len(head)-len(tail)) + tail
			r, err := http.NewRequestWithContext(t.Context(), "POST", "http://example.test/api/publish", io.MultiReader(strings.NewReader(body)))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			resp, err := w.client.Do(r)
			if errors.Is(err, net.ErrClosed) {
				continue // the server stopped listening, and said so too early for the client
			}
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != want {
				t.Errorf("%d bytes in chunks: %d, want %d", size, resp.StatusCode, want)
			}
			resp.Body.Close()
		}
	})
}

func TestPublishShutdown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		d := w.publisher(door.PublishConfig{Publish: open})
		if err := d.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		resp, body := w.answer("POST", "/api/publish", `{"room":"chat:a","event":"e"}`, asJSON...)
		w.wantRefusal("after shutdown", resp, body, 503, "shutting_down")
	})
}

// TestConfigMistakes: all of them are told, and no secret is.
func TestConfigMistakes(t *testing.T) {
	space := hub.New(hub.Config{}).Space("/")
	bad := door.Access{
		Rooms: []string{"a", ""},
		Keys:  []door.Key{{Name: "k", Secret: "too short"}, {Name: "k", Secret: secret, Rooms: []string{""}}, {Secret: secret}},
	}
	_, err1 := door.Events(space, door.EventsConfig{Listen: bad, Origins: []string{"example.com"}})
	_, err2 := door.WebSocket(space, door.WebSocketConfig{Publish: bad, Origins: []string{"example.com"}})
	_, err3 := door.Publish(space, door.PublishConfig{Publish: bad, Origins: []string{"example.com"}})
	for _, err := range []error{err1, err2, err3} {
		if err == nil {
			t.Error("mistakes passed")
			continue
		}
		for _, want := range []string{`origin "example.com"`, ".Rooms: a pattern is empty", ".Keys[0]: a secret of 9 bytes can be guessed",
			`.Keys[1]: name "k" is empty or taken`, ".Keys[1].Rooms: a pattern is empty", `.Keys[2]: name "" is empty or taken`} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error does not tell %q:\n%v", want, err)
			}
		}
		if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "too short") {
			t.Errorf("the error tells a secret:\n%v", err)
		}
	}
}
