package door_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/hub"
)

func TestEventsStream(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.events(door.EventsConfig{Listen: open})
		l := w.listen("/events?room=chat:a&room=chat:b&room=chat:a")
		for name, want := range map[string]string{
			"Content-Type":           "text/event-stream",
			"Cache-Control":          "no-store",
			"X-Accel-Buffering":      "no",
			"X-Content-Type-Options": "nosniff",
		} {
			if got := l.resp.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		receipt := w.publish(w.event("greet", "hi"), "chat:a")
		if it := l.next(); it.id != string(receipt.Offset) || it.event != "greet" || it.data != `"hi"` {
			t.Errorf("got %+v, want the offset %s as id", it, receipt.Offset)
		}
		w.publish(w.event("both", 1), "chat:a", "chat:b")
		l.want("both", "1")
		w.publish(w.event("elsewhere"), "chat:c")
		w.publish(w.event("several", 1, "two", []int{3}), "chat:b")
		l.want("several", `[1,"two",[3]]`)
		w.publish(w.event("none"), "chat:b")
		l.want("none", "null")
		w.publish(w.event("bytes", map[string]any{"b": []byte("hello")}), "chat:b")
		l.want("bytes", `{"b":{"$binary":"aGVsbG8="}}`)
		w.publish(w.event("lines", "a\nb\r\nc\u2028"), "chat:b")
		l.want("lines", "\"a\\nb\\r\\nc\u2028\"")
		l.close()
		w.wantTold("a client that leaves", "opened", "closed: client left")
		if n := w.space.Count("chat:a"); n != 0 {
			t.Errorf("%d members after the client left", n)
		}
	})
}

// TestEventsCannotBeForged: what peers choose stays in its field.
func TestEventsCannotBeForged(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.events(door.EventsConfig{Listen: open})
		l := w.listen("/events?room=chat:a")
		defer l.close()
		for name, want := range map[string]string{
			"x\ndata: evil\n\n":      "x\uFFFDdata: evil\uFFFD\uFFFD",
			"x\rid: 1":               "x\uFFFDid: 1",
			"\r\n\r\nevent: e":       "\uFFFD\uFFFD\uFFFD\uFFFDevent: e",
			"nul\x00":                "nul\uFFFD",
			" spaces : and colons: ": " spaces : and colons: ",
			"":                       "",
			"retry: 1":               "retry: 1",
		} {
			w.publish(w.event(name, "\n\nevent: e\n"), "chat:a")
			l.want(want, `"\n\nevent: e\n"`)
		}
	})
}

// TestEventsBeginWithTheHeaders: what is published when the client has the
// headers reaches it.
func TestEventsBeginWithTheHeaders(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.events(door.EventsConfig{Listen: open})
		for range 20 {
			resp := w.do("GET", "/events?room=chat:a", "")
			if r := w.publish(w.event("e"), "chat:a"); r.Members != 1 {
				t.Errorf("%d members when the headers are there, want 1", r.Members)
			}
			resp.Body.Close()
			synctest.Wait()
		}
	})
}

func TestEventsHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.events(door.EventsConfig{Listen: open})
		l := w.listen("/events?room=chat:a")
		defer l.close()
		start := time.Now()
		beat := func(rule string, want time.Duration) {
			t.Helper()
			if it := l.next(); it.other != ":" || time.Since(start) != want {
				t.Errorf("%s: got %+v after %v, want a comment after %v", rule, it, time.Since(start), want)
			}
		}
		beat("after 25 s of silence, and beyond the server's timeouts", 25*time.Second)
		beat("and again", 50*time.Second)
		time.Sleep(10 * time.Second)
		w.publish(w.event("e"), "chat:a")
		l.want("e", "null")
		beat("an event is a sign of life too", 85*time.Second)
	})
}

func TestEventsWithoutHeartbeatAndRetry(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.events(door.EventsConfig{Listen: open, Heartbeat: -1, Retry: -1})
		resp := w.do("GET", "/events?room=chat:a", "")
		l := &listener{t: t, resp: resp, r: nil}
		defer l.close()
		time.AfterFunc(time.Hour, func() { w.publish(w.event("e"), "chat:a") })
		buf := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "id:" {
			t.Errorf("got %q, %v, want no comment and no retry before the event", buf, err)
		}
	})
}

func TestEventsRetryIsSpread(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.events(door.EventsConfig{Listen: open, Retry: 3 * time.Second})
		seen := map[string]bool{}
		for range 50 {
			resp := w.do("GET", "/events?room=chat:a", "")
			l := &listener{t: t, resp: resp}
			buf := make([]byte, len("retry: 1234\n\n"))
			if _, err := io.ReadFull(resp.Body, buf); err != nil {
				t.Fatal(err)
			}
			l.close()
			text := strings.TrimSpace(strings.TrimPrefix(string(buf), "retry: "))
			if ms, err := strconv.Atoi(text); err != nil || ms < 3000 || ms > 6000 {
				t.Errorf("retry %q, want 3000 to 6000", text)
			}
			seen[text] = true
		}
		if len(seen) < 10 {
			t.Errorf("%d different times of 50: a restart brings everyone back at once", len(seen))
		}
	})
}

// TestEventsForEveryone: what is for everyone in the namespace reaches those
// who may hear it only.
func TestEventsForEveryone(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.events(door.EventsConfig{Listen: door.Access{
			Rooms: []string{"chat:*"},
			Keys:  []door.Key{{Name: "all", Secret: secret, Rooms: []string{"*"}}},
		}})
		some := w.listen("/events?room=chat:a")
		defer some.close()
		all := w.listen("/events", "Authorization", "Bearer "+secret)
		defer all.close()
		both := w.listen("/events?room=chat:a", "Authorization", "bearer "+secret)
		defer both.close()
		w.publish(w.event("everyone"))
		w.publish(w.event("room"), "chat:a")
		all.want("everyone", "null")
		both.want("everyone", "null")
		both.want("room", "null")
		some.want("room", "null")
		w.publish(w.event("last"))
		all.want("last", "null")
	})
}

// TestEventsSlowReader: who does not read is closed when its queue is full, or
// when a write takes too long, and nobody else notices.
func TestEventsSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096)
		defer w.close()
		w.events(door.EventsConfig{Listen: open, MaxQueue: 50_000})
		slow, quick := w.listen("/events?room=chat:a"), w.listen("/events?room=chat:a")
		w.wantTold("two streams", "opened", "opened")
		text := strings.Repeat("x", 1000)
		for range 200 {
			w.publish(w.event("e", text), "chat:a")
			quick.want("e", `"`+text+`"`)
			synctest.Wait()
		}
		if n := w.space.Count("chat:a"); n != 2 {
			t.Errorf("%d members, want 2 until the write's time is up", n)
		}
		time.Sleep(10 * time.Second)
		w.wantTold("a reader that stands still", "limit: write", "closed: client too slow")
		if n := w.space.Count("chat:a"); n != 1 {
			t.Errorf("%d members, want the quick one only", n)
		}
		if n := slow.wantCut(); n > 60 {
			t.Errorf("the slow reader still got %d events, want no more than a queue and the buffers between", n)
		}
		slow.close()
		quick.close()
	})
}

// TestEventsFullQueue: a reader that comes to itself after its queue was full
// is closed all the same: it would have a gap.
func TestEventsFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096)
		defer w.close()
		w.events(door.EventsConfig{Listen: open, MaxQueue: 10_000})
		l := w.listen("/events?room=chat:a")
		defer l.close()
		var sent int
		for range 100 {
			w.publish(w.event("e", strings.Repeat("x", 1000)), "chat:a")
			sent++
			synctest.Wait()
		}
		got := l.wantCut()
		if got >= sent {
			t.Errorf("%d of %d events came through a queue of 10,000 bytes", got, sent)
		}
		w.wantTold("a full queue", "opened", "limit: queue", "closed: client too slow")
	})
}

func TestEventsVolatile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096)
		defer w.close()
		w.events(door.EventsConfig{Listen: open})
		l := w.listen("/events?room=chat:a")
		defer l.close()
		for i := range 30 {
			w.publish(w.event("kept", i, strings.Repeat("x", 1000)), "chat:a")
			synctest.Wait()
			m := w.event("volatile", i)
			m.Volatile = true
			w.publish(m, "chat:a")
			synctest.Wait()
		}
		w.publish(w.event("last"), "chat:a")
		kept, dropped := 0, 30
		for it := l.next(); it.event != "last"; it = l.next() {
			if it.event == "kept" {
				kept++
			} else {
				dropped--
			}
		}
		if kept != 30 || dropped == 0 || dropped == 30 {
			t.Errorf("%d kept and %d volatile events dropped; want 30 and some: those for which others wait", kept, dropped)
		}
	})
}

func TestEventsShutdown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		d := w.events(door.EventsConfig{Listen: open})
		l := w.listen("/events?room=chat:a")
		defer l.close()
		if d.Streams() != 1 {
			t.Errorf("%d streams, want 1", d.Streams())
		}
		if err := d.Shutdown(t.Context()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if _, err := l.read(); !errors.Is(err, io.EOF) {
			t.Errorf("the stream ends with %v, want a proper end", err)
		}
		w.wantTold("shutdown", "opened", "closed: server shutting down")
		resp, body := w.answer("GET", "/events?room=chat:a", "")
		w.wantRefusal("after shutdown", resp, body, 503, "shutting_down")
		if got := resp.Header.Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After %q, want 1", got)
		}
		if err := d.Shutdown(t.Context()); err != nil {
			t.Errorf("a second shutdown: %v", err)
		}
	})
}

// TestEventsShutdownCutsOff: a stream that stands in a write does not hold up
// Shutdown longer than its context.
func TestEventsShutdownCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096)
		defer w.close()
		d := w.events(door.EventsConfig{Listen: open, WriteTimeout: -1})
		l := w.listen("/events?room=chat:a")
		defer l.close()
		for range 20 {
			w.publish(w.event("e", strings.Repeat("x", 1000)), "chat:a")
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := d.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("shutdown: %v after %v, want the context's error after 3 s", err, time.Since(start))
		}
		w.wantTold("a stream cut off", "opened", "closed: server shutting down")
	})
}

func TestEventsRefusals(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.events(door.EventsConfig{MaxRooms: 3, MaxStreams: 1, Listen: door.Access{
			Rooms: []string{"chat:*", "bad*"},
			Keys:  []door.Key{{Name: "staff", Secret: secret, Rooms: []string{"staff"}}},
		}})
		for _, tt := range []struct {
			rule, method, path string
			headers            []string
			status             int
			code, limit        string
		}{
			{"POST", "POST", "/events?room=chat:a", nil, 405, "method_not_allowed", ""},
			{"HEAD would never end", "HEAD", "/events?room=chat:a", nil, 405, "", ""},
			{"no room is everyone", "GET", "/events", nil, 401, "unauthorized", ""},
			{"a room for which a key is wanted", "GET", "/events?room=staff", nil, 401, "unauthorized", ""},
			{"one room of two", "GET", "/events?room=chat:a&room=staff", nil, 401, "unauthorized", ""},
			{"a wrong key", "GET", "/events?room=chat:a", []string{"Authorization", "Bearer 0123456789abcdefxxx"}, 401, "unauthorized", ""},
			{"half a key", "GET", "/events?room=chat:a", []string{"Authorization", "Bearer " + secret[:10]}, 401, "unauthorized", ""},
			{"no key", "GET", "/events?room=chat:a", []string{"Authorization", "Bearer"}, 401, "unauthorized", ""},
			{"Basic", "GET", "/events?room=chat:a", []string{"Authorization", "Basic " + secret}, 401, "unauthorized", ""},
			{"two keys", "GET", "/events?room=chat:a", []string{"Authorization", "Bearer " + secret, "Authorization", "Bearer x"}, 401, "unauthorized", ""},
			{"a key for other rooms", "GET", "/events?room=secret", []string{"Authorization", "Bearer " + secret}, 403, "forbidden", ""},
			{"an empty name", "GET", "/events?room=", []string{"Authorization", "Bearer " + secret}, 403, "forbidden", ""},
			{"a key, and no room", "GET", "/events", []string{"Authorization", "Bearer " + secret}, 403, "forbidden", ""},
			{"a bad name", "GET", "/events?room=bad%00", nil, 400, "bad_room", ""},
			{"a long name", "GET", "/events?room=bad" + strings.Repeat("x", 300), nil, 400, "bad_room", ""},
			{"four rooms of three", "GET", "/events?room=chat:a&room=chat:b&room=chat:c&room=chat:d", nil, 400, "too_many_rooms", "rooms"},
			{"a broken query", "GET", "/events?room=%zz", nil, 400, "bad_query", ""},
			{"semicolons", "GET", "/events?room=chat:a;room=chat:b", nil, 400, "bad_query", ""},
			{"another origin", "GET", "/events?room=chat:a", []string{"Origin", "https://example.test.evil"}, 403, "origin", ""},
		} {
			resp, body := w.answer(tt.method, tt.path, "", tt.headers...)
			if tt.method == "HEAD" {
				body = `{"error":{"code":"","message":"` // has none
			}
			w.wantRefusal(tt.rule, resp, body, tt.status, tt.code)
			told := w.told()
			if limited := strings.Contains(strings.Join(told, ","), "limit: "); limited != (tt.limit != "") {
				t.Errorf("%s: the trace was told %q, want the limit %q", tt.rule, told, tt.limit)
			}
			if tt.status == 401 && resp.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no WWW-Authenticate", tt.rule)
			}
			if tt.status == 405 && resp.Header.Get("Allow") != "GET" {
				t.Errorf("%s: Allow %q", tt.rule, resp.Header.Get("Allow"))
			}
			if strings.Contains(body, secret) {
				t.Errorf("%s: the answer tells the secret", tt.rule)
			}
		}
		l := w.listen("/events?room=staff", "Authorization", "Bearer "+secret)
		resp, body := w.answer("GET", "/events?room=chat:a", "")
		w.wantRefusal("a second stream of one", resp, body, 503, "too_many_streams")
		w.wantTold("a second stream of one", "opened", "limit: streams", "refused: 503 too_many_streams")
		l.close()
		synctest.Wait()
		w.listen("/events?room=chat:a").close()
	})
}

// TestClosedDoors: without configuration nobody comes in.
func TestClosedDoors(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.events(door.EventsConfig{})
		w.sockets(door.WebSocketConfig{Publish: open})
		w.publisher(door.PublishConfig{Publish: door.Access{Keys: []door.Key{{Name: "useless", Secret: secret}}}})
		resp, body := w.answer("GET", "/events?room=chat:a", "")
		w.wantRefusal("events", resp, body, 403, "closed")
		resp, body = w.answer("POST", "/api/publish", `{"room":"chat:a","event":"e"}`, "Content-Type", "application/json")
		w.wantRefusal("publish", resp, body, 403, "closed")
		if _, no := w.dial("/ws?room=chat:a"); no == nil || no.status != 403 || !strings.Contains(no.body, `"closed"`) {
			t.Errorf("websocket: %+v, want 403 closed", no)
		}
	})
}

// TestEventsWithoutFlush: a server that cannot stream says so.
func TestEventsWithoutFlush(t *testing.T) {
	d, err := door.Events(hub.New(hub.Config{}).Space("/"), door.EventsConfig{Listen: open, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	// Only the three methods of http.ResponseWriter are left.
	d.ServeHTTP(struct{ http.ResponseWriter }{rec}, httptest.NewRequest("GET", "/events?room=chat:a", nil))
	if rec.Code != 500 || !strings.Contains(rec.Body.String(), "cannot stream") || rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if err := d.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestEventsOverHTTP2 is on a real network, where HTTP/2 is.
func TestEventsOverHTTP2(t *testing.T) {
	space := hub.New(hub.Config{}).Space("/")
	d, err := door.Events(space, door.EventsConfig{Listen: open, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(d)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL + "?room=chat:a")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Fatalf("HTTP/%d", resp.ProtoMajor)
	}
	if _, err := space.Publish(t.Context(), &hub.Message{Event: "e"}, hub.Address{Rooms: []string{"chat:a"}}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, len("retry: 1234\n\nid: "))
	if _, err := io.ReadFull(resp.Body, buf); err != nil || !strings.HasSuffix(string(buf), "\n\nid: ") {
		t.Errorf("got %q, %v", buf, err)
	}
	if err := d.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || !strings.HasSuffix(string(rest), "\nevent: e\ndata: null\n\n") {
		t.Errorf("the rest is %q, %v; want the event and a proper end", rest, err)
	}
}
