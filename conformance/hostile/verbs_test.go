package hostile

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestVerbs(t *testing.T) {
	s := start(t, nil, subject(t)...)
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

var roomItems = []item{
	{"a million rooms", "joins of rooms without end", "refused: too many rooms, or requests", []string{limits}, func(t *testing.T, s *server) {
		w := must(t)(s.socket(""))
		if !w.calls(1_000_000, `"code":"too_many_r`, func(i int) string { return fmt.Sprintf(`42%d["join",{"room":"room:%d"}]`, i, i) }) {
			t.Error("never refused")
		}
		w.Close()
	}},
	{"names of rooms", "1 MB, control characters, half a surrogate, an object, none", "refused", []string{"tutti_events_received_total"}, func(t *testing.T, s *server) {
		w := must(t)(s.socket(""))
		for i, room := range []string{`"room:` + strings.Repeat("x", 900_000) + `"`, `"room:\u0000\u0001\n"`, `"room:\ud800"`, `{}`, `null`, `""`, `["room:a"]`, `5`} {
			got := w.call(t, i, "join", `{"room":`+room+`}`)
			if !strings.Contains(got, `"error"`) && !strings.Contains(room, `\u`) {
				t.Errorf("%.40s is answered %s", room, got)
			}
		}
		w.Close()
	}},
	{"publish flood", "publications as fast as they go, over one connection", "refused: too many requests, and when to come again", []string{`tutti_limit_hits_total{limit="connection publishes",stage="quota"}`}, func(t *testing.T, s *server) {
		w := must(t)(s.socket(""))
		if !w.calls(2000, tooMany, func(i int) string {
			return fmt.Sprintf(`42%d["publish",{"room":"room:flood","event":"e","data":1}]`, i)
		}) {
			t.Error("never refused")
		}
		w.Close()
	}},
	{"publish flood of many connections", "12 connections of one address publish into one room", "refused: the address's rate, the room's rate", []string{`tutti_limit_hits_total{limit="room publishes",stage="quota"}`}, func(t *testing.T, s *server) {
		var hit atomic.Bool
		crowd(12, func(i int) {
			w, err := s.socket(fmt.Sprintf("X-Forwarded-For: 203.0.113.%d\r\n", i+1))
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			if w.calls(399, "of this room", func(i int) string { return fmt.Sprintf(`42%d["publish",{"room":"room:one","event":"e"}]`, i) }) {
				hit.Store(true)
			}
		})
		for i := 0; !hit.Load() && i < 50; i++ { // until it is enough for the room, whoever it was
			if w, err := s.socket(fmt.Sprintf("X-Forwarded-For: 198.51.100.%d\r\n", i+1)); err == nil {
				hit.Store(w.calls(390, "of this room", func(i int) string { return fmt.Sprintf(`42%d["publish",{"room":"room:one","event":"e"}]`, i) }))
				w.Close()
			}
		}
		if !hit.Load() {
			t.Error("the room takes any number")
		}
	}},
	{"join and leave", "a room joined and left as fast as it goes, watched by another", "refused: too many requests", []string{`tutti_limit_hits_total{limit="connection joins",stage="quota"}`}, func(t *testing.T, s *server) {
		w := must(t)(s.socket(""))
		if !w.calls(4000, tooMany, func(i int) string {
			return fmt.Sprintf(`42%d["%s",{"room":"room:flap"}]`, i, []string{"join", "leave"}[i%2])
		}) {
			t.Error("never refused")
		}
		w.Close()
	}},
	{"new names of rooms for ever", "20 connections that publish to a new room each time", "refused by the rate of the connection; the table of rooms keeps its size", []string{`tutti_limit_hits_total{limit="connection publishes",stage="quota"}`}, func(t *testing.T, s *server) {
		crowd(20, func(c int) {
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
	}},
}

func readItems() []item {
	requests := map[string][]string{
		"history": {`{"room":"room:kept","limit":1000000000}`, `{"room":"room:kept","limit":-1}`, `{"room":"room:kept","limit":1.5}`, `{"room":"room:kept","before":"x"}`,
			`{"room":"room:kept","after":"../../etc/passwd"}`, `{"room":"room:kept","after":"' OR 1=1 --"}`, `{"room":"room:kept","after":"AAAAAAAAAAAAAAAA-99999999999999999999"}`,
			`{"room":"room:kept","after":"0-1"}`, `{"room":"room:kept","after":"` + strings.Repeat("9", 10_000) + `"}`, `{"room":"room:kept","before":"a","after":"b"}`, `{}`, `null`, `[]`, `"x"`},
		"presence": {`{"room":"room:kept","limit":1000000000}`, `{"room":"room:kept","limit":-1}`, `{"room":"room:kept","after":"` + strings.Repeat("x", 10_000) + `"}`, `{"room":{}}`, `{}`, `5`},
		"state":    {`{"room":"room:kept","state":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`, `{"room":"room:kept","state":{"a":"` + strings.Repeat("x", 100_000) + `"}}`, `{"room":"room:kept","state":null}`, `{}`},
		"publish":  {`{"room":"room:a"}`, `{"room":"room:a","event":""}`, `{"room":"room:a","event":"disconnect"}`, `{"room":"room:a","event":5}`, `{"room":"room:a","event":"` + strings.Repeat("x", 1000) + `"}`, `{"room":"room:a","event":"e","id":"` + strings.Repeat("x", 1000) + `"}`, `{"room":"room:a","event":"e","data":"` + strings.Repeat("x", 900_000) + `"}`, `{"room":["room:a"],"event":"e"}`},
		"join":     {`{}`, `null`, `5`, `[[]]`, `{"room":"closed:a"}`, `{"room":"*"}`, `{"room":""}`},
		"leave":    {`{}`, `null`, `{"room":"closed:a"}`, `{"room":"` + strings.Repeat("x", 10_000) + `"}`},
	}
	var items []item
	for _, verb := range []string{"history", "join", "leave", "presence", "publish", "state"} {
		items = append(items, item{"arguments of " + verb, fmt.Sprintf("%d requests: limits, offsets and rooms of the wrong kind, too large, of nobody", len(requests[verb])), "an answer, or an error and a code", []string{"tutti_events_received_total"}, func(t *testing.T, s *server) {
			w := must(t)(s.socket(""))
			for i, q := range requests[verb] {
				if got := w.call(t, i, verb, q); !strings.HasPrefix(got, "43") || strings.Contains(got, "internal") {
					t.Errorf("%s %.80s is answered %s", verb, q, got)
				}
			}
			w.text(t, fmt.Sprintf(`42["%s"]`, verb)) // without any, and nobody who waits
			w.Close()
		}})
	}
	return append(items, item{"rooms without permission", "all verbs in a room that wants a token, and in one for members only", "refused: forbidden, not_member", []string{"tutti_events_received_total"}, func(t *testing.T, s *server) {
		w := must(t)(s.socket(""))
		for i, verb := range []string{"join", "publish", "history", "presence"} {
			if got := w.call(t, i, verb, `{"room":"closed:a","event":"e"}`); !strings.Contains(got, `"code":"forbidden"`) {
				t.Errorf("%s is answered %s", verb, got)
			}
		}
		for i, verb := range []string{"publish", "history", "presence"} {
			if got := w.call(t, 10+i, verb, `{"room":"members:a","event":"e"}`); !strings.Contains(got, `"code":"not_member"`) {
				t.Errorf("%s is answered %s", verb, got)
			}
		}
		w.Close()
	}}, item{"read flood", "histories as fast as they are answered", "refused: too many requests", []string{`tutti_limit_hits_total{limit="connection reads",stage="quota"}`}, func(t *testing.T, s *server) {
		w := must(t)(s.socket(""))
		if !w.calls(1500, tooMany, func(i int) string { return fmt.Sprintf(`42%d["history",{"room":"room:kept"}]`, i) }) {
			t.Error("never refused")
		}
		w.Close()
	}})
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
	{"guessed private ids", "100 ids that are near, long, empty, a path, SQL", "let in as somebody new", []string{`tutti_returns_total{outcome="unknown session"}`}, func(t *testing.T, s *server) {
		pid, offset := s.secrets(t)
		for i := range 100 {
			guess := []string{pid[:len(pid)-1] + "A", strings.Repeat("x", 10_000), "../" + pid, "' OR 1=1 --", strings.ToUpper(pid)}[i%5]
			w, got := s.back(t, guess, offset)
			if got == pid {
				t.Errorf("%.40s has taken over the session", guess)
			}
			w.Close()
		}
	}},
	{"offsets that are none", "garbage, SQL, a path, the future, another tape, 10 kB", "let in as somebody new, and told so", []string{`tutti_returns_total{outcome="unknown offset"}`}, func(t *testing.T, s *server) {
		for _, offset := range []string{"garbage", "' OR 1=1 --", "../../etc/passwd", "AAAAAAAAAAAAAAAA-5", strings.Repeat("9", 10_000), "-1", "%00"} {
			pid, _ := s.secrets(t)
			w, got := s.back(t, pid, offset)
			if got == pid {
				t.Errorf("%.40q is taken for an offset", offset)
			}
			w.Close()
		}
	}},
	{"one private id from ten at once", "ten clients come back to one session", "one has it at the end; the others are cut off", []string{`tutti_evictions_total{cause="returned elsewhere"}`}, func(t *testing.T, s *server) {
		pid, offset := s.secrets(t)
		var mu sync.Mutex
		var all []*wire
		crowd(10, func(int) {
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
	}},
}

// doorItems are requests to the doors.
func doorItems() []item {
	bodies := []string{"", "{", "null", "[]", `{"room":5}`, `{"room":"news","rooms":["news"]}`, `{"rooms":[]}`, `{"room":"news"}`, `{"room":"closed:a","event":"e"}`, `{"event":"e"}`,
		`{"room":"news","event":"e","data":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, `{"room":"news","event":"e","room":"x"}`, `{"room":"news","event":"connect"}`, "\xff\xfe", `{"room":"news","event":"` + strings.Repeat("x", 300) + `"}`}
	return []item{
		{"bodies for publishing", fmt.Sprintf("%d bodies: no JSON, deep, of the wrong kind, for rooms that are not open", len(bodies)), "4xx and a code", []string{doorRefused}, func(t *testing.T, s *server) {
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
		{"frames for a plain WebSocket", "binary, no JSON, 60 kB of brackets, a flood", "an error in the reply, or the end with 1003 or 1008", []string{"tutti_streams_closed_total"}, func(t *testing.T, s *server) {
			for _, path := range []string{"/ws?room=news", "/ws?room=news&framing=json"} {
				w := must(t)(s.open(path, ""))
				_ = w.send(opBinary, []byte("x"))
				if code, _ := w.closed(t); code != 1003 {
					t.Errorf("binary ends with %d", code)
				}
				w = must(t)(s.open(path, ""))
				for _, text := range []string{"{", "null", `{"event":5}`, `{"join":[]}`, strings.Repeat("[", 60_000)} {
					_ = w.send(opText, []byte(text))
				}
				floodText(w, `{"event":"e"}`, 2000)
				w.Close()
			}
		}},
		{"queries of streams", "1,000 rooms, rooms that are not open, bad escapes, offsets that are none", "4xx, or unrecovered", []string{doorRefused}, func(t *testing.T, s *server) {
			for _, q := range []string{strings.Repeat("room=news&", 1000), "room=closed:a", "", "room=%zz", "room=" + strings.Repeat("x", 5000), "room=news&framing=xml"} {
				if w, err := s.open("/ws?"+q, ""); err == nil && !strings.HasPrefix(q, "room=news") {
					t.Errorf("%.40s is let in", q)
					w.Close()
				}
			}
		}},
	}
}
