package door

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/packet"
)

// FuzzCommand: whatever a client sends, its command is one or the error is in
// words.
func FuzzCommand(f *testing.F) {
	for _, seed := range []string{
		`{"event":"x","data":{"a":[1,2]},"room":"r","ack":1}`, `{"event":"x","rooms":["a","b"]}`,
		`{"join":"a","ack":9007199254740991}`, `{"leave":"a"}`, `{"answer":1,"data":"x"}`,
		`{"event":"x","data":{"_placeholder":true,"num":0}}`, `{"ack":1e3}`, `{"event":null}`, `[]`, `{`, "\xff", `{"a":{"a":`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCommand(data)
		if err != nil {
			if !utf8.ValidString(err.Error()) || len(err.Error()) > 500 {
				t.Errorf("the error is not fit for a client: %q", err)
			}
			return
		}
		if !json.Valid(data) {
			t.Errorf("took %q for JSON", data)
		}
		if c.Event.is {
			checkMessage(t, c.Event.value, c.Data)
		}
	})
}

// FuzzPublication is the same for the body of a request.
func FuzzPublication(f *testing.F) {
	for _, seed := range []string{
		`{"room":"a","event":"x","data":[null,"\u2028"]}`, `{"rooms":["a"],"event":"x"}`, `{"event":"x"}`, `{"event":"x","event":"y"}`,
		`{"room":null,"event":"x"}`, `{"event":"connect"}`, `{"data":1e400,"event":"x"}`, `{"event":"\ud800"}`, ` `, `"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodePublication(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Errorf("took %q for JSON", data)
		}
		rooms, err := p.address(10)
		if err == nil && len(rooms) == 0 && (bytes.Contains(data, []byte(`"room"`)) || bytes.Contains(data, []byte(`"rooms"`))) && !bytes.Contains(p.Data, []byte("room")) && !strings.Contains(p.Event.value, "room") {
			t.Errorf("%s names rooms and reaches everyone", data)
		}
		checkMessage(t, p.Event.value, p.Data)
	})
}

// checkMessage makes a message and every form of it.
func checkMessage(t *testing.T, event string, data []byte) {
	m, err := message(event, data)
	if err != nil {
		return
	}
	if packet.Reserved(m.Event) || m.Event == "" || len(m.Event) > maxEvent {
		t.Errorf("the event name %q passed", m.Event)
	}
	checkForms(t, m)
}

// checkForms: every form of a message is what its readers can read.
func checkForms(t *testing.T, m *hub.Message) {
	event := encodeEvent(m)
	if m.Offset() == "" {
		event = append([]byte("id: \n"), event...) // it has none
	}
	lines := bytes.Split(event, []byte("\n"))
	if len(lines) != 5 || len(lines[3])+len(lines[4]) != 0 || bytes.ContainsAny(event, "\r\x00") || !bytes.HasPrefix(lines[1], []byte("event: ")) {
		t.Errorf("the event of %q is %q", m.Event, event)
	}
	if data, ok := bytes.CutPrefix(lines[2], []byte("data: ")); !ok || !json.Valid(data) {
		t.Errorf("the data of %q is %q", m.Event, lines[2])
	}
	if !json.Valid(appendJSON(nil, m)) {
		t.Errorf("%q in JSON framing is %s", m.Event, appendJSON(nil, m))
	}
	if !utf8.Valid(appendText(nil, m)) {
		t.Errorf("%q as text is %q", m.Event, appendText(nil, m))
	}
}

// FuzzForms: event names and values that come from peers, or from the program
// itself, break no form.
func FuzzForms(f *testing.F) {
	f.Add("e", "text", []byte("bytes"))
	f.Add("a\nb\r\x00", "\xff\u2028", []byte{0, 255})
	f.Add("\xff", "\x00", []byte(nil))
	f.Fuzz(func(t *testing.T, event, text string, data []byte) {
		for _, values := range [][]any{{}, {text}, {data}, {text, data}, {map[string]any{text: data}}} {
			args, err := packet.Marshal(values...)
			if err != nil {
				continue
			}
			m := &hub.Message{Event: event, Args: args, Rooms: []string{text}}
			checkForms(t, m)
			m.Call = hub.NewCall()
			checkForms(t, m)
		}
	})
}

// FuzzPattern compares with a regular expression.
func FuzzPattern(f *testing.F) {
	f.Add("chat:*", "chat:a")
	f.Add("*", "")
	f.Add("a*a", "a")
	f.Add("a*b*c", "abcbc")
	f.Add("**", "x")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if strings.Count(pattern, "*") > 10 || !utf8.ValidString(pattern) || !utf8.ValidString(name) {
			return
		}
		want := regexp.MustCompile(`(?s)\A` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `\z`).MatchString(name)
		if got := matches(pattern, name); got != want {
			t.Errorf("%q is of the pattern %q: %v, want %v", name, pattern, got, want)
		}
	})
}

// TestDeliverAllocatesNothing: what is delivered to a stream of events that
// keeps up costs no memory of its own.
func TestDeliverAllocatesNothing(t *testing.T) {
	b := inbox{limit: defaultMaxQueue, news: make(chan struct{}, 1)}
	args, err := packet.Marshal("hello")
	if err != nil {
		t.Fatal(err)
	}
	m := &hub.Message{Event: "e", Args: args, Rooms: []string{"r"}}
	b.chunks = make([][]byte, 0, 1)
	if n := testing.AllocsPerRun(100, func() {
		b.Deliver(m)
		b.chunks, b.size = b.chunks[:0], 0
	}); n != 0 {
		t.Errorf("%v allocations per delivery, want 0", n)
	}
}

// FuzzRequests: no door panics or says nothing, whatever the request.
func FuzzRequests(f *testing.F) {
	f.Add("GET", "room=chat:a&framing=json", "Bearer x", "http://example.com", "")
	f.Add("POST", "room=%00", "", "null", `{"room":"chat:a","event":"e"}`)
	f.Fuzz(func(t *testing.T, method, query, authorization, origin, body string) {
		space := hub.New(hub.Config{}).Space("/")
		access := Access{Rooms: []string{"chat:*"}, Keys: []Key{{Name: "k", Secret: "0123456789abcdef", Rooms: []string{"*"}}}}
		sockets, err := WebSocket(space, WebSocketConfig{Listen: access, Publish: access})
		if err != nil {
			t.Fatal(err)
		}
		publish, err := Publish(space, PublishConfig{Publish: access})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []*Door{sockets, publish} {
			r := httptest.NewRequest("GET", "/", strings.NewReader(body))
			r.Method, r.URL.RawQuery = method, query
			r.Header = http.Header{"Authorization": {authorization}, "Origin": {origin}, "Content-Type": {"application/json"},
				"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
			w := httptest.NewRecorder()
			d.ServeHTTP(w, r)
			if !json.Valid(w.Body.Bytes()) || w.Code >= 500 && d == publish {
				t.Errorf("%s ?%s: %d %s", method, query, w.Code, w.Body)
			}
		}
		if n := len(space.Members(hub.Address{})); n != 0 {
			t.Errorf("%d members are left", n)
		}
	})
}
