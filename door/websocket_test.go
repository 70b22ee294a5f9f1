package door_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/quota"
)

// chatty is a door at which anyone may speak and listen in the chat rooms.
var chatty = door.WebSocketConfig{Listen: open, Publish: open}

func TestText(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.sockets(chatty)
		var got []*hub.Message
		seat, err := w.space.Enter(memberFunc(func(m *hub.Message) { got = append(got, m) }), nil, "chat:a")
		if err != nil {
			t.Fatal(err)
		}
		defer seat.Close()
		a, b, other := w.connect("/ws?room=chat:a"), w.connect("/ws?room=chat:a&room=chat:b"), w.connect("/ws?room=chat:c")
		defer a.close()
		defer b.close()
		defer other.close()
		for _, text := range []string{"hello", "", `{"json":1}`, "ünï\n\"\u2028"} {
			a.send(text)
			a.want(text) // the sender too
			b.want(text)
			m := got[len(got)-1]
			if s, ok := m.Args.At(0).String(); m.Event != "message" || m.Args.Len() != 1 || !ok || s != text {
				t.Errorf("%q was published as %s %s", text, m.Event, m.Args.AppendText(nil))
			}
		}
		b.send("to both of its rooms, once")
		a.want("to both of its rooms, once")
		b.want("to both of its rooms, once")
		b.wantQuiet("a member of two of the message's rooms")
		other.wantQuiet("a member of another room")
		for _, tt := range []struct {
			want string
			m    *hub.Message
		}{
			{"text", w.event("any event", "text")},
			{`{"a":[1,"x"]}`, w.event("e", map[string]any{"a": []any{1, "x"}})},
			{`["a","b"]`, w.event("e", "a", "b")},
			{`null`, w.event("e")},
			{`5`, w.event("e", 5)},
			{`{"$binary":"AAE="}`, w.event("e", []byte{0, 1})},
		} {
			w.publish(tt.m, "chat:a")
			a.want(tt.want)
			b.want(tt.want)
		}
	})
}

type memberFunc func(*hub.Message)

func (f memberFunc) Deliver(m *hub.Message) { f(m) }

// TestTextMisuse: there is one way to tell a client that speaks mere text.
func TestTextMisuse(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		cfg := chatty
		cfg.Rate, cfg.Burst, cfg.MaxMessage = 1, 2, 100
		cfg.Publish = door.Access{Rooms: []string{"chat:*"}, Keys: []door.Key{{Name: "k", Secret: secret, Rooms: []string{"loud"}}}}
		cfg.Listen.Rooms = []string{"chat:*", "quiet", "loud"}
		w.sockets(cfg)

		s := w.connect("/ws?room=quiet")
		s.send("x")
		s.wantClose(1008, "a key is wanted: Authorization: Bearer <key>")
		w.wantTold("publishing where it may not", "opened", "closed: misuse")

		s = w.connect("/ws?room=quiet", "Authorization", "Bearer "+secret)
		s.send("x")
		s.wantClose(1008, `room "quiet" is not open to you`)
		w.wantTold("publishing where the key does not", "opened", "closed: misuse")

		s = w.connect("/ws?room=loud&room=chat:a", "Authorization", "Bearer "+secret)
		s.send("x")
		s.want("x")
		s.send("y")
		s.want("y")
		s.send("z")
		s.wantClose(1008, "too many messages")
		w.wantTold("three at once of two", "opened", "limit: rate", "closed: misuse")

		s = w.connect("/ws?room=chat:a")
		for range 10 {
			s.send("x")
			s.want("x")
			time.Sleep(time.Second)
		}
		if err := wsutil.WriteClientBinary(s.conn, []byte("x")); err != nil {
			t.Error(err)
		}
		s.wantClose(1003, "text only")
		w.wantTold("binary", "opened", "closed: misuse")

		s = w.connect("/ws?room=chat:a")
		s.send(strings.Repeat("x", 101))
		s.wantClose(1009, "message too big")
		w.wantTold("a long message", "opened", "limit: message", "closed: misuse")
	})
}

func TestFraming(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		cfg := chatty
		cfg.MaxRooms = 2
		cfg.Listen = door.Access{Rooms: []string{"chat:*", "read"}}
		w.sockets(cfg)
		var last hub.Offset
		seat, err := w.space.Enter(memberFunc(func(m *hub.Message) { last = m.Offset() }), nil, "chat:a", "chat:b")
		if err != nil {
			t.Fatal(err)
		}
		defer seat.Close()
		s := w.connect("/ws?room=chat:a&framing=json")
		defer s.close()
		do := func(command string, want ...string) {
			t.Helper()
			s.send(command)
			for _, text := range want {
				got, err := s.read()
				text = strings.Replace(text, "…", string(last), 1)
				if got = uncoded(got); err != nil || got != text {
					t.Errorf("%s: got %s and %v, want %s", command, got, err, text)
				}
			}
			s.wantQuiet(command)
		}
		// Publishing, and what the sender sees of it.
		do(`{"event":"x","data":{"a": 1}}`, `{"event":"x","data":{"a":1},"room":"chat:a","offset":"…"}`)
		do(`{"event":"x","data":null,"ack":1}`, `{"event":"x","data":null,"room":"chat:a","offset":"…"}`, `{"ack":1,"offset":"…"}`)
		do(` { "ack" : 9007199254740991 , "event":"x" } `, `{"event":"x","data":null,"room":"chat:a","offset":"…"}`, `{"ack":9007199254740991,"offset":"…"}`)
		do(`{"event":"x","room":"chat:b","ack":2}`, `{"ack":2,"offset":"…"}`)
		do(`{"event":"x","rooms":["chat:b","chat:a"],"ack":0}`, `{"event":"x","data":null,"offset":"…"}`, `{"ack":0,"offset":"…"}`)

		// Joining and leaving.
		do(`{"join":"nope","ack":5}`, `{"ack":5,"error":"room \"nope\" is not open to you"}`)
		do(`{"join":""}`, `{"error":"room \"\" is not open to you"}`)
		do(`{"join":"chat:b","ack":3}`, `{"ack":3}`)
		do(`{"join":"chat:b"}`)
		do(`{"event":"x","room":"chat:b"}`, `{"event":"x","data":null,"room":"chat:b","offset":"…"}`)
		do(`{"event":"x"}`, `{"event":"x","data":null,"offset":"…"}`)
		do(`{"join":"chat:c","ack":4}`, `{"ack":4,"error":"too many rooms: the limit is 2"}`)
		do(`{"leave":"chat:b","ack":6}`, `{"ack":6}`)
		do(`{"leave":"chat:never","ack":6}`, `{"ack":6}`)
		do(`{"event":"x","room":"chat:b","ack":7}`, `{"ack":7,"offset":"…"}`)
		do(`{"join":"read","ack":8}`, `{"ack":8}`)
		do(`{"event":"x","room":"read","ack":9}`, `{"ack":9,"error":"room \"read\" is not open to you"}`)
		do(`{"event":"x","ack":10}`, `{"ack":10,"error":"room \"read\" is not open to you"}`)
		do(`{"leave":"read"}`)
		do(`{"join":"chat:\u0000","ack":11}`, `{"ack":11,"error":"a room cannot have that name"}`)
		do(`{"leave":"chat:a"}`)
		do(`{"event":"x","ack":12}`, `{"ack":12,"error":"name a room: everyone in the namespace is not open to you"}`)
		do(`{"event":"x","rooms":["chat:a","chat:b","chat:c"],"ack":13}`, `{"ack":13,"error":"too many rooms: the limit is 2"}`)

		// An answer that nobody waits for is none.
		do(`{"answer":77,"data":1}`)
		do(`{"answer":77,"ack":14}`, `{"ack":14}`)
	})
}

var errorCode = regexp.MustCompile(`,"code":"[a-z_]+"`)

// uncoded returns a reply without the code of its error.
func uncoded(reply string) string { return errorCode.ReplaceAllString(reply, "") }

// TestFramingMistakes: what is wrong is told, with the ack if there is one, and
// the connection goes on.
func TestFramingMistakes(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		cfg := chatty
		cfg.Rate = -1
		w.sockets(cfg)
		s := w.connect("/ws?room=chat:a&framing=json")
		defer s.close()
		for _, tt := range []struct{ command, want string }{
			{``, `{"error":"want a JSON object"}`},
			{`hello`, `{"error":"want a JSON object"}`},
			{`null`, `{"error":"want a JSON object"}`},
			{`[]`, `{"error":"want a JSON object"}`},
			{`"x"`, `{"error":"want a JSON object"}`},
			{`{`, `{"error":"not JSON: byte 1"}`},
			{`{"event":"x"`, `{"error":"not JSON: byte 12"}`},
			{`{"event":"x"}{"event":"y"}`, `{"error":"not JSON: byte 13"}`},
			{`{"event":"x"} x`, `{"error":"not JSON: byte 14"}`},
			{`{}`, `{"error":"want one of \"event\", \"join\", \"leave\", \"answer\", \"history\", \"presence\" and \"state\""}`},
			{`{"ack":1}`, `{"ack":1,"error":"want one of \"event\", \"join\", \"leave\", \"answer\", \"history\", \"presence\" and \"state\""}`},
			{`{"event":"x","join":"chat:b","ack":1}`, `{"ack":1,"error":"want one of \"event\", \"join\", \"leave\", \"answer\", \"history\", \"presence\" and \"state\""}`},
			{`{"event":5,"ack":1}`, `{"ack":1,"error":"\"/event\" is of the wrong kind"}`},
			{`{"event":null,"ack":1}`, `{"ack":1,"error":"\"/event\" is of the wrong kind"}`},
			{`{"event":"x","room":null,"ack":1}`, `{"ack":1,"error":"\"/room\" is of the wrong kind"}`},
			{`{"event":"x","rooms":null}`, `{"error":"\"/rooms\" is of the wrong kind"}`},
			{`{"event":"x","rooms":[]}`, `{"error":"\"rooms\" is empty"}`},
			{`{"event":"x","rooms":["chat:a",null]}`, `{"error":"room \"\" is not open to you"}`},
			{`{"event":"x","room":"chat:a","rooms":["chat:b"]}`, `{"error":"\"room\" and \"rooms\" exclude each other"}`},
			{`{"join":"chat:b","room":"x"}`, `{"error":"\"room\" and \"rooms\" belong to \"event\""}`},
			{`{"leave":"chat:b","data":1}`, `{"error":"\"data\" belongs to \"event\" and \"answer\""}`},
			{`{"event":"x","evil":1,"ack":2}`, `{"ack":2,"error":"\"/evil\" is not known here"}`},
			{`{"Event":"x","ack":2}`, `{"ack":2,"error":"\"/Event\" is not known here"}`},
			{`{"event":"x","event":"y","ack":2}`, `{"error":"the name \"/event\" is there twice"}`},
			{`{"event":"x","data":{"a":1,"a":2}}`, `{"error":"the name \"/data/a\" is there twice"}`},
			{`{"event":"x","ack":-1}`, `{"error":"\"/ack\" is of the wrong kind"}`},
			{`{"event":"x","ack":1.5}`, `{"error":"\"/ack\" is of the wrong kind"}`},
			{`{"event":"x","ack":"1"}`, `{"error":"\"/ack\" is of the wrong kind"}`},
			{`{"event":"x","ack":9007199254740992}`, `{"error":"\"ack\" is too large"}`},
			{`{"event":"x","ack":1e400}`, `{"error":"\"/ack\" is of the wrong kind"}`},
			{`{"event":"x","ack":` + strings.Repeat("9", 400) + `}`, `{"error":"\"/ack\" is of the wrong kind"}`},
			{`{"answer":"1"}`, `{"error":"\"/answer\" is of the wrong kind"}`},
			{`{"event":""}`, `{"error":"\"event\" is missing"}`},
			{`{"event":"` + strings.Repeat("x", 257) + `"}`, `{"error":"\"event\" is longer than 256 bytes"}`},
			{`{"event":"disconnect","ack":3}`, `{"ack":3,"error":"the event name \"disconnect\" is reserved"}`},
			{`{"event":"x","room":"other"}`, `{"error":"room \"other\" is not open to you"}`},
			{`{"` + strings.Repeat("x", 200) + `":1}`, `{"error":"\"/` + strings.Repeat("x", 63) + `…\" is not known here"}`},
		} {
			s.send(tt.command)
			if got, err := s.read(); err != nil || uncoded(got) != tt.want {
				t.Errorf("%.80s: got %s and %v, want %s", tt.command, got, err, tt.want)
			}
		}
		for _, deep := range []string{strings.Repeat("[", 30_000), `{"event":"x","data":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}"} {
			s.send(deep)
			if got, err := s.read(); err != nil || !strings.HasPrefix(got, `{"error":"`) {
				t.Errorf("%.30s…: got %.100s and %v", deep, got, err)
			}
		}
		s.send(`{"event":"still here","data":{"_placeholder":true,"num":0},"ack":1}`)
		if got, _ := s.read(); !strings.HasPrefix(got, `{"event":"still here","data":{"_placeholder":true,"num":0},`) {
			t.Errorf("got %s", got)
		}
	})
}

// TestFramingPatience: who goes on in spite of the answers is not answered for
// ever. A tenth of the burst is answered, whatever it is that is too much.
func TestFramingPatience(t *testing.T) {
	rates := quota.Rates{Events: quota.Rate{PerSecond: 1, Burst: 20}}
	t.Run("events", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world) {
			cfg := chatty
			cfg.Quota = quota.New(quota.Config{Connection: rates})
			w.sockets(cfg)
			s := w.connect("/ws?room=chat:a&framing=json")
			for range 23 {
				s.send(`{"leave":"chat:x","ack":1}`)
			}
			for range 20 {
				s.want(`{"ack":1}`)
			}
			for range 2 {
				s.want(`{"ack":1,"error":"too many events","code":"too_many_requests"}`)
			}
			s.wantClose(1008, "too many messages")
		})
	})
	t.Run("messages", func(t *testing.T) {
		rates.Publishes = quota.Rate{PerSecond: 1, Burst: 1}
		bubble(t, func(t *testing.T, w *world) {
			cfg := chatty
			cfg.Quota = quota.New(quota.Config{Connection: rates})
			w.sockets(cfg)
			s := w.connect("/ws?room=chat:a&framing=json")
			for range 4 {
				s.send(`{"event":"x","room":"chat:b"}`)
			}
			for range 2 {
				s.want(`{"error":"too many messages published","code":"too_many_requests"}`)
			}
			s.wantClose(1008, "too many messages published")
		})
	})
}

func TestFramingRate(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		cfg := chatty
		cfg.Rate, cfg.Burst = 2, 1
		w.sockets(cfg)
		s := w.connect("/ws?room=chat:a&framing=json")
		defer s.close()
		s.send(`{"leave":"chat:x","ack":1}`)
		s.want(`{"ack":1}`)
		s.send(`{"event":"e","ack":2}`)
		s.want(`{"ack":2,"error":"too many messages","code":"too_many_requests"}`)
		w.wantTold("two at once of one", "opened", "limit: rate")
		time.Sleep(500 * time.Millisecond)
		s.send(`{"leave":"chat:x","ack":3}`)
		s.want(`{"ack":3}`)
	})
}

func TestSubprotocol(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.sockets(chatty)
		for _, tt := range []struct {
			query  string
			offers []string
			json   bool
			agreed string
		}{
			{"", nil, false, ""},
			{"", []string{"tutti.json"}, true, "tutti.json"},
			{"", []string{"other", "tutti.json"}, true, "tutti.json"},
			{"&framing=json", []string{"tutti.json"}, true, "tutti.json"},
			{"&framing=json", nil, true, ""},
			{"&framing=text", nil, false, ""},
		} {
			var headers []string
			for _, o := range tt.offers {
				headers = append(headers, "Sec-WebSocket-Protocol", o)
			}
			s := w.connect("/ws?room=chat:a"+tt.query, headers...)
			w.publish(w.event("e", "text"), "chat:a")
			got, _ := s.read()
			if isJSON := strings.HasPrefix(got, `{"event":"e",`); isJSON != tt.json {
				t.Errorf("%q %q: got %s", tt.query, tt.offers, got)
			}
			s.close()
			synctest.Wait()
		}
		if _, no := w.dial("/ws?room=chat:a&framing=xml"); no == nil || no.status != 400 {
			t.Errorf("an unknown framing: %+v, want 400", no)
		}
	})
}

func TestRelay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.sockets(door.WebSocketConfig{Relay: true, Rate: -1})
		a, b, c := w.connect("/ws"), w.connect("/ws"), w.connect("/ws?framing=json")
		defer a.close()
		defer b.close()
		defer c.close()
		a.send("hello")
		a.want("hello")
		b.want("hello")
		if got, _ := c.read(); !strings.HasPrefix(got, `{"event":"message","data":"hello","offset":"`) {
			t.Errorf("got %s", got)
		}
		for command, want := range map[string]string{
			`{"join":"private","ack":1}`:               `{"ack":1,"error":"a relay has no rooms","code":"bad_room"}`,
			`{"event":"e","room":"private","ack":2}`:   `{"ack":2,"error":"a relay has no rooms","code":"bad_room"}`,
			`{"event":"e","rooms":["x","y"],"ack":12}`: `{"ack":12,"error":"a relay has no rooms","code":"bad_room"}`,
		} {
			c.send(command)
			c.want(want)
		}
		c.send(`{"event":"e","data":5}`)
		a.want("5")
		b.want("5")
		if _, no := w.dial("/ws?room=private"); no == nil || no.status != 400 || !strings.Contains(no.body, "a relay has no rooms") {
			t.Errorf("a room at a relay: %+v, want 400", no)
		}
	})
}

// TestWebSocketBeginsWith101: what is published when the client has the answer
// reaches it, and nothing is missing after the first it gets.
func TestWebSocketBeginsWith101(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.sockets(chatty)
		stop := make(chan struct{})
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Microsecond): // lets others run
				}
				w.publish(w.event("n", i), "chat:a")
			}
		}()
		for range 30 {
			s := w.connect("/ws?room=chat:a")
			if n := w.space.Count("chat:a"); n != 1 {
				t.Errorf("%d members when the answer is there, want 1", n)
			}
			first := -1
			for i := range 50 {
				var n int
				text, err := s.read()
				if _, err2 := fmt.Sscan(text, &n); err != nil || err2 != nil {
					t.Fatal(err, err2)
				}
				if first < 0 {
					first = n
				}
				if n != first+i {
					t.Fatalf("got %d, want %d", n, first+i)
				}
			}
			s.close()
			synctest.Wait()
		}
		close(stop)
		<-stopped
	})
}

func TestWebSocketHandshake(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		cfg := chatty
		cfg.MaxRooms, cfg.MaxStreams = 2, 1
		cfg.Listen = door.Access{Rooms: []string{"chat:*"}, Keys: []door.Key{{Name: "k", Secret: secret, Rooms: []string{"staff"}}}}
		w.sockets(cfg)
		resp, body := w.answer("GET", "/ws?room=chat:a", "")
		w.wantRefusal("no upgrade", resp, body, 426, "upgrade_required")
		if resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("Sec-WebSocket-Version") != "13" {
			t.Errorf("426 with the headers %v", resp.Header)
		}
		for _, tt := range []struct {
			rule, path string
			headers    []string
			status     int
			code       string
		}{
			{"version 8", "/ws?room=chat:a", []string{"Sec-WebSocket-Version", "8"}, 426, "bad_handshake"},
			{"no key", "/ws?room=chat:a", []string{"Sec-WebSocket-Version", "13"}, 400, "bad_handshake"},
		} {
			headers := append([]string{"Upgrade", "websocket", "Connection", "Upgrade"}, tt.headers...)
			resp, body := w.answer("GET", tt.path, "", headers...)
			w.wantRefusal(tt.rule, resp, body, tt.status, tt.code)
		}
		for _, tt := range []struct {
			rule, path string
			headers    []string
			status     int
			code       string
		}{
			{"no room", "/ws", nil, 401, "unauthorized"},
			{"a room that is not open", "/ws?room=staff", nil, 401, "unauthorized"},
			{"a wrong key", "/ws?room=chat:a", []string{"Authorization", "Bearer wrong"}, 401, "unauthorized"},
			{"a key for others", "/ws?room=boss", []string{"Authorization", "Bearer " + secret}, 403, "forbidden"},
			{"a bad name", "/ws?room=chat:%0a", nil, 400, "bad_room"},
			{"too many rooms", "/ws?room=chat:a&room=chat:b&room=chat:c", nil, 400, "too_many_rooms"},
			{"a broken query", "/ws?room=%2", nil, 400, "bad_query"},
			{"evil origin", "/ws?room=chat:a", []string{"Origin", "https://evil.test"}, 403, "origin"},
		} {
			_, no := w.dial(tt.path, tt.headers...)
			if no == nil || no.status != tt.status || !strings.Contains(no.body, `"code":"`+tt.code+`"`) {
				t.Errorf("%s: %+v, want %d %s", tt.rule, no, tt.status, tt.code)
			}
		}
		s := w.connect("/ws?room=staff&room=chat:a", "Authorization", "Bearer "+secret)
		if _, no := w.dial("/ws?room=chat:a"); no == nil || no.status != 503 {
			t.Errorf("a second stream of one: %+v, want 503", no)
		}
		s.close()
		synctest.Wait()
		w.connect("/ws?room=chat:a").close()
	})
}

func TestWebSocketSlowReader(t *testing.T) {
	for _, framing := range []string{"text", "json"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 4096)
			defer w.close()
			cfg := chatty
			cfg.MaxQueue = 50_000
			w.sockets(cfg)
			path := "/ws?room=chat:a&framing=" + framing
			slow, quick := w.connect(path), w.connect(path)
			defer slow.close()
			defer quick.close()
			w.wantTold("two streams", "opened", "opened")
			text := strings.Repeat("x", 1000)
			for range 200 {
				w.publish(w.event("e", text), "chat:a")
				if got, err := quick.read(); err != nil || !strings.Contains(got, text) {
					t.Fatalf("the quick one got %.100q and %v", got, err)
				}
				synctest.Wait()
			}
			w.wantTold("a full queue", "limit: queue")
			time.Sleep(10 * time.Second)
			w.wantTold("a reader that stands still", "closed: client too slow")
			if n := w.space.Count("chat:a"); n != 1 {
				t.Errorf("%d members, want the quick one only", n)
			}
		})
	}
}

// TestWebSocketSlowReaderComesBack: who reads on in time gets what was queued
// and then the reason.
func TestWebSocketSlowReaderComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096)
		defer w.close()
		cfg := chatty
		cfg.MaxQueue = 20_000
		w.sockets(cfg)
		s := w.connect("/ws?room=chat:a")
		for range 50 {
			w.publish(w.event("e", strings.Repeat("x", 1000)), "chat:a")
			synctest.Wait()
		}
		n := 0
		for {
			if _, err := s.read(); err != nil {
				if err.Error() != "closed: 1008 too slow" {
					t.Errorf("the stream ends with %v", err)
				}
				break
			}
			n++
		}
		if n < 20 || n >= 50 {
			t.Errorf("got %d messages, want what fits the queue and the buffers", n)
		}
		s.close()
		w.wantTold("too slow", "opened", "limit: queue", "closed: client too slow")
	})
}

func TestWebSocketHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.sockets(chatty)
		s := w.connect("/ws?room=chat:a")
		defer s.close()
		start := time.Now()
		for i := range 3 {
			s.want("ping")
			// The wheel may be a tick early, and each beat is set by the last.
			want := time.Duration(i+1) * 25 * time.Second
			if got := time.Since(start); got > want || got < want-500*time.Millisecond {
				t.Errorf("ping %d after %v, want %v", i+1, got, want)
			}
			if err := ws.WriteFrame(s.conn, ws.MaskFrameInPlace(ws.NewPongFrame(nil))); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestWebSocketShutdown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		d := w.sockets(chatty)
		a, b := w.connect("/ws?room=chat:a"), w.connect("/ws?room=chat:a&framing=json")
		done := make(chan error, 1)
		go func() { done <- d.Shutdown(t.Context()) }()
		a.wantClose(1001, "server shutting down")
		b.wantClose(1001, "server shutting down")
		if err := <-done; err != nil {
			t.Errorf("shutdown: %v", err)
		}
		w.wantTold("shutdown", "opened", "opened", "closed: server shutting down", "closed: server shutting down")
		if _, no := w.dial("/ws?room=chat:a"); no == nil || no.status != 503 {
			t.Errorf("after shutdown: %+v, want 503", no)
		}
	})
}

func TestWebSocketShutdownCutsOff(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		d := w.sockets(chatty)
		s := w.connect("/ws?room=chat:a")
		defer s.close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := d.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("a client that does not answer the close frame: %v after %v, want the context's error after 1 s", err, time.Since(start))
		}
	})
}

// TestWebSocketPanic: a panic somewhere in the hub ends the publisher's
// connection and nothing else.
func TestWebSocketPanic(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.sockets(chatty)
		bad, err := w.space.Enter(memberFunc(func(*hub.Message) { panic("bad member") }), nil, "chat:bad")
		if err != nil {
			t.Fatal(err)
		}
		good := w.connect("/ws?room=chat:a")
		defer good.close()
		s := w.connect("/ws?room=chat:bad")
		s.send("x")
		for err = nil; err == nil; _, err = s.read() { // its own text may come before
		}
		s.close()
		w.wantTold("a panic", "opened", "opened", "closed: internal error")
		bad.Close()
		good.send("y")
		good.want("y")
	})
}

// TestOrigins: no page may act for its visitor at any door unless it is listed.
func TestOrigins(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		listed := []string{"https://app.example.com"}
		cfg := chatty
		cfg.Origins = listed
		w.sockets(cfg)
		w.events(door.EventsConfig{Listen: open, Origins: listed})
		w.publisher(door.PublishConfig{Publish: open, Origins: listed})
		for origin, allowed := range map[string]bool{
			"https://app.example.com":      true,
			"http://example.test":          true, // the server's own
			"https://app.example.com.evil": false,
			"https://app.example.com:444":  false,
			"http://app.example.com":       false,
			"https://evil.test":            false,
			"null":                         false,
			"":                             false,
		} {
			s, no := w.dial("/ws?room=chat:a", "Origin", origin)
			if (no == nil) != allowed || no != nil && no.status != 403 {
				t.Errorf("websocket from %q: %+v, want allowed %v", origin, no, allowed)
			}
			if s != nil {
				s.close()
			}
			events := w.do("GET", "/events?room=chat:a", "", "Origin", origin)
			publish, body := w.answer("POST", "/api/publish", `{"room":"chat:a","event":"e"}`, "Content-Type", "application/json", "Origin", origin)
			for door, resp := range map[string]*http.Response{"events": events, "publish": publish} {
				if (resp.StatusCode == 200) != allowed {
					t.Errorf("%s from %q: %d %s, want allowed %v", door, origin, resp.StatusCode, body, allowed)
				}
				want := ""
				if allowed {
					want = origin
				}
				if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want || resp.Header.Get("Vary") != "Origin" {
					t.Errorf("%s from %q: Access-Control-Allow-Origin %q, Vary %q", door, origin, got, resp.Header.Get("Vary"))
				}
			}
			events.Body.Close()
		}
		resp, _ := w.answer("OPTIONS", "/api/publish", "", "Origin", "https://app.example.com",
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
		if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
			t.Errorf("preflight: %d %v", resp.StatusCode, resp.Header)
		}
		synctest.Wait()
	})
}

// A hijacker lets a test act between the seat and the answer of a handshake.
type hijacker struct {
	http.ResponseWriter
	before func() error
}

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := h.before(); err != nil {
		return nil, nil, err
	}
	return http.NewResponseController(h.ResponseWriter).Hijack()
}

// TestWebSocketEarlyMessages: what is delivered before the handshake is
// answered comes first after it.
func TestWebSocketEarlyMessages(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		cfg := chatty
		cfg.MaxQueue = 10_000
		d := w.sockets(cfg)
		var size, count int
		w.mux.HandleFunc("/early", func(rw http.ResponseWriter, r *http.Request) {
			d.ServeHTTP(hijacker{rw, func() error {
				for i := range count {
					w.publish(w.event("e", fmt.Sprint(i, strings.Repeat("x", size))), "chat:a")
				}
				return nil
			}}, r)
		})
		size, count = 10, 100
		s := w.connect("/early?room=chat:a")
		w.publish(w.event("e", "after"), "chat:a")
		for i := range count {
			s.want(fmt.Sprint(i, strings.Repeat("x", size)))
		}
		s.want("after")
		s.close()
		w.wantTold("early messages", "opened", "closed: client left")

		size, count = 1000, 11
		s = w.connect("/early?room=chat:a")
		s.wantClose(1008, "too slow")
		w.wantTold("more early messages than a queue holds", "opened", "limit: queue", "closed: client too slow")
	})
}

func TestWebSocketCannotHijack(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		d := w.sockets(chatty)
		w.mux.HandleFunc("/broken", func(rw http.ResponseWriter, r *http.Request) {
			d.ServeHTTP(hijacker{rw, func() error { return errors.New("no") }}, r)
		})
		if _, no := w.dial("/broken?room=chat:a"); no == nil || no.status != 500 || !strings.Contains(no.body, `{"error":{`) {
			t.Errorf("%+v, want 500", no)
		}
		if d.Streams() != 0 || w.space.Count("chat:a") != 0 {
			t.Errorf("%d streams, %d members", d.Streams(), w.space.Count("chat:a"))
		}
	})
}

func TestWebSocketForEveryone(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		cfg := chatty
		cfg.Listen.Keys = []door.Key{{Name: "all", Secret: secret, Rooms: []string{"*"}}}
		w.sockets(cfg)
		for _, framing := range []string{"text", "json"} {
			some := w.connect("/ws?room=chat:a&framing=" + framing)
			all := w.connect("/ws?framing="+framing, "Authorization", "Bearer "+secret)
			w.publish(w.event("e", "everyone"))
			if got, err := all.read(); err != nil || !strings.Contains(got, "everyone") {
				t.Errorf("got %q, %v", got, err)
			}
			some.wantQuiet("what is for everyone")
			some.close()
			all.close()
			synctest.Wait()
		}
	})
}

// TestHubLimits: what the hub refuses is told like what the door refuses.
func TestHubLimits(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.space = hub.New(hub.Config{MaxRooms: 1}).Space("/")
		w.sockets(chatty)
		w.events(door.EventsConfig{Listen: open})
		resp, body := w.answer("GET", "/events?room=chat:a&room=chat:b", "")
		w.wantRefusal("two rooms of one", resp, body, 400, "too_many_rooms")
		w.wantTold("two rooms of one", "limit: rooms", "refused: 400 too_many_rooms")
		s := w.connect("/ws?room=chat:a&framing=json")
		defer s.close()
		s.send(`{"join":"chat:b","ack":1}`)
		s.want(`{"ack":1,"error":"too many rooms","code":"too_many_rooms"}`)
		s.send(`{"event":"e"}`)
		if got, _ := s.read(); !strings.HasPrefix(got, `{"event":"e"`) {
			t.Errorf("got %s", got)
		}
		w.wantTold("a second room", "opened", "limit: rooms")
	})
}
