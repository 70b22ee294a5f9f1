package hostile

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestVerbs(t *testing.T) {
	s := start(t, nil, subject(t)...)
	s.keeps = 6 << 20 // the rates of thousands of rooms, and a tape of small messages: both have limits
	survive(t, s, "Verbs", roomItems)
	survive(t, s, "Verbs", readItems())
	survive(t, s, "Recovery", recoveryItems)
	survive(t, s, "Doors", doorItems())
}

// call sends a verb and returns its answer.
func (w *wire) call(t *testing.T, id int, verb, request string) string {
	t.Helper()
	w.text(t, fmt.Sprintf(`42%d["%s",%s]`, id, verb, request))
	return w.until(t, fmt.Sprintf("43%d[", id))
}

// calls sends so many verbs, whose ids count from 0, and says whether an answer has
// the text in it. It returns when one has, all are there or the session has ended.
func (w *wire) calls(times int, text string, make func(i int) string) bool {
	go func() { // ends with the connection
		for i := range times {
			if w.send(opText, []byte(make(i))) != nil {
				return
			}
		}
	}()
	for {
		op, data, err := w.read()
		if err != nil || op == opClose {
			return false
		}
		if strings.Contains(string(data), text) {
			return true
		}
		if strings.HasPrefix(string(data), fmt.Sprintf("43%d[", times-1)) {
			return false
		}
	}
}

const tooMany = `"code":"too_many_requests"`

const (
	badRequest = `"code":"bad_request"`
	badOffset  = `"code":"bad_offset"`
	received   = "tutti_events_received_total"
)

// hit is the evidence that a rate or count of the quota was reached.
func hit(limit string) string {
	return `tutti_limit_hits_total{limit="` + limit + `",stage="quota"}`
}

var roomItems = []item{
	times(1_000_000, item{"a million rooms", "{n} joins of rooms, until one is refused", "refused: too many rooms, or requests", []string{hit("connection joins") + " or " + limitEvents + ` or tutti_limit_hits_total{limit="rooms",stage="hub"}`}, nil}, func(t *testing.T, s *server, n int) {
		w := must(t)(s.socket(""))
		if !w.calls(n, `"code":"too_many_r`, func(i int) string { return fmt.Sprintf(`42%d["join",{"room":"room:%d"}]`, i, i) }) {
			t.Error("never refused")
		}
		w.Close()
	}),
	publishFlood("connection", "publications as fast as they go, over one connection", 1, 2000, func(i int) (room, header string) { return "room:flood", "" }),
	publishFlood("address", "{n} connections of one address publish, each into a room of its own", 40, 399, func(i int) (room, header string) {
		return fmt.Sprint("room:mine", i), "X-Forwarded-For: 203.0.113.200\r\n"
	}),
	publishFlood("room", "{n} connections of as many addresses publish into one room", 24, 399, func(i int) (room, header string) {
		return "room:one", fmt.Sprintf("X-Forwarded-For: 203.0.113.%d\r\n", i+1)
	}),
	times(4000, item{"join and leave", "a room joined and left {n} times as fast as it goes, watched by another", "refused: too many requests", []string{hit("connection joins")}, nil}, func(t *testing.T, s *server, n int) {
		watcher := must(t)(s.socket(""))
		watcher.call(t, 1, "join", `{"room":"room:flap"}`)
		watcher.call(t, 2, "presence", `{"room":"room:flap"}`)
		w := must(t)(s.socket(""))
		if !w.calls(n, tooMany, func(i int) string {
			return fmt.Sprintf(`42%d["%s",{"room":"room:flap"}]`, i, []string{"join", "leave"}[i%2])
		}) {
			t.Error("never refused")
		}
		w.Close()
		watcher.call(t, 3, "history", `{"room":"room:flap"}`)
		watcher.Close()
	}),
	times(20, item{"new names of rooms for ever", "{n} connections that publish to a new room each time", "refused by the rate of the connection; the table of rooms keeps its size", []string{hit("connection publishes")}, nil}, func(t *testing.T, s *server, n int) {
		crowd(n, func(c int) {
			w, err := s.socket("")
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			w.calls(1500, tooMany, func(i int) string {
				return fmt.Sprintf(`42%d["publish",{"room":"room:%d-%d","event":"e"}]`, i, c, i)
			})
		})
	}),
}

// publishFlood is an item of n connections that publish so often each, until the
// limit of whom it names is in a refusal's words. Those of a connection has none.
func publishFlood(whose, tried string, n, often int, to func(i int) (room, header string)) item {
	words, told := "of this "+whose, "refused: too many messages published of this "+whose+", and when to come again"
	if whose == "connection" {
		words, told = `"too many messages published"`, "refused: too many messages published, and when to come again"
	}
	return times(n, item{"publish flood of one " + whose, tried, told, []string{hit(whose + " publishes")}, nil}, func(t *testing.T, s *server, n int) {
		var refused atomic.Bool
		crowd(n, func(i int) {
			room, header := to(i)
			w, err := s.socket(header)
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			if w.calls(often, words, func(i int) string {
				return fmt.Sprintf(`42%d["publish",{"room":%q,"event":"e","data":1}]`, i, room)
			}) {
				refused.Store(true)
			}
		})
		if !refused.Load() {
			t.Errorf("never refused for what is too many %s", words)
		}
	})
}

// A question is the argument of a verb, and what its answer must have in it.
type question struct{ name, request, answer string }

var questions = map[string][]question{
	"history": {
		{"a limit below 0", `{"room":"room:kept","limit":-1}`, badRequest}, {"a fraction", `{"room":"room:kept","limit":1.5}`, badRequest},
		{"offsets that are none", `{"room":"room:kept","before":"x"}`, badOffset}, {"a path", `{"room":"room:kept","after":"../../etc/passwd"}`, badOffset}, {"SQL", `{"room":"room:kept","after":"' OR 1=1 --"}`, badOffset},
		{"another epoch", `{"room":"room:kept","after":"AAAAAAAAAAAAAAAA-99999999999999999999"}`, badOffset}, {"another epoch", `{"room":"room:kept","after":"0-1"}`, badOffset}, {"10 kB", `{"room":"room:kept","after":"` + strings.Repeat("9", 10_000) + `"}`, badOffset},
		{"before and after", `{"room":"room:kept","before":"a","after":"b"}`, badRequest}, {"nothing", `{}`, badRequest}, {"nothing", `null`, badRequest}, {"no object", `[]`, badRequest}, {"no object", `"x"`, badRequest},
	},
	"presence": {
		{"a limit of a thousand million", `{"room":"room:kept","limit":1000000000}`, `"members":[`}, {"a limit below 0", `{"room":"room:kept","limit":-1}`, badRequest},
		{"an offset of 10 kB", `{"room":"room:kept","after":"` + strings.Repeat("x", 10_000) + `"}`, badOffset}, {"a room that is none", `{"room":{}}`, badRequest}, {"nothing", `{}`, badRequest}, {"a number", `5`, badRequest},
	},
	"state": {
		{"500 brackets", `{"room":"room:kept","state":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`, `"code":"bad_state"`}, {"100 kB", `{"room":"room:kept","state":{"a":"` + strings.Repeat("x", 100_000) + `"}}`, `"code":"bad_state"`},
		{"null", `{"room":"room:kept","state":null}`, `[{}]`}, {"nothing", `{}`, badRequest},
	},
	"publish": {
		{"no event", `{"room":"room:a"}`, badRequest}, {"no event", `{"room":"room:a","event":""}`, badRequest}, {"a reserved one", `{"room":"room:a","event":"disconnect"}`, `"code":"bad_event"`}, {"a number", `{"room":"room:a","event":5}`, badRequest},
		{"a name of 1,000 bytes", `{"room":"room:a","event":"` + strings.Repeat("x", 1000) + `"}`, `"code":"too_large"`}, {"an id of 1,000 bytes", `{"room":"room:a","event":"e","id":"` + strings.Repeat("x", 1000) + `"}`, `"code":"too_large"`},
		{"900 kB of data", `{"room":"room:a","event":"e","data":"` + strings.Repeat("x", 900_000) + `"}`, `"code":"too_large"`}, {"a list of rooms", `{"room":["room:a"],"event":"e"}`, badRequest},
	},
	"join": {
		{"nothing", `{}`, badRequest}, {"nothing", `null`, badRequest}, {"a number", `5`, badRequest}, {"a list", `[[]]`, badRequest}, {"a room that is not open", `{"room":"closed:a"}`, `"code":"forbidden"`}, {"a star", `{"room":"*"}`, `"code":"forbidden"`},
		{"a name that is empty", `{"room":""}`, badRequest}, {"null", `{"room":null}`, badRequest}, {"a list", `{"room":["room:a"]}`, badRequest}, {"of 900 kB", `{"room":"room:` + strings.Repeat("x", 900_000) + `"}`, `"code":"bad_room"`},
		{"with control characters", `{"room":"room:\u0000\u0001\n"}`, `"code":"bad_room"`}, {"with half a surrogate (which is U+FFFD, and served)", `{"room":"room:\ud800"}`, `"offset":`},
	},
	"leave": {{"nothing", `{}`, badRequest}, {"nothing", `null`, badRequest}, {"a room that is not open", `{"room":"closed:a"}`, `"code":"forbidden"`}, {"of 10 kB", `{"room":"` + strings.Repeat("x", 10_000) + `"}`, `"code":"forbidden"`}},
}

func readItems() []item {
	var items []item
	for _, verb := range slices.Sorted(maps.Keys(questions)) {
		var variants []variant
		for _, q := range questions[verb] {
			variants = append(variants, variant{name: q.name})
		}
		items = append(items, times(len(questions[verb]), item{"arguments of " + verb, "{n} requests: " + names(variants) + "; and the verb without any", "an error and the code that fits, or an answer", []string{received}, nil}, func(t *testing.T, s *server, _ int) {
			w := must(t)(s.socket(""))
			w.call(t, 100, "join", `{"room":"room:kept"}`)
			for i, q := range questions[verb] {
				if got := w.call(t, i, verb, q.request); !strings.Contains(got, q.answer) {
					t.Errorf("%s %.80s is answered %.300s, want %s", verb, q.request, got, q.answer)
				}
			}
			w.text(t, fmt.Sprintf(`42["%s"]`, verb)) // without any, and nobody who waits
			w.Close()
		}))
	}
	return append(items, times(1_000_000_000, item{"pages of histories", "a limit of {n} messages, in a room that has more than a page; offsets of the future, and of before the first", "a page of `limit.page` messages; bad_offset", []string{received}, nil}, pages),
		item{"rooms without permission", "all verbs in a room that wants a token, and in one for members only", "refused: forbidden, not_member", []string{received}, func(t *testing.T, s *server) {
			w := must(t)(s.socket(""))
			for i, verb := range []string{"join", "leave", "publish", "history", "presence", "state"} {
				if got := w.call(t, i, verb, `{"room":"closed:a","event":"e","state":{}}`); !strings.Contains(got, `"code":"forbidden"`) {
					t.Errorf("%s is answered %s", verb, got)
				}
			}
			for i, verb := range []string{"publish", "history", "presence"} {
				if got := w.call(t, 10+i, verb, `{"room":"members:a","event":"e"}`); !strings.Contains(got, `"code":"not_member"`) {
					t.Errorf("%s is answered %s", verb, got)
				}
			}
			w.Close()
		}}, times(1500, item{"read flood", "{n} histories as fast as they are answered", "refused: too many requests", []string{hit("connection reads")}, nil}, func(t *testing.T, s *server, n int) {
			w := must(t)(s.socket(""))
			if !w.calls(n, tooMany, func(i int) string { return fmt.Sprintf(`42%d["history",{"room":"room:kept"}]`, i) }) {
				t.Error("never refused")
			}
			w.Close()
		}))
}

// pages reads a history in larger pages than there may be, and from where nothing
// is.
func pages(t *testing.T, s *server, limit int) {
	const page = 200 // limit.page
	w := must(t)(s.socket(""))
	for i := range page + 10 {
		w.publishKept(t, i, 10)
	}
	got := w.call(t, 1000, "history", fmt.Sprintf(`{"room":"room:kept","limit":%d}`, limit))
	if n := strings.Count(got, `"offset":`); n != page || !strings.Contains(got, `"more":true`) {
		t.Errorf("a page has %d messages: %.300s", n, got)
	}
	_, offset, _ := strings.Cut(got, `"offset":"`)
	epoch, _, _ := strings.Cut(offset, "-")
	for i, q := range []question{
		{"", `"after":"` + epoch + `-zzzzzzz"`, badOffset}, {"", `"before":"` + epoch + `-zzzzzzz"`, badOffset},
		{"", `"after":"` + epoch + `-zzzzzzzzzzzzzzzzzzzzzzzzzzzzz"`, badOffset}, {"", `"after":"` + epoch + `--1"`, badOffset}, {"", `"after":"` + epoch + `-0"`, `"messages":[`},
	} {
		got := w.call(t, 2000+i, "history", `{"room":"room:kept",`+q.request+`}`)
		if !strings.Contains(got, q.answer) || strings.Count(got, `"offset":`) > page {
			t.Errorf("%s is answered %.200s", q.request, got)
		}
	}
	w.Close()
}

// secrets returns what a client keeps to come back: its private id, and an
// offset.
func (s *server) secrets(t *testing.T) (pid, offset string) {
	t.Helper()
	w := must(t)(s.engine(""))
	w.text(t, "40")
	_, pid, _ = strings.Cut(w.until(t, "40{"), `"pid":"`)
	pid, _, _ = strings.Cut(pid, `"`)
	_, offset, _ = strings.Cut(w.call(t, 1, "join", `{"room":"room:back"}`), `"offset":"`)
	offset, _, _ = strings.Cut(offset, `"`)
	if pid == "" || offset == "" {
		t.Fatal("nothing to come back with")
	}
	w.Close()
	return pid, offset
}

// back connects with a private id and an offset, and returns the id that it
// gets.
func (s *server) back(t *testing.T, pid, offset string) (w *wire, got string) {
	t.Helper()
	w = must(t)(s.engine(""))
	w.text(t, fmt.Sprintf(`40{"pid":%q,"offset":%q}`, pid, offset))
	_, got, _ = strings.Cut(w.until(t, "40{"), `"pid":"`)
	got, _, _ = strings.Cut(got, `"`)
	return w, got
}

// answers says whether a socket is still served.
func (w *wire) answers(id int) bool {
	_ = w.send(opText, fmt.Appendf(nil, `42%d["join",{"room":"room:back"}]`, id))
	for {
		op, data, err := w.read()
		switch {
		case err != nil || op == opClose:
			return false
		case strings.HasPrefix(string(data), fmt.Sprintf("43%d[", id)):
			return true
		}
	}
}

var recoveryItems = []item{
	times(100, item{"guessed private ids", "{n} ids that are near, long, empty, a path, SQL, in capitals", "let in as somebody new", []string{`tutti_returns_total{outcome="unknown session"}`}, nil}, func(t *testing.T, s *server, n int) {
		pid, offset := s.secrets(t)
		for i := range n {
			guess := []string{pid[:len(pid)-1] + "_", strings.Repeat("x", 10_000), "", "../" + pid, "' OR 1=1 --", strings.ToUpper(pid) + "x"}[i%6]
			w, got := s.back(t, guess, offset)
			if got == pid {
				t.Errorf("%.40s has taken over the session", guess)
			}
			w.Close()
		}
	}),
	{"offsets that are none", names(badOffsets), "let in as somebody new, and told so", []string{`tutti_returns_total{outcome="unknown offset"}`}, func(t *testing.T, s *server) {
		for _, offset := range badOffsets {
			pid, good := s.secrets(t)
			epoch, _, _ := strings.Cut(good, "-")
			w := must(t)(s.engine(""))
			w.text(t, fmt.Sprintf(`40{"pid":%q,"offset":%q}`, pid, strings.ReplaceAll(offset.text, "EPOCH", epoch)))
			if got := w.until(t, "40{"); strings.Contains(got, pid) {
				t.Errorf("%s is taken for an offset", offset.name)
			}
			w.until(t, `42["unrecovered",`)
			w.Close()
		}
	}},
	times(10, item{"one private id from ten at once", "{n} clients come back to one session", "one has it at the end; the others are cut off", []string{`tutti_evictions_total{cause="returned elsewhere"}`}, nil}, func(t *testing.T, s *server, n int) {
		pid, offset := s.secrets(t)
		var mu sync.Mutex
		var all []*wire
		crowd(n, func(int) {
			w, err := s.engine("")
			if err != nil {
				t.Error(err)
				return
			}
			_ = w.send(opText, fmt.Appendf(nil, `40{"pid":%q,"offset":%q}`, pid, offset))
			mu.Lock()
			defer mu.Unlock()
			all = append(all, w)
		})
		var alive [2]atomic.Int32
		for round := range alive { // who answers in the first may lose the session after that
			crowd(len(all), func(i int) {
				if all[i].answers(5 + round) {
					alive[round].Add(1)
				}
			})
		}
		if n := alive[1].Load(); n != 1 {
			t.Errorf("%d have the session", n)
		}
		for _, w := range all {
			w.Close()
		}
	}),
}

// badOffsets are those that a client comes back with, EPOCH being the tape's.
var badOffsets = []variant{
	{"garbage", "garbage"}, {"SQL", "' OR 1=1 --"}, {"a path", "../../etc/passwd"}, {"the future", "EPOCH-zzzzzzz"}, {"the far future", "EPOCH-zzzzzzzzzzzz"}, {"below 0", "EPOCH--1"}, {"no position", "EPOCH-"},
	{"another tape", "AAAAAAAAAAAAAAAA-5"}, {"10 kB", strings.Repeat("9", 10_000)}, {"a number", "-1"}, {"an escape", "%00"},
}

// doorItems are requests to the doors.
func doorItems() []item {
	bodies := []string{"", "{", "null", "[]", `{"room":5}`, `{"room":"news","rooms":["news"]}`, `{"rooms":[]}`, `{"room":"news"}`, `{"room":"closed:a","event":"e"}`, `{"event":"e"}`,
		`{"room":"news","event":"e","data":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, `{"room":"news","event":"e","room":"x"}`, `{"room":"news","event":"connect"}`, "\xff\xfe", `{"room":"news","event":"` + strings.Repeat("x", 300) + `"}`}
	return []item{
		{"bodies for publishing", fmt.Sprintf("%d bodies: none, no JSON, deep, of the wrong kind, for rooms that are not open", len(bodies)), "4xx and a code", []string{doorRefused}, func(t *testing.T, s *server) {
			for _, body := range bodies {
				if status, text := s.request(t, "POST", "/api/publish", body, "Content-Type: application/json"); status < 400 || status >= 500 || !strings.Contains(text, `"code"`) {
					t.Errorf("%.60q is answered %d %s", body, status, text)
				}
			}
		}},
		{"types of bodies", "text/plain (which needs no preflight), a form, gzip, another charset", "415", []string{doorRefused}, func(t *testing.T, s *server) {
			for _, header := range []string{"Content-Type: text/plain", "Content-Type: multipart/form-data", "Content-Type: application/json; charset=utf-16", "Content-Encoding: gzip"} {
				if status, _ := s.request(t, "POST", "/api/publish", `{"room":"news","event":"e"}`, header); status != http.StatusUnsupportedMediaType {
					t.Errorf("%s is answered %d", header, status)
				}
			}
		}},
		times(2000, item{"frames for a plain WebSocket", "binary, no JSON, 60 kB of brackets, {n} messages", "an error in the reply, or the end with 1003 or 1008", []string{`tutti_streams_closed_total{door="websocket",reason="misuse"}`, `tutti_limit_hits_total{limit="rate",stage="door"}`}, nil}, func(t *testing.T, s *server, n int) {
			for _, path := range []string{"/ws?room=news", "/ws?room=news&framing=json"} {
				w := must(t)(s.open(path, ""))
				_ = w.send(opBinary, []byte("x"))
				if code, _ := w.closed(t); code != 1003 {
					t.Errorf("binary ends with %d", code)
				}
				w.Close()
				w = must(t)(s.open(path, ""))
				go func() { // ends with the connection
					for _, text := range []string{"{", "null", `{"event":5}`, `{"join":[]}`, strings.Repeat("[", 60_000)} {
						_ = w.send(opText, []byte(text))
					}
					floodText(w, `{"event":"e"}`, n)
				}()
				if code, _ := w.closed(t); code != 1008 && code != 0 {
					t.Errorf("%s: a flood ends with %d", path, code)
				}
				w.Close()
			}
		}),
		{"queries of streams", fmt.Sprintf("%s rooms, rooms that are not open, none, bad escapes, a name of 5 kB, another framing; to event streams and plain WebSockets", count(manyRooms)), "4xx", []string{doorRefused}, func(t *testing.T, s *server) {
			for _, q := range []string{strings.Repeat("room=news&", manyRooms), "room=closed:a", "", "room=%zz", "room=news" + strings.Repeat("x", 5000), "room=news&framing=xml"} {
				if w, err := s.open("/ws?"+q, ""); err == nil {
					t.Errorf("%.40s is let in", q)
					w.Close()
				}
				if strings.Contains(q, "framing") {
					continue // which event streams do not have
				}
				if got := s.say(t, "GET /events?"+q+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 4") {
					t.Errorf("%.40s is let in to /events: %.100s", q, got)
				}
			}
		}},
		{"offsets of streams", names(badOffsets), "let in, and told: unrecovered", []string{`tutti_streams_opened_total{door="websocket"}`}, func(t *testing.T, s *server) {
			_, good := s.secrets(t)
			epoch, _, _ := strings.Cut(good, "-")
			for _, offset := range badOffsets {
				after := url.QueryEscape(strings.ReplaceAll(offset.text, "EPOCH", epoch))
				w := must(t)(s.open("/ws?room=news&framing=json&after="+after, ""))
				if _, data, err := w.read(); err != nil || !strings.Contains(string(data), `"unrecovered"`) {
					t.Errorf("%s is answered %s, %v", offset.name, data, err)
				}
				w.Close()
			}
		}},
	}
}

const manyRooms = 1000
