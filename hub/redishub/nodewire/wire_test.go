package nodewire_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/redishub/nodewire"
	"github.com/tutti-rt/tutti/packet"
)

// A capture is a command that one of Node's servers has given Redis.
type capture struct {
	label string
	words []string
}

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// captured reads the commands of a file in testdata: what MONITOR has printed
// while Node's own adapters did what the labels say.
func captured(t testing.TB, file string) []capture {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var list []capture
	for line := range strings.Lines(string(text)) {
		label, rest, _ := strings.Cut(line, " ")
		if label == "" || !strings.HasPrefix(rest, `"`) {
			continue // what Node's program printed
		}
		c := capture{label: label}
		for _, word := range quoted.FindAllString(rest, -1) {
			s, err := strconv.Unquote(word)
			if err != nil {
				t.Fatalf("%s: %s: %v", file, word, err)
			}
			c.words = append(c.words, s)
		}
		list = append(list, c)
	}
	if len(list) < 10 {
		t.Fatalf("%s has %d commands", file, len(list))
	}
	return list
}

// A made dialect is one for a server of that name.
type made func(uid string) nodewire.Dialect

var dialects = map[string]made{
	"redis-classic.txt": func(uid string) nodewire.Dialect { return nodewire.NewClassic("socket.io", "/", uid) },
	"redis-emitter.txt": func(uid string) nodewire.Dialect { return nodewire.NewClassic("socket.io", "/", uid) },
	"redis-sharded.txt": func(uid string) nodewire.Dialect {
		return nodewire.NewSharded("socket.io", "/", uid, nodewire.Dynamic)
	},
	"redis-streams.txt": func(uid string) nodewire.Dialect { return nodewire.NewStreams("socket.io", "/", uid, 1) },
}

// decode reads what a command carries, nil if it carries none.
func (c capture) decode(t testing.TB, d nodewire.Dialect) *nodewire.Message {
	t.Helper()
	var m *nodewire.Message
	var err error
	switch c.words[0] {
	case "PUBLISH", "SPUBLISH":
		m, err = d.Decode(c.words[1], []byte(c.words[2]), nil)
	case "XADD":
		pairs := make(map[string]string)
		for i := 6; i+1 < len(c.words); i += 2 {
			pairs[c.words[i]] = c.words[i+1]
		}
		m, err = d.Decode("", nil, pairs)
	default:
		return nil
	}
	if err != nil {
		t.Fatalf("%s %q: %v", c.label, c.words, err)
	}
	return m
}

// TestCaptures: what Node's servers say is understood, and said again it is the
// same command, byte for byte.
func TestCaptures(t *testing.T) {
	for _, file := range []string{"redis-classic.txt", "redis-sharded.txt", "redis-streams.txt"} {
		t.Run(file, func(t *testing.T) {
			said := 0
			for _, c := range captured(t, file) {
				m := c.decode(t, dialects[file]("other"))
				if m == nil {
					continue
				}
				if m.Op == nodewire.Fetched && len(m.Sockets) > 0 {
					continue // see TestDescription
				}
				uid := m.From
				if uid == "" { // classic answers do not say whose they are
					uid = "any"
				}
				if c.words[0] != "XADD" && m.Op != nodewire.Broadcast {
					// An answer's channel ends with whom it is for.
					parts := strings.Split(c.words[1], "#")
					m.To.Socket = parts[len(parts)-2]
				}
				if m.Op == nodewire.Fetched {
					m.Sockets = nil
				}
				p, err := dialects[file](uid).Encode(m)
				if err != nil {
					t.Fatalf("%s: %v", c.label, err)
				}
				got := append([]string{map[nodewire.Via]string{nodewire.Publish: "PUBLISH", nodewire.SPublish: "SPUBLISH", nodewire.Add: "XADD"}[p.Via], p.To}, p.Pair...)
				want := c.words
				if p.Via == nodewire.Add {
					want = append(want[:2:2], want[6:]...)
				} else {
					got = append(got, string(p.Body))
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s:\n got %q\nwant %q", c.label, got, want)
				}
				said++
			}
			if said < 10 {
				t.Errorf("only %d commands were compared", said)
			}
		})
	}
}

// TestSources: a server of ours listens where Node's do.
func TestSources(t *testing.T) {
	for file, want := range map[string]string{
		"redis-classic.txt": `{[socket.io#/#*] [socket.io-request#/# socket.io-response#/# socket.io-response#/#me#] []  socket.io-request#/#}`,
		"redis-sharded.txt": `{[] [] [socket.io#/# socket.io#/#me#]  socket.io#/#}`,
		"redis-streams.txt": `{[] [socket.io#/# socket.io#/#me#] [] socket.io socket.io#/#}`,
	} {
		s := dialects[file]("me").Sources()
		if got := strings.ReplaceAll(sprint(s), "\n", ""); got != want {
			t.Errorf("%s: got %s, want %s", file, got, want)
		}
		heard := make(map[string]bool)
		for _, c := range captured(t, file) {
			if strings.HasSuffix(strings.ToLower(c.words[0]), "subscribe") {
				for _, channel := range c.words[1:] {
					heard[channel] = true
				}
			}
			if c.words[0] == "PUBSUB" && c.words[2] != s.Counted {
				t.Errorf("%s: Node counts %q, not %q", file, c.words[2], s.Counted)
			}
		}
		for _, channel := range append(append(s.Patterns, s.Channels...), s.Shards...) {
			if !strings.Contains(channel, "#me#") && !heard[channel] {
				t.Errorf("%s: Node does not listen to %q", file, channel)
			}
		}
	}
}

func sprint(s nodewire.Sources) string {
	list := func(l []string) string { return "[" + strings.Join(l, " ") + "]" }
	return "{" + list(s.Patterns) + " " + list(s.Channels) + " " + list(s.Shards) + " " + s.Stream + " " + s.Counted + "}"
}

// TestEmitter: what @socket.io/redis-emitter says is understood.
func TestEmitter(t *testing.T) {
	list := captured(t, "redis-emitter.txt")
	got := make(map[string]*nodewire.Message)
	for _, c := range list {
		d := dialects["redis-emitter.txt"]("me")
		if c.label == "of" {
			d = nodewire.NewClassic("socket.io", "/admin", "me")
		}
		if m := c.decode(t, d); m != nil {
			got[c.label] = m
		}
	}
	for label, want := range map[string]string{
		"emit-all":           `1 from emitter to [] but [] {false false 0s}: hello 1,"2"`,
		"emit-room":          `1 from emitter to [r1] but [] {false false 0s}: hello {"a":[true]}`,
		"emit-2rooms-except": `1 from emitter to [r1 r2] but [r3] {true false 0s}: hello `,
		"join":               `4 from  to [r1] but [] {false false 0s}:  `,
		"leave":              `5 from  to [r1] but [] {false false 0s}:  `,
		"disc":               `6 from  to [r9] but [] {false false 0s}:  `,
		"sse":                `12 from emitter to [] but [] {false false 0s}: ss 1`,
		"of":                 `1 from emitter to [] but [] {false false 0s}: x {"$binary":"AQI="}`,
	} {
		if m := got[label]; m == nil {
			t.Errorf("%s: not there", label)
		} else if text := show(m); text != want {
			t.Errorf("%s: got %s, want %s", label, text, want)
		}
	}
	if !got["disc"].Whole || len(got["join"].Rooms) != 1 || got["join"].Rooms[0] != "r9" {
		t.Errorf("disc %+v, join %+v", got["disc"], got["join"])
	}
}

func show(m *nodewire.Message) string {
	list := func(l []string) string { return "[" + strings.Join(l, " ") + "]" }
	f := m.To.Flags
	return strconv.Itoa(int(m.Op)) + " from " + m.From + " to " + list(m.To.Rooms) + " but " + list(m.To.Except) +
		" {" + strconv.FormatBool(f.Volatile) + " " + strconv.FormatBool(f.Uncompressed) + " " + f.Timeout.String() + "}: " +
		m.Event + " " + string(m.Args.AppendText(nil))
}

// TestDescription: sockets are described with Node's keys in Node's order, and
// Node's descriptions are read.
func TestDescription(t *testing.T) {
	for _, file := range []string{"redis-classic.txt", "redis-sharded.txt", "redis-streams.txt"} {
		for _, c := range captured(t, file) {
			m := c.decode(t, dialects[file]("other"))
			if m == nil || m.Op != nodewire.Fetched || len(m.Sockets) == 0 {
				continue
			}
			d := m.Sockets[0]
			if len(d.ID) != 20 || len(d.Rooms) != 2 || d.Rooms[1] != "r1" || string(d.Data) != `{"user":"bob"}` ||
				d.Handshake.Remote != "127.0.0.1" || d.Handshake.Time.IsZero() ||
				d.Handshake.Query["EIO"][0] != "4" || d.Handshake.Header["Sec-Websocket-Version"][0] != "13" {
				t.Errorf("%s: %+v", file, d)
			}
			if d.Node != m.From {
				t.Errorf("%s: socket of %q, told by %q", file, d.Node, m.From)
			}
		}
	}
	came := time.Date(2026, 11, 22, 4, 52, 19, 383e6, time.UTC)
	p, err := nodewire.NewClassic("socket.io", "/", "me").Encode(&nodewire.Message{Op: nodewire.Fetched, Request: "fu4gnt", Sockets: []hub.Description{{
		ID: "Z7GHigUvHGTWM2M2AAAA", Rooms: []string{"Z7GHigUvHGTWM2M2AAAA", "r1"}, Owner: "ann",
		Handshake: hub.Handshake{
			Header: map[string][]string{"Host": {"127.0.0.1:4111"}, "Accept": {"a", "b"}}, URL: "/socket.io/?EIO=4&transport=websocket",
			Query: map[string][]string{"EIO": {"4"}, "x": {"1", "2"}}, Remote: "127.0.0.1:5000", Time: came,
		},
	}}})
	const want = `{"requestId":"fu4gnt","sockets":[{"id":"Z7GHigUvHGTWM2M2AAAA","handshake":{"headers":{"accept":"a, b","host":"127.0.0.1:4111"},` +
		`"time":"Sun Nov 22 2026 04:52:19 GMT+0000 (Coordinated Universal Time)","address":"127.0.0.1","xdomain":false,"secure":false,` +
		`"issued":1795323139383,"url":"/socket.io/?EIO=4&transport=websocket","query":{"EIO":"4","x":["1","2"]},"auth":{}},` +
		`"rooms":["Z7GHigUvHGTWM2M2AAAA","r1"],"data":{}}]}`
	if err != nil || string(p.Body) != want || p.To != "socket.io-response#/#" {
		t.Errorf("got %s (%v)\nwant %s", p.Body, err, want)
	}
}

// TestOfOld: requests about one socket, as servers of older versions put them,
// and names that are numbers.
func TestOfOld(t *testing.T) {
	d := nodewire.NewClassic("socket.io", "/", "me")
	m, err := d.Decode("socket.io-request#/#", []byte(`{"requestId":"abc","type":2,"sid":"s1","room":7,"uid":null}`), nil)
	if err != nil || m.To.Socket != "s1" || m.Rooms[0] != "7" || m.To.Address().Rooms[0] != "s1" {
		t.Errorf("join: %+v, %v", m, err)
	}
	p, err := d.Encode(&nodewire.Message{Op: nodewire.Done, Request: "abc"})
	if err != nil || string(p.Body) != `{"requestId":"abc"}` {
		t.Errorf("done: %s, %v", p.Body, err)
	}
	if room, ok := d.Only("socket.io#/#a#b#"); !ok || room != "a#b" {
		t.Errorf("room %q, %t", room, ok)
	}
	args, _ := packet.Marshal([]byte{1, 255}, map[string]any{"b": []byte{}})
	p, err = d.Encode(&nodewire.Message{Op: nodewire.Emit, Event: "e", Args: args})
	const want = `{"uid":"me","type":6,"data":["e",{"type":"Buffer","data":[1,255]},{"b":{"type":"Buffer","data":[]}}]}`
	if err != nil || string(p.Body) != want {
		t.Errorf("binary in JSON: %s, %v", p.Body, err)
	}
}

// TestRoomChannels: which rooms have channels of their own, by the mode.
func TestRoomChannels(t *testing.T) {
	own, public := strings.Repeat("x", 20), "chat"
	for mode, want := range map[nodewire.Mode][2]bool{
		nodewire.Dynamic: {false, true}, nodewire.DynamicPrivate: {true, true}, nodewire.Static: {false, false},
	} {
		d := nodewire.NewSharded("socket.io", "/", "me", mode)
		for i, room := range []string{own, public} {
			channel, ok := d.Room(room)
			if ok != want[i] || channel != "socket.io#/#"+room+"#" {
				t.Errorf("mode %d, room %s: %q, %t", mode, room, channel, ok)
			}
			p, err := d.Encode(&nodewire.Message{Op: nodewire.Broadcast, Event: "e", To: nodewire.Target{Rooms: []string{room}}})
			if to := "socket.io#/#" + map[bool]string{true: room + "#"}[want[i]]; err != nil || p.To != to {
				t.Errorf("mode %d, room %s: sent to %s, %v", mode, room, p.To, err)
			}
		}
	}
}

// TestStreamOf: namespaces are spread over streams as Node spreads them. The
// numbers are what its function hashCode returns.
func TestStreamOf(t *testing.T) {
	for namespace, want := range map[string]string{"/": "socket.io-2", "/chat": "socket.io-1", "/admin": "socket.io-1"} {
		if got := nodewire.NewStreams("socket.io", namespace, "me", 3).Sources().Stream; got != want {
			t.Errorf("%s: %s, want %s", namespace, got, want)
		}
	}
}

// TestLists: lists that would cost much more than they say are refused, null is
// none, and binary data of sockets is there.
func TestLists(t *testing.T) {
	d := nodewire.NewClassic("socket.io", "/", "me")
	many := strings.Repeat("1,", 1<<16)
	for _, c := range []struct{ channel, body, want string }{
		{"socket.io-response#/#", `{"requestId":"a","sockets":[` + many + `1]}`, "too long"},
		{"socket.io-response#/#", `{"requestId":"a","rooms":[` + many + `1]}`, "too long"},
		{"socket.io-request#/#", `{"uid":"x","type":2,"opts":{"rooms":[` + many + `1]}}`, "too long"},
		{"socket.io-response#/#", `{"requestId":"a","sockets":{}}`, "invalid"},
		{"socket.io-request#/#", `{"uid":"x","type":2,"opts":{"rooms":[{}]}}`, "not a message"},
		{"socket.io-request#/#", `{"uid":"x","type":2,"rooms":null,"opts":{"rooms":null,"except":[]}}`, ""},
		{"socket.io-response#/#", `{"requestId":"a","sockets":null,"rooms":null}`, ""},
	} {
		_, err := d.Decode(c.channel, []byte(c.body), nil)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%.60s: %v, want %q", c.body, err, c.want)
		}
	}
	var headers strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&headers, `"x%d":"1",`, i)
	}
	m, err := d.Decode("socket.io-response#/#", []byte(`{"requestId":"a","sockets":[{"id":"x","handshake":{"headers":{`+
		headers.String()+`"y":"2"},"query":[]}}]}`), nil)
	if err != nil || len(m.Sockets[0].Handshake.Header) != 2000 {
		t.Errorf("%v", err)
	}
	a, _ := packet.Marshal(map[string]any{"type": 8, "uid": "x", "nsp": "/", "data": map[string]any{
		"requestId": "a", "sockets": []any{map[string]any{"id": "y", "data": map[string]any{"b": []byte{1, 2}}}},
	}})
	m, err = nodewire.NewStreams("socket.io", "/", "me", 1).Decode("socket.io#/#me#", a.At(0).AppendMessagePack(nil), nil)
	if err != nil || string(m.Sockets[0].Data) != `{"b":{"$binary":"AQI="}}` || m.Sockets[0].Node != "x" {
		t.Errorf("%+v, %v", m, err)
	}
}

// FuzzDecode: whatever comes on a channel or in a stream, nothing panics, and
// what was understood can be said again and means the same.
func FuzzDecode(f *testing.F) {
	for file := range dialects {
		for _, c := range captured(f, file) {
			if last := c.words[len(c.words)-1]; len(c.words) > 2 {
				f.Add(c.words[1], []byte(last), "3")
			}
		}
	}
	f.Add("socket.io#/#", []byte{0xdd, 0xff, 0xff, 0xff, 0xff}, "4")
	f.Add("socket.io-request#/#", []byte(strings.Repeat(`{"opts":`, 2000)), "-1")
	f.Fuzz(func(t *testing.T, channel string, body []byte, kind string) {
		for file, make := range dialects {
			d := make("me")
			for _, pairs := range []map[string]string{nil, {"uid": channel, "nsp": "/", "type": kind, "data": string(body)}} {
				m, err := d.Decode(channel, body, pairs)
				if err != nil {
					continue
				}
				d.Only(channel)
				again(t, file, make(m.From), m)
			}
		}
	})
}

// again says what was understood, and reads it.
func again(t *testing.T, file string, d nodewire.Dialect, m *nodewire.Message) {
	p, err := d.Encode(m)
	if err != nil {
		return // some things only others say
	}
	var pairs map[string]string
	if p.Via == nodewire.Add {
		pairs = make(map[string]string)
		for i := 0; i < len(p.Pair); i += 2 {
			pairs[p.Pair[i]] = p.Pair[i+1]
		}
	}
	got, err := d.Decode(p.To, p.Body, pairs)
	if err != nil {
		if m.Op == nodewire.Broadcast || m.Op == nodewire.Emit {
			t.Fatalf("%s: said %q, which cannot be read: %v", file, p.Body, err)
		}
		return
	}
	if got.Op == m.Op && (got.Event != m.Event || !sameJSON(got.Args, m.Args)) {
		t.Fatalf("%s: got %s, want %s", file, show(got), show(m))
	}
}

// sameJSON compares values: a number may be written in another way.
func sameJSON(a, b packet.Args) bool {
	var x, y any
	if a.Attachments() != b.Attachments() || a.HasBinary() {
		return a.Attachments() == b.Attachments()
	}
	s, _ := a.MarshalJSON()
	u, _ := b.MarshalJSON()
	if json.Unmarshal(s, &x) != nil || json.Unmarshal(u, &y) != nil {
		return true // numbers beyond those of Go
	}
	return reflect.DeepEqual(x, y)
}
